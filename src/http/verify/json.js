// FORMAT.md, section "Canonical JSON": a strict reader and the text that is signed. Objects are read as `Map`, so that no name
// means anything to JavaScript.

const DEPTH_MAX = 128;

/** Stands where a value cannot be signed; it is of no type. */
export const DEFECT = Symbol("defect");

/** Thrown for a text that is not JSON. */
export class NotJson extends Error {}

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;
// eslint-disable-next-line no-control-regex
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const LONE = /\p{Surrogate}/u;
const ESCAPES = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };

/** The value of a text, with `DEFECT` in place of what cannot be signed. */
export function parse(text) {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.space();
  if (reader.at !== text.length) throw new NotJson(`something stands behind the value, at ${reader.at}`);
  return value;
}

/** The same of UTF-8 bytes. */
export function parseBytes(bytes) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new NotJson("these bytes are not UTF-8");
  }
  return parse(text);
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  refuse() {
    throw new NotJson(`no JSON at ${this.at}`);
  }

  matched(pattern) {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.text);
    if (match === null) this.refuse();
    this.at = pattern.lastIndex;
    return match;
  }

  space() {
    this.matched(SPACE);
  }

  /** Whether the next character that is no white space is this one; passes it if so. */
  takes(char) {
    this.space();
    if (this.text[this.at] !== char) return false;
    this.at += 1;
    return true;
  }

  needs(char) {
    if (!this.takes(char)) this.refuse();
  }

  value(depth) {
    this.space();
    switch (this.text[this.at]) {
      case "{":
        return this.object(depth + 1);
      case "[":
        return this.array(depth + 1);
      case '"':
        return whole(this.string());
      case "t":
        return this.word("true", true);
      case "f":
        return this.word("false", false);
      case "n":
        return this.word("null", null);
      default:
        return this.number();
    }
  }

  word(word, value) {
    if (!this.text.startsWith(word, this.at)) this.refuse();
    this.at += word.length;
    return value;
  }

  number() {
    const [digits, fraction, exponent] = this.matched(NUMBER);
    if (fraction !== undefined || exponent !== undefined || digits === "-0") return DEFECT;
    const value = Number(digits);
    return Number.isSafeInteger(value) ? value : DEFECT;
  }

  string() {
    this.at += 1;
    let out = "";
    for (;;) {
      out += this.matched(PLAIN)[0];
      const char = this.text[this.at];
      if (char === '"') {
        this.at += 1;
        return out;
      }
      if (char !== "\\") this.refuse();
      out += this.escape();
    }
  }

  escape() {
    const char = this.text[this.at + 1];
    if (char === "u") {
      const digits = this.text.slice(this.at + 2, this.at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.refuse();
      this.at += 6;
      return String.fromCharCode(parseInt(digits, 16));
    }
    if (char === undefined || !Object.hasOwn(ESCAPES, char)) this.refuse();
    this.at += 2;
    return ESCAPES[char];
  }

  array(depth) {
    if (depth > DEPTH_MAX) this.refuse();
    this.at += 1;
    const out = [];
    if (this.takes("]")) return out;
    do {
      out.push(this.value(depth));
    } while (this.takes(","));
    this.needs("]");
    return out;
  }

  object(depth) {
    if (depth > DEPTH_MAX) this.refuse();
    this.at += 1;
    const out = new Map();
    if (this.takes("}")) return out;
    do {
      this.space();
      if (this.text[this.at] !== '"') this.refuse();
      const name = this.string();
      this.needs(":");
      const value = this.value(depth);
      out.set(name, out.has(name) || LONE.test(name) ? DEFECT : value);
    } while (this.takes(","));
    this.needs("}");
    return out;
  }
}

const whole = (text) => (LONE.test(text) ? DEFECT : text);

/** The canonical text, or null if there is a defect anywhere. */
export function canonical(value) {
  if (value === DEFECT) return null;
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) return joined(value, canonical, "[", "]");
  if (value instanceof Map) {
    // Strings compare by their UTF-16 code units, which is the order that is asked for.
    const names = [...value.keys()].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    const member = (name) => {
      const text = canonical(value.get(name));
      return text === null ? null : `${quoted(name)}:${text}`;
    };
    return joined(names, member, "{", "}");
  }
  return String(value);
}

function joined(items, textOf, open, close) {
  const texts = [];
  for (const item of items) {
    const text = textOf(item);
    if (text === null) return null;
    texts.push(text);
  }
  return open + texts.join(",") + close;
}

// eslint-disable-next-line no-control-regex
const ESCAPED = /["\\\u0000-\u001f]/g;

function quoted(text) {
  const escaped = (char) => (char < " " ? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}` : `\\${char}`);
  return `"${text.replace(ESCAPED, escaped)}"`;
}
