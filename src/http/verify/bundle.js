// FORMAT.md, section "Evidence": a bundle line by line, with the checks in their order. Nothing is kept of a record but where its
// line stands, so that a bundle may be larger than the memory.

import { blake3, sha256 } from "./noble.js";
import { base64, concat, equal, hex, idBytes, idText, isZero, timeText } from "./bytes.js";
import { canonical, parseBytes } from "./json.js";
import { faultOf, signedBytes } from "./receipt.js";
import { decodeEvent } from "./events.js";
import { parseBody, parseHidden, parseRecord, recordHash, subjectOf } from "./record.js";
import { sentenceOf } from "./sentences.js";
import { isPoint } from "./signatures.js";
import { rowOfReceipt, rowOfRecord } from "./story.js";
import { Edge, cosignedBy, hashOf, isIncluded, isSignedBy, leafHash, parseCheckpoint, parseWitnesses, sizesAfter, sizesBefore } from "./tlog.js";

const HEAD = ["format", "workspace_id", "authorization_id", "first", "end", "before", "after", "keys", "checkpoint"];
/** With its line feed. */
export const LINE_BYTES_MAX = 16777216;
const NS_OF_MS = 1000000n;

class Fault extends Error {
  constructor(code, index = null) {
    super(code);
    this.fault = { code, index };
  }
}

function check(isSound, code, index = null) {
  if (!isSound) throw new Fault(code, index);
}

/**
 * Takes the lines of a bundle one by one, says at the end what it is. `trust` are ids of signing keys; null trusts whatever the
 * bundle names, which proves nothing but that it is of one piece. `witnesses` are verifier keys of which `quorum` must have cosigned.
 * `earlier` is the `{size, root}` of a checkpoint that was seen before, or null.
 */
export class BundleVerifier {
  #trust;
  #witnesses;
  #quorum;
  #earlier;
  #head = null;
  #edge = new Edge();
  #next = 0;
  #before = null;
  #fault = null;
  /** Index of the first record whose event cannot be decoded. */
  #undecoded = null;
  #rootAtEarlier = null;
  #story = { whole: 0, hidden: 0, receipts: 0, beginsWithGrant: false };
  /** The story in order: `{index, from, to}` is a record and the bytes of its line, `{hidden: n}` a run of records that are not shown. */
  places = [];

  constructor({ trust = null, witnesses = [], quorum = 0, earlier = null } = {}) {
    this.#trust = trust;
    this.#witnesses = parseWitnesses(witnesses);
    this.#quorum = quorum;
    this.#earlier = earlier;
  }

  /**
   * Takes one line without its line feed; `isEnded` says whether it had one, `from` where it begins in the bundle. Gives false once
   * nothing more needs to be read.
   */
  line(bytes, isEnded, from) {
    if (this.#fault !== null) return false;
    this.#guard(() => {
      if (this.#head === null) this.#takeHead(bytes, isEnded);
      else this.#takeRecord(bytes, isEnded, from);
    });
    return this.#fault === null;
  }

