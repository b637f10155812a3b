// What no published vector shows: documents of another shape, bounds of notes, proofs and lines, events that cannot be decoded.

import assert from "node:assert/strict";
import { test } from "node:test";

import { canonical, parse } from "../../../src/http/verify/json.js";
import { blake3, ed25519, sha256 } from "../../../src/http/verify/noble.js";
import { parseKeyDocument } from "../../../src/http/verify/receipt.js";
import { isIncluded, leafHash, parseCheckpoint, parseNote, parseProof, parseWitnesses } from "../../../src/http/verify/tlog.js";
import { verifyBlob, verifyBundle } from "../../../src/http/verify/verifier.js";

const base64 = (bytes) => Buffer.from(bytes).toString("base64");
const hex = (bytes) => Buffer.from(bytes).toString("hex");
const utf8 = (text) => new TextEncoder().encode(text);
const join = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));
const LINE = `\u2014 name ${base64(new Uint8Array(68))}\n`;
const ROOT = base64(new Uint8Array(32));
const CONTROLS = ["\u0000", "\u0009", "\u000a", "\u001b", "\u001f", "\u007f", "\u0080", "\u0085", "\u009f"];

test("a key document of another shape is refused as a whole", () => {
  const key = { key_id: "key_1", alg: "Ed25519", public_key: "A".repeat(43), active_from: "2026-01-01T00:00:00Z", active_until: null };
  const other = { alg: "ES256" };
  const read = (document) => parseKeyDocument(typeof document === "string" ? document : JSON.stringify(document))?.keys.length ?? null;
  assert.equal(read({ workspace_id: "ws_1", keys: [key, other, { ...key, active_until: "2026-02-01T00:00:00.5+01:00" }] }), 2);
  assert.equal(read({ workspace_id: "ws_1", keys: [] }), 0);
  const wrong = ["", "[]", "null", { keys: [key] }, { workspace_id: 1, keys: [key] }, { workspace_id: "ws_1" }, { workspace_id: "ws_1", keys: {} }];
  for (const document of wrong) assert.equal(read(document), null, JSON.stringify(document));
  const entries = [null, [], {}, { ...other, alg: 1 }];
  for (const name of Object.keys(key)) entries.push({ ...key, [name]: 1 }, { ...key, [name]: undefined });
  entries.push({ ...key, public_key: "A".repeat(42) }, { ...key, public_key: `${"A".repeat(43)}=` }, { ...key, public_key: `${"A".repeat(42)}B` });
  entries.push({ ...key, active_from: "2026-01-01" }, { ...key, active_until: "never" });
  for (const entry of entries) assert.equal(read({ workspace_id: "ws_1", keys: [key, entry] }), null, JSON.stringify(entry));
  assert.equal(read(`{"workspace_id":"ws_1","keys":[],"keys":[]}`), null);
});

test("notes keep their bounds", () => {
  assert.equal(parseNote(`a\n\nb\n\n${LINE}`).text, "a\n\nb\n");
  assert.equal(parseNote(`a\n\n${LINE.repeat(100)}`).lines.length, 100);
  const wrong = ["", "\n\n", "a\n\n", `a\n${LINE}`, `a\n\n${LINE.slice(0, -1)}`, `a\n\n${LINE}\n`, `a\n\n${LINE.repeat(101)}`, `a\tb\n\n${LINE}`, `a\r\n\n${LINE}`];
  wrong.push(...CONTROLS.map((c) => `a\n\n${LINE.replace("name", `na${c}me`)}`));
  wrong.push(`a\n\n${LINE.replace("name", "na+me")}`, `a\n\n${LINE.replace("name", "na me")}`, `a\n\n${LINE.replace("\u2014", "-")}`, `a\n\n\u2014 name AAAA\n`);
  for (const note of wrong) assert.equal(parseNote(note), null, JSON.stringify(note).slice(0, 60));
  const filled = (bytes) => `${"a".repeat(bytes - utf8(LINE).length - 2)}\n\n${LINE}`;
  assert.notEqual(parseNote(filled(65536)), null);
  assert.equal(parseNote(filled(65537)), null);
});

test("checkpoints keep their shape", () => {
  assert.equal(parseCheckpoint(`o\n18446744073709551615\n${ROOT}\nmore\n\n${LINE}`).size, 2n ** 64n - 1n);
  for (const text of [`o\n18446744073709551616\n${ROOT}\n`, `o\n01\n${ROOT}\n`, `o\n-1\n${ROOT}\n`, `o\n1\n`, `o\n1\n${ROOT.slice(1)}\n`, `\n1\n${ROOT}\n`, `o\n1\n${ROOT}\n\nmore\n`]) {
    assert.equal(parseCheckpoint(`${text}\n${LINE}`), null, text);
  }
});

test("proofs keep their bounds", () => {
  const proof = (hashes) => `c2sp.org/tlog-proof@v1\nextra ${ROOT}\nindex 0\n${hashes.map((hash) => `${hash}\n`).join("")}\no\n1\n${ROOT}\n\n${LINE}`;
  assert.equal(parseProof(proof(Array(63).fill(ROOT))).hashes.length, 63);
  for (const hashes of [Array(64).fill(ROOT), [ROOT.slice(1)], [base64(new Uint8Array(31))]]) assert.equal(parseProof(proof(hashes)), null);
  assert.equal(parseProof(proof([]).replace("@v1", "@v2")), null);
  assert.equal(parseProof(proof([]).replace(LINE, "")), null);
});

