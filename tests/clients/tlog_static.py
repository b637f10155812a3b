"""Holds tlog.py against static logs of the sizes that matter, made by the generator of the published vectors, and against
logs that are wrong in one byte: a reader that cannot refuse proves nothing.

    python3 tlog_static.py FOLDER    FOLDER holds evidence_log.py
"""

import hashlib
import random
import re
import sys

import httpx
from cryptography.exceptions import InvalidSignature

import tlog

SIZES = [0, 1, 2, 255, 256, 257, 65_536, 70_000]
NOTE_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
NOTE_SIGNATURE = "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM="


class Static:
    """The files of a log, as tlog-tiles names them."""

    def __init__(self, maker, size):
        self.origin, self.key = "example.com/log", maker.Key("static log")
        entries = [hashlib.sha512(str(i).encode()).digest() for i in range(size)]
        level, hashes, self.files = 0, [maker.leaf(entry) for entry in entries], {}
        text = f"{self.origin}\n{size}\n{maker.b64(maker.root(hashes))}\n"
        self.note = text + "\n" + maker.signature_line(self.origin, 1, self.key.public, self.key.sign(text.encode()))
        self.put("entries", [b"\0\x40" + entry for entry in entries])
        while hashes:
            self.put(level, hashes)
            full = len(hashes) // 256
            hashes, level = [maker.root(hashes[256 * i : 256 * i + 256]) for i in range(full)], level + 1
        self.files["checkpoint"] = self.note.encode()

    def put(self, level, items):
        for number in range(-(-len(items) // 256)):
            part = items[256 * number : 256 * number + 256]
            name = f"{number:03}" if number < 1000 else f"x{number // 1000:03}/{number % 1000:03}"
            self.files[f"tile/{level}/{name}" + ("" if len(part) == 256 else f".p/{len(part)}")] = b"".join(part)

    def answer(self, request):
        path = request.url.raw_path.decode().removeprefix("/log/")
        kind = tlog.CHECKPOINT_TYPE if path == "checkpoint" else tlog.TILE_TYPE
        return httpx.Response(200, content=self.files[path], headers={"content-type": kind}) if path in self.files else httpx.Response(404)

    def reader(self):
        http = httpx.Client(transport=httpx.MockTransport(self.answer))
        return tlog.Log(http, "http://static/log", tlog.vkey_of(self.origin, self.key.public))


def read(reader, seed):
    size, root = reader.checkpoint()
    reader.check(size, root, random.Random(seed))
    return size


def refused(static, path, content, why):
    kept = static.files[path]
    static.files[path] = content
    try:
        read(static.reader(), 0)
    except (AssertionError, InvalidSignature, ValueError):
        return 1
    finally:
        static.files[path] = kept
    raise AssertionError(f"{path}: {why} was not noticed")


def spoilt(static):
    count = 0
    for path, content in sorted(static.files.items()):
        at = len(content) // 2
        count += refused(static, path, content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :], "a flipped bit")
        count += refused(static, path, content[:-1], "a missing byte")
        count += refused(static, path, content + content[-32:], "a longer file")
    note = static.note
    for change, why in [(("\n257\n", "\n256\n"), "another size"), (("\n\n", "\n"), "no empty line"), (("\u2014", "-"), "a hyphen")]:
        count += refused(static, "checkpoint", note.replace(*change).encode(), why)
    return count


def proofs_that_are_none():
    """Small trees, every size: what is proved, and what one hash more, less or else proves."""
    hashes = [tlog.leaf(bytes([i])) for i in range(20)]
    log, count = tlog.Log(None, "", ""), 0
    for new in range(1, 21):
        log.tiles = {0: hashes[:new]}
        root = tlog.over(hashes[:new])
        for old in range(1, new):
            proof, before = log.consistency(old, 0, new), tlog.over(hashes[:old])
            assert tlog.extends(old, before, new, root, proof), f"{old} to {new}"
            wrong = [proof[:-1], [*proof, root], [*proof[:-1], before]] + [[*proof[1:], proof[0]]] * (len(set(proof)) > 1)
            for other in wrong:
                assert not tlog.extends(old, before, new, root, other), f"{old} to {new} by {other}"
            assert not tlog.extends(old, root, new, root, proof) and not tlog.extends(old, before, new, before, proof)
            count += 2 + len(wrong)
        for index in range(new):
            proof = log.inclusion(index, 0, new)
            assert tlog.includes(hashes[index], index, new, proof, root)
            others = [place for place in range(new + 1) if place != index]
            assert not any(tlog.includes(hashes[index], place, new, proof, root) for place in others), f"{index} of {new}"
            count += len(others)
    return count


def main():
    sys.path.insert(0, sys.argv[1])
    import evidence_log as maker

    text = tlog.open_note(f"This is an example message.\n\n\u2014 example.com/foo {NOTE_SIGNATURE}\n", NOTE_VKEY)
    assert text == "This is an example message.\n", text
    for character in " +\t\x7f\x85\x9f\u00a0":
        assert not tlog.is_name(f"a{character}b") and tlog.is_name("a\u00ad\u200bb"), f"{character!r} in a name"
    assert tlog.groups(1234067) == "x001/x234/067" and tlog.groups(0) == "000" and tlog.groups(999_999) == "x999/999"
    assert re.fullmatch("tile/0/x001/234.p/17", tlog.tile_path(0, 1234, 17))
    for size in SIZES:
        static = Static(maker, size)
        reader = static.reader()
        assert read(reader, size) == size
        paths = reader.refuses(size)
        print(f"static log of {size}: {reader.requests} requests, {paths} wrong paths refused")
    count = spoilt(Static(maker, 257))
    print(f"{count} spoilt files noticed, {proofs_that_are_none()} wrong proofs refused")


if __name__ == "__main__":
    main()
