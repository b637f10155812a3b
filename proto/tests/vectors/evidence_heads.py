"""Bundles that are refused for their head, each for one fault, but for those that show which of two is reported."""

import copy

from evidence_log import Bundle, Log, WeakKey, b64, blake3, named, signature_line, varint
from evidence_vectors import KEY, NEXT, STRANGER, W1, W2, W3, VECTORS, grown, rotated, signed_by_both, small, vector

MALFORMED, UNTRUSTED, PROOF, WITNESSES = "malformed_bundle", "untrusted_checkpoint", "bad_key_proof", "too_few_witnesses"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def write():
    texts()
    members()
    hashes()
    checkpoints()
    key_entries()
    signatures()
    subtrees()
    key_proofs()
    witnesses()
    precedence()


def short(log=None, **more):
    """A bundle of one small record, with subtrees on both sides."""
    return Bundle(log or small(), **{"first": 3, "end": 4, **more})


def with_head(**members):
    return short().edit(lambda b: b.head.update(members))


def with_head_text(change):
    """The bundle with its head changed as a text."""
    head, *lines = short().texts()
    changed = change(head)
    assert changed != head
    return "".join(line + "\n" for line in [changed, *lines]).encode("utf-8", "surrogatepass")


def loose(text):
    """The same bytes with a bit set that belongs to none of them."""
    at = len(text.rstrip("=")) - 1
    return text[:at] + LETTERS[LETTERS.index(text[at]) | 1] + text[at + 1 :]


def texts():
    vector("empty", "nothing at all", b"", MALFORMED)
    vector("empty_line", "a line with nothing in it", b"\n", MALFORMED)
    vector("head_not_json", "the head is cut off", with_head_text(lambda t: t[:-1]), MALFORMED)
    vector("head_array", "an array is no head", with_head_text(lambda t: f"[{t}]"), MALFORMED)
    vector("head_null", "null is no head", with_head_text(lambda t: "null"), MALFORMED)
    vector("head_twice_on_its_line", "one value to a line", with_head_text(lambda t: t + t), MALFORMED)
    vector("head_byte_order_mark", "a byte order mark is not JSON", with_head_text(lambda t: "\ufeff" + t), MALFORMED)
    vector("head_over_two_lines", "a line feed ends a line wherever it stands", with_head_text(lambda t: t.replace(",", ",\n", 1)), MALFORMED)
    vector("head_not_ended", "a line is ended by a line feed", Bundle(small(), first=7, end=7).bytes()[:-1], MALFORMED)
    utf8 = short(extension="\u00e9\n").bytes().replace(b"\xc3\xa9", b"\xc3")
    vector("head_not_utf8", "not UTF-8", utf8, MALFORMED)
    float_first = with_head_text(lambda t: t.replace('"first":3', '"first":3.0'))
    vector("head_first_float", "3.0 is a float", float_first, MALFORMED)
    vector("head_first_exponent", "3e0 is a float", with_head_text(lambda t: t.replace('"first":3', '"first":3e0')), MALFORMED)
    vector("head_minus_zero", "-0 is no integer", Bundle(small(), end=0).bytes().replace(b'"first":0', b'"first":-0'), MALFORMED)
    vector("head_end_unsafe", "beyond the safe integers", with_head_text(lambda t: t.replace('"end":4', '"end":9007199254740992')), MALFORMED)
    vector("head_member_twice", "given twice, even if equal", with_head_text(lambda t: t.replace('"end":4', '"end":4,"end":4')), MALFORMED)
    surrogate = with_head_text(lambda t: t.replace('"checkpoint":"', '"checkpoint":"\\ud800'))
    vector("head_lone_surrogate", "half a character", surrogate, MALFORMED)
    deep = "[" * 127 + "]" * 127
    vector("head_too_deep", "129 containers within each other", with_head_text(lambda t: t.replace('"before":[', f'"before":[{deep},')), MALFORMED)


