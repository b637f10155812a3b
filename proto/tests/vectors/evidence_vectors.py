"""Writes the published bundles of evidence: evidence/<name>.jsonl and evidence/<name>.json, the same bytes every time.

    python3 evidence_vectors.py          writes the files
    python3 evidence_vectors.py --check  fails if a file would change

Every vector is judged by evidence_reference.py before it is written. Needs the PyPI package `cryptography`.
"""

import json
import sys
from pathlib import Path

import evidence_reference
from evidence_log import DAY_MS, START, Bundle, Consent, Key, Log, Witness, blake3, named, text_of
from evidence_payments import CODES, PURPOSES, REFUSALS, SETTLEMENTS, Delegation, PaymentLog

FOLDER = Path(__file__).parent / "evidence"

KEY, NEXT, STRANGER = Key("evidence"), Key("evidence, the next"), Key("evidence, a stranger's")
A, B, C = named("auth a"), named("auth b"), named("auth c")
W1, W2, W3 = Witness("witness.example/one"), Witness("witness.example/two"), Witness("three")
MAIL, TRIP, LATE = Consent("mail"), Consent("trip", "user_2", ["trip.book"]), Consent("late")
LIMITED = {
    "merchant_constraints": {"allowed_merchants": ["mer_1", "mer_\u2602"], "allowed_categories": ["5812"], "blocked_merchants": ["mer_9"]},
    "amount_limits": {"per_transaction": 2000, "daily": 100_000, "period": {"amount": 2**53 - 1, "interval": "P366D"}},
    "currency_limits": ["USD", "EUR"],
    "channels": ["online"],
    "step_up_above": 1500,
    "review_above": 1800,
    "require_trusted_device": True,
    "on_exceed": "cap",
}
SHOP, OTHER = Delegation("shop", limited=LIMITED), Delegation("other", "user_2", agent="robot")
VECTORS = {}


def vector(name, why, bundle, code=None, index=None, trust=(KEY.id,), witnesses=(), quorum=0):
    """Keeps a bundle with the verdict it must get; `code` None is a bundle that verifies."""
    text = bundle if isinstance(bundle, bytes) else bundle.bytes()
    wanted = code and {"code": code, "index": index}
    found = evidence_reference.judge(text, trust, witnesses, quorum)
    assert found == wanted, f"{name}: expected {wanted}, found {found}"
    assert name not in VECTORS, name
    VECTORS[name] = text, {"why": why, "trust": list(trust), "witnesses": list(witnesses), "quorum": quorum, "verdict": wanted}


def small():
    """0 created, 1 key, 2 A granted, 3 tombstone, 4 A allowed, 5 an unknown authorization denied, 6 A revoked."""
    log = Log().created().activated(KEY).granted(A).tombstone("file:7")
    log.checked(A, "allow", "authorization_granted_scope_active", resource="mailto:a@example.com", context={"amount": 12})
    return log.checked(None, "deny", "authorization_not_found").revoked(A, by="user")


def large():
    """Every family, three authorizations, a request with its key, every verdict."""
    log = Log("large").created().activated(KEY).api_key("main")
    limits = {"max_per_day": 5, "resource_pattern": "mailto:*", "deny_when": [{"field": "amount", "gt": 100}], "confirm_when": []}
    more = {"confirm_when": [{"field": "level", "in": ["a", True, -3]}], "escalate_when": [{"field": "to", "exists": False}]}
    scopes = [{"name": "email.send", "constraints": limits}, "calendar.read", {"name": "pay", "constraints": more}]
    wanted = {"confirm": ["calendar.read"], "escalate": ["pay"], "targets": {"pay": "finance"}}
    log.granted(A, scopes, metadata={"ticket": {"no": 7}}, budget=1_000_000, request=("create-1", bytes(range(16))), **wanted)
    log.granted(B, user="user_2").tombstone("file:7", "asked for")
    log.checked(A, "allow", "authorization_granted_scope_active", resource="mailto:a", session="s-1", cost=70, budget=(1_000_000, 0), fired=())
    log.checked(B, "deny", "resource_tombstoned", resource="file:7", user="user_2").lifted("file:7")
    fired = {"field": "amount", "gt": 100}
    log.checked(A, "deny", "deny_condition_matched", context={"amount": 101}, budget=(1_000_000, 70), fired=fired)
    nonce, escalation = named("nonce"), named("escalation")
    log.checked(A, "confirm", "scope_requires_user_confirmation", "calendar.read", budget=(1_000_000, 70), nonce=nonce)
    log.confirmed(A, nonce, "calendar.read").renamed("Acme").bundle_created("reader")
    log.checked(A, "allow", "authorization_granted_via_confirmation", "calendar.read", budget=(1_000_000, 70))
    log.checked(A, "escalate", "escalation_required", "pay", budget=(1_000_000, 70), escalation=escalation, fired=())
    log.resolved(A, escalation, scope="pay", note="once").bundle_deleted("reader").api_key("second").api_key_revoked("second")
    log.checked(None, "deny", "authorization_not_found").confirmed(B, named("nonce 2"), approved=False)
    log.resolved(B, named("escalation 2"), approved=False, user="user_2").revoked(B, successor=C, notes="renewed", user="user_2")
    return log.revoked(A)


