//! What of a payment no reader takes, wherever it was stored: amounts, currencies, intervals and texts that are none.

use allowlog_proto::event::Event;
use allowlog_proto::record::Record;

use crate::files;

/// The golden bytes of a fixture with one part of them, which stands there once, replaced.
fn with(name: &str, from: &[u8], to: &[u8]) -> Option<Event> {
    let digits = files::read(&format!("tests/golden/{name}.hex")).replace('\n', "");
    let bytes = data_encoding::HEXLOWER.decode(digits.as_bytes()).unwrap();
    let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert_eq!(places.len(), 1, "{name}: {from:02x?} stands at {places:?}");
    let changed = [&bytes[..places[0]], to, &bytes[places[0] + from.len()..]].concat();
    Record::decode(&changed).ok().map(|record| record.event)
}

/// A text with its length in front.
fn text(byte: u8, length: u8) -> Vec<u8> {
    [vec![length], vec![byte; length.into()]].concat()
}

#[test]
fn amounts_are_at_least_one_and_at_most_2_to_the_53_less_one() {
    // An intent of 2^53 - 1 fils, in zigzag.
    const LARGEST: &[u8] = b"\xfd\xfe\xff\xff\xff\xff\xff\x3f\0";
    for (name, holds) in [(LARGEST, true), (b"\x02", true), (b"\xfb\x02\0", true), (b"\0", false), (b"\x01", false), (b"\x03", false)] {
        assert_eq!(with("payment_intent_created", LARGEST, name).is_some(), holds, "{name:02x?}");
    }
    assert_eq!(with("payment_intent_created", LARGEST, b"\xfd\0\0\0\0\0\0\x40\0"), None, "2^53");
    // What a decision allows, 1850, behind its codes 20, 21 and 23; the limits of a day, 100000, and of a transaction, 125.
    for (name, from, zero) in [
        ("payment_allowed", &b"\x14\x15\x17\x01\xfb\x74\x0e"[..], &b"\x14\x15\x17\x01\0"[..]),
        ("delegation_granted", b"\xfc\x40\x0d\x03\0", b"\0"),
        ("delegation_granted", b"\x01\xfa\x01", b"\x01\0\x01"),
        ("payment_authorised", b"\xfb\x74\x0eUSD", b"\0USD"),
        ("offline_token_issued", b"\xfb\x10\x27EUR", b"\0EUR"),
        ("offline_payment_queued", b"\xfb\xd0\x20EUR", b"\0EUR"),
        ("offline_payment_settled", b"\xfb\xd0\x20EUR", b"\0EUR"),
    ] {
        assert!(with(name, from, from).is_some(), "{name}");
        assert_eq!(with(name, from, zero), None, "{name}: {from:02x?}");
    }
}

#[test]
fn currencies_are_three_letters_in_upper_case() {
    for (other, holds) in
        [(b"ZZZ", true), (b"kwd", false), (b"KWd", false), (b"KW1", false), (b"KW\xc3", false), (b"KW\0", false), (b"K D", false)]
    {
        assert_eq!(with("payment_intent_created", b"KWD", other).is_some(), holds, "{other:02x?}");
    }
    assert_eq!(with("delegation_granted", b"JPY", b"JPy"), None);
    assert_eq!(with("payment_allowed", b"\x01USD", b"\x01usd"), None);
}

#[test]
fn intervals_are_one_second_to_366_days() {
    // Of the shortest period: its amount, 1, and its second.
    let period = |interval: &[u8]| with("delegation_granted_closed", b"\x01\x02\x01", &[b"\x01\x02", interval].concat());
    for (interval, holds) in [
        (&b"\x01"[..], true),
        (b"\xfc\0\x85\xe2\x01", true), // 31622400 s
        (b"\xfc\x01\x85\xe2\x01", false),
        (b"\0", false),
        // So many that milliseconds of them are no u64, and that they would come out as one second.
        (b"\xfd\xff\xff\xff\xff\xff\xff\xff\xff", false),
        (b"\xfd\x01\0\0\0\0\0\0\x20", false),
    ] {
        assert_eq!(period(interval).is_some(), holds, "{interval:02x?}");
    }
}

#[test]
fn texts_keep_their_bounds() {
    for (name, from, longest) in [
        ("payment_authorised", &b"\x05mer_1"[..], 128),
        ("offline_payment_queued", b"\x09till-7/41", 128),
        ("payment_allowed", b"\x06online", 32),
        ("payment_allowed", b"\x045812", 64),
        ("device_registered", b"\x06Till 7", 128),
        ("agent_registered", b"\x0fProcurement \xe2\x98\x82", 128),
    ] {
        assert!(with(name, from, &text(b'x', 1)).is_some(), "{name}");
        assert!(with(name, from, &text(b'x', longest)).is_some(), "{name}");
        assert_eq!(with(name, from, &text(b'x', longest + 1)), None, "{name}");
        assert_eq!(with(name, from, &text(b'x', 0)), None, "{name}");
        assert_eq!(with(name, from, &text(0xff, 2)), None, "{name}: no UTF-8");
    }
}

#[test]
fn variants_that_nobody_knows_are_none() {
    let last = |name: &str, from: &[u8], to: &[u8], beyond: &[u8]| {
        assert!(with(name, from, to).is_some(), "{name}");
        assert_eq!(with(name, from, beyond), None, "{name}");
    };
    // Behind the name of an agent its kind; behind the id of an agent its status; behind what is decided and its subject the purpose.
    last("agent_registered", b"\xe2\x98\x82\0", b"\xe2\x98\x82\x03", b"\xe2\x98\x82\x04");
    last("agent_revoked", b"\x51\x02\0", b"\x51\x02\0", b"\x51\x03\0");
    // The codes of a token, its end and the version of the rules; what came of a payment, and the version.
    last("offline_token_issued", b"\x02\x14\x15", b"\x02\x14\x1a", b"\x02\x14\x1b");
    last("offline_payment_settled", b"EUR\x03\0\0", b"EUR\x03\0\0", b"EUR\x04\0\0");
    last("payment_refused_limit_exceeded", b"USD\0\x06\x0f\0", b"USD\0\x06\x13\0", b"USD\0\x07\x0f\0");
    // The amount above which a reviewer is asked, 80000, that a device must be trusted, and what becomes of more.
    last("delegation_granted", b"\xfc\0\x71\x02\0\x01\x01\0", b"\xfc\0\x71\x02\0\0\0\0", b"\xfc\0\x71\x02\0\x01\x02\0");
    assert_eq!(with("delegation_granted", b"\xfc\0\x71\x02\0\x01\x01\0", b"\xfc\0\x71\x02\0\x02\x01\0"), None, "neither yes nor no");
}
