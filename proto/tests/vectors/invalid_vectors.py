"""Receipts that do not verify: each has one fault, but for those that show which of two is reported."""

import json

from generate import (
    KEY,
    OLD,
    ORDER,
    ROTATED,
    STRANGER,
    any_id,
    altered,
    check,
    create,
    event,
    in_context,
    raw,
    resolve,
    revoke,
    sealed,
    signature,
    unknown,
    unpadded,
    vector,
    without,
)
from reference import REQUIRED, base64url, canonical


def write():
    versions_and_workspaces()
    shapes()
    types()
    signatures_that_are_none()
    policy_evals()
    pairings()
    times()
    what_cannot_be_signed()
    keys()
    altered_bytes()
    other_canonical_forms()
    precedence()
    unreadable()


def versions_and_workspaces():
    code = "unsupported_version"
    vector("version_1_1", code, sealed(check(version="1.1")), "another version")
    vector("version_missing", code, sealed(without(check(), "version")), "no version is no version 1.0")
    vector("version_number", code, raw(check(), ('"1.0"', "1.0")), "the version is a string")
    vector("version_twice", code, raw(check(), ('"version":"1.0"', '"version":"1.0","version":"1.0"')), "given twice, even if equal")
    vector("not_an_object", code, "[" + canonical(sealed(check())) + "]", "an array is no receipt")
    vector("null", code, "null", "null is no receipt")
    vector("envelope", code, {"status": "signed", "receipt": sealed(check())}, "the envelope has to be taken off first")
    code = "wrong_workspace"
    other = any_id("ws_", "another workspace")
    vector("workspace_of_another", code, sealed(check()), "genuine, but of another workspace", workspace=other)
    vector("workspace_missing", code, sealed(without(check(), "workspace_id")), "no workspace is not the expected one", workspace=other)


def shapes():
    code = "unknown_field"
    vector("field_extra", code, sealed(check(extra=None)), "one extra top-level field, even null")
    vector("field_of_the_later_form", code, sealed({**without(check(), "scope"), "action": "email.send"}), "the later form renamed its fields")
    vector("field_name_in_capitals", code, sealed(check(Scope="email.send")), "names are exact")
    vector("field_name_lone_surrogate", code, raw(check(a="@"), ('"a"', '"\\ud800"')), "such a name is none of a receipt's")
    vector("signature_extra_member", code, sealed(check(), note=""), "the signature has exactly three members")
    for name in REQUIRED[1:-1]:
        vector(f"missing_{name}", "missing_field", sealed(without(check(), name)), f"`{name}` is always there")
    vector("missing_signature", "missing_field", check(), "a receipt that was not signed")


def types():
    code = "wrong_type"
    for name in ["receipt_id", "workspace_id", "issued_at", "decision", "reason", "user_id", "agent_id", "policy_version", "scope"]:
        vector(f"type_{name}_null", code, sealed(check(**{name: None})), f"`{name}` is a string")
    vector("type_event_null", code, sealed(check(event=None)), "absent, not null")
    vector("type_resource_number", code, sealed(check(resource=7)), "a string or null")
    vector("type_resource_float", code, raw(check(resource="@"), ('"@"', "1.0")), "a string or null")
    vector("type_authorization_id_false", code, sealed(check(authorization_id=False)), "a string or null")
    vector("type_context_null", code, sealed(check(context=None)), "an object")
    vector("type_context_array", code, sealed(check(context=[])), "an object")
    vector("type_policy_eval_null", code, sealed(check(policy_eval=None)), "absent or an object")
    vector("type_policy_eval_array", code, sealed(check(policy_eval=[])), "absent or an object")
    vector("type_signature_string", code, check(signature=signature(canonical(check()))["value"]), "an object")
    vector("type_signature_null", code, check(signature=None), "an object")
    for name in ["alg", "key_id", "value"]:
        vector(f"type_signature_{name}_missing", code, check(signature=without(signature(canonical(check())), name)), "all three members")
        vector(f"type_signature_{name}_number", code, sealed(check(), **{name: 1}), "strings")
    twice = raw(check(), ('"decision":"allow"', '"decision":"allow","decision":"allow"'))
    vector("type_decision_twice", code, twice, "what is given twice is of no type")
    vector("type_context_twice", code, raw(check(context={}), ('"context":{}', '"context":{},"context":{}')), "given twice")
    twice = canonical(sealed(check())).replace('"alg":"Ed25519"', '"alg":"Ed25519","alg":"Ed25519"')
    vector("type_signature_alg_twice", code, twice, "given twice")
    vector("type_user_id_lone_surrogate", code, raw(check(user_id="@"), ('"@"', '"\\udc00"')), "no string of Unicode")


