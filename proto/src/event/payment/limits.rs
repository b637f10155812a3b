//! What a delegation limits.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;

use crate::id::RegisteredAgentId;
use crate::limits::PERIOD_MS_MAX;
use crate::money::{Amount, Currency};
use crate::text::{Category, Channel, MerchantId};

/// That an authorization is a delegation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegated {
    /// Who may act.
    pub agent_id: RegisteredAgentId,
    /// What it may pay.
    pub limits: PaymentLimits,
}

/// What an agent may pay. Nothing said means no limit on that axis; a list that is there and empty allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PaymentLimits {
    /// Only these merchants.
    pub merchants: Option<Vec<MerchantId>>,
    /// Only merchants of these kinds.
    pub categories: Option<Vec<Category>>,
    /// Never these.
    pub blocked_merchants: Vec<MerchantId>,
    /// One payment may be so much.
    pub per_transaction: Option<Amount>,
    /// All of a UTC day together, for each currency.
    pub daily: Option<Amount>,
    /// All of a rolling period together, for each currency.
    pub period: Option<Period>,
    /// Only these currencies.
    pub currencies: Option<Vec<Currency>>,
    /// Only these channels.
    pub channels: Option<Vec<Channel>>,
    /// Above it the user is asked first.
    pub step_up_above: Option<Amount>,
    /// Above it a reviewer is asked first.
    pub review_above: Option<Amount>,
    /// Only from devices that are registered.
    pub requires_trusted_device: bool,
    /// What becomes of a payment above the limits.
    pub on_exceed: OnExceed,
}

impl PaymentLimits {
    /// Whether anything bounds what is paid.
    pub const fn has_amounts(&self) -> bool {
        self.per_transaction.is_some() || self.daily.is_some() || self.period.is_some()
    }
}

/// A limit of a rolling period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// All payments within the interval together.
    pub amount: Amount,
    /// What was paid so long ago counts no more.
    pub interval: Interval,
}

/// The length of a rolling period: whole seconds, one second to 366 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval(u64); // INVARIANT: a multiple of 1000 ms, 1..=PERIOD_MS_MAX

const SECOND_MS: u64 = 1000;
const DAY_S: u64 = 86_400;

impl Interval {
    /// An interval of so many seconds, or nothing if that is none or more than 366 days.
    pub const fn seconds(seconds: u64) -> Option<Self> {
        match seconds.checked_mul(SECOND_MS) {
            Some(ms) if ms >= SECOND_MS && ms <= PERIOD_MS_MAX => Some(Self(ms)),
            Some(_) | None => None,
        }
    }

    /// Reads a duration as ISO 8601 has it, of whole numbers: `P7D`, `P1W`, `PT12H`, `P1DT6H`. A month counts as 30 days and a year as 365,
    /// since a period that rolls has no calendar.
    ///
    /// # Errors
    /// If it is none, or none of a second to 366 days.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let seconds = read(text).ok_or("must be a duration of whole numbers (ISO 8601), as in `P7D` or `PT12H`")?;
        Self::seconds(seconds).ok_or("must be a duration of one second to 366 days")
    }

    /// Milliseconds.
    pub const fn as_ms(self) -> u64 {
        self.0
    }
}

fn read(text: &str) -> Option<u64> {
    let rest = text.strip_prefix('P')?;
    let (date, time) = match rest.split_once('T') {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None => (rest, ""),
    };
    if date.is_empty() && time.is_empty() {
        return None;
    }
    let date = sum(date, &[('Y', 365 * DAY_S), ('M', 30 * DAY_S), ('W', 7 * DAY_S), ('D', DAY_S)])?;
    date.checked_add(sum(time, &[('H', 3600), ('M', 60), ('S', 1)])?)
}

/// The sum of numbers with their units, which come in this order, each once.
fn sum(mut text: &str, mut units: &[(char, u64)]) -> Option<u64> {
    let mut sum = 0_u64;
    while !text.is_empty() {
        let end = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, rest) = text.split_at(end);
        let unit = rest.chars().next()?;
        let place = units.iter().position(|(name, _)| *name == unit)?;
        let (_, seconds) = units.get(place)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*seconds)?)?;
        units = units.get(place.checked_add(1)?..)?;
        text = rest.get(1..)?;
    }
    Some(sum)
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0 / SECOND_MS;
        match (seconds / DAY_S, seconds % DAY_S) {
            (days, 0) => write!(f, "P{days}D"),
            (0, seconds) => write!(f, "PT{seconds}S"),
            (days, seconds) => write!(f, "P{days}DT{seconds}S"),
        }
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0 / SECOND_MS)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::seconds(u64::deserialize(deserializer)?).ok_or_else(|| serde::de::Error::custom("no interval of a second to 366 days"))
    }
}

/// What becomes of a payment above the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnExceed {
    /// It is denied.
    #[default]
    Deny,
    /// What is left of the limits is allowed, if anything is.
    Cap,
}

impl OnExceed {
    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Cap => "cap",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, written) in [
            ("P7D", "P7D"),
            ("P1W", "P7D"),
            ("P1M", "P30D"),
            ("P1Y", "P365D"),
            ("PT12H", "PT43200S"),
            ("P1DT6H", "P1DT21600S"),
            ("PT1M", "PT60S"),
            ("PT1S", "PT1S"),
            ("P366D", "P366D"),
            ("P1M1D", "P31D"),
        ] {
            let interval = Interval::parse(text).unwrap();
            assert_eq!(interval.to_string(), written, "{text}");
            assert_eq!(Interval::parse(written).unwrap(), interval);
        }
        for text in
            ["", "P", "PT", "P1", "1D", "P1DT", "P-1D", "P1.5D", "PT0S", "P367D", "p1d", "P1D1W", "P1H", "P99999999999999999999D", "P1é"]
        {
            assert!(Interval::parse(text).is_err(), "{text}");
        }
    }
}
