// Ed25519 as FORMAT.md has it: S reduced, A and R canonical and not of small order, and the equation without the cofactor, as
// `ed25519-dalek`'s `verify_strict` has it. The library's own `verify` multiplies both sides by the cofactor and would take
// signatures that other verifiers refuse, so that only its points are used here.

import { ed25519, sha512 } from "./noble.js";
import { concat, hex } from "./bytes.js";

const { Point } = ed25519;
const ORDER = Point.Fn.ORDER;
/** Windows of the table that is made for each key: one costs some milliseconds, and each signature then a third. */
const WINDOW_BITS = 6;
const points = new Map();

/** Whether `signature` is `publicKey`'s of `message`. All three are bytes. */
export function isSignature(publicKey, signature, message) {
  if (signature.length !== 64) return false;
  const a = point(publicKey);
  if (a === null) return false;
  const [r, s] = [signature.subarray(0, 32), littleEndian(signature.subarray(32))];
  if (s >= ORDER) return false;
  const k = littleEndian(sha512(concat(r, publicKey, message))) % ORDER;
  const expected = Point.BASE.multiplyUnsafe(s).subtract(a.multiplyUnsafe(k));
  // The bytes of a point are canonical, so that an R that is not cannot equal them.
  return !expected.isSmallOrder() && expected.toBytes().every((byte, place) => byte === r[place]);
}

/** Whether these bytes are those of a point of the curve, canonical or not. */
export function isPoint(bytes) {
  try {
    Point.fromBytes(bytes, true);
    return true;
  } catch {
    return false;
  }
}

/** The point of a key, with its table; null if it is none or of small order. */
function point(publicKey) {
  const name = hex(publicKey);
  if (!points.has(name)) points.set(name, decompressed(publicKey));
  return points.get(name);
}

function decompressed(publicKey) {
  try {
    const a = Point.fromBytes(publicKey, false);
    return a.isSmallOrder() ? null : a.precompute(WINDOW_BITS);
  } catch {
    return null;
  }
}

function littleEndian(bytes) {
  return BigInt(`0x${hex(bytes.slice().reverse())}`);
}
