//! Reads the parameters of a query string and collects what is wrong with them, each under its name.

use crate::api::envelope::FieldError;
use crate::limits::PAGE_ITEMS_MAX;

/// The decoded parameters of a query string, with the errors found in them so far.
#[derive(Debug)]
pub struct Parameters<'q> {
    pairs: &'q [(String, String)],
    errors: Vec<FieldError>,
}

impl<'q> Parameters<'q> {
    /// The parameters among these pairs; names that nobody reads are ignored.
    pub const fn of(pairs: &'q [(String, String)]) -> Self {
        Self { pairs, errors: Vec::new() }
    }

    /// Reads a parameter that may be absent; an empty value means absent.
    pub fn read<T>(&mut self, name: &str, read: impl FnOnce(&'q str) -> Result<T, String>) -> Option<T> {
        let mut values = self.pairs.iter().filter(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let value = values.next()?;
        let read = match values.next() {
            Some(_) => Err("must be given once".to_owned()),
            None if value.is_empty() => return None,
            None => read(value),
        };
        read.map_err(|message| self.errors.push(FieldError::new(format!("query.{name}"), message))).ok()
    }

    /// What was read.
    ///
    /// # Errors
    /// Every parameter at fault, in the order in which they were read.
    pub fn finish<T>(self, read: T) -> Result<T, Vec<FieldError>> {
        if self.errors.is_empty() { Ok(read) } else { Err(self.errors) }
    }
}

/// One of a few words.
pub fn one_of(allowed: &'static [&'static str]) -> impl FnOnce(&str) -> Result<&'static str, String> {
    move |text| {
        let found = allowed.iter().find(|allowed| **allowed == text);
        found.copied().ok_or_else(|| format!("must be one of `{}`", allowed.join("`, `")))
    }
}

/// Items of a page.
///
/// # Errors
/// Names the bounds.
pub fn limit(text: &str) -> Result<usize, String> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|number| is_plain && (1..=PAGE_ITEMS_MAX).contains(number));
    number.ok_or_else(|| format!("must be an integer between 1 and {PAGE_ITEMS_MAX}"))
}
