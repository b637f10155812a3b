//! Every limit of the wire contracts in one place, with the relations between them asserted when it is compiled.

/// Largest and (negated) smallest integer that JSON readers of every kind keep exact: 2^53 - 1.
pub const SAFE_INTEGER_MAX: i64 = 9_007_199_254_740_991;

/// Request body, except where metadata may come with it.
pub const BODY_BYTES_MAX: usize = 64 * 1024;
/// Request body of calls that carry metadata.
pub const BODY_METADATA_BYTES_MAX: usize = 256 * 1024;
/// Request body of a batch of checks: some 1 KiB for each of as many as there may be.
pub const BODY_BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Deepest nesting of a JSON text; a deeper one is refused as malformed, so that no reader recurses further.
pub const JSON_DEPTH_MAX: usize = 128;

/// `user_id`, in bytes of UTF-8, as every length here.
pub const USER_ID_BYTES_MAX: usize = 256;
/// `agent_id`.
pub const AGENT_ID_BYTES_MAX: usize = 256;
/// Name of a scope.
pub const SCOPE_NAME_BYTES_MAX: usize = 128;
/// `resource` of a check.
pub const RESOURCE_BYTES_MAX: usize = 512;
/// `session_id` of a check.
pub const SESSION_ID_BYTES_MAX: usize = 256;
/// Who resolved an escalation, and to whom it goes.
pub const APPROVER_BYTES_MAX: usize = 128;
/// Who revoked an authorization.
pub const LABEL_BYTES_MAX: usize = 128;
/// Free text with a revoke or a resolution.
pub const NOTE_BYTES_MAX: usize = 512;
/// `resource_pattern`.
pub const PATTERN_BYTES_MAX: usize = 256;
/// Name of a workspace or of an API key.
pub const NAME_BYTES_MAX: usize = 128;
/// A bundle's id, which is the caller's own.
pub const BUNDLE_ID_BYTES_MAX: usize = 128;
/// `Idempotency-Key`, in visible ASCII characters.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;
/// `field` of a condition.
pub const CONDITION_FIELD_BYTES_MAX: usize = 128;
/// A string in the value of a condition.
pub const CONDITION_TEXT_BYTES_MAX: usize = 256;
/// An id as a caller writes it: opaque, only its size is bounded.
pub const OPAQUE_ID_BYTES_MAX: usize = 256;

/// An email address.
pub const EMAIL_BYTES_MAX: usize = 320;
/// What a person reads as the name of a scope.
pub const SCOPE_LABEL_BYTES_MAX: usize = 256;
/// What a person reads about a scope.
pub const SCOPE_DESCRIPTION_BYTES_MAX: usize = 1024;
/// An address of the internet, as text.
pub const IP_ADDRESS_BYTES_MAX: usize = 45;
/// What a browser calls itself.
pub const USER_AGENT_BYTES_MAX: usize = 512;
/// A URL that is stored.
pub const URL_BYTES_MAX: usize = 2048;
/// Scopes in one request for consent.
pub const CONSENT_SCOPES_MAX: usize = 50;
/// `metadata` of a request for consent, as canonical JSON: it stays in memory.
pub const CONSENT_METADATA_BYTES_MAX: usize = 16 * 1024;
/// Origins that an agent may send people back to.
pub const REDIRECT_ORIGINS_MAX: usize = 32;
/// A token as it is presented: a longer one is none of ours.
pub const TOKEN_BYTES_MAX: usize = 60 * 1024;
/// Agents of one workspace that people can be asked to consent to.
pub const CONSENT_AGENTS_MAX: usize = 1000;
/// Views of one consent page that are recorded: whoever has the link can have it viewed any number of times.
pub const CONSENT_VIEWS_MAX: u8 = 100;