test("an index lies within the tree", () => {
  const entry = new Uint8Array(64);
  const root = leafHash(entry);
  assert.ok(isIncluded(entry, 0n, 1n, [], root));
  for (const [index, size] of [[1n, 1n], [5n, 1n], [0n, 0n], [0n, 2n]]) assert.ok(!isIncluded(entry, index, size, [], root), `${index} of ${size}`);
  assert.ok(!isIncluded(entry, 0n, 1n, [root], root));
});

test("a witness is named by a verifier key of type 4, and counts once", () => {
  const publicKey = ed25519.getPublicKey(new Uint8Array(32).fill(1));
  const id = (name, type) => hex(sha256(join(utf8(name), [0x0a, type], publicKey)).subarray(0, 4));
  const vkey = (name, type, named = id(name, type)) => `${name}+${named}+${base64(join([type], publicKey))}`;
  assert.equal(parseWitnesses([vkey("a", 4), vkey("a", 4), vkey("b", 4)]).length, 1);
  assert.equal(parseWitnesses([vkey("a\u00ad\u200bb", 4)]).length, 1, "characters that format are no control characters");
  for (const wrong of [vkey("a", 1), vkey("a", 4, "00000000"), vkey("a b", 4), vkey("a\u00a0b", 4), vkey("a+b", 4), ...CONTROLS.map((c) => vkey(`a${c}b`, 4)), `a+${id("a", 4)}+${base64(publicKey)}`, "a", ""]) {
    assert.throws(() => parseWitnesses([wrong]), TypeError, wrong);
  }
});

/** A bundle of a key and of what follows it, in a tree of two. */
function bundleOf(body) {
  const secret = sha256(utf8("limits"));
  const publicKey = ed25519.getPublicKey(secret);
  const [workspace, keyId] = [new Uint8Array(16), blake3(publicKey).subarray(0, 16)];
  const records = [];
  for (const content of [join([2, 0], keyId, publicKey, [0, 0]), body]) {
    const previous = records.at(-1)?.hash ?? new Uint8Array(32);
    const header = join([4], workspace, [0, 0, 0, 0, 0, 0, 0, records.length], new Uint8Array(8), previous, new Uint8Array(48));
    records.push({ bytes: join(header, content), hash: blake3(join(utf8("allowlog.record.v4\n"), header, blake3(content))) });
  }
  const leaves = records.map(({ hash }) => leafHash(join(hash, new Uint8Array(32))));
  const origin = `allowlog/ws_${"0".repeat(26)}`;
  const text = `${origin}\n2\n${base64(sha256(join([1], ...leaves)))}\n`;
  const noteKey = sha256(join(utf8(origin), [0x0a, 1], publicKey)).subarray(0, 4);
  const checkpoint = `${text}\n\u2014 ${origin} ${base64(join(noteKey, ed25519.sign(utf8(text), secret)))}\n`;
  const keys = [{ record: base64(records[0].bytes), proof: [base64(leaves[1])] }];
  const head = { format: "allowlog-evidence-v1", workspace_id: origin.slice(9), authorization_id: null, first: 0, end: 2, before: [], after: [], keys, checkpoint };
  return [head, ...records.map(({ bytes, hash }) => ({ hash: hex(hash), record: base64(bytes) }))].map((line) => JSON.stringify(line));
}

const faultOf = (lines) => verifyBundle(`${lines.join("\n")}\n`, { trust: null }).fault;
const CREATED = join([0, 0, 4], utf8("Acme"), [3, 0]);

test("an event that cannot be decoded is a fault, behind all others", () => {
  assert.equal(faultOf(bundleOf(CREATED)), null);
  for (const body of [CREATED.subarray(0, -1), join(CREATED, [0]), join([0, 0, 4], utf8("Acme"), [4, 0]), join([0, 0, 0, 3, 0]), join([0, 0, 4, 255, 1, 1, 1, 3, 0])]) {
    const lines = bundleOf(body);
    assert.deepEqual({ ...faultOf(lines), sentence: "" }, { code: "malformed_record", index: 1, sentence: "" });
    assert.equal(faultOf([...lines, lines[2]]).code, "extra_records");
  }
});

test("a line is at most 16 MiB", async () => {
  const [head, first, second] = bundleOf(CREATED);
  const padded = (bytes) => second + " ".repeat(bytes - 1 - second.length);
  assert.equal(faultOf([head, first, padded(16777216)]), null);
  assert.equal(faultOf([head, first, padded(16777217)]).code, "malformed_record");
  // What never ends is not read to its end.
  let read = 0;
  const endless = new Blob(Array(64).fill("x".repeat(2 ** 20)));
  const { fault } = await verifyBlob(endless, { trust: null }, (bytes) => ((read = bytes), true));
  assert.equal(fault.code, "malformed_bundle");
  assert.ok(read < 2 ** 25, `${read}`);
});

test("the canonical text is that of FORMAT.md", () => {
  assert.equal(canonical(parse('{"\uff61":1,"\u{1f600}":2,"a":["\\n\\u007f\\/\\"\\\\",-5,true,null,{}]}')), '{"a":["\\u000a\u007f/\\"\\\\",-5,true,null,{}],"\u{1f600}":2,"\uff61":1}');
  for (const text of ["1.0", "-0", "1e2", "9007199254740992", '"\\ud800"', '{"\\ud800":1}', '{"a":1,"a":1}']) assert.equal(canonical(parse(text)), null, text);
});
