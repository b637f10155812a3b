"""An independent reader of a transparency log: C2SP signed notes, tlog-checkpoint, tlog-tiles and tlog-proof.

Written from those specifications, without a look at the server's code. `Log` is one log at one base URL; whatever it
reads it checks against all else it knows, and raises AssertionError with the place where two things differ.

    python3 tlog.py http://HOST/tlog/ws_... VKEY    reads a whole log and says its size and root
"""

import base64
import hashlib
import random
import re
import sys

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256
ED25519 = 1
ENTRY_BYTES = 64
EMPTY_ROOT = hashlib.sha256(b"").digest()
# What tlog-tiles says of answers.
CHECKPOINT_TYPE, TILE_TYPE = "text/plain; charset=utf-8", "application/octet-stream"


def leaf(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def split(size):
    """The largest power of two below a size beyond 1."""
    return 1 << (size - 1).bit_length() - 1


def decode(text, size=None):
    data = base64.b64decode(text, validate=True)
    assert base64.b64encode(data).decode() == text, f"{text!r} is not the only spelling of its bytes"
    assert size in (None, len(data)), f"{text!r} is not {size} bytes"
    return data


# -- notes


def is_name(name):
    return re.fullmatch("[^\\s+\x00-\x1f\x7f-\x9f]+", name)


def verifier(vkey):
    """Name, key id and public key of a verifier key."""
    name, key_id, data = vkey.split("+", 2)
    assert is_name(name), f"{name!r} is no name of a key"
    key = decode(data, 33)
    assert key[0] == ED25519, "a key of Ed25519"
    assert hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8] == key_id, "the key id is that of name and key"
    return name, bytes.fromhex(key_id), key[1:]


def vkey_of(name, public):
    key = bytes([ED25519]) + public
    key_id = hashlib.sha256(name.encode() + b"\n" + key).hexdigest()[:8]
    return f"{name}+{key_id}+{base64.b64encode(key).decode()}"


def open_note(note, vkey):
    """The text of a note that the key has signed."""
    name, key_id, public = verifier(vkey)
    text, empty, signatures = note.rpartition("\n\n")
    assert empty and signatures.endswith("\n"), "a note is text, an empty line, signature lines"
    assert not re.search("[\x00-\x09\x0b-\x1f]", note), "no control characters in a note"
    text, good = text + "\n", 0
    for line in signatures[:-1].split("\n"):
        match = re.fullmatch("\u2014 (\\S+) (\\S+)", line)
        assert match and is_name(match[1]), f"{line!r} is no signature line"
        data = decode(match[2])
        if (match[1], data[:4]) == (name, key_id):
            # Raises on a signature that is not the key's: such a note is refused, whatever other lines say.
            Ed25519PublicKey.from_public_bytes(public).verify(data[4:], text.encode())
            good += 1
    assert good == 1, f"{good} signatures of {name}"
    return text


def checkpoint(note, vkey):
    """Size and root of a signed checkpoint of the log that the key is named after."""
    origin, size, root, *more = open_note(note, vkey)[:-1].split("\n")
    assert origin == vkey.split("+")[0], f"the origin is {origin!r}"
    assert re.fullmatch("0|[1-9][0-9]*", size), f"{size!r} is no size"
    assert "" not in more, "extension lines are not empty"
    return int(size), decode(root, 32)


# -- proofs, RFC 9162 section 2.1, which are those of RFC 6962


def includes(entry_hash, index, size, proof, root):
    if index >= size:
        return False
    value, last = entry_hash, size - 1
    for step in proof:
        if last == 0:
            return False
        if index & 1 or index == last:
            value = node(step, value)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            value = node(value, step)
        index, last = index >> 1, last >> 1
    return last == 0 and value == root


def extends(old, old_root, new, new_root, proof):
    """Whether a consistency proof leads from the tree of the old size to that of the new one."""
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    steps = [old_root, *proof] if old & old - 1 == 0 else list(proof)
    if not steps:
        return False
    index, last = old - 1, new - 1
    while index & 1:
        index, last = index >> 1, last >> 1
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if index & 1 or index == last:
            before, after = node(step, before), node(step, after)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            after = node(after, step)
        index, last = index >> 1, last >> 1
    return last == 0 and (before, after) == (old_root, new_root)


# -- tiles


def groups(number):
    """1234067 is x001/x234/067."""
    digits = f"{number:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join(["x" + part for part in parts[:-1]] + parts[-1:])


