"""Bundles that are refused for a record, a receipt or their end, each for one fault, but for those that show which of two
is reported. Where a fault is the log's own, the log is consistent in all else: chained, in the tree, signed.
"""

import base64

from evidence_log import START, Bundle, b64, blake3, named, record_hash, text_of, time_text, unpadded
from evidence_heads import loose
from evidence_vectors import A, B, C, KEY, MAIL, NEXT, OTHER, SHOP, STRANGER, W1, consents, grown, large, payments, rotated, small, vector
from reference import base64url, canonical

MALFORMED, INDEX, HASH, LINK = "malformed_record", "wrong_index", "wrong_hash", "broken_link"
TIME, SUBJECT, UNLISTED, RECEIPT, ROOT = "time_goes_back", "wrong_subject", "unlisted_key", "wrong_receipt", "wrong_root"
TOMBSTONE, CHECK, REVOKE, ROTATION = 3, 4, 6, 7  # places in the small log, and in the rotated one


def write():
    places()
    lines()
    records_that_are_none()
    bodies()
    payment_bodies()
    payment_stories()
    payment_receipts()
    hidden_ones()
    altered_bytes()
    links_and_times()
    subjects()
    shown_in_a_story()
    unlisted_keys()
    receipt_hashes()
    receipts_of_others()
    receipts_that_do_not_verify()
    ends()
    precedence()


def log_of(place, **changes):
    """A bundle of three records around one that the server made otherwise, consistently."""
    return Bundle(small().changed(place, **changes), first=max(0, place - 1), end=min(7, place + 2))


def around(place, change, log=None):
    """A bundle of three records around one whose line is changed."""
    first = max(0, place - 1)
    bundle = Bundle(log or small(), first=first, end=min(7, place + 2))
    change(bundle.lines[place - first])
    return bundle


def line_text(place, change):
    """The same, with the line changed as a text."""
    bundle = Bundle(small(), first=place - 1, end=place + 2)
    texts = bundle.texts()
    changed = change(texts[2])
    assert changed != texts[2]
    texts[2] = changed
    return "".join(line + "\n" for line in texts).encode()


def member(place, **members):
    return around(place, lambda line: line.update(members))


def places():
    def moved(change):
        return Bundle(small()).edit(lambda b: change(b.lines))

    vector("records_none", "the head alone", moved(lambda ls: ls.clear()), "missing_records", 0)
    vector("record_last_missing", "the last one is gone", moved(lambda ls: ls.pop()), "missing_records", 6)
    vector("records_last_two_missing", "the first that is missing is named", moved(lambda ls: ls.__delitem__(slice(5, 7))), "missing_records", 5)
    vector("record_first_missing", "the first one is gone", moved(lambda ls: ls.pop(0)), INDEX, 0)
    vector("record_missing", "one in the middle is gone", moved(lambda ls: ls.pop(3)), INDEX, 3)
    vector("records_swapped", "two have changed places", moved(lambda ls: ls.insert(2, ls.pop(4))), INDEX, 2)
    vector("records_swapped_at_the_end", "the last two have changed places", moved(lambda ls: ls.insert(5, ls.pop(6))), INDEX, 5)
    vector("record_duplicated", "one stands twice", moved(lambda ls: ls.insert(4, ls[3])), INDEX, 4)
    vector("record_last_duplicated", "the last one stands twice", moved(lambda ls: ls.append(ls[6])), "extra_records", 7)
    vector("record_appended", "one more than the checkpoint has", moved(lambda ls: ls.append(Bundle(small().tombstone("x")).lines[7])), "extra_records", 7)
    vector("record_replaced", "another record of the same workspace and index", moved(lambda ls: ls.__setitem__(3, forked(3))), LINK, 3)
    between = Bundle(small(), first=2, end=5)
    vector("record_behind_the_end", "a genuine one behind `end`", between.edit(lambda b: b.lines.append(Bundle(small()).lines[5])), "extra_records", 5)
    before = Bundle(small(), first=2, end=5).edit(lambda b: b.lines.insert(0, Bundle(small()).lines[1]))
    vector("record_before_the_first", "a genuine one before `first`", before, INDEX, 2)


def forked(place):
    """The line of a record in a log that went another way at that place."""
    log = small()
    log.specs[place]["body"] = log.specs[place]["body"].replace(b"file:7", b"file:8")
    return Bundle(log).lines[place]


