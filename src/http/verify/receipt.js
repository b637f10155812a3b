// FORMAT.md, sections "Receipt", "Key document" and "The verifier": the sixteen checks, in their order.

import { base64url, instant, utf8 } from "./bytes.js";
import { canonical, parse } from "./json.js";
import { isSignature } from "./signatures.js";

const REQUIRED = [
  "version",
  "receipt_id",
  "workspace_id",
  "issued_at",
  "decision",
  "reason",
  "user_id",
  "agent_id",
  "authorization_id",
  "resource",
  "context",
  "policy_version",
  "signature",
];
const OPTIONAL = ["scope", "event", "policy_eval"];
const STRINGS = ["receipt_id", "workspace_id", "issued_at", "decision", "reason", "user_id", "agent_id", "policy_version"];
const SIGNATURE = ["alg", "key_id", "value"];
const AHEAD_NS = 5n * 60n * 1000000000n;
const DECISIONS_ON_SCOPE = ["allow", "deny", "confirm", "escalate"];
const DECISIONS_ON_EVENT = {
  "authorization.create": ["authorization_granted"],
  "authorization.revoke": ["authorization_revoked"],
  "escalation.resolve": ["escalation_approved", "escalation_rejected"],
};

const isText = (value) => typeof value === "string";
const isTextOrNull = (value) => value === null || isText(value);
const isObject = (value) => value instanceof Map;

/** `{workspace, keys: [{id, publicKey, from, until}]}` with times in nanoseconds, or null for a document of another shape. */
export function parseKeyDocument(text) {
  let document;
  try {
    document = parse(text);
  } catch {
    return null;
  }
  const entries = isObject(document) ? document.get("keys") : null;
  if (!Array.isArray(entries) || !isText(document.get("workspace_id"))) return null;
  const keys = [];
  for (const entry of entries) {
    if (!isObject(entry) || !isText(entry.get("alg"))) return null;
    if (entry.get("alg") !== "Ed25519") continue;
    const key = keyOf(entry);
    if (key === null) return null;
    keys.push(key);
  }
  return { workspace: document.get("workspace_id"), keys };
}

function keyOf(entry) {
  const [id, encoded, activeFrom, activeUntil] = ["key_id", "public_key", "active_from", "active_until"].map((name) => entry.get(name));
  if (!isText(id) || !isText(encoded) || !isText(activeFrom) || !isTextOrNull(activeUntil)) return null;
  const [publicKey, from] = [base64url(encoded), instant(activeFrom)];
  const until = activeUntil === null ? null : instant(activeUntil);
  if (publicKey?.length !== 32 || from === null || (activeUntil !== null && until === null)) return null;
  return { id, publicKey, from, until };
}

/** The bytes that are signed, or null if there is a defect in them. */
export function signedBytes(receipt) {
  const text = canonical(new Map([...receipt].filter(([name]) => name !== "signature")));
  return text === null ? null : utf8(text);
}

/**
 * The code of the first check that a receipt fails, or null. `keys` are those of `parseKeyDocument`, `workspace` is an id or null,
 * `now` is in nanoseconds; `signed` may be given by who has made them already.
 */
export function faultOf(receipt, keys, workspace, now, signed) {
  const shape = faultOfShape(receipt, workspace);
  if (shape !== null) return shape;
  const signature = receipt.get("signature");
  const value = base64url(signature.get("value"));
  if (value?.length !== 64) return "malformed_signature";
  const evaluation = receipt.get("policy_eval");
  if (evaluation && !(evaluation.size === 2 && evaluation.has("matched_condition") && evaluation.has("field_value"))) {
    return "malformed_policy_eval";
  }
  if (receipt.has("scope") === receipt.has("event")) return "scope_or_event";
  if (!(receipt.has("scope") ? isPairedWithScope(receipt) : isPairedWithEvent(receipt))) return "pairing";
  if (signature.get("alg") !== "Ed25519") return "unsupported_alg";
  const issuedAt = instant(receipt.get("issued_at"));
  if (issuedAt === null) return "malformed_issued_at";
  if (issuedAt > now + AHEAD_NS) return "issued_in_future";
  const message = signed ?? signedBytes(receipt);
  if (message === null) return "not_canonical";
  const known = keys.filter((key) => key.id === signature.get("key_id"));
  if (known.length === 0) return "unknown_key";
  const active = known.find((key) => key.from <= issuedAt && (key.until === null || issuedAt < key.until));
  if (active === undefined) return "inactive_key";
  return isSignature(active.publicKey, value, message) ? null : "bad_signature";
}

/** Checks 1 to 5. */
function faultOfShape(receipt, workspace) {
  if (!isObject(receipt) || receipt.get("version") !== "1.0") return "unsupported_version";
  if (workspace !== null && receipt.get("workspace_id") !== workspace) return "wrong_workspace";
  if ([...receipt.keys()].some((name) => !REQUIRED.includes(name) && !OPTIONAL.includes(name))) return "unknown_field";
  if (!REQUIRED.every((name) => receipt.has(name))) return "missing_field";
  const is = (name, fits) => !receipt.has(name) || fits(receipt.get(name));
  const signature = receipt.get("signature");
  const typed =
    STRINGS.every((name) => is(name, isText)) &&
    ["authorization_id", "resource"].every((name) => is(name, isTextOrNull)) &&
    ["scope", "event"].every((name) => is(name, isText)) &&
    ["context", "policy_eval", "signature"].every((name) => is(name, isObject)) &&
    SIGNATURE.every((name) => isText(signature.get(name)));
  if (!typed) return "wrong_type";
  return signature.size === SIGNATURE.length ? null : "unknown_field";
}

function isPairedWithScope(receipt) {
  const [decision, isUnmatched] = [receipt.get("decision"), receipt.get("reason") === "authorization_not_found"];
  return (
    DECISIONS_ON_SCOPE.includes(decision) &&
    (receipt.get("authorization_id") === null) === isUnmatched &&
    (!isUnmatched || decision === "deny")
  );
}

function isPairedWithEvent(receipt) {
  const event = receipt.get("event");
  return (
    Object.hasOwn(DECISIONS_ON_EVENT, event) &&
    DECISIONS_ON_EVENT[event].includes(receipt.get("decision")) &&
    receipt.get("authorization_id") !== null &&
    (event === "escalation.resolve" || receipt.get("resource") === null) &&
    !receipt.has("policy_eval")
  );
}
