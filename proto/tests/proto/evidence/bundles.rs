//! Workspaces of any size, with receipts and rotated signing keys, and the bundles that prove them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use allowlog_proto::chain::{Chain, Hash};
use allowlog_proto::checkpoint::{Checkpoint, origin};
use allowlog_proto::event::{
    AuthorizationEvent, CheckEvent, ConfirmationEvent, ConsentEvent, EscalationEvent, Event, PaymentEvent, SigningKeyEvent, Subject,
    TokenVerified,
};
use allowlog_proto::id::{AuthorizationId, KeyId, ReceiptId};
use allowlog_proto::key_document::{KeyDocument, PublicKey};
use allowlog_proto::merkle::{self, Subtree, Tree};
use allowlog_proto::note::{KeyKind, Note, NoteSignature, VerifierKey, cosigned_message};
use allowlog_proto::proof::Proof;
use allowlog_proto::receipt::{About, Context, Receipt, hash as receipt_hash, signed_document};
use allowlog_proto::record::{self, Record, subject_of};
use allowlog_proto::signing::sign;
use allowlog_proto::time::Timestamp;
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use serde_json::json;

use crate::fixtures;

/// A workspace as its server would keep it.
pub(crate) struct Workspace {
    pub(crate) records: Vec<Stored>,
    chain: Chain,
    /// Index of the activation, and from when on the key signs. Its seed is its place in this list.
    keys: Vec<(usize, Timestamp)>,
}

/// A record with its receipt.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) bytes: Vec<u8>,
    pub(crate) receipt: Option<String>,
}

/// Every authorization of these workspaces is one of two.
pub(crate) fn authorization_id(tag: u8) -> AuthorizationId {
    AuthorizationId::from_bytes([tag; 16])
}

pub(crate) fn witness(tag: u8) -> VerifierKey {
    VerifierKey::new(&format!("witness.example/{tag}"), KeyKind::Cosignature, witness_key(tag).verifying_key()).unwrap()
}

fn witness_key(tag: u8) -> SigningKey {
    SigningKey::from_bytes(&[tag ^ 0xff; 32])
}

fn signing_key(place: usize) -> SigningKey {
    SigningKey::from_bytes(&[u8::try_from(place).unwrap(); 32])
}

fn u(n: usize) -> u64 {
    n.try_into().unwrap()
}

impl Workspace {
    /// A workspace of so many records: two authorizations live side by side, keys are rotated now and then.
    pub(crate) fn of(count: usize) -> Self {
        let mut workspace = Self { records: Vec::new(), chain: Chain::new(), keys: Vec::new() };
        let events: BTreeMap<&str, Event> = fixtures::events().into_iter().collect();
        let cycle = [
            ("check_allow", 1),
            ("check_deny", 2),
            ("check_deny_unknown", 0),
            ("check_confirm", 1),
            ("confirmation_approved", 1),
            ("check_escalate", 2),
            ("escalation_approved", 2),
            ("tombstone_placed", 0),
            ("check_allow_consumed", 2),
            ("bundle_created", 0),
            ("check_escalate_again", 1),
            ("api_key_created", 0),
            ("consent_requested", 1),
            ("token_verified", 2),
            ("consent_agent_created", 0),
            ("token_minted", 1),
            ("consent_agent_secret_rotated", 0),
            ("consent_viewed", 1),
            ("manage_link_created", 0),
            ("payment_allowed", 1),
            ("payment_intent_created", 1),
            ("agent_registered", 0),
            ("payment_authorised", 1),
            ("payment_refused_limit_exceeded", 2),
            ("device_attested", 0),
            ("payment_captured", 1),
            ("payment_denied_unknown", 0),
            ("offline_token_issued", 2),
            ("payment_intent_abandoned", 0),
            ("offline_payment_queued", 2),
            ("payment_cancelled", 1),
            ("offline_payment_settled", 2),
            ("payment_intent_created_minimal", 0),
            ("workspace_described", 0),
            ("device_registered", 0),
            ("delegation_granted", 2),
        ];
        for n in 0..count {
            // Two records of every millisecond.
            let time = fixtures::at("2026-11-23T12:00:00Z").saturating_add_ms(u(n / 2));
            let (name, authorization) = match n {
                0 => ("workspace_created", 0),
                2 => ("authorization_granted", 1),
                3 => ("authorization_granted_minimal", 2),
                _ => cycle[n % cycle.len()],
            };
            let event = if n % 64 == 1 { workspace.rotate(n, time) } else { of(&events[name], n, authorization_id(authorization)) };
            workspace.push(time, event);
        }
        workspace
    }