def lines():
    at = TOMBSTONE
    vector("line_empty", "a line with nothing in it", line_text(at, lambda t: ""), MALFORMED, at)
    vector("line_cut", "not JSON", line_text(at, lambda t: t[:-1]), MALFORMED, at)
    vector("line_twice", "one value to a line", line_text(at, lambda t: t + t), MALFORMED, at)
    vector("line_with_comma", "nothing behind the value", line_text(at, lambda t: t + ","), MALFORMED, at)
    vector("line_array", "an array is no line", line_text(at, lambda t: f"[{t}]"), MALFORMED, at)
    vector("line_null", "null is no line", line_text(at, lambda t: "null"), MALFORMED, at)
    vector("line_byte_order_mark", "a byte order mark is not JSON", line_text(at, lambda t: "\ufeff" + t), MALFORMED, at)
    utf8 = line_text(at, lambda t: t.replace('"hash"', '"\u00e9":1,"hash"')).replace(b"\xc3\xa9", b"\xc3")
    vector("line_not_utf8", "not UTF-8", utf8, MALFORMED, at)
    vector("line_not_ended", "a line is ended by a line feed, the last one too", Bundle(small(), first=4).bytes()[:-1], MALFORMED, 6)
    vector("line_member_extra", "no other member, even null", member(at, index=None), MALFORMED, at)
    vector("line_hash_missing", "the hash is there", around(at, lambda ls: ls.pop("hash")), MALFORMED, at)
    good = Bundle(small()).lines[at]["hash"]
    for name, text in [("in_capitals", good.upper()), ("short", good[:-1]), ("long", good + "0"), ("null", None), ("base64", b64(bytes(32)))]:
        vector(f"line_hash_{name}", "64 lower-case hexadecimal digits", member(at, hash=text), MALFORMED, at)
    twice = line_text(at, lambda t: t.replace('"hash":', f'"hash":"{good}","hash":'))
    vector("line_hash_twice", "given twice, even if equal", twice, MALFORMED, at)
    record = Bundle(small()).lines[at]["record"]
    twice = line_text(at, lambda t: t.replace('"record":', f'"record":"{record}","record":'))
    vector("line_record_twice", "given twice, even if equal", twice, MALFORMED, at)
    vector("line_without_record", "`record` or `hidden`", around(at, lambda ls: ls.pop("record")), MALFORMED, at)
    raw = small().records()[at]
    hidden = Bundle(small(), A).lines[at]["hidden"]
    both = Bundle(small(), A, first=2, end=5).edit(lambda b: b.lines[1].update(record=b64(raw)))
    vector("line_record_and_hidden", "one of them, even if they agree", both, MALFORMED, at)
    vector("line_hidden_in_a_whole_workspace", "nothing is hidden where there is no story", around(at, lambda ls: (ls.pop("record"), ls.update(hidden=hidden))), MALFORMED, at)
    check = Bundle(small()).lines[CHECK]
    beside = Bundle(small(), B, first=3, end=6).edit(lambda b: b.lines[1].update(receipt=check["receipt"]))
    vector("line_receipt_beside_hidden", "a receipt stands beside a whole record", beside, MALFORMED, CHECK)
    for name, value in [("null", None), ("text", canonical(check["receipt"])), ("array", [check["receipt"]])]:
        vector(f"line_receipt_{name}", "a receipt is an object", member(CHECK, receipt=value), MALFORMED, CHECK)
    twice = line_text(CHECK, lambda t: t.replace('"receipt":', '"receipt":{},"receipt":'))
    vector("line_receipt_twice", "what is given twice is of no type", twice, MALFORMED, CHECK)
    deep = line_text(CHECK, lambda t: t.replace('"amount":12', '"amount":' + "[" * 126 + "]" * 126))
    vector("line_too_deep", "129 containers within each other, those of the line included", deep, MALFORMED, CHECK)


