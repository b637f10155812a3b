//! Instants: what is written is read back, and what is read is what a slow calendar says.

use allowlog_proto::time::{TimeError, Timestamp};
use proptest::prelude::*;

/// Days since the epoch of a date, counted year by year.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let leap = |y: u64| y.is_multiple_of(4) && (!y.is_multiple_of(100) || y.is_multiple_of(400));
    let of_month = |y: u64, m: u64| match m {
        2 => 28 + u64::from(leap(y)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let years: u64 = (1970..year).map(|y| 365 + u64::from(leap(y))).sum();
    let months: u64 = (1..month).map(|m| of_month(year, m)).sum();
    years + months + day - 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_written_is_read_back(ms in 0..=Timestamp::MAX.as_ms()) {
        let time = Timestamp::from_ms(ms).unwrap();
        let text = time.to_string();
        prop_assert_eq!(text.len(), 24);
        prop_assert_eq!(Timestamp::parse(&text), Ok(time));
    }

    #[test]
    fn the_calendar_agrees(
        (year, month, day) in (1970u64..=9999, 1u64..=12, 1u64..=28),
        (hour, minute, second, ms) in (0u64..24, 0u64..60, 0u64..60, 0u64..1000),
        offset in -1439i64..=1439,
    ) {
        let sign = if offset < 0 { '-' } else { '+' };
        let (h, m) = (offset.unsigned_abs() / 60, offset.unsigned_abs() % 60);
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}{sign}{h:02}:{m:02}");
        let local = (((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms;
        let utc = i128::from(local) - i128::from(offset) * 60_000;
        let expected = u64::try_from(utc).ok().and_then(Timestamp::from_ms).ok_or(TimeError::OutOfRange);
        prop_assert_eq!(Timestamp::parse(&text), expected, "{}", text);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[0-9TtZz:.+ -]{0,40}|\\PC{0,30}") {
        let _ = Timestamp::parse(&text);
    }

    #[test]
    fn days_are_those_of_utc(ms in 0..=Timestamp::MAX.as_ms()) {
        let time = Timestamp::from_ms(ms).unwrap();
        let date = &time.to_string()[..10];
        let midnight = Timestamp::parse(&format!("{date}T00:00:00Z")).unwrap();
        prop_assert_eq!(midnight.as_ms(), time.day() * 86_400_000);
    }
}

#[test]
fn a_leap_second_is_the_second_before_it() {
    let leap = Timestamp::parse("2016-12-31T23:59:60Z");
    assert_eq!(leap, Timestamp::parse("2016-12-31T23:59:59Z"));
}

#[test]
fn nothing_lies_behind_the_last_instant() {
    let last = Timestamp::MAX.as_ms();
    assert_eq!(Timestamp::from_ms(last), Some(Timestamp::MAX));
    assert_eq!(Timestamp::from_ms(last + 1), None);
    assert_eq!(Timestamp::MAX.saturating_add_ms(1), Timestamp::MAX);
    assert_eq!(Timestamp::from_ms(last - 1).unwrap().saturating_add_ms(u64::MAX), Timestamp::MAX);
}