    fn rotate(&mut self, index: usize, time: Timestamp) -> Event {
        let public_key = signing_key(self.keys.len()).verifying_key().to_bytes();
        let active_from = time.saturating_add_ms(self.keys.len().min(1).try_into().unwrap());
        self.keys.push((index, active_from));
        Event::SigningKey(SigningKeyEvent::Activated { key_id: KeyId::of(&public_key), public_key, active_from })
    }

    pub(crate) fn push(&mut self, time: Timestamp, event: Event) {
        let mut record = self.chain.record(fixtures::workspace_id(), time, event);
        let receipt = canonical(&record).map(|canonical| {
            record.receipt = receipt_hash(&canonical);
            let key = signing_key(self.keys.iter().rposition(|(_, active_from)| *active_from <= time).unwrap());
            signed_document(&canonical, KeyId::of(&key.verifying_key().to_bytes()), &sign(&key, canonical.as_bytes()))
        });
        let mut bytes = Vec::new();
        let hash = record.encode(&mut bytes).unwrap();
        self.chain.extend(&record, hash);
        self.records.push(Stored { bytes, receipt });
    }

    /// Has every record from `first` on carry the hash of the one before it, as it is now.
    pub(crate) fn relink(&mut self, first: usize) {
        for index in first..self.records.len() {
            let previous = self.records[index - 1].hash();
            self.records[index].bytes[33..65].copy_from_slice(&previous.0);
        }
    }

    /// The log's key for checkpoints of this size.
    pub(crate) fn log_key(&self, size: usize) -> VerifierKey {
        VerifierKey::new(&origin(fixtures::workspace_id()), KeyKind::Ed25519, self.key_at(size).verifying_key()).unwrap()
    }

    /// The document of its keys, as the server publishes it.
    pub(crate) fn key_document(&self) -> KeyDocument {
        let ends = self.keys.iter().skip(1).map(|(_, active_from)| Some(*active_from)).chain([None]);
        let key = |((place, (_, active_from)), active_until): ((usize, &(usize, Timestamp)), _)| {
            let public_key = signing_key(place).verifying_key().to_bytes();
            PublicKey::new(KeyId::of(&public_key), &public_key, *active_from, active_until)
        };
        KeyDocument { workspace_id: fixtures::workspace_id(), keys: self.keys.iter().enumerate().zip(ends).map(key).collect() }
    }

    /// The id of the key that signs checkpoints of this size.
    pub(crate) fn trusted(&self, size: usize) -> KeyId {
        KeyId::of(&self.key_at(size).verifying_key().to_bytes())
    }

    fn key_at(&self, size: usize) -> SigningKey {
        signing_key(self.keys.iter().rposition(|(index, _)| *index < size).unwrap())
    }

    pub(crate) fn root(&self, size: usize) -> Hash {
        self.grow(size).0.root()
    }

    fn grow(&self, size: usize) -> (Tree, BTreeMap<Subtree, Hash>) {
        let mut tree = Tree::new();
        let mut nodes = BTreeMap::new();
        for (stored, index) in self.records[..size].iter().zip(0..) {
            let leaf = stored.leaf();
            nodes.insert(Subtree { height: 0, index }, leaf);
            tree.push(leaf, |subtree, hash| assert_eq!(nodes.insert(subtree, hash), None));
        }
        (tree, nodes)
    }

    /// The checkpoint of this size, as the log signs it and two witnesses do.
    pub(crate) fn checkpoint(&self, size: usize) -> Note {
        let text = Checkpoint { origin: origin(fixtures::workspace_id()), size: u(size), root: self.root(size) }.to_string();
        let mut signatures = vec![NoteSignature::ed25519(&self.log_key(size), sign(&self.key_at(size), text.as_bytes()))];
        for tag in [1, 2] {
            let seconds = 1_795_435_200 + u64::from(tag);
            let signature = sign(&witness_key(tag), cosigned_message(seconds, &text).as_bytes());
            signatures.push(NoteSignature::cosignature(&witness(tag), seconds, signature));
        }
        Note { text, signatures }
    }

    /// The proof of the receipt of a record.
    pub(crate) fn proof(&self, index: usize, size: usize) -> Proof {
        let (_, nodes) = self.grow(size);
        let hashes = merkle::inclusion_proof(u(index), u(size), |subtree| Ok::<_, Infallible>(nodes[&subtree])).unwrap();
        Proof { extra: self.records[index].hash().0.to_vec(), index: u(index), hashes, checkpoint: self.checkpoint(size) }
    }

