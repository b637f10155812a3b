//! The JSON reader and writer against slow oracles: a general library for what is JSON, and a writer in the test for
//! what is canonical.

use allowlog_proto::json::{CanonicalObject, Defect, Value};
use allowlog_proto::limits::{JSON_DEPTH_MAX, SAFE_INTEGER_MAX};
use proptest::prelude::*;
use serde_json::Value as Oracle;

/// Characters at which readers and orders differ.
const CHARACTERS: &[char] = &[
    'a',
    'b',
    'Z',
    '0',
    '/',
    '"',
    '\\',
    '\0',
    '\u{1f}',
    '\n',
    '\t',
    '\u{7f}',
    'é',
    '\u{d7ff}',
    '\u{e000}',
    '\u{ff61}',
    '\u{ffff}',
    '\u{10000}',
    '\u{1f600}',
    '\u{10ffff}',
];

fn text() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(CHARACTERS), 0..4).prop_map(|chars| chars.into_iter().collect())
}

/// Values without a defect.
fn sound() -> impl Strategy<Value = Oracle> {
    let integer = prop_oneof![-3i64..3, -SAFE_INTEGER_MAX..=SAFE_INTEGER_MAX, Just(SAFE_INTEGER_MAX), Just(-SAFE_INTEGER_MAX)];
    let leaf = prop_oneof![
        Just(Oracle::Null),
        any::<bool>().prop_map(Oracle::Bool),
        integer.prop_map(|n| Oracle::Number(n.into())),
        text().prop_map(Oracle::String),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Oracle::Array),
            prop::collection::vec((text(), inner), 0..4).prop_map(|members| Oracle::Object(members.into_iter().collect())),
        ]
    })
}

/// Objects, several of whose names are often the same.
fn members() -> impl Strategy<Value = Oracle> {
    prop::collection::btree_map(text(), sound(), 0..6).prop_map(|members| Oracle::Object(members.into_iter().collect()))
}

/// Pieces of JSON, sound and not, so that random texts get somewhere.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\n",
    "\"",
    "\"a\"",
    "\"a\":",
    "\"\\u0061\":",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\\",
    "\\u",
    "\\n",
    "0",
    "-0",
    "1",
    "01",
    "-",
    "-1",
    "1.0",
    "1e2",
    "1E+2",
    "2.",
    ".5",
    "9007199254740991",
    "9007199254740992",
    "-9007199254740992",
    "18446744073709551616",
    "true",
    "false",
    "null",
    "nul",
    "NaN",
    "é",
    "\u{1}",
    "\u{feff}",
    "//",
];

fn pieces() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(PIECES), 0..12).prop_map(|pieces| pieces.concat())
}

/// A sound text with one byte replaced, inserted or taken out.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    (sound(), any::<prop::sample::Index>(), prop::option::of(any::<u8>()), any::<bool>()).prop_map(|(value, at, byte, instead)| {
        let mut bytes = serde_json::to_vec(&value).unwrap();
        let at = at.index(bytes.len());
        let end = if instead || byte.is_none() { at + 1 } else { at };
        bytes.splice(at..end, byte);
        bytes
    })
}

/// What our value would be in the library's terms; nothing below a defect, of which the library knows none.
fn as_oracle(value: &Value) -> Option<Oracle> {
    Some(match value {
        Value::Null => Oracle::Null,
        Value::Bool(b) => Oracle::Bool(*b),
        Value::Int(n) => Oracle::Number((*n).into()),
        Value::Text(text) => Oracle::String(text.to_string()),
        Value::Array(items) => Oracle::Array(items.iter().map(as_oracle).collect::<Option<_>>()?),
        Value::Object(object) => {
            Oracle::Object(object.iter().map(|(name, v)| Some((name.to_owned(), as_oracle(v)?))).collect::<Option<_>>()?)
        }
        Value::Unsafe(_) => return None,
    })
}

/// Defects in a tree, in canonical order.
fn defects(value: &Value) -> Vec<Defect> {
    match value {
        Value::Unsafe(defect) => vec![*defect],
        Value::Array(items) => items.iter().flat_map(defects).collect(),
        Value::Object(object) => object.iter().flat_map(|(_, v)| defects(v)).collect(),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) => Vec::new(),
    }
}

