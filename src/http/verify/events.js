// FORMAT.md, sections "Encoding of events" and "Events": what a body says. Throws where it says nothing that FORMAT.md knows.

import { idText, isTime, timeText } from "./bytes.js";
import { canonical, parse } from "./json.js";

const SAFE_MAX = 2n ** 53n - 1n;

class Reader {
  constructor(all) {
    this.all = all;
    this.at = 0;
  }

  bytes(length) {
    if (length > this.all.length - this.at) throw new RangeError("the body ends early");
    this.at += length;
    return this.all.subarray(this.at - length, this.at);
  }

  /** An unsigned integer of a type of so many bits. */
  varint(bits) {
    const first = this.bytes(1)[0];
    if (first < 251) return BigInt(first);
    const length = { 251: 2, 252: 4, 253: 8 }[first];
    if (length === undefined || length * 8 > bits) throw new RangeError(`no number of ${bits} bits`);
    return this.bytes(length).reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n);
  }

  flag() {
    const [byte] = this.bytes(1);
    if (byte > 1) throw new RangeError("neither yes nor no");
    return byte === 1;
  }
}

const bool = (reader) => reader.flag();
const bytes = (length) => (reader) => reader.bytes(length);
const id = (prefix) => (reader) => idText(prefix, reader.bytes(16));
const optional = (read) => (reader) => (reader.flag() ? read(reader) : null);

function within(value, min, max) {
  if (value < min || value > max) throw new RangeError(`${value} is out of bounds`);
  return value;
}

const unsigned = (bits, min = 0n, max = 2n ** 64n - 1n) => (reader) => within(reader.varint(bits), min, max);

function int(min = -(2n ** 63n), max = 2n ** 63n - 1n) {
  return (reader) => {
    const zigzag = reader.varint(64);
    return within(zigzag & 1n ? -(zigzag >> 1n) - 1n : zigzag >> 1n, min, max);
  };
}

/** Three letters in upper case. */
function currency(reader) {
  const letters = String.fromCharCode(...reader.bytes(3));
  if (!/^[A-Z]{3}$/.test(letters)) throw new RangeError("no currency");
  return letters;
}

function time(reader) {
  const ms = reader.varint(64);
  if (!isTime(ms)) throw new RangeError("a time after the year 9999");
  return timeText(ms);
}

const text = (min, max) => (reader) => {
  const length = within(reader.varint(64), BigInt(min), BigInt(max));
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(reader.bytes(Number(length)));
};

function object(reader) {
  const written = text(2, 2 ** 20)(reader);
  const value = parse(written);
  if (!(value instanceof Map) || canonical(value) !== written) throw new RangeError("no canonical object");
  return value;
}

const list = (read) => (reader) => {
  const out = [];
  for (let left = reader.varint(64); left > 0n; left--) out.push(read(reader));
  return out;
};

const struct = (fields) => (reader) => {
  const out = {};
  for (const [name, read] of Object.entries(fields)) out[name] = read(reader);
  return out;
};

/** Variants by their number: what reads its fields, or its name if it has none. */
const choice = (...variants) => (reader) => {
  const variant = variants[Number(reader.varint(32))];
  if (variant === undefined) throw new RangeError("an unknown variant");
  return typeof variant === "string" ? variant : variant(reader);
};

const [user, agent, opaque] = [text(1, 256), text(1, 256), text(1, 256)];
const [scope, resource, session] = [text(1, 128), text(0, 512), text(0, 256)];
const [approver, label, name, bundleId] = [text(1, 128), text(1, 128), text(1, 128), text(1, 128)];
const [note, pattern, item, conditionField, conditionText] = [text(0, 512), text(0, 256), text(0, 256), text(1, 128), text(0, 256)];
const [authorization, receipt, nonce, escalation] = [id("auth_"), id("rcp_"), id("cnf_"), id("esc_")];
const [apiKey, signingKey, tombstone] = [id("ak_"), id("key_"), id("tmb_")];
const [consent, consentAgent, token] = [id("cr_"), id("ag_"), id("tok_")];
const [email, url, scopeLabel, description] = [text(1, 320), text(1, 2048), text(1, 256), text(0, 1024)];
const [address, userAgent] = [text(1, 45), text(0, 512)];
const [payer, credential, device, intent, offlineToken, transaction] = ["agt_", "crd_", "dev_", "pin_", "oft_", "otx_"].map(id);
const [merchant, category, channel, clientRef] = [text(1, 128), text(1, 64), text(1, 32), text(1, 128)];

