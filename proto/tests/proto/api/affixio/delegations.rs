//! `/v1/delegations`: limits in every spelling, and none that is dropped.

use allowlog_proto::api::affixio::{DelegationBody, RevokeDelegationBody, limit_objects, limits};
use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::event::{OnExceed, PaymentLimits};
use allowlog_proto::json::{CanonicalObject, Value};
use allowlog_proto::text::ScopeName;

use super::super::schemas::agreed;
use super::super::{fields, json, table, with};
use super::{AMOUNTS, same_in_camel_case};

const LEAST: &str = r#"{"agent_id":"agt_1","permissions":["payments.create"]}"#;

fn parse(body: &str) -> Result<DelegationBody, Vec<FieldError>> {
    agreed(body, DelegationBody::parse)
}

/// The limits of a delegation with these members, in canonical form.
fn canonical(changed: &str) -> String {
    let body = parse(&with(LEAST, changed)).unwrap_or_else(|e| panic!("{changed}: {e:?}"));
    CanonicalObject::new(&limits(&body.limits), "").unwrap().as_str().to_owned()
}

fn refused(changed: &str) -> Vec<String> {
    fields(parse(&with(LEAST, changed)))
}

#[test]
fn the_whole_body() {
    let whole = r#"{"agent_id":"agt_1","permissions":["payments.create",{"name":"refunds"}],
        "merchant_constraints":{"allowed_merchants":["m1"],"allowed_categories":["5411"],"blocked_merchants":["m2"]},
        "amount_limits":{"per_transaction":1850,"daily":5000,"period":{"amount":20000,"interval":"P1W"}},
        "currency_limits":["eur","JPY"],"validity_window":{"start":"2026-01-01T00:00:00Z","end":"2026-02-01T00:00:00+01:00"},
        "channels":["online"],"step_up_above":1000,"review_above":1500,"require_trusted_device":true,"on_exceed":"cap",
        "metadata":{"projectCode":"p"},"unknown":1.5}"#;
    let body = parse(whole).unwrap();
    assert_eq!(body.permissions, ["payments.create", "refunds"].map(|name| ScopeName::new(name).unwrap()));
    assert_eq!(body.not_before.map(|time| time.to_string()).as_deref(), Some("2026-01-01T00:00:00.000Z"));
    assert_eq!(body.expires_at.map(|time| time.to_string()).as_deref(), Some("2026-01-31T23:00:00.000Z"));
    assert_eq!(body.metadata.as_str(), r#"{"projectCode":"p"}"#);
    assert_eq!(
        CanonicalObject::new(&limits(&body.limits), "").unwrap().as_str(),
        r#"{"amount_limits":{"daily":5000,"per_transaction":1850,"period":{"amount":20000,"interval":"P7D"}},"channels":["online"],"currency_limits":["EUR","JPY"],"merchant_constraints":{"allowed_categories":["5411"],"allowed_merchants":["m1"],"blocked_merchants":["m2"]},"on_exceed":"cap","require_trusted_device":true,"review_above":1500,"step_up_above":1000}"#
    );
    same_in_camel_case(DelegationBody::parse, whole);
    assert_eq!(limit_objects(&PaymentLimits::default()), [Value::Null, Value::Null]);
}

