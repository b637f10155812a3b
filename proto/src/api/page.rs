//! Pages of lists: `limit` and `cursor` in the query, `items`, `has_more` and `next_cursor` in the answer.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::api::query::{Parameters, limit};
use crate::limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use crate::schema::{Named, any_of, boolean, closed, collect, named, null, patterned};

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
    /// Reads `limit` and `cursor` among the parameters of a query.
    pub fn read(parameters: &mut Parameters<'_>) -> Self {
        let limit = parameters.read("limit", limit).unwrap_or(PAGE_ITEMS_DEFAULT);
        let after = parameters.read("cursor", |cursor| {
            let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok();
            bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| "is no cursor that a list has given".to_owned())
        });
        Self { limit, after }
    }
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

impl<T: ToSchema> PartialSchema for PageBody<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(named::<T>()).max_items(Some(PAGE_ITEMS_MAX));
        let cursor = patterned("Opaque.", "^[A-Za-z0-9_-]+$", "YXV0aF8wMUtKTUpONTAwMDAwMDAwMDAwMDAwMDAwMQ");
        let page = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("items", items.description(Some("In the order of the list.")))
            .property("has_more", boolean().description(Some("Whether there is another page.")))
            .property(
                "next_cursor",
                any_of([cursor.into(), null().into()]).description(Some("What to ask that page with; null at the end.")),
            );
        let page = ["items", "has_more", "next_cursor"].into_iter().fold(page, ObjectBuilder::required);
        closed(page).description(Some("One page of a list.")).into()
    }
}

impl<T: ToSchema> ToSchema for PageBody<T> {
    // The name of the type alone would be the same for every list.
    fn name() -> std::borrow::Cow<'static, str> {
        format!("PageOf{}", T::name()).into()
    }

    fn schemas(schemas: &mut Named) {
        collect::<T>(schemas);
    }
}
