// What each code means, for people.

const OF_A_RECEIPT = {
  unreadable: "the text is not JSON",
  unsupported_version: "it is no receipt of version 1.0",
  wrong_workspace: "it belongs to another workspace",
  unknown_field: "it has a member that receipts do not have",
  missing_field: "a member is missing",
  wrong_type: "a member is of the wrong type",
  malformed_signature: "its signature is not written as 64 bytes",
  malformed_policy_eval: "its policy_eval has other members than it must",
  scope_or_event: "it must have either a scope or an event",
  pairing: "its decision does not go with its scope or event",
  unsupported_alg: "its signature is not of Ed25519",
  malformed_issued_at: "the time at which it was issued cannot be read",
  issued_in_future: "it was issued in the future",
  not_canonical: "it holds a value that cannot be signed",
  unknown_key: "the key that it names is not known",
  inactive_key: "its key was not active when it was issued",
  bad_signature: "its signature is wrong: it was altered, or another key signed it",
};

const OF_A_BUNDLE = {
  malformed_bundle: "the head cannot be read as that of a bundle of evidence",
  untrusted_checkpoint: "the latest signing key has not signed the checkpoint, or is not trusted",
  bad_key_proof: "a signing key is not in the tree at the place that is claimed",
  too_few_witnesses: "fewer witnesses than were asked for have cosigned the checkpoint",
  another_log: "this is not the log of the earlier checkpoint: its history was rewritten, or it is another one",
  wrong_root: "the records do not make the tree that was signed: something was removed, added, reordered or altered",
};

const OF_A_RECORD = {
  missing_records: "the record is missing",
  malformed_record: "the record cannot be read",
  wrong_index: "another record stands in this one's place",
  wrong_hash: "the record was altered: its bytes do not make its hash",
  broken_link: "the record that follows carries another hash than this one's",
  time_goes_back: "the record is older than the one before it",
  wrong_subject: "the record is passed off as being of another authorization than it is",
  unlisted_key: "the record activates a signing key that the head leaves out",
  missing_receipt: "its receipt is missing",
  wrong_receipt: "the receipt is not the one that the record was made with: it was altered, or belongs to another record",
  extra_records: "more records are there than the bundle claims to hold",
};

const OF_A_PROOF = {
  malformed_keys: "the key document cannot be read",
  untrusted_key: "the key that signed it has none of the fingerprints that you trust",
  forged_key: "the key document gives a key another fingerprint than it has",
  malformed_proof: "the proof cannot be read",
  wrong_origin: "the checkpoint is of another workspace",
  bad_proof: "the receipt is not in the tree at the place that is claimed",
};

/** The sentence of a code: `code` of `FORMAT.md`, `index` of the record it was found at or null. */
export function sentenceOf(code, index = null) {
  if (index === null) return `${OF_A_BUNDLE[code] ?? OF_A_PROOF[code] ?? OF_A_RECEIPT[code] ?? code}`;
  const text = OF_A_RECORD[code] ?? (Object.hasOwn(OF_A_RECEIPT, code) ? `its receipt does not hold: ${OF_A_RECEIPT[code]}` : code);
  return `at record ${index}, ${text}`;
}
