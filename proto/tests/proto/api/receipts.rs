//! `GET /v1/receipts`.

use allowlog_proto::api::allowly::{Cursor, Order, ReceiptsBody, ReceiptsQuery};
use allowlog_proto::time::Timestamp;

use super::fields;

/// Pairs written as `name=value&name=value`, without any encoding.
fn parse(query: &str) -> Result<ReceiptsQuery, Vec<allowlog_proto::api::envelope::FieldError>> {
    ReceiptsQuery::parse(query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))))
}

#[test]
fn every_parameter() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("user_id=a b+c%20", &[]),
        ("authorization_id=of any alphabet, of any length", &[]),
        ("limit=1", &[]),
        ("limit=100", &[]),
        ("limit=007", &[]),
        ("limit=0", &["query.limit"]),
        ("limit=101", &["query.limit"]),
        ("limit=+1", &["query.limit"]),
        ("limit= 1", &["query.limit"]),
        ("limit=١", &["query.limit"]),
        ("limit=1&limit=1", &["query.limit"]),
        ("limit=&limit=", &["query.limit"]),
        ("Limit=0", &[]),
        ("order=asc", &[]),
        ("order=desc", &[]),
        ("order=Asc", &["query.order"]),
        ("cursor=AAAAAAAAAAA", &[]),
        ("cursor=__________8", &[]),
        ("cursor=AAAAAAAAAAB", &["query.cursor"]),
        ("cursor=AAAAAAAAAAA=", &["query.cursor"]),
        ("cursor=AAAAAAAAAA", &["query.cursor"]),
        ("cursor=AAAAAAAAAAAA", &["query.cursor"]),
        ("cursor=0", &["query.cursor"]),
        ("from=2026-03-01T10:00:00Z&to=2026-03-01T10:00:00+01:00", &[]),
        ("from=2026-03-01T10:00:00", &["query.from"]),
        ("from=1772359200&to=now", &["query.from", "query.to"]),
        ("to=2026-03-01T10:00:00 01:00", &["query.to"]),
        ("event=authorization.create&decision=authorization_granted", &[]),
        ("event=check&decision=ok", &["query.event", "query.decision"]),
        ("user_id=&scope=&event=&decision=&from=&to=&cursor=&limit=&order=", &[]),
        ("wait=true&wait=false&=&", &[]),
    ];
    for (query, expected) in cases {
        assert_eq!(fields(parse(query)), *expected, "{query}");
    }
    for event in ReceiptsQuery::EVENTS {
        assert_eq!(parse(&format!("event={event}")).unwrap().event, Some(*event));
    }
    for decision in ReceiptsQuery::DECISIONS {
        assert_eq!(parse(&format!("decision={decision}")).unwrap().decision, Some(*decision));
    }
}

#[test]
fn what_is_absent_has_a_default() {
    let query = parse("").unwrap();
    assert_eq!((query.limit(), query.order()), (50, Order::Descending));
    assert_eq!(query, ReceiptsQuery::default());
    assert_eq!(parse("authorization_id=x").unwrap().order(), Order::Ascending);
    assert_eq!(parse("authorization_id=x&order=desc").unwrap().order(), Order::Descending);
    assert_eq!(parse("authorization_id=&order=asc&limit=3").unwrap().limit(), 3);
    assert_eq!(parse("from=1970-01-01T00:00:00.001Z").unwrap().from, Timestamp::from_ms(1));
}

#[test]
fn a_cursor_comes_back_as_it_was_given() {
    for sequence in [0, 1, 63, 64, u64::MAX - 1, u64::MAX] {
        let body = ReceiptsBody { items: Vec::new(), has_more: true, next_cursor: Some(Cursor(sequence)) };
        let body = serde_json::to_value(&body).unwrap();
        let cursor = body["next_cursor"].as_str().unwrap();
        assert!(cursor.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{cursor} needs no encoding");
        assert_eq!(parse(&format!("cursor={cursor}")).unwrap().cursor, Some(Cursor(sequence)));
    }
    let last = serde_json::to_string(&ReceiptsBody { items: Vec::new(), has_more: false, next_cursor: None }).unwrap();
    assert_eq!(last, r#"{"items":[],"has_more":false,"next_cursor":null}"#);
}
