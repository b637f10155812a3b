// FORMAT.md, section "Record": the header, the hash, and what of a body stands at a fixed place.

import { blake3 } from "./noble.js";
import { concat, isTime, utf8 } from "./bytes.js";

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
  ["check decided", "token verified"],
  ["confirmation resolved"],
  ["escalation resolved"],
  ["bundle created", "bundle deleted"],
  ["tombstone placed", "tombstone lifted"],
  ["consent agent created", "consent agent changed", "webhook secret rotated"],
  ["consent requested", "consent page viewed", "consent declined", "consent request withdrawn", "token minted", "manage link created"],
];
const WITH_RECEIPT = [3, 4, 6];

/**
 * What stands at a fixed place of a body, `{what, begins, hasReceipt, authorization, receiptId, signingKey}`, or null if it is none that is
 * known. What is not there is null; `begins` says whether the story of its authorization begins with it.
 */
export function parseBody(body) {
  const [family, variant] = body;
  const what = EVENTS[family]?.[variant];
  if (what === undefined) return null;
  let at = 2;
  const take = (length) => body.subarray(at, (at += length));
  const begins = variant === 0 && (family === 3 || family === 10);
  const event = { what, begins, hasReceipt: WITH_RECEIPT.includes(family), authorization: null, receiptId: null, signingKey: null };
  if (event.hasReceipt) event.receiptId = take(16);
  if (family === 2) event.signingKey = { id: take(16), publicKey: take(32), activeFrom: varint(take(9)) };
  const isOfConsent = family === 10 && variant !== 5;
  if (family === 5 || family === 6 || isOfConsent) take(16);
  const isKnown = what === "check decided" ? take(1)[0] : [3, 4, 5, 6].includes(family) || isOfConsent ? 1 : 0;
  if (isKnown === 1) event.authorization = take(16);
  if (family === 2) return event.signingKey.publicKey.length === 32 && isTime(event.signingKey.activeFrom) ? event : null;
  return at <= body.length && (isKnown === 0 || isKnown === 1) ? event : null;
}

/** The number at the begin of these bytes; -1 if they end early. */
function varint(bytes) {
  const length = { 251: 2, 252: 4, 253: 8 }[bytes[0]];
  if (bytes[0] < 251) return BigInt(bytes[0]);
  if (length === undefined || bytes.length <= length) return -1n;
  return bytes.subarray(1, 1 + length).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
