//! The verifier of evidence: does this bundle prove a run of records, or the story of an authorization?
//!
//! A bundle is a text of JSON lines: a head with keys and a checkpoint, then a line for each record; `FORMAT.md` has the whole of it.
//! [`Verifier`] takes it line by line and keeps no line: 10 million records take the memory of one. What must be known from elsewhere is
//! which signing keys to trust, by their ids, which are fingerprints. No network, no clock, no server.
//!
//! The first check that fails is the [`Fault`] it reports, with the index of the record where there is one.
//!
//! What an auditor does, with a bundle of the published vectors:
//!
//! ```
//! use allowlog_proto::evidence::{Code, Verifier};
//! use allowlog_proto::id::KeyId;
//!
//! let bundle = include_bytes!("../tests/vectors/evidence/story.jsonl");
//! // From the operator once, by another way than the bundle; it is the fingerprint of a public key.
//! let trusted = [KeyId::parse("key_5QK1H74GEE3FN3C9RVHFPZ34D2").unwrap()];
//!
//! let mut lines = bundle.split_inclusive(|byte| *byte == b'\n');
//! let mut verifier = Verifier::open(lines.next().unwrap(), &trusted, &[], 0).unwrap();
//! for line in lines {
//!     let line = verifier.record(line).unwrap();
//!     match line.record {
//!         Some(record) => println!("{} {:?}", line.time, record.event),
//!         None => println!("{} about somebody else", line.time),
//!     }
//! }
//! let verdict = verifier.finish().unwrap();
//! assert_eq!((verdict.first, verdict.reaches_end()), (0, true));
//! assert_eq!(verdict.begins_with_grant, Some(true));
//!
//! // Without its last line, the rest is as genuine and proves nothing.
//! let mut lines = bundle.split_inclusive(|byte| *byte == b'\n').take(5);
//! let mut verifier = Verifier::open(lines.next().unwrap(), &trusted, &[], 0).unwrap();
//! lines.for_each(|line| drop(verifier.record(line).unwrap()));
//! let fault = verifier.finish().unwrap_err();
//! assert_eq!((fault.code, fault.index), (Code::MissingRecords, Some(4)));
//! ```

use crate::chain::Hash;
use crate::event::{
    AgentEvent, AuthorizationEvent, BundleEvent, CheckEvent, ConsentAgentEvent, ConsentEvent, DeviceEvent, Event, PaymentEvent,
    WorkspaceEvent,
};
use crate::id::{AuthorizationId, KeyId, WorkspaceId};
use crate::json::Value;
use crate::limits::{DEFAULT_EXPIRY_DAYS_MAX, TOKEN_LIFE_S_MAX};
use crate::merkle::{Tree, entry, leaf};
use crate::money::Micros;
use crate::note::VerifierKey;
use crate::receipt::hash_of_document;
use crate::record::{Header, NO_RECEIPT, Record, subject_of};
use crate::time::Timestamp;
use crate::verify::{TrustedKeys, verify as verify_receipt};

mod fault;
mod head;
mod members;
mod stored;

pub use fault::{Code, Fault};

use head::Head;
use stored::{Beginning, Stored};

/// Verifies a bundle line by line; the first fault ends it.
#[derive(Debug, Clone)]
pub struct Verifier {
    head: Head,
    keys: TrustedKeys,
    signed_by: KeyId,
    cosigned: Vec<(VerifierKey, u64)>,
    /// Of the story's authorization.
    subject: Option<[u8; 16]>,
    earlier: Option<Earlier>,
    /// Of the records so far.
    tree: Tree,
    last: Option<(Hash, Timestamp)>,
    begins_with_grant: Option<bool>,
    hidden: u64,
    /// The first whole record whose event cannot be decoded.
    unreadable: Option<u64>,
}

/// The root that somebody was shown at an earlier size.
#[derive(Debug, Clone, Copy)]
struct Earlier {
    size: u64,
    root: Hash,
    /// What it is here, once that is known.
    found: Option<Hash>,
}

