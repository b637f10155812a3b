"""Sections 5, 6 and 10: what users and approvers answer."""

import base64
import hashlib
import hmac
import time

from scene import ZERO_ULID, chapter, decide, grant, later, refused, scope, seconds, signed, together

ASK = "confirm scope_requires_user_confirmation"
CONFIRMED = "allow authorization_granted_via_confirmation"
RAISE = "escalate escalation_required"
APPROVED = "allow authorization_granted_via_escalation"


@chapter
def a_user_says_yes_for_a_while(scene):
    client = scene.first
    authorization_id = grant(client, scope("s"), scope("t"), requires_confirm_for=["s", "t"])
    asked = decide(client, authorization_id, "s", ASK, "r:1")
    assert abs(seconds(asked["confirm_expires_at"]) - time.time() - 300) < 5, asked
    again = decide(client, authorization_id, "s", ASK, "r:1")
    assert again["confirm_nonce"] != asked["confirm_nonce"], "every confirm has a fresh nonce"
    yes = client.confirm(asked["confirm_nonce"])
    assert abs(seconds(yes["expires_at"]) - time.time() - 60) < 5, yes
    decide(client, yes["authorization_id"], "s", "deny authorization_not_found", "r:1")
    for _ in range(3):
        decide(client, authorization_id, "s", CONFIRMED, "r:1")
    for name, resource in (("s", "r:2"), ("s", None), ("t", "r:1")):
        decide(client, authorization_id, name, ASK, resource)
    # Approval without a resource is for no resource.
    client.confirm(decide(client, authorization_id, "t", ASK, None)["confirm_nonce"])
    decide(client, authorization_id, "t", CONFIRMED, None)
    decide(client, authorization_id, "t", ASK, "r:1")
    other = grant(client, scope("s"), requires_confirm_for=["s"])
    decide(client, other, "s", ASK, "r:1")


@chapter
def a_user_says_no_or_nothing_any_more(scene):
    client = scene.first
    authorization_id = grant(client, scope("s"), requires_confirm_for=["s"])
    no = decide(client, authorization_id, "s", ASK, "r:1")["confirm_nonce"]
    client.confirm(no, approved=False)
    decide(client, authorization_id, "s", ASK, "r:1")
    short = decide(client, authorization_id, "s", ASK, "r:1")["confirm_nonce"]
    client.confirm(short, ttl_seconds=1)
    decide(client, authorization_id, "s", CONFIRMED, "r:1")
    time.sleep(1.1)
    decide(client, authorization_id, "s", ASK, "r:1")


@chapter
def every_bad_nonce_is_gone_alike(scene):
    client, other = scene.first, scene.workspace("stranger")
    used = decide(client, grant(client, "s", requires_confirm_for=["s"]), "s", ASK)["confirm_nonce"]
    client.confirm(used)
    declined = decide(client, grant(client, "s", requires_confirm_for=["s"]), "s", ASK)["confirm_nonce"]
    client.confirm(declined, approved=False)
    foreign = decide(other, grant(other, "s", requires_confirm_for=["s"]), "s", ASK)["confirm_nonce"]
    said = set()
    for nonce in (used, declined, foreign, f"cnf_{ZERO_ULID}", "nonsense", "a%2Fb", "%F0%9F%94%91"):
        for approved in (True, False):
            error = refused(410, client.confirm, nonce, approved, code="gone")
            said.add(error.exchange.text)
    assert len(said) == 1, f"all alike: {said}"
    other.confirm(foreign)


@chapter
def a_malformed_answer_uses_no_nonce_up(scene):
    client = scene.first
    nonce = decide(client, grant(client, "s", requires_confirm_for=["s"]), "s", ASK)["confirm_nonce"]
    path = f"/v1/confirmations/{nonce}"
    for field, body in [
        ("body.approved", {}),
        ("body.approved", {"approved": None}),
        ("body.approved", {"approved": "yes"}),
        ("body.approved", {"approved": 1}),
        ("body.ttl_seconds", {"approved": True, "ttl_seconds": 0}),
        ("body.ttl_seconds", {"approved": True, "ttl_seconds": 301}),
        ("body.ttl_seconds", {"approved": True, "ttl_seconds": 1.5}),
        ("body.ttl_seconds", {"approved": True, "ttl_seconds": "60"}),
    ]:
        refused(422, client.ask, 200, "POST", path, body, field=field, code="validation_error")
    client.confirm(nonce, ttl_seconds=300)