def consents():
    """0 created, 1 key, 2 agent, 3 MAIL asked for, 4 viewed, 5 approved, 6 verified, 7 minted; then every other event of consents."""
    log = Log("consents").created().activated(KEY).agent_created(MAIL).asked(MAIL, "anna@example.com", {"plan": "pro"}).viewed(MAIL)
    log.approved(MAIL).verified(MAIL).minted(MAIL).linked().asked(TRIP).agent_changed(TRIP).declined(TRIP).asked(LATE).withdrawn(LATE)
    log.checked(MAIL.auth, "deny", "scope_not_authorized", "pay", agent=text_of("ag_", MAIL.agent), end=None).secret_rotated(MAIL)
    log.verified(MAIL, "deny", "authorization_expired").taken_back(MAIL, "end_user").verified(MAIL, "deny", "authorization_revoked")
    again = Consent("again")
    return log.asked(again).approved(again).taken_back(again, "builder")


def payments():
    """0 created, 1 key, 2 described, 3 agent, 4 its credential, 5 device, 6 attested, 7 SHOP granted, 8 OTHER granted; then 9 to 40:
    the story of SHOP, with nobody's and OTHER's between; then every purpose, refusal, settlement, kind and code that is left.
    """
    log = PaymentLog("payments").created().activated(KEY).described({"region": "eu"}).registered(SHOP.raw_agent, metadata={"model": "any"})
    device, intent, second = named("device"), named("intent"), named("intent 2")
    log.credential(SHOP.raw_agent, "first", START + DAY_MS).device_registered(device, "Till 7", "terminal", {"os": "x"})
    log.device_attested(device, {"level": 3}).delegated(SHOP, ["payments.create", "payments.offline"], not_before=START, metadata={"team": 7})
    log.delegated(OTHER, expires=None)
    paid = {"merchant_id": "mer_1", "amount": 1850, "currency": "USD", "channel": "online", "merchant_category": "5812", "id": "order 7"}
    bound, well, ids = "payment of 1850 USD", ["DELEGATION_VALID", "DEVICE_TRUSTED", "MERCHANT_ALLOWED"], {"escalation": named("review"), "nonce": named("step up")}
    decision = log.receipt_id()
    log.gate(SHOP, "allow", well, paid=paid, most=1850, device="till 7", resource=bound, context={"basket": ["a"]}, request=("ask-1", bytes(16)))
    log.intended(intent, SHOP, decision=decision, metadata={"order": 7}).gate(None, "deny", ["AGENT_NOT_FOUND"], paid={"amount": 1})
    log.moved("authorised", intent, SHOP, decision, request=("pay-1", bytes(16))).moved("captured", intent, SHOP, decision, amount=1800)
    log.intended(named("intent 3"), amount=2**53 - 1, letters="JPY").abandoned(named("intent 3"))
    log.gate(SHOP, "escalate", [*well, "MANUAL_REVIEW_REQUIRED"], "policy", paid=paid, resource=bound, escalation=ids["escalation"], target="finance")
    log.resolved(SHOP.auth, ids["escalation"], scope="payments.create", resource=bound, agent=SHOP.agent)
    consumed = {"consumed": ids["escalation"], "paid": {**paid, "amount": 9000}, "most": 1}
    log.gate(SHOP, "allow", ["DELEGATION_VALID", "AMOUNT_CAPPED", "MANUAL_REVIEW_APPROVED"], "policy", **consumed)
    log.gate(SHOP, "confirm", [*well, "STEP_UP_REQUIRED"], paid=paid, resource=bound, nonce=ids["nonce"])
    log.confirmed(SHOP.auth, ids["nonce"], "payments.create", bound)
    log.gate(SHOP, "allow", ["DELEGATION_VALID", "STEP_UP_CONFIRMED"], paid={"currency": "USD"}, resource=bound)
    log.intended(second, SHOP).moved("refused", second, SHOP, decision, refusal="limit_exceeded", why="DAILY_LIMIT_EXCEEDED")
    log.moved("cancelled", second, SHOP)
    token, one, two = named("token"), named("transaction 1"), named("transaction 2")
    log.token_issued(SHOP, token, merchants=["mer_1"]).queued(SHOP, token, one, occurred=START, ref="till-7/1").queued(SHOP, token, two)
    log.reconciled(SHOP, token, one).reconciled(SHOP, token, two, "double_spend")
    log.gate(OTHER, "allow", ["DELEGATION_VALID"]).moved("authorised", named("intent 4"), OTHER, log.receipt_id())
    log.revoked_delegation(SHOP, notes="enough").gate(SHOP, "deny", ["DELEGATION_REVOKED"], paid=paid)
    log.moved("refused", second, SHOP, decision, refusal="delegation_revoked", why="DELEGATION_REVOKED")
    log.agent_is(SHOP.raw_agent, "suspended").agent_is(SHOP.raw_agent, "active").agent_is(SHOP.raw_agent, "revoked")
    log.device_revoked(device, "stolen").device_registered(named("device 2")).device_revoked(named("device 2"))
    log.gate(SHOP, "deny", CODES, "trust").credential(OTHER.raw_agent, "endless").token_issued(OTHER, named("token 2"), codes=(), consumed=named("review 2"))
    for kind in ("workflow", "robot-controller", "service"):
        log.registered(named(kind), kind)
    for place, purpose in enumerate(PURPOSES):
        log.gate(OTHER, "deny", [CODES[place]], purpose)
    for refusal in REFUSALS:
        log.moved("refused", named("intent 4"), OTHER, refusal=refusal, why="CHANNEL_NOT_ALLOWED")
    for settlement in SETTLEMENTS:
        log.reconciled(OTHER, named("token 2"), one, settlement)
    closed = {"merchant_constraints": {"allowed_merchants": []}, "amount_limits": {"period": {"amount": 1, "interval": "P1DT1S"}}, "on_exceed": "deny"}
    return log.delegated(Delegation("closed", limited=closed), not_before=START + DAY_MS)