def members():
    for name in short().head:
        vector(f"head_without_{name}", "every member is there", short().edit(lambda b: b.head.pop(name)), MALFORMED)
    vector("head_member_extra", "no other member, even null", with_head(note=None), MALFORMED)
    for name, value, why in [
        ("format", "allowlog-evidence-v2", "another format"),
        ("workspace_id", 7, "an id is a text"),
        ("workspace_id", small().id.lower(), "ids are exact"),
        ("workspace_id", small().id.replace("ws_", "auth_"), "the prefix is that of a workspace"),
        ("workspace_id", "ws_8" + small().id[4:], "more than 128 bits"),
        ("authorization_id", "", "null or an id"),
        ("authorization_id", small().id, "the prefix is that of an authorization"),
        ("first", -1, "not negative"),
        ("first", "3", "an integer"),
        ("end", None, "an integer"),
        ("end", True, "true is not 1"),
        ("before", None, "a list"),
        ("after", {}, "a list"),
        ("keys", "", "a list"),
        ("checkpoint", [], "a text"),
    ]:
        number = sum(known.startswith(f"head_{name}_wrong") for known in VECTORS)
        vector(f"head_{name}_wrong_{number}", why, with_head(**{name: value}), MALFORMED)
    vector("head_first_beyond_end", "`first` is at most `end`", with_head(first=4, end=3), MALFORMED)


def hashes():
    good = short().head["before"][0]
    for name, text, why in [
        ("unpadded", good[:-1], "padding is there"),
        ("unused_bits", loose(good), "unused bits are zero"),
        ("url_alphabet", "_" + good[1:], "the alphabet with `+` and `/`"),
        ("white_space", good + "\n", "nothing else"),
        ("31_bytes", b64(bytes(31)), "a hash has 32 bytes"),
        ("33_bytes", b64(bytes(33)), "a hash has 32 bytes"),
        ("number", 7, "a text"),
    ]:
        vector(f"before_hash_{name}", why, with_head(before=[text, *short().head["before"][1:]]), MALFORMED)
    after = short().head["after"]
    vector("after_hash_unpadded", "padding is there", with_head(after=[after[0].rstrip("="), *after[1:]]), MALFORMED)
    vector("proof_hash_unused_bits", "unused bits are zero", with_key(proof=[loose(h) for h in short().head["keys"][0]["proof"]]), MALFORMED)
    vector("proof_hash_31_bytes", "a hash has 32 bytes", with_key(proof=[b64(bytes(31))] * 3), MALFORMED)


def with_note(change, **more):
    """The bundle with its checkpoint's note changed as a text after signing."""
    bundle = short(**more)
    note = bundle.note_text + "\n" + "".join(bundle.signatures)
    bundle.head["checkpoint"] = change(note)
    assert bundle.head["checkpoint"] != note
    return bundle


def signed_text(text, key=KEY):
    """The bundle with another text in its note, signed."""
    bundle = short()
    bundle.note_text = text(bundle.note_text)
    bundle.signatures = [signature_line(bundle.origin, 1, key.public, key.sign(bundle.note_text.encode()))]
    return bundle