def signatures_that_are_none():
    good = base64url(signature(canonical(check()))["value"])

    def with_value(value):
        return sealed(check(), value=value)

    code = "malformed_signature"
    text = unpadded(good)
    vector("signature_padded", code, with_value(text + "=="), "no padding")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    loose = text[:-1] + last[last.index(text[-1]) | 1]
    vector("signature_trailing_bits", code, with_value(loose), "the last character has bits that belong to no byte")
    vector("signature_63_bytes", code, with_value(unpadded(good[:63])), "a byte short")
    vector("signature_65_bytes", code, with_value(unpadded(good + b"\0")), "a byte long")
    vector("signature_empty", code, with_value(""), "no bytes at all")
    vector("signature_plus_and_slash", code, with_value("+/" + text[2:]), "the other base64 alphabet")
    vector("signature_with_space", code, with_value(text[:40] + " " + text[40:]), "white space within")
    vector("signature_with_newline", code, with_value(text + "\n"), "white space behind")
    vector("signature_hex", code, with_value(good.hex()), "hexadecimal decodes to another length")


def policy_evals():
    code = "malformed_policy_eval"
    whole = {"matched_condition": None, "field_value": None}
    vector("policy_eval_empty", code, sealed(check(policy_eval={})), "both members are always there")
    for name in whole:
        vector(f"policy_eval_without_{name}", code, sealed(check(policy_eval=without(whole, name))), "both members are always there")
    vector("policy_eval_extra_member", code, sealed(check(policy_eval={**whole, "note": None})), "no other member")


def pairings():
    code = "scope_or_event"
    vector("scope_and_event", code, sealed(check(event="authorization.create")), "both")
    vector("neither_scope_nor_event", code, sealed(without(check(), "scope")), "neither")
    code = "pairing"
    for decision in ["authorization_granted", "authorization_revoked", "escalation_approved", "Allow", ""]:
        name = decision.lower().replace(".", "_") or "empty"
        if decision == "Allow":
            name = "in_capitals"
        vector(f"check_decision_{name}", code, sealed(check(decision=decision)), "not a decision of a check")
    vector("check_without_authorization", code, sealed(check(authorization_id=None)), "null only where the check matched nothing")
    vector("check_not_found_with_authorization", code, sealed(unknown(authorization_id=any_id("auth_", "grant"))), "matched nothing, yet names it")
    for decision in ["allow", "confirm", "escalate"]:
        vector(f"check_not_found_but_{decision}", code, sealed(unknown(decision=decision)), "what matched nothing is denied")
    for decision in ["authorization_revoked", "escalation_approved", "allow", "deny"]:
        vector(f"create_decision_{decision}", code, sealed(create(decision=decision)), "not the decision of a create")
    for decision in ["authorization_granted", "escalation_rejected", "deny"]:
        vector(f"revoke_decision_{decision}", code, sealed(revoke(decision=decision)), "not the decision of a revoke")
    for decision in ["authorization_granted", "escalate", "escalation_pending"]:
        vector(f"resolve_decision_{decision}", code, sealed(resolve(decision=decision)), "not a decision of a resolution")
    unheard = event("authorization.update", "authorization_granted", "user_approved_via_customer_ui")
    vector("event_unheard_of", code, sealed(unheard), "no such event")
    for name, receipt in [("create", create), ("revoke", revoke), ("resolve", resolve)]:
        vector(f"{name}_without_authorization", code, sealed(receipt(authorization_id=None)), "an event belongs to an authorization")
        whole = {"matched_condition": None, "field_value": None}
        vector(f"{name}_with_policy_eval", code, sealed(receipt(policy_eval=whole)), "`policy_eval` is of checks only")
    vector("create_with_resource", code, sealed(create(resource="r")), "null on a create")
    vector("revoke_with_resource", code, sealed(revoke(resource="")), "null on a revoke, and the empty string is not null")


