//! Money: whole micro-USD, never a float.

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
    }
}