def checkpoints():
    def line(place, change):
        def out(text):
            lines = text.split("\n")
            lines[place] = change(lines[place])
            return "\n".join(lines)

        return signed_text(out)

    vector("checkpoint_empty", "no note", with_head(checkpoint=""), MALFORMED)
    vector("checkpoint_without_empty_line", "signatures stand behind an empty line", with_note(lambda n: n.replace("\n\n", "\n")), MALFORMED)
    vector("checkpoint_without_signatures", "a note is signed", with_note(lambda n: n[: n.index("\n\n") + 2]), MALFORMED)
    vector("checkpoint_not_ended", "a signature line is ended by a line feed", with_note(lambda n: n[:-1]), MALFORMED)
    vector("checkpoint_hyphen", "U+2014, not a hyphen", with_note(lambda n: n.replace("\u2014", "-")), MALFORMED)
    vector("checkpoint_signature_unpadded", "base64 with padding", with_note(lambda n: n.rstrip("=\n") + "\n"), MALFORMED)
    vector("checkpoint_signature_4_bytes", "a key id and no signature", with_note(lambda n: n + "\u2014 other AAAAAA==\n"), MALFORMED)
    vector("checkpoint_text_behind", "nothing but signature lines", with_note(lambda n: n + "text\n"), MALFORMED)
    vector("checkpoint_crlf", "lines end in a line feed alone", with_note(lambda n: n.replace("\n", "\r\n")), MALFORMED)
    vector("checkpoint_two_lines", "origin, size, root", signed_text(lambda t: "\n".join(t.split("\n")[:2]) + "\n"), MALFORMED)
    vector("checkpoint_size_leading_zero", "decimal", line(1, lambda s: "0" + s), MALFORMED)
    vector("checkpoint_size_plus", "decimal", line(1, lambda s: "+" + s), MALFORMED)
    vector("checkpoint_size_65_bits", "a size fits 64 bits", line(1, lambda s: str(2**64)), MALFORMED)
    vector("checkpoint_size_other_digits", "digits of ASCII only", line(1, lambda s: "\uff17"), MALFORMED)
    vector("checkpoint_root_unpadded", "base64 with padding", line(2, lambda s: s.rstrip("=")), MALFORMED)
    vector("checkpoint_root_unused_bits", "unused bits are zero", line(2, loose), MALFORMED)
    vector("checkpoint_root_31_bytes", "32 bytes", line(2, lambda s: b64(bytes(31))), MALFORMED)
    for name, character in [("tab", "\t"), ("carriage_return", "\r"), ("nul", "\0"), ("unit_separator", "\x1f")]:
        vector(f"checkpoint_{name}", "no other character below U+0020 than line feeds", short(extension=f"a{character}b\n"), MALFORMED)
    vector("checkpoint_line_empty", "no line is empty", short(extension="a\n\nb\n"), MALFORMED)
    vector("checkpoint_last_line_empty", "no line is empty", short(extension="\n"), MALFORMED)
    stranger = signature_line("x", 1, STRANGER.public, bytes(64))
    vector("checkpoint_101_signatures", "at most 100", with_note(lambda n: n + stranger * 100), MALFORMED)
    vector("checkpoint_100_signatures", "100 are not too many", with_note(lambda n: n + stranger * 99))
    for name, character in [("plus", "+"), ("no_break_space", "\u00a0"), ("next_line", "\u0085"), ("delete", "\x7f"), ("padding_character", "\u0080"), ("c1", "\u009f")]:
        odd = signature_line(f"a{character}b", 1, STRANGER.public, bytes(64))
        why = "a name holds neither white space nor control characters nor `+`"
        vector(f"checkpoint_name_with_{name}", why, with_note(lambda n: n + odd), MALFORMED)  # noqa: B023
    odd = signature_line("a\u00ad\u200b\u202eb", 1, STRANGER.public, bytes(64))
    vector("checkpoint_name_with_format_characters", "they are no control characters", with_note(lambda n: n + odd))
    rest = 65536 - len(short().note_text) - 1 - sum(len(line.encode()) for line in short().signatures)
    vector("checkpoint_65536_bytes", "not too long", short(extension="x" * (rest - 1) + "\n"))
    vector("checkpoint_65537_bytes", "too long", short(extension="x" * rest + "\n"), MALFORMED)
    other = Log("another workspace").created().activated(KEY).tombstone("a").tombstone("b")
    vector("checkpoint_of_another_workspace", "genuine, but of another workspace", signed_text(lambda t: Bundle(other).note_text), MALFORMED)
    whole = Bundle(small(), origin=Bundle(other).origin)
    vector("checkpoint_origin_of_another_workspace", "signed by the right key over the right root", whole, MALFORMED)
    vector("checkpoint_origin_without_prefix", "the origin has a prefix", short(origin=small().id), MALFORMED)


def with_key(log=None, **members):
    bundle = short(log)
    bundle.head["keys"][-1].update(members)
    return bundle