def times():
    vector("alg_es256", "unsupported_alg", sealed(check(), alg="ES256"), "another algorithm")
    vector("alg_lower_case", "unsupported_alg", sealed(check(), alg="ed25519"), "the spelling is exact")
    code = "malformed_issued_at"
    for name, text, why in [
        ("without_offset", "2026-11-23T11:59:59.500", "an offset is needed"),
        ("date_only", "2026-11-23", "a date is no instant"),
        ("with_space", "2026-11-23 11:59:59Z", "`T` between date and time"),
        ("without_seconds", "2026-11-23T11:59Z", "seconds are needed"),
        ("30_february", "2026-02-30T00:00:00Z", "no such day"),
        ("hour_24", "2026-11-22T24:00:00Z", "no such hour"),
        ("offset_without_minutes", "2026-11-23T11:59:59+00", "no such offset"),
        ("offset_24_h", "2026-11-23T11:59:59+24:00", "no such offset"),
        ("empty_fraction", "2026-11-23T11:59:59.Z", "a point without digits"),
        ("unix_time", "1795435199", "no date"),
        ("full_width_digits", "\uff12026-11-23T11:59:59Z", "digits of ASCII only"),
        ("zone_name", "2026-11-23T11:59:59Z[UTC]", "nothing behind the offset"),
        ("leading_space", " 2026-11-23T11:59:59Z", "nothing before the date"),
    ]:
        vector(f"issued_at_{name}", code, sealed(check(issued_at=text)), why)
    code = "issued_in_future"
    vector("issued_5_min_1_ms_ahead", code, sealed(check(issued_at="2026-11-23T12:05:00.001Z")), "a millisecond too far ahead")
    vector("issued_5_min_1_ns_ahead", code, sealed(check(issued_at="2026-11-23T12:05:00.000000001Z")), "a nanosecond too far ahead")
    vector("issued_ahead_by_offset", code, sealed(check(issued_at="2026-11-23T12:00:00.000-01:00")), "13:00 in UTC")
    vector("issued_in_the_last_year", code, sealed(check(issued_at="9999-12-31T23:59:59.999Z")), "the last instant there is")


def what_cannot_be_signed():
    code = "not_canonical"
    for name, text, why in [
        ("float_1_0", "1.0", "1.0 is a float here and an integer to JavaScript"),
        ("float_1e2", "1e2", "an exponent makes a float"),
        ("float_1e0_in_capitals", "1E0", "an exponent makes a float"),
        ("float_0_0", "0.0", "a float"),
        ("float_huge", "1e400", "a float beyond every double"),
        ("minus_zero", "-0", "minus zero is no integer"),
        ("minus_zero_float", "-0.0", "a float"),
        ("integer_2_53", "9007199254740992", "one beyond the safe integers"),
        ("integer_minus_2_53", "-9007199254740992", "one beyond the safe integers"),
        ("integer_beyond_64_bits", "123456789012345678901234567890", "far beyond"),
        ("lone_high_surrogate", '"\\ud83d"', "half a character"),
        ("lone_low_surrogate", '"\\ude00"', "half a character"),
        ("surrogates_in_the_wrong_order", '"\\ude00\\ud83d"', "no character"),
        ("surrogate_before_a_pair", '"\\ud83d\\ud83d\\ude00"', "half a character before a whole one"),
        ("surrogate_before_another_escape", '"\\ud83d\\u0041"', "half a character"),
        ("lone_surrogate_in_an_array", '["a",["\\ud83d"]]', "at any depth"),
        ("lone_surrogate_in_a_name", '{"\\ud83d":1}', "in a name as in a value"),
        ("name_twice", '{"a":1,"a":1}', "given twice, even if equal"),
        ("name_twice_in_escapes", '{"a":1,"\\u0061":2}', "the same name in another spelling"),
        ("name_twice_deeply", '[{"b":{"a":1,"c":2,"a":3}}]', "at any depth"),
    ]:
        vector(name, code, in_context(text), why)
    twice = raw(check(context={"x": 1, "z": 1}), ('"z"', '"x"'))
    vector("name_twice_in_the_context", code, twice, "given twice in the context itself")
    whole = {"matched_condition": None, "field_value": "@"}
    vector("float_in_policy_eval", code, raw(check(policy_eval=whole), ('"@"', "0.5")), "not only the context is signed")
    twice = raw(check(policy_eval={**whole, "field_value": None}), ('"field_value":null', '"field_value":null,"field_value":null'))
    vector("name_twice_in_policy_eval", code, twice, "the two members, one of them twice")