/// Who is paid.
pub const MERCHANT_ID_BYTES_MAX: usize = 128;
/// What kind of merchant is paid.
pub const CATEGORY_BYTES_MAX: usize = 64;
/// How it is paid.
pub const CHANNEL_BYTES_MAX: usize = 32;
/// What a device calls one payment.
pub const CLIENT_REF_BYTES_MAX: usize = 128;
/// Merchants, categories, currencies or channels in one limit of a delegation.
pub const PAYMENT_LIST_MAX: usize = 256;
/// Delegations of one agent that nobody has revoked: where a request names none, each of them may have to be looked at.
pub const DELEGATIONS_MAX: usize = 1000;
/// Delegations that are tried where a request names none, the newest first.
pub const DELEGATIONS_TRIED_MAX: usize = 64;
/// Decisions that are looked at where none is named, the newest first.
pub const DECISIONS_TRIED_MAX: usize = 256;
/// Longest rolling period of a limit: whatever was spent within it is kept in memory.
pub const PERIOD_MS_MAX: u64 = 366 * DAY_MS;
/// `metadata` of an org, an agent, a device or a payment intent, as canonical JSON: it stays in memory.
pub const REGISTRY_METADATA_BYTES_MAX: usize = 16 * 1024;
/// A decision about a payment can be used for 300 s.
pub const DECISION_LIFE_MS: u64 = 300 * 1000;
/// A payment intent can be authorised for 24 h.
pub const INTENT_LIFE_MS: u64 = 24 * 60 * 60 * 1000;
/// Life of an offline token when the caller names none, in seconds.
pub const OFFLINE_LIFE_S_DEFAULT: i64 = 3600;
/// Longest life of an offline token, in seconds.
pub const OFFLINE_LIFE_S_MAX: i64 = 86_400;
/// What an offline token has reserved is given back so long after its end: until then its payments can be told of.
pub const OFFLINE_GRACE_MS: u64 = 24 * 60 * 60 * 1000;
/// Offline tokens of one delegation that hold a reservation.
pub const OFFLINE_TOKENS_MAX: usize = 1000;
/// Payments in one call of a device.
pub const OFFLINE_TRANSACTIONS_MAX: usize = 100;
/// Payments of one device that wait to be reconciled.
pub const OFFLINE_QUEUE_MAX: usize = 1000;
/// Nullifiers that are asked about in one call.
pub const NULLIFIERS_MAX: usize = 1000;
/// An org without a key can be given its first one by anybody for so long, where signup is open.
pub const FIRST_KEY_MS: u64 = 60 * 60 * 1000;

/// Receipts on one page of a list.
pub const PAGE_ITEMS_MAX: usize = 100;
/// Receipts on one page when the caller names no number.
pub const PAGE_ITEMS_DEFAULT: usize = 50;

/// Errors one answer names: who has made more is told of these first.
pub const FIELD_ERRORS_MAX: usize = 128;

/// Scopes in one authorization.
pub const SCOPES_GRANTED_MAX: usize = 100;
/// Scopes in one check.
pub const SCOPES_CHECKED_MAX: usize = 25;
/// Checks in one batch.
pub const BATCH_CHECKS_MAX: usize = 1000;
/// Scopes of all checks of one batch: what the writer decides in some 20 ms, during which nobody else is answered.
pub const BATCH_SCOPES_MAX: usize = 2500;
/// Strings in one list constraint.
pub const CONSTRAINT_LIST_MAX: usize = 128;
/// Conditions of one scope, over all three lists.
pub const CONDITIONS_MAX: usize = 10;
/// Items of the array behind `in`.
pub const CONDITION_ITEMS_MAX: usize = 128;
/// One string of a list constraint.
pub const CONSTRAINT_ITEM_BYTES_MAX: usize = 256;
/// `context` of a check, as compact JSON.
pub const CONTEXT_BYTES_MAX: usize = 4096;
/// `metadata` of a create, as canonical JSON, which may be three times as long as what the caller sent: `\n` becomes
/// `\u000a`.
pub const METADATA_BYTES_MAX: usize = 256 * 1024;
/// Nesting of `context` and `metadata`; the object itself is the first level.
pub const CONTEXT_DEPTH_MAX: usize = 32;