def key_entries():
    record = small().records()
    vector("key_member_extra", "`record` and `proof` alone", with_key(index=1), MALFORMED)
    vector("key_without_proof", "`record` and `proof`", short().edit(lambda b: b.head["keys"][0].pop("proof")), MALFORMED)
    vector("key_not_an_object", "an object", with_head(keys=[b64(record[1])]), MALFORMED)
    vector("key_record_unpadded", "base64 with padding", with_key(record=b64(record[1] + b"\0" * (len(record[1]) % 3 == 0)).rstrip("=")), MALFORMED)
    tombstone = Bundle(small(), keys=[3])
    vector("key_record_of_a_tombstone", "an activation", tombstone, MALFORMED)
    vector("key_record_of_version_2", "an unknown version", with_key(small().changed(1, over={"version": 2})), MALFORMED)
    other = small().changed(1, over={"workspace": named("another workspace")})
    vector("key_record_of_another_workspace", "an activation of this workspace", with_key(other), MALFORMED)
    body = small().specs[1]["body"]
    stolen = small().changed(1, body=body[:18] + STRANGER.public + body[50:])
    vector("key_record_with_another_public_key", "the id is that of the public key", with_key(stolen), MALFORMED)
    no_point = bytes([2]) + bytes(31)
    pointless = small().changed(1, body=b"\2\0" + blake3(no_point)[:16] + no_point + body[50:])
    vector("key_record_with_no_point", "no point of the curve has y = 2", with_key(pointless), MALFORMED)
    named_other = small().changed(1, body=body[:2] + STRANGER.raw_id + body[18:])
    vector("key_record_with_another_id", "the id is that of the public key", with_key(named_other), MALFORMED)
    vector("key_record_cut", "the public key is there", with_key(record=b64(record[1][: 113 + 49])), MALFORMED)
    vector("key_record_header_alone", "a record has a body", with_key(record=b64(record[1][:113])), MALFORMED)


def signatures():
    vector("trust_nobody", "no trusted key", short(), UNTRUSTED, trust=())
    vector("trust_another", "signed by a key that is not trusted", short(), UNTRUSTED, trust=(STRANGER.id,))
    vector("trust_the_retired_alone", "the retired key is trusted and did not sign", Bundle(rotated(), first=9), UNTRUSTED)
    retired = Bundle(rotated(), first=9, signer=KEY)
    vector("signature_by_the_retired_key", "a retired key signs nothing any more, trusted as it is", retired, UNTRUSTED)
    vector("signature_by_the_retired_key_both_trusted", "the last key has not signed", retired, UNTRUSTED, trust=(KEY.id, NEXT.id))
    vector("signature_by_the_retired_key_next_trusted", "the last key is trusted and has not signed", retired, UNTRUSTED, trust=(NEXT.id,))
    vector("signature_by_both_keys_retired_trusted", "the last key is not trusted", signed_by_both(rotated()), UNTRUSTED)
    forged = Log().created().activated(STRANGER).tombstone("a")
    vector("key_of_a_stranger", "a whole workspace made by a stranger", Bundle(forged), UNTRUSTED)
    vector("keys_empty", "nobody can have signed", with_head(keys=[]), UNTRUSTED)
    vector("signature_by_a_stranger", "a stranger's line beside a trusted key that did not sign", short(signer=STRANGER), UNTRUSTED)
    vector("signature_forged", "a stranger's signature under the trusted key's name", short(sign=STRANGER.sign), UNTRUSTED)
    vector("signature_of_zeros", "64 bytes, but no signature", short(sign=lambda m: bytes(64)), UNTRUSTED)
    vector("signature_63_bytes", "a byte short", short(sign=lambda m: KEY.sign(m)[:63]), UNTRUSTED)
    vector("signature_65_bytes", "a byte too many", short(sign=lambda m: KEY.sign(m) + b"\0"), UNTRUSTED)
    vector("signature_not_reduced", "S beyond the group order", short(sign=KEY.not_reduced), UNTRUSTED)
    vector("signature_r_of_small_order", "the equation holds, and R is the neutral point", short(sign=KEY.small_order), UNTRUSTED)
    weak = WeakKey()
    by_weak = Bundle(Log().created().activated(weak).tombstone("a"))
    vector("signature_key_of_small_order", "one signature fits every text", by_weak, UNTRUSTED, trust=(weak.id,))
    for byte in (0, 31, 32, 63):
        flip = lambda m: bytes(b ^ (i == byte) for i, b in enumerate(KEY.sign(m)))  # noqa: E731, B023
        vector(f"signature_byte_{byte}", "one bit of the signature", short(sign=flip), UNTRUSTED)
    vector("signature_without_line_feed", "the text is signed with its last line feed", short(sign=lambda m: KEY.sign(m[:-1])), UNTRUSTED)
    vector("signature_with_empty_line", "the text is signed without the empty line", short(sign=lambda m: KEY.sign(m + b"\n")), UNTRUSTED)
    vector("text_size_altered", "another size than was signed", with_note(lambda n: n.replace("\n7\n", "\n6\n")), UNTRUSTED)
    root = short().note_text.split("\n")[2]
    vector("text_root_altered", "another root than was signed", with_note(lambda n: n.replace(root, b64(bytes(32)))), UNTRUSTED)
    vector("text_extended", "a line that was not signed", with_note(lambda n: n.replace("\n\n", "\nmore\n\n")), UNTRUSTED)
    vector("text_shortened", "a signed line is gone", with_note(lambda n: n.replace("more\n", ""), extension="more\n"), UNTRUSTED)
    own = short()
    name = own.origin + "x"
    renamed = signature_line(name, 1, KEY.public, KEY.sign(own.note_text.encode()))
    vector("signature_under_another_name", "the name is the origin", own.edit(lambda b: setattr(b, "signatures", [renamed])), UNTRUSTED)
    kind = signature_line(own.origin, 4, KEY.public, KEY.sign(own.note_text.encode()))
    vector("signature_of_another_type", "the key id is that of type 01", short().edit(lambda b: setattr(b, "signatures", [kind])), UNTRUSTED)


