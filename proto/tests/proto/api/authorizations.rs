//! `POST /v1/authorizations` and `DELETE /v1/authorizations/{id}`.

use allowlog_proto::api::allowly::{CreateBody, RevokeBody, Source};
use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::event::{Constraints, Terms};
use allowlog_proto::json::Value;
use allowlog_proto::limits::METADATA_BYTES_MAX;
use allowlog_proto::money::Micros;
use allowlog_proto::text::BundleId;

use super::schemas::agreed;
use super::{DEFECTS, fields, json, table, with};

const LEAST: &str = r#"{"user_id":"u","agent_id":"a","scopes":["email.send"],"expires_at":"2027-01-01T00:00:00Z"}"#;

fn parse(body: &str) -> Result<CreateBody, Vec<FieldError>> {
    agreed(body, CreateBody::parse)
}

/// What an inline create says by itself.
fn terms(body: CreateBody) -> Terms {
    let Source::Inline(terms) = body.source else { panic!("an inline create") };
    terms
}

/// Runs a table of changes to the least body.
fn changes(rows: &[(&str, &[&str])]) {
    let rows: Vec<(String, &[&str])> = rows.iter().map(|(changed, expected)| (with(LEAST, changed), *expected)).collect();
    let rows: Vec<(&str, &[&str])> = rows.iter().map(|(body, expected)| (body.as_str(), *expected)).collect();
    table(CreateBody::parse, &rows);
}

#[test]
fn the_whole_body() {
    let body = parse(
        r#"{"user_id":"u@example.com","agent_id":"a","scopes":[
              {"name":"pay","constraints":{"max_per_day":9007199254740991,"resource_pattern":"","allowed_initiators":["x",""],
                                           "allowed_domains":[],"allowed_fields":["f"]}},
              "email.send",{"name":"read"},{"name":"list","constraints":{}}],
            "requires_confirm_for":["pay","read","pay"],"requires_escalation_for":["read"],
            "escalation_targets":{"read":"r","email.send":"e"},"expires_at":"2027-01-01T02:00:00.1239+02:00",
            "replaces":"whatever","budget_limit_micros":1,"metadata":{"b":1,"a":{"scopes":1}},"ignored":1.5}"#,
    )
    .unwrap();
    assert_eq!(body.user_id.as_str(), "u@example.com");
    assert_eq!(body.expires_at.map(|t| t.to_string()).as_deref(), Some("2027-01-01T00:00:00.123Z"));
    assert_eq!(body.budget_limit.map(Micros::get), Some(1));
    assert_eq!(body.replaces.as_ref().map(ToString::to_string).as_deref(), Some("whatever"));
    assert_eq!(body.metadata.as_str(), r#"{"a":{"scopes":1},"b":1}"#);
    let body = terms(body);
    assert_eq!(body.agent_id.as_str(), "a");
    let names: Vec<_> = body.scopes.iter().map(|s| (s.name.as_str(), s.constraints.is_some())).collect();
    assert_eq!(names, [("pay", true), ("email.send", false), ("read", false), ("list", false)]);
    let constraints = body.scopes[0].constraints.as_deref().unwrap();
    assert_eq!(constraints.max_per_day, Some(9_007_199_254_740_991));
    assert_eq!(constraints.resource_pattern.as_ref().map(ToString::to_string).as_deref(), Some(""), "matches the empty resource only");
    assert_eq!(constraints.allowed_initiators.as_ref().map(Vec::len), Some(2));
    assert_eq!(constraints.allowed_domains.as_ref().map(Vec::len), Some(0), "empty, but signed as it was given");
    assert_eq!(constraints.allowed_fields.as_ref().map(Vec::len), Some(1));
    let listed = |list: &[allowlog_proto::text::ScopeName]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(listed(&body.requires_confirm_for), ["pay", "read"]);
    assert_eq!(listed(&body.requires_escalation_for), ["read"]);
    let targets: Vec<_> = body.escalation_targets.iter().map(|(s, t)| (s.as_str(), t.as_str())).collect();
    assert_eq!(targets, [("email.send", "e"), ("read", "r")], "in canonical order");
}

