//! Instants: milliseconds since 1970-01-01T00:00:00Z, never floats, never before the epoch.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, SchemaFormat};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// Milliseconds of one UTC day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// 9999-12-31T23:59:59.999Z, the last instant RFC 3339 can write.
const LAST_MS: u64 = 253_402_300_799_999;
const _: () = assert!(LAST_MS < 1 << 48, "a ULID keeps 48 bits of time");

/// An instant in milliseconds since the epoch, at most the end of the year 9999.
///
/// Written as RFC 3339 in UTC with exactly three digits of fraction and `Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64); // INVARIANT: <= LAST_MS

/// Why a text is not an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// Not RFC 3339.
    #[error("must be an RFC 3339 date and time, such as 2026-01-31T12:00:00Z")]
    Malformed,
    /// RFC 3339 but for the offset.
    #[error("must carry an offset from UTC, such as Z or +02:00")]
    NoOffset,
    /// Before 1970 or after 9999.
    #[error("must lie between 1970 and 9999")]
    OutOfRange,
}

impl Timestamp {
    /// The last instant there is.
    pub const MAX: Self = Self(LAST_MS);

    /// The instant `ms` milliseconds after the epoch, or nothing after the year 9999.
    pub const fn from_ms(ms: u64) -> Option<Self> {
        if ms <= LAST_MS { Some(Self(ms)) } else { None }
    }

    /// Milliseconds since the epoch.
    pub const fn as_ms(self) -> u64 {
        self.0
    }

    /// This instant and `ms` milliseconds, at most [`Timestamp::MAX`].
    #[must_use]
    pub const fn saturating_add_ms(self, ms: u64) -> Self {
        let sum = self.0.saturating_add(ms);
        if sum <= LAST_MS { Self(sum) } else { Self(LAST_MS) }
    }

    /// Days since the epoch: the UTC calendar day of this instant.
    pub const fn day(self) -> u64 {
        self.0 / DAY_MS
    }

    /// Reads RFC 3339 with an offset; digits below the millisecond are cut.
    ///
    /// # Errors
    /// Says whether the text is malformed, lacks its offset, or lies outside 1970 to 9999.
    pub fn parse(text: &str) -> Result<Self, TimeError> {
        let since = parse_instant(text)?;
        let ms = if since.is_negative() { None } else { u64::try_from(since.as_millis()).ok() };
        ms.and_then(Self::from_ms).ok_or(TimeError::OutOfRange)
    }
}

/// Reads RFC 3339 with an offset, exactly, as the time since the epoch; stricter than the library, which takes more
/// notations, and as far as the year 9999 goes, which the library's own instants miss by a day.
pub(crate) fn parse_instant(text: &str) -> Result<SignedDuration, TimeError> {
    let shape: Vec<u8> = text.bytes().map(|b| if b.is_ascii_digit() { b'0' } else { b.to_ascii_uppercase() }).collect();
    let rest = shape.strip_prefix(b"0000-00-00T00:00:00").ok_or(TimeError::Malformed)?;
    let offset = match rest.strip_prefix(b".") {
        None => rest,
        Some(fraction) => {
            let digits = fraction.iter().take_while(|b| **b == b'0').count();
            if !(1..=9).contains(&digits) {
                return Err(TimeError::Malformed);
            }
            fraction.get(digits..).unwrap_or_default()
        }
    };
    let civil = text.get(..text.len().saturating_sub(offset.len())).unwrap_or_default();
    let civil: DateTime = civil.parse().map_err(|_| TimeError::Malformed)?;
    let offset = match offset {
        b"Z" => SignedDuration::ZERO,
        b"+00:00" | b"-00:00" => offset_from_utc(text).ok_or(TimeError::Malformed)?,
        b"" => return Err(TimeError::NoOffset),
        _ => return Err(TimeError::Malformed),
    };
    civil.duration_since(EPOCH).checked_sub(offset).ok_or(TimeError::OutOfRange)
}

/// The `+hh:mm` or `-hh:mm` at the end, whose shape is known.
fn offset_from_utc(text: &str) -> Option<SignedDuration> {
    let offset = text.get(text.len().checked_sub(6)?..)?;
    let hours: i64 = offset.get(1..3)?.parse().ok()?;
    let minutes: i64 = offset.get(4..6)?.parse().ok()?;
    if hours > 23 || minutes > 59 {
        return None;
    }
    let ahead = SignedDuration::from_mins(hours.checked_mul(60)?.checked_add(minutes)?);
    if offset.starts_with('-') { ahead.checked_neg() } else { Some(ahead) }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = SignedDuration::from_millis(i64::try_from(self.0).unwrap_or(i64::MAX));
        write!(f, "{:.3}Z", EPOCH.saturating_add(since))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { serializer.serialize_u64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let ms = u64::deserialize(deserializer)?;
        Self::from_ms(ms).ok_or_else(|| serde::de::Error::custom("an instant after the year 9999"))
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        let pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z$";
        let text = crate::schema::patterned("RFC 3339 in UTC, exactly milliseconds, `Z`.", pattern, "2026-03-01T10:00:00.000Z");
        text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
    }
}

impl ToSchema for Timestamp {}

/// An instant as a request may write it; [`Timestamp::parse`] reads it.
pub(crate) enum GivenTimestamp {}

impl PartialSchema for GivenTimestamp {
    fn schema() -> RefOr<Schema> {
        let pattern = r"^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$";
        let about = "RFC 3339 with an offset, 1970 to 9999; digits below the millisecond are cut.";
        let text = crate::schema::patterned(about, pattern, "2099-01-31T12:00:00+02:00");
        text.format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime))).into()
    }
}

impl ToSchema for GivenTimestamp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_rfc_3339() {
        for (text, out) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
            ("2026-01-31t12:00:00.1239999z", "2026-01-31T12:00:00.123Z"),
            ("2026-01-31T12:00:00.5+02:00", "2026-01-31T10:00:00.500Z"),
            ("1970-01-01T00:00:00-00:00", "1970-01-01T00:00:00.000Z"),
            ("2026-01-31T12:00:00-05:30", "2026-01-31T17:30:00.000Z"),
            ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::parse(text).map(|t| t.to_string()), Ok(out.to_owned()), "{text}");
        }
        assert_eq!(Timestamp::MAX.to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn refuses_what_is_not_rfc_3339() {
        use TimeError::{Malformed, NoOffset, OutOfRange};
        for (text, error) in [
            ("", Malformed),
            ("2026-01-31", Malformed),
            ("2026-01-31T12:00:00", NoOffset),
            ("2026-01-31T12:00:00.25", NoOffset),
            ("2026-01-31 12:00:00Z", Malformed),
            ("2026-01-31T12:00Z", Malformed),
            ("2026-01-31T12:00:00.Z", Malformed),
            ("2026-01-31T12:00:00+02", Malformed),
            ("2026-01-31T12:00:00Z[UTC]", Malformed),
            ("2026-02-30T12:00:00Z", Malformed),
            ("2026-01-31T12:00:00+24:00", Malformed),
            ("2026-01-31T12:00:00+00:60", Malformed),
            ("9999-12-31T23:59:59-00:01", OutOfRange),
            ("2026-01-31T25:00:00Z", Malformed),
            ("1969-12-31T23:59:59.999Z", OutOfRange),
            ("1970-01-01T00:00:00+01:00", OutOfRange),
            ("１970-01-01T00:00:00Z", Malformed),
        ] {
            assert_eq!(Timestamp::parse(text), Err(error), "{text}");
        }
    }
}