#[test]
fn what_is_missing_limits_nothing_and_what_is_empty_allows_nothing() {
    assert_eq!(parse(LEAST).unwrap().limits, PaymentLimits::default());
    assert_eq!(parse(LEAST).unwrap().limits.on_exceed, OnExceed::Deny);
    for nothing in [
        r#"{"merchant_constraints":null,"amount_limits":null,"currency_limits":null,"validity_window":null,"channels":null,"step_up_above":null,
            "review_above":null,"require_trusted_device":null,"on_exceed":null,"metadata":null}"#,
        r#"{"merchant_constraints":{},"amount_limits":{},"currency_limits":{},"validity_window":{}}"#,
        r#"{"merchant_constraints":{"allowed_merchants":null,"unknown":null},"amount_limits":{"daily":null,"period":{}},"currency_limits":{"allowed":null},
            "validity_window":{"start":null,"end":null}}"#,
    ] {
        assert_eq!(parse(&with(LEAST, nothing)), parse(LEAST), "{nothing}");
    }
    let empty = |changed| parse(&with(LEAST, changed)).unwrap().limits;
    for changed in [
        r#"{"merchant_constraints":[]}"#,
        r#"{"merchant_constraints":{"allowed_merchants":[]}}"#,
        r#"{"merchant_constraints":{"merchant_ids":[]}}"#,
        r#"{"merchant_constraints":{"allowlist":[]}}"#,
    ] {
        assert_eq!(empty(changed).merchants, Some(Vec::new()), "{changed}");
    }
    for changed in [r#"{"merchant_constraints":{"categories":[]}}"#, r#"{"merchant_constraints":{"allowed_mcc":[]}}"#] {
        assert_eq!(empty(changed).categories, Some(Vec::new()), "{changed}");
    }
    for changed in [r#"{"currency_limits":[]}"#, r#"{"currency_limits":{"allowed":[]}}"#] {
        assert_eq!(empty(changed).currencies, Some(Vec::new()), "{changed}");
    }
    for changed in [r#"{"channels":[]}"#, r#"{"channel":[]}"#, r#"{"allowed_channels":[]}"#] {
        assert_eq!(empty(changed).channels, Some(Vec::new()), "{changed}");
    }
    assert_eq!(canonical(r#"{"merchant_constraints":[]}"#), r#"{"merchant_constraints":{"allowed_merchants":[]},"on_exceed":"deny"}"#);
}

#[test]
fn every_alias_is_read() {
    for (changed, same) in [
        (r#"{"merchant_constraints":["m"]}"#, r#"{"merchant_constraints":{"allowed_merchants":["m"]}}"#),
        (r#"{"merchant_constraints":{"merchant_ids":["m"]}}"#, r#"{"merchant_constraints":{"allowed_merchants":["m"]}}"#),
        (r#"{"merchant_constraints":{"allowlist":["m"]}}"#, r#"{"merchant_constraints":{"allowed_merchants":["m"]}}"#),
        (r#"{"merchant_constraints":{"allowlist":["m"],"merchant_ids":["m"]}}"#, r#"{"merchant_constraints":["m"]}"#),
        (r#"{"merchant_constraints":{"categories":["c"]}}"#, r#"{"merchant_constraints":{"allowed_categories":["c"]}}"#),
        (r#"{"merchant_constraints":{"allowed_mcc":["5411"]}}"#, r#"{"merchant_constraints":{"allowed_categories":["5411"]}}"#),
        (r#"{"amount_limits":5}"#, r#"{"amount_limits":{"per_transaction":5}}"#),
        (r#"{"amount_limits":{"max_per_transaction":5}}"#, r#"{"amount_limits":{"per_transaction":5}}"#),
        (r#"{"amount_limits":{"per_tx":5}}"#, r#"{"amount_limits":{"per_transaction":5}}"#),
        (r#"{"amount_limits":{"max_amount":5,"per_tx":5}}"#, r#"{"amount_limits":{"per_transaction":5}}"#),
        (r#"{"amount_limits":{"daily_max":5}}"#, r#"{"amount_limits":{"daily":5}}"#),
        (r#"{"amount_limits":{"weekly":5}}"#, r#"{"amount_limits":{"period":{"amount":5,"interval":"P7D"}}}"#),
        (r#"{"amount_limits":{"monthly":5}}"#, r#"{"amount_limits":{"period":{"amount":5,"interval":"P1M"}}}"#),
        (r#"{"currency_limits":"eur"}"#, r#"{"currency_limits":["EUR"]}"#),
        (r#"{"currency_limits":{"allowed":["eur"]}}"#, r#"{"currency_limits":["EUR"]}"#),
        (r#"{"currency_limits":{"allowed":"EUR"}}"#, r#"{"currency_limits":["EUR"]}"#),
        (r#"{"channel":"online"}"#, r#"{"channels":["online"]}"#),
        (r#"{"allowed_channels":["online"],"channel":"online"}"#, r#"{"channels":["online"]}"#),
    ] {
        assert_eq!(canonical(changed), canonical(same), "{changed}");
    }
    let window = |changed: &str| {
        let body = parse(&with(LEAST, changed)).unwrap();
        (body.not_before, body.expires_at)
    };
    let (start, end) = ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    let canonical = window(&format!(r#"{{"validity_window":{{"start":"{start}","end":"{end}"}}}}"#));
    assert!(canonical.0.is_some() && canonical.1.is_some());
    for (from, to) in
        [("from", "to"), ("not_before", "not_after"), ("valid_from", "valid_until"), ("starts_at", "ends_at"), ("validFrom", "validUntil")]
    {
        let changed = with(LEAST, &format!(r#"{{"validity_window":{{"{from}":"{start}","{to}":"{end}"}}}}"#));
        let body = DelegationBody::parse(&json(&changed)).unwrap();
        assert_eq!((body.not_before, body.expires_at), canonical, "{changed}");
    }
    assert_eq!(window(&format!(r#"{{"validity_window":{{"start":"{start}"}}}}"#)), (canonical.0, None));
    assert_eq!(window(&format!(r#"{{"validity_window":{{"to":"{end}"}}}}"#)), (None, canonical.1));
}

#[test]
fn no_limit_is_dropped() {
    for (changed, expected) in [
        // Names nobody knows.
        (r#"{"merchant_constraints":{"allowed_countries":["DE"]}}"#, &["body.merchant_constraints.allowed_countries"][..]),
        (r#"{"merchant_constraints":{"denylist":[]}}"#, &["body.merchant_constraints.denylist"]),
        (r#"{"amount_limits":{"hourly":5}}"#, &["body.amount_limits.hourly"]),
        (r#"{"amount_limits":{"period":{"amount":5,"interval":"P1D","start":"x"}}}"#, &["body.amount_limits.period.start"]),
        (r#"{"currency_limits":{"EUR":5}}"#, &["body.currency_limits.EUR"]),
        (r#"{"validity_window":{"begin":"2026-01-01T00:00:00Z"}}"#, &["body.validity_window.begin"]),
        (r#"{"permissions":[{"name":"pay","max_amount":5}]}"#, &["body.permissions[0].max_amount"]),
        // Limits where none stands.
        (r#"{"expires_at":"2026-01-01T00:00:00Z"}"#, &["body.expires_at"]),
        (r#"{"max_amount":5}"#, &["body.max_amount"]),
        (r#"{"weekly":5,"valid_until":null}"#, &["body.weekly"]),
        (r#"{"merchants":["m"],"currencies":["EUR"]}"#, &["body.merchants", "body.currencies"]),
        (r#"{"limits":{"daily":5}}"#, &["body.limits"]),
        // Aliases that say something else.
        (r#"{"merchant_constraints":{"merchant_ids":["a"],"allowlist":["b"]}}"#, &["body.merchant_constraints.allowlist"]),
        (r#"{"merchant_constraints":{"allowed_merchants":[],"allowlist":["b"]}}"#, &["body.merchant_constraints.allowlist"]),
        (
            r#"{"amount_limits":{"per_transaction":5,"per_tx":6,"max_amount":7}}"#,
            &["body.amount_limits.per_tx", "body.amount_limits.max_amount"],
        ),
        (r#"{"amount_limits":{"daily":5,"daily_max":6}}"#, &["body.amount_limits.daily_max"]),
        (r#"{"channels":["a"],"channel":"b"}"#, &["body.channel"]),
        (
            r#"{"validity_window":{"from":"2026-01-01T00:00:00Z","valid_from":"2026-01-02T00:00:00Z"}}"#,
            &["body.validity_window.valid_from"],
        ),
        // One period.
        (r#"{"amount_limits":{"weekly":5,"monthly":5}}"#, &["body.amount_limits.monthly"]),
        (r#"{"amount_limits":{"weekly":5,"period":{"amount":5,"interval":"P7D"}}}"#, &["body.amount_limits.weekly"]),
        (r#"{"amount_limits":{"period":{"amount":5}}}"#, &["body.amount_limits.period.interval"]),
        (r#"{"amount_limits":{"period":{"interval":"P7D"}}}"#, &["body.amount_limits.period.amount"]),
        (r#"{"amount_limits":{"period":{"amount":5,"interval":"a week"}}}"#, &["body.amount_limits.period.interval"]),
        (r#"{"amount_limits":{"period":{"amount":5,"interval":"P367D"}}}"#, &["body.amount_limits.period.interval"]),
        (r#"{"amount_limits":{"period":5}}"#, &["body.amount_limits.period"]),
        // What is empty and is no list.
        (r#"{"amount_limits":[]}"#, &["body.amount_limits"]),
        (r#"{"amount_limits":{"daily":{}}}"#, &["body.amount_limits.daily"]),
        (r#"{"amount_limits":{"period":[]}}"#, &["body.amount_limits.period"]),
        (r#"{"merchant_constraints":{"allowed_merchants":{}}}"#, &["body.merchant_constraints.allowed_merchants"]),
        (r#"{"validity_window":[]}"#, &["body.validity_window"]),
        (r#"{"channels":{}}"#, &["body.channels"]),
        (r#"{"step_up_above":[]}"#, &["body.step_up_above"]),
        (r#"{"review_above":{}}"#, &["body.review_above"]),
        (r#"{"require_trusted_device":[]}"#, &["body.require_trusted_device"]),
        (r#"{"on_exceed":{}}"#, &["body.on_exceed"]),
        // What is of another kind.
        (r#"{"merchant_constraints":"m"}"#, &["body.merchant_constraints"]),
        (r#"{"merchant_constraints":["m",7,""]}"#, &["body.merchant_constraints[1]", "body.merchant_constraints[2]"]),
        (r#"{"merchant_constraints":{"allowed_mcc":[5411]}}"#, &["body.merchant_constraints.allowed_mcc[0]"]),
        (r#"{"currency_limits":["EUR","EURO"]}"#, &["body.currency_limits[1]"]),
        (r#"{"currency_limits":7}"#, &["body.currency_limits"]),
        (r#"{"channels":[""]}"#, &["body.channels[0]"]),
        (r#"{"require_trusted_device":"yes"}"#, &["body.require_trusted_device"]),
        (r#"{"on_exceed":"Cap"}"#, &["body.on_exceed"]),
        (r#"{"validity_window":"2026"}"#, &["body.validity_window"]),
        (r#"{"validity_window":{"start":"2026-01-01T00:00:00"}}"#, &["body.validity_window.start"]),
        (r#"{"metadata":{"limits":1,"scopes":2}}"#, &["body.metadata.scopes", "body.metadata.limits"]),
    ] {
        assert_eq!(refused(changed), expected, "{changed}");
    }
    for (start, end, expected) in [
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.001Z", &[][..]),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", &["body.validity_window.end"]),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:30:00+01:00", &["body.validity_window.end"]),
    ] {
        let changed = with(LEAST, &format!(r#"{{"validity_window":{{"start":"{start}","end":"{end}"}}}}"#));
        assert_eq!(fields(DelegationBody::parse(&json(&changed))), expected, "{changed}");
    }
    let both = r#"{"agent_id":"a","permissions":"p","stepUpAbove":5,"step_up_above":6}"#;
    assert_eq!(fields(DelegationBody::parse(&json(both))), ["body.step_up_above"]);
}

#[test]
fn amounts_are_integers_of_minor_units() {
    for amount in AMOUNTS {
        for (limit, path) in [
            (r#"{"agent_id":"a","permissions":"p","amount_limits":@}"#, "body.amount_limits"),
            (r#"{"agent_id":"a","permissions":"p","amount_limits":{"per_tx":@}}"#, "body.amount_limits.per_tx"),
            (r#"{"agent_id":"a","permissions":"p","amount_limits":{"daily":@}}"#, "body.amount_limits.daily"),
            (r#"{"agent_id":"a","permissions":"p","amount_limits":{"weekly":@}}"#, "body.amount_limits.weekly"),
            (
                r#"{"agent_id":"a","permissions":"p","amount_limits":{"period":{"amount":@,"interval":"P1D"}}}"#,
                "body.amount_limits.period.amount",
            ),
            (r#"{"agent_id":"a","permissions":"p","step_up_above":@}"#, "body.step_up_above"),
            (r#"{"agent_id":"a","permissions":"p","review_above":@}"#, "body.review_above"),
        ] {
            let expected = if (path, *amount) == ("body.amount_limits", "{\"a\":1}") { "body.amount_limits.a" } else { path };
            assert_eq!(fields(parse(&limit.replace('@', amount))), [expected], "{path} {amount}");
        }
    }
    assert_eq!(
        canonical(r#"{"amount_limits":9007199254740991}"#),
        r#"{"amount_limits":{"per_transaction":9007199254740991},"on_exceed":"deny"}"#
    );
}

#[test]
fn permissions_are_named_once() {
    table(
        DelegationBody::parse,
        &[
            (r#"{"agent_id":"a","permissions":"payments.create"}"#, &[]),
            (r#"{"agent_id":"a","permissions":[{"name":"*","description":null}]}"#, &[]),
            ("{}", &["body.agent_id", "body.permissions"]),
            (r#"{"agent_id":"a","permissions":[]}"#, &["body.permissions"]),
            (r#"{"agent_id":"a","permissions":""}"#, &["body.permissions"]),
            (r#"{"agent_id":"a","permissions":7}"#, &["body.permissions"]),
            (r#"{"agent_id":"a","permissions":["p",7]}"#, &["body.permissions[1]"]),
            (r#"{"agent_id":"a","permissions":[{"id":"p"}]}"#, &["body.permissions[0].name", "body.permissions[0].id"]),
            (r#"{"agent_id":"a","permissions":["p",{"name":"p"}]}"#, &["body.permissions"]),
        ],
    );
    // A receipt of such a permission would look like one of something else.
    let reserved = r#"{"agent_id":"a","permissions":["payment_intent.authorise"]}"#;
    assert_eq!(fields(DelegationBody::parse(&json(reserved))), ["body.permissions[0]"]);
    let many =
        |n: usize| format!(r#"{{"agent_id":"a","permissions":[{}]}}"#, (0..n).map(|i| format!("\"p{i}\"")).collect::<Vec<_>>().join(","));
    assert_eq!((fields(parse(&many(100))), fields(parse(&many(101)))), (vec![], vec!["body.permissions".to_owned()]));
    let many = |n: usize| with(LEAST, &format!(r#"{{"currency_limits":[{}]}}"#, vec!["\"EUR\""; n].join(",")));
    assert_eq!((fields(parse(&many(256))), fields(parse(&many(257)))), (vec![], vec!["body.currency_limits".to_owned()]));
}

#[test]
fn revokes() {
    for empty in ["null", "{}", "[]"] {
        table(RevokeDelegationBody::parse, &[(empty, &[])]);
    }
    table(
        RevokeDelegationBody::parse,
        &[(r#"{"reason":"lost","revoked_by":"user"}"#, &[]), (r#"{"reason":7,"revoked_by":""}"#, &["body.reason", "body.revoked_by"])],
    );
    same_in_camel_case(RevokeDelegationBody::parse, r#"{"revoked_by":"user"}"#);
}