/// One record that passed its checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Place within the workspace's chain.
    pub index: u64,
    /// When it was decided.
    pub time: Timestamp,
    /// The header, of a hidden record too.
    pub header: Header,
    /// What happened. Nothing if it is hidden, which no record of the story can be, or if the event cannot be decoded: then
    /// [`Verifier::finish`] says so, unless it finds worse.
    pub record: Option<Record>,
    /// The genuine receipt of it, if it has one.
    pub receipt: Option<Value>,
}

/// What a bundle without a fault proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whose log.
    pub workspace_id: WorkspaceId,
    /// Whose story; nothing if all records are there whole.
    pub authorization_id: Option<AuthorizationId>,
    /// The records from here
    pub first: u64,
    /// up to and without this one are proved to be all there are between them.
    pub end: u64,
    /// How many of them are hidden.
    pub hidden: u64,
    /// Records under the checkpoint. Of those from `end` on nothing is said.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
    /// Of a story: whether its first record is the grant, or the request for consent that led to it. If it is not, what happened before
    /// is not shown.
    pub begins_with_grant: Option<bool>,
    /// The trusted key that signed the checkpoint.
    pub signed_by: KeyId,
    /// The witnesses that have seen the checkpoint, and when, in POSIX seconds.
    pub cosigned: Vec<(VerifierKey, u64)>,
    /// Whether this is the log that had a certain root at an earlier size.
    pub earlier: Continuity,
}

impl Verdict {
    /// Whether the records reach the end of the checkpoint.
    pub const fn reaches_end(&self) -> bool {
        self.end == self.size
    }
}

/// Whether the log is the one that was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Continuity {
    /// The caller named no earlier root.
    NotAsked,
    /// It had that root at that size.
    Proved,
    /// The size is not within the bundle: a consistency proof is needed.
    NotJudged,
}

