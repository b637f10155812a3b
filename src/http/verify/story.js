// What a record says, in words: the rows of the timeline. Plain data; nothing here is judged.

import { idText, timeText } from "./bytes.js";

const EVENTS = {
  "authorization.create": "authorization granted",
  "authorization.revoke": "authorization revoked",
  "escalation.resolve": "escalation resolved",
};

/** `{what, decision, reason, who, facts}` of a receipt that was read; `facts` are names and texts in an order. */
export function rowOfReceipt(receipt) {
  const context = receipt.get("context");
  const facts = [];
  const tell = (name, value) => value !== null && value !== undefined && facts.push([name, plain(value)]);
  tell("scope", receipt.get("scope"));
  tell("resource", receipt.get("resource"));
  tell("authorization", receipt.get("authorization_id"));
  for (const [name, value] of context) if (!["budget", "escalation"].includes(name) || !(value instanceof Map)) tell(name, value);
  tellMembers(tell, context.get("escalation"), "escalation");
  tellBudget(tell, context.get("budget"));
  const condition = receipt.get("policy_eval")?.get("matched_condition");
  tell("condition", condition);
  if (condition) tell("value found", receipt.get("policy_eval").get("field_value"));
  tell("receipt", receipt.get("receipt_id"));
  return {
    time: receipt.get("issued_at"),
    what: receipt.has("scope") ? "check" : EVENTS[receipt.get("event")],
    decision: receipt.get("decision"),
    reason: receipt.get("reason"),
    who: `agent ${receipt.get("agent_id")} for user ${receipt.get("user_id")}`,
    facts,
  };
}

/** The same of a record that has no receipt. */
export function rowOfRecord(record, event) {
  const facts = Object.entries(event.said).filter(([, value]) => value !== null);
  if (event.signingKey !== null) facts.push(["signing key", idText("key_", event.signingKey.id)], ["active from", timeText(event.signingKey.activeFrom)]);
  if (event.authorization !== null) facts.push(["authorization", idText("auth_", event.authorization)]);
  return { time: timeText(record.time), what: event.what, decision: null, reason: null, who: null, facts };
}

function tellMembers(tell, object, name) {
  if (!(object instanceof Map)) return;
  for (const [member, value] of object) tell(`${name} ${member}`, value);
}

function tellBudget(tell, budget) {
  if (!(budget instanceof Map)) return;
  tell("estimated cost", dollars(budget.get("estimated_cost_micros")));
  tell("budget spent", `${dollars(budget.get("spent_after_micros"))} of ${dollars(budget.get("limit_micros"))}`);
}

/** Micro-USD as dollars. */
function dollars(micros) {
  if (!Number.isSafeInteger(micros)) return plain(micros);
  const [sign, digits] = [micros < 0 ? "-" : "", String(Math.abs(micros)).padStart(7, "0")];
  const cents = digits.slice(-6).replace(/0{0,4}$/, "");
  return `${sign}${digits.slice(0, -6)}.${cents} USD`;
}

/** A value of JSON as a text for people. */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain).join(", ");
  if (value instanceof Map) return [...value].map(([name, member]) => `${name}: ${plain(member)}`).join("; ");
  return String(value);
}
