//! Bodies of the Allowly API: what is taken, and every field that is refused under its path.

mod admin;
mod affixio;
mod authorizations;
mod bundles;
mod check;
mod check_batch;
mod conditions;
mod confirmations;
mod escalations;
mod page;
mod receipts;
mod schemas;
mod tombstones;

use allowlog_proto::api::envelope::FieldError;
use allowlog_proto::json::{CanonicalObject, Value};
use utoipa::ToSchema;

use self::schemas::agreed;

fn json(text: &str) -> Value {
    Value::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{e}: {text}"))
}

/// The fields at fault, in the order of the answer.
fn fields<T: std::fmt::Debug>(parsed: Result<T, Vec<FieldError>>) -> Vec<String> {
    match parsed {
        Ok(_) => Vec::new(),
        Err(errors) => {
            assert!(errors.iter().all(|e| !e.message.is_empty() && !e.message.ends_with('.')), "{errors:?}");
            errors.into_iter().map(|e| e.field).collect()
        }
    }
}

/// Runs a table of a body and the fields it is refused for; none means that it is taken.
fn table<T: std::fmt::Debug + ToSchema>(parse: impl Fn(&Value) -> Result<T, Vec<FieldError>>, rows: &[(&str, &[&str])]) {
    let mut wrong = Vec::new();
    for (body, expected) in rows {
        let found = fields(agreed(body, &parse));
        if found != *expected {
            wrong.push(format!("{body:.300}\n    expected {expected:?}\n    found    {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// A body of the members of `base` with `changed` put over them; a member `"-"` is taken out.
fn with(base: &str, changed: &str) -> String {
    let Value::Object(mut body) = json(base) else { panic!("an object: {base}") };
    for (name, value) in json(changed).as_object().unwrap().iter() {
        if value.as_text() == Some("-") {
            body.remove(name);
        } else {
            body.insert(name, value.clone());
        }
    }
    CanonicalObject::new(&body, "").unwrap().as_str().to_owned()
}

/// What cannot be signed, as the text of a value, and where it is below the value.
const DEFECTS: &[(&str, &str)] = &[
    ("1.0", ""),
    ("1e2", ""),
    ("-0", ""),
    ("9007199254740992", ""),
    ("-9007199254740992", ""),
    ("99999999999999999999999999", ""),
    ("\"\\ud800\"", ""),
    ("[0,1.5]", "[1]"),
    ("{\"b\":[{\"c\":\"\\udfff\"}]}", ".b[0].c"),
    ("{\"b\":1,\"b\":1}", ".b"),
    ("{\"b\":1,\"\\u0062\":1}", ".b"),
    ("{\"\\ud800\":1}", ".\"\\ud800\""),
];