impl Verifier {
    /// Checks the head, which is the first line with its line feed: the checkpoint is signed by a key whose id is `trusted`, and
    /// `quorum` of the `witnesses` have cosigned it.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn open(head_line: &[u8], trusted: &[KeyId], witnesses: &[VerifierKey], quorum: usize) -> Result<Self, Fault> {
        let head = Head::parse(head_line)?;
        let signed_by = head.signer(trusted)?;
        let tree = head.tree()?;
        head.prove_keys()?;
        let cosigned = head.cosigners(witnesses, quorum)?;
        let activations: Vec<_> = head.keys.iter().map(|key| (key.activation.key_id, key.key, key.activation.active_from)).collect();
        let subject = head.authorization_id.map(subject_of);
        let keys = TrustedKeys::from_activations(&activations);
        Ok(Self {
            head,
            keys,
            signed_by,
            cosigned,
            subject,
            earlier: None,
            tree,
            last: None,
            begins_with_grant: None,
            hidden: 0,
            unreadable: None,
        })
    }

    /// Also checks that the log had `root` when it had `size` records, as somebody was told then. To be named before the first record.
    #[must_use]
    pub fn expect_earlier(mut self, size: u64, root: Hash) -> Self {
        let at_the_end = (size == self.head.checkpoint.size).then_some(self.head.checkpoint.root);
        self.earlier = Some(Earlier { size, root, found: at_the_end });
        self.look_at_earlier();
        self
    }

    /// Whose records they are.
    pub const fn workspace_id(&self) -> WorkspaceId {
        self.head.workspace_id
    }

    /// Whose story it is; nothing if no record may be hidden.
    pub const fn authorization_id(&self) -> Option<AuthorizationId> {
        self.head.authorization_id
    }

    /// How many records there must be: what progress is measured by.
    pub const fn expected(&self) -> u64 {
        self.head.end.saturating_sub(self.head.first)
    }

    /// Checks the next line, with its line feed. After a fault the verifier is of no further use.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn record(&mut self, line: &[u8]) -> Result<Line, Fault> {
        let index = self.tree.size();
        let fail = |code, sentence: &str| Err(Fault { code, index: Some(index), sentence: sentence.to_owned() });
        if index >= self.head.end {
            return fail(Code::ExtraRecords, "the bundle goes on behind its last record");
        }
        let Some(shape) = Shape::read(line, self.subject.is_some()) else {
            return fail(Code::MalformedRecord, "the line is not that of a record");
        };
        let Some(stored) = shape.stored().filter(|stored| stored.header.workspace_id == self.head.workspace_id) else {
            return fail(Code::MalformedRecord, "the line holds no record of this workspace that can be read");
        };
        let Stored { header, hash, body } = stored;
        if header.index != index {
            return fail(
                Code::WrongIndex,
                &format!("the record that stands here has index {}: one is missing, or out of its place", header.index),
            );
        }
        if hash != shape.hash {
            return fail(Code::WrongHash, "the record is not the one that has the hash beside it: it was altered");
        }
        self.follows(&header)?;
        self.is_about(&stored)?;
        let record = if let (Some((_, beginning)), Bytes::Whole(bytes)) = (body, &shape.record) {
            if beginning.is_activation && !self.head.lists_key(index) {
                return fail(Code::UnlistedKey, "a signing key is activated here that is not among the keys of the bundle");
            }
            if let Some(receipt) = Self::belongs(&header, &beginning, shape.receipt.as_ref())? {
                self.is_genuine(&header, receipt)?;
            }
            let record = Record::decode(bytes).ok().filter(is_written);
            if record.is_none() {
                self.unreadable.get_or_insert(index);
            }
            record
        } else {
            None
        };
        self.pass(&stored);
        Ok(Line { index, time: header.time, header, record, receipt: shape.receipt })
    }

    /// Checks that all records were there and are those of the checkpoint.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn finish(self) -> Result<Verdict, Fault> {
        let Self { head, signed_by, cosigned, subject, earlier, tree, begins_with_grant, hidden, unreadable, .. } = self;
        if tree.size() < head.end {
            let sentence = format!("the bundle ends here, and was to go on up to record {}", head.end.saturating_sub(1));
            return Err(Fault { code: Code::MissingRecords, index: Some(tree.size()), sentence });
        }
        let fail = |code, sentence: &str| Err(Fault { code, index: None, sentence: sentence.to_owned() });
        if head.complete(tree).is_none_or(|tree| tree.root() != head.checkpoint.root) {
            return fail(Code::WrongRoot, "the records and what is before and after them are not the log of the checkpoint");
        }
        if let Some(index) = unreadable {
            let sentence = "the event of the record cannot be read".to_owned();
            return Err(Fault { code: Code::MalformedRecord, index: Some(index), sentence });
        }
        let earlier = match earlier {
            None => Continuity::NotAsked,
            Some(Earlier { found: None, .. }) => Continuity::NotJudged,
            Some(Earlier { found: Some(found), root, .. }) if found == root => Continuity::Proved,
            Some(Earlier { size, .. }) => {
                return fail(
                    Code::AnotherLog,
                    &format!("with {size} records this log had another root: it is not the one that was seen then"),
                );
            }
        };
        Ok(Verdict {
            workspace_id: head.workspace_id,
            authorization_id: head.authorization_id,
            first: head.first,
            end: head.end,
            hidden,
            size: head.checkpoint.size,
            root: head.checkpoint.root,
            begins_with_grant: subject.map(|_| begins_with_grant.unwrap_or(false)),
            signed_by,
            cosigned,
            earlier,
        })
    }

    /// Checks 5 and 6 of a record.
    fn follows(&self, header: &Header) -> Result<(), Fault> {
        let fail = |code, index, sentence: &str| Err(Fault { code, index: Some(index), sentence: sentence.to_owned() });
        let previous = match self.last {
            Some((hash, _)) => Some(hash),
            None if header.index == 0 => Some(Hash::default()),
            None => None,
        };
        if previous.is_some_and(|previous| previous != header.previous) {
            let before = header.index.saturating_sub(1);
            return fail(Code::BrokenLink, before, "the record behind this one carries the hash of another one in its place");
        }
        if self.last.is_some_and(|(_, time)| header.time < time) {
            return fail(Code::TimeGoesBack, header.index, "the record is older than the one before it");
        }
        Ok(())
    }

    /// Check 7.
    fn is_about(&self, stored: &Stored<'_>) -> Result<(), Fault> {
        let sentence = match stored.body {
            Some((_, beginning)) if stored.header.subject != beginning.authorization_id.map(subject_of).unwrap_or_default() => {
                "the header of the record does not name the authorization that its body is about"
            }
            Some(_) if self.subject.is_none_or(|subject| subject == stored.header.subject) => return Ok(()),
            Some(_) => "a record that is not about the story's authorization stands in it as if it were",
            None if self.subject != Some(stored.header.subject) => return Ok(()),
            None => "a record of the story is hidden",
        };
        Err(Fault { code: Code::WrongSubject, index: Some(stored.header.index), sentence: sentence.to_owned() })
    }

    /// Checks 9 to 11: the receipt that must be there is, and is the record's.
    fn belongs<'r>(header: &Header, beginning: &Beginning, receipt: Option<&'r Value>) -> Result<Option<&'r Value>, Fault> {
        let fail = |code, sentence: &str| Err(Fault { code, index: Some(header.index), sentence: sentence.to_owned() });
        let has_receipt = header.receipt != NO_RECEIPT;
        if has_receipt != beginning.receipt_id.is_some() {
            return fail(Code::WrongReceipt, "the record has a receipt where its event has none, or none where it has one");
        }
        let (receipt_id, receipt) = match (beginning.receipt_id, receipt) {
            (None, None) => return Ok(None),
            (None, Some(_)) => return fail(Code::WrongReceipt, "there is a receipt beside a record that has none"),
            (Some(_), None) => return fail(Code::MissingReceipt, "the receipt of the record is missing"),
            (Some(receipt_id), Some(receipt)) => (receipt_id, receipt),
        };
        let named = [
            ("receipt_id", receipt_id.to_string()),
            ("workspace_id", header.workspace_id.to_string()),
            ("issued_at", header.time.to_string()),
        ];
        let object = receipt.as_object();
        let is_named = |(name, value): &(&str, String)| object.and_then(|o| members::text(o, name)) == Some(value.as_str());
        if hash_of_document(receipt) != Some(header.receipt) || !named.iter().all(is_named) {
            return fail(Code::WrongReceipt, "the receipt beside the record is not the one that it was given");
        }
        Ok(Some(receipt))
    }

    /// Check 12.
    fn is_genuine(&self, header: &Header, receipt: &Value) -> Result<(), Fault> {
        let workspace_id = header.workspace_id.to_string();
        verify_receipt(receipt, &self.keys, Some(&workspace_id), header.time).map_err(|invalid| Fault {
            index: Some(header.index),
            sentence: format!("the receipt is not genuine: {invalid}"),
            code: Code::Receipt(invalid),
        })
    }

    fn pass(&mut self, stored: &Stored<'_>) {
        let Stored { header, hash, body } = stored;
        self.tree.push(leaf(&entry(*hash, &header.receipt)), |_, _| {});
        self.last = Some((*hash, header.time));
        match body {
            Some((_, beginning)) if self.subject == Some(header.subject) => {
                self.begins_with_grant.get_or_insert(beginning.is_grant);
            }
            Some(_) => {}
            None => self.hidden = self.hidden.saturating_add(1),
        }
        self.look_at_earlier();
    }

    fn look_at_earlier(&mut self) {
        if let Some(earlier) = &mut self.earlier
            && earlier.size == self.tree.size()
        {
            earlier.found = Some(self.tree.root());
        }
    }
}