def keys():
    vector("key_unknown", "unknown_key", sealed(check(), STRANGER), "a key the document does not name")
    vector("key_of_another_algorithm", "unknown_key", sealed(check(), key_id="key_of_another_algorithm"), "no Ed25519 key of this id")
    vector("key_id_in_lower_case", "unknown_key", sealed(check(), key_id=KEY.key_id.lower()), "ids are exact")
    code = "inactive_key"
    vector("issued_at_active_until", code, sealed(check(issued_at=ROTATED), OLD), "`active_until` is exclusive")
    vector("issued_after_active_until", code, sealed(check(), OLD), "a retired key signs nothing new")
    early = check(issued_at="2026-05-31T23:59:59.999Z")
    vector("issued_1_ms_before_active_from", code, sealed(early), "a millisecond too early for the key")
    vector("issued_before_every_key", code, sealed(check(issued_at="1969-12-31T23:59:59Z"), OLD), "before the epoch is an instant too")


def altered_bytes():
    code = "bad_signature"
    for name, text in [
        ("receipt_id", any_id("rcp_", "another")),
        ("workspace_id", any_id("ws_", "another")),
        ("issued_at", "2026-11-23T11:59:59.501Z"),
        ("scope", "email.senD"),
        ("decision", "deny"),
        ("reason", "authorization_granted_via_confirmation"),
        ("user_id", "user_2"),
        ("agent_id", "agent_2"),
        ("resource", None),
        ("context", {"amount": 13, "session_id": "s-1"}),
        ("authorization_id", any_id("auth_", "another")),
        ("policy_version", "2026-11-23.2"),
        ("policy_eval", {"matched_condition": None, "field_value": None}),
    ]:
        vector(f"altered_{name}", code, altered(check(), **{name: text}), f"`{name}` was changed after signing")
    vector("altered_context_emptied", code, altered(check(), context={}), "members were taken out after signing")
    vector("altered_same_instant", code, altered(check(), issued_at="2026-11-23T11:59:59.5Z"), "the text is signed, not the instant")
    whole = {"matched_condition": None, "field_value": None}
    vector("altered_policy_eval_removed", code, without(altered(check(policy_eval=whole)), "policy_eval"), "it was signed with one")
    changed = without(altered(revoke(), event="escalation.resolve", decision="escalation_approved"), "scope")
    vector("altered_event", code, changed, "another event with its decision")
    good = signature(canonical(check()))
    for at in [0, 40, 63]:
        broken = bytearray(base64url(good["value"]))
        broken[at] ^= 1
        vector(f"altered_signature_byte_{at}", code, sealed(check(), value=unpadded(bytes(broken))), "one bit of the signature")
    whole = base64url(good["value"])
    again = (int.from_bytes(whole[32:], "little") + ORDER).to_bytes(32, "little")
    vector("signature_not_reduced", code, sealed(check(), value=unpadded(whole[:32] + again)), "S beyond the group order is refused by RFC 8032")
    vector("signature_of_zeros", code, sealed(check(), value=unpadded(bytes(64))), "64 bytes, but no signature")
    forged = {**check(), "signature": signature(canonical(check()), STRANGER, key_id=KEY.key_id)}
    vector("signed_by_a_stranger", code, forged, "the id of a known key over another's signature")


def other_canonical_forms():
    code = "bad_signature"

    def signed_as(receipt, text):
        return {**receipt, "signature": signature(text)}

    names = check(context={"\uff61": 1, "\U0001f600": 2})
    by_code_point = canonical(names).replace('"\U0001f600":2,"\uff61":1', '"\uff61":1,"\U0001f600":2')
    vector("signed_by_code_point_order", code, signed_as(names, by_code_point), "names by code point, not by UTF-16")
    line = check(context={"x": "a\nb"})
    vector("signed_with_short_escapes", code, signed_as(line, canonical(line).replace("\\u000a", "\\n")), "`\\n` instead of `\\u000a`")
    vector("signed_with_upper_case_hex", code, signed_as(line, canonical(line).replace("\\u000a", "\\u000A")), "hexadecimal in capitals")
    accent = check(context={"x": "\u00e9"})
    vector("signed_as_ascii", code, signed_as(accent, canonical(accent).replace("\u00e9", "\\u00e9")), "what need not be escaped is not")
    delete = check(context={"x": "\x7f"})
    vector("signed_with_delete_escaped", code, signed_as(delete, canonical(delete).replace("\x7f", "\\u007f")), "U+007F is no control character here")
    vector("signed_with_spaces", code, signed_as(check(), json.dumps(check(), sort_keys=True)), "white space")
    vector("signed_unsorted", code, signed_as(check(), json.dumps(check(), separators=(",", ":"))), "names in another order")
    vector("signed_with_newline", code, signed_as(check(), canonical(check()) + "\n"), "a newline behind the object")
    with_signature = canonical(sealed(check(), value=""))
    vector("signed_with_signature_member", code, signed_as(check(), with_signature), "the signature is taken out, not emptied")


