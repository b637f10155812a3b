//! Tokens that are paid with offline, and what devices told of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use allowlog_proto::event::{Queued, Reconciled, Settlement, TokenIssued};
use allowlog_proto::id::{AuthorizationId, OfflineTokenId, OfflineTransactionId, ReceiptId, WorkspaceId};
use allowlog_proto::limits::OFFLINE_GRACE_MS;
use allowlog_proto::money::{Amount, Currency};
use allowlog_proto::record::Record;
use allowlog_proto::text::{ClientRef, MerchantId, OpaqueId};
use allowlog_proto::time::Timestamp;

use super::stored::{Stored, stored};
use super::{Lapse, State};

/// A token that is paid with offline, once; it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineToken {
    /// Under which delegation.
    pub authorization_id: AuthorizationId,
    /// The receipt of it.
    pub receipt_id: ReceiptId,
    /// What shows that it was spent.
    pub nullifier: [u8; 16],
    /// At most so much.
    pub max_amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// To whom; anybody if nothing is said.
    pub merchants: Option<Vec<MerchantId>>,
    /// From this instant on nobody takes it.
    pub expires_at: Timestamp,
    /// The transaction that was settled.
    pub spent_by: Option<OfflineTransactionId>,
}

stored!(OfflineToken { authorization_id, receipt_id, nullifier, max_amount, currency, merchants, expires_at, spent_by });

impl OfflineToken {
    /// From this instant on what it reserved is given back.
    pub const fn reserved_until(&self) -> Timestamp {
        self.expires_at.saturating_add_ms(OFFLINE_GRACE_MS)
    }
}

/// A payment that a device told of; it stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineTransaction {
    /// With which token.
    pub token_id: OfflineTokenId,
    /// To whom.
    pub merchant_id: MerchantId,
    /// How much.
    pub amount: Amount,
    /// Of what.
    pub currency: Currency,
    /// When, as the device says.
    pub occurred_at: Option<Timestamp>,
    /// What the device calls it.
    pub client_ref: Option<ClientRef>,
    /// When the device told of it.
    pub queued_at: Timestamp,
    /// What came of it, the receipt of that, and when.
    pub settled: Option<((Settlement, ReceiptId), Timestamp)>,
}

stored!(OfflineTransaction { token_id, merchant_id, amount, currency, occurred_at, client_ref, queued_at, settled });

/// All that one device told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queue {
    transactions: BTreeMap<OfflineTransactionId, OfflineTransaction>,
    /// Those that nothing has come of yet.
    waiting: BTreeSet<OfflineTransactionId>,
    by_ref: BTreeMap<ClientRef, OfflineTransactionId>,
}

impl Queue {
    /// All of them, oldest first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = (OfflineTransactionId, &OfflineTransaction)> {
        self.transactions.iter().map(|(id, transaction)| (*id, transaction))
    }

    /// Those that nothing has come of yet, oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = (OfflineTransactionId, &OfflineTransaction)> {
        self.waiting.iter().filter_map(|id| Some((*id, self.transactions.get(id)?)))
    }

    /// How many those are.
    pub fn waiting_count(&self) -> usize {
        self.waiting.len()
    }

    /// One of them.
    pub fn get(&self, id: OfflineTransactionId) -> Option<&OfflineTransaction> {
        self.transactions.get(&id)
    }

    /// The one that the device calls so.
    pub fn called(&self, client_ref: &ClientRef) -> Option<(OfflineTransactionId, &OfflineTransaction)> {
        let id = *self.by_ref.get(client_ref)?;
        Some((id, self.transactions.get(&id)?))
    }

    fn insert(&mut self, id: OfflineTransactionId, transaction: OfflineTransaction) {
        if transaction.settled.is_none() {
            self.waiting.insert(id);
        }
        if let Some(client_ref) = &transaction.client_ref {
            self.by_ref.insert(client_ref.clone(), id);
        }
        let before = self.transactions.insert(id, transaction);
        assert!(before.is_none(), "a transaction is queued once");
    }
}

/// As the map alone; the rest follows from it.
impl Stored for Queue {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.transactions.save(to)
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        let mut this = Self::default();
        for (id, transaction) in BTreeMap::<OfflineTransactionId, OfflineTransaction>::load(from)? {
            this.insert(id, transaction);
        }
        Ok(this)
    }
}

/// All tokens, and what shows that they were spent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct OfflineTokens {
    by_id: BTreeMap<(WorkspaceId, OfflineTokenId), OfflineToken>,
    nullifiers: BTreeMap<(WorkspaceId, [u8; 16]), OfflineTokenId>,
}

impl OfflineTokens {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }
}

