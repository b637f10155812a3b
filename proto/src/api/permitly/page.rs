//! What surrounds every answer, and how lists are cut: by a cursor, or by the number of a page.

use data_encoding::BASE64URL_NOPAD;
use serde::Serialize;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::api::query::Parameters;
use crate::limits::PAGE_ITEMS_MAX;
use crate::schema::{Named, closed, collect, named};

/// Items of a page when the caller names no number.
const ITEMS_DEFAULT: usize = 20;

/// `{"data": ...}`
#[derive(Debug, Serialize)]
pub struct Data<T> {
    /// The answer.
    pub data: T,
}

/// `{"data": [...], "meta": ...}`
#[derive(Debug, Serialize)]
pub struct Listed<T> {
    /// Newest first.
    pub data: Vec<T>,
    /// Which part of the list it is.
    pub meta: Meta,
}

/// Which part of a list an answer is. Every member is there always: clients fail on a missing one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Meta {
    /// Items of the whole list.
    pub total: u64,
    /// From 1; null where a cursor was given.
    #[schema(required)]
    pub current_page: Option<u64>,
    /// Items of a page at most.
    pub per_page: u64,
    /// The number of the last page, at least 1.
    pub last_page: u64,
    /// What to ask for the page behind this one with; null at the end.
    #[schema(required)]
    pub cursor: Option<String>,
    /// Whether there is one.
    pub has_more: bool,
}

/// Which part of a list is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListQuery {
    /// Items at most, 1 to 100.
    pub limit: usize,
    /// What the last item of the page before is called; wins over `page`.
    pub after: Option<String>,
    /// From 1.
    pub page: u64,
}

impl ListQuery {
    /// Reads `limit` (or `per_page`), `cursor` and `page`. A number of items out of range is taken for the nearest that is not.
    pub fn read(parameters: &mut Parameters<'_>) -> Self {
        let limit = parameters.read("limit", items);
        let per_page = parameters.read("per_page", items);
        let after = parameters.read("cursor", |cursor| {
            let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok();
            bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| "is no cursor that a list has given".to_owned())
        });
        let page = parameters.read("page", |text| {
            let number = text.parse().ok().filter(|page| (1..=u64::from(u32::MAX)).contains(page));
            number
                .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| format!("must be an integer between 1 and {}", u32::MAX))
        });
        Self { limit: limit.or(per_page).unwrap_or(ITEMS_DEFAULT), after, page: page.unwrap_or(1) }
    }

    /// Items before the page that is asked for by its number.
    pub fn skipped(&self) -> u64 {
        let limit = u64::try_from(self.limit).unwrap_or(u64::MAX);
        if self.after.is_some() { 0 } else { self.page.saturating_sub(1).saturating_mul(limit) }
    }

    /// What an answer says of this part of a list of `total` items; `next` names its last item if there is more behind it.
    pub fn meta(&self, total: u64, next: Option<&str>) -> Meta {
        let per_page = u64::try_from(self.limit).unwrap_or(u64::MAX);
        let cursor = next.map(|name| BASE64URL_NOPAD.encode(name.as_bytes()));
        Meta {
            total,
            current_page: self.after.is_none().then_some(self.page),
            per_page,
            last_page: total.div_ceil(per_page.max(1)).max(1),
            has_more: cursor.is_some(),
            cursor,
        }
    }
}

fn items(text: &str) -> Result<usize, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("must be an integer".to_owned());
    }
    if text.starts_with('-') {
        return Ok(1);
    }
    Ok(digits.parse().unwrap_or(PAGE_ITEMS_MAX).clamp(1, PAGE_ITEMS_MAX))
}

impl<T: ToSchema> PartialSchema for Data<T> {
    fn schema() -> RefOr<Schema> {
        closed(ObjectBuilder::new().schema_type(Type::Object).property("data", named::<T>()).required("data")).into()
    }
}

impl<T: ToSchema> ToSchema for Data<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("DataOf{}", T::name()).into()
    }

    fn schemas(schemas: &mut Named) {
        collect::<T>(schemas);
    }
}

impl<T: ToSchema> PartialSchema for Listed<T> {
    fn schema() -> RefOr<Schema> {
        let items = ArrayBuilder::new().items(named::<T>()).max_items(Some(PAGE_ITEMS_MAX));
        let list = ObjectBuilder::new().schema_type(Type::Object).property("data", items).required("data");
        closed(list.property("meta", named::<Meta>()).required("meta")).into()
    }
}

impl<T: ToSchema> ToSchema for Listed<T> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("ListOf{}", T::name()).into()
    }

    fn schemas(schemas: &mut Named) {
        collect::<T>(schemas);
        collect::<Meta>(schemas);
    }
}
