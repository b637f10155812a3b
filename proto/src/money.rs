//! Money: whole micro-USD for what an agent costs, minor units of a currency for what it pays. Never a float.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::limits::SAFE_INTEGER_MAX;

/// An amount in micro-USD (one millionth of a dollar), 0 to 2^53 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Micros(i64); // INVARIANT: 0..=SAFE_INTEGER_MAX

impl Micros {
    /// The amount, or nothing if it is negative or beyond 2^53 - 1.
    pub const fn new(micros: i64) -> Option<Self> {
        if micros >= 0 && micros <= SAFE_INTEGER_MAX { Some(Self(micros)) } else { None }
    }

    /// Micro-USD.
    pub const fn get(self) -> i64 {
        self.0
    }

    /// The sum, or nothing beyond 2^53 - 1.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Self::new(sum),
            None => None,
        }
    }
}

/// What is paid, in minor units of some currency (cents, yen, fils), 1 to 2^53 - 1. Nothing ever scales it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount(i64); // INVARIANT: 1..=SAFE_INTEGER_MAX

impl Amount {
    /// The amount, or nothing if it is zero, negative or beyond 2^53 - 1.
    pub const fn new(minor: i64) -> Option<Self> {
        if minor >= 1 && minor <= SAFE_INTEGER_MAX { Some(Self(minor)) } else { None }
    }

    /// Minor units.
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).ok_or_else(|| serde::de::Error::custom("an amount outside 1..2^53-1"))
    }
}

impl PartialSchema for Amount {
    fn schema() -> RefOr<Schema> {
        crate::schema::integer(1, SAFE_INTEGER_MAX).description(Some("Minor units of the currency, as cents.")).examples([1850]).into()
    }
}

impl ToSchema for Amount {}

/// A currency by its three letters (ISO 4217), in upper case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Currency([u8; 3]); // INVARIANT: A to Z

impl Currency {
    /// The currency of these letters, in whatever case. Whether it is in use is not judged.
    ///
    /// # Errors
    /// If they are not three letters.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        match <[u8; 3]>::try_from(text.as_bytes()) {
            Ok(letters) if letters.iter().all(u8::is_ascii_alphabetic) => Ok(Self(letters.map(|letter| letter.to_ascii_uppercase()))),
            Ok(_) | Err(_) => Err("must be a currency of three letters, as in `EUR`"),
        }
    }

    /// The letters.
    pub const fn as_str(&self) -> &str {
        match std::str::from_utf8(&self.0) {
            Ok(text) => text,
            Err(_) => "",
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.serialize_str(self.as_str()) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let letters = <[u8; 3]>::deserialize(deserializer)?;
        if letters.iter().all(u8::is_ascii_uppercase) { Ok(Self(letters)) } else { Err(serde::de::Error::custom("no currency")) }
    }
}

impl PartialSchema for Currency {
    fn schema() -> RefOr<Schema> {
        crate::schema::patterned("A currency by its three letters (ISO 4217); answers have them in upper case.", "^[A-Za-z]{3}$", "EUR")
            .into()
    }
}

impl ToSchema for Currency {}

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Micros {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?).ok_or_else(|| serde::de::Error::custom("an amount outside 0..2^53-1"))
    }
}

impl PartialSchema for Micros {
    fn schema() -> RefOr<Schema> {
        crate::schema::integer(0, SAFE_INTEGER_MAX).description(Some("Micro-USD: a millionth of a dollar.")).examples([250_000]).into()
    }
}

impl ToSchema for Micros {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_the_safe_integers() {
        let most = Micros::new(SAFE_INTEGER_MAX).unwrap();
        let one = Micros::new(1).unwrap();
        assert_eq!(Micros::new(SAFE_INTEGER_MAX - 1).unwrap().checked_add(one), Some(most));
        assert_eq!(most.checked_add(one), None);
        assert_eq!(Micros::new(-1), None);
        assert_eq!(Micros::new(SAFE_INTEGER_MAX + 1), None);
        assert_eq!(Amount::new(0), None);
        assert_eq!(Amount::new(SAFE_INTEGER_MAX).unwrap().get(), SAFE_INTEGER_MAX);
        assert_eq!(Amount::new(SAFE_INTEGER_MAX + 1), None);
    }

    #[test]
    fn a_currency_has_three_letters() {
        assert_eq!(Currency::new("kwd").unwrap().as_str(), "KWD");
        for other in ["", "EU", "EURO", "E1R", "€", "E R"] {
            assert!(Currency::new(other).is_err(), "{other}");
        }
    }
}
