//! Decisions that can still be consumed, and payment intents.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use allowlog_proto::event::{Code, IntentCreated, IntentMoved, Payment, PaymentDecided, PaymentEvent, Purpose, Verdict};
use allowlog_proto::id::{AuthorizationId, PaymentIntentId, ReceiptId, RegisteredAgentId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::limits::DECISION_LIFE_MS;
use allowlog_proto::money::{Amount, Currency};
use allowlog_proto::record::Record;
use allowlog_proto::text::{Channel, MerchantId, OpaqueId, ScopeName};
use allowlog_proto::time::Timestamp;

use super::spend::minor;
use super::stored::{Stored, stored, unknown};
use super::{Lapse, State};

/// What the gate decided a moment ago, as far as it can be consumed, or be told that it cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveDecision {
    /// Under which delegation, if there was one.
    pub authorization_id: Option<AuthorizationId>,
    /// From which device, in the caller's words.
    pub device: Option<OpaqueId>,
    /// By which permission, as it was named or granted.
    pub scope: ScopeName,
    /// What may be paid.
    pub payment: Payment,
    /// Whether an intent may be authorised by it.
    pub is_consumable: bool,
    /// At most so much may be authorised.
    pub max_amount: Option<Amount>,
    /// Time of its record.
    pub decided_at: Timestamp,
    /// From this instant on it cannot be consumed.
    pub expires_at: Timestamp,
}

stored!(LiveDecision { authorization_id, device, scope, payment, is_consumable, max_amount, decided_at, expires_at });

/// What somebody wants to pay; it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The delegation that is named in it.
    pub authorization_id: Option<AuthorizationId>,
    /// To whom.
    pub merchant_id: MerchantId,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// How.
    pub channel: Option<Channel>,
    /// Who wants to pay, if that is named.
    pub agent_id: Option<RegisteredAgentId>,
    /// From which device, in the caller's words.
    pub device: Option<OpaqueId>,
    /// The decision it is to be authorised by, if that is named.
    pub decision: Option<ReceiptId>,
    /// The caller's own.
    pub metadata: CanonicalObject,
    /// Time of its record.
    pub created_at: Timestamp,
    /// From this instant on it cannot be authorised.
    pub expires_at: Timestamp,
    /// How far it is.
    pub progress: Progress,
}

stored!(Intent {
    authorization_id,
    merchant_id,
    amount,
    currency,
    channel,
    agent_id,
    device,
    decision,
    metadata,
    created_at,
    expires_at,
    progress
});

/// How far an intent is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// Nothing has been consumed for it.
    Created,
    /// A decision was consumed, and the limits with it.
    Authorised(Authorisation),
    /// It is paid.
    Captured(Authorisation, Done),
    /// It is over, authorised before or not.
    Cancelled(Option<Authorisation>, Done),
}

/// A decision was consumed, and the limits with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorisation {
    /// Whose limits.
    pub authorization_id: AuthorizationId,
    /// Which decision.
    pub decision: ReceiptId,
    /// How much.
    pub amount: Amount,
    /// The receipt of it.
    pub receipt_id: ReceiptId,
    /// When.
    pub at: Timestamp,
}

/// The end of an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// How much of it was paid, or will not be.
    pub amount: Amount,
    /// The receipt of it, if there is one.
    pub receipt_id: Option<ReceiptId>,
    /// When.
    pub at: Timestamp,
}

stored!(Authorisation { authorization_id, decision, amount, receipt_id, at });
stored!(Done { amount, receipt_id, at });

/// How far an intent is, as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntentStatus {
    /// Nothing has been consumed for it.
    Created,
    /// It can be captured or cancelled.
    Authorised,
    /// It is paid.
    Captured,
    /// It is over.
    Cancelled,
    /// Its time was over before anything was authorised.
    Expired,
}

impl IntentStatus {
    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Authorised => "authorised",
            Self::Captured => "captured",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl Intent {
    /// How far it is at `now`.
    pub fn status(&self, now: Timestamp) -> IntentStatus {
        match self.progress {
            Progress::Created if self.is_expired(now) => IntentStatus::Expired,
            Progress::Created => IntentStatus::Created,
            Progress::Authorised(_) => IntentStatus::Authorised,
            Progress::Captured(..) => IntentStatus::Captured,
            Progress::Cancelled(..) => IntentStatus::Cancelled,
        }
    }

    /// Whether its time was over before anything was authorised.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        matches!(self.progress, Progress::Created) && now >= self.expires_at
    }
}

