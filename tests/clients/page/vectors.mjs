// Holds the page's verifier against the published vectors: receipts, and bundles of evidence. Each has its code from a reference
// in Python that knows nothing of this one. Fails where there are none.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { rowOfReceipt } from "../../../src/http/verify/story.js";
import { decodeEvent, parse, parseCheckpoint, unwrapped, verifyBlob, verifyBundle, verifyProof, verifyReceipt } from "../../../src/http/verify/verifier.js";

const VECTORS = new URL("../../../proto/tests/vectors/", import.meta.url);
const text = (path) => readFileSync(new URL(path, VECTORS), "utf8");
const list = (directory) => readdirSync(new URL(directory, VECTORS)).filter((file) => file.endsWith(".json"));

test("every receipt gets its code", () => {
  const keys = text("keys.json");
  const wrong = [];
  const counts = { "valid/": 0, "invalid/": 0 };
  for (const directory of ["valid/", "invalid/"]) {
    for (const file of list(directory)) {
      const { receipt_text: receipt, workspace, now, expected } = JSON.parse(text(directory + file));
      const found = verifyReceipt(receipt, keys, { workspace, now }).fault?.code ?? "valid";
      counts[directory] += 1;
      if (found !== expected) wrong.push(`${directory}${file}: expected ${expected}, found ${found}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(counts["valid/"] >= 20 && counts["invalid/"] >= 100, JSON.stringify(counts));
});

test("a receipt is taken out of what the API answers around it", () => {
  const { receipt_text: receipt, now } = JSON.parse(text("valid/check_allow.json"));
  const faultOf = (value) => verifyReceipt(value, text("keys.json"), { now }).fault?.code ?? "valid";
  const envelope = parse(`{"status":"signed","receipt":${receipt}}`);
  assert.equal(faultOf(unwrapped(envelope)), "valid");
  assert.equal(faultOf(unwrapped(parse(receipt))), "valid");
  assert.equal(faultOf(envelope), "unsupported_version");
  assert.equal(faultOf(unwrapped(parse(`{"status":"pending","receipt":${receipt}}`))), "unsupported_version");
});

test("every bundle gets its code and its index", async () => {
  const wrong = [];
  const counts = { valid: 0, invalid: 0 };
  for (const file of list("evidence/")) {
    const { trust, witnesses, quorum, verdict } = JSON.parse(text(`evidence/${file}`));
    const bytes = readFileSync(new URL(`evidence/${file.replace(/json$/, "jsonl")}`, VECTORS));
    const options = { trust, witnesses, quorum };
    const results = [verifyBundle(new Uint8Array(bytes), options), await verifyBlob(new Blob([bytes]), options)];
    counts[verdict === null ? "valid" : "invalid"] += 1;
    const expected = verdict && { code: verdict.code, index: verdict.index };
    for (const { fault } of results) {
      const found = fault && { code: fault.code, index: fault.index };
      if (JSON.stringify(found) !== JSON.stringify(expected)) wrong.push(`${file}: expected ${JSON.stringify(expected)}, found ${JSON.stringify(found)}`);
      if (fault !== null && (!fault.sentence.includes(" ") || fault.sentence.includes(fault.code))) wrong.push(`${file}: no sentence for people: ${fault.sentence}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(counts.valid >= 20 && counts.invalid >= 100, JSON.stringify(counts));
});

test("a story shows, and counts, its own records alone", () => {
  let [own, refused] = [0, 0];
  for (const file of list("evidence/")) {
    const { trust, witnesses, quorum, verdict } = JSON.parse(text(`evidence/${file}`));
    const bytes = new Uint8Array(readFileSync(new URL(`evidence/${file.replace(/json$/, "jsonl")}`, VECTORS)));
    const { fault, head, rows, whole, hidden, checked } = verifyBundle(bytes, { trust, witnesses, quorum });
    if (head === null || head.authorization === null) continue;
    if (verdict === null) own += whole;
    else if (fault.code === "wrong_subject") refused += 1;
    const shown = rows.filter((row) => row.hidden === undefined);
    for (const { facts, more } of shown) assert.equal(new Map([...facts, ...more]).get("authorization"), head.authorization, file);
    assert.ok(shown.every((row) => fault === null || fault.index === null || row.index <= fault.index), file);
    assert.deepEqual([shown.length, whole + hidden], [whole, checked], file);
  }
  assert.ok(own >= 20 && refused >= 20, `${own} own records, ${refused} stories refused`);
});

test("a story begins with its grant, with the request for it, or after them", () => {
  const begins = (name) => verifyBundle(text(`evidence/${name}.jsonl`), { trust: null }).beginsWithGrant;
  assert.deepEqual(["story", "story_of_another", "story_with_nothing_hidden"].map(begins), [true, true, true]);
  assert.deepEqual(["story_after_its_grant", "story_of_nobody", "size_300_story_in_the_middle"].map(begins), [false, false, false]);
  assert.deepEqual(["story_of_a_consent", "story_of_a_consent_from_its_grant", "story_of_a_refusal"].map(begins), [true, true, true]);
  assert.equal(begins("story_of_a_consent_after_its_grant"), false);
  const delegations = ["story_of_a_delegation", "story_of_another_delegation"].map(begins);
  assert.deepEqual(delegations, [true, true]);
  const later = ["after_its_grant", "from_an_intent", "from_a_queued_payment"].map((name) => begins(`story_of_a_delegation_${name}`));
  assert.deepEqual(later, [false, false, false]);
});

test("the story of a consent tells who was asked for what, and what came of it", () => {
  const { rows } = verifyBundle(text("evidence/story_of_a_consent.jsonl"), { trust: null });
  const shown = rows.filter((row) => row.hidden === undefined);
  const whats = ["consent requested", "consent page viewed", "authorization granted", "check", "token minted"];
  assert.deepEqual(shown.slice(0, 5).map((row) => row.what), whats);
  const [asked, viewed] = shown.map(({ facts }) => new Map(facts));
  assert.deepEqual([asked.get("scopes"), asked.get("user")], ["email.send, files.delete", "user_1"]);
  assert.deepEqual([viewed.get("address"), viewed.get("browser")], ["192.0.2.7", "Mozilla/5.0"]);
  assert.match(new Map(shown[4].facts).get("token"), /^tok_[0-9A-Z]{26} until 2026-/);
  assert.equal(shown.at(-1).reason, "authorization_revoked");
});

test("the story of a delegation tells what was decided, and what was paid", () => {
  const { rows } = verifyBundle(text("evidence/story_of_a_delegation.jsonl"), { trust: null });
  const shown = rows.filter((row) => row.hidden === undefined && row.index < 30);
  assert.deepEqual(shown.map((row) => `${row.index} ${row.what}`), [
    "7 authorization granted",
    "9 payment decided",
    "10 payment intent created",
    "12 payment authorised",
    "13 payment captured",
    "16 payment decided",
    "17 escalation resolved",
    "18 payment decided",
    "19 payment decided",
    "20 confirmation resolved",
    "21 payment decided",
    "22 payment intent created",
    "23 payment refused",
    "24 payment cancelled",
    "25 offline token issued",
    "26 offline payment queued",
    "27 offline payment queued",
    "28 offline payment settled",
    "29 offline payment not settled",
  ]);
  const fact = (index, name) => new Map(shown.find((row) => row.index === index).facts).get(name);
  assert.equal(fact(9, "payment"), "1850 minor units at most 1850 minor units of USD to mer_1");
  assert.equal(fact(13, "payment"), "1800 minor units of USD to mer_1");
  assert.equal(fact(21, "payment"), "of USD");
  assert.equal(fact(25, "payment"), "at most 5000 minor units of EUR");
  assert.deepEqual([fact(10, "amount"), fact(10, "currency"), fact(26, "client ref")], ["1850", "USD", "till-7/1"]);
  assert.equal(shown.find((row) => row.index === 29).reason, "double_spend");
});

test("a check whose context looks like a decision about a payment is told as a check", () => {
  const lines = text("evidence/payments.jsonl").split("\n").slice(1, -1).map((line) => parse(line));
  const whatOf = (receipt) => rowOfReceipt(receipt).what;
  const decided = lines[9].get("receipt");
  assert.equal(whatOf(decided), "payment decided");
  const permission = decided.get("context").get("permission");
  for (const id of ["dec_00000000000000000000000000", decided.get("receipt_id"), 7, null]) {
    permission.set("decision_id", id);
    assert.equal(whatOf(decided), "check", String(id));
    assert.equal(new Map(rowOfReceipt(decided).facts).get("payment"), undefined);
  }
});

test("whoever trusts nobody is told only of what the last key has signed", () => {
  const codeOf = (name) => verifyBundle(text(`evidence/${name}.jsonl`), { trust: null }).fault?.code ?? "valid";
  assert.equal(codeOf("rotated"), "valid");
  for (const name of ["signature_by_the_retired_key", "keys_empty"]) assert.equal(codeOf(name), "untrusted_checkpoint", name);
});

test("an earlier checkpoint is of the same log or of another", () => {
  let compared = 0;
  for (const file of list("evidence/")) {
    const { trust, witnesses, quorum, verdict } = JSON.parse(text(`evidence/${file}`));
    if (verdict !== null) continue;
    const bytes = new Uint8Array(readFileSync(new URL(`evidence/${file.replace(/json$/, "jsonl")}`, VECTORS)));
    const head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, bytes.indexOf(10))));
    const { size, root } = parseCheckpoint(head.checkpoint);
    const told = (earlier) => {
      const { fault, earlier: said } = verifyBundle(bytes, { trust, witnesses, quorum, earlier });
      return fault?.code ?? said.isCompared;
    };
    assert.equal(told({ size, root }), true, file);
    assert.equal(told({ size, root: root.map((byte) => byte ^ 1) }), "another_log", file);
    assert.equal(told({ size: size + 1n, root }), false, file);
    // Only what the records and the checkpoint tell can be compared.
    for (let place = 0n; place < size && size < 20n; place++) {
      const isTold = place >= BigInt(head.first) && place <= BigInt(head.end);
      assert.equal(told({ size: place, root }), isTold ? "another_log" : false, `${file} at ${place}`);
    }
    compared += 1;
  }
  assert.ok(compared >= 20);
});