const plan = choice("free", "starter", "pro", "enterprise");
const style = choice("allowly", "permitly", "affixio");
const role = choice("runtime", "read");
const policyVersion = choice("2026-11-26.1");
const resolution = choice("approved", "rejected");
const risk = choice("low", "medium", "high", "critical");
const withdrawer = choice("end user", "builder");
const answer = choice(struct({ approved: authorization, "expires at": time }), "declined");
const scalar = choice(bool, int(), conditionText);
const test = choice(scalar, scalar, int(), int(), int(), int(), list(scalar), bool);
const condition = struct({ field: conditionField, test });
const conditions = optional(list(condition));
const items = optional(list(item));
const constraints = struct({
  "max per day": optional(unsigned(64)),
  "resource pattern": optional(pattern),
  "allowed initiators": items,
  "allowed domains": items,
  "allowed fields": items,
  "confirm when": conditions,
  "escalate when": conditions,
  "deny when": conditions,
});
const terms = struct({
  agent,
  scopes: list(struct({ scope, constraints: optional(constraints) })),
  "requires confirm for": list(scope),
  "requires escalation for": list(scope),
  "escalation targets": list(struct({ scope, approver })),
});
const subject = choice(
  struct({ unknown: opaque }),
  struct({ authorization, user, agent, "expires at": optional(time) }),
);
const verdict = choice(
  struct({ consumed: optional(escalation) }),
  "deny",
  struct({ nonce, "expires at": time }),
  struct({ escalation, "escalation to": optional(approver), "expires at": time, opened: bool }),
);
const evaluation = choice("the scope has no conditions", "none fired", condition);
const reason = unsigned(32, 0n, 17n);
const money = int(0n, SAFE_MAX);
const budget = struct({ limit: money, spent: money });

const visitor = struct({ address: optional(address), browser: optional(userAgent) });
const tokenTerms = struct({ token, "expires at": time });
const consented = struct({ consent, "consent agent": consentAgent, token: tokenTerms, visitor });
const withdrawal = struct({ consent, "consent agent": consentAgent, scopes: list(scope), by: withdrawer, visitor });

const amount = int(1n, SAFE_MAX);
const limits = struct({
  merchants: optional(list(merchant)),
  categories: optional(list(category)),
  "blocked merchants": list(merchant),
  "per transaction": optional(amount),
  daily: optional(amount),
  period: optional(struct({ amount, seconds: unsigned(64, 1n, 31622400n) })),
  currencies: optional(list(currency)),
  channels: optional(list(channel)),
  "step up above": optional(amount),
  "review above": optional(amount),
  "requires trusted device": bool,
  "on exceed": choice("deny", "cap"),
});
const delegated = struct({ agent: payer, limits });

const granted = struct({
  receipt,
  authorization,
  user,
  terms,
  "expires at": optional(time),
  "not before": optional(time),
  budget: optional(int(1n, SAFE_MAX)),
  bundle: optional(bundleId),
  replaces: optional(authorization),
  metadata: object,
  policyVersion,
  consent: optional(consented),
  delegation: optional(delegated),
});
const revoked = struct({
  receipt,
  authorization,
  user,
  agent,
  "revoked by": optional(label),
  "superseded by": optional(authorization),
  notes: optional(note),
  policyVersion,
  consent: optional(withdrawal),
});
const decided = struct({
  receipt,
  subject,
  scope,
  resource: optional(resource),
  session: optional(session),
  cost: optional(money),
  context: object,
  budget: optional(budget),
  evaluation,
  verdict,
  reason,
  policyVersion,
});
const escalated = struct({
  receipt,
  escalation,
  authorization,
  user,
  agent,
  scope,
  resource: optional(resource),
  "escalation to": optional(approver),
  resolution,
  "resolved by": approver,
  note: optional(note),
  policyVersion,
});

const verified = struct({ receipt, authorization, consent, agent, user, token: tokenTerms, reason, policyVersion });

function publicKey(reader) {
  const key = reader.bytes(33);
  within(key[0], 2, 3);
  return key;
}
const agentTerms = struct({
  name,
  "token life": unsigned(32, 1n, 31536000n),
  webhook: optional(url),
  "redirect origins": list(url),
  isDefault: bool,
});
const asked = struct({
  consent,
  authorization,
  "consent agent": consentAgent,
  user,
  email: optional(email),
  scopes: list(struct({ key: scope, label: scopeLabel, description: optional(description), risk: optional(risk), reversible: bool })),
  "redirect to": url,
  "expires at": time,
  metadata: object,
});
const ofConsent = { consent, authorization, "consent agent": consentAgent };
const answered = { ...ofConsent, user, scopes: list(scope) };