def grown(size):
    """A log of this size, mostly of small records, with a check now and then."""
    log = Log(f"size {size}").created().activated(KEY).granted(A) if size > 1 else Log("size 1").activated(KEY)
    while len(log.specs) < size:
        if len(log.specs) % 25 == 3:
            log.checked(A, "allow", "authorization_granted_scope_active")
        else:
            log.bundle_deleted("b")
    log.specs = log.specs[:size]
    return log


def rotated():
    log = small().activated(NEXT).granted(B)
    return log.checked(B, "allow", "authorization_granted_scope_active").tombstone("file:8")


def signed_by_both(log):
    """All of a log; the retired key has signed its checkpoint first."""
    return Bundle(log).edit(lambda b: b.signatures.insert(0, Bundle(log, signer=KEY).signatures[0]))


def write():
    import evidence_heads
    import evidence_lines

    valid()
    evidence_heads.write()
    evidence_lines.write()


def valid():
    log = large()
    vector("whole_workspace", "every record of a workspace, every family of events", Bundle(log))
    vector("story", "the story of one authorization: what is of no concern to it is hidden", Bundle(log, A))
    vector("story_of_another", "the story of another authorization of the same workspace", Bundle(log, B))
    vector("consents", "every event of agents and of consents", Bundle(consents()))
    vector("story_of_a_consent", "request, view, approval, tokens, revoke: it begins with the request", Bundle(consents(), MAIL.auth, first=3))
    vector("story_of_a_consent_from_its_grant", "or with the grant", Bundle(consents(), MAIL.auth, first=5))
    vector("story_of_a_consent_after_its_grant", "or after it", Bundle(consents(), MAIL.auth, first=6))
    vector("story_of_a_refusal", "request and answer: nothing was granted", Bundle(consents(), TRIP.auth, first=9, end=12))
    log = payments()
    vector("payments", "every event of agents, devices and payments", Bundle(log))
    vector("story_of_a_delegation", "decisions, payments with and without the net, and its end", Bundle(log, SHOP.auth))
    vector("story_of_a_delegation_after_its_grant", "it begins with a decision", Bundle(log, SHOP.auth, first=9, end=20))
    vector("story_of_a_delegation_from_an_intent", "or with an intent that names it", Bundle(log, SHOP.auth, first=10))
    vector("story_of_a_delegation_from_a_queued_payment", "or with what a device told", Bundle(log, SHOP.auth, first=26, end=28))
    vector("story_of_another_delegation", "what nobody and others paid is hidden", Bundle(log, OTHER.auth, first=8, end=40))
    log = large()
    vector("story_after_its_grant", "a story that begins after its grant is whole in its range", Bundle(log, A, first=5, end=12))
    vector("story_of_nobody", "an authorization nobody granted: everything is hidden", Bundle(small(), C))
    alone = Bundle(small(), first=2, end=3).edit(lambda b: b.head.update(authorization_id=text_of("auth_", A)))
    vector("story_with_nothing_hidden", "where all records are the story's own, no other one is shown", alone)
    vector("first_not_zero", "records from the middle to the end", Bundle(log, first=5))
    vector("end_before_size", "records from the beginning to the middle", Bundle(log, end=11))
    vector("from_the_middle_to_the_middle", "subtrees on both sides", Bundle(log, first=3, end=6))
    vector("checkpoint_of_an_earlier_size", "a checkpoint need not be the latest", Bundle(log, size=9, first=4))
    for size in (1, 2, 3, 7, 8, 9, 300):
        vector(f"size_{size}", "a tree of this size", Bundle(grown(size)))
    vector("size_300_story_in_the_middle", "subtrees of many sizes on both sides", Bundle(grown(300), A, first=77, end=90))
    for name, at in [("at_0", 0), ("in_the_middle", 5), ("at_the_end", 7)]:
        vector(f"empty_range_{name}", "no record is proved, only the checkpoint", Bundle(small(), first=at, end=at))
    vector("empty_range_of_a_full_tree", "all of a tree of 8 is one subtree", Bundle(grown(8), first=0, end=0))
    vector("rotated", "receipts of both keys; the checkpoint is the second's", Bundle(rotated()), trust=(NEXT.id,))
    vector("rotated_both_trusted", "a retired key may be trusted too", Bundle(rotated(), B), trust=(KEY.id, NEXT.id))
    vector("rotated_signed_by_both", "a line of the retired key beside that of the last one means nothing", signed_by_both(rotated()), trust=(NEXT.id,))
    vector("rotated_before_the_second", "of a size at which there was one key", Bundle(rotated(), size=7))
    late = small().activated(NEXT, active_from=START + 10**6).tombstone("file:8").checked(B, "allow", "authorization_granted_scope_active")
    vector("activated_for_later", "the first key signs receipts until the second's time", Bundle(late), trust=(NEXT.id,))
    hidden = Bundle(rotated(), A, first=5, end=8, keys=[1], signer=KEY)
    vector("key_left_out_where_hidden", "whether a hidden record activates a key is not judged", hidden)
    unlucky = small().tombstone("file:74065")
    assert blake3(unlucky.specs[7]["body"])[:2] == b"\2\0"
    vector("hidden_hash_like_an_activation", "the hash of a hidden body begins as an activation does", Bundle(unlucky, A))
    extension = "an extension\nallowlog/no origin\n\u2014 no signature\n"
    vector("checkpoint_extended", "lines behind the root are signed and mean nothing", Bundle(small(), extension=extension))
    names = [w.vkey() for w in (W1, W2, W3)]
    vector("cosigned_2_of_3", "as many as asked for", Bundle(small(), witnesses=[W1, W3]), witnesses=names, quorum=2)
    vector("cosigned_3_of_3", "all of them, on extension lines too", Bundle(small(), extension="x\n", witnesses=[W3, W2, W1]), witnesses=names, quorum=3)
    vector("cosigned_by_nobody_asked_for", "cosignatures nobody asks for are passed over", Bundle(small(), witnesses=[W1]))
    again = Bundle(small()).edit(lambda b: b.signatures.extend([W1.line(b.note_text, claimed=7), W1.line(b.note_text)]))
    vector("cosigned_wrong_then_right", "one good line of a witness is enough", again, witnesses=names, quorum=1)
    stranger = Bundle(small()).edit(lambda b: b.signatures.insert(0, W2.line("another text\n")))
    vector("signature_line_of_a_stranger", "lines of unknown names are passed over", stranger)
    same = small()
    same.specs[3]["time"] = same.specs[2]["time"]
    vector("time_stands_still", "two records of one millisecond", Bundle(same))
    vector("strings", "receipts with all that is hard to write the same way twice", Bundle(awkward()))
    texts = Bundle(small(), first=2, end=5).texts()
    spaced = [" " + json.dumps(json.loads(line), indent="\t").replace("\n", "") + "\r" for line in texts]
    vector("another_spelling", "white space, order and escapes of a line do not matter, nor a carriage return", "".join(s + "\n" for s in spaced).encode())
    crlf = "".join(line + "\r\n" for line in texts).encode()
    vector("crlf", "a carriage return is white space of JSON", crlf)