/// A request for consent stands for this long when the caller names no time, in seconds.
pub const CONSENT_LIFE_S_DEFAULT: i64 = 1800;
/// Longest time a request for consent stands, in seconds.
pub const CONSENT_LIFE_S_MAX: i64 = 2_592_000;
/// Life of a consent token unless the agent has another, in seconds.
pub const TOKEN_LIFE_S_DEFAULT: u32 = 3600;
/// Longest life of a consent token, in seconds.
pub const TOKEN_LIFE_S_MAX: i64 = 31_536_000;
/// A link to the page on which a person manages consents works for an hour.
pub const MANAGE_LINK_LIFE_MS: u64 = 60 * 60 * 1000;
/// A confirmation nonce lives 5 minutes.
pub const NONCE_LIFE_MS: u64 = 5 * 60 * 1000;
/// Longest life of a confirmation once given, in seconds.
pub const CONFIRMATION_TTL_S_MAX: i64 = 300;
/// Life of a confirmation when the caller names none, in seconds.
pub const CONFIRMATION_TTL_S_DEFAULT: i64 = 60;
/// An escalation is open for 24 h, and its resolution counts for 24 h.
pub const ESCALATION_LIFE_MS: u64 = 24 * 60 * 60 * 1000;
/// An idempotency key is remembered for 24 h.
pub const IDEMPOTENCY_LIFE_MS: u64 = 24 * 60 * 60 * 1000;
/// Longest life of an authorization that its bundle may set, in days.
pub const DEFAULT_EXPIRY_DAYS_MAX: i64 = 3650;
/// Milliseconds of a day.
pub const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// How far ahead of the verifier's clock a receipt may be issued.
pub const ISSUED_AHEAD_MS_MAX: u64 = 5 * 60 * 1000;

/// One stored record, header included.
pub const RECORD_BYTES_MAX: usize = 512 * 1024;
/// One stored frame.
pub const FRAME_BYTES_MAX: usize = 6 * 1024 * 1024;
/// A commit stops taking further commands once its records pass this size.
pub const COMMIT_BYTES_GOAL: usize = 256 * 1024;
/// A commit takes at most this many commands.
pub const COMMIT_COMMANDS_MAX: usize = 256;
/// The checks of a batch are decided until their records pass this size; those behind are refused.
pub const BATCH_BYTES_GOAL: usize = 4 * 1024 * 1024;

/// A signed note, as a checkpoint is: its lines of 500 bytes fit, and a request that carries one is hardly larger than any other.
pub const SIGNED_NOTE_BYTES_MAX: usize = 64 * 1024;
/// Signature lines of one note: each may cost its reader a verification. More than any log has witnesses.
pub const SIGNED_NOTE_LINES_MAX: usize = 100;
/// Hashes of an inclusion or consistency proof: one for each level of a tree of less than 2^63 leaves.
pub const PROOF_HASHES_MAX: usize = 63;
/// What goes before the note in a proof or in the request to a witness: the hashes, and lines that are shorter than these.
pub const PROOF_BYTES_MAX: usize = 8 * 1024;
/// One line of a bundle of evidence: the head of a workspace that changed its key every day for 30 years fits.
pub const EVIDENCE_LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

