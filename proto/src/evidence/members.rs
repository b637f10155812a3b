//! Lines of a bundle as JSON objects that have the members they must have and no others. A defective value is of no type, so it is
//! refused like one of another type.

use crate::base64;
use crate::chain::Hash;
use crate::json::{Object, Value};
use crate::limits::EVIDENCE_LINE_BYTES_MAX;

/// The value of a line that ends with its line feed.
pub(super) fn line(bytes: &[u8]) -> Option<Value> {
    let text = bytes.strip_suffix(b"\n").filter(|_| bytes.len() <= EVIDENCE_LINE_BYTES_MAX)?;
    // A second line feed within would be white space to a reader of JSON.
    if text.contains(&b'\n') { None } else { Value::parse(text).ok() }
}

/// Nothing if there is a member of another name.
pub(super) fn only(object: &Object, names: &[&str]) -> Option<()> {
    object.iter().all(|(name, _)| names.contains(&name)).then_some(())
}

/// The string of this name.
pub(super) fn text<'o>(object: &'o Object, name: &str) -> Option<&'o str> {
    object.get(name)?.as_text()
}

/// The number of this name, if it is not negative.
pub(super) fn number(object: &Object, name: &str) -> Option<u64> {
    if let Value::Int(n) = object.get(name)? { u64::try_from(*n).ok() } else { None }
}

/// The hashes of this name, in base64.
pub(super) fn hashes(object: &Object, name: &str) -> Option<Vec<Hash>> {
    let Value::Array(items) = object.get(name)? else { return None };
    items.iter().map(|item| base64::decode_hash(item.as_text()?)).collect()
}