/// Verifies a whole bundle at once.
///
/// # Errors
/// The first check that fails.
pub fn verify(bundle: &[u8], trusted: &[KeyId], witnesses: &[VerifierKey], quorum: usize) -> Result<Verdict, Fault> {
    let mut lines = bundle.split_inclusive(|byte| *byte == b'\n');
    let mut verifier = Verifier::open(lines.next().unwrap_or_default(), trusted, witnesses, quorum)?;
    lines.try_for_each(|line| verifier.record(line).map(drop))?;
    verifier.finish()
}

/// Whether objects and numbers within are such as are written: whoever decodes what was stored by itself need not ask.
fn is_written(record: &Record) -> bool {
    match &record.event {
        Event::Authorization(AuthorizationEvent::Granted(granted)) => {
            granted.metadata.is_canonical() && granted.budget_limit != Some(Micros::default())
        }
        Event::Check(CheckEvent::Decided(decided)) => decided.context.is_canonical(),
        Event::Bundle(BundleEvent::Created(bundle)) => {
            bundle.default_expiry_days.is_none_or(|days| (1..=DEFAULT_EXPIRY_DAYS_MAX).contains(&days.into()))
        }
        Event::Consent(ConsentEvent::Requested(asked)) => asked.metadata.is_canonical(),
        Event::Workspace(WorkspaceEvent::Described(metadata)) => metadata.is_canonical(),
        Event::Agent(AgentEvent::Registered(registered)) => registered.metadata.is_canonical(),
        Event::Device(DeviceEvent::Registered(terms)) => terms.metadata.is_canonical(),
        Event::Device(DeviceEvent::Attested { attestation, .. }) => attestation.is_canonical(),
        Event::Payment(PaymentEvent::Decided(decided)) => decided.context.is_canonical(),
        Event::Payment(PaymentEvent::IntentCreated(created)) => created.metadata.is_canonical(),
        Event::ConsentAgent(event) => match event {
            ConsentAgentEvent::Created { public_key: (sign, _), terms, .. } => matches!(sign, 2 | 3) && is_life(terms.token_life_s),
            ConsentAgentEvent::Changed { terms, .. } => is_life(terms.token_life_s),
            ConsentAgentEvent::SecretRotated { generation, .. } => *generation > 0,
        },
        Event::Authorization(AuthorizationEvent::Revoked(_))
        | Event::Check(CheckEvent::TokenVerified(_))
        | Event::Consent(_)
        | Event::ApiKey(_)
        | Event::SigningKey(_)
        | Event::Confirmation(_)
        | Event::Escalation(_)
        | Event::Bundle(BundleEvent::Deleted { .. })
        | Event::Tombstone(_)
        | Event::Workspace(WorkspaceEvent::Created { .. } | WorkspaceEvent::Changed { .. })
        | Event::Agent(AgentEvent::StatusChanged { .. } | AgentEvent::CredentialIssued { .. })
        | Event::Device(DeviceEvent::Revoked { .. })
        | Event::Payment(
            PaymentEvent::Authorised(_)
            | PaymentEvent::Refused(_)
            | PaymentEvent::Captured(_)
            | PaymentEvent::Cancelled(_)
            | PaymentEvent::Abandoned(_)
            | PaymentEvent::TokenIssued(_)
            | PaymentEvent::Queued(_)
            | PaymentEvent::Reconciled(_),
        ) => true,
    }
}