/// When a decision can be forgotten: not before what it was is told by its age alone, however early its delegation ends.
const fn lapses_at(decided_at: Timestamp) -> Timestamp {
    decided_at.saturating_add_ms(DECISION_LIFE_MS)
}

/// All decisions that are live, found by what they allow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct LiveDecisions {
    by_id: BTreeMap<(WorkspaceId, ReceiptId), LiveDecision>,
    /// Those that can be consumed, by what they let be paid to whom.
    offers: BTreeMap<((WorkspaceId, Currency), MerchantId), BTreeSet<ReceiptId>>,
    /// Those that were made for one intent.
    of_intents: BTreeMap<(WorkspaceId, OpaqueId), BTreeSet<ReceiptId>>,
}

impl LiveDecisions {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn insert(&mut self, key: (WorkspaceId, ReceiptId), decision: LiveDecision) {
        if decision.is_consumable {
            if let Some(offer) = offer(key.0, &decision.payment) {
                self.offers.entry(offer).or_default().insert(key.1);
            }
            if let Some(intent_id) = &decision.payment.intent_id {
                self.of_intents.entry((key.0, intent_id.clone())).or_default().insert(key.1);
            }
        }
        self.by_id.insert(key, decision);
    }

    pub(super) fn remove(&mut self, key: (WorkspaceId, ReceiptId)) {
        let Some(decision) = self.by_id.remove(&key) else { return };
        if let Some(offer) = offer(key.0, &decision.payment) {
            remove_from(&mut self.offers, offer, key.1);
        }
        if let Some(intent_id) = decision.payment.intent_id {
            remove_from(&mut self.of_intents, (key.0, intent_id), key.1);
        }
    }
}

fn remove_from<K: Ord>(ids: &mut BTreeMap<K, BTreeSet<ReceiptId>>, key: K, id: ReceiptId) {
    if let Entry::Occupied(mut found) = ids.entry(key) {
        found.get_mut().remove(&id);
        if found.get().is_empty() {
            found.remove();
        }
    }
}

fn offer(workspace_id: WorkspaceId, payment: &Payment) -> Option<((WorkspaceId, Currency), MerchantId)> {
    Some(((workspace_id, payment.currency?), payment.merchant_id.clone()?))
}

/// As the map alone; the rest follows from it.
impl Stored for LiveDecisions {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.by_id.save(to)
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        let mut this = Self::default();
        for (key, decision) in BTreeMap::<(WorkspaceId, ReceiptId), LiveDecision>::load(from)? {
            this.insert(key, decision);
        }
        Ok(this)
    }
}

/// All payment intents, and which decisions they have used up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Intents {
    by_id: BTreeMap<(WorkspaceId, PaymentIntentId), Intent>,
    consumed: BTreeMap<(WorkspaceId, ReceiptId), PaymentIntentId>,
}

impl Intents {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}

impl Stored for Intents {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.by_id.save(to)
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        let by_id = BTreeMap::<(WorkspaceId, PaymentIntentId), Intent>::load(from)?;
        let consumed =
            by_id.iter().filter_map(|((workspace_id, id), intent)| Some(((*workspace_id, intent.authorisation()?.decision), *id)));
        Ok(Self { consumed: consumed.collect(), by_id })
    }
}

impl Intent {
    /// What was authorised, whatever became of it.
    pub const fn authorisation(&self) -> Option<&Authorisation> {
        match &self.progress {
            Progress::Created => None,
            Progress::Authorised(authorisation) | Progress::Captured(authorisation, _) => Some(authorisation),
            Progress::Cancelled(authorisation, _) => authorisation.as_ref(),
        }
    }
}

impl State {
    /// The decision, while it is live, if it is this workspace's.
    pub fn live_decision(&self, workspace_id: WorkspaceId, id: ReceiptId) -> Option<&LiveDecision> {
        self.decisions.by_id.get(&(workspace_id, id))
    }