def subtrees():
    vector("end_beyond_size", "more records than the tree", Bundle(small()).edit(lambda b: b.head.update(end=8)), MALFORMED)
    for name in ("before", "after"):
        hashes = short().head[name]
        vector(f"{name}_one_too_few", "as many as there must be", with_head(**{name: hashes[1:]}), MALFORMED)
        vector(f"{name}_one_too_many", "as many as there must be", with_head(**{name: [*hashes, hashes[0]]}), MALFORMED)
    vector("before_where_none", "nothing is before the first", Bundle(small(), end=1).edit(lambda b: b.head.update(before=b.head["after"][:1])), MALFORMED)
    full = Bundle(grown(8), first=0, end=0).edit(lambda b: b.head.update(after=b.head["after"] * 2))
    vector("after_two_halves", "all of a tree of 8 is one subtree", full, MALFORMED)


def key_proofs():
    good = short().head["keys"][0]["proof"]
    vector("key_proof_shorter", "a hash is missing", with_key(proof=good[:-1]), PROOF)
    vector("key_proof_longer", "a hash too many", with_key(proof=[*good, good[0]]), PROOF)
    vector("key_proof_empty", "no proof", with_key(proof=[]), PROOF)
    vector("key_proof_swapped", "another order", with_key(proof=[good[1], good[0], *good[2:]]), PROOF)
    vector("key_proof_altered", "another hash", with_key(proof=[b64(bytes(32)), *good[1:]]), PROOF)
    body = small().specs[1]["body"]
    earlier = small().changed(1, body=body[:50] + varint(1) + b"\0").records()[1]
    vector("key_record_altered", "another time than the one in the tree", with_key(record=b64(earlier)), PROOF)
    forged = small().copy().having(specs=small().specs[:1], keys=[]).activated(STRANGER).records()[1]
    added = short().edit(lambda b: b.head["keys"].insert(0, {"record": b64(forged), "proof": good}))
    vector("key_forged_beside_the_genuine", "a key that was never activated", added, PROOF)
    behind = short().edit(lambda b: b.head["keys"].append({"record": b64(forged), "proof": good}))
    vector("key_forged_behind_the_genuine", "the trusted key has signed, but is not the last one", behind, UNTRUSTED)
    late = small().activated(NEXT)
    beyond = Bundle(late, size=7, first=3, end=4, signer=NEXT).edit(lambda b: b.head["keys"].append({"record": b64(late.records()[7]), "proof": good}))
    vector("key_beyond_the_size", "activated behind the checkpoint", beyond, PROOF, trust=(NEXT.id,))
    reversed_keys = Bundle(rotated(), first=9, keys=[7, 1], signer=KEY)
    vector("keys_in_another_order", "oldest first, or a retired key would be the last", reversed_keys, PROOF)
    twice = short().edit(lambda b: b.head["keys"].append(copy.deepcopy(b.head["keys"][0])))
    vector("keys_one_twice", "indexes rise", twice, PROOF)


