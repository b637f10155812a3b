// Verifies beside the page, so that it stays alive. Asked `{job, files, options}` it answers `{job, read, size}` while it reads and
// `{job, verdict, total, used}` at the end: how many rows the timeline has, and which of the files counted. Asked `{job, from, to}` it answers with
// these rows.

import { parse, parseCheckpoint, rowsOf, unwrapped, verifyBlob, verifyProof, verifyReceipt } from "./verifier.js";
import { verdictOfBundle, verdictOfReceipt, waitingFor } from "./verdict.js";

const SINGLE_BYTES_MAX = 4 * 1024 * 1024;
const PROGRESS_BYTES = 512 * 1024;
const OF_A_BUNDLE = ["bundle", "checkpoint"];

let current = 0;
let story = { rows: async () => [], total: 0 };

self.addEventListener("message", async ({ data }) => {
  const { job, files, options, from, to } = data;
  if (files === undefined) {
    if (job === current) self.postMessage({ job, rows: await story.rows(from, to) });
    return;
  }
  current = job;
  const { verdict, used } = await judge(job, files, options);
  if (job === current) self.postMessage({ job, verdict, total: story.total, used });
});

async function judge(job, files, options) {
  story = { rows: async () => [], total: 0 };
  let found = {};
  try {
    for (const file of files) {
      const [kind, content] = await kindOf(file);
      // The last of each kind counts, and a bundle and a receipt do not go together.
      const kept = Object.entries(found).filter(([other]) => (OF_A_BUNDLE.includes(other) === OF_A_BUNDLE.includes(kind)));
      found = { ...Object.fromEntries(kept), [kind]: { file, content } };
    }
    const contents = Object.fromEntries(Object.entries(found).map(([kind, { content }]) => [kind, content]));
    const isBundle = OF_A_BUNDLE.some((kind) => found[kind] !== undefined);
    const verdict = isBundle ? await judgeBundle(job, contents, options) : judgeReceipt(contents, options);
    return { verdict, used: Object.values(found).map(({ file }) => files.indexOf(file)) };
  } catch (error) {
    return { verdict: waitingFor(`The file could not be read: ${error.message}`), used: [] };
  }
}

/** What a file is, by its content, and what the verifier takes of it. What is nothing else is taken for a bundle. */
async function kindOf(file) {
  if (file.size > SINGLE_BYTES_MAX) return ["bundle", file];
  const bytes = await file.arrayBuffer();
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    if (text.startsWith("c2sp.org/tlog-proof@")) return ["proof", text];
    const checkpoint = parseCheckpoint(text);
    if (checkpoint !== null) return ["checkpoint", checkpoint];
    const value = unwrapped(parse(text));
    if (value.has("signature")) return ["receipt", value];
    return value.has("keys") && !value.has("format") ? ["keys", text] : ["bundle", file];
  } catch {
    return ["bundle", file];
  }
}

async function judgeBundle(job, { bundle: file, checkpoint: earlier = null }, options) {
  if (file === undefined) return waitingFor("Choose the bundle too; this is a checkpoint that was kept earlier.");
  let told = 0;
  const result = await verifyBlob(file, { ...options, earlier }, (read) => {
    if (read - told >= PROGRESS_BYTES) {
      told = read;
      self.postMessage({ job, read, size: file.size });
    }
    return job === current;
  });
  if (result === null) return null;
  if (earlier !== null && result.head !== null && earlier.origin !== `allowlog/${result.head.workspace}`) {
    return waitingFor("The earlier checkpoint is one of another workspace.");
  }
  story = { rows: (from, to) => rowsOf(file, result.places.slice(from, to)), total: result.places.length };
  return verdictOfBundle(result, options.workspace);
}

function judgeReceipt({ receipt, keys, proof }, { trust, witnesses, quorum, workspace }) {
  if (receipt === undefined) return waitingFor("Choose the receipt too.");
  if (keys === undefined) return waitingFor("Choose the workspace's key document too: GET /v1/workspaces/{id}/keys, best by another way than the receipt came.");
  const now = BigInt(Date.now()) * 1000000n;
  const result = verifyReceipt(receipt, keys, { workspace, now, trust });
  const proved = proof === undefined ? null : verifyProof(receipt, proof, keys, { trust, witnesses, quorum });
  if (result.row !== null) story = { rows: async () => [result.row], total: 1 };
  return verdictOfReceipt(result, proved, trust !== null);
}