    /// Decisions that can be consumed for a payment of this currency to this merchant, oldest first; some may have lapsed.
    pub fn offers(
        &self,
        workspace_id: WorkspaceId,
        currency: Currency,
        merchant_id: &MerchantId,
    ) -> impl DoubleEndedIterator<Item = (ReceiptId, &LiveDecision)> {
        let ids = self.decisions.offers.get(&((workspace_id, currency), merchant_id.clone()));
        ids.into_iter().flatten().filter_map(move |id| Some((*id, self.live_decision(workspace_id, *id)?)))
    }

    /// Decisions that were made for this intent and can be consumed, oldest first; some may have lapsed.
    pub fn decisions_for(
        &self,
        workspace_id: WorkspaceId,
        intent_id: PaymentIntentId,
    ) -> impl DoubleEndedIterator<Item = (ReceiptId, &LiveDecision)> {
        let asked = OpaqueId::new(&intent_id.to_string()).ok();
        let ids = asked.and_then(|asked| self.decisions.of_intents.get(&(workspace_id, asked)));
        ids.into_iter().flatten().filter_map(move |id| Some((*id, self.live_decision(workspace_id, *id)?)))
    }

    /// The intent that has used up this decision.
    pub fn consumer_of(&self, workspace_id: WorkspaceId, decision: ReceiptId) -> Option<PaymentIntentId> {
        self.intents.consumed.get(&(workspace_id, decision)).copied()
    }

    /// The payment intent, if it is this workspace's.
    pub fn payment_intent(&self, workspace_id: WorkspaceId, id: PaymentIntentId) -> Option<&Intent> {
        self.intents.by_id.get(&(workspace_id, id))
    }

    pub(super) fn apply_payment(&mut self, record: &Record, event: &PaymentEvent) {
        match event {
            PaymentEvent::Decided(decided) => self.apply_payment_decided(record, decided),
            PaymentEvent::IntentCreated(created) => {
                let before = self.intents.by_id.insert((record.workspace_id, created.intent_id), Intent::created(created, record.time));
                assert!(before.is_none(), "a payment intent is created once");
            }
            PaymentEvent::Authorised(moved) => self.apply_authorised(record, moved),
            // Nothing was consumed.
            PaymentEvent::Refused(_) => {}
            PaymentEvent::Captured(moved) => {
                let done = Done { amount: moved.amount, receipt_id: Some(moved.receipt_id), at: record.time };
                let Some(authorisation) = self.intent_mut(record, moved.intent_id).authorisation().copied() else {
                    unreachable!("what is captured was authorised");
                };
                self.intent_mut(record, moved.intent_id).progress = Progress::Captured(authorisation, done);
                let left = minor(authorisation.amount).saturating_sub(minor(moved.amount));
                self.give_back(record, &authorisation, moved.currency, left);
            }
            PaymentEvent::Cancelled(moved) => {
                let done = Done { amount: moved.amount, receipt_id: Some(moved.receipt_id), at: record.time };
                let authorisation = self.intent_mut(record, moved.intent_id).authorisation().copied();
                self.intent_mut(record, moved.intent_id).progress = Progress::Cancelled(authorisation, done);
                if let Some(authorisation) = &authorisation {
                    self.give_back(record, authorisation, moved.currency, minor(authorisation.amount));
                }
            }
            PaymentEvent::Abandoned(intent_id) => {
                let intent = self.intent_mut(record, *intent_id);
                intent.progress = Progress::Cancelled(None, Done { amount: intent.amount, receipt_id: None, at: record.time });
            }
            PaymentEvent::TokenIssued(issued) => self.apply_token_issued(record, issued),
            PaymentEvent::Queued(queued) => self.apply_queued(record, queued),
            PaymentEvent::Reconciled(reconciled) => self.apply_reconciled(record, reconciled),
        }
    }

