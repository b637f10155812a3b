//! Ids: ULIDs that increase strictly. Time and chance come from outside.

use std::fmt;

use allowlog_proto::time::Timestamp;

/// Bits of a ULID below its milliseconds.
const RANDOM_BITS: u32 = 80;
const RANDOM_MASK: u128 = (1 << RANDOM_BITS) - 1;
/// The first id of a millisecond keeps its top bit clear, so that there is always room for the next.
const FIRST_MASK: u128 = RANDOM_MASK >> 1;
/// How far the next id within one millisecond may lie ahead: nobody can tell it from the one before.
const STEP_MASK: u128 = (1 << 48) - 1;

/// Mints ids, each greater than the one before.
pub struct Ids {
    last: u128,
    random: Box<dyn FnMut() -> u128 + Send>,
}

impl Ids {
    /// Ids from this source of random bits.
    pub fn new(random: impl FnMut() -> u128 + Send + 'static) -> Self {
        Self { last: 0, random: Box::new(random) }
    }

    /// The 16 bytes of the next id; their first 48 bits are the milliseconds of `now`, which must never go back.
    pub fn mint(&mut self, now: Timestamp) -> [u8; 16] {
        let ms = u128::from(now.as_ms());
        let random = (self.random)();
        let id = if self.last >> RANDOM_BITS == ms {
            self.last.saturating_add(1).saturating_add(random & STEP_MASK)
        } else {
            (ms << RANDOM_BITS) | (random & FIRST_MASK)
        };
        assert!(id > self.last, "ids increase: time must not go back");
        assert!(id >> RANDOM_BITS == ms, "an id carries its millisecond");
        self.last = id;
        id.to_be_bytes()
    }

    /// 16 bytes of nothing but chance, for an id that nobody may guess.
    pub fn draw(&mut self) -> [u8; 16] {
        (self.random)().to_be_bytes()
    }
}

impl fmt::Debug for Ids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ids")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn increase_within_a_millisecond_and_across() {
        let mut ids = Ids::new(|| u128::MAX);
        let mut last = [0; 16];
        for ms in [5, 5, 5, 6, 6, 1_000_000] {
            let id = ids.mint(Timestamp::from_ms(ms).unwrap());
            assert!(id > last);
            assert_eq!(u128::from_be_bytes(id) >> 80, u128::from(ms));
            last = id;
        }
    }
}