const code = unsigned(32, 0n, 26n);
const purpose = choice("permission", "policy", "trust", "verification", "offline token");
const payment = struct({
  merchant: optional(merchant),
  amount: optional(amount),
  currency: optional(currency),
  channel: optional(channel),
  category: optional(category),
  intent: optional(opaque),
});
const gated = struct({
  receipt,
  subject,
  purpose,
  agent: opaque,
  device: optional(opaque),
  scope,
  payment,
  resource: optional(resource),
  context: object,
  verdict,
  codes: list(code),
  "max amount": optional(amount),
  "expires at": time,
  policyVersion,
});
const intended = struct({
  authorization: optional(authorization),
  intent,
  merchant,
  amount,
  currency,
  channel: optional(channel),
  agent: optional(payer),
  device: optional(opaque),
  decision: optional(receipt),
  metadata: object,
  "expires at": time,
});
const moved = { receipt, authorization, user, agent, intent, decision: optional(receipt), merchant, amount, currency, policyVersion };
const refusal = unsigned(32, 0n, 6n);
const issued = struct({
  receipt,
  authorization,
  user,
  agent,
  "offline token": offlineToken,
  nullifier: bytes(16),
  device: opaque,
  scope,
  "max amount": amount,
  currency,
  merchants: optional(list(merchant)),
  codes: list(code),
  consumed: optional(escalation),
  "expires at": time,
  policyVersion,
});
const paidOffline = { transaction, "offline token": offlineToken, device: opaque, merchant, amount, currency };
const queued = struct({ authorization, ...paidOffline, "occurred at": optional(time), "client ref": optional(clientRef) });
const settlement = unsigned(32, 0n, 3n);
const reconciled = struct({ receipt, authorization, user, agent, ...paidOffline, settlement, policyVersion });

const EVENT = choice(
  choice(struct({ name, plan }), struct({ name, plan }), struct({ metadata: object })),
  choice(struct({ "API key": apiKey, name, style, role, "expires at": optional(time), secretHash: bytes(32) }), struct({ "API key": apiKey })),
  choice(struct({ "signing key": signingKey, publicKey: bytes(32), "active from": time })),
  choice(granted, revoked),
  choice(decided, verified),
  choice(struct({ nonce, authorization, scope, resource: optional(resource), answer })),
  choice(escalated),
  choice(
    struct({ bundle: bundleId, terms, "default expiry days": optional(unsigned(16, 1n, 3650n)), description: optional(note) }),
    struct({ bundle: bundleId }),
  ),
  choice(struct({ tombstone, resource, reason: optional(note) }), struct({ tombstone, resource })),
  choice(
    struct({ "consent agent": consentAgent, publicKey, terms: agentTerms }),
    struct({ "consent agent": consentAgent, terms: agentTerms }),
    struct({ "consent agent": consentAgent, generation: unsigned(32, 1n) }),
  ),
  choice(
    asked,
    struct({ ...ofConsent, visitor }),
    struct({ ...answered, visitor }),
    struct(answered),
    struct({ ...answered, token: tokenTerms }),
    struct({ user, "expires at": time }),
  ),
  choice(
    struct({ agent: payer, name, kind: choice("llm", "workflow", "robot-controller", "service"), metadata: object }),
    struct({ agent: payer, status: choice("active", "suspended", "revoked") }),
    struct({ agent: payer, credential, publicKey: bytes(32), "expires at": optional(time) }),
  ),
  choice(
    struct({ device, name: optional(name), kind: optional(name), metadata: object }),
    struct({ device, attestation: object }),
    struct({ device, reason: optional(note) }),
  ),
  choice(
    gated,
    intended,
    struct(moved),
    struct({ ...moved, refusal, code }),
    struct(moved),
    struct(moved),
    struct({ intent }),
    issued,
    queued,
    reconciled,
  ),
);
const REQUEST = optional(struct({ idempotencyKey: text(1, 255), fingerprint: bytes(16) }));

/** The fields of the event that a body holds. */
export function decodeEvent(body) {
  const reader = new Reader(body);
  const event = EVENT(reader);
  REQUEST(reader);
  if (reader.at !== body.length) throw new RangeError("bytes stand behind the event");
  return event;
}