def precedence():
    """Each has two faults that stand next to each other in the order of the checks: the earlier is reported."""
    other = any_id("ws_", "another workspace")
    short = "AA"
    whole = {"matched_condition": None, "field_value": None}
    vector("order_version_workspace", "unsupported_version", sealed(check(version="2")), "before the workspace", workspace=other)
    vector("order_workspace_unknown_field", "wrong_workspace", sealed(check(extra=1)), "before unknown fields", workspace=other)
    vector("order_unknown_missing_field", "unknown_field", sealed(without(check(extra=1), "reason")), "before missing fields")
    vector("order_missing_field_type", "missing_field", sealed(without(check(decision=1), "reason")), "before types")
    vector("order_type_signature_member", "wrong_type", sealed(check(decision=1), note=""), "before other members of the signature")
    vector("order_signature_member_missing", "wrong_type", sealed(check(), note="", key_id=None), "a member too few before one too many")
    vector("order_type_signature", "wrong_type", sealed(check(agent_id=1), value=short), "before the encoding of the signature")
    vector("order_type_policy_eval", "wrong_type", sealed(check(policy_eval=[], scope=7)), "before the shape of `policy_eval`")
    vector("order_signature_policy_eval", "malformed_signature", sealed(check(policy_eval={}), value=short), "before `policy_eval`")
    both = check(policy_eval={}, event="authorization.create")
    vector("order_policy_eval_scope_or_event", "malformed_policy_eval", sealed(both), "before scope and event")
    neither = without(check(decision="maybe"), "scope")
    vector("order_scope_or_event_pairing", "scope_or_event", sealed(neither), "before the pairing")
    vector("order_pairing_alg", "pairing", sealed(check(decision="maybe"), alg="none"), "before the algorithm")
    vector("order_alg_issued_at", "unsupported_alg", sealed(check(issued_at="now"), alg="none"), "before the time")
    late = raw(check(issued_at="now", context={"x": "@"}), ('"@"', "1.0"))
    vector("order_issued_at_canonical", "malformed_issued_at", late, "before the canonical bytes")
    late = raw(check(issued_at="2027-01-01T00:00:00Z", context={"x": "@"}), ('"@"', "1.0"))
    vector("order_issued_ahead_canonical", "issued_in_future", late, "before the canonical bytes")
    text = in_context("1.0").replace(KEY.key_id, STRANGER.key_id)
    vector("order_canonical_unknown_key", "not_canonical", text, "before the key")
    vector("order_unknown_key_signature", "unknown_key", sealed(check(), STRANGER, value=unpadded(bytes(64))), "before the signature")
    vector("order_inactive_key_signature", "inactive_key", sealed(check(), OLD, value=unpadded(bytes(64))), "before the signature")
    first_and_last = altered(sealed(check(policy_eval=whole)), version="9", user_id="user_2")
    vector("order_first_last", "unsupported_version", first_and_last, "the first of all before the last of all")


def unreadable():
    """Texts that are not JSON: they get no code of the verifier."""
    good = canonical(sealed(check()))
    for name, text, why in [
        ("unreadable_empty", "", "nothing"),
        ("unreadable_cut_off", good[:-1], "the last brace is missing"),
        ("unreadable_two_receipts", good + good, "one text holds one receipt"),
        ("unreadable_trailing_comma", good[:-1] + ",}", "a comma before the brace"),
        ("unreadable_nan", in_context("NaN"), "no number of JSON"),
        ("unreadable_leading_zero", in_context("01"), "no number of JSON"),
        ("unreadable_single_quotes", in_context("'a'"), "no string of JSON"),
        ("unreadable_byte_order_mark", "\ufeff" + good, "a byte order mark"),
        ("unreadable_control_character", in_context('"\n"'), "control characters are escaped in a string"),
        ("unreadable_too_deep", in_context("[" * 127 + "]" * 127), "129 levels; a reader stops behind 128"),
        ("unreadable_far_too_deep", in_context("[" * 3000 + "]" * 3000), "a reader must not run out of stack"),
    ]:
        vector(name, "unreadable", text, why)
