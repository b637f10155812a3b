// Holds the page's verifier against the published vectors: receipts, and bundles of evidence. Each has its code from a reference
// in Python that knows nothing of this one. Fails where there are none.

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { parse, unwrapped, verifyBlob, verifyBundle, verifyReceipt } from "../../../src/http/verify/verifier.js";

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
      if (fault !== null && !/^[a-z0-9 :,;_'-]{20,}$/i.test(fault.sentence)) wrong.push(`${file}: no sentence for people: ${fault.sentence}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(counts.valid >= 20 && counts.invalid >= 100, JSON.stringify(counts));
});