def records_that_are_none():
    at, record = TOMBSTONE, small().records()[TOMBSTONE]
    whole = b64(record)
    padded = b64(record + bytes(1 + (-len(record) - 2) % 3))
    assert padded.endswith("=") and not padded.endswith("==")
    for name, text, why in [
        ("number", 7, "a text"),
        ("empty", "", "a header and a body"),
        ("unpadded", padded.rstrip("="), "padding is there"),
        ("padded_too_much", b64(record[: len(record) // 3 * 3]) + "====", "padding where it belongs"),
        ("unused_bits", loose(padded), "unused bits are zero"),
        ("white_space", whole[:40] + "\n" + whole[40:], "nothing else"),
        ("url_alphabet", whole[:40] + "-_" + whole[42:], "the alphabet with `+` and `/`"),
        ("112_bytes", b64(record[:112]), "the header is cut"),
        ("113_bytes", b64(record[:113]), "a header without a body"),
    ]:
        vector(f"record_{name}", why, member(at, record=text), MALFORMED, at)
    long = small().changed(at, body=small().specs[at]["body"][:-1].ljust(524288 - 113 + 1, b"\0"))
    vector("record_too_long", "524289 bytes", Bundle(long, first=3, end=4), MALFORMED, at)
    vector("record_version_2", "another version", log_of(at, over={"version": 2}), MALFORMED, at)
    vector("record_version_3", "another version", log_of(at, over={"version": 3}), MALFORMED, at)
    vector("record_version_5", "another version", log_of(at, over={"version": 5}), MALFORMED, at)
    vector("record_of_another_workspace", "in the tree, and of another workspace", log_of(at, over={"workspace": named("another")}), MALFORMED, at)
    vector("record_after_the_year_9999", "no time", Bundle(small().changed(6, over={"time": 253402300800000}), first=5), MALFORMED, 6)


# Behind the last variant of each family, and of the last family.
UNKNOWN = [(0, 3), (1, 2), (2, 1), (7, 2), (8, 2), (9, 3), (10, 6), (11, 3), (12, 3), (13, 10), (14, 0), (250, 0)]


def bodies():
    for family, variant in UNKNOWN:
        body = bytes([family, variant]) + small().specs[TOMBSTONE]["body"][2:]
        vector(f"body_{family}_{variant}", "no such event", log_of(TOMBSTONE, body=body), MALFORMED, TOMBSTONE)
    for family, variant in [(3, 2), (4, 2), (6, 1)]:
        body = bytes([family, variant]) + small().specs[REVOKE]["body"][2:]
        vector(f"body_{family}_{variant}", "no such event", Bundle(small().changed(REVOKE, body=body), first=5), MALFORMED, REVOKE)
    log, at = large(), 11
    confirmed = log.specs[at]["body"]
    vector("body_5_1", "no such event", Bundle(log.changed(at, body=b"\5\1" + confirmed[2:]), first=11, end=12), MALFORMED, at)
    vector("body_one_byte", "a family and no variant", log_of(TOMBSTONE, body=b"\x08"), MALFORMED, TOMBSTONE)
    for place, length, name in [(3, 33, "granted"), (6, 2, "check_alone"), (6, 18, "check_subject"), (6, 34, "check"), (11, 33, "confirmation"), (16, 49, "resolution"), (24, 33, "revoked")]:
        cut = log.changed(place, body=log.specs[place]["body"][:length])
        vector(f"body_{name}_cut", "the fixed part of the body is not there", Bundle(cut, first=place, end=place + 1), MALFORMED, place)
    log = consents()
    for place, length, name in [(3, 33, "request"), (4, 33, "view"), (6, 33, "token"), (7, 33, "mint")]:
        cut = log.changed(place, body=log.specs[place]["body"][:length])
        vector(f"body_{name}_cut", "the fixed part of the body is not there", Bundle(cut, first=place, end=place + 1), MALFORMED, place)
    unsigned = around(6, lambda ls: ls.pop("receipt"), log)
    vector("token_verified_without_receipt", "a verified token has one", unsigned, "missing_receipt", 6)
    vector("request_with_receipt_hash", "a request for consent has no receipt", Bundle(log.changed(3, over={"receipt_hash": b"r" * 32})), "wrong_receipt", 3)
    asked = log.records()[3]
    hidden = Bundle(log, MAIL.auth).edit(lambda b: b.lines[3].update(hidden=b64(asked[:113] + blake3(asked[113:]))) or b.lines[3].pop("record"))
    vector("request_hidden_from_its_story", "a request is of the story that it may lead to", hidden, SUBJECT, 3)
    other = small()
    body = other.specs[5]["body"]
    assert body[18] == 0
    odd = other.changed(5, body=body[:18] + b"\2" + body[19:])
    vector("body_check_with_subject_2", "known or unknown", Bundle(odd, first=5), MALFORMED, 5)
    whole = rotated().specs[ROTATION]["body"]
    after_9999 = whole[:50] + b"\xfd" + (253402300800000).to_bytes(8, "little") + b"\0"
    for body, name in [(whole[:49], "key_cut"), (whole[:50], "time_cut"), (whole[:53], "time_halfway_cut"), (after_9999, "after_the_year_9999")]:
        bad = without_rotation(rotated().changed(ROTATION, body=body), end=8)
        vector(f"body_activation_{name}", "an activation that is none, and is not among the keys", bad, MALFORMED, ROTATION)


# Of the log of payments: what is SHOP's, what is OTHER's, what is nobody's.
OWN = {"decision": 9, "intent": 10, "authorisation": 12, "capture": 13, "review": 16, "step_up": 19, "refusal": 23, "cancellation": 24}
OWN |= {"token": 25, "queued": 26, "settlement": 28}
OTHERS = {"delegation": 8, "decision": 30, "authorisation": 31}
NOBODYS = {"description": 2, "agent": 3, "credential": 4, "device": 5, "attestation": 6, "unknown_decision": 11, "bare_intent": 14, "abandoned": 15}
WITHOUT_RECEIPT = {"description": 2, "agent": 3, "attestation": 6, "intent": 10, "bare_intent": 14, "abandoned": 15, "queued": 26}


def payment_bodies():
    log = payments()
    one = lambda log, at: Bundle(log, first=at, end=at + 1)  # noqa: E731
    cuts = [("alone", "decision", 2), ("receipt", "decision", 17), ("subject", "decision", 18), ("delegation", "decision", 34)]
    cuts += [("alone", "intent", 2), ("delegation", "intent", 18), ("alone", "queued", 2), ("delegation", "queued", 17)]
    cuts += [("delegation", name, 33) for name in ("authorisation", "refusal", "capture", "cancellation", "token", "settlement")]
    for part, name, length in cuts:
        at = OWN[name]
        cut = log.changed(at, body=log.specs[at]["body"][:length])
        vector(f"payment_{name}_{part}_cut", "the fixed part of the body is not there", one(cut, at), MALFORMED, at)
    for name, at, place in [("decision", 9, 18), ("unknown_decision", 11, 18), ("intent", 10, 2), ("bare_intent", 14, 2)]:
        body = log.specs[at]["body"]
        assert body[place] in (0, 1)
        odd = log.changed(at, body=body[:place] + b"\2" + body[place + 1 :])
        vector(f"payment_{name}_of_option_2", "a delegation is named or is not", one(odd, at), MALFORMED, at)
    # What another byte at a fixed place would make of it.
    body = log.specs[10]["body"]
    freed = log.changed(10, body=body[:2] + b"\0" + body[19:])
    vector("payment_intent_without_its_delegation", "its header still says that it is about one", one(freed, 10), SUBJECT, 10)
    body = log.specs[11]["body"]
    claimed = log.changed(11, body=body[:18] + b"\1" + SHOP.auth + body[19:])
    vector("payment_unknown_decision_made_known", "its header says that it is about nobody", one(claimed, 11), SUBJECT, 11)


def payment_stories():
    log = payments()
    near = lambda at, story, *places: shown(log, *places, story=story, first=at - 1, end=at + 2)  # noqa: E731
    for name, at in OWN.items():
        assert log.specs[at]["subject_of"] == SHOP.auth
        story = near(at, SHOP.auth)
        story.lines[1] = Bundle(log, OTHER.auth, first=at, end=at + 1).lines[0]
        vector(f"payment_hidden_own_{name}", "a record of the story itself is hidden", story, SUBJECT, at)
        vector(f"payment_story_shows_{name}_of_another", "a genuine record of another delegation, unhidden", near(at, OTHER.auth, at), SUBJECT, at)
        for subject, wrong in [(bytes(16), "none"), (named("x"), "another")]:
            bad = log.changed(at, over={"subject": subject})
            vector(f"payment_subject_{wrong}_of_{name}", "the subject is that of the body", Bundle(bad, first=at, end=at + 1), SUBJECT, at)
    for name, at in OTHERS.items():
        assert log.specs[at]["subject_of"] == OTHER.auth
        vector(f"payment_story_shows_others_{name}", "a genuine record of another delegation, unhidden", near(at, SHOP.auth, at), SUBJECT, at)
    for name, at in NOBODYS.items():
        assert log.specs[at]["subject_of"] is None
        vector(f"payment_story_shows_{name}", "a genuine record about no delegation, unhidden", near(at, SHOP.auth, at), SUBJECT, at)
        bad = log.changed(at, subject_of=SHOP.auth)
        vector(f"payment_subject_of_{name}", "it is about no delegation", Bundle(bad, SHOP.auth, first=at, end=at + 1), SUBJECT, at)


def payment_receipts():
    log = payments()
    one = lambda log, at: Bundle(log, first=at, end=at + 1)  # noqa: E731
    decision = log.specs[OWN["decision"]]["receipt"]
    for name, at in {**OWN, "unknown_decision": NOBODYS["unknown_decision"]}.items():
        if name in WITHOUT_RECEIPT:
            continue
        missing = one(log, at).edit(lambda b: b.lines[0].pop("receipt"))
        vector(f"payment_{name}_without_receipt", "it has one", missing, "missing_receipt", at)
        zeros = log.changed(at, over={"receipt_hash": bytes(32)})
        vector(f"payment_{name}_without_receipt_hash", "it has a receipt", one(zeros, at), RECEIPT, at)
        other = log.specs[at + 1 if log.specs[at + 1]["receipt"] else 32]["receipt"]
        swapped = one(log, at).edit(lambda b: b.lines[0].update(receipt=other))  # noqa: B023
        vector(f"payment_{name}_with_another_receipt", "genuine, but another record's", swapped, RECEIPT, at)
        receipt = log.specs[at]["receipt"]
        more = {**receipt, "context": {**receipt["context"], "amount": 1}}
        altered = one(log, at).edit(lambda b: b.lines[0].update(receipt=more))  # noqa: B023
        vector(f"payment_{name}_receipt_altered", "the record carries its hash", altered, RECEIPT, at)
    for name, at in WITHOUT_RECEIPT.items():
        hashed = log.changed(at, over={"receipt_hash": b"r" * 32})
        vector(f"payment_{name}_with_receipt_hash", "it has no receipt", one(hashed, at), RECEIPT, at)
        beside = one(log, at).edit(lambda b: b.lines[0].update(receipt=decision))
        vector(f"payment_{name}_with_receipt", "there is none it could have", beside, RECEIPT, at)
    # A decision about nobody is a denial, and one about somebody is not about nobody.
    for name, at, changes in [("allows_nobody", 11, {"decision": "allow"}), ("knows_nobody", 9, {"reason": "authorization_not_found"})]:
        paired = resigned(at, KEY, log, **changes)
        vector(f"payment_receipt_{name}", "its members do not go together", one(paired, at), "pairing", at)


def hidden_ones():
    def hidden(change, at=TOMBSTONE):
        return Bundle(small(), A, first=at - 1, end=at + 2).edit(lambda b: b.lines[1].update(hidden=change(b.lines[1]["hidden"])))

    raw = base64.b64decode(Bundle(small(), A).lines[TOMBSTONE]["hidden"])
    at = TOMBSTONE
    vector("hidden_144_bytes", "145 bytes", hidden(lambda h: b64(raw[:-1])), MALFORMED, at)
    vector("hidden_146_bytes", "145 bytes", hidden(lambda h: b64(raw + b"\0")), MALFORMED, at)
    vector("hidden_is_a_record", "145 bytes, not the record", hidden(lambda h: b64(small().records()[at])), MALFORMED, at)
    vector("hidden_unpadded", "padding is there", hidden(lambda h: h.rstrip("=")), MALFORMED, at)
    vector("hidden_unused_bits", "unused bits are zero", hidden(loose), MALFORMED, at)
    vector("hidden_null", "a text", hidden(lambda h: None), MALFORMED, at)
    vector("hidden_version_2", "another version", Bundle(small().changed(at, over={"version": 2}), A, first=2, end=5), MALFORMED, at)
    other = small().changed(at, over={"workspace": named("another")})
    vector("hidden_of_another_workspace", "of another workspace", Bundle(other, A, first=2, end=5), MALFORMED, at)
    vector("hidden_wrong_index", "in the wrong place", Bundle(small().changed(at, over={"index": 5}), A, first=2, end=5), INDEX, at)
    for byte, name in [(40, "previous"), (32, "time"), (70, "receipt_hash"), (100, "subject"), (144, "body_hash")]:
        flipped = bytes(b ^ (i == byte) for i, b in enumerate(raw))
        vector(f"hidden_{name}_altered", "the hash covers it", hidden(lambda h: b64(flipped)), HASH, at)  # noqa: B023
    linked = Bundle(small().changed(at, over={"previous": bytes(32)}), A, first=2, end=5)
    vector("hidden_link", "hidden records are linked", linked, LINK, at - 1)
    back = small().changed(at, over={"time": START})
    vector("hidden_time_goes_back", "hidden records have a time", Bundle(back, A, first=2, end=5), TIME, at)
    story = Bundle(small(), A)
    own = base64.b64decode(Bundle(small(), B).lines[CHECK]["hidden"])
    story.lines[CHECK] = {"hash": story.lines[CHECK]["hash"], "hidden": b64(own)}
    vector("hidden_own_check", "a record of the story itself is hidden", story, SUBJECT, CHECK)
    for at, name in [(2, "grant"), (REVOKE, "revoke")]:
        story = Bundle(small(), A)
        story.lines[at] = Bundle(small(), B).lines[at]
        vector(f"hidden_own_{name}", "a record of the story itself is hidden", story, SUBJECT, at)
    log = large()
    for at, name in [(11, "confirmation"), (16, "resolution")]:
        story = Bundle(log, A, first=at, end=at + 1)
        story.lines[0] = Bundle(log, B, first=at, end=at + 1).lines[0]
        vector(f"hidden_own_{name}", "a record of the story itself is hidden", story, SUBJECT, at)


FIELDS = {"version": 0, "workspace": 16, "index": 24, "time": 32, "previous": 64, "receipt_hash": 96, "subject": 112, "body": 116}


def altered_bytes():
    """A byte of each field, with the hash of the line as it was, and recomputed."""
    at = TOMBSTONE
    first = {"version": (MALFORMED, at), "workspace": (MALFORMED, at), "index": (INDEX, at)}
    again = {**first, "time": (LINK, at), "previous": (LINK, at - 1), "receipt_hash": (RECEIPT, at), "subject": (SUBJECT, at), "body": (LINK, at)}
    for name, byte in FIELDS.items():
        raw = bytearray(base64.b64decode(Bundle(small()).lines[at]["record"]))
        raw[byte] ^= 1
        vector(f"altered_{name}", "a bit was altered", member(at, record=b64(raw)), *first.get(name, (HASH, at)))
        rehashed = member(at, record=b64(raw), hash=record_hash(bytes(raw)).hex())
        vector(f"altered_{name}_rehashed", "a bit was altered and the hash recomputed", rehashed, *again[name])
    raw = bytearray(small().records()[REVOKE])
    raw[-3] ^= 1
    last = Bundle(small(), first=5)
    last.lines[1].update(record=b64(raw), hash=record_hash(bytes(raw)).hex())
    vector("altered_last_rehashed", "nothing is linked to the last one, but the root is another", last, ROOT)
    vector("altered_hash", "the hash was altered", member(at, hash="0" * 64), HASH, at)
    vector("altered_hash_of_another", "the hash of the record before", member(at, hash=Bundle(small()).lines[at - 1]["hash"]), HASH, at)


def links_and_times():
    one = bytes(31) + b"\1"
    vector("link_at_0", "zeros at index 0", Bundle(small().changed(0, over={"previous": one}), end=2), LINK, 0)
    vector("link_zeros", "zeros at 0 alone", log_of(TOMBSTONE, over={"previous": bytes(32)}), LINK, TOMBSTONE - 1)
    vector("link_at_the_end", "the last one's link", Bundle(small().changed(6, over={"previous": one}), first=5), LINK, 5)
    vector("link_of_the_first", "what is not in the bundle is not asked for", Bundle(small().changed(3, over={"previous": one}), first=3, end=5))
    skipping = record_hash(small().records()[1])
    vector("link_skips_one", "the hash of the record before the one before", log_of(TOMBSTONE, over={"previous": skipping}), LINK, TOMBSTONE - 1)
    back = START + 2 * 250 - 1
    vector("time_1_ms_back", "a millisecond before the record before it", log_of(TOMBSTONE, over={"time": back}), TIME, TOMBSTONE)
    vector("time_back_to_0", "the epoch", log_of(TOMBSTONE, over={"time": 0}), TIME, TOMBSTONE)
    vector("time_before_the_bundle", "times before the bundle are not known", Bundle(small().changed(3, over={"time": 0}), first=3, end=5))


def subjects():
    log = large()
    for place, name in [(3, "grant"), (6, "check"), (11, "confirmation"), (16, "resolution"), (24, "revoke")]:
        for subject, wrong in [(bytes(16), "none"), (named("x"), "another")]:
            bad = log.changed(place, over={"subject": subject})
            vector(f"subject_{wrong}_of_{name}", "the subject is that of the body", Bundle(bad, first=place, end=place + 1), SUBJECT, place)
    for place, name in [(0, "workspace"), (1, "activation"), (2, "api_key"), (5, "tombstone"), (13, "bundle"), (20, "unknown_check")]:
        bad = log.changed(place, subject_of=A)
        vector(f"subject_of_{name}", "it is about no authorization", Bundle(bad, A, first=place, end=place + 1), SUBJECT, place)
    by_id = log.changed(6, over={"subject": A})
    vector("subject_is_the_id", "a hash, not the id itself", Bundle(by_id, first=6, end=7), SUBJECT, 6)


def shown(log, *places, story=A, **more):
    """A story in which the lines of these places are those of the whole workspace."""
    first = more.get("first", 0)
    bundle, whole = Bundle(log, story, **more), Bundle(log, **more)
    for place in places:
        bundle.lines[place - first] = whole.lines[place - first]
    return bundle


def shown_in_a_story():
    log = large()
    near = lambda place: shown(log, place, first=max(0, place - 1), end=place + 2)  # noqa: E731
    for place, name in [(4, "grant"), (7, "check"), (21, "confirmation"), (22, "resolution"), (23, "revoke")]:
        assert log.specs[place]["subject_of"] == B
        vector(f"story_shows_{name}_of_another", "a genuine record of another authorization, unhidden", near(place), SUBJECT, place)
    for place, name in [(0, "workspace"), (1, "activation"), (2, "api_key"), (5, "tombstone"), (8, "lifting"), (13, "bundle"), (20, "unknown_check")]:
        assert log.specs[place]["subject_of"] is None
        vector(f"story_shows_{name}", "a genuine record about no authorization, unhidden", near(place), SUBJECT, place)
    vector("story_of_nobody_shows_a_grant", "a genuine record, in the story of nobody", shown(small(), 2, story=C), SUBJECT, 2)
    vector("story_shows_others_first", "the first of several is named", shown(log, 8, 7, 5, first=5, end=9), SUBJECT, 5)
    for story, name in [(A, "a_story"), (C, "a_story_of_nobody")]:
        for first, at in [(0, 0), (2, 3 if story == A else 2), (3, 3)]:
            named_so = Bundle(small(), first=first).edit(lambda b: b.head.update(authorization_id=text_of("auth_", story)))  # noqa: B023
            vector(f"workspace_named_{name}_from_{first}", "a bundle of the workspace whose head names an authorization", named_so, SUBJECT, at)


def without_rotation(log, first=ROTATION, **more):
    """A bundle whose head has the first key alone."""
    return Bundle(log, first=first, keys=[1], signer=KEY, **more)


def unlisted_keys():
    log, at = rotated(), ROTATION
    vector("key_unlisted", "an activation stands here that the head leaves out", without_rotation(log, end=8), UNLISTED, at)
    vector("key_unlisted_then_used", "before what it has signed", without_rotation(log, first=0), UNLISTED, at)
    vector("key_unlisted_first", "the first key is left out", Bundle(log, end=2, keys=[7]), UNLISTED, 1, trust=(NEXT.id,))
    again = small().activated(KEY, active_from=log.keys[0][2])
    vector("key_unlisted_with_a_listed_body", "it is the index that is listed, not the key", without_rotation(again), UNLISTED, at)
    forked_line = Bundle(small().activated(STRANGER), first=at).lines[0]
    forked_key = Bundle(log, first=at, end=8).edit(lambda b: b.lines.__setitem__(0, forked_line))
    vector("key_listed_of_a_fork", "another key is activated at the index of a listed one: the root tells", forked_key, ROOT, trust=(NEXT.id,))


def receipt_hashes():
    log = large()
    for place, family in [(0, 0), (2, 1), (1, 2), (11, 5), (13, 7), (5, 8)]:
        bad = log.changed(place, over={"receipt_hash": bytes(31) + b"\1"})
        vector(f"receipt_hash_of_family_{family}", "this family has no receipts", Bundle(bad, first=place, end=place + 1), RECEIPT, place)
    for place, family in [(3, 3), (6, 4), (16, 6), (24, "3_revoke")]:
        bad = log.changed(place, receipt=None)
        vector(f"receipt_hash_zeros_of_family_{family}", "this family has receipts", Bundle(bad, first=place, end=place + 1), RECEIPT, place)
    zeros = Bundle(log.changed(6, over={"receipt_hash": bytes(32)}), first=6, end=7)
    vector("receipt_hash_zeros_with_receipt", "a receipt without its hash", zeros, RECEIPT, 6)
    hidden = log.changed(5, over={"receipt_hash": bytes(31) + b"\1"})
    vector("receipt_hash_of_hidden", "of a hidden record this is not judged", Bundle(hidden, A, first=5, end=6))
    vector("receipt_missing", "a receipt is left out", around(CHECK, lambda ls: ls.pop("receipt")), "missing_receipt", CHECK)
    vector("receipt_missing_in_a_story", "of the story's own", Bundle(small(), A).edit(lambda b: b.lines[2].pop("receipt")), "missing_receipt", 2)
    check = small().specs[CHECK]["receipt"]
    vector("receipt_beside_a_tombstone", "a record without one", member(TOMBSTONE, receipt=check), RECEIPT, TOMBSTONE)


def resigned(place=CHECK, key=KEY, log=None, **changes):
    """The log of a server that signed another receipt. None takes a member out."""
    log = log or small()
    receipt = {name: value for name, value in {**log.specs[place]["receipt"], **changes}.items() if name != "signature" and value is not ...}
    return log.with_receipt(place, log.signed(receipt, 0, key))


def at_check(log, place=CHECK):
    return Bundle(log, first=place, end=place + 1)


def receipts_of_others():
    at = CHECK
    check, unknown = small().specs[CHECK]["receipt"], small().specs[5]["receipt"]
    vector("receipt_of_another_record", "genuine, but another record's", member(at, receipt=unknown), RECEIPT, at)
    vector("receipt_empty", "an object with nothing in it", member(at, receipt={}), RECEIPT, at)
    vector("receipt_in_its_envelope", "the envelope has to be taken off first", member(at, receipt={"status": "signed", "receipt": check}), RECEIPT, at)
    for name in ["decision", "user_id", "reason", "policy_version", "authorization_id", "scope"]:
        value = check[name][:-1] + "x"
        vector(f"receipt_{name}_altered", "the record carries its hash", member(at, receipt={**check, name: value}), RECEIPT, at)
    vector("receipt_context_altered", "the record carries its hash", member(at, receipt={**check, "context": {"amount": 13}}), RECEIPT, at)
    vector("receipt_member_added", "the record carries its hash", member(at, receipt={**check, "note": None}), RECEIPT, at)
    signed_again = {**check, "decision": "deny"}
    signed_again = small().signed({k: v for k, v in signed_again.items() if k != "signature"}, 0, KEY)
    vector("receipt_altered_and_signed", "signed by the right key, and not what the record carries", member(at, receipt=signed_again), RECEIPT, at)
    for name, text, why in [
        ("float", "12.0", "it cannot be canonical"),
        ("unsafe_integer", "9007199254740992", "it cannot be canonical"),
        ("lone_surrogate", '"\\ud800"', "it cannot be canonical"),
        ("name_twice", '{"a":1,"a":1}', "it cannot be canonical"),
    ]:
        vector(f"receipt_{name}", why, line_text(at, lambda t: t.replace('"amount":12', '"amount":' + text)), RECEIPT, at)  # noqa: B023
    twice = line_text(at, lambda t: t.replace('"decision":"allow"', '"decision":"allow","decision":"allow"'))
    vector("receipt_member_twice", "it cannot be canonical", twice, RECEIPT, at)
    other = {"receipt_id": unknown["receipt_id"], "workspace_id": Bundle(large()).head["workspace_id"]}
    for name, value in other.items():
        vector(f"receipt_with_another_{name}", "signed, and the record carries its hash", at_check(resigned(**{name: value})), RECEIPT, at)
    for name in [*other, "issued_at"]:
        vector(f"receipt_without_{name}", "signed, and the record carries its hash", at_check(resigned(**{name: ...})), RECEIPT, at)
    later = time_text(START + at * 250 + 1)
    vector("receipt_with_another_time", "a millisecond later", at_check(resigned(issued_at=later)), RECEIPT, at)
    for name, text in [("offset", later[:-2] + "0+00:00"), ("spelling", later[:-2] + "0z"), ("digits", later[:-4] + "Z")]:
        assert check["issued_at"][:-2] == later[:-2]
        vector(f"receipt_time_in_another_{name}", "the same instant, and another text", at_check(resigned(issued_at=text)), RECEIPT, at)


def receipts_that_do_not_verify():
    at = CHECK

    def refused(name, code, log, why="the record carries its hash"):
        vector("receipt_fails_" + name, why, at_check(log), code, at)

    refused("version", "unsupported_version", resigned(version="1.1"))
    refused("extra_member", "unknown_field", resigned(note=None))
    refused("missing_member", "missing_field", resigned(user_id=...))
    refused("type", "wrong_type", resigned(user_id=7))
    refused("policy_eval", "malformed_policy_eval", resigned(policy_eval={}))
    refused("scope_and_event", "scope_or_event", resigned(event="authorization.create"))
    refused("pairing", "pairing", resigned(decision="maybe"))
    refused("no_authorization", "pairing", resigned(authorization_id=None))
    log = small()
    receipt = log.specs[at]["receipt"]
    bare = {name: value for name, value in receipt.items() if name != "signature"}
    vector("receipt_not_signed", "the signed bytes are right, and there is no signature", member(at, receipt=bare), "missing_field", at)

    def signature(name, code, why="the signature is not part of what the record carries", **members):
        vector("receipt_signature_" + name, why, member(at, receipt={**receipt, "signature": {**receipt["signature"], **members}}), code, at)

    value = receipt["signature"]["value"]
    good = base64url(value)
    signed = canonical(bare).encode()
    signature("extra_member", "unknown_field", note="")
    signature("null", "wrong_type", value=None)
    signature("padded", "malformed_signature", value=value + "==")
    signature("63_bytes", "malformed_signature", value=unpadded(good[:63]))
    signature("alg", "unsupported_alg", alg="none")
    signature("key_of_a_stranger", "unknown_key", **log.signed(bare, 0, STRANGER)["signature"])
    signature("of_a_stranger", "bad_signature", value=unpadded(STRANGER.sign(signed)))
    signature("byte_0", "bad_signature", value=unpadded(bytes([good[0] ^ 1]) + good[1:]))
    signature("not_reduced", "bad_signature", value=unpadded(KEY.not_reduced(signed)))
    signature("r_of_small_order", "bad_signature", value=unpadded(KEY.small_order(signed)))
    half = line_text(at, lambda t: t.replace('"alg":"Ed25519"', '"alg":1.5'))
    vector("receipt_signature_float", "what is not signed may be defective, and is of no type", half, "wrong_type", at)
    old = Bundle(resigned(9, KEY, rotated()), first=9)
    vector("receipt_by_the_retired_key", "the second key was active", old, "inactive_key", 9, trust=(NEXT.id,))
    new = Bundle(resigned(CHECK, NEXT, rotated()), first=CHECK)
    vector("receipt_by_the_next_key", "the second key was not active yet", new, "inactive_key", CHECK, trust=(NEXT.id,))
    vector("key_left_out", "a key that the head leaves out, activated before the bundle", without_rotation(rotated(), first=8), "unknown_key", 8)
    late = rotated()
    late = late.changed(7, body=late.specs[7]["body"][:50] + b"\xfd" + (START + 10**9).to_bytes(8, "little") + b"\0")
    vector("key_activated_for_later", "the second key signs before its time", Bundle(late, first=8), "inactive_key", 8, trust=(NEXT.id,))


def ends():
    zero = b64(bytes(32))
    bundle = Bundle(small(), first=3, end=4)
    blank = bundle.bytes() + b"\n"
    vector("end_blank_line", "a blank line is a line", blank, "extra_records", 4)
    vector("end_text_behind", "nothing is behind the last record", bundle.bytes() + b"{}", "extra_records", 4)
    vector("end_head_again", "two bundles are no bundle", bundle.bytes() * 2, "extra_records", 4)
    vector("end_line_behind_empty_range", "an empty range has no lines", Bundle(small(), first=3, end=3).bytes() + b"\n", "extra_records", 3)
    for name in ("before", "after"):
        hashes = bundle.head[name]
        other = Bundle(small(), first=3, end=4).edit(lambda b: b.head.update({name: [zero, *hashes[1:]]}))  # noqa: B023
        vector(f"root_{name}_altered", "a subtree of other records", other, ROOT)
        swapped = Bundle(small(), first=3, end=4).edit(lambda b: b.head.update({name: [hashes[1], hashes[0], *hashes[2:]]}))  # noqa: B023
        vector(f"root_{name}_swapped", "from left to right", swapped, ROOT)
    empty = Bundle(small(), first=3, end=3)
    vector("root_empty_range", "an empty range proves nothing without the root", empty.edit(lambda b: b.head.update(after=[zero] * len(b.head["after"]))), ROOT)
    log = small()
    other = log.copy()
    # The same event, so that its receipt fits, done for another request.
    other.specs[6]["body"] = other.specs[6]["body"][:-1] + b"\1\1k" + bytes(16)
    fork = Bundle(log, first=6).edit(lambda b: b.lines.__setitem__(0, Bundle(other, first=6).lines[0]))
    vector("root_of_a_fork", "another end of the same log, whole in itself", fork, ROOT)
    all_other = Bundle(small().changed(0, body=small().specs[0]["body"].replace(b"Acme", b"Emca")))
    genuine = Bundle(small())
    all_other.note_text, all_other.signatures, all_other.head["keys"] = genuine.note_text, genuine.signatures, genuine.head["keys"]
    vector("root_of_a_rewritten_log", "rewritten from the first record on, with links that fit, under the genuine checkpoint", all_other, ROOT)
    moved = Bundle(grown(300), first=77, end=79)
    moved.head["before"][-1] = moved.head["before"][-2]
    vector("root_of_300", "one subtree of many is another", moved, ROOT)


def precedence():
    one = bytes(31) + b"\1"
    at = CHECK
    missing = Bundle(small(), first=3, end=5).edit(lambda b: b.lines.pop())
    vector("order_missing_record_before_root", "before the root", missing.edit(lambda b: b.head.update(before=[b64(one)] * 2)), "missing_records", 4)
    vector("order_version_index", "before the index", log_of(at, over={"version": 2, "index": 9}), MALFORMED, at)
    unhashed = around(at, lambda ls: ls.update(hash="0" * 64), small().changed(at, over={"index": 9}))
    vector("order_index_hash", "before the hash", unhashed, INDEX, at)
    for family, variant in UNKNOWN:
        # As long as it takes for whatever ids it might begin with.
        body = bytes([family, variant]) + bytes(64)
        bundle = around(TOMBSTONE, lambda ls: ls.update(hash="0" * 64), small().changed(TOMBSTONE, body=body))
        vector(f"order_body_{family}_{variant}_hash", "whether there is such an event, before the hash", bundle, MALFORMED, TOMBSTONE)
    unlinked = around(at, lambda ls: ls.update(hash="0" * 64), small().changed(at, over={"previous": one}))
    vector("order_hash_link", "before the link", unlinked, HASH, at)
    vector("order_link_time", "before the time", log_of(at, over={"previous": one, "time": 0}), LINK, at - 1)
    vector("order_time_subject", "before the subject", log_of(at, over={"time": 0, "subject": bytes(16)}), TIME, at)
    vector("order_subject_receipt_hash", "before the receipt's hash", log_of(at, over={"subject": bytes(16), "receipt_hash": bytes(32)}), SUBJECT, at)
    order_of_shown()
    one_ms = rotated().changed(ROTATION, over={"time": START})
    vector("order_time_unlisted", "the time before a key that is not listed", without_rotation(one_ms, first=6), TIME, ROTATION)
    unlisted = without_rotation(rotated().changed(ROTATION, subject_of=A))
    vector("order_subject_unlisted", "before a key that is not listed", unlisted, SUBJECT, ROTATION)
    unlisted = without_rotation(rotated().changed(ROTATION, over={"receipt_hash": one}))
    vector("order_unlisted_receipt_hash", "before the receipt's hash", unlisted, UNLISTED, ROTATION)
    beside = without_rotation(rotated()).edit(lambda b: b.lines[0].update(receipt=small().specs[CHECK]["receipt"]))
    vector("order_unlisted_receipt", "before a receipt it cannot have", beside, UNLISTED, ROTATION)
    unlinked = without_rotation(rotated().changed(ROTATION + 1, over={"previous": one}))
    vector("order_unlisted_then_link", "a record's own fault before the link of the next", unlinked, UNLISTED, ROTATION)
    extra = without_rotation(rotated(), end=8).edit(lambda b: (b.lines.append(b.lines[0]), b.head.update(before=[b64(one)] * 3)))
    vector("order_unlisted_end", "before the end", extra, UNLISTED, ROTATION)
    without = around(at, lambda ls: ls.pop("receipt"), small().changed(at, over={"receipt_hash": bytes(32)}))
    vector("order_receipt_hash_missing", "before a missing receipt", without, RECEIPT, at)
    receipt = resigned(receipt_id="rcp_" + "0" * 26, version="1.1")
    vector("order_receipt_verifier", "before the receipt's own checks", at_check(receipt), RECEIPT, at)
    vector("order_receipt_checks", "the receipt's checks have their order", at_check(resigned(version="1.1", user_id=7)), "unsupported_version", at)
    two = Bundle(small(), first=3).edit(lambda b: (b.lines[1].update(hash="0" * 64), b.lines[2].pop("hash")))
    vector("order_first_index", "the first bad record, whatever is wrong with later ones", two, HASH, 4)
    subject = small().changed(at, over={"subject": bytes(16)}).changed(at + 1, over={"previous": one})
    vector("order_own_fault_then_link", "a record's own fault before the link of the next", Bundle(subject, first=3), SUBJECT, at)
    extra = Bundle(small(), first=3, end=4).edit(lambda b: (b.lines.append(b.lines[0]), b.head.update(before=[b64(one)] * 2)))
    vector("order_extra_root", "before the root", extra, "extra_records", 4)
    broken = Bundle(small(), first=3, end=5).edit(lambda b: (b.lines.append(b.lines[0]), b.lines[1].pop("receipt")))
    vector("order_record_extra", "records before the end", broken, "missing_receipt", 4)
    last = Bundle(small(), first=3, end=5, witnesses=[W1])
    vector("order_nothing_wrong", "and nothing at all", last, witnesses=[W1.vkey()], quorum=1)


def order_of_shown():
    """A record of somebody else that is shown in a story, and a second fault."""
    one, at = bytes(31) + b"\1", CHECK
    of_b = lambda **over: shown(small().changed(at, over=over), at, story=B, first=3, end=6)  # noqa: E731
    line = lambda change: of_b().edit(lambda b: change(b.lines[1]))  # noqa: E731
    vector("order_version_shown", "before what a story may show", of_b(version=2), MALFORMED, at)
    vector("order_index_shown", "before what a story may show", of_b(index=9), INDEX, at)
    vector("order_hash_shown", "before what a story may show", line(lambda ls: ls.update(hash="0" * 64)), HASH, at)
    vector("order_link_shown", "before what a story may show", of_b(previous=one), LINK, at - 1)
    vector("order_time_shown", "before what a story may show", of_b(time=0), TIME, at)
    unlisted = without_rotation(rotated(), story=B).edit(lambda b: b.lines.__setitem__(0, without_rotation(rotated()).lines[0]))
    vector("order_shown_unlisted", "what a story may show, before a key that is not listed", unlisted, SUBJECT, ROTATION)
    vector("order_shown_receipt_hash", "before the receipt's hash", of_b(receipt_hash=bytes(32)), SUBJECT, at)
    vector("order_shown_missing_receipt", "before a missing receipt", line(lambda ls: ls.pop("receipt")), SUBJECT, at)
    vector("order_shown_receipt", "before the receipt", line(lambda ls: ls["receipt"].update(decision="deny")), SUBJECT, at)
    unsigned = shown(resigned(version="1.1"), at, story=B, first=3, end=6)
    vector("order_shown_receipt_checks", "before the receipt's own checks", unsigned, SUBJECT, at)
    broken = shown(small().changed(at + 1, over={"previous": one}), at, story=B, first=3, end=6)
    vector("order_shown_then_link", "a record's own fault before the link of the next", broken, SUBJECT, at)
    extra = of_b().edit(lambda b: (b.lines.append(b.lines[0]), b.head.update(before=[b64(one)] * 2)))
    vector("order_shown_end", "before the end", extra, SUBJECT, at)
    hidden = Bundle(large(), A, first=6, end=12)
    hidden.lines[0], hidden.lines[1] = Bundle(large(), B, first=6, end=7).lines[0], Bundle(large(), first=7, end=8).lines[0]
    vector("order_hidden_own_shown_other", "the first of two that have changed roles", hidden, SUBJECT, 6)