#[test]
fn what_is_null_or_empty_is_absent() {
    let least = parse(LEAST).unwrap();
    for empty in ["null", "[]", "{}"] {
        let every: Vec<String> = [
            "bundle_id",
            "requires_confirm_for",
            "requires_escalation_for",
            "escalation_targets",
            "budget_limit_micros",
            "metadata",
            "replaces",
        ]
        .iter()
        .map(|name| format!("\"{name}\":{empty}"))
        .collect();
        assert_eq!(parse(&with(LEAST, &format!("{{{}}}", every.join(",")))).as_ref(), Ok(&least), "{empty}");
        let body = format!(r#"{{"user_id":{empty},"agent_id":{empty},"scopes":{empty},"expires_at":{empty}}}"#);
        let required = ["body.user_id", "body.agent_id", "body.scopes", "body.expires_at"];
        assert_eq!(fields(parse(&body)), required, "{empty}");
        assert_eq!(fields(parse(empty)), required, "{empty}");
        let scopes = format!(r#"{{"scopes":[{{"name":"email.send","constraints":{empty}}}]}}"#);
        if empty != "[]" {
            assert_eq!(parse(&with(LEAST, &scopes)).as_ref(), Ok(&least), "{empty}");
        }
    }
}

#[test]
fn a_body_with_every_key_as_a_client_sends_it() {
    let inline = r#"{"user_id":"u","agent_id":"a","scopes":[{"name":"email.send","constraints":{"max_per_day":5}}],"bundle_id":null,
        "requires_confirm_for":[],"requires_escalation_for":[],"escalation_targets":{},"expires_at":"2027-01-01T00:00:00+00:00",
        "budget_limit_micros":null,"metadata":{},"replaces":null}"#;
    assert_eq!(terms(parse(inline).unwrap()).scopes.len(), 1);
    let bundle = r#"{"user_id":"u","agent_id":null,"scopes":null,"bundle_id":"b","requires_confirm_for":[],"requires_escalation_for":[],
        "escalation_targets":{},"expires_at":null,"budget_limit_micros":null,"metadata":{},"replaces":null}"#;
    let body = parse(bundle).unwrap();
    assert_eq!((body.source, body.expires_at), (Source::Bundle(BundleId::new("b").unwrap()), None));
}

