//! Reads the members of a request body and collects what is wrong with them, each under its path.
//!
//! `null`, `[]` and `{}` mean absent everywhere, since clients send every key they know.

use crate::api::envelope::FieldError;
use crate::json::{CanonicalObject, Object, Value};
use crate::limits::{CONTEXT_DEPTH_MAX, FIELD_ERRORS_MAX, SAFE_INTEGER_MAX};

/// An object of a request, with the errors found in it so far.
#[derive(Debug)]
pub struct Fields<'v> {
    object: Option<&'v Object>,
    path: String,
    /// Whether the value is no object at all: then its members are not asked after one by one.
    is_refused: bool,
    errors: Vec<FieldError>,
}

impl<'v> Fields<'v> {
    /// The members of `value`, which stands at `path`. An absent value is an object without members.
    pub fn of(value: &'v Value, path: impl Into<String>) -> Self {
        let path = path.into();
        let mut errors = Vec::new();
        let object = value.as_object();
        let is_refused = object.is_none() && !is_absent(value);
        if is_refused {
            errors.push(FieldError::new(path.clone(), format!("must be an object, is {}", value.kind())));
        }
        Self { object, path, is_refused, errors }
    }

    /// The member, unless it is absent.
    pub fn get(&self, name: &str) -> Option<&'v Value> {
        self.object.and_then(|o| o.get(name)).filter(|v| !is_absent(v))
    }

    /// Reads a member that may be absent.
    pub fn optional<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        match read(self.get(name)?) {
            Ok(value) => Some(value),
            Err(message) => {
                self.refuse(name, message);
                None
            }
        }
    }

    /// Reads a member that may be absent, where nothing but `null` means that: what else could be meant by `[]` is not to be guessed.
    pub fn nullable<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        let value = self.object.and_then(|object| object.get(name)).filter(|value| **value != Value::Null)?;
        match read(value) {
            Ok(value) => Some(value),
            Err(message) => {
                self.refuse(name, message);
                None
            }
        }
    }

    /// Reads a member that must be there.
    pub fn required<T>(&mut self, name: &str, read: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        if self.require(name) { self.optional(name, read) } else { None }
    }

    /// Whether the member is there; notes that it is missing if not.
    pub fn require(&mut self, name: &str) -> bool {
        let is_there = self.get(name).is_some();
        if !is_there && !self.is_refused {
            self.refuse(name, "is required");
        }
        is_there
    }

    /// Reads the items of an array that may be absent; `read` gets each with its path and may leave errors. An array of
    /// more than `max` items is refused unread.
    pub fn items<T>(&mut self, name: &str, max: usize, read: impl Fn(&Value, &str, &mut Vec<FieldError>) -> Option<T>) -> Vec<T> {
        let Some(value) = self.get(name) else { return Vec::new() };
        let Value::Array(items) = value else {
            self.refuse(name, format!("must be an array, is {}", value.kind()));
            return Vec::new();
        };
        if items.len() > max {
            self.refuse(name, format!("must be at most {max} items"));
            return Vec::new();
        }
        let mut out = Vec::new();
        for (i, item) in items.iter().enumerate() {
            out.extend(read(item, &format!("{}.{name}[{i}]", self.path), &mut self.errors));
        }
        out
    }

    /// Reads an object that is to be signed, with its canonical form; `reserved` are names its members must not have.
    pub fn signable(&mut self, name: &str, reserved: &[&str]) -> Option<(&'v Object, CanonicalObject)> {
        let value = self.get(name)?;
        let Some(object) = value.as_object() else {
            self.refuse(name, wrong_kind("an object", value));
            return None;
        };
        for member in reserved.iter().filter(|member| object.get(member).is_some()) {
            self.refuse(&format!("{name}.{member}"), "is a name the server uses");
        }
        if value.depth() > CONTEXT_DEPTH_MAX {
            self.refuse(name, format!("must be nested at most {CONTEXT_DEPTH_MAX} deep"));
        }
        match CanonicalObject::new(object, &format!("{}.{name}", self.path)) {
            Ok(canonical) => Some((object, canonical)),
            Err(e) => {
                self.absorb(vec![FieldError::new(e.path, e.defect.to_string())]);
                None
            }
        }
    }

    /// Where a member stands.
    pub(crate) fn path_of(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    /// Notes that a member is at fault.
    pub fn refuse(&mut self, name: &str, message: impl Into<String>) {
        if self.errors.len() < FIELD_ERRORS_MAX {
            self.errors.push(FieldError::new(format!("{}.{name}", self.path), message));
        }
    }

    /// Takes over errors found elsewhere.
    pub fn absorb(&mut self, errors: Vec<FieldError>) {
        let room = FIELD_ERRORS_MAX.saturating_sub(self.errors.len());
        self.errors.extend(errors.into_iter().take(room));
    }

    /// Whether nothing was wrong so far.
    pub const fn is_sound(&self) -> bool {
        self.errors.is_empty()
    }

    /// What was wrong.
    pub fn into_errors(self) -> Vec<FieldError> {
        self.errors
    }
}

/// `null`, `[]` and `{}`.
pub fn is_absent(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(object) => object.is_empty(),
        Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::Unsafe(_) => false,
    }
}

/// A string, made into a bounded type.
pub fn text<T, E: std::fmt::Display>(new: impl Fn(&str) -> Result<T, E>) -> impl Fn(&Value) -> Result<T, String> {
    move |value| match value.as_text() {
        Some(text) => new(text).map_err(|e| e.to_string()),
        None => Err(wrong_kind("a string", value)),
    }
}

/// An integer within bounds.
pub fn integer(min: i64, max: i64) -> impl FnOnce(&Value) -> Result<i64, String> {
    move |value| {
        let Value::Int(n) = value else { return Err(wrong_kind("an integer", value)) };
        if (min..=max).contains(n) {
            Ok(*n)
        } else if max == SAFE_INTEGER_MAX {
            Err(format!("must be at least {min}"))
        } else {
            Err(format!("must be between {min} and {max}"))
        }
    }
}

/// `true` or `false`.
///
/// # Errors
/// Names what stands there instead.
pub fn boolean(value: &Value) -> Result<bool, String> {
    if let Value::Bool(b) = value { Ok(*b) } else { Err(wrong_kind("a boolean", value)) }
}

/// The sentence for a value of the wrong type, or one that cannot be signed.
pub fn wrong_kind(wanted: &str, found: &Value) -> String {
    if let Value::Unsafe(defect) = found { defect.to_string() } else { format!("must be {wanted}, is {}", found.kind()) }
}
