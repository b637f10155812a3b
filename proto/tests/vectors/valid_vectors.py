"""Receipts that verify."""

import json

from generate import OLD, ROTATED, WORKSPACE, any_id, check, create, in_context, raw, resolve, revoke, sealed, unknown, vector


def write():
    checks()
    events()
    times_and_keys()
    canonical_bytes()


def checks():
    vector("check_allow", "valid", sealed(check()), "an allowed check")
    denied = check(decision="deny", reason="authorization_expired", resource=None, context={})
    vector("check_deny_without_resource", "valid", sealed(denied), "`resource` may be null and `context` empty")
    vector("check_confirm", "valid", sealed(check(decision="confirm", reason="scope_requires_user_confirmation")), "a confirm")
    asked = {"id": any_id("esc_", "escalation"), "event": "requested", "status": "pending", "scope": "email.send", "escalation_to": None}
    escalated = check(decision="escalate", reason="escalation_required", context={"escalation": asked})
    vector("check_escalate", "valid", sealed(escalated), "an escalate names its question in the context")
    vector("check_unknown_authorization", "valid", sealed(unknown()), "the one receipt whose `authorization_id` is null")
    vector("check_reason_of_a_later_version", "valid", sealed(check(reason="a_reason_of_tomorrow")), "reasons are not judged")
    budget = {"limit_micros": 100, "spent_micros": 40, "estimated_cost_micros": 5, "spent_after_micros": 45}
    vector("check_with_budget", "valid", sealed(check(context={"budget": budget})), "members of the context are not judged")
    nothing = {"matched_condition": None, "field_value": None}
    vector("policy_eval_nothing_fired", "valid", sealed(check(policy_eval=nothing)), "both members null")
    fired = {"matched_condition": {"field": "amount", "op": "gt", "value": 10}, "field_value": 12}
    denied = check(decision="deny", reason="deny_condition_matched", policy_eval=fired)
    vector("policy_eval_fired", "valid", sealed(denied), "a condition and the value it saw")
    token = {"consent_id": any_id("cr_", "consent"), "token_id": any_id("tok_", "token"), "token_expires_at": "2026-11-23T12:59:59.000Z"}
    verified = check(scope="consent.verify", resource=None, agent_id=any_id("ag_", "agent"), context=token)
    vector("consent_verify", "valid", sealed(verified), "a token of a consent was verified: a check like any other")
    denied = {**verified, "decision": "deny", "reason": "authorization_revoked"}
    vector("consent_verify_revoked", "valid", sealed(denied), "a token of a consent that was taken back")
    vector("workspace_as_expected", "valid", sealed(check()), "the expected workspace", workspace=WORKSPACE)


def events():
    constraints = {"max_per_day": 5, "resource_pattern": "mailto:*", "allowed_domains": []}
    context = {
        "scopes": [{"name": "email.send", "constraints": constraints}, "calendar.read"],
        "requires_confirm_for": ["email.send"],
        "requires_escalation_for": ["calendar.read"],
        "escalation_targets": {"calendar.read": "finance"},
        "expires_at": "2027-01-01T00:00:00.000Z",
        "replaces": any_id("auth_", "predecessor"),
        "ticket": {"no": 7},
    }
    vector("create_full", "valid", sealed(create(context=context)), "a create with constraints and metadata")
    vector("create_minimal", "valid", sealed(create()), "a create")
    context = {"scopes": ["email.send", "files.delete"], "consent_id": any_id("cr_", "consent")}
    consented = create(agent_id=any_id("ag_", "agent"), context=context)
    vector("create_by_consent", "valid", sealed(consented), "a consent's grant: it has no end")
    context = {"revoked_by": "end_user", "consent_id": any_id("cr_", "consent")}
    vector("revoke_of_a_consent", "valid", sealed(revoke(agent_id=any_id("ag_", "agent"), context=context)), "a person took a consent back")
    vector("revoke", "valid", sealed(revoke()), "a revoke")
    context = {"revoked_by": "superseded", "superseded_by": any_id("auth_", "successor"), "notes": "renewed"}
    superseded = revoke(reason="superseded_by_new_authorization", context=context)
    vector("revoke_superseded", "valid", sealed(superseded), "a revoke in favour of another")
    vector("resolve_approved", "valid", sealed(resolve(resource="invoice:7")), "a resolution may have a resource")
    vector("resolve_rejected", "valid", sealed(resolve("rejected")), "a resolution may have none")