    /// The lines of a bundle, each with its line feed, the head first.
    pub(crate) fn bundle(&self, story: Option<AuthorizationId>, first: usize, end: usize, size: usize) -> Vec<Vec<u8>> {
        let (_, nodes) = self.grow(size);
        let base64 = |hash: &Hash| BASE64.encode(&hash.0);
        let roots = |subtrees: Vec<Subtree>| subtrees.iter().map(|subtree| base64(&nodes[subtree])).collect::<Vec<_>>();
        let keys = self.keys.iter().filter(|(index, _)| *index < size).map(|(index, _)| {
            let proof = merkle::inclusion_proof(u(*index), u(size), |subtree| Ok::<_, Infallible>(nodes[&subtree])).unwrap();
            json!({"record": BASE64.encode(&self.records[*index].bytes), "proof": proof.iter().map(base64).collect::<Vec<_>>()})
        });
        let head = json!({
            "format": "allowlog-evidence-v1",
            "workspace_id": fixtures::workspace_id(),
            "authorization_id": story,
            "first": first,
            "end": end,
            "before": roots(merkle::before(u(first))),
            "after": roots(merkle::after(u(end), u(size))),
            "keys": keys.collect::<Vec<_>>(),
            "checkpoint": self.checkpoint(size).to_string(),
        });
        let mut lines = vec![format!("{head}\n").into_bytes()];
        lines.extend(self.records[first..end].iter().map(|stored| stored.line(story)));
        lines
    }
}

impl Stored {
    pub(crate) fn hash(&self) -> Hash {
        record::hash(&self.bytes).unwrap()
    }

    pub(crate) fn leaf(&self) -> Hash {
        merkle::leaf(&merkle::entry(self.hash(), self.bytes[65..97].try_into().unwrap()))
    }

    /// The line of it; hidden if it is of no concern to the story.
    pub(crate) fn line(&self, story: Option<AuthorizationId>) -> Vec<u8> {
        let hash = self.hash();
        let (header, body) = self.bytes.split_at(record::HEADER_BYTES);
        let line = if story.is_some_and(|id| header[97..] != subject_of(id)) {
            let hidden = BASE64.encode(&[header, blake3::hash(body).as_bytes()].concat());
            format!("{{\"hash\":\"{hash}\",\"hidden\":\"{hidden}\"}}\n")
        } else {
            let receipt = self.receipt.as_ref().map(|receipt| format!(",\"receipt\":{receipt}")).unwrap_or_default();
            format!("{{\"hash\":\"{hash}\",\"record\":\"{}\"{receipt}}}\n", BASE64.encode(&self.bytes))
        };
        line.into_bytes()
    }
}

/// The fixture with ids of its own, about this authorization.
fn of(event: &Event, n: usize, authorization: AuthorizationId) -> Event {
    let receipt = ReceiptId::from_bytes((u128::try_from(n).unwrap() + 1).to_be_bytes());
    let mut event = event.clone();
    match &mut event {
        Event::Authorization(AuthorizationEvent::Granted(granted)) => {
            (granted.receipt_id, granted.authorization_id) = (receipt, authorization);
        }
        Event::Authorization(AuthorizationEvent::Revoked(revoked)) => {
            (revoked.receipt_id, revoked.authorization_id) = (receipt, authorization);
        }
        Event::Check(CheckEvent::Decided(decided)) => {
            let decided = Arc::make_mut(decided);
            decided.receipt_id = receipt;
            if let Subject::Known { authorization_id, .. } = &mut decided.subject {
                *authorization_id = authorization;
            }
        }
        Event::Confirmation(ConfirmationEvent::Resolved(resolved)) => resolved.authorization_id = authorization,
        Event::Escalation(EscalationEvent::Resolved(resolved)) => {
            (resolved.receipt_id, resolved.authorization_id) = (receipt, authorization);
        }
        Event::Check(CheckEvent::TokenVerified(verified)) => (verified.receipt_id, verified.authorization_id) = (receipt, authorization),
        Event::Consent(event) => match event {
            ConsentEvent::Requested(asked) => asked.authorization_id = authorization,
            ConsentEvent::Viewed(viewed) => viewed.authorization_id = authorization,
            ConsentEvent::Declined(declined) => declined.authorization_id = authorization,
            ConsentEvent::Withdrawn(withdrawn) => withdrawn.authorization_id = authorization,
            ConsentEvent::Minted(minted) => minted.authorization_id = authorization,
            ConsentEvent::ManageLink(_) => {}
        },
        Event::Payment(event) => place_payment(event, receipt, authorization),
        Event::Workspace(_)
        | Event::ApiKey(_)
        | Event::SigningKey(_)
        | Event::Bundle(_)
        | Event::Tombstone(_)
        | Event::ConsentAgent(_)
        | Event::Agent(_)
        | Event::Device(_) => {}
    }
    event
}