#[test]
fn one_of_two_shapes() {
    table(
        CreateBody::parse,
        &[
            (r#"{"user_id":"u","bundle_id":"b"}"#, &[]),
            (
                r#"{"user_id":"u","bundle_id":"b","expires_at":"2027-01-01T00:00:00Z","budget_limit_micros":7,"replaces":"x","metadata":{"a":1}}"#,
                &[],
            ),
            (r#"{"user_id":"u","bundle_id":"b","agent_id":"a"}"#, &["body.agent_id"]),
            (r#"{"user_id":"u","bundle_id":"b","scopes":["s"]}"#, &["body.scopes"]),
            (r#"{"user_id":"u","bundle_id":"b","requires_confirm_for":["s"]}"#, &["body.requires_confirm_for"]),
            (r#"{"user_id":"u","bundle_id":"b","requires_escalation_for":["s"]}"#, &["body.requires_escalation_for"]),
            (r#"{"user_id":"u","bundle_id":"b","escalation_targets":{"s":"t"}}"#, &["body.escalation_targets"]),
            (r#"{"user_id":"u","bundle_id":"b","agent_id":"a","scopes":["s"]}"#, &["body.agent_id", "body.scopes"]),
            (r#"{"user_id":"u","bundle_id":7}"#, &["body.bundle_id"]),
            (r#"{"user_id":"u","bundle_id":"b","expires_at":"soon"}"#, &["body.expires_at"]),
            (r#"{"bundle_id":"b"}"#, &["body.user_id"]),
            (r#"{"user_id":"u"}"#, &["body.agent_id", "body.scopes", "body.expires_at"]),
            (r#"{"user_id":"u","agent_id":"a","expires_at":"2027-01-01T00:00:00Z"}"#, &["body.scopes"]),
        ],
    );
    let id = |n: usize| fields(parse(&format!(r#"{{"user_id":"u","bundle_id":"{}"}}"#, "a".repeat(n))));
    assert_eq!((id(128), id(129)), (vec![], vec!["body.bundle_id".to_owned()]));
}

#[test]
fn every_malformed_member() {
    changes(&[
        (r#"{"user_id":""}"#, &["body.user_id"]),
        (r#"{"user_id":7}"#, &["body.user_id"]),
        (r#"{"user_id":"-"}"#, &["body.user_id"]),
        (r#"{"agent_id":""}"#, &["body.agent_id"]),
        (r#"{"agent_id":["a"]}"#, &["body.agent_id"]),
        (r#"{"expires_at":"-"}"#, &["body.expires_at"]),
        (r#"{"expires_at":"2027-01-01"}"#, &["body.expires_at"]),
        (r#"{"expires_at":"2027-01-01T00:00:00"}"#, &["body.expires_at"]),
        (r#"{"expires_at":"2027-02-29T00:00:00Z"}"#, &["body.expires_at"]),
        (r#"{"expires_at":"10000-01-01T00:00:00Z"}"#, &["body.expires_at"]),
        (r#"{"expires_at":1798761600}"#, &["body.expires_at"]),
        (r#"{"bundle_id":"b"}"#, &["body.agent_id", "body.scopes"]),
        (r#"{"bundle_id":""}"#, &["body.agent_id", "body.scopes", "body.bundle_id"]),
        (r#"{"budget_limit_micros":1}"#, &[]),
        (r#"{"budget_limit_micros":9007199254740991}"#, &[]),
        (r#"{"budget_limit_micros":-1}"#, &["body.budget_limit_micros"]),
        (r#"{"budget_limit_micros":0}"#, &["body.budget_limit_micros"]),
        (r#"{"budget_limit_micros":"1"}"#, &["body.budget_limit_micros"]),
        (r#"{"replaces":7}"#, &["body.replaces"]),
        (r#"{"replaces":""}"#, &["body.replaces"]),
        (r#"{"requires_confirm_for":"email.send"}"#, &["body.requires_confirm_for"]),
        (r#"{"requires_confirm_for":{"email.send":true}}"#, &["body.requires_confirm_for"]),
        (r#"{"requires_confirm_for":true}"#, &["body.requires_confirm_for"]),
        (r#"{"requires_confirm_for":["email.send","other"]}"#, &["body.requires_confirm_for[1]"]),
        (r#"{"requires_confirm_for":["Email.send"]}"#, &["body.requires_confirm_for[0]"]),
        (r#"{"requires_confirm_for":[null]}"#, &["body.requires_confirm_for[0]"]),
        (r#"{"requires_confirm_for":[["email.send"]]}"#, &["body.requires_confirm_for[0]"]),
        (r#"{"requires_escalation_for":"email.send"}"#, &["body.requires_escalation_for"]),
        (r#"{"requires_escalation_for":["other"]}"#, &["body.requires_escalation_for[0]"]),
        (r#"{"requires_escalation_for":[""]}"#, &["body.requires_escalation_for[0]"]),
        (r#"{"escalation_targets":["email.send"]}"#, &["body.escalation_targets"]),
        (r#"{"escalation_targets":"finance"}"#, &["body.escalation_targets"]),
        (r#"{"escalation_targets":{"other":"x"}}"#, &["body.escalation_targets.other"]),
        (r#"{"escalation_targets":{"email.send":""}}"#, &["body.escalation_targets.email.send"]),
        (r#"{"escalation_targets":{"email.send":7}}"#, &["body.escalation_targets.email.send"]),
        (r#"{"escalation_targets":{"":"x"}}"#, &["body.escalation_targets."]),
        (r#"{"escalation_targets":{"email.send":"x"}}"#, &[]),
        (r#"{"metadata":"a"}"#, &["body.metadata"]),
        (r#"{"metadata":[1]}"#, &["body.metadata"]),
        (r#"{"metadata":7}"#, &["body.metadata"]),
        (r#"{"metadata":{"scopes":null}}"#, &["body.metadata.scopes"]),
        (
            r#"{"metadata":{"requires_confirm_for":1,"requires_escalation_for":1,"escalation_targets":1,"expires_at":1}}"#,
            &[
                "body.metadata.requires_confirm_for",
                "body.metadata.requires_escalation_for",
                "body.metadata.escalation_targets",
                "body.metadata.expires_at",
            ],
        ),
        (
            r#"{"metadata":{"budget_limit_micros":1,"replaces":1,"bundle_id":1}}"#,
            &["body.metadata.budget_limit_micros", "body.metadata.replaces", "body.metadata.bundle_id"],
        ),
        (r#"{"metadata":{"session_id":1,"budget":1,"Scopes":1}}"#, &[]),
    ]);
}

#[test]
fn every_malformed_scope() {
    changes(&[
        (r#"{"scopes":"-"}"#, &["body.scopes"]),
        (r#"{"scopes":"email.send"}"#, &["body.scopes"]),
        (r#"{"scopes":{"name":"email.send"}}"#, &["body.scopes"]),
        (r#"{"scopes":[""]}"#, &["body.scopes[0]"]),
        (r#"{"scopes":["a",7]}"#, &["body.scopes[1]"]),
        (r#"{"scopes":["a",null]}"#, &["body.scopes[1].name"]),
        (r#"{"scopes":["a",{}]}"#, &["body.scopes[1].name"]),
        (r#"{"scopes":["a",[]]}"#, &["body.scopes[1].name"]),
        (r#"{"scopes":[{"name":""}]}"#, &["body.scopes[0].name"]),
        (r#"{"scopes":[{"name":7}]}"#, &["body.scopes[0].name"]),
        (r#"{"scopes":[{"constraints":{"max_per_day":0}}]}"#, &["body.scopes[0].name", "body.scopes[0].constraints.max_per_day"]),
        (r#"{"scopes":["a","b","a"]}"#, &["body.scopes"]),
        (r#"{"scopes":["a",{"name":"a","constraints":{"max_per_day":1}}]}"#, &["body.scopes"]),
        (r#"{"scopes":[{"name":"a","note":1,"constraints":null}]}"#, &[]),
    ]);
}

/// A scope with these constraints; `fields` are below `body.scopes[0].constraints`.
fn constrained(constraints: &str) -> Result<CreateBody, Vec<FieldError>> {
    let scopes = format!(r#"[{{"name":"email.send","constraints":{constraints}}}]"#);
    parse(&LEAST.replace(r#"["email.send"]"#, &scopes))
}

#[test]
fn no_limit_is_dropped_silently() {
    const HERE: &str = "body.scopes[0].constraints";
    for (constraints, below) in [
        ("7", ""),
        ("true", ""),
        ("\"max_per_day\"", ""),
        ("[{\"max_per_day\":1}]", ""),
        ("1.0", ""),
        (r#"{"max_per_day":0}"#, ".max_per_day"),
        (r#"{"max_per_day":-1}"#, ".max_per_day"),
        (r#"{"max_per_day":1.0}"#, ".max_per_day"),
        (r#"{"max_per_day":1e1}"#, ".max_per_day"),
        (r#"{"max_per_day":9007199254740992}"#, ".max_per_day"),
        (r#"{"max_per_day":18446744073709551617}"#, ".max_per_day"),
        (r#"{"max_per_day":"5"}"#, ".max_per_day"),
        (r#"{"max_per_day":true}"#, ".max_per_day"),
        (r#"{"max_per_day":[5]}"#, ".max_per_day"),
        (r#"{"max_per_day":{"value":5}}"#, ".max_per_day"),
        (r#"{"max_per_day":5,"max_per_day":5}"#, ".max_per_day"),
        (r#"{"max_per_day":5,"max_per_day":null}"#, ".max_per_day"),
        (r#"{"max_per_day":null,"max_per_day":null}"#, ".max_per_day"),
        (r#"{"max_per_day":5,"max\u005fper_day":6}"#, ".max_per_day"),
        (r#"{"resource_pattern":7}"#, ".resource_pattern"),
        (r#"{"resource_pattern":["a"]}"#, ".resource_pattern"),
        (r#"{"resource_pattern":"\ud800"}"#, ".resource_pattern"),
        (r#"{"allowed_initiators":"cron"}"#, ".allowed_initiators"),
        (r#"{"allowed_initiators":[]}"#, ".allowed_initiators"),
        (r#"{"allowed_initiators":{}}"#, ".allowed_initiators"),
        (r#"{"allowed_initiators":{"cron":true}}"#, ".allowed_initiators"),
        (r#"{"allowed_initiators":[7]}"#, ".allowed_initiators[0]"),
        (r#"{"allowed_initiators":["a",null]}"#, ".allowed_initiators[1]"),
        (r#"{"allowed_initiators":["a"],"allowed_initiators":["b"]}"#, ".allowed_initiators"),
        (r#"{"allowed_domains":"a"}"#, ".allowed_domains"),
        (r#"{"allowed_domains":[["a"]]}"#, ".allowed_domains[0]"),
        (r#"{"allowed_fields":7}"#, ".allowed_fields"),
        (r#"{"allowed_fields":["\udc00"]}"#, ".allowed_fields[0]"),
        (r#"{"max_per_hour":5}"#, ".max_per_hour"),
        (r#"{"Max_per_day":5}"#, ".Max_per_day"),
        (r#"{"max_per_day ":5}"#, ".max_per_day "),
        (r#"{"":5}"#, "."),
        (r#"{"unknown":[]}"#, ".unknown"),
        (r#"{"unknown":false}"#, ".unknown"),
        (r#"{"unknown":""}"#, ".unknown"),
        (r#"{"unknown":1.5}"#, ".unknown"),
        (r#"{"unknown":null,"unknown":null}"#, ".unknown"),
        (r#"{"\ud800":1}"#, ".\"\\ud800\""),
        (r#"{"confirm_when":[{}]}"#, ".confirm_when[0]"),
        (r#"{"escalate_when":{"field":"a","eq":1}}"#, ".escalate_when"),
        (r#"{"escalate_when":[],"escalate_when":[]}"#, ".escalate_when"),
    ] {
        assert_eq!(fields(constrained(constraints)), [format!("{HERE}{below}")], "{constraints}");
    }
    let twice = r#"[{"name":"email.send","constraints":{"max_per_day":5},"constraints":null}]"#;
    assert_eq!(fields(parse(&LEAST.replace(r#"["email.send"]"#, twice))), [HERE]);
    let twice = LEAST.replace(r#""scopes""#, r#""scopes":["a"],"scopes""#);
    assert_eq!(fields(parse(&twice)), ["body.scopes"]);
    let twice = LEAST.replace(r#""scopes""#, r#""requires_confirm_for":["email.send"],"requires_confirm_for":null,"scopes""#);
    assert_eq!(fields(parse(&twice)), ["body.requires_confirm_for"]);
}

#[test]
fn constraints_that_limit_nothing_are_none() {
    for constraints in [
        "null",
        "{}",
        r#"{"max_per_day":null,"resource_pattern":null,"allowed_initiators":null,"allowed_domains":null,"allowed_fields":null}"#,
        r#"{"confirm_when":null,"unknown":null,"unknown_too":{}}"#,
    ] {
        let body = constrained(constraints).unwrap_or_else(|e| panic!("{constraints}: {e:?}"));
        assert_eq!(terms(body).scopes[0].constraints, None, "{constraints}");
    }
    let empty = terms(constrained(r#"{"confirm_when":[],"escalate_when":[],"deny_when":[]}"#).unwrap());
    assert_eq!(empty.scopes[0].constraints.as_ref().map(|c| c.has_conditions()), Some(false), "signed as they were given");
    // Elsewhere these would mean absent; here they may be a limit that somebody meant.
    for constraints in [r#"{"max_per_day":[]}"#, r#"{"max_per_day":{}}"#, r#"{"resource_pattern":{}}"#] {
        assert!(constrained(constraints).is_err(), "{constraints}");
    }
    let one = Constraints { max_per_day: Some(1), ..Constraints::default() };
    assert_eq!(terms(constrained(r#"{"max_per_day":1}"#).unwrap()).scopes[0].constraints.as_deref(), Some(&one));
}

#[test]
fn what_cannot_be_signed_is_named() {
    for (value, below) in DEFECTS {
        let body = LEAST.replace("{\"user", &format!("{{\"metadata\":{{\"x\":{value}}},\"user"));
        assert_eq!(fields(parse(&body)), [format!("body.metadata.x{below}")], "{value}");
        let body = LEAST.replace("{\"user", &format!("{{\"ignored\":{value},\"user"));
        assert!(parse(&body).is_ok(), "nobody reads it: {value}");
    }
    for member in ["replaces", "budget_limit_micros", "metadata", "escalation_targets", "requires_confirm_for"] {
        for defect in ["1.0", "9007199254740992", "\"\\ud800\""] {
            let body = LEAST.replace("{\"user", &format!("{{\"{member}\":{defect},\"user"));
            assert_eq!(fields(parse(&body)), [format!("body.{member}")], "{body}");
        }
    }
    let body = LEAST.replace("{\"user", r#"{"escalation_targets":{"email.send":"a","email.send":"b"},"user"#);
    assert_eq!(fields(parse(&body)), ["body.escalation_targets.email.send"]);
}

#[test]
fn bounds_are_exact() {
    let member = |name: &str, value: String| with(LEAST, &format!(r#"{{"{name}":{value}}}"#));
    let of_length = |n: usize| format!("\"{}\"", "a".repeat(n));
    for (name, max) in [("user_id", 256), ("agent_id", 256), ("replaces", 256)] {
        assert!(parse(&member(name, of_length(max))).is_ok(), "{name}");
        assert_eq!(fields(parse(&member(name, of_length(max + 1)))), [format!("body.{name}")]);
    }
    let scopes = |n: usize| format!("[{}]", (0..n).map(|i| format!("\"s{i}\"")).collect::<Vec<_>>().join(","));
    assert_eq!(terms(parse(&member("scopes", scopes(100))).unwrap()).scopes.len(), 100);
    assert_eq!(fields(parse(&member("scopes", scopes(101)))), ["body.scopes"]);
    assert!(parse(&member("scopes", format!("[{}]", of_length(128)))).is_ok());
    assert_eq!(fields(parse(&member("scopes", format!("[{}]", of_length(129))))), ["body.scopes[0]"]);
    let target = |n: usize| member("escalation_targets", format!("{{\"email.send\":{}}}", of_length(n)));
    assert!(parse(&target(128)).is_ok());
    assert_eq!(fields(parse(&target(129))), ["body.escalation_targets.email.send"]);

    let here = |name: &str| format!("body.scopes[0].constraints.{name}");
    let pattern = |n: usize| format!(r#"{{"resource_pattern":{}}}"#, of_length(n));
    assert!(constrained(&pattern(256)).is_ok());
    assert_eq!(fields(constrained(&pattern(257))), [here("resource_pattern")]);
    for name in ["allowed_initiators", "allowed_domains", "allowed_fields"] {
        let list = |n: usize, bytes: usize| format!("{{\"{name}\":[{}]}}", vec![of_length(bytes); n].join(","));
        assert!(constrained(&list(128, 1)).is_ok());
        assert_eq!(fields(constrained(&list(129, 1))), [here(name)]);
        assert!(constrained(&list(1, 256)).is_ok());
        assert_eq!(fields(constrained(&list(1, 257))), [format!("{}[0]", here(name))]);
    }
    let deep = |levels: usize| member("metadata", format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels)));
    assert!(parse(&deep(32)).is_ok());
    assert_eq!(fields(parse(&deep(33))), ["body.metadata"]);
}

#[test]
fn metadata_is_measured_as_it_is_stored() {
    // Each newline is two bytes here and six in the canonical form: {"a":"..."}
    let newlines = |n: usize, more: usize| {
        LEAST.replace("{\"user", &format!("{{\"metadata\":{{\"a\":\"{}{}\"}},\"user", "\\n".repeat(n), "a".repeat(more)))
    };
    let most = (METADATA_BYTES_MAX - 8) / 6;
    let rest = (METADATA_BYTES_MAX - 8) % 6;
    assert_eq!(parse(&newlines(most, rest)).unwrap().metadata.as_str().len(), METADATA_BYTES_MAX);
    assert_eq!(fields(parse(&newlines(most, rest + 1))), ["body.metadata"]);
}

#[test]
fn every_revoke() {
    table(
        RevokeBody::parse,
        &[
            ("null", &[]),
            ("{}", &[]),
            ("[]", &[]),
            (r#"{"revoked_by":null,"superseded_by":null,"notes":null}"#, &[]),
            (r#"{"revoked_by":"user","notes":"","extra":1.5}"#, &[]),
            (r#"{"superseded_by":"auth_1"}"#, &[]),
            (r#"{"superseded_by":"auth_1","revoked_by":"superseded"}"#, &[]),
            (r#"{"superseded_by":"auth_1","revoked_by":"user"}"#, &[]),
            (r#"{"superseded_by":[],"revoked_by":"user"}"#, &[]),
            (r#"{"revoked_by":"superseded"}"#, &[]),
            (r#"{"revoked_by":""}"#, &["body.revoked_by"]),
            (r#"{"revoked_by":7}"#, &["body.revoked_by"]),
            (r#"{"revoked_by":"a","revoked_by":"a"}"#, &["body.revoked_by"]),
            (r#"{"superseded_by":7}"#, &["body.superseded_by"]),
            (r#"{"superseded_by":""}"#, &["body.superseded_by"]),
            (r#"{"notes":7}"#, &["body.notes"]),
            (r#"{"notes":"\ud800"}"#, &["body.notes"]),
            (r#"{"notes":["a"]}"#, &["body.notes"]),
            ("7", &["body"]),
            ("\"user\"", &["body"]),
            ("[\"user\"]", &["body"]),
        ],
    );
    for (name, max) in [("revoked_by", 128), ("superseded_by", 256), ("notes", 512)] {
        let parse = |n: usize| RevokeBody::parse(&json(&format!(r#"{{"{name}":"{}"}}"#, "a".repeat(n))));
        assert!(parse(max).is_ok(), "{name}");
        assert_eq!(fields(parse(max + 1)), [format!("body.{name}")]);
    }
    assert_eq!(RevokeBody::parse(&Value::Null), Ok(RevokeBody::default()));
}
