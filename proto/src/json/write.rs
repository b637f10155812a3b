//! The canonical writer: the bytes that are signed.

use std::cmp::Ordering;
use std::fmt::Write as _;

use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{NotSignable, Object, Value, utf16_order};

/// Most objects are shorter.
const CANONICAL_BYTES: usize = 512;

/// The canonical text of an object: what a caller's `context` or `metadata` is stored as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalObject(CompactString); // INVARIANT: written by `CanonicalObject::new`, or read from a record whose hash was checked

impl CanonicalObject {
    /// Writes the object.
    ///
    /// # Errors
    /// Names the first place below `path` that cannot be signed.
    pub fn new(object: &Object, path: &str) -> Result<Self, NotSignable> {
        let mut out = String::with_capacity(CANONICAL_BYTES);
        members(object, path, &mut out)?;
        Ok(Self(CompactString::new(&out)))
    }

    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Length in bytes as compact JSON of the usual kind, which writes `\n` where the canonical form writes `\u000a`.
    pub fn compact_len(&self) -> usize {
        let mut length = self.0.len();
        let mut rest = &*self.0;
        while let Some((_, escape)) = rest.split_once('\\') {
            let short = ["u0008", "u0009", "u000a", "u000c", "u000d"].iter().any(|code| escape.starts_with(code));
            length = length.saturating_sub(if short { 4 } else { 0 });
            // Past the escaped character, which may be a backslash itself.
            rest = escape.get(1..).unwrap_or_default();
        }
        length
    }

    /// Whether the text is the canonical one of an object: of one that was read from bytes nobody vouches for, it may not be.
    pub fn is_canonical(&self) -> bool {
        let mut again = String::new();
        match Value::parse(self.0.as_bytes()) {
            Ok(Value::Object(object)) => members(&object, "", &mut again).is_ok() && *again == *self.0,
            Ok(_) | Err(_) => false,
        }
    }

    /// The object again.
    pub fn to_object(&self) -> Object {
        match Value::parse(self.0.as_bytes()) {
            Ok(Value::Object(object)) => object,
            Ok(_) | Err(_) => Object::new(),
        }
    }
}

impl CanonicalObject {
    /// Appends the canonical bytes of this object with the members of `over` put into it, over those of the same name: as of
    /// [`CanonicalObject::to_object`] and [`Object::insert`], without making the tree again.
    ///
    /// # Errors
    /// Names the first place of `over` below `path` that cannot be signed; then `out` is left in pieces.
    pub fn write_with(&self, over: &Object, path: &str, out: &mut String) -> Result<(), NotSignable> {
        if over.is_empty() {
            out.push_str(&self.0);
            return Ok(());
        }
        let mut writer = Writer { out, path, is_first: true };
        let mut added = over.iter().peekable();
        for (name, said) in Spellings(self.0.strip_prefix('{').unwrap_or_default()) {
            while let Some((before, value)) = added.next_if(|(added, _)| order(added, name) == Ordering::Less) {
                writer.member(before, value)?;
            }
            match added.next_if(|(added, _)| order(added, name) == Ordering::Equal) {
                Some((name, value)) => writer.member(name, value)?,
                None => writer.spelt(name, said),
            }
        }
        for (name, value) in added {
            writer.member(name, value)?;
        }
        writer.out.push('}');
        Ok(())
    }
}

/// Members of an object, one behind the other.
struct Writer<'o> {
    out: &'o mut String,
    path: &'o str,
    is_first: bool,
}

impl Writer<'_> {
    fn begin(&mut self) {
        self.out.push(if std::mem::take(&mut self.is_first) { '{' } else { ',' });
    }

    fn member(&mut self, name: &str, member: &Value) -> Result<(), NotSignable> {
        self.begin();
        escape_into(name, self.out);
        self.out.push(':');
        value(member, "", self.out)
            .map_err(|e| e.below(&if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }))
    }

    fn spelt(&mut self, name: &str, value: &str) {
        self.begin();
        self.out.push_str(name);
        self.out.push(':');
        self.out.push_str(value);
    }
}