@chapter
def one_of_two_racing_answers_counts(scene):
    client = scene.first
    nonce = decide(client, grant(client, "s", requires_confirm_for=["s"]), "s", ASK)["confirm_nonce"]
    answers = together(*[lambda: client.call("POST", f"/v1/confirmations/{nonce}", {"approved": True}) for _ in range(4)])
    assert sorted(answer.status for answer in answers) == [200, 410, 410, 410], [str(answer) for answer in answers]
    raised = decide(client, grant(client, "s", requires_escalation_for=["s"]), "s", RAISE)["escalation_id"]
    path = f"/v1/escalations/{raised}/resolve"
    bodies = [{"resolution": resolution, "resolved_by": f"{resolution}-{n}"} for n in range(2) for resolution in ("approved", "rejected")]
    answers = together(*[lambda body=body: client.call("POST", path, body) for body in bodies])
    assert sorted(answer.status for answer in answers) == [200, 200, 409, 409], [str(answer) for answer in answers]
    kept = [answer.json for answer in answers if answer.status == 200]
    assert len({(answer["resolved_by"], answer["resolved_at"]) for answer in kept}) == 1, kept
    assert [answer["receipt"] is None for answer in kept].count(True) == 1, kept


@chapter
def an_approver_allows_once(scene):
    client = scene.first
    authorization_id = grant(client, scope("s"), "t", requires_escalation_for=["s"], escalation_targets={"s": "security"})
    raised = decide(client, authorization_id, "s", RAISE, "r:1")
    first = raised["escalation_id"]
    assert raised["escalation_to"] == "security", raised
    assert abs(seconds(raised["escalation_expires_at"]) - time.time() - 86400) < 5, raised
    assert decide(client, authorization_id, "s", RAISE, "r:1")["escalation_id"] == first, "an open escalation is met again"
    apart = {decide(client, authorization_id, "s", RAISE, resource)["escalation_id"] for resource in ("r:2", None)}
    assert len(apart | {first}) == 3, "each resource has its own, and so has none"

    exchange = client.get(f"/v1/escalations/{first}")
    names = {"escalation_id", "authorization_id", "scope", "resource", "escalation_to", "status", "created_at", "expires_at", "resolved_by", "resolved_at"}
    exchange.has(exchange.json, names)
    found = [exchange.json[name] for name in ("authorization_id", "scope", "resource", "escalation_to", "status", "resolved_by", "resolved_at")]
    exchange.need(found == [authorization_id, "s", "r:1", "security", "pending", None, None], "the open escalation")
    exchange.need(exchange.json["expires_at"] == raised["escalation_expires_at"], "24 h")
    exchange.time(exchange.json["created_at"], "created_at")

    answer = client.resolve(first, "approved", resolved_by="bob", note="fine by me")
    receipt = signed(client, answer["receipt"]["receipt_id"])
    assert (receipt["event"], receipt["decision"]) == ("escalation.resolve", "escalation_approved"), receipt
    assert (receipt["reason"], receipt["authorization_id"]) == ("escalation_resolved_by_approver", authorization_id), receipt
    expected = {"id": first, "event": "resolved", "status": "approved", "scope": "s", "escalation_to": "security", "resolved_by": "bob", "note": "fine by me"}
    assert receipt["context"] == {"escalation": expected}, receipt
    again = client.resolve(first, "approved", resolved_by="eve", again=True)
    assert (again["resolved_by"], again["resolved_at"]) == ("bob", answer["resolved_at"]), again
    refused(409, client.resolve, first, "rejected", code="conflict")
    exchange = client.get(f"/v1/escalations/{first}")
    exchange.need([exchange.json[name] for name in ("status", "resolved_by", "resolved_at")] == ["approved", "bob", answer["resolved_at"]], "resolved")

    decide(client, authorization_id, "s", RAISE, "r:2")
    decide(client, authorization_id, "s", APPROVED, "r:1")
    second = decide(client, authorization_id, "s", RAISE, "r:1")["escalation_id"]
    assert second != first, "an approval is good once"