impl Stored for OfflineTokens {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.by_id.save(to)
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        let by_id = BTreeMap::<(WorkspaceId, OfflineTokenId), OfflineToken>::load(from)?;
        let nullifiers = by_id.iter().map(|((workspace_id, id), token)| ((*workspace_id, token.nullifier), *id)).collect();
        Ok(Self { by_id, nullifiers })
    }
}

impl State {
    /// The token, if it is this workspace's.
    pub fn offline_token(&self, workspace_id: WorkspaceId, id: OfflineTokenId) -> Option<&OfflineToken> {
        self.offline_tokens.by_id.get(&(workspace_id, id))
    }

    /// The token with this nullifier, if it is this workspace's.
    pub fn nullified_by(&self, workspace_id: WorkspaceId, nullifier: [u8; 16]) -> Option<(OfflineTokenId, &OfflineToken)> {
        let id = *self.offline_tokens.nullifiers.get(&(workspace_id, nullifier))?;
        Some((id, self.offline_token(workspace_id, id)?))
    }

    /// What a device of this workspace told, in the caller's words for it.
    pub fn offline_queue(&self, workspace_id: WorkspaceId, device: &OpaqueId) -> Option<&Queue> {
        self.offline_queues.get(&(workspace_id, device.clone()))
    }

    pub(super) fn apply_token_issued(&mut self, record: &Record, issued: &TokenIssued) {
        if let Some(escalation_id) = issued.consumed {
            self.consume_approval(record, escalation_id);
        }
        let token = OfflineToken {
            authorization_id: issued.authorization_id,
            receipt_id: issued.receipt_id,
            nullifier: issued.nullifier,
            max_amount: issued.max_amount,
            currency: issued.currency,
            merchants: issued.merchants.clone(),
            expires_at: issued.expires_at,
            spent_by: None,
        };
        let until = token.reserved_until();
        let (spend, _) = self.spend_mut(record.workspace_id, issued.authorization_id, issued.currency, record.time);
        spend.reserve(issued.token_id, issued.max_amount, until);
        self.lapses.insert((until, Lapse::Reservation(record.workspace_id, issued.token_id)));
        let before = self.offline_tokens.by_id.insert((record.workspace_id, issued.token_id), token);
        assert!(before.is_none(), "a token is issued once");
        let before = self.offline_tokens.nullifiers.insert((record.workspace_id, issued.nullifier), issued.token_id);
        assert!(before.is_none(), "a nullifier is given out once");
    }

    /// What an unused token reserved is given back.
    pub(super) fn forget_reservation(&mut self, workspace_id: WorkspaceId, id: OfflineTokenId, now: Timestamp) {
        let Some(token) = self.offline_token(workspace_id, id) else { return };
        let (authorization_id, currency) = (token.authorization_id, token.currency);
        self.spend_mut(workspace_id, authorization_id, currency, now).0.release(id);
    }

    pub(super) fn apply_queued(&mut self, record: &Record, queued: &Queued) {
        let transaction = OfflineTransaction {
            token_id: queued.token_id,
            merchant_id: queued.merchant_id.clone(),
            amount: queued.amount,
            currency: queued.currency,
            occurred_at: queued.occurred_at,
            client_ref: queued.client_ref.clone(),
            queued_at: record.time,
            settled: None,
        };
        let queue = self.offline_queues.entry((record.workspace_id, queued.device.clone())).or_default();
        queue.insert(queued.transaction_id, transaction);
    }

    pub(super) fn apply_reconciled(&mut self, record: &Record, reconciled: &Reconciled) {
        let queue = self.offline_queues.get_mut(&(record.workspace_id, reconciled.device.clone()));
        let Some(queue) = queue.filter(|queue| queue.waiting.contains(&reconciled.transaction_id)) else {
            unreachable!("a transaction is queued before it is reconciled, once");
        };
        queue.waiting.remove(&reconciled.transaction_id);
        if let Some(transaction) = queue.transactions.get_mut(&reconciled.transaction_id) {
            transaction.settled = Some(((reconciled.settlement, reconciled.receipt_id), record.time));
        }
        if reconciled.settlement == Settlement::Settled {
            let Some(token) = self.offline_tokens.by_id.get_mut(&(record.workspace_id, reconciled.token_id)) else {
                unreachable!("a token is issued before it is spent");
            };
            let before = token.spent_by.replace(reconciled.transaction_id);
            assert!(before.is_none(), "a token is spent once");
            let lapse = (token.reserved_until(), Lapse::Reservation(record.workspace_id, reconciled.token_id));
            self.lapses.remove(&lapse);
            let (spend, interval) = self.spend_mut(record.workspace_id, reconciled.authorization_id, reconciled.currency, record.time);
            // When it was paid only the device knows: it counts from now on, as what was held has counted until now.
            spend.release(reconciled.token_id);
            spend.take(record.time, reconciled.receipt_id, reconciled.amount, interval);
        }
    }
}