/// Whether both readers agree on a text. The library differs knowingly: it refuses lone surrogates and floats beyond
/// every double, turns big integers into floats, keeps the last of two equal names and stops a level earlier.
fn agree(text: &[u8]) -> Result<(), TestCaseError> {
    let ours = Value::parse(text);
    let theirs = serde_json::from_slice::<Oracle>(text);
    let shown = String::from_utf8_lossy(text).into_owned();
    match (ours, theirs) {
        (Err(_), Err(_)) => {}
        (Err(e), Ok(_)) => prop_assert!(false, "the library reads `{}`: {}", shown, e),
        (Ok(ours), Err(e)) => {
            let found = defects(&ours);
            let theirs_alone = found.iter().any(|d| matches!(d, Defect::LoneSurrogate | Defect::Float | Defect::DuplicateName));
            prop_assert!(theirs_alone, "the library refuses `{}`: {}", shown, e);
        }
        (Ok(ours), Ok(theirs)) => match as_oracle(&ours) {
            Some(ours) => prop_assert_eq!(ours, theirs, "{}", shown),
            None => prop_assert!(!defects(&ours).contains(&Defect::LoneSurrogate), "the library would have refused `{}`", shown),
        },
    }
    Ok(())
}

/// The canonical text, written slowly: names are sorted as vectors of UTF-16 code units.
fn canonical(value: &Oracle) -> String {
    let quoted = |text: &str| {
        let chars = text.chars().map(|c| match c {
            '"' | '\\' => format!("\\{c}"),
            '\0'..='\u{1f}' => format!("\\u{:04x}", u32::from(c)),
            _ => c.to_string(),
        });
        format!("\"{}\"", chars.collect::<String>())
    };
    match value {
        Oracle::Null => "null".to_owned(),
        Oracle::Bool(b) => b.to_string(),
        Oracle::Number(n) => n.to_string(),
        Oracle::String(text) => quoted(text),
        Oracle::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Oracle::Object(members) => {
            let mut members: Vec<(Vec<u16>, String)> =
                members.iter().map(|(name, v)| (name.encode_utf16().collect(), format!("{}:{}", quoted(name), canonical(v)))).collect();
            members.sort();
            format!("{{{}}}", members.into_iter().map(|(_, member)| member).collect::<Vec<_>>().join(","))
        }
    }
}