    fn apply_payment_decided(&mut self, record: &Record, decided: &PaymentDecided) {
        if let Some(authorization_id) = decided.subject.authorization_id() {
            let (scope, resource) = (&decided.scope, decided.resource.as_ref());
            self.apply_asked(record, authorization_id, scope, resource, &decided.verdict);
            if let Some(currency) = decided.payment.currency {
                // So that no question has to look at what has lapsed before the one before it.
                self.forget_spend(record.workspace_id, authorization_id, currency, record.time);
            }
        }
        if let Verdict::Allow { consumed: Some(escalation_id) } = &decided.verdict {
            self.consume_approval(record, *escalation_id);
        }
        match decided.purpose {
            Purpose::Permission | Purpose::Policy => {}
            Purpose::Trust | Purpose::Verification | Purpose::OfflineToken => return,
        }
        if decided.codes.contains(&Code::StepUpConfirmed)
            && let Some(authorization_id) = decided.subject.authorization_id()
        {
            self.use_confirmation(record, authorization_id, &decided.scope, &decided.resource);
        }
        let decision = LiveDecision {
            authorization_id: decided.subject.authorization_id(),
            device: decided.device.clone(),
            scope: decided.scope.clone(),
            payment: decided.payment.clone(),
            is_consumable: decided.is_consumable(),
            max_amount: decided.max_amount,
            decided_at: record.time,
            expires_at: decided.expires_at,
        };
        self.decisions.insert((record.workspace_id, decided.receipt_id), decision);
        self.lapses.insert((lapses_at(record.time), Lapse::Decision(record.workspace_id, decided.receipt_id)));
    }

    fn apply_authorised(&mut self, record: &Record, moved: &IntentMoved) {
        let Some(decision) = moved.decision else { unreachable!("an intent is authorised by a decision") };
        let authorisation = Authorisation {
            authorization_id: moved.authorization_id,
            decision,
            amount: moved.amount,
            receipt_id: moved.receipt_id,
            at: record.time,
        };
        let intent = self.intent_mut(record, moved.intent_id);
        assert!(matches!(intent.progress, Progress::Created), "an intent is authorised once");
        intent.progress = Progress::Authorised(authorisation);
        let before = self.intents.consumed.insert((record.workspace_id, decision), moved.intent_id);
        assert!(before.is_none(), "a decision is consumed once");
        if let Some(live) = self.decisions.by_id.get(&(record.workspace_id, decision)) {
            self.lapses.remove(&(lapses_at(live.decided_at), Lapse::Decision(record.workspace_id, decision)));
        }
        self.decisions.remove((record.workspace_id, decision));
        let (spend, interval) = self.spend_mut(record.workspace_id, moved.authorization_id, moved.currency, record.time);
        spend.take(record.time, moved.receipt_id, moved.amount, interval);
    }

    fn give_back(&mut self, record: &Record, authorisation: &Authorisation, currency: Currency, amount: u64) {
        let (spend, _) = self.spend_mut(record.workspace_id, authorisation.authorization_id, currency, record.time);
        spend.give_back(authorisation.at, authorisation.receipt_id, amount);
    }

    fn intent_mut(&mut self, record: &Record, id: PaymentIntentId) -> &mut Intent {
        let Some(intent) = self.intents.by_id.get_mut(&(record.workspace_id, id)) else {
            unreachable!("a payment intent is created before anything happens to it");
        };
        intent
    }
}

impl Intent {
    fn created(created: &IntentCreated, at: Timestamp) -> Self {
        Self {
            authorization_id: created.authorization_id,
            merchant_id: created.merchant_id.clone(),
            amount: created.amount,
            currency: created.currency,
            channel: created.channel.clone(),
            agent_id: created.agent_id,
            device: created.device.clone(),
            decision: created.decision,
            metadata: created.metadata.clone(),
            created_at: at,
            expires_at: created.expires_at,
            progress: Progress::Created,
        }
    }
}

impl Stored for Progress {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Created => 0_u8.save(to),
            Self::Authorised(authorisation) => {
                1_u8.save(to)?;
                authorisation.save(to)
            }
            Self::Captured(authorisation, done) => {
                2_u8.save(to)?;
                authorisation.save(to)?;
                done.save(to)
            }
            Self::Cancelled(authorisation, done) => {
                3_u8.save(to)?;
                authorisation.save(to)?;
                done.save(to)
            }
        }
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        match u8::load(from)? {
            0 => Ok(Self::Created),
            1 => Ok(Self::Authorised(Stored::load(from)?)),
            2 => Ok(Self::Captured(Stored::load(from)?, Stored::load(from)?)),
            3 => Ok(Self::Cancelled(Stored::load(from)?, Stored::load(from)?)),
            tag => Err(unknown(tag)),
        }
    }
}
