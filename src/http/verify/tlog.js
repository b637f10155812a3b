// FORMAT.md, section "The tree": hashes, inclusion proofs, signed notes, checkpoints, cosignatures, proofs of receipts.

import { sha256 } from "./noble.js";
import { base64, concat, equal, hex, utf8 } from "./bytes.js";
import { isSignature } from "./signatures.js";

const ED25519 = 1;
const COSIGNATURE = 4;
const SIZE_MAX = 2n ** 64n - 1n;
const NOTE_BYTES_MAX = 65536;
const SIGNATURES_MAX = 100;
const PROOF_HASHES_MAX = 63;

export const leafHash = (entry) => sha256(concat([0], entry));
const nodeHash = (left, right) => sha256(concat([1], left, right));

/** A hash in base64, or null. */
export function hashOf(text) {
  const hash = typeof text === "string" ? base64(text) : null;
  return hash?.length === 32 ? hash : null;
}

/** The right edge of a tree that grows: full subtrees from left to right, each smaller than the one before it. */
export class Edge {
  #subtrees = [];

  /** Puts a full subtree of so many leaves behind what is there; it must stand at a multiple of its size. */
  push(hash, leaves) {
    let [merged, size] = [hash, leaves];
    while (this.#subtrees.at(-1)?.size === size) {
      merged = nodeHash(this.#subtrees.pop().hash, merged);
      size *= 2;
    }
    this.#subtrees.push({ hash: merged, size });
  }

  root() {
    const hashes = this.#subtrees.map((subtree) => subtree.hash);
    return hashes.length === 0 ? sha256(new Uint8Array()) : hashes.reduceRight((right, left) => nodeHash(left, right));
  }
}

/** Sizes of the full subtrees that the leaves before `first` fall into. */
export function sizesBefore(first) {
  return sizesAfter(0n, BigInt(first));
}

/** Sizes of the full subtrees that the leaves from `from` on fall into, in a tree of `size`. */
export function sizesAfter(from, size) {
  const sizes = [];
  for (let place = BigInt(from); place < size; ) {
    let leaves = place === 0n ? 1n << 63n : place & -place;
    while (place + leaves > size) leaves >>= 1n;
    sizes.push(Number(leaves));
    place += leaves;
  }
  return sizes;
}

/** RFC 6962, section 2.1.1: whether `proof` leads from the leaf at `index` to the root of a tree of `size`. */
export function isIncluded(entry, index, size, proof, root) {
  if (index >= size) return false;
  let [hash, node, last] = [leafHash(entry), index, size - 1n];
  for (const sibling of proof) {
    if (last === 0n) return false;
    if (node & 1n || node === last) {
      hash = nodeHash(sibling, hash);
      while (!(node & 1n) && node !== 0n) [node, last] = [node >> 1n, last >> 1n];
    } else {
      hash = nodeHash(hash, sibling);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  return last === 0n && equal(hash, root);
}

/** `{text, lines: [{name, id, signature}]}`, or null. */
export function parseNote(note) {
  const split = note.lastIndexOf("\n\n");
  // eslint-disable-next-line no-control-regex
  if (split < 1 || !note.endsWith("\n") || /[\u0000-\u0009\u000b-\u001f]/.test(note) || utf8(note).length > NOTE_BYTES_MAX) return null;
  const lines = note.slice(split + 2).split("\n").slice(0, -1).map(signatureLine);
  if (lines.length === 0 || lines.length > SIGNATURES_MAX || lines.includes(null)) return null;
  return { text: note.slice(0, split + 1), lines };
}

function signatureLine(line) {
  const match = /^\u2014 ([^\p{White_Space}\p{Cc}+]+) ([A-Za-z0-9+/=]+)$/u.exec(line);
  const bytes = match && base64(match[2]);
  if (!bytes || bytes.length < 5) return null;
  return { name: match[1], id: hex(bytes.subarray(0, 4)), signature: bytes.subarray(4) };
}

/** `{origin, size, root, text, lines}` of a note whose text is a checkpoint, or null. The size is a bigint. */
export function parseCheckpoint(note) {
  const parsed = parseNote(note);
  if (parsed === null) return null;
  const [origin, digits, root, ...others] = parsed.text.slice(0, -1).split("\n");
  if (!origin || others.includes("") || !/^(?:0|[1-9][0-9]{0,19})$/.test(digits ?? "") || BigInt(digits) > SIZE_MAX) return null;
  const hash = hashOf(root ?? null);
  return hash && { origin, size: BigInt(digits), root: hash, ...parsed };
}

const noteKeyId = (name, type, publicKey) => hex(sha256(concat(utf8(name), [0x0a, type], publicKey)).subarray(0, 4));

/** Whether a line of the note with this name is this key's. */
export function isSignedBy(note, name, publicKey) {
  const id = noteKeyId(name, ED25519, publicKey);
  const text = utf8(note.text);
  return note.lines.some((line) => line.name === name && line.id === id && isSignature(publicKey, line.signature, text));
}

/** `{name, id, publicKey}` of the verifier key of a witness, or null. */
function parseWitness(vkey) {
  const match = /^([^\p{White_Space}\p{Cc}+]+)\+([0-9a-fA-F]{8})\+([A-Za-z0-9+/=]+)$/u.exec(vkey);
  const bytes = match && base64(match[3]);
  if (!bytes || bytes.length !== 33 || bytes[0] !== COSIGNATURE) return null;
  const witness = { name: match[1], id: match[2].toLowerCase(), publicKey: bytes.subarray(1) };
  return noteKeyId(witness.name, COSIGNATURE, witness.publicKey) === witness.id ? witness : null;
}

/** Those of a list of verifier keys; throws at one that is none. Who is named twice, if only by another name, counts once. */
export function parseWitnesses(vkeys) {
  const witnesses = new Map();
  for (const vkey of vkeys) {
    const witness = parseWitness(vkey);
    if (witness === null) throw new TypeError(`this is no verifier key of a witness: ${vkey}`);
    witnesses.set(hex(witness.publicKey), witness);
  }
  return [...witnesses.values()];
}

/** `{name, seconds}` of the witnesses that have cosigned. */
export function cosignedBy(note, witnesses) {
  const lines = witnesses.map((witness) => ({ name: witness.name, seconds: cosignedAt(note, witness)?.toString() }));
  return lines.filter((line) => line.seconds !== undefined);
}

/** The POSIX seconds, a bigint, at which the witness says it saw the checkpoint; null if it did not cosign. */
function cosignedAt(note, witness) {
  for (const line of note.lines) {
    if (line.name !== witness.name || line.id !== witness.id || line.signature.length !== 72) continue;
    const seconds = new DataView(line.signature.buffer, line.signature.byteOffset).getBigUint64(0);
    const message = utf8(`cosignature/v1\ntime ${seconds}\n${note.text}`);
    if (isSignature(witness.publicKey, line.signature.subarray(8), message)) return seconds;
  }
  return null;
}

/** `{recordHash, index, hashes, checkpoint}` of a `tlog-proof`, or null. */
export function parseProof(text) {
  const split = text.indexOf("\n\n");
  const [version, extra, index, ...lines] = text.slice(0, Math.max(split, 0)).split("\n");
  const number = /^index (0|[1-9][0-9]{0,19})$/.exec(index ?? "");
  if (version !== "c2sp.org/tlog-proof@v1" || !extra?.startsWith("extra ") || number === null) return null;
  const [recordHash, hashes, checkpoint] = [hashOf(extra.slice(6)), lines.map(hashOf), parseCheckpoint(text.slice(split + 2))];
  if (recordHash === null || hashes.includes(null) || hashes.length > PROOF_HASHES_MAX || checkpoint === null) return null;
  return { recordHash, index: BigInt(number[1]), hashes, checkpoint };
}