// The largest events: a create with its metadata, a check of every scope with a full context. Metadata takes at least a
// third of its canonical size from the body; what the rest of the body holds is never longer when stored.
const _: () = assert!(BODY_METADATA_BYTES_MAX + METADATA_BYTES_MAX / 3 * 2 + 64 * 1024 < RECORD_BYTES_MAX);
const _: () = assert!(METADATA_BYTES_MAX >= BODY_METADATA_BYTES_MAX, "only escapes that grow can pass the limit");
// A request for consent: each scope with its label, its description and their lengths, the metadata, and texts that are short.
const CONSENT_SCOPE_RECORD_BYTES_MAX: usize = SCOPE_NAME_BYTES_MAX + SCOPE_LABEL_BYTES_MAX + SCOPE_DESCRIPTION_BYTES_MAX + 16;
const _: () = assert!(
    CONSENT_SCOPES_MAX * CONSENT_SCOPE_RECORD_BYTES_MAX
        + CONSENT_METADATA_BYTES_MAX
        + URL_BYTES_MAX
        + EMAIL_BYTES_MAX
        + USER_ID_BYTES_MAX
        + IDEMPOTENCY_KEY_BYTES_MAX
        + 512
        < RECORD_BYTES_MAX
);
// A delegation: merchants that are allowed and that are not, categories, channels and currencies with their lengths, permissions, the
// metadata, and texts that are short. As JSON it fits the body of a call that carries metadata.
const DELEGATION_BYTES_MAX: usize = PAYMENT_LIST_MAX
    * (2 * (MERCHANT_ID_BYTES_MAX + 4) + CATEGORY_BYTES_MAX + CHANNEL_BYTES_MAX + 3 + 3 * 4)
    + SCOPES_GRANTED_MAX * (SCOPE_NAME_BYTES_MAX + 4)
    + REGISTRY_METADATA_BYTES_MAX
    + 1024;
const _: () = assert!(DELEGATION_BYTES_MAX < BODY_METADATA_BYTES_MAX && DELEGATION_BYTES_MAX < RECORD_BYTES_MAX);
// What an escalation of a payment is bound to: currency, amount, channel and category with escapes, and who is paid.
const _: () = assert!(64 + 3 * (CHANNEL_BYTES_MAX + CATEGORY_BYTES_MAX) + MERCHANT_ID_BYTES_MAX < RESOURCE_BYTES_MAX);
const _: () = assert!(TOKEN_BYTES_MAX < BODY_BYTES_MAX, "a token fits the body it is presented in");
// A context is measured as compact JSON and stored in canonical form, which may be three times as long.
const CHECK_RECORD_BYTES_MAX: usize = CONTEXT_BYTES_MAX * 3
    + RESOURCE_BYTES_MAX
    + SESSION_ID_BYTES_MAX
    + USER_ID_BYTES_MAX
    + AGENT_ID_BYTES_MAX
    + SCOPE_NAME_BYTES_MAX
    + APPROVER_BYTES_MAX
    + OPAQUE_ID_BYTES_MAX
    + IDEMPOTENCY_KEY_BYTES_MAX
    + CONDITION_FIELD_BYTES_MAX
    + CONDITION_ITEMS_MAX * (CONDITION_TEXT_BYTES_MAX + 4)
    + 512;
const _: () = assert!(COMMIT_BYTES_GOAL + RECORD_BYTES_MAX + SCOPES_CHECKED_MAX * CHECK_RECORD_BYTES_MAX < FRAME_BYTES_MAX);
// A batch is decided whole or up to its goal, whatever was in the commit before it.
const _: () = assert!(COMMIT_BYTES_GOAL + BATCH_BYTES_GOAL + SCOPES_CHECKED_MAX * CHECK_RECORD_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(BATCH_CHECKS_MAX <= BATCH_SCOPES_MAX && SCOPES_CHECKED_MAX <= BATCH_SCOPES_MAX);
const _: () = assert!(BODY_BYTES_MAX < BODY_BATCH_BYTES_MAX, "what can be checked alone can be checked in a batch");
const _: () = assert!(PAGE_ITEMS_DEFAULT <= PAGE_ITEMS_MAX);
const _: () = assert!(CONTEXT_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!(CONTEXT_DEPTH_MAX < JSON_DEPTH_MAX);
// A hash in base64 with its line feed is 45 bytes.
const _: () = assert!(PROOF_HASHES_MAX * 45 < PROOF_BYTES_MAX);
// A record in base64 beside its receipt, which repeats the metadata at most escaped.
const _: () = assert!(RECORD_BYTES_MAX / 3 * 4 + METADATA_BYTES_MAX * 6 + 64 * 1024 < EVIDENCE_LINE_BYTES_MAX);