fn place_payment(event: &mut PaymentEvent, receipt: ReceiptId, authorization: AuthorizationId) {
    match event {
        PaymentEvent::Decided(decided) => {
            decided.receipt_id = receipt;
            if let Subject::Known { authorization_id, .. } = &mut decided.subject {
                *authorization_id = authorization;
            }
        }
        PaymentEvent::IntentCreated(created) => {
            created.authorization_id = created.authorization_id.map(|_| authorization);
        }
        PaymentEvent::Authorised(moved) | PaymentEvent::Captured(moved) | PaymentEvent::Cancelled(moved) => {
            (moved.receipt_id, moved.authorization_id) = (receipt, authorization);
        }
        PaymentEvent::Refused(refused) => (refused.moved.receipt_id, refused.moved.authorization_id) = (receipt, authorization),
        PaymentEvent::TokenIssued(issued) => (issued.receipt_id, issued.authorization_id) = (receipt, authorization),
        PaymentEvent::Queued(queued) => queued.authorization_id = authorization,
        PaymentEvent::Reconciled(reconciled) => (reconciled.receipt_id, reconciled.authorization_id) = (receipt, authorization),
        PaymentEvent::Abandoned(_) => {}
    }
}

/// The signed bytes of a receipt that could be the record's: a verifier of bundles does not judge what it says beside the ids and the time.
fn canonical(record: &Record) -> Option<String> {
    let (about, decision, reason) = match &record.event {
        Event::Authorization(AuthorizationEvent::Granted(_)) => {
            (About::Event("authorization.create"), "authorization_granted", "user_approved_via_customer_ui")
        }
        Event::Authorization(AuthorizationEvent::Revoked(_)) => {
            (About::Event("authorization.revoke"), "authorization_revoked", "user_revoked_via_settings")
        }
        Event::Check(CheckEvent::Decided(decided)) => {
            (About::Scope(decided.scope.as_str()), decided.verdict.decision().as_str(), decided.reason.as_str())
        }
        Event::Escalation(_) => (About::Event("escalation.resolve"), "escalation_approved", "escalation_resolved_by_approver"),
        Event::Check(CheckEvent::TokenVerified(verified)) => {
            (About::Scope(TokenVerified::SCOPE), verified.decision().as_str(), verified.reason.as_str())
        }
        Event::Payment(event) => match event {
            PaymentEvent::Decided(decided) => (About::Scope(decided.scope.as_str()), decided.verdict.decision().as_str(), decided.reason()),
            PaymentEvent::Refused(refused) => (About::Scope(PaymentEvent::SCOPES[0]), "deny", refused.refusal.as_str()),
            PaymentEvent::Authorised(_)
            | PaymentEvent::Captured(_)
            | PaymentEvent::Cancelled(_)
            | PaymentEvent::TokenIssued(_)
            | PaymentEvent::Reconciled(_) => (About::Scope(PaymentEvent::SCOPES[0]), "allow", "payment_authorised"),
            PaymentEvent::IntentCreated(_) | PaymentEvent::Abandoned(_) | PaymentEvent::Queued(_) => return None,
        },
        Event::Workspace(_)
        | Event::ApiKey(_)
        | Event::SigningKey(_)
        | Event::Confirmation(_)
        | Event::Bundle(_)
        | Event::Tombstone(_)
        | Event::ConsentAgent(_)
        | Event::Consent(_)
        | Event::Agent(_)
        | Event::Device(_) => return None,
    };
    let receipt = Receipt {
        receipt_id: record.event.receipt_id().unwrap(),
        workspace_id: record.workspace_id,
        issued_at: record.time,
        about,
        decision,
        reason,
        authorization_id: record.event.authorization_id(),
        user_id: "user_1",
        agent_id: "agent_1",
        resource: None,
        context: Context::default(),
        policy_version: "2026-11-26.1",
        policy_eval: None,
    };
    Some(receipt.canonical().unwrap())
}
