//! The strict reader (RFC 8259), which goes on past what is JSON but cannot be signed.

use compact_str::CompactString;

use super::{Defect, Object, Value};
use crate::limits::{JSON_DEPTH_MAX, SAFE_INTEGER_MAX};

/// A text that is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not valid JSON at byte {at}: {problem}")]
pub struct Malformed {
    /// Bytes before the place.
    pub at: usize,
    /// What was found or missed there.
    pub problem: &'static str,
}

pub(super) fn parse(text: &[u8]) -> Result<Value, Malformed> {
    let mut reader = match std::str::from_utf8(text) {
        Ok(text) => Reader { text, at: 0 },
        Err(error) => return Err(Malformed { at: error.valid_up_to(), problem: "not UTF-8" }),
    };
    reader.skip_space();
    let value = reader.value(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(value),
        Some(_) => reader.fail("something follows the value"),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize, // INVARIANT: at most the length of the text, on a character boundary whenever it is sliced
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Malformed> {
        match self.peek() {
            Some(b'{' | b'[') if depth >= JSON_DEPTH_MAX => self.fail("nested too deeply"),
            Some(b'{') => self.object(depth.saturating_add(1)),
            Some(b'[') => self.array(depth.saturating_add(1)),
            Some(b'"') => Ok(self.string()?.map_or(Value::Unsafe(Defect::LoneSurrogate), Value::Text)),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.literal("true", Value::Bool(true)),
            Some(b'f') => self.literal("false", Value::Bool(false)),
            Some(b'n') => self.literal("null", Value::Null),
            Some(_) => self.fail("expected a value"),
            None => self.fail("the text ends where a value is expected"),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Value, Malformed> {
        self.bump();
        let mut members = Vec::new();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(Value::Object(Object::new()));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return self.fail("expected a member's name in double quotes");
            }
            let start = self.at;
            let name = self.string()?;
            let spelling = self.slice(start);
            self.skip_space();
            if !self.eat(b':') {
                return self.fail("expected a colon after the name");
            }
            self.skip_space();
            let value = self.value(depth)?;
            members.push(match name {
                Some(name) => (name, value),
                // Kept under its spelling in the text, which no sound name has here: it cannot be looked up by accident.
                None => (spelling.into(), Value::Unsafe(Defect::LoneSurrogate)),
            });
            self.skip_space();
            if self.eat(b'}') {
                return Ok(Value::Object(Object::from_members(members)));
            }
            if !self.eat(b',') {
                return self.fail("expected a comma or the end of the object");
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value, Malformed> {
        self.bump();
        let mut items = Vec::new();
        self.skip_space();
        if self.eat(b']') {
            return Ok(Value::Array(items));
        }
        loop {
            self.skip_space();
            items.push(self.value(depth)?);
            self.skip_space();
            if self.eat(b']') {
                return Ok(Value::Array(items));
            }
            if !self.eat(b',') {
                return self.fail("expected a comma or the end of the array");
            }
        }
    }

    fn number(&mut self) -> Result<Value, Malformed> {
        let start = self.at;
        let negative = self.eat(b'-');
        let first = self.peek();
        if self.digits() == 0 {
            return self.fail("expected a digit");
        }
        if first == Some(b'0') && self.at.saturating_sub(start) > usize::from(negative).saturating_add(1) {
            return self.fail("a number must not begin with a zero");
        }
        let mut float = false;
        if self.eat(b'.') {
            float = true;
            if self.digits() == 0 {
                return self.fail("expected a digit after the point");
            }
        }
        if self.eat(b'e') || self.eat(b'E') {
            float = true;
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            if self.digits() == 0 {
                return self.fail("expected a digit in the exponent");
            }
        }
        let lexeme = self.slice(start);
        if float || lexeme == "-0" {
            return Ok(Value::Unsafe(Defect::Float));
        }
        Ok(match lexeme.parse::<i64>() {
            Ok(n) if (-SAFE_INTEGER_MAX..=SAFE_INTEGER_MAX).contains(&n) => Value::Int(n),
            Ok(_) | Err(_) => Value::Unsafe(Defect::IntegerRange),
        })
    }

    /// The string that starts here; nothing if it holds a lone surrogate.
    fn string(&mut self) -> Result<Option<CompactString>, Malformed> {
        self.bump();
        let mut out = CompactString::const_new("");
        let mut sound = true;
        loop {
            let start = self.at;
            let rest = self.text.as_bytes().get(start..).unwrap_or_default();
            let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
            self.at = start.saturating_add(plain.unwrap_or(rest.len()));
            out.push_str(self.slice(start));
            match self.peek() {
                Some(b'"') => {
                    self.bump();
                    return Ok(sound.then_some(out));
                }
                Some(b'\\') => {
                    self.bump();
                    match self.escape()? {
                        Some(c) => out.push(c),
                        None => sound = false,
                    }
                }
                Some(_) => return self.fail("a control character must be escaped"),
                None => return self.fail("the text ends within a string"),
            }
        }
    }

    /// The character behind a backslash; nothing for a lone surrogate.
    fn escape(&mut self) -> Result<Option<char>, Malformed> {
        let c = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.bump();
                return self.unicode_escape();
            }
            Some(_) | None => return self.fail("unknown escape"),
        };
        self.bump();
        Ok(Some(c))
    }

    fn unicode_escape(&mut self) -> Result<Option<char>, Malformed> {
        let unit = self.hex4()?;
        if let Some(c) = char::from_u32(unit) {
            return Ok(Some(c));
        }
        let behind_high = self.at;
        if (0xD800..0xDC00).contains(&unit) && self.eat(b'\\') && self.eat(b'u') {
            let low = self.hex4()?;
            if (0xDC00..0xE000).contains(&low) {
                let offset = ((unit & 0x3FF) << 10) | (low & 0x3FF); // 20 bits: the sum below cannot overflow
                return Ok(char::from_u32(offset.saturating_add(0x1_0000)));
            }
        }
        // A high surrogate without its partner: what follows is read on its own.
        self.at = behind_high;
        Ok(None)
    }

    fn hex4(&mut self) -> Result<u32, Malformed> {
        let mut unit = 0_u32;
        for _ in 0..4 {
            let Some(digit) = self.peek().and_then(|b| char::from(b).to_digit(16)) else {
                return self.fail("expected four hexadecimal digits");
            };
            unit = (unit << 4) | digit;
            self.bump();
        }
        Ok(unit)
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, Malformed> {
        if self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.at = self.at.saturating_add(word.len());
            Ok(value)
        } else {
            self.fail("expected a value")
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.bump();
        }
        self.at.saturating_sub(start)
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.bump();
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.bump();
        }
        found
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn bump(&mut self) {
        self.at = self.at.saturating_add(1);
    }

    fn slice(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn fail<T>(&self, problem: &'static str) -> Result<T, Malformed> {
        Err(Malformed { at: self.at, problem })
    }
}
