// Strictness of the page's Ed25519: what the library by itself, or a laxer verifier, would take.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ed25519, sha512 } from "../../../src/http/verify/noble.js";
import { isSignature } from "../../../src/http/verify/signatures.js";

const { Point } = ed25519;
const ORDER = Point.Fn.ORDER;
const MESSAGE = new TextEncoder().encode("a message");
const SECRET = new Uint8Array(32).fill(7);
const PUBLIC = ed25519.getPublicKey(SECRET);
/** A point of order 8, and the encodings of small order that RFC 8032 knows, canonical or not. */
const EIGHTH = Point.fromHex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a");
const SMALL = [
  "0100000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000000",
  "0000000000000000000000000000000000000000000000000000000000000080",
  "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
  "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
  "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
  "0100000000000000000000000000000000000000000000000000000000000080",
  "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

const fromHex = (text) => Uint8Array.from(text.match(/../g), (byte) => parseInt(byte, 16));
const number = (bytes) => bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
const bytes = (value) => Uint8Array.from({ length: 32 }, (_, place) => Number((value >> BigInt(8 * place)) & 255n));
const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
const challenge = (r, key) => number(sha512(join(r, key, MESSAGE))) % ORDER;
/** Without tables, so that nothing is taken for granted of how the library multiplies points outside of the subgroup. */
function times(point, scalar) {
  let [out, doubled] = [Point.ZERO, point];
  for (let left = scalar; left > 0n; left >>= 1n, doubled = doubled.double()) if (left & 1n) out = out.add(doubled);
  return out;
}

test("what RFC 8032 signs is taken, and nothing else of it", () => {
  // Section 7.1, test 2.
  const key = fromHex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
  const signature = fromHex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
  );
  assert.ok(isSignature(key, signature, Uint8Array.of(0x72)));
  assert.ok(!isSignature(key, signature, Uint8Array.of(0x73)));
  assert.ok(!isSignature(key, signature.subarray(1), Uint8Array.of(0x72)));
  for (let place = 0; place < 64; place++) {
    const altered = signature.slice();
    altered[place] ^= 1;
    assert.ok(!isSignature(key, altered, Uint8Array.of(0x72)), `byte ${place}`);
  }
});

test("S is reduced", () => {
  const signature = ed25519.sign(MESSAGE, SECRET);
  assert.ok(isSignature(PUBLIC, signature, MESSAGE));
  const s = number(signature.subarray(32));
  assert.ok(!isSignature(PUBLIC, join(signature.subarray(0, 32), bytes(s + ORDER)), MESSAGE));
});

test("no key of small order", () => {
  // Under such a key R = [S]B is a signature of every eighth message at least.
  for (const key of SMALL.map(fromHex)) {
    let laxly = 0;
    for (let s = 1n; s < 40n; s++) {
      const signature = join(Point.BASE.multiply(s).toBytes(), bytes(s));
      if (ed25519.verify(signature, MESSAGE, key, { zip215: true })) laxly += 1;
      assert.ok(!isSignature(key, signature, MESSAGE));
    }
    assert.ok(laxly > 0, "a lax verifier takes some");
  }
});

test("no R of small order", () => {
  const a = number(ed25519.utils.getExtendedPublicKey(SECRET).head.slice(0, 32)) % ORDER;
  assert.deepEqual(Point.BASE.multiply(a).toBytes(), PUBLIC);
  for (const r of SMALL.map(fromHex)) {
    const signature = join(r, bytes((challenge(r, PUBLIC) * a) % ORDER));
    assert.ok(!isSignature(PUBLIC, signature, MESSAGE));
    assert.ok(ed25519.verify(signature, MESSAGE, PUBLIC, { zip215: true }), "a lax verifier takes it");
  }
});

test("the equation is the one without the cofactor", () => {
  // A key with a part of small order: its signatures hold only where the challenge is a multiple of eight.
  const a = 12345n;
  const mixed = Point.BASE.multiply(a).add(EIGHTH);
  const key = mixed.toBytes();
  const counts = { strict: 0, library: 0 };
  for (let nonce = 1n; nonce <= 64n; nonce++) {
    const r = Point.BASE.multiply(nonce).toBytes();
    const k = challenge(r, key);
    const s = (nonce + k * a) % ORDER;
    const isExact = times(Point.BASE, s).subtract(times(mixed, k)).equals(Point.BASE.multiply(nonce));
    assert.equal(isExact, k % 8n === 0n);
    assert.equal(isSignature(key, join(r, bytes(s)), MESSAGE), isExact);
    counts.strict += isExact ? 1 : 0;
    counts.library += ed25519.verify(join(r, bytes(s)), MESSAGE, key, { zip215: false }) ? 1 : 0;
  }
  assert.equal(counts.library, 64, "which is why its own check is not used");
  assert.ok(counts.strict > 0 && counts.strict < 32, JSON.stringify(counts));
});