/// The members of a canonical object as they are spelt, each name in its quotes; what is left is to be read behind the brace.
struct Spellings<'a>(&'a str);

impl<'a> Iterator for Spellings<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, rest) = self.0.split_at_checked(end_of_string(self.0)?)?;
        let (value, rest) = rest.strip_prefix(':').and_then(|rest| rest.split_at_checked(end_of_value(rest)))?;
        self.0 = rest.get(1..).unwrap_or_default();
        Some((name, value))
    }
}

/// Behind the closing quote of the string that begins here.
fn end_of_string(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    bytes.next().filter(|(_, first)| *first == b'"')?;
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at.saturating_add(1)),
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
    None
}

/// Behind the value that begins here: at the comma or the brace that belongs to the object around it.
fn end_of_value(text: &str) -> usize {
    let (mut depth, mut is_text, mut bytes) = (0_usize, false, text.bytes().enumerate());
    while let Some((at, byte)) = bytes.next() {
        match (byte, is_text) {
            (b'\\', true) => drop(bytes.next()),
            (b'"', _) => is_text = !is_text,
            (b'{' | b'[', false) => depth = depth.saturating_add(1),
            (b'}' | b']' | b',', false) if depth == 0 => return at,
            (b'}' | b']', false) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    text.len()
}

/// Compares a name with one as it is spelt in a canonical text, in its quotes.
fn order(name: &str, spelt: &str) -> Ordering {
    match spelt.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some(text) if !text.contains('\\') => utf16_order(name, text),
        _ => match Value::parse(spelt.as_bytes()) {
            Ok(Value::Text(text)) => utf16_order(name, &text),
            Ok(_) | Err(_) => Ordering::Less,
        },
    }
}

impl Serialize for CanonicalObject {
    /// Stored as its text; shown to people as the object it is.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            Value::Object(self.to_object()).serialize(serializer)
        } else {
            serializer.serialize_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for CanonicalObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        CompactString::deserialize(deserializer).map(Self)
    }
}

impl Default for CanonicalObject {
    fn default() -> Self {
        Self("{}".into())
    }
}

pub(super) fn value(value: &Value, path: &str, out: &mut String) -> Result<(), NotSignable> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(true) => out.push_str("true"),
        Value::Bool(false) => out.push_str("false"),
        Value::Int(n) => {
            // Writing to a string cannot fail.
            let _ = write!(out, "{n}");
        }
        Value::Text(text) => escape_into(text, out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                self::value(item, "", out).map_err(|e| e.below(&format!("{path}[{i}]")))?;
            }
            out.push(']');
        }
        Value::Object(object) => members(object, path, out)?,
        Value::Unsafe(defect) => return Err(NotSignable { path: path.to_owned(), defect: *defect }),
    }
    Ok(())
}

/// Appends the canonical bytes of an object.
///
/// # Errors
/// Names the first place below `path` that cannot be signed; then `out` is left in pieces.
pub fn members(object: &Object, path: &str, out: &mut String) -> Result<(), NotSignable> {
    if object.is_empty() {
        out.push('{');
    }
    let mut writer = Writer { out, path, is_first: true };
    for (name, member) in object.iter() {
        writer.member(name, member)?;
    }
    writer.out.push('}');
    Ok(())
}

impl NotSignable {
    /// The same place seen from further up: paths are only spelt where something is wrong.
    fn below(self, parent: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        Self { path: format!("{parent}{dot}{}", self.path), defect: self.defect }
    }
}

/// Appends the text in quotes; only `"`, `\` and U+0000..U+001F are escaped, the latter always as `\u00xx`.
pub fn escape_into(text: &str, out: &mut String) {
    out.push('"');
    let mut written = 0;
    // Without an end in between, the usual text, in which there are none, is seen through in a few steps.
    if text.bytes().fold(false, |any, byte| any | is_escaped(byte)) {
        for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| is_escaped(*byte)) {
            out.push_str(text.get(written..at).unwrap_or_default());
            match byte {
                b'"' => out.push_str("\\\""),
                b'\\' => out.push_str("\\\\"),
                control => {
                    // Writing to a string cannot fail.
                    let _ = write!(out, "\\u{control:04x}");
                }
            }
            written = at.saturating_add(1);
        }
    }
    out.push_str(text.get(written..).unwrap_or_default());
    out.push('"');
}

const fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'\\' | 0..=0x1f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> Result<String, String> {
        let mut out = String::new();
        let value = Value::parse(text.as_bytes()).map_err(|e| e.to_string())?;
        value.write_canonical("", &mut out).map_err(|e| e.to_string())?;
        Ok(out)
    }

    #[test]
    fn writes_the_contract_to_the_byte() {
        for (text, expected) in [
            (r#" { "b" : [ 1 , -2 ] , "a" : { } } "#, r#"{"a":{},"b":[1,-2]}"#),
            // U+1F600 is D83D DE00 in UTF-16, so it sorts before U+FF61.
            ("{\"\u{ff61}\":1,\"\u{1f600}\":2}", "{\"\u{1f600}\":2,\"\u{ff61}\":1}"),
            (r#""\n\t\u0000\u001F\u007f\/\"\\""#, "\"\\u000a\\u0009\\u0000\\u001f\u{7f}/\\\"\\\\\""),
            (r#""\ud83d\ude00 \uD7FF \u00e9""#, "\"\u{1f600} \u{d7ff} \u{e9}\""),
            ("[9007199254740991,-9007199254740991,0,true,false,null]", "[9007199254740991,-9007199254740991,0,true,false,null]"),
        ] {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn compact_length_is_that_of_the_usual_writer() {
        for text in [r#"{}"#, r#"{"a":"\n\t\r\b\f"}"#, r#"{"a":"\\u000a\u0001\""}"#, r#"{"\\":"\\\\n\u001f\n"}"#, r#"{"é":"€"}"#] {
            let Ok(Value::Object(object)) = Value::parse(text.as_bytes()) else { panic!("{text}") };
            let canonical = CanonicalObject::new(&object, "").unwrap();
            let usual = serde_json::from_str::<serde_json::Value>(text).unwrap().to_string();
            assert_eq!(canonical.compact_len(), usual.len(), "{text}");
        }
    }

    #[test]
    fn names_what_cannot_be_signed() {
        for (text, error) in [
            (r#"{"a":[0,{"b":1.0}]}"#, "`a[1].b` is a float; only integers can be signed"),
            ("[[1e2]]", "`[0][0]` is a float; only integers can be signed"),
            ("[-0]", "`[0]` is a float; only integers can be signed"),
            ("[9007199254740992]", "`[0]` is an integer beyond plus or minus 9007199254740991"),
            ("[-99999999999999999999999]", "`[0]` is an integer beyond plus or minus 9007199254740991"),
            (r#"{"a":{"x":1,"y":2,"x":1}}"#, "`a.x` is given more than once"),
            (r#"{"a":{"x":1,"\u0078":1}}"#, "`a.x` is given more than once"),
            (r#"["\ud800"]"#, "`[0]` contains a lone surrogate"),
            (r#"["\ud800\ud800\udc00"]"#, "`[0]` contains a lone surrogate"),
            (r#"["\udc00\ud800"]"#, "`[0]` contains a lone surrogate"),
            (r#"{"a":{"\ud800":1}}"#, r#"`a."\ud800"` contains a lone surrogate"#),
        ] {
            assert_eq!(canonical(text), Err(error.to_owned()), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_json() {
        let deep = "[".repeat(200_000);
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "-",
            "1.",
            "1e",
            ".5",
            "+1",
            "\"\u{1}\"",
            "\"\\x\"",
            "\"\\u12\"",
            "nul",
            "1 2",
            "\u{feff}1",
            "NaN",
            &deep,
        ] {
            assert!(Value::parse(text.as_bytes()).is_err(), "{text:.20}");
        }
        assert!(Value::parse(b"\"\xff\"").is_err());
        assert!(Value::parse(b"\"\xed\xa0\x80\"").is_err(), "a surrogate in UTF-8 is no UTF-8");
    }
}