  /** The verdict, once every line was taken. */
  finish() {
    if (this.#fault === null) this.#guard(() => this.#end());
    const { code, index } = this.#fault ?? {};
    const fault = this.#fault && { code, index, sentence: sentenceOf(code, index) };
    return { fault, ...this.#coverage() };
  }

  #guard(take) {
    try {
      take();
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#fault = error.fault;
    }
  }

  #takeHead(bytes, isEnded) {
    const head = isEnded ? parseHead(objectOf(bytes)) : null;
    check(head !== null, "malformed_bundle");
    const { checkpoint } = head;
    const signer = head.keys.at(-1);
    const isTrusted = signer !== undefined && (this.#trust === null || this.#trust.includes(signer.id));
    check(isTrusted && isSignedBy(checkpoint, checkpoint.origin, signer.publicKey), "untrusted_checkpoint");
    head.signer = signer;
    check(BigInt(head.end) <= checkpoint.size, "malformed_bundle");
    const [before, after] = [sizesBefore(head.first), sizesAfter(head.end, checkpoint.size)];
    check(before.length === head.before.length && after.length === head.after.length, "malformed_bundle");
    head.afterSizes = after;
    let last = -1n;
    for (const { record, proof } of head.keys) {
      const isThere = isIncluded(entryOf(record), record.index, checkpoint.size, proof, checkpoint.root);
      check(isThere && record.index > last, "bad_key_proof");
      last = record.index;
    }
    head.cosigned = cosignedBy(checkpoint, this.#witnesses);
    check(head.cosigned.length >= this.#quorum, "too_few_witnesses");
    before.forEach((leaves, place) => this.#edge.push(head.before[place], leaves));
    this.#head = head;
    this.#next = head.first;
    this.#lookAtRoot();
  }

  #takeRecord(bytes, isEnded, from) {
    const index = this.#next;
    check(index < this.#head.end, "extra_records", this.#head.end);
    const line = isEnded ? parseLine(objectOf(bytes), this.#head) : null;
    check(line !== null, "malformed_record", index);
    const { record } = line;
    check(record.index === BigInt(index), "wrong_index", index);
    record.hash = recordHash(record);
    check(hex(record.hash) === line.hash, "wrong_hash", index);
    this.#checkLink(record, index);
    check(this.#before === null || record.time >= this.#before.time, "time_goes_back", index);
    if (line.event === null) {
      check(!equal(record.subject, this.#head.subject), "wrong_subject", index);
      this.#countHidden();
    } else {
      check(equal(record.subject, subjectOf(line.event.authorization)), "wrong_subject", index);
      check(this.#head.authorization === null || equal(record.subject, this.#head.subject), "wrong_subject", index);
      check(line.event.signingKey === null || this.#isListed(record), "unlisted_key", index);
      check(line.event.hasReceipt || isZero(record.receiptHash), "wrong_receipt", index);
      check(!line.event.hasReceipt || !isZero(record.receiptHash), "wrong_receipt", index);
      this.#checkReceipt(line, index);
      if (this.#undecoded === null && !isEvent(record.body)) this.#undecoded = index;
      this.#count(line);
      this.places.push({ index, from, to: from + bytes.length });
    }
    this.#edge.push(leafHash(entryOf(record)), 1);
    this.#before = record;
    this.#next += 1;
    this.#lookAtRoot();
  }

  /** Keeps the root at the earlier size, once the tree has grown to it. */
  #lookAtRoot() {
    if (this.#earlier?.size === BigInt(this.#next)) this.#rootAtEarlier = this.#edge.root();
  }

  /** A record that was altered is found by the hash that its successor carries. */
  #checkLink(record, index) {
    if (index === 0) check(isZero(record.previous), "broken_link", 0);
    else if (this.#before !== null) check(equal(record.previous, this.#before.hash), "broken_link", index - 1);
  }

  #isListed(activation) {
    return this.#head.keys.some(({ record }) => record.index === activation.index);
  }

  #checkReceipt({ record, event, receipt }, index) {
    if (!event.hasReceipt) return check(receipt === undefined, "wrong_receipt", index);
    check(receipt !== undefined, "missing_receipt", index);
    const signed = signedBytes(receipt);
    const { workspace, keys } = this.#head;
    const isOfRecord =
      signed !== null &&
      equal(sha256(signed), record.receiptHash) &&
      receipt.get("receipt_id") === idText("rcp_", event.receiptId) &&
      receipt.get("workspace_id") === workspace &&
      receipt.get("issued_at") === timeText(record.time);
    check(isOfRecord, "wrong_receipt", index);
    const code = faultOf(receipt, keys, workspace, record.time * NS_OF_MS, signed);
    check(code === null, code, index);
  }

  #count({ event, receipt }) {
    this.#story.whole += 1;
    if (receipt !== undefined) this.#story.receipts += 1;
    if (this.#story.whole === 1) this.#story.beginsWithGrant = event.begins;
  }

  #countHidden() {
    this.#story.hidden += 1;
    const last = this.places.at(-1);
    if (last?.hidden !== undefined) last.hidden += 1;
    else this.places.push({ hidden: 1 });
  }

  #end() {
    check(this.#head !== null, "malformed_bundle");
    const { end, after, afterSizes, checkpoint } = this.#head;
    check(this.#next === end, "missing_records", this.#next);
    afterSizes.forEach((leaves, place) => this.#edge.push(after[place], leaves));
    check(equal(this.#edge.root(), checkpoint.root), "wrong_root");
    check(this.#undecoded === null, "malformed_record", this.#undecoded);
    if (this.#earlier?.size === checkpoint.size) this.#rootAtEarlier = checkpoint.root;
    check(this.#rootAtEarlier === null || equal(this.#rootAtEarlier, this.#earlier.root), "another_log");
  }

  #coverage() {
    if (this.#head === null) return { head: null };
    const { workspace, authorization, first, end, checkpoint, keys, signer, cosigned } = this.#head;
    return {
      head: { workspace, authorization, first, end, size: checkpoint.size.toString(), root: hex(checkpoint.root) },
      isVouchedFor: this.#trust !== null,
      signer: signer.id,
      keys: keys.map((key) => key.id),
      cosigned,
      witnesses: this.#witnesses.length,
      ...this.#story,
      checked: this.#next - first,
      reachesEnd: BigInt(end) === checkpoint.size,
      earlier: this.#earlier && { size: this.#earlier.size.toString(), isCompared: this.#rootAtEarlier !== null },
    };
  }
}

/** The row of the timeline that a line makes which the verifier has taken. */
export function rowOfLine(bytes, index) {
  const line = parseBytes(bytes);
  if (line.has("receipt")) return { index, ...rowOfReceipt(line.get("receipt")) };
  const record = parseRecord(base64(line.get("record")));
  return { index, ...rowOfRecord(record, parseBody(record.body).what) };
}

function isEvent(body) {
  try {
    decodeEvent(body);
    return true;
  } catch {
    return false;
  }
}

/** The object a line holds, or null. */
function objectOf(bytes) {
  if (bytes.length >= LINE_BYTES_MAX) return null;
  try {
    const value = parseBytes(bytes);
    return value instanceof Map ? value : null;
  } catch {
    return null;
  }
}

const isPlace = (value) => Number.isSafeInteger(value) && value >= 0;

/** The head with what its members stand for, or null if it fails check 1 or 2. */
function parseHead(object) {
  if (object === null || canonical(object) === null) return null;
  if (object.size !== HEAD.length || !HEAD.every((name) => object.has(name))) return null;
  const [format, workspace, authorization, first, end, before, after, keys, note] = HEAD.map((name) => object.get(name));
  if (format !== "allowlog-evidence-v1" || typeof workspace !== "string" || typeof note !== "string") return null;
  const workspaceBytes = idBytes("ws_", workspace);
  const authorizationBytes = typeof authorization === "string" ? idBytes("auth_", authorization) : null;
  if (workspaceBytes === null || (authorization !== null && authorizationBytes === null)) return null;
  if (!isPlace(first) || !isPlace(end) || first > end) return null;
  const head = { workspace, workspaceBytes, authorization, first, end, before: hashesOf(before), after: hashesOf(after) };
  head.keys = Array.isArray(keys) ? keys.map((key) => parseKey(key, workspaceBytes)) : [null];
  head.checkpoint = parseCheckpoint(note);
  if (head.before === null || head.after === null || head.keys.includes(null)) return null;
  if (head.checkpoint?.origin !== `allowlog/${workspace}`) return null;
  // The key document that is made of the head: each key's window ends where the next one's begins.
  head.keys.forEach((key, place) => (key.until = head.keys[place + 1]?.from ?? null));
  head.subject = subjectOf(authorizationBytes);
  return head;
}

function hashesOf(list) {
  const hashes = Array.isArray(list) ? list.map(hashOf) : [null];
  return hashes.includes(null) ? null : hashes;
}

/** An activation with its proof, as a key of a key document, or null. */
function parseKey(object, workspace) {
  if (!(object instanceof Map) || object.size !== 2) return null;
  const [record, proof] = [recordOf(object.get("record"), parseRecord, workspace), hashesOf(object.get("proof"))];
  const key = record && parseBody(record.body)?.signingKey;
  if (!key || proof === null || !equal(blake3(key.publicKey).subarray(0, 16), key.id) || !isPoint(key.publicKey)) return null;
  record.hash = recordHash(record);
  return { id: idText("key_", key.id), publicKey: key.publicKey, from: key.activeFrom * NS_OF_MS, record, proof };
}

/** The record in this base64, if it is one of the workspace. */
function recordOf(text, parseOne, workspace) {
  const bytes = typeof text === "string" ? base64(text) : null;
  const record = bytes && parseOne(bytes);
  return record && equal(record.workspace, workspace) ? record : null;
}

/** A record's line, `{hash, record, event, receipt}`, or null if it fails check 2. `event` is null if the record is hidden. */
function parseLine(object, { workspaceBytes, authorization }) {
  if (object === null) return null;
  const [hash, receipt, isHidden] = [object.get("hash"), object.get("receipt"), object.has("hidden")];
  if (typeof hash !== "string" || !/^[0-9a-f]{64}$/.test(hash)) return null;
  if (isHidden === object.has("record") || (isHidden && authorization === null)) return null;
  const hasReceipt = !isHidden && object.has("receipt");
  if (object.size !== (hasReceipt ? 3 : 2) || (hasReceipt && !(receipt instanceof Map))) return null;
  const record = isHidden
    ? recordOf(object.get("hidden"), parseHidden, workspaceBytes)
    : recordOf(object.get("record"), parseRecord, workspaceBytes);
  const event = record && !isHidden ? parseBody(record.body) : null;
  return record === null || (!isHidden && event === null) ? null : { hash, record, event, receipt };
}

const entryOf = (record) => concat(record.hash, record.receiptHash);
