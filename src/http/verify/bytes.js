// Bytes and their texts as FORMAT.md, section "Conventions", has them: hexadecimal, base64, ids, times. What cannot be read is null.

const TIME_MS_MAX = 253402300799999;
const ENCODER = new TextEncoder();

export const utf8 = (text) => ENCODER.encode(text);

export function concat(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let place = 0;
  for (const part of parts) {
    out.set(part, place);
    place += part.length;
  }
  return out;
}

export function equal(a, b) {
  return a.length === b.length && a.every((byte, place) => byte === b[place]);
}

export const isZero = (bytes) => bytes.every((byte) => byte === 0);

export function hex(bytes) {
  let out = "";
  for (const byte of bytes) out += byte.toString(16).padStart(2, "0");
  return out;
}

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

function valuesOf(alphabet) {
  const values = new Int8Array(128).fill(-1);
  for (let value = 0; value < 64; value++) values[alphabet.charCodeAt(value)] = value;
  return values;
}

const STANDARD = valuesOf(DIGITS + "+/");
const FOR_URLS = valuesOf(DIGITS + "-_");

/** RFC 4648 with padding. */
export function base64(text) {
  if (text.length % 4 !== 0) return null;
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  return decoded(text, text.length - padding, STANDARD);
}

/** The alphabet of URLs, without padding. */
export function base64url(text) {
  return decoded(text, text.length, FOR_URLS);
}

function decoded(text, length, values) {
  if (length % 4 === 1) return null;
  const out = new Uint8Array(Math.floor((length * 3) / 4));
  let bits = 0;
  let held = 0;
  let place = 0;
  for (let at = 0; at < length; at++) {
    const code = text.charCodeAt(at);
    const value = code < 128 ? values[code] : -1;
    if (value < 0) return null;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[place++] = (held >> bits) & 0xff;
    }
  }
  // The bits that belong to no byte are zero, so that bytes have one text.
  return (held & ((1 << bits) - 1)) === 0 ? out : null;
}

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

export function idText(prefix, bytes) {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  let out = "";
  for (let digit = 0; digit < 26; digit++) {
    out = CROCKFORD[Number(value & 31n)] + out;
    value >>= 5n;
  }
  return prefix + out;
}

/** The 16 bytes of an id of this prefix. */
export function idBytes(prefix, text) {
  if (!text.startsWith(prefix)) return null;
  const digits = text.slice(prefix.length);
  if (!/^[0-7][0-9A-HJKMNP-TV-Z]{25}$/.test(digits)) return null;
  let value = 0n;
  for (const digit of digits) value = (value << 5n) | BigInt(CROCKFORD.indexOf(digit));
  const out = new Uint8Array(16);
  for (let place = 15; place >= 0; place--) {
    out[place] = Number(value & 255n);
    value >>= 8n;
  }
  return out;
}

/** Whether these milliseconds (a bigint) are a time. */
export const isTime = (ms) => ms >= 0n && ms <= BigInt(TIME_MS_MAX);

/** The text of a time that is one. */
export const timeText = (ms) => new Date(Number(ms)).toISOString();

const TIME =
  /^([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))$/;

/** Nanoseconds since the epoch, a bigint. */
export function instant(text) {
  const match = TIME.exec(text);
  if (match === null) return null;
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number);
  const [offsetHour, offsetMinute] = [Number(match[9] ?? 0), Number(match[10] ?? 0)];
  if (hour > 23 || minute > 59 || second > 60 || offsetHour > 23 || offsetMinute > 59) return null;
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  if (date.getUTCFullYear() !== year || date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return null;
  const ahead = (offsetHour * 3600 + offsetMinute * 60) * (match[8] === "-" ? -1 : 1);
  const seconds = date.getTime() / 1000 + hour * 3600 + minute * 60 + Math.min(second, 59) - ahead;
  return BigInt(seconds) * 1000000000n + BigInt((match[7] ?? "").padEnd(9, "0"));
}