test("the published proof holds, and no other", () => {
  const [receipt, proof, keys] = ["receipt.json", "receipt.proof", "keys.json"].map((file) => text(`proof/${file}`));
  const witnesses = [text("proof/witness.vkey").trim()];
  const faultOf = (changes) => {
    const { receipt: a, proof: b, trust } = { receipt, proof, trust: null, ...changes };
    return verifyProof(a, b, keys, { trust, witnesses: changes.witnesses ?? witnesses, quorum: 1 }).fault?.code ?? "valid";
  };
  const [key] = JSON.parse(keys).keys;
  assert.equal(faultOf({}), "valid");
  assert.equal(faultOf({ trust: [key.key_id] }), "valid");
  assert.equal(faultOf({ trust: [`key_${"0".repeat(26)}`] }), "untrusted_checkpoint");
  assert.equal(faultOf({ witnesses: [] }), "too_few_witnesses");
  assert.equal(faultOf({ proof: proof.replace("index 3", "index 2") }), "bad_proof");
  assert.equal(faultOf({ proof: proof.replace("index 3", "index 03") }), "malformed_proof");
  assert.equal(faultOf({ proof: proof.replace(/extra .*\n/, "") }), "malformed_proof");
  assert.equal(faultOf({ proof: proof.replace(/\n5\n/, "\n6\n") }), "untrusted_checkpoint");
  assert.equal(faultOf({ receipt: receipt.replace("agent_1", "agent_2") }), "bad_proof");
  assert.equal(faultOf({ receipt: receipt.replace(/"ws_[0-9A-Z]*"/, '"ws_00000000000000000000000000"') }), "wrong_origin");
  assert.equal(verifyReceipt(receipt, keys, { now: "2026-11-23T12:00:00.001Z", trust: [key.key_id] }).fault, null);
});

