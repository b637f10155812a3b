// FORMAT.md, section "Record": the header, the hash, and what of a body stands at a fixed place.

import { blake3 } from "./noble.js";
import { concat, isTime, utf8 } from "./bytes.js";

export const HEADER_BYTES = 113;
const RECORD_BYTES_MAX = 524288;
const VERSION = 4;
const RECORD_DOMAIN = utf8("allowlog.record.v4\n");
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
  ["workspace created", "workspace changed", "workspace described"],
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
  ["agent registered", "agent status changed", "agent credential issued"],
  ["device registered", "device attested", "device revoked"],
  [
    "payment decided",
    "payment intent created",
    "payment authorised",
    "payment refused",
    "payment captured",
    "payment cancelled",
    "payment intent abandoned",
    "offline token issued",
    "offline payment queued",
    "offline payment reconciled",
  ],
];

/** What stands behind family and variant. An id of an authorization that may be missing has a byte in front that says so. */
function layoutOf(family, variant) {
  if (family === 2) return ["key"];
  if (family === 3) return ["receipt", "authorization"];
  if (family === 4) return ["receipt", variant === 0 ? "authorization?" : "authorization"];
  if (family === 5) return ["other", "authorization"];
  if (family === 6) return ["receipt", "other", "authorization"];
  if (family === 10) return variant === 5 ? [] : ["other", "authorization"];
  if (family !== 13 || variant === 6) return [];
  if (variant === 0) return ["receipt", "authorization?"];
  if (variant === 1) return ["authorization?"];
  return variant === 8 ? ["authorization"] : ["receipt", "authorization"];
}

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
  const event = { what, begins, hasReceipt: false, authorization: null, receiptId: null, signingKey: null };
  for (const part of layoutOf(family, variant)) {
    if (part === "key") event.signingKey = { id: take(16), publicKey: take(32), activeFrom: varint(take(9)) };
    else if (part === "receipt") event.receiptId = take(16);
    else if (part === "authorization") event.authorization = take(16);
    else if (part === "other") take(16);
    else {
      const [isThere] = take(1);
      if (isThere !== 0 && isThere !== 1) return null;
      if (isThere === 1) event.authorization = take(16);
    }
  }
  event.hasReceipt = event.receiptId !== null;
  if (family === 2) return event.signingKey.publicKey.length === 32 && isTime(event.signingKey.activeFrom) ? event : null;
  return at <= body.length ? event : null;
}

/** The number at the begin of these bytes; -1 if they end early. */
function varint(bytes) {
  const length = { 251: 2, 252: 4, 253: 8 }[bytes[0]];
  if (bytes[0] < 251) return BigInt(bytes[0]);
  if (length === undefined || bytes.length <= length) return -1n;
  return bytes.subarray(1, 1 + length).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
}
