//! Static constraints: limits that need nothing but the request.

use allowlog_proto::api::allowly::CheckBody;
use allowlog_proto::event::Constraints;
use allowlog_proto::json::Value;
use allowlog_proto::text::Pattern;

/// Whether the request stays within the limits that need nothing else. An unknown fact never passes.
pub(super) fn hold(constraints: &Constraints, body: &CheckBody) -> bool {
    let resource = constraints
        .resource_pattern
        .as_ref()
        .is_none_or(|pattern| body.resource.as_ref().is_some_and(|resource| matches(pattern, resource.as_str())));
    let initiated_by = body.facts.get("initiated_by").and_then(Value::as_text);
    let initiator = constraints
        .allowed_initiators
        .as_ref()
        .is_none_or(|allowed| initiated_by.is_some_and(|by| allowed.iter().any(|one| one.as_str() == by)));
    resource && initiator
}

/// `*` matches any run of characters, none included, and every other character itself.
fn matches(pattern: &Pattern, text: &str) -> bool {
    let Some((head, rest)) = pattern.as_str().split_once('*') else { return pattern.as_str() == text };
    let Some(mut text) = text.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    // Taking each piece where it first occurs leaves the most for those behind it, so no other way need be tried.
    for piece in middle.split('*') {
        match text.split_once(piece) {
            Some((_, behind)) => text = behind,
            None => return false,
        }
    }
    text.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_match_runs() {
        for (pattern, text, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "a/b", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "abc", true),
            ("a*b*c", "acb", false),
            ("a**c", "abc", true),
            ("*b*b*", "b", false),
            ("mail:*@example.com", "mail:bob@example.com", true),
            ("mail:*@example.com", "mail:bob@example.com.evil", false),
            ("*é*", "café!", true),
            ("A*", "a", false),
        ] {
            assert_eq!(matches(&Pattern::new(pattern).unwrap(), text), expected, "{pattern} {text}");
        }
    }
}
