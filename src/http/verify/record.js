// FORMAT.md, section "Record": the header, the hash, and what of a body stands at a fixed place or is worth telling.

import { blake3 } from "./noble.js";
import { concat, idText, isTime, utf8 } from "./bytes.js";

export const HEADER_BYTES = 113;
const RECORD_BYTES_MAX = 524288;
const VERSION = 3;
const RECORD_DOMAIN = utf8("allowlog.record.v3\n");
const SUBJECT_DOMAIN = utf8("allowlog.subject.v1\n");
const NOBODY = new Uint8Array(16);

/** A record from its bytes: `{header, bodyHash, body}` and the fields of the header; null if it is none of this version. */
export function parseRecord(bytes) {
  if (bytes.length <= HEADER_BYTES || bytes.length > RECORD_BYTES_MAX) return null;
  const body = bytes.subarray(HEADER_BYTES);
  const header = parseHeader(bytes.subarray(0, HEADER_BYTES));
  return header && { ...header, body, bodyHash: blake3(body) };
}

/** The same of a record whose body is not shown: its header, then the hash of its body. */
export function parseHidden(bytes) {
  if (bytes.length !== HEADER_BYTES + 32) return null;
  const header = parseHeader(bytes.subarray(0, HEADER_BYTES));
  return header && { ...header, body: null, bodyHash: bytes.subarray(HEADER_BYTES) };
}

function parseHeader(header) {
  const numbers = new DataView(header.buffer, header.byteOffset);
  const time = numbers.getBigUint64(25);
  if (header[0] !== VERSION || !isTime(time)) return null;
  return {
    header,
    workspace: header.subarray(1, 17),
    index: numbers.getBigUint64(17),
    time,
    previous: header.subarray(33, 65),
    receiptHash: header.subarray(65, 97),
    subject: header.subarray(97, 113),
  };
}

export const recordHash = (record) => blake3(concat(RECORD_DOMAIN, record.header, record.bodyHash));

export function subjectOf(authorization) {
  return authorization === null ? NOBODY : blake3(concat(SUBJECT_DOMAIN, authorization)).subarray(0, 16);
}

const EVENTS = [
  ["workspace created", "workspace changed"],
  ["API key created", "API key revoked"],
  ["signing key activated"],
  ["authorization granted", "authorization revoked"],
  ["check decided"],
  ["confirmation resolved"],
  ["escalation resolved"],
  ["bundle created", "bundle deleted"],
  ["tombstone placed", "tombstone lifted"],
];
const WITH_RECEIPT = [3, 4, 6];

/** `{what, hasReceipt, authorization, receiptId, signingKey, said}` of a body, or null if it is none that is known. */
export function parseBody(body) {
  const what = EVENTS[body[0]]?.[body[1]];
  if (what === undefined) return null;
  const hasReceipt = WITH_RECEIPT.includes(body[0]);
  const event = { what, hasReceipt, authorization: null, receiptId: null, signingKey: null, said: {} };
  const reader = new Reader(body, 2);
  try {
    if (hasReceipt) event.receiptId = reader.bytes(16);
    if (body[0] === 2) event.signingKey = signingKey(reader);
    if (body[0] === 4) event.authorization = reader.optional(() => reader.bytes(16));
    if (body[0] === 5 || body[0] === 6) reader.bytes(16);
    if ([3, 5, 6].includes(body[0])) event.authorization = reader.bytes(16);
  } catch {
    return null;
  }
  if (!hasReceipt) event.said = told(body, reader);
  return event;
}

function signingKey(reader) {
  const key = { id: reader.bytes(16), publicKey: reader.bytes(32), activeFrom: reader.varint() };
  if (!isTime(key.activeFrom)) throw new RangeError("a time after the year 9999");
  return key;
}

/** What an event without a receipt says, for people; nothing of it is judged. */
function told(body, reader) {
  const said = {
    "0.0": () => ({ name: reader.text() }),
    "0.1": () => ({ name: reader.text() }),
    "1.0": () => ({ "API key": idText("ak_", reader.bytes(16)), name: reader.text() }),
    "1.1": () => ({ "API key": idText("ak_", reader.bytes(16)) }),
    "5.0": () => ({ scope: reader.text(), resource: reader.optional(() => reader.text()), answer: reader.byte() === 0 ? "approved" : "declined" }),
    "7.0": () => ({ bundle: reader.text() }),
    "7.1": () => ({ bundle: reader.text() }),
    "8.0": () => ({ tombstone: idText("tmb_", reader.bytes(16)), resource: reader.text(), note: reader.optional(() => reader.text()) }),
    "8.1": () => ({ tombstone: idText("tmb_", reader.bytes(16)), resource: reader.text() }),
  }[`${body[0]}.${body[1]}`];
  try {
    return said?.() ?? {};
  } catch {
    return {};
  }
}

/** Reads what FORMAT.md, section "Encoding of events", writes; throws where the bytes end or say something else. */
class Reader {
  constructor(all, at) {
    this.all = all;
    this.at = at;
  }

  bytes(length) {
    if (this.at + length > this.all.length) throw new RangeError("the body ends early");
    this.at += length;
    return this.all.subarray(this.at - length, this.at);
  }

  byte() {
    return this.bytes(1)[0];
  }

  varint() {
    const first = this.byte();
    if (first < 251) return BigInt(first);
    const length = { 251: 2, 252: 4, 253: 8 }[first];
    if (length === undefined) throw new RangeError("no number of 64 bits");
    return this.bytes(length).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  text() {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.bytes(Number(this.varint())));
  }

  optional(read) {
    const is = this.byte();
    if (is > 1) throw new RangeError("neither there nor absent");
    return is === 1 ? read() : null;
  }
}
