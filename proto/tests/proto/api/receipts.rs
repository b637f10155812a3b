//! `GET /v1/receipts`: its filters and its order; `page` has the rest.

use allowlog_proto::api::allowly::{Order, ReceiptsQuery};
use allowlog_proto::api::query::Parameters;
use allowlog_proto::time::Timestamp;

use super::fields;

/// Pairs written as `name=value&name=value`, without any encoding.
fn parse(query: &str) -> Result<ReceiptsQuery, Vec<allowlog_proto::api::envelope::FieldError>> {
    let pair = |pair: &str| pair.split_once('=').map_or((pair.to_owned(), String::new()), |(n, v)| (n.to_owned(), v.to_owned()));
    let pairs: Vec<_> = query.split('&').map(pair).collect();
    let mut parameters = Parameters::of(&pairs);
    let query = ReceiptsQuery::read(&mut parameters);
    parameters.finish(query)
}

#[test]
fn every_parameter() {
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("user_id=a b+c%20", &[]),
        ("authorization_id=of any alphabet, of any length", &[]),
        ("user_id=a&user_id=a", &["query.user_id"]),
        ("user_id=&user_id=", &["query.user_id"]),
        ("order=asc", &[]),
        ("order=desc", &[]),
        ("order=Asc", &["query.order"]),
        ("from=2026-03-01T10:00:00Z&to=2026-03-01T10:00:00+01:00", &[]),
        ("from=2026-03-01T10:00:00", &["query.from"]),
        ("from=1772359200&to=now", &["query.from", "query.to"]),
        ("to=2026-03-01T10:00:00 01:00", &["query.to"]),
        ("event=whatever&decision=whatever", &[]),
        ("user_id=&scope=&event=&decision=&from=&to=&order=", &[]),
        ("wait=true&wait=false&=&", &[]),
    ];
    for (query, expected) in cases {
        assert_eq!(fields(parse(query)), *expected, "{query}");
    }
}

#[test]
fn what_is_absent_has_a_default() {
    let query = parse("").unwrap();
    assert_eq!(query.order(), Order::Descending);
    assert_eq!(query, ReceiptsQuery::default());
    assert_eq!(parse("authorization_id=x").unwrap().order(), Order::Ascending);
    assert_eq!(parse("authorization_id=x&order=desc").unwrap().order(), Order::Descending);
    assert_eq!(parse("authorization_id=&order=asc").unwrap().order(), Order::Ascending);
    assert_eq!(parse("from=1970-01-01T00:00:00.001Z").unwrap().from, Timestamp::from_ms(1));
}
