//! Names of members in both spellings: `agentId` is `agent_id`.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use compact_str::CompactString;

use crate::json::{Defect, Object, Value};

/// Members whose insides are the caller's own: nothing in them is spelt anew.
const FREE_FORM: [&str; 3] = ["attestation", "context", "metadata"];

/// The body with every name as `snake_case`. Where both spellings of a name say something else, nothing that could be read stands there,
/// as where a name is given twice.
pub(super) fn snake_case(body: &Value) -> Value {
    match body {
        Value::Object(object) => {
            let mut members: BTreeMap<CompactString, Value> = BTreeMap::new();
            for (name, value) in object.iter() {
                let value = if FREE_FORM.contains(&name) { value.clone() } else { snake_case(value) };
                match members.entry(respelt(name)) {
                    Entry::Vacant(place) => drop(place.insert(value)),
                    Entry::Occupied(mut place) => {
                        // A `null` says nothing, so it contradicts nothing.
                        if *place.get() == Value::Null {
                            place.insert(value);
                        } else if value != Value::Null && *place.get() != value {
                            place.insert(Value::Unsafe(Defect::DuplicateName));
                        }
                    }
                }
            }
            Value::Object(Object::from_members(members.into_iter().collect()))
        }
        Value::Array(items) => Value::Array(items.iter().map(snake_case).collect()),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::Unsafe(_) => body.clone(),
    }
}

/// `agentId` and `agentID` as `agent_id`; a name that does not begin as such names do is left as it is.
fn respelt(name: &str) -> CompactString {
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return name.into();
    }
    let mut out = CompactString::default();
    let mut was_upper = true;
    for c in name.chars() {
        let is_upper = c.is_ascii_uppercase();
        if is_upper && !was_upper {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
        was_upper = is_upper;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respelt(text: &str) -> String {
        let Value::Object(object) = snake_case(&Value::parse(text.as_bytes()).unwrap()) else { panic!("an object") };
        let mut out = String::new();
        match crate::json::write_object(&object, "", &mut out) {
            Ok(()) => out,
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn both_spellings_are_one() {
        for (given, expected) in [
            (r#"{"agentId":1}"#, r#"{"agent_id":1}"#),
            (r#"{"agent_id":1}"#, r#"{"agent_id":1}"#),
            (r#"{"agentID":1,"notBefore":2}"#, r#"{"agent_id":1,"not_before":2}"#),
            (r#"{"agentId":1,"agent_id":1}"#, r#"{"agent_id":1}"#),
            (r#"{"agentId":1,"agent_id":null}"#, r#"{"agent_id":1}"#),
            (r#"{"agentId":null,"agent_id":1}"#, r#"{"agent_id":1}"#),
            (r#"{"agentId":1,"agent_id":2}"#, "`agent_id` is given more than once"),
            (r#"{"agentId":[],"agent_id":["a"]}"#, "`agent_id` is given more than once"),
            (r#"{"agentId":1,"agent_id":2,"agentID":2}"#, "`agent_id` is given more than once"),
            (r#"{"paymentIntent":{"merchantId":"M_m"}}"#, r#"{"payment_intent":{"merchant_id":"M_m"}}"#),
            (r#"{"transactions":[{"clientRef":"aB"}]}"#, r#"{"transactions":[{"client_ref":"aB"}]}"#),
            (
                r#"{"metadata":{"aB":1,"a_b":2},"context":{"aB":1},"attestation":[{"aB":1}]}"#,
                r#"{"attestation":[{"aB":1}],"context":{"aB":1},"metadata":{"aB":1,"a_b":2}}"#,
            ),
            (r#"{"AgentId":1,"_aB":2,"":3,"é":4}"#, r#"{"":3,"AgentId":1,"_aB":2,"é":4}"#),
        ] {
            assert_eq!(respelt(given), expected, "{given}");
        }
    }
}