test("every frozen event is decoded, and nothing shorter or longer", () => {
  const golden = new URL("../golden/", VECTORS);
  const files = readdirSync(golden).filter((file) => file.endsWith(".hex") && file !== "frame.hex");
  for (const file of files) {
    const record = Buffer.from(readFileSync(new URL(file, golden), "utf8").replace(/\s/g, ""), "hex");
    const body = Uint8Array.from(record.subarray(113));
    decodeEvent(body);
    assert.throws(() => decodeEvent(body.subarray(0, -1)), file);
    assert.throws(() => decodeEvent(Uint8Array.from([...body, 0])), file);
  }
  assert.ok(files.length >= 25, `${files.length}`);
});

test("agents keep their bounds", () => {
  const record = (name) => readFileSync(new URL(`../golden/${name}.hex`, VECTORS), "utf8").replace(/\s/g, "").slice(226);
  const decode = (digits) => decodeEvent(Uint8Array.from(Buffer.from(digits, "hex")));
  const created = record("consent_agent_created");
  // The sign of the public key, then a life of 31536000 seconds.
  decode(created.replace("03e7e7", "02e7e7"));
  for (const sign of ["00", "01", "04"]) assert.throws(() => decode(created.replace("03e7e7", `${sign}e7e7`)), sign);
  for (const life of ["00", "fc8133e101"]) assert.throws(() => decode(created.replace("fc8033e101", life)), life);
  const rotated = record("consent_agent_secret_rotated");
  decode(rotated.replace("fb2c01", "01"));
  assert.throws(() => decode(rotated.replace("fb2c01", "00")));
});

