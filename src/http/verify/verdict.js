// The verdict in words: `{state, title, sentence, details}`. `state` is `genuine`, `unvouched` (of one piece, but no key was trusted),
// `refused` or `waiting` (something is missing); `details` are names and texts in an order.

const UNVOUCHED = "Of one piece, but nobody vouched for it";

/** Of what `verifyBlob` gives of a bundle; `workspace` is the one it must be of, or null. */
export function verdictOfBundle(result, workspace) {
  const details = detailsOf(result);
  if (result.fault !== null) return refused("evidence", result.fault, details);
  if (workspace !== null && result.head.workspace !== workspace) {
    return refused("evidence", { code: "wrong_workspace", sentence: "it belongs to another workspace" }, details);
  }
  const { head, hidden, whole, receipts, signer, isVouchedFor, beginsWithGrant, reachesEnd } = result;
  const isStory = head.authorization !== null;
  const counted = `${records(whole)} with ${count(receipts, "receipt")}${hidden > 0 ? `, and ${hidden} of other matters that stay hidden` : ""}`;
  const range = `Nothing${isStory ? " of this authorization's story" : ""} was removed, added, reordered or altered from record ${head.first} to record ${head.end - 1}: ${counted}.`;
  const limits = [isStory && !beginsWithGrant && "begins after the grant", !reachesEnd && "ends before the checkpoint does"].filter(Boolean);
  const proved = `${head.first === head.end ? "The bundle holds no record." : range}${limits.length > 0 ? ` It ${limits.join(" and ")}.` : ""}`;
  if (isVouchedFor) return { state: "genuine", title: "Genuine", sentence: proved, details };
  return { state: "unvouched", title: UNVOUCHED, sentence: `${unvouched(signer)} ${proved}`, details };
}

const unvouched = (keyId) =>
  `You named no trusted fingerprint, so this was verified with a key that the file itself names, ${keyId}: anybody can make such a file. ` +
  "Ask the workspace's owner for its fingerprint by another way, and enter it above.";

function detailsOf({ head, hidden, whole, receipts, checked, signer, cosigned, witnesses, beginsWithGrant, reachesEnd, earlier, fault }) {
  if (head === null) return [];
  const details = [["Workspace", head.workspace]];
  if (head.authorization !== null) details.push(["Authorization", head.authorization]);
  details.push(["Records", `from ${head.first} up to and without ${head.end}, of ${head.size} under the checkpoint`]);
  if (fault !== null) details.push(["Read before the fault", records(checked)]);
  details.push(["Shown", `${records(whole)}, ${count(receipts, "receipt")}`], ["Hidden", records(hidden)], ["Checkpoint signed by", signer]);
  details.push(["Cosigned by", cosigners(cosigned, witnesses)]);
  if (fault !== null) return details;
  if (head.authorization !== null) details.push(["Begins with its grant, or with the request for it", beginsWithGrant ? "yes" : "no: earlier records of it may not be in this file"]);
  details.push(["Reaches the end of the checkpoint", reachesEnd ? "yes" : "no: later records are not in this file"]);
  if (earlier !== null) {
    const compared = "this is the same log, of which nothing was taken back";
    const outside = "not compared: its size lies outside of these records";
    details.push([`Earlier checkpoint, of ${earlier.size} records`, earlier.isCompared ? compared : outside]);
  }
  return details;
}

function cosigners(cosigned, named) {
  return named === 0 ? "not looked at: you named no witness" : cosigned.map(witnessed).join(", ") || "none of the witnesses that you named";
}

const witnessed = ({ name, seconds }) => {
  const time = new Date(Number(seconds) * 1000);
  return `${name} at ${Number.isNaN(time.getTime()) ? `second ${seconds}` : time.toISOString()}`;
};

/** Of what `verifyReceipt` gives, and `verifyProof` if there is a proof, else null. */
export function verdictOfReceipt(result, proof, isVouchedFor) {
  if (result.fault !== null) return refused("receipt", result.fault, []);
  const details = [["Signed by", result.keyId]];
  if (proof?.fault) return refused("proof", proof.fault, details);
  const place = proof === null ? "" : ` It is record ${proof.index} in the log of its workspace.`;
  if (proof !== null) {
    details.push(["Place in the log", `record ${proof.index} of ${proof.size} under the checkpoint`], ["Checkpoint signed by", proof.signer]);
    details.push(["Cosigned by", cosigners(proof.cosigned, proof.witnesses)]);
  }
  const sentence = `This receipt was signed by the key ${result.keyId} and was not altered.${place}`;
  if (isVouchedFor) return { state: "genuine", title: "Genuine", sentence, details };
  const from = "You named no trusted fingerprint, so this holds only if the key document is the workspace's: anybody can make one.";
  return { state: "unvouched", title: UNVOUCHED, sentence: `${from} ${sentence}`, details };
}

/** Of files that are not enough. */
export const waitingFor = (sentence) => ({ state: "waiting", title: "Something is missing", sentence, details: [] });

function refused(what, { code, sentence }, details) {
  return { state: "refused", title: "Not genuine", sentence: `This ${what} does not hold: ${sentence}.`, details: [...details, ["Code", code]] };
}

const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
const records = (number) => count(number, "record");
