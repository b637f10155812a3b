//! Conditions: what is one, and what is refused under which path.

use allowlog_proto::api::allowly::{CreateBody, Source, shown_scope, signed_scope};
use allowlog_proto::api::envelope::FieldError;

use super::schemas::agreed;
use super::{fields, json};

fn constrained(constraints: &str) -> Result<CreateBody, Vec<FieldError>> {
    let scope = format!(r#"{{"name":"pay","constraints":{constraints}}}"#);
    let body = format!(r#"{{"user_id":"u","agent_id":"a","scopes":[{scope}],"expires_at":"2027-01-01T00:00:00Z"}}"#);
    agreed(&body, CreateBody::parse)
}

/// The scope as it is shown and signed, which must agree where it has constraints.
fn written(constraints: &str) -> String {
    let Source::Inline(terms) = constrained(constraints).unwrap_or_else(|e| panic!("{constraints}: {e:?}")).source else {
        panic!("an inline create")
    };
    let (shown, signed) = (shown_scope(&terms.scopes[0]), signed_scope(&terms.scopes[0]));
    assert_eq!(shown, signed);
    let mut out = String::new();
    shown.write_canonical("", &mut out).unwrap();
    out
}

#[test]
fn what_is_given_is_written_again() {
    for constraints in [
        r#"{"confirm_when":[{"eq":"wire","field":"kind"}]}"#,
        r#"{"confirm_when":[{"eq":0,"field":"n"},{"eq":false,"field":"n"},{"field":"n","neq":""}]}"#,
        r#"{"escalate_when":[{"field":"n","lt":-9007199254740991},{"field":"n","lte":0},{"field":"n","gt":1},{"field":"n","gte":9007199254740991}]}"#,
        r#"{"deny_when":[{"field":"n","in":[1,"a",true]},{"exists":false,"field":"n"},{"exists":true,"field":"a.b"}]}"#,
        r#"{"confirm_when":[],"deny_when":[{"eq":1,"field":"field"}],"escalate_when":[],"max_per_day":3}"#,
    ] {
        // As canonical JSON, in which the members of a condition stand in their order.
        let mut canonical = String::new();
        json(constraints).write_canonical("", &mut canonical).unwrap();
        assert_eq!(written(constraints), format!(r#"{{"constraints":{canonical},"name":"pay"}}"#));
    }
}

#[test]
fn every_malformed_condition() {
    const LISTS: [&str; 3] = ["confirm_when", "escalate_when", "deny_when"];
    for condition in [
        "null",
        "7",
        "\"amount\"",
        "[]",
        "{}",
        r#"{"field":"a"}"#,
        r#"{"eq":1}"#,
        r#"{"field":"a","eq":1,"neq":2}"#,
        r#"{"field":"a","eq":1,"note":null}"#,
        r#"{"field":"a","equals":1}"#,
        r#"{"field":"a","EQ":1}"#,
        r#"{"field":"a","":1}"#,
        r#"{"field":"","eq":1}"#,
        r#"{"field":7,"eq":1}"#,
        r#"{"field":null,"eq":1}"#,
        r#"{"field":["a"],"eq":1}"#,
        r#"{"field":"a","field":"a","eq":1}"#,
        r#"{"field":"a","eq":1,"eq":1}"#,
        r#"{"field":"a","eq":null}"#,
        r#"{"field":"a","eq":[1]}"#,
        r#"{"field":"a","eq":{}}"#,
        r#"{"field":"a","eq":1.0}"#,
        r#"{"field":"a","eq":9007199254740992}"#,
        r#"{"field":"a","eq":"\ud800"}"#,
        r#"{"field":"a","neq":null}"#,
        r#"{"field":"a","lt":"1"}"#,
        r#"{"field":"a","lte":true}"#,
        r#"{"field":"a","gt":1.5}"#,
        r#"{"field":"a","gte":null}"#,
        r#"{"field":"a","in":[]}"#,
        r#"{"field":"a","in":1}"#,
        r#"{"field":"a","in":{"0":1}}"#,
        r#"{"field":"a","in":[null]}"#,
        r#"{"field":"a","in":[[1]]}"#,
        r#"{"field":"a","in":[1,1.0]}"#,
        r#"{"field":"a","exists":"true"}"#,
        r#"{"field":"a","exists":1}"#,
        r#"{"field":"a","exists":null}"#,
    ] {
        for list in LISTS {
            let body = constrained(&format!(r#"{{"{list}":[{{"field":"b","eq":1}},{condition}]}}"#));
            assert_eq!(fields(body), [format!("body.scopes[0].constraints.{list}[1]")], "{condition}");
        }
    }
    for list in LISTS {
        for value in ["7", "true", "{}", r#"{"field":"a","eq":1}"#, "\"a\"", "1.0"] {
            let body = constrained(&format!(r#"{{"{list}":{value}}}"#));
            assert_eq!(fields(body), [format!("body.scopes[0].constraints.{list}")], "{value}");
        }
        assert!(constrained(&format!(r#"{{"{list}":null}}"#)).is_ok());
    }
}

#[test]
fn bounds_are_exact() {
    let conditions = |n: usize| vec![r#"{"field":"a","eq":1}"#; n].join(",");
    let lists = |confirm: usize, escalate: usize, deny: usize| {
        let (confirm, escalate, deny) = (conditions(confirm), conditions(escalate), conditions(deny));
        constrained(&format!(r#"{{"confirm_when":[{confirm}],"escalate_when":[{escalate}],"deny_when":[{deny}]}}"#))
    };
    assert!(lists(10, 0, 0).is_ok() && lists(3, 3, 4).is_ok() && lists(0, 0, 10).is_ok());
    assert_eq!(fields(lists(4, 3, 4)), ["body.scopes[0].constraints"], "ten over all three lists");
    assert_eq!(fields(lists(0, 11, 0)), ["body.scopes[0].constraints.escalate_when"]);
    let one = |member: &str| fields(constrained(&format!(r#"{{"deny_when":[{{{member}}}]}}"#)));
    let here = vec!["body.scopes[0].constraints.deny_when[0]".to_owned()];
    let field = |n: usize| format!(r#""field":"{}","eq":1"#, "a".repeat(n));
    assert_eq!((one(&field(128)), one(&field(129))), (vec![], here.clone()));
    let text = |n: usize| format!(r#""field":"a","eq":"{}""#, "a".repeat(n));
    assert_eq!((one(&text(256)), one(&text(257))), (vec![], here.clone()));
    let items = |n: usize| format!(r#""field":"a","in":[{}]"#, vec!["1"; n].join(","));
    assert_eq!((one(&items(128)), one(&items(129))), (vec![], here));
}

#[test]
fn messages_name_the_operator() {
    let Err(errors) = constrained(r#"{"deny_when":[{"field":"a","like":"x"}]}"#) else { panic!("`like` is no operator") };
    assert!(errors[0].message.contains("`like`") && errors[0].message.contains("exists"), "{errors:?}");
}