def awkward():
    controls = "".join(map(chr, range(0x20)))
    names = {"\uff61": 1, "\U0001f600": 2, "z": 3, "\ud7ff": 4, "\ue000": 5, "": 6, "Z": 7, "a": {"\U0001f600": 1, "\ufb33": 2}, "aa": [9, -1, None]}
    strings = {"controls": controls, controls: 1, "plain": "\x7f\u0080\u2028\u2029/<>&'\ufeff\ufffe\U0010ffff", "escaped": '"\\', "ends": [2**53 - 1, 1 - 2**53, 0]}
    deep = 1
    for _ in range(15):
        deep = {"d": [deep]}
    log = Log("strings").created("\u0000 name").activated(KEY)
    log.granted(A, ['scope "\\ \u2028'], "user \U0001f600\u0001", "agent \uff61", metadata={**strings, "deep": deep})
    unheard = {"context": names, "resource": "\u0000\n\\u0041\u2029", "session": "", "user": "\u00e9", "agent": "e\u0301"}
    log.checked(A, "deny", "scope_not_authorized", "\u007f.\u0085", **unheard)
    fired = {"field": "\u0001\U0001f600", "eq": "\u0000\""}
    log.checked(A, "deny", "deny_condition_matched", context={"\u0001\U0001f600": "\u0000\""}, fired=fired)
    return log.revoked(A, by="\t", notes="\r\n\"\u2028", user="user \U0001f600\u0001", agent="agent \uff61")



def main():
    write()
    wanted = {}
    for name, (bundle, verdict) in VECTORS.items():
        wanted[name + ".jsonl"], wanted[name + ".json"] = bundle, (json.dumps(verdict, indent=2) + "\n").encode()
    there = {path.name: path.read_bytes() for path in FOLDER.glob("*.json*")}
    if sys.argv[1:] == ["--check"]:
        sys.exit(0 if there == wanted else "the files are not what this script writes")
    FOLDER.mkdir(exist_ok=True)
    for name in there.keys() - wanted.keys():
        (FOLDER / name).unlink()
    for name, content in wanted.items():
        (FOLDER / name).write_bytes(content)
    valid_ones = sum(verdict["verdict"] is None for _, verdict in VECTORS.values())
    print(f"{valid_ones} valid, {len(VECTORS) - valid_ones} invalid, {sum(map(len, wanted.values()))} bytes")


if __name__ == "__main__":
    # The lists import this file by its name: let them find the one that runs.
    sys.modules["evidence_vectors"] = sys.modules["__main__"]
    main()
