// What a record says, in words: the rows of the timeline. Plain data; nothing here is judged.

import { timeText } from "./bytes.js";
import { decodeEvent } from "./events.js";

const EVENTS = {
  "authorization.create": "authorization granted",
  "authorization.revoke": "authorization revoked",
  "escalation.resolve": "escalation resolved",
};
/** Scopes that nobody can grant or check: receipts of them are the server's own. */
const PAYMENTS = {
  "payment_intent.authorise": { allow: "payment authorised", deny: "payment refused" },
  "payment_intent.capture": { allow: "payment captured" },
  "payment_intent.cancel": { allow: "payment cancelled" },
  "offline_token.issue": { allow: "offline token issued" },
  "offline_token.settle": { allow: "offline payment settled", deny: "offline payment not settled" },
};

/**
 * `{time, what, decision, reason, facts, more}` of a receipt that was verified; `facts` are names and texts in an order, `more` those that
 * matter less.
 */
export function rowOfReceipt(receipt) {
  const [facts, more] = [[], []];
  const tell = (list, name, value) => value !== null && value !== undefined && list.push([name, plain(value)]);
  tell(facts, "agent", receipt.get("agent_id"));
  tell(facts, "user", receipt.get("user_id"));
  tell(facts, "scope", receipt.get("scope"));
  tell(facts, "resource", receipt.get("resource"));
  const condition = receipt.get("policy_eval")?.get("matched_condition");
  tell(facts, "condition", condition);
  if (condition) tell(facts, "value found", receipt.get("policy_eval").get("field_value"));
  // Callers name members of the context as they like: none of them may be taken for one of the receipt's own.
  for (const [name, value] of receipt.get("context")) {
    const isBudget = name === "budget";
    tell(isBudget ? facts : more, `context.${name}`, isBudget ? budget(value) : value);
  }
  tell(facts, "payment", paymentOf(receipt));
  tell(more, "authorization", receipt.get("authorization_id"));
  tell(more, "receipt", receipt.get("receipt_id"));
  return {
    time: receipt.get("issued_at"),
    what: whatOf(receipt),
    decision: receipt.get("decision"),
    reason: receipt.get("reason"),
    facts,
    more,
  };
}

/** The same of a record that has no receipt. */
export function rowOfRecord(record, what) {
  const row = { time: timeText(record.time), what, decision: null, reason: null, facts: [], more: [] };
  let event;
  try {
    event = decodeEvent(record.body);
  } catch {
    return row;
  }
  for (const [name, value] of Object.entries(event)) if (TOLD.has(typeof value)) row.facts.push([name, String(value)]);
  if (event.answer?.approved !== undefined) row.facts.push(["answer", `approved until ${event.answer["expires at"]}`]);
  // What people are asked for, and what an answer or a token is about.
  const scopes = event.scopes?.map((scope) => scope.key ?? scope);
  if (scopes !== undefined) row.facts.push(["scopes", scopes.join(", ")]);
  if (event.token !== undefined) row.facts.push(["token", `${event.token.token} until ${event.token["expires at"]}`]);
  for (const [name, value] of Object.entries(event.visitor ?? {})) if (value !== null) row.facts.push([name, value]);
  if (event.terms?.name !== undefined) row.facts.push(["name", event.terms.name]);
  return row;
}

function whatOf(receipt) {
  if (receipt.has("event")) return EVENTS[receipt.get("event")];
  const payment = PAYMENTS[receipt.get("scope")];
  if (payment !== undefined) return payment[receipt.get("decision")] ?? "payment";
  return permissionOf(receipt) === null ? "check" : "payment decided";
}

/** What a decision about a payment permits. A check may have a context that looks like one, but its id nobody knew before. */
function permissionOf(receipt) {
  const permission = receipt.get("context").get("permission");
  const id = permission instanceof Map ? permission.get("decision_id") : null;
  return typeof id === "string" && id.startsWith("dec_") && `rcp_${id.slice(4)}` === receipt.get("receipt_id") ? permission : null;
}

/** What is paid, in minor units as they stand in the receipt; null where a receipt says nothing of it. */
function paymentOf(receipt) {
  const context = receipt.get("context");
  const permission = permissionOf(receipt);
  if (permission === null && PAYMENTS[receipt.get("scope")] === undefined) return null;
  const said = permission === null ? context : context.get("payment_intent");
  if (!(said instanceof Map)) return null;
  const most = permission === null ? said.get("max_amount") : permission.get("max_amount");
  const amount = said.get("amount");
  const parts = [Number.isSafeInteger(amount) ? `${amount} minor units` : null, Number.isSafeInteger(most) ? `at most ${most} minor units` : null];
  parts.push(said.has("currency") ? `of ${said.get("currency")}` : null, said.has("merchant_id") ? `to ${said.get("merchant_id")}` : null);
  return parts.filter((part) => part !== null).join(" ") || null;
}

const TOLD = new Set(["string", "bigint"]);

/** The counters of a check as a sentence. */
function budget(value) {
  const [limit, spent, cost] = ["limit_micros", "spent_after_micros", "estimated_cost_micros"].map((name) => (value instanceof Map ? value.get(name) : null));
  if (![limit, spent, cost].every(Number.isSafeInteger)) return value;
  return `${dollars(spent)} of ${dollars(limit)} spent after this check, whose estimated cost was ${dollars(cost)}`;
}

/** Micro-USD as dollars. */
function dollars(micros) {
  const [sign, digits] = [micros < 0 ? "-" : "", String(Math.abs(micros)).padStart(7, "0")];
  return `${sign}${digits.slice(0, -6)}.${digits.slice(-6).replace(/0{0,4}$/, "")} USD`;
}

/** A value of JSON as a text for people. */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain).join(", ");
  if (value instanceof Map) return [...value].map(([name, member]) => `${name}: ${plain(member)}`).join("; ");
  return String(value);
}