def times_and_keys():
    vector("issued_at_active_from", "valid", sealed(check(issued_at=ROTATED)), "`active_from` is inclusive")
    last = check(issued_at="2026-05-31T23:59:59.999Z")
    vector("issued_1_ms_before_active_until", "valid", sealed(last, OLD), "the last millisecond of a retired key")
    vector("retired_key", "valid", sealed(check(issued_at="2026-03-01T00:00:00.000Z"), OLD), "a retired key stays good for its window")
    ahead = check(issued_at="2026-11-23T12:05:00.000Z")
    vector("issued_5_min_ahead", "valid", sealed(ahead), "five minutes ahead are allowed, exactly")
    vector("issued_at_with_offset", "valid", sealed(check(issued_at="2026-11-23T13:59:59.500+02:00")), "any offset, and the text is signed as it is")
    behind = check(issued_at="2026-11-23T06:35:00.000-05:30")
    vector("issued_at_behind_utc", "valid", sealed(behind), "12:05 in UTC: the offset is subtracted")
    vector("issued_at_without_fraction", "valid", sealed(check(issued_at="2026-11-23T11:59:59Z")), "a fraction may be missing")
    vector("issued_at_nanoseconds", "valid", sealed(check(issued_at="2026-05-31T23:59:59.999999999Z"), OLD), "nanoseconds count")
    vector("issued_at_lower_case", "valid", sealed(check(issued_at="2026-11-23t11:59:59.5z")), "RFC 3339 allows `t` and `z`")


def canonical_bytes():
    names = {"\uff61": 1, "\U0001f600": 2, "z": 3, "\ud7ff": 4, "\ue000": 5, "": 6, "Z": 7, "a": 8, "aa": 9}
    vector("names_by_utf16", "valid", sealed(check(context=names)), "U+1F600 is D83D DE00 in UTF-16 and sorts before U+E000 and U+FF61")
    pairs = {"\U0001f600": 1, "\U0001f601": 2, "\U00010000": 3, "\U0010ffff": 4, "a\uff61": 5, "a\U0001f600": 6}
    vector("names_beyond_the_first_plane", "valid", sealed(check(context={"deep": [pairs]})), "names are sorted at every depth")
    controls = "".join(map(chr, range(0x20)))
    strings = {"controls": controls, controls: 1, "plain": "\x7f\u2028\u2029/<>&'", "escaped": '"\\'}
    vector("strings", "valid", sealed(check(context=strings)), "controls as \\u00xx in lower case, nothing else escaped but quotes and backslashes")
    ends = {"most": 2**53 - 1, "least": 1 - 2**53, "zero": 0, "minus_one": -1}
    vector("integers", "valid", sealed(check(context=ends)), "both ends of the safe integers")
    vector("empty_values", "valid", sealed(check(context={"a": {}, "b": [], "c": "", "d": [[], {}, None]})), "empty containers stay")
    vector("booleans_and_null", "valid", sealed(check(context={"list": [True, False, None, [True]]})), "the three words")
    deep = 1
    for _ in range(60):
        deep = {"d": [deep]}
    vector("nested_deeply", "valid", sealed(check(context=deep)), "122 levels: less than the 128 a reader allows")
    document = sealed(check(context={"b": "\n\t\u00e9\U0001f600", "a": [1, 2]}))
    text = json.dumps(document, indent=4, sort_keys=False).replace("/", "\\/")
    vector("another_spelling", "valid", text, "white space, order and escapes of the text do not matter")
    text = raw(check(context={"x": "\U0001f600A"})).replace("\U0001f600A", "\\uD83d\\uDE00\\u0041").replace(":", " :\t", 1) + "\r\n "
    vector("surrogate_pair_in_escapes", "valid", text, "a pair of escapes is one character")
    vector("integer_array", "valid", in_context("[0,-1,9007199254740991]"), "integers as they stand")