test("payments keep their bounds", () => {
  const body = (name) => readFileSync(new URL(`../golden/${name}.hex`, VECTORS), "utf8").replace(/\s/g, "").slice(226);
  const decode = (digits) => decodeEvent(Uint8Array.from(Buffer.from(digits, "hex")));
  // By the fixture: what stands there once, what may stand there too, and what may not.
  for (const [name, from, taken, refused] of [
    // 2^53 - 1; 1, -1, 0 and 2^53.
    ["payment_intent_created", "fdfeffffffffff3f00", ["02", "fb0200"], ["00", "01", "03", "fd0000000000004000"]],
    ["payment_intent_created", "4b5744", ["5a5a5a"], ["6b7764", "4b5764", "4b5731", "4b5700", "4b57c3"]],
    // The shortest period: 366 days, a second more, none.
    ["delegation_granted_closed", "010201", ["0102fc0085e201"], ["0102fc0185e201", "010200", "0102fdffffffffffffffff"]],
    ["delegation_granted", "01fa01", ["010201"], ["010001"]],
    // Whether a device must be trusted, and what becomes of more.
    ["delegation_granted", "fc007102000101", ["fc007102000000"], ["fc007102000102", "fc007102000201"]],
    // The kind of an agent, its status; codes; what came of a payment, and why it was refused.
    ["agent_registered", "e2988200", ["e2988203"], ["e2988204"]],
    ["agent_revoked", "510200", ["510000"], ["510300"]],
    ["offline_token_issued", "021415", ["02001a"], ["02001b"]],
    ["offline_payment_settled", "4555520300", ["4555520000"], ["4555520400", "4555520301"]],
    ["payment_refused_limit_exceeded", "55534400060f", ["555344000013"], ["55534400070f", "55534400061b"]],
    ["payment_allowed", "066f6e6c696e65", ["0178", `20${"78".repeat(32)}`], ["00", `21${"78".repeat(33)}`]],
    ["offline_payment_queued", "0974696c6c2d372f3431", [`80${"78".repeat(128)}`], ["00", `81${"78".repeat(129)}`]],
    // What callers say is canonical.
    ["device_attested", "7b22", [], ["7b20"]],
    ["workspace_described", "7b22", [], ["7b20"]],
  ]) {
    const digits = body(name);
    const places = [...digits.matchAll(new RegExp(from, "g"))].map((match) => match.index).filter((place) => place % 2 === 0);
    assert.equal(places.length, 1, `${name}: ${from}`);
    const having = (to) => digits.slice(0, places[0]) + to + digits.slice(places[0] + from.length);
    for (const to of taken) decode(having(to));
    for (const to of refused) assert.throws(() => decode(having(to)), undefined, `${name}: ${to}`);
  }
});

test("amounts of money keep their bounds", () => {
  const record = readFileSync(new URL("../golden/check_allow.hex", VECTORS), "utf8").replace(/\s/g, "").slice(226);
  const bytesOf = (digits) => Uint8Array.from(Buffer.from(digits, "hex"));
  // The estimated cost, then the limit of the budget: 2^53 - 1 each.
  const largest = "fdfeffffffffff3f00";
  const places = [record.indexOf(largest), record.lastIndexOf(largest)];
  assert.ok(places[0] >= 0 && places[0] < places[1]);
  for (const place of places) {
    const withAmount = (digits) => bytesOf(record.slice(0, place) + digits + record.slice(place + largest.length));
    decodeEvent(withAmount(largest));
    decodeEvent(withAmount("00"));
    assert.throws(() => decodeEvent(withAmount("fd0000000000004000")), "2^53");
    assert.throws(() => decodeEvent(withAmount("01")), "-1");
  }
});
