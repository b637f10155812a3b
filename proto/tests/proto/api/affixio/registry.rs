//! `/v1/orgs`, `/v1/api-keys`, `/v1/agents` and `/v1/devices`.

use allowlog_proto::api::affixio::{
    AttestBody, CredentialBody, OrgBody, OrgKeyBody, RegisterAgentBody, RegisterDeviceBody, RevokeDeviceBody,
};
use allowlog_proto::event::AgentKind;
use allowlog_proto::id::OrgId;
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ed25519_dalek::SigningKey;

use super::super::{fields, json, table, with};

const ORG: &str = "org_01KJMJN5000000000000000001";

#[test]
fn orgs() {
    table(
        OrgBody::parse,
        &[
            (r#"{"name":"Acme"}"#, &[]),
            (r#"{"name":"Acme","metadata":{"aB":1,"a_b":2},"other":1.5}"#, &[]),
            (r#"{"name":"Acme","metadata":null}"#, &[]),
            ("{}", &["body.name"]),
            (r#"{"name":""}"#, &["body.name"]),
            (r#"{"name":7,"metadata":7}"#, &["body.name", "body.metadata"]),
            (r#"{"name":"Acme","metadata":{"a":[1,1.5]}}"#, &["body.metadata.a[1]"]),
        ],
    );
    let large = |n: usize| format!(r#"{{"name":"Acme","metadata":{{"a":"{}"}}}}"#, "x".repeat(n));
    assert_eq!(fields(OrgBody::parse(&json(&large(16 * 1024 - 8)))), [""; 0]);
    assert_eq!(fields(OrgBody::parse(&json(&large(16 * 1024 - 7)))), ["body.metadata"]);
}

#[test]
fn api_keys() {
    let parse = |text: &str| OrgKeyBody::parse(&json(text));
    let org = Some(OrgId::parse(ORG).unwrap());
    assert_eq!(parse(&format!(r#"{{"orgId":"{ORG}"}}"#)), Ok(OrgKeyBody { org, name: None }));
    assert_eq!(parse(&format!(r#"{{"org_id":"{ORG}","name":"n"}}"#)).unwrap().org, org);
    assert_eq!(parse(r#"{"orgId":"whatever"}"#).unwrap().org, None, "opaque, so merely unknown");
    table(
        OrgKeyBody::parse,
        &[
            (r#"{"orgId":"x"}"#, &[]),
            ("{}", &["body.org_id"]),
            (r#"{"orgId":7}"#, &["body.org_id"]),
            (r#"{"orgId":"x","name":""}"#, &["body.name"]),
        ],
    );
    assert_eq!(fields(parse(r#"{"orgId":"x","org_id":"y"}"#)), ["body.org_id"]);
    assert_eq!(fields(parse(r#"{"orgId":"x","org_id":"x"}"#)), [""; 0]);
}

#[test]
fn agents() {
    let least = format!(r#"{{"name":"Shopper","type":"llm","ownerOrgId":"{ORG}"}}"#);
    let parse = |text: &str| RegisterAgentBody::parse(&json(text));
    let body = parse(&with(&least, r#"{"metadata":{"model":"m"}}"#)).unwrap();
    assert_eq!((body.kind, body.owner, body.metadata.as_str()), (AgentKind::Llm, OrgId::parse(ORG), r#"{"model":"m"}"#));
    assert_eq!(parse(&least.replace("ownerOrgId", "owner_org_id")), parse(&least));
    for kind in ["llm", "workflow", "robot-controller", "service"] {
        table(RegisterAgentBody::parse, &[(&with(&least, &format!(r#"{{"type":"{kind}"}}"#)), &[])]);
    }
    for (changed, expected) in [
        (r#"{"name":"-"}"#, "body.name"),
        (r#"{"type":"-"}"#, "body.type"),
        (r#"{"type":"robot_controller"}"#, "body.type"),
        (r#"{"type":"LLM"}"#, "body.type"),
        (r#"{"ownerOrgId":"-"}"#, "body.owner_org_id"),
        (r#"{"ownerOrgId":7}"#, "body.owner_org_id"),
        (r#"{"metadata":"m"}"#, "body.metadata"),
    ] {
        table(RegisterAgentBody::parse, &[(&with(&least, changed), &[expected])]);
    }
}

#[test]
fn credentials() {
    let key = SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes();
    let parse = |text: &str| CredentialBody::parse(&json(text));
    for empty in ["null", "{}", "[]", r#"{"type":null,"public_key":null,"expires_at":null}"#] {
        table(CredentialBody::parse, &[(empty, &[])]);
        assert_eq!(parse(empty), Ok(CredentialBody::default()));
    }
    for text in [BASE64URL_NOPAD.encode(&key), BASE64.encode(&key)] {
        let body = format!(r#"{{"type":"ed25519","public_key":"{text}","expires_at":"2027-01-01T00:00:00Z"}}"#);
        table(CredentialBody::parse, &[(&body, &[])]);
        assert_eq!(parse(&body).unwrap().public_key, Some(key));
        assert_eq!(parse(&body.replace("public_key", "publicKey")), parse(&body));
    }
    let weak = BASE64URL_NOPAD.encode(&[0; 32]);
    for (body, expected) in [
        (r#"{"public_key":"AAAA"}"#.to_owned(), "body.public_key"),
        (r#"{"public_key":7}"#.to_owned(), "body.public_key"),
        (format!(r#"{{"public_key":"{weak}"}}"#), "body.public_key"),
        (r#"{"type":"api_key"}"#.to_owned(), "body.type"),
        (r#"{"expires_at":"tomorrow"}"#.to_owned(), "body.expires_at"),
        ("7".to_owned(), "body"),
    ] {
        assert_eq!(fields(parse(&body)), [expected], "{body}");
    }
}

#[test]
fn devices() {
    for empty in ["null", "{}", "[]"] {
        table(RegisterDeviceBody::parse, &[(empty, &[])]);
        table(AttestBody::parse, &[(empty, &[])]);
        table(RevokeDeviceBody::parse, &[(empty, &[])]);
    }
    table(
        RegisterDeviceBody::parse,
        &[
            (r#"{"name":"till 3","type":"terminal","metadata":{"aB":1}}"#, &[]),
            (r#"{"name":7,"type":"","metadata":[1]}"#, &["body.name", "body.type", "body.metadata"]),
        ],
    );
    table(AttestBody::parse, &[(r#"{"attestation":{"quoteType":"tpm"}}"#, &[]), (r#"{"attestation":"yes"}"#, &["body.attestation"])]);
    let attested = AttestBody::parse(&json(r#"{"attestation":{"quoteType":"tpm"}}"#)).unwrap();
    assert_eq!(attested.attestation.as_str(), r#"{"quoteType":"tpm"}"#, "nothing in it is spelt anew");
    table(RevokeDeviceBody::parse, &[(r#"{"reason":"lost"}"#, &[]), (r#"{"reason":7}"#, &["body.reason"])]);
}
