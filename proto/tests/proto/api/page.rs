//! Pages of lists.

use allowlog_proto::api::page::{PageBody, PageQuery};
use allowlog_proto::api::query::Parameters;

use super::fields;

fn parse(pairs: &[(&str, &str)]) -> Result<PageQuery, Vec<allowlog_proto::api::envelope::FieldError>> {
    let pairs: Vec<_> = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let mut parameters = Parameters::of(&pairs);
    let page = PageQuery::read(&mut parameters);
    parameters.finish(page)
}

#[test]
fn every_query() {
    assert_eq!(parse(&[]), Ok(PageQuery { limit: 50, after: None }));
    assert_eq!(parse(&[("limit", ""), ("cursor", ""), ("other", "x")]), Ok(PageQuery { limit: 50, after: None }));
    for limit in [1, 50, 100] {
        assert_eq!(parse(&[("limit", &limit.to_string())]), Ok(PageQuery { limit, after: None }));
    }
    for limit in ["0", "101", "-1", "1.0", "ten", " 5", "99999999999999999999"] {
        assert_eq!(fields(parse(&[("limit", limit)])), ["query.limit"], "{limit}");
    }
    for cursor in ["=", "a", "YQ==", "_w", "!"] {
        assert_eq!(fields(parse(&[("cursor", cursor)])), ["query.cursor"], "{cursor}");
    }
    assert_eq!(fields(parse(&[("limit", "1"), ("limit", "1")])), ["query.limit"]);
    assert_eq!(fields(parse(&[("limit", "0"), ("cursor", "!")])), ["query.limit", "query.cursor"]);
}

#[test]
fn a_page_names_its_last_item() {
    let page = PageBody::new(vec![1, 2, 3], 2, ToString::to_string);
    assert_eq!((page.items.as_slice(), page.has_more), ([1, 2].as_slice(), true));
    let next = parse(&[("cursor", &page.next_cursor.unwrap())]).unwrap();
    assert_eq!(next.after.as_deref(), Some("2"));
    let last = PageBody::new(vec![3], 2, ToString::to_string);
    assert_eq!((last.has_more, last.next_cursor), (false, None));
}