def tile_path(level, number, width=WIDTH):
    return f"tile/{level}/{groups(number)}" + ("" if width == WIDTH else f".p/{width}")


def tiles_of(count):
    """Number and width of the tiles that hold so many hashes or entries."""
    full, rest = divmod(count, WIDTH)
    return [(number, WIDTH) for number in range(full)] + ([(full, rest)] if rest else [])


def unpack(bundle):
    """The entries of an entry bundle."""
    entries, at = [], 0
    while at < len(bundle):
        length = int.from_bytes(bundle[at : at + 2], "big")
        entries.append(bundle[at + 2 : at + 2 + length])
        assert len(entries[-1]) == length, "an entry bundle is cut"
        at += 2 + length
    return entries


class Log:
    def __init__(self, http, base, vkey):
        self.http, self.base, self.vkey = http, base.rstrip("/"), vkey
        self.requests, self.tiles = 0, {}

    def get(self, path):
        self.requests += 1
        return self.http.get(f"{self.base}/{path}")

    def fetch(self, path, kind):
        answer = self.get(path)
        assert answer.status_code == 200, f"{path} is {answer.status_code} {answer.text[:200]!r}"
        assert answer.headers["content-type"] == kind, f"{path} is {answer.headers['content-type']}"
        return answer.content

    def checkpoint(self):
        return checkpoint(self.fetch("checkpoint", CHECKPOINT_TYPE).decode(), self.vkey)

    def entries(self, size):
        """All entries of a tree, from its entry bundles."""
        out = []
        for number, width in tiles_of(size):
            entries = unpack(self.fetch(tile_path("entries", number, width), TILE_TYPE))
            assert len(entries) == width, f"bundle {number} has {len(entries)} entries, not {width}"
            assert all(len(entry) == ENTRY_BYTES for entry in entries), f"bundle {number} has an entry that is not {ENTRY_BYTES} bytes"
            out += entries
        return out

    def hash_tiles(self, size):
        """Every hash tile of a tree; fills `self.tiles`, a list of hashes for each level."""
        self.tiles, level = {}, 0
        while size >> 8 * level:
            self.tiles[level] = []
            for number, width in tiles_of(size >> 8 * level):
                data = self.fetch(tile_path(level, number, width), TILE_TYPE)
                assert len(data) == 32 * width, f"tile {level}/{number} has {len(data)} bytes, not {32 * width}"
                self.tiles[level] += [data[i : i + 32] for i in range(0, len(data), 32)]
            level += 1

    def subtree(self, first, end):
        """The root over the leaves from first to end, from hash tiles alone; full subtrees as high up as there are tiles."""
        width = end - first
        for level in sorted(self.tiles, reverse=True):
            span = 1 << 8 * level
            if width == span and first % span == 0:
                return self.tiles[level][first // span]
        middle = first + split(width)
        return node(self.subtree(first, middle), self.subtree(middle, end))

    def root(self, size):
        return self.subtree(0, size) if size else EMPTY_ROOT

    def inclusion(self, index, first, end):
        if end - first == 1:
            return []
        middle = first + split(end - first)
        if index < middle:
            return self.inclusion(index, first, middle) + [self.subtree(middle, end)]
        return self.inclusion(index, middle, end) + [self.subtree(first, middle)]

    def consistency(self, old, first, end, whole=True):
        if old == end - first:
            return [] if whole else [self.subtree(first, end)]
        left = split(end - first)
        if old <= left:
            return self.consistency(old, first, first + left, whole) + [self.subtree(first + left, end)]
        return self.consistency(old - left, first + left, end, False) + [self.subtree(first, first + left)]

    def check(self, size, root, rng, proofs=40):
        """Reads everything there is of a tree; returns its leaf hashes."""
        entries = self.entries(size)
        self.hash_tiles(size)
        hashes = level = [leaf(entry) for entry in entries]
        for number, tile in self.tiles.items():
            assert tile == level, f"the hashes of level {number} are not those of the entries"
            level = [over(level[i : i + WIDTH]) for i in range(0, len(level) // WIDTH * WIDTH, WIDTH)]
        assert over(hashes) == root, "the entries do not make the root"
        assert self.root(size) == root, "the tiles do not make the root"
        for _ in range(proofs if size else 0):
            index, old = rng.randrange(size), rng.randrange(size + 1)
            proof = self.inclusion(index, 0, size)
            assert includes(hashes[index], index, size, proof, root), f"{index} is not included in {size}"
            assert not includes(hashes[index], index, size, [*proof, root], root), "a longer proof is none"
            assert not includes(leaf(b"another"), index, size, proof, root), "another entry is not there"
            proof = self.consistency(old, 0, size) if 0 < old < size else []
            assert extends(old, over(hashes[:old]), size, root, proof), f"{old} does not lead to {size}"
        return hashes

    def refuses(self, size):
        """Paths of tiles that are not there, or are no paths, are not found. Says how many there were."""
        wrong = ["tile/0/000.p/0", "tile/0/000.p/256", "tile/0/000.p/257", "tile/0/000.p/", "tile/0/000.p", "tile/0/000.p/1/", "tile/0/000.p/x"]
        wrong += ["tile/0/0", "tile/0/00", "tile/0/0000", "tile/0/x000", "tile/0/x000/000", "tile/0/000/000", "tile/0/x000/x000", "tile/0/1000"]
        wrong += ["tile/0/-01", "tile/0/+00", "tile/0/0%30", "tile/0/00a", "tile/0/", "tile/0", "tile/", "tile", "tile/0/x001/00", "tile/0/X001/000"]
        wrong += ["tile/8/000", "tile/8/000.p/1", "tile/64/000", "tile/00/000", "tile/-1/000", "tile/a/000", "tile/entry/000", "tile/Entries/000"]
        wrong += ["tile/entries/000.p/0", "tile/entries/000.p/256", "tile/entries/0", "tile/entries/x000/000", "Checkpoint", "checkpoint/", "checkpoint/1"]
        wrong += ["tile/0/" + "x999/" * 7 + "999", "tile/0/" + "x999/" * 30 + "999", "tile/7/000.p/1", "tile/entries/x999/999"]
        for level in range(4):
            count = size >> 8 * level
            full, rest = divmod(count, WIDTH)
            for kind in {level, "entries"} if level == 0 else {level}:
                wrong += [tile_path(kind, full), tile_path(kind, full + 1), tile_path(kind, full + 1, 1)]
                wrong += [tile_path(kind, full, width) for width in {rest + 1, 255} if rest < width < WIDTH]
                wrong += [f"tile/{kind}/{groups(full)}.p/0{rest}"] if rest else []
        for path in wrong:
            answer = self.get(path)
            assert answer.status_code in (400, 404), f"{path} at size {size} is {answer.status_code}"
        return len(wrong)

    def narrower(self, size, rng):
        """A partial tile that has grown is, where it is still served, the beginning of what it has become."""
        for kind, unit in [("0", 32), ("entries", 2 + ENTRY_BYTES)]:
            number, width = rng.choice(tiles_of(size))
            whole = self.fetch(tile_path(kind, number, width), TILE_TYPE)
            part = self.get(tile_path(kind, number, narrow := rng.randrange(1, width + (width < WIDTH))))
            assert part.status_code in (200, 404), f"{part.status_code}"
            assert part.status_code == 404 or part.content == whole[: unit * narrow], f"a narrower tile of {kind}/{number} differs"


def over(hashes):
    """The root over leaf hashes, by the recursion of the RFC."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY_ROOT
    middle = split(len(hashes))
    return node(over(hashes[:middle]), over(hashes[middle:]))


def check_proof(text, vkey, signed):
    """The index and the size of a tlog-proof for the signed bytes of a receipt; `extra` is the hash of its record."""
    head, empty, note = text.partition("\n\n")
    title, extra, index, *path = head.split("\n")
    assert empty and title == "c2sp.org/tlog-proof@v1", f"{title!r} is no tlog-proof"
    assert extra.startswith("extra ") and re.fullmatch("index (0|[1-9][0-9]*)", index), f"{extra!r}, {index!r}"
    entry = decode(extra[6:], 32) + hashlib.sha256(signed).digest()
    size, root = checkpoint(note, vkey)
    number = int(index[6:])
    assert includes(leaf(entry), number, size, [decode(step, 32) for step in path], root), f"the receipt is not at {number} of {size}"
    return number, size, entry


def main():
    base, vkey = sys.argv[1:]
    log = Log(httpx.Client(trust_env=False, timeout=10), base, vkey)
    try:
        size, root = log.checkpoint()
        log.check(size, root, random.Random(size))
    except (AssertionError, InvalidSignature, httpx.HTTPError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    print(f"{size} entries under {base64.b64encode(root).decode()}, {log.requests} requests")


if __name__ == "__main__":
    main()
