//! `/v1/offline`

use allowlog_proto::api::affixio::{NullifiersBody, OfflineTokenBody, ReconcileBody, TransactionsBody, nullifier};
use allowlog_proto::id::{DelegationId, KeyId, OfflineTokenId, OrgId};
use allowlog_proto::money::{Amount, Currency};
use allowlog_proto::offline_token::OfflineClaims;
use allowlog_proto::text::{AgentId, OpaqueId};
use allowlog_proto::time::Timestamp;
use allowlog_proto::token::signed_token;

use super::super::{fields, json, table, with};
use super::{AMOUNTS, same_in_camel_case};

const TOKEN: &str = r#"{"agent_id":"a","delegation_id":"d","device_id":"v","max_amount":1850,"currency":"EUR"}"#;
const NULLIFIER: &str = "00112233445566778899aabbccddeeff";
const TRANSACTION: &str =
    r#"{"device_id":"v","nullifier":"00112233445566778899aabbccddeeff","merchant_id":"m","amount":1850,"currency":"EUR"}"#;

#[test]
fn tokens() {
    let parse = |changed: &str| OfflineTokenBody::parse(&json(&with(TOKEN, changed)));
    assert_eq!(parse("{}").map(|body| (body.life_ms, body.merchants)), Ok((3_600_000, None)));
    assert_eq!(
        parse(r#"{"merchant_ids":[],"ttl_seconds":86400}"#).map(|body| (body.life_ms, body.merchants)),
        Ok((86_400_000, Some(vec![])))
    );
    for (changed, expected) in [
        (r#"{"merchant_ids":["m"],"ttl_seconds":1}"#, &[][..]),
        (r#"{"merchant_ids":null,"ttl_seconds":null}"#, &[]),
        (r#"{"agent_id":"-","delegation_id":"-","device_id":"-"}"#, &["body.agent_id", "body.delegation_id", "body.device_id"]),
        (r#"{"max_amount":"-","currency":"-"}"#, &["body.max_amount", "body.currency"]),
        (r#"{"merchant_ids":"m"}"#, &["body.merchant_ids"]),
        (r#"{"merchant_ids":["m",7]}"#, &["body.merchant_ids[1]"]),
        (r#"{"ttl_seconds":0}"#, &["body.ttl_seconds"]),
        (r#"{"ttl_seconds":86401}"#, &["body.ttl_seconds"]),
    ] {
        table(OfflineTokenBody::parse, &[(&with(TOKEN, changed), expected)]);
    }
    for amount in AMOUNTS {
        table(OfflineTokenBody::parse, &[(&TOKEN.replace("1850", amount), &["body.max_amount"])]);
        table(TransactionsBody::parse, &[(&TRANSACTION.replace("1850", amount), &["body.amount"])]);
    }
    same_in_camel_case(OfflineTokenBody::parse, &with(TOKEN, r#"{"ttl_seconds":60}"#));
}

#[test]
fn transactions() {
    let one = TransactionsBody::parse(&json(TRANSACTION)).unwrap();
    assert_eq!((one.device.as_str(), one.transactions.len()), ("v", 1));
    assert_eq!(one.transactions[0].nullifier, nullifier(NULLIFIER));
    let several = format!(r#"{{"device_id":"v","transactions":[{TRANSACTION}]}}"#);
    assert_eq!(TransactionsBody::parse(&json(&several)), Ok(one), "one by itself is a list of one");
    same_in_camel_case(TransactionsBody::parse, &several);
    for (changed, expected) in [
        (r#"{"occurred_at":"2026-01-01T00:00:00Z","client_ref":"c","transactions":[]}"#, &[][..]),
        (r#"{"nullifier":"no token ever had this"}"#, &[]),
        (r#"{"device_id":"-"}"#, &["body.device_id"]),
        (r#"{"nullifier":"-"}"#, &["body.nullifier"]),
        (r#"{"nullifier":7}"#, &["body.nullifier"]),
        (r#"{"nullifier":"-","token":"unreadable"}"#, &[]),
        (r#"{"nullifier":"-","token":7}"#, &["body.token"]),
        (r#"{"merchant_id":"-","currency":7}"#, &["body.merchant_id", "body.currency"]),
        (r#"{"occurred_at":"now","client_ref":""}"#, &["body.occurred_at", "body.client_ref"]),
    ] {
        table(TransactionsBody::parse, &[(&with(TRANSACTION, changed), expected)]);
    }
    let wrong = with(TRANSACTION, r#"{"amount":0}"#);
    let third = format!(r#"{{"device_id":"v","transactions":[{TRANSACTION},{TRANSACTION},{TRANSACTION},{wrong}]}}"#);
    table(TransactionsBody::parse, &[(&third, &["body.transactions[3].amount"])]);
    let many = |n: usize| {
        fields(TransactionsBody::parse(&json(&format!(r#"{{"device_id":"v","transactions":[{}]}}"#, vec![TRANSACTION; n].join(",")))))
    };
    assert_eq!((many(100), many(101)), (vec![], vec!["body.transactions".to_owned()]));
}

#[test]
fn a_token_is_named_by_its_nullifier_or_by_itself() {
    let claims = OfflineClaims {
        org_id: OrgId::from_bytes([1; 16]),
        agent_id: AgentId::new("agt_01").unwrap(),
        token_id: OfflineTokenId::from_bytes([2; 16]),
        nullifier: nullifier(NULLIFIER).unwrap(),
        delegation_id: DelegationId::from_bytes([3; 16]),
        device: OpaqueId::new("v").unwrap(),
        max_amount: Amount::new(1850).unwrap(),
        currency: Currency::new("EUR").unwrap(),
        merchants: None,
        issued_at: Timestamp::from_ms(1_772_359_200_000).unwrap(),
        expires_at: Timestamp::from_ms(1_772_362_800_000).unwrap(),
    };
    let token = signed_token(&claims.signing_input(KeyId::of(&[2; 32])), &[7; 64]);
    let named = |changed: &str| TransactionsBody::parse(&json(&with(TRANSACTION, changed))).map(|body| body.transactions[0].nullifier);
    assert_eq!(named(&format!(r#"{{"nullifier":"-","token":"{token}"}}"#)), Ok(nullifier(NULLIFIER)));
    assert_eq!(named(&format!(r#"{{"token":"{token}"}}"#)), Ok(nullifier(NULLIFIER)));
    assert_eq!(named(r#"{"nullifier":"-","token":"a.b.c"}"#), Ok(None));
    let other = NULLIFIER.replace("00", "01");
    assert_eq!(fields(named(&format!(r#"{{"nullifier":"{other}","token":"{token}"}}"#))), ["body.nullifier"]);
    assert_eq!(nullifier(&NULLIFIER.to_uppercase()), nullifier(NULLIFIER));
    assert_eq!([nullifier(""), nullifier("00"), nullifier(&NULLIFIER.replace('f', "g"))], [None; 3]);
}

#[test]
fn nullifiers_and_devices() {
    table(
        NullifiersBody::parse,
        &[
            (r#"{"nullifiers":["a","b"]}"#, &[]),
            ("{}", &["body.nullifiers"]),
            (r#"{"nullifiers":[]}"#, &["body.nullifiers"]),
            (r#"{"nullifiers":["a",7]}"#, &["body.nullifiers[1]"]),
            (r#"{"nullifiers":"a"}"#, &["body.nullifiers"]),
        ],
    );
    let many = |n: usize| fields(NullifiersBody::parse(&json(&format!(r#"{{"nullifiers":[{}]}}"#, vec!["\"a\""; n].join(",")))));
    assert_eq!((many(1000), many(1001)), (vec![], vec!["body.nullifiers".to_owned()]));
    table(ReconcileBody::parse, &[(r#"{"device_id":"v"}"#, &[]), ("{}", &["body.device_id"]), ("7", &["body"])]);
    same_in_camel_case(ReconcileBody::parse, r#"{"device_id":"v"}"#);
}
