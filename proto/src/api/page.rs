//! Pages of lists: `limit` and `cursor` in the query, `items`, `has_more` and `next_cursor` in the answer.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;

use crate::api::envelope::FieldError;
use crate::limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageQuery {
    /// Items at most, 1 to 100.
    pub limit: usize,
    /// What the last item of the page before is called; this page begins behind it.
    pub after: Option<String>,
}

/// One page of a list.
#[derive(Debug, Serialize)]
pub struct PageBody<T> {
    /// In the order of the list.
    pub items: Vec<T>,
    /// Whether there is another page.
    pub has_more: bool,
    /// What to ask that page with; null at the end.
    pub next_cursor: Option<String>,
}

impl PageQuery {
    /// Reads `limit` and `cursor` among the pairs of a query. An empty value means absent, as if the name were not there.
    ///
    /// # Errors
    /// Every parameter at fault.
    pub fn parse(pairs: &[(String, String)]) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let limit = parameter(pairs, "limit", &mut errors).map_or(Ok(PAGE_ITEMS_DEFAULT), str::parse);
        let limit = limit.ok().filter(|n| (1..=PAGE_ITEMS_MAX).contains(n));
        if limit.is_none() {
            errors.push(FieldError::new("query.limit", format!("must be an integer between 1 and {PAGE_ITEMS_MAX}")));
        }
        let after = parameter(pairs, "cursor", &mut errors).map(|cursor| {
            let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok();
            bytes.and_then(|bytes| String::from_utf8(bytes).ok())
        });
        if after == Some(None) {
            errors.push(FieldError::new("query.cursor", "must be a `next_cursor` of this list"));
        }
        match limit {
            Some(limit) if errors.is_empty() => Ok(Self { limit, after: after.flatten() }),
            _ => Err(errors),
        }
    }
}

/// The one value of a parameter of a query, unless it is absent or empty; one that is given twice is noted as an error.
pub fn parameter<'p>(pairs: &'p [(String, String)], name: &str, errors: &mut Vec<FieldError>) -> Option<&'p str> {
    let mut values = pairs.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let value = values.next();
    if values.next().is_some() {
        errors.push(FieldError::new(format!("query.{name}"), "is given more than once"));
    }
    value.filter(|value| !value.is_empty())
}

impl<T> PageBody<T> {
    /// A page of what is left of a list, of which `items` has at least one more than fits; `last` names an item for the
    /// cursor.
    pub fn new(mut items: Vec<T>, limit: usize, last: impl FnOnce(&T) -> String) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(last);
        Self::up_to(items, next.as_deref())
    }

    /// A page behind which there is more if `next` names what it ends with.
    pub fn up_to(items: Vec<T>, next: Option<&str>) -> Self {
        let next_cursor = next.map(|name| BASE64URL_NOPAD.encode(name.as_bytes()));
        Self { items, has_more: next_cursor.is_some(), next_cursor }
    }
}