fn is_life(seconds: u32) -> bool {
    (1..=TOKEN_LIFE_S_MAX).contains(&seconds.into())
}

/// The members of a record's line by their types.
struct Shape {
    hash: Hash,
    record: Bytes,
    receipt: Option<Value>,
}

enum Bytes {
    Whole(Vec<u8>),
    Hidden(Vec<u8>),
}

impl Shape {
    fn read(line: &[u8], in_story: bool) -> Option<Self> {
        let Value::Object(mut object) = members::line(line)? else { return None };
        let hash = data_encoding::HEXLOWER.decode(members::text(&object, "hash")?.as_bytes()).ok()?;
        let hash = Hash(hash.try_into().ok()?);
        let hidden = object.get("hidden").is_some();
        members::only(&object, if hidden { &["hash", "hidden"] } else { &["hash", "record", "receipt"] })?;
        if hidden {
            let bytes = crate::base64::decode(members::text(&object, "hidden")?)?;
            return in_story.then_some(Self { hash, record: Bytes::Hidden(bytes), receipt: None });
        }
        let bytes = crate::base64::decode(members::text(&object, "record")?)?;
        let receipt = object.remove("receipt");
        let is_one = receipt.as_ref().is_none_or(|receipt| receipt.as_object().is_some());
        is_one.then_some(Self { hash, record: Bytes::Whole(bytes), receipt })
    }

    fn stored(&self) -> Option<Stored<'_>> {
        match &self.record {
            Bytes::Whole(bytes) => Stored::whole(bytes),
            Bytes::Hidden(bytes) => Stored::hidden(bytes),
        }
    }
}
