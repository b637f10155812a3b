// What a record says, in words: the rows of the timeline. Plain data; nothing here is judged.

import { timeText } from "./bytes.js";
import { decodeEvent } from "./events.js";

const EVENTS = {
  "authorization.create": "authorization granted",
  "authorization.revoke": "authorization revoked",
  "escalation.resolve": "escalation resolved",
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
  tell(more, "authorization", receipt.get("authorization_id"));
  tell(more, "receipt", receipt.get("receipt_id"));
  return {
    time: receipt.get("issued_at"),
    what: receipt.has("scope") ? "check" : EVENTS[receipt.get("event")],
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
