//! JSON as this project signs it: a strict reader that can name what cannot be signed, and the canonical writer.
//!
//! A general reader keeps the last of two equal names, turns big integers into floats and stops at a lone
//! surrogate without saying where it stood. Each of these would let a signature cover something else than what the
//! caller sent, so the reader here keeps such a place in the tree as [`Value::Unsafe`]: whoever wants the value is
//! refused, with its path, and whoever ignores the member is not bothered.

use std::cmp::Ordering;

use compact_str::CompactString;
use serde::{Serialize, Serializer};

mod read;
mod write;

pub use read::Malformed;
pub use write::{CanonicalObject, escape_into, members as write_object};

/// A JSON value; what cannot be signed is kept as a [`Defect`] in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A whole number within plus or minus 2^53 - 1.
    Int(i64),
    /// A string of Unicode scalar values.
    Text(CompactString),
    /// An array.
    Array(Vec<Value>),
    /// An object.
    Object(Object),
    /// A value that stands here but cannot be signed.
    Unsafe(Defect),
}

/// Members of an object, sorted by the UTF-16 code units of their names, each name once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Object(Vec<(CompactString, Value)>); // INVARIANT: sorted by `utf16_order`, names unique

/// Why a value cannot be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Defect {
    /// A number with a fraction or an exponent, or minus zero; `1.0` is one.
    #[error("is a float; only integers can be signed")]
    Float,
    /// An integer beyond plus or minus 2^53 - 1.
    #[error("is an integer beyond plus or minus 9007199254740991")]
    IntegerRange,
    /// A string, or a member's name, with a surrogate that has no partner.
    #[error("contains a lone surrogate")]
    LoneSurrogate,
    /// A name that stands more than once in its object.
    #[error("is given more than once")]
    DuplicateName,
}

/// The first place of a tree that cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` {defect}")]
pub struct NotSignable {
    /// The place, as in `context.items[0].price`.
    pub path: String,
    /// What is wrong there.
    pub defect: Defect,
}

impl Value {
    /// Reads one JSON text: UTF-8, nothing after it, nested at most [`crate::limits::JSON_DEPTH_MAX`] deep.
    ///
    /// # Errors
    /// Says at which byte the text stops being JSON.
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        read::parse(text)
    }

    /// Appends the canonical bytes: no white space, names by UTF-16 code unit, `\u00xx` for control characters.
    ///
    /// # Errors
    /// Names the first place below `path` that cannot be signed; then `out` is left in pieces.
    pub fn write_canonical(&self, path: &str, out: &mut String) -> Result<(), NotSignable> {
        write::value(self, path, out)
    }

    /// The object, if this is one.
    pub const fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The string, if this is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text.as_str()) } else { None }
    }

    /// Levels of nesting: 0 for a scalar, 1 for a flat object or array.
    pub fn depth(&self) -> usize {
        match self {
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Text(_) | Self::Unsafe(_) => 0,
            Self::Array(items) => items.iter().map(Self::depth).max().unwrap_or(0).saturating_add(1),
            Self::Object(object) => object.iter().map(|(_, v)| v.depth()).max().unwrap_or(0).saturating_add(1),
        }
    }

    /// What a reader of an error message calls this.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) => "an integer",
            Self::Text(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
            Self::Unsafe(Defect::Float) => "a float",
            Self::Unsafe(Defect::IntegerRange) => "an integer out of range",
            Self::Unsafe(Defect::LoneSurrogate) => "a string with a lone surrogate",
            Self::Unsafe(Defect::DuplicateName) => "given more than once",
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(n) => serializer.serialize_i64(*n),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(object) => serializer.collect_map(object.iter()),
            Self::Unsafe(defect) => Err(serde::ser::Error::custom(defect)),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl Object {
    /// An empty object.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// An object of members whose names are all different.
    pub fn of<const N: usize>(members: [(&str, Value); N]) -> Self {
        Self::from_members(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }

    /// Sorts members as they were read; of a name given twice a [`Defect::DuplicateName`] remains.
    pub(crate) fn from_members(mut members: Vec<(CompactString, Value)>) -> Self {
        members.sort_by(|(a, _), (b, _)| utf16_order(a, b));
        members.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 = Value::Unsafe(Defect::DuplicateName);
            }
            same
        });
        Self(members)
    }

    /// The member of this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let at = self.0.binary_search_by(|(n, _)| utf16_order(n, name)).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Puts a member in its place, over one of the same name.
    pub fn insert(&mut self, name: &str, value: Value) {
        match self.0.binary_search_by(|(n, _)| utf16_order(n, name)) {
            Ok(at) => {
                if let Some(member) = self.0.get_mut(at) {
                    member.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (name.into(), value)),
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Value> {
        let at = self.0.binary_search_by(|(n, _)| utf16_order(n, name)).ok()?;
        Some(self.0.remove(at).1)
    }

    /// The members, in canonical order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Whether there are no members.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Compares by UTF-16 code unit: as by code point, but U+E000..U+FFFF come after the supplementary planes.
fn utf16_order(a: &str, b: &str) -> Ordering {
    match a.bytes().zip(b.bytes()).find(|(a, b)| a != b) {
        // Those begin with EE or EF, the supplementary planes with F0 and above; every other byte is below.
        Some((0xEE.., 0xEE..)) => a.encode_utf16().cmp(b.encode_utf16()),
        Some((a, b)) => a.cmp(&b),
        None => a.len().cmp(&b.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ordered_as_utf_16_is() {
        let pieces = ["", "a", "\u{7f}", "\u{80}", "\u{7ff}", "\u{800}", "\u{d7ff}", "\u{e000}", "\u{ff61}", "\u{10000}", "\u{10ffff}"];
        let names: Vec<String> = pieces.iter().flat_map(|first| pieces.map(|second| format!("{first}{second}"))).collect();
        for a in &names {
            for b in &names {
                assert_eq!(utf16_order(a, b), a.encode_utf16().cmp(b.encode_utf16()), "{a:?} and {b:?}");
            }
        }
    }
}
