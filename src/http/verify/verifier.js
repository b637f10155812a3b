// The verifier for auditors, written from FORMAT.md alone: bundles of evidence, receipts, proofs that a receipt is in the tree.
// It asks no network and no clock and keeps nothing. Codes are those of FORMAT.md; a fault is `{code, index, sentence}`.

import { blake3, sha256 } from "./noble.js";
import { concat, idText, instant, utf8 } from "./bytes.js";
import { BundleVerifier, LINE_BYTES_MAX, rowOfLine } from "./bundle.js";
import { parse } from "./json.js";
import { faultOf, parseKeyDocument, signedBytes } from "./receipt.js";
import { sentenceOf } from "./sentences.js";
import { rowOfReceipt } from "./story.js";
import { cosignedBy, isIncluded, isSignedBy, parseProof, parseWitnesses } from "./tlog.js";

export { parse } from "./json.js";
export { parseCheckpoint } from "./tlog.js";
export { decodeEvent } from "./events.js";

const LINE_FEED = 10;

/** What a bundle is, from its text or its bytes: `{fault, head, ...}` and the rows of its timeline. */
export function verifyBundle(text, options) {
  const bytes = typeof text === "string" ? utf8(text) : text;
  const verifier = new BundleVerifier(options);
  const lines = new Lines(verifier);
  lines.take(bytes);
  lines.finish();
  const row = (place) => (place.hidden === undefined ? rowOfLine(bytes.subarray(place.from, place.to), place.index) : place);
  return { ...verifier.finish(), rows: verifier.places.map(row) };
}

/**
 * The same of a Blob, piece by piece, with the places of the rows instead of the rows. `progress` is told how many bytes are behind it;
 * null is what comes of it once it answers false.
 */
export async function verifyBlob(blob, options, progress) {
  const verifier = new BundleVerifier(options);
  const lines = new Lines(verifier);
  const reader = blob.stream().getReader();
  let read = 0;
  for (let step = await reader.read(); !step.done && lines.take(step.value); step = await reader.read()) {
    read += step.value.length;
    if (progress?.(read) === false) {
      await reader.cancel();
      return null;
    }
  }
  await reader.cancel();
  lines.finish();
  return { ...verifier.finish(), places: verifier.places };
}

/** The rows of these places of a Blob. */
export function rowsOf(blob, places) {
  const row = async ({ index, from, to }) => rowOfLine(new Uint8Array(await blob.slice(from, to).arrayBuffer()), index);
  return Promise.all(places.map((place) => (place.hidden === undefined ? row(place) : place)));
}

/** Cuts bytes into lines. */
class Lines {
  #verifier;
  #held = [];
  #heldBytes = 0;
  #from = 0;

  constructor(verifier) {
    this.#verifier = verifier;
  }

  /** Gives false once nothing more needs to be read. */
  take(bytes) {
    let from = 0;
    for (let to = bytes.indexOf(LINE_FEED); to >= 0; to = bytes.indexOf(LINE_FEED, from)) {
      if (!this.#give(bytes.subarray(from, to), true)) return false;
      from = to + 1;
    }
    this.#held.push(bytes.slice(from));
    this.#heldBytes += bytes.length - from;
    // What is longer than a line may be is none, however long it goes on.
    return this.#heldBytes < LINE_BYTES_MAX || this.#give(new Uint8Array(), false);
  }

  finish() {
    if (this.#heldBytes > 0) this.#give(new Uint8Array(), false);
  }

  #give(rest, isEnded) {
    const line = this.#held.length === 0 ? rest : concat(...this.#held, rest);
    [this.#held, this.#heldBytes] = [[], 0];
    const from = this.#from;
    this.#from += line.length + 1;
    return this.#verifier.line(line, isEnded, from);
  }
}

const told = (code) => (code === null ? null : { code, index: null, sentence: sentenceOf(code) });

/** The value of a text, or the value itself; undefined if the text is not JSON. */
function valueOf(given) {
  try {
    return typeof given === "string" ? parse(given) : given;
  } catch {
    return undefined;
  }
}

/** A receipt in what the API answers around it, `{"status": "signed", "receipt": ...}`; anything else is itself. */
export function unwrapped(value) {
  const isEnvelope = value instanceof Map && value.get("status") === "signed" && !value.has("version");
  return isEnvelope ? (value.get("receipt") ?? null) : value;
}

/**
 * Whether a receipt, its text or what `parse` made of it, holds under a key document: `{fault, row, keyId}`. `workspace` is the one it must be of, or null; `now` is a text or
 * nanoseconds. If `trust` is given, the receipt's key must be one of these fingerprints, and be the key that has this fingerprint.
 */
export function verifyReceipt(given, keysText, { workspace = null, now, trust = null }) {
  const document = parseKeyDocument(keysText);
  if (document === null) return { fault: told("malformed_keys"), row: null, keyId: null };
  const receipt = valueOf(given);
  if (receipt === undefined) return { fault: told("unreadable"), row: null, keyId: null };
  const code = faultOf(receipt, document.keys, workspace, typeof now === "string" ? instant(now) : now);
  if (code !== null) return { fault: told(code), row: null, keyId: null };
  const keyId = receipt.get("signature").get("key_id");
  return { fault: told(faultOfTrust(document.keys, keyId, trust)), row: rowOfReceipt(receipt), keyId };
}

function faultOfTrust(keys, keyId, trust) {
  if (trust === null) return null;
  if (!trust.includes(keyId)) return "untrusted_key";
  const isOf = (key) => idText("key_", blake3(key.publicKey).subarray(0, 16)) === keyId;
  return keys.filter((key) => key.id === keyId).every(isOf) ? null : "forged_key";
}

/**
 * Whether a receipt that was verified is in the tree of its workspace, under a checkpoint that a key of the document has signed (one of
 * `trust`, if that is given) and `quorum` of the `witnesses` have cosigned: `{fault, index, size, signer, cosigned, witnesses}`.
 */
export function verifyProof(given, proofText, keysText, { trust = null, witnesses = [], quorum = 0 } = {}) {
  const [document, proof] = [parseKeyDocument(keysText), parseProof(proofText)];
  if (document === null) return { fault: told("malformed_keys") };
  if (proof === null) return { fault: told("malformed_proof") };
  const receipt = valueOf(given);
  if (receipt === undefined) return { fault: told("unreadable") };
  const signed = receipt instanceof Map ? signedBytes(receipt) : null;
  if (signed === null) return { fault: told("not_canonical") };
  const { checkpoint, recordHash, index, hashes } = proof;
  if (checkpoint.origin !== `allowlog/${receipt.get("workspace_id")}`) return { fault: told("wrong_origin") };
  const may = document.keys.filter((key) => faultOfTrust([key], key.id, trust) === null);
  const signer = may.find((key) => isSignedBy(checkpoint, checkpoint.origin, key.publicKey));
  if (signer === undefined) return { fault: told("untrusted_checkpoint") };
  if (!isIncluded(concat(recordHash, sha256(signed)), index, checkpoint.size, hashes, checkpoint.root)) return { fault: told("bad_proof") };
  const cosigned = cosignedBy(checkpoint, parseWitnesses(witnesses));
  if (cosigned.length < quorum) return { fault: told("too_few_witnesses") };
  return { fault: null, index: index.toString(), size: checkpoint.size.toString(), signer: signer.id, cosigned, witnesses: witnesses.length };
}