@chapter
def an_approval_is_taken_once_by_many(scene):
    client = scene.first
    authorization_id = grant(client, scope("s"), requires_escalation_for=["s"])
    client.resolve(decide(client, authorization_id, "s", RAISE)["escalation_id"], "approved")
    answers = together(*[lambda: client.check(authorization_id, ["s"]) for _ in range(4)])
    found = sorted(answer["results"]["s"]["decision"] for answer in answers)
    assert found == ["allow", "escalate", "escalate", "escalate"], answers
    ids = {a["results"]["s"]["escalation_id"] for a in answers if a["results"]["s"]["decision"] == "escalate"}
    assert len(ids) == 1, "the three share the new question"


@chapter
def a_rejection_denies_for_a_day(scene):
    client = scene.first
    authorization_id = grant(client, scope("s"), requires_escalation_for=["s"])
    raised = decide(client, authorization_id, "s", RAISE, None)["escalation_id"]
    answer = client.resolve(raised, "rejected", note=None)
    receipt = signed(client, answer["receipt"]["receipt_id"])
    assert (receipt["decision"], receipt["context"]["escalation"]["status"]) == ("escalation_rejected", "rejected"), receipt
    for _ in range(2):
        decide(client, authorization_id, "s", "deny escalation_rejected", None)
    decide(client, authorization_id, "s", RAISE, "r:1")
    refused(409, client.resolve, raised, "approved", code="conflict")
    client.resolve(raised, "rejected", resolved_by="eve", again=True)


@chapter
def an_escalation_comes_before_a_confirmation(scene):
    client = scene.first
    authorization_id = grant(client, scope("s"), requires_confirm_for=["s"], requires_escalation_for=["s"])
    raised = decide(client, authorization_id, "s", RAISE, "r")["escalation_id"]
    client.resolve(raised, "approved")
    nonce = decide(client, authorization_id, "s", ASK, "r")["confirm_nonce"]
    client.confirm(nonce, approved=False)
    nonce = decide(client, authorization_id, "s", ASK, "r")["confirm_nonce"]
    client.confirm(nonce)
    decide(client, authorization_id, "s", APPROVED, "r")
    assert decide(client, authorization_id, "s", RAISE, "r")["escalation_id"] != raised, "the approval is used up"


@chapter
def a_faulty_resolution_is_refused(scene):
    client = scene.first
    raised = decide(client, grant(client, "s", requires_escalation_for=["s"]), "s", RAISE)["escalation_id"]
    fine = {"resolution": "approved", "resolved_by": "bob", "note": None}
    for field, change in [
        ("body.resolution", {"resolution": None}),
        ("body.resolution", {"resolution": "maybe"}),
        ("body.resolution", {"resolution": True}),
        ("body.resolved_by", {"resolved_by": None}),
        ("body.resolved_by", {"resolved_by": ""}),
        ("body.resolved_by", {"resolved_by": "b" * 129}),
        ("body.note", {"note": "n" * 513}),
        ("body.note", {"note": 5}),
    ]:
        refused(422, client.ask, 200, "POST", f"/v1/escalations/{raised}/resolve", fine | change, field=field, code="validation_error")
    for unknown in (f"esc_{ZERO_ULID}", "nobody"):
        refused(404, client.resolve, unknown, "approved", code="not_found")
        refused(404, client.get, f"/v1/escalations/{unknown}", code="not_found")
    client.resolve(raised, "approved", resolved_by="b" * 128, note="n" * 512)


@chapter
def clients_derive_ids_from_email(scene):
    def email_hmac(email, pepper):
        digest = hmac.new(pepper.encode(), email.strip().lower().encode(), hashlib.sha256).digest()
        return "email_hmac:v1:" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    derived = email_hmac(" John.Doe@Example.COM ", "pepper-secret")
    assert derived == "email_hmac:v1:joGNnOl733jVwFo68Eh9yBii-N5CkEOwKDyTFZTKpVI", derived
    client = scene.first
    for user_id in (derived, "john@example.com"):
        answer = client.create(user_id, agent_id="agent@example.com", scopes=["s"], expires_at=later(days=1))
        decide(client, answer["authorization_id"], "s", "allow authorization_granted_scope_active")
        found = client.page("/v1/receipts", user_id=user_id).json["items"]
        assert len(found) == 2, f"the server keeps the id as it is {found}"