def witnesses():
    names = [w.vkey() for w in (W1, W2, W3)]

    def cosigned(name, why, *lines, quorum=1, wanted=names):
        bundle = short().edit(lambda b: b.signatures.extend(line(b.note_text) for line in lines))
        vector("witness_" + name, why, bundle, WITNESSES, witnesses=wanted, quorum=quorum)

    cosigned("none", "nobody cosigned")
    cosigned("none_named", "more than the caller names", W1.line, wanted=[])
    cosigned("one_short", "two were asked for", W1.line, quorum=2)
    cosigned("one_twice", "two lines of one witness are one", W1.line, lambda t: W1.line(t, 1_795_435_301), quorum=2)
    cosigned("named_twice", "a witness named twice is one", W1.line, quorum=2, wanted=[W1.vkey(), W1.vkey()])
    cosigned("not_named", "cosigned by one the caller does not name", W1.line, wanted=[W2.vkey()])
    cosigned("of_another_text", "a cosignature of another checkpoint", lambda t: W1.line(t.replace("\n7\n", "\n8\n")))
    cosigned("at_another_time", "the time is signed", lambda t: W1.line(t, claimed=1_795_435_301))
    cosigned("not_reduced", "S beyond the group order", lambda t: W1.line(t, sign=W1.key.not_reduced))
    cosigned("r_of_small_order", "R is the neutral point", lambda t: W1.line(t, sign=W1.key.small_order))
    cosigned("by_another", "another's signature under its name", lambda t: W1.line(t, sign=W2.key.sign))
    cosigned("of_type_1", "a plain signature of the text is no cosignature", lambda t: signature_line(W1.name, 1, W1.key.public, W1.key.sign(t.encode())))
    plain = lambda t: signature_line(W1.name, 4, W1.key.public, W1.key.sign(t.encode()))  # noqa: E731
    cosigned("without_a_time", "64 bytes are no cosignature", plain)
    short_by_one = signature_line(W1.name, 4, W1.key.public, bytes(71))
    cosigned("71_bytes", "a byte short", lambda t: short_by_one)
    cosigned("by_the_log", "the log's own key is no witness", wanted=[W1.vkey()])
    renamed = lambda t: W1.line(t).replace(W1.name, W2.name)  # noqa: E731
    cosigned("under_another_name", "the name is part of the key", renamed)


def precedence():
    names = [W1.vkey()]
    vector("order_shape_trust", "before the signature", with_head(first=4, end=3), MALFORMED, trust=())
    vector("order_checkpoint_trust", "before the signature", short(origin=small().id), MALFORMED, trust=())
    vector("order_keys_trust", "before the signature", with_key(record=b64(small().records()[3])), MALFORMED, trust=())
    beyond = Bundle(small()).edit(lambda b: b.head.update(end=8))
    vector("order_trust_subtrees", "before what the size says", beyond, UNTRUSTED, trust=())
    both = with_key(proof=[]).edit(lambda b: b.head.update(before=[]))
    vector("order_subtrees_key_proof", "before the proofs of keys", both, MALFORMED)
    vector("order_key_proof_witnesses", "before the witnesses", with_key(proof=[]), PROOF, witnesses=names, quorum=1)
    broken = short().edit(lambda b: b.lines[0].pop("hash"))
    vector("order_witnesses_record", "before every record", broken, WITNESSES, witnesses=names, quorum=1)
    missing = short().edit(lambda b: b.lines.clear())
    vector("order_key_proof_missing_record", "before every record", missing.edit(lambda b: b.head["keys"][0].update(proof=[])), PROOF)