fn written(value: &Value) -> String {
    let mut out = String::new();
    value.write_canonical("", &mut out).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn sound_texts_are_read_as_the_library_reads_them(value in sound(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let ours = Value::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(as_oracle(&ours), Some(value));
    }

    #[test]
    fn texts_of_pieces_are_judged_alike(text in pieces()) {
        agree(text.as_bytes())?;
    }

    #[test]
    fn arrays_of_pieces_are_judged_alike(text in pieces()) {
        agree(format!("[{text}]").as_bytes())?;
        agree(format!("{{\"a\":{text}}}").as_bytes())?;
        agree(format!("[\"{text}\"]").as_bytes())?;
    }

    #[test]
    fn mutated_texts_are_judged_alike(text in mutated()) {
        agree(&text)?;
    }

    #[test]
    fn the_canonical_form_is_the_slow_one(value in sound()) {
        let ours = Value::parse(&serde_json::to_vec(&value).unwrap()).unwrap();
        prop_assert_eq!(written(&ours), canonical(&value));
    }

    #[test]
    fn the_canonical_form_is_read_back(value in sound()) {
        let ours = Value::parse(&serde_json::to_vec(&value).unwrap()).unwrap();
        let text = written(&ours);
        let again = Value::parse(text.as_bytes()).unwrap();
        prop_assert_eq!(&again, &ours);
        prop_assert_eq!(written(&again), text.clone());
        if let Value::Object(object) = &ours {
            let stored = CanonicalObject::new(object, "").unwrap();
            prop_assert_eq!(stored.as_str(), text);
            prop_assert_eq!(&stored.to_object(), object);
        }
    }

    #[test]
    fn members_are_put_into_the_text_as_into_the_tree(said in members(), over in members()) {
        let object = |members: &Oracle| Value::parse(&serde_json::to_vec(members).unwrap()).unwrap().as_object().unwrap().clone();
        let (mut said, over) = (object(&said), object(&over));
        let mut text = String::new();
        CanonicalObject::new(&said, "").unwrap().write_with(&over, "", &mut text).unwrap();
        for (name, member) in over.iter() {
            said.insert(name, member.clone());
        }
        prop_assert_eq!(text, written(&Value::Object(said)));
    }

    #[test]
    fn members_are_found_under_their_names(value in sound()) {
        let Value::Object(mut object) = Value::parse(&serde_json::to_vec(&value).unwrap()).unwrap() else { return Ok(()) };
        let members: Vec<(String, Value)> = object.iter().map(|(n, v)| (n.to_owned(), v.clone())).collect();
        let mut rebuilt = allowlog_proto::json::Object::new();
        for (name, member) in members.iter().rev() {
            prop_assert_eq!(object.get(name), Some(member));
            rebuilt.insert(name, Value::Null);
            rebuilt.insert(name, member.clone());
        }
        prop_assert_eq!(&rebuilt, &object);
        for (name, member) in members {
            prop_assert_eq!(object.remove(&name), Some(member));
            prop_assert_eq!(object.get(&name), None);
        }
        prop_assert!(object.is_empty());
    }
}

#[test]
fn nesting_is_counted_in_containers() {
    let nested = |levels: usize, core: &str| format!("{}{core}{}", "[".repeat(levels), "]".repeat(levels));
    let objects = |levels: usize, core: &str| format!("{}{core}{}", "{\"a\":".repeat(levels), "}".repeat(levels));
    for core in ["", "1", "\"\"", "null"] {
        let deepest = Value::parse(nested(JSON_DEPTH_MAX, core).as_bytes()).unwrap();
        assert_eq!(deepest.depth(), JSON_DEPTH_MAX);
        assert!(Value::parse(nested(JSON_DEPTH_MAX + 1, core).as_bytes()).is_err(), "`{core}`");
    }
    for core in ["{}", "[]"] {
        assert!(Value::parse(objects(JSON_DEPTH_MAX - 1, core).as_bytes()).is_ok());
        assert!(Value::parse(objects(JSON_DEPTH_MAX, core).as_bytes()).is_err());
    }
    assert!(Value::parse(objects(JSON_DEPTH_MAX, "1").as_bytes()).is_ok());
    // Siblings do not add up.
    assert!(Value::parse(format!("[{}]", vec!["[[]]"; 1000].join(",")).as_bytes()).is_ok());
}

#[test]
fn the_library_and_this_reader_part_where_it_is_written() {
    let parts = |text: &str| (Value::parse(text.as_bytes()).is_ok(), serde_json::from_str::<Oracle>(text).is_ok());
    assert_eq!(parts("\"\\ud800\""), (true, false), "a lone surrogate is kept as a defect, so that its path can be named");
    assert_eq!(parts("1e400"), (true, false), "a float is a float, however large");
    assert_eq!(parts("{\"a\":1,\"a\":2}"), (true, true));
    let levels = format!("{}{}", "[".repeat(JSON_DEPTH_MAX), "]".repeat(JSON_DEPTH_MAX));
    assert_eq!(parts(&levels), (true, false), "the library stops a level earlier");
}

#[test]
fn what_follows_a_lone_surrogate_is_read_on_its_own() {
    for (text, read) in [
        (r#""\ud83d\"""#, true),
        (r#""\ud83d\n\\""#, true),
        (r#""\ud83d\u0041""#, true),
        (r#""\ud83d\ud83d\ude00""#, true),
        (r#""\ud83d\x""#, false),
        (r#""\ud83d\u00""#, false),
        (r#""\ud83d\""#, false),
        (r#""\ud83d"a""#, false),
    ] {
        let found = Value::parse(text.as_bytes());
        assert_eq!(found.ok(), read.then_some(Value::Unsafe(Defect::LoneSurrogate)), "{text}");
    }
}
