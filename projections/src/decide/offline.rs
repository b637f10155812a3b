//! Tokens that are paid with where the server cannot be asked: their amount is reserved when they are made, and each is spent once, by
//! whoever is reconciled first.
//!
//! Source: section 6 of the AffixIO API.

use std::collections::BTreeSet;

use allowlog_proto::api::affixio::{GateBody, OfflineTokenBody, ReconcileBody, TransactionBody, TransactionsBody};
use allowlog_proto::event::{Event, Payment, PaymentEvent, Purpose, Queued, Reconciled, Settlement, TokenIssued, Verdict};
use allowlog_proto::id::{OfflineTokenId, OfflineTransactionId, ReceiptId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::limits::{OFFLINE_QUEUE_MAX, OFFLINE_TOKENS_MAX, OFFLINE_TRANSACTIONS_MAX};
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::text::{Channel, MerchantId, OpaqueId};
use allowlog_proto::time::Timestamp;
use allowlog_proto::token::whole_second;

use super::gate::Scene;
use super::outcome::Settled;
use super::{Decided, Outcome};
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::{OfflineTransaction, State};

/// How an offline token is paid with: where a delegation names channels, it names this one.
const OFFLINE: &str = "offline";

/// Makes a token, if the gate lets so much be paid; else the denial is recorded as any other.
pub(super) fn issue(
    state: &State,
    workspace_id: WorkspaceId,
    body: &OfflineTokenBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let gate = GateBody {
        purpose: Purpose::OfflineToken,
        agent: Some(body.agent.clone()),
        delegation: Some(body.delegation.clone()),
        device: Some(body.device.clone()),
        permission: None,
        payment: Payment {
            merchant_id: None,
            amount: Some(body.max_amount),
            currency: Some(body.currency),
            channel: Channel::new(OFFLINE).ok(),
            category: None,
            intent_id: None,
        },
        resource: None,
        context: CanonicalObject::default(),
    };
    let scene = Scene::of(state, workspace_id, &gate, now);
    let merchants = match (&body.merchants, scene.delegation.map(|under| &under.delegation.limits)) {
        (Some(merchants), _) => Some(merchants.clone()),
        (None, None) => None,
        (None, Some(limits)) => match &limits.merchants {
            Some(allowed) => Some(allowed.iter().filter(|id| !limits.blocked_merchants.contains(id)).cloned().collect()),
            None if limits.blocked_merchants.is_empty() => None,
            None => return Err(Rejected::field("body.merchant_ids", "is required: the delegation blocks merchants, and a token cannot")),
        },
    };
    if scene.delegation.is_some_and(|under| under.delegation.tokens_held(now) >= OFFLINE_TOKENS_MAX) {
        return Err(Rejected::Conflict("the delegation has as many offline tokens as one may have"));
    }
    let scene = Scene { merchants: merchants.as_deref(), ..scene };
    let ruling = scene.rule(ids);
    let (Verdict::Allow { consumed }, Some(under), Some(max_amount)) = (&ruling.verdict, scene.delegation, ruling.amount) else {
        let event = scene.decided(&gate, ruling, ids);
        return Ok(Decided::answered_by(workspace_id, vec![event], now));
    };
    let end = under.authorization.expires_at.unwrap_or(Timestamp::MAX);
    let issued = TokenIssued {
        receipt_id: ReceiptId::from_bytes(ids.mint(now)),
        authorization_id: under.id,
        user_id: under.authorization.user_id.clone(),
        agent_id: under.authorization.agent_id.clone(),
        token_id: OfflineTokenId::from_bytes(ids.mint(now)),
        nullifier: ids.draw(),
        device: body.device.clone(),
        consumed: *consumed,
        scope: ruling.scope,
        max_amount,
        currency: body.currency,
        merchants,
        codes: ruling.codes,
        // In whole seconds, as the token says it, and never past the delegation's end.
        expires_at: whole_second(now.saturating_add_ms(body.life_ms).min(end)),
        policy_version: PolicyVersion::CURRENT,
    };
    Ok(Decided::answered_by(workspace_id, vec![Event::Payment(PaymentEvent::TokenIssued(Box::new(issued)))], now))
}

/// A device tells what it paid: each once, also where it tells of it twice.
pub(super) fn queue(
    state: &State,
    workspace_id: WorkspaceId,
    body: &TransactionsBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let before = state.offline_queue(workspace_id, &body.device);
    let mut queued: Vec<Queued> = Vec::new();
    for (i, transaction) in body.transactions.iter().enumerate() {
        let fault = |name: &str, message: &str| Err(Rejected::field(&format!("body.transactions[{i}].{name}"), message));
        let found = transaction.nullifier.and_then(|nullifier| state.nullified_by(workspace_id, nullifier));
        let Some((token_id, token)) = found else { return fault("nullifier", "is that of no token of this org") };
        if let Some(client_ref) = &transaction.client_ref {
            let told = before.and_then(|queue| queue.called(client_ref)).map(|(_, told)| is_same(transaction, token_id, told));
            let here = queued.iter().find(|q| q.client_ref.as_ref() == Some(client_ref)).map(|q| is_same_here(transaction, token_id, q));
            match told.or(here) {
                Some(true) => continue,
                Some(false) => return Err(Rejected::Conflict("the device has called another transaction so")),
                None => {}
            }
        }
        queued.push(Queued {
            authorization_id: token.authorization_id,
            transaction_id: OfflineTransactionId::from_bytes(ids.mint(now)),
            token_id,
            device: body.device.clone(),
            merchant_id: transaction.merchant_id.clone(),
            amount: transaction.amount,
            currency: transaction.currency,
            occurred_at: transaction.occurred_at,
            client_ref: transaction.client_ref.clone(),
        });
    }
    if before.map_or(0, |queue| queue.waiting_count()).saturating_add(queued.len()) > OFFLINE_QUEUE_MAX {
        return Err(Rejected::Conflict("as many transactions wait as a device may have; reconcile them first"));
    }
    let outcome = Outcome::Queued(queued.iter().map(|queued| queued.transaction_id).collect());
    let events = queued.into_iter().map(|queued| Event::Payment(PaymentEvent::Queued(Box::new(queued)))).collect();
    Ok(Decided { workspace_id, events, outcome })
}

fn is_same(told: &TransactionBody, token_id: OfflineTokenId, before: &OfflineTransaction) -> bool {
    before.token_id == token_id
        && before.merchant_id == told.merchant_id
        && (before.amount, before.currency, before.occurred_at) == (told.amount, told.currency, told.occurred_at)
}

fn is_same_here(told: &TransactionBody, token_id: OfflineTokenId, before: &Queued) -> bool {
    before.token_id == token_id
        && before.merchant_id == told.merchant_id
        && (before.amount, before.currency, before.occurred_at) == (told.amount, told.currency, told.occurred_at)
}

/// Settles what a device told, the oldest first, up to a hundred at a time.
pub(super) fn reconcile(
    state: &State,
    workspace_id: WorkspaceId,
    body: &ReconcileBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let mut results = Vec::new();
    // Tokens that were spent in this very call.
    let mut spent = BTreeSet::new();
    let waiting = state.offline_queue(workspace_id, &body.device).into_iter().flat_map(|queue| queue.waiting());
    for (transaction_id, transaction) in waiting.take(OFFLINE_TRANSACTIONS_MAX) {
        let is_spent = spent.contains(&transaction.token_id);
        let settlement = settlement(state, workspace_id, transaction, is_spent, now)?;
        if settlement == Settlement::Settled {
            spent.insert(transaction.token_id);
        }
        results.push(reconciled(state, workspace_id, &body.device, (transaction_id, transaction), settlement, now, ids)?);
    }
    let events = results.iter().map(|reconciled| Event::Payment(PaymentEvent::Reconciled(Box::new(reconciled.clone())))).collect();
    Ok(Decided { workspace_id, events, outcome: Outcome::Reconciled(Settled { reconciled_at: now, results }) })
}

/// What comes of a transaction: the first that applies.
fn settlement(
    state: &State,
    workspace_id: WorkspaceId,
    transaction: &OfflineTransaction,
    is_spent: bool,
    now: Timestamp,
) -> Result<Settlement, Rejected> {
    let token = state.offline_token(workspace_id, transaction.token_id).ok_or(Rejected::NotFound("token"))?;
    let pays = |id: &MerchantId| token.merchants.as_ref().is_none_or(|merchants| merchants.contains(id));
    Ok(if is_spent || token.spent_by.is_some() {
        Settlement::DoubleSpend
    } else if transaction.occurred_at.is_some_and(|at| at >= token.expires_at) || now >= token.reserved_until() {
        Settlement::Expired
    } else if transaction.amount > token.max_amount || transaction.currency != token.currency || !pays(&transaction.merchant_id) {
        Settlement::OverLimit
    } else {
        Settlement::Settled
    })
}

fn reconciled(
    state: &State,
    workspace_id: WorkspaceId,
    device: &OpaqueId,
    (transaction_id, transaction): (OfflineTransactionId, &OfflineTransaction),
    settlement: Settlement,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Reconciled, Rejected> {
    let token = state.offline_token(workspace_id, transaction.token_id).ok_or(Rejected::NotFound("token"))?;
    let authorization = state.authorization(workspace_id, token.authorization_id).ok_or(Rejected::NotFound("delegation"))?;
    Ok(Reconciled {
        receipt_id: ReceiptId::from_bytes(ids.mint(now)),
        authorization_id: token.authorization_id,
        user_id: authorization.user_id.clone(),
        agent_id: authorization.agent_id.clone(),
        transaction_id,
        token_id: transaction.token_id,
        device: device.clone(),
        merchant_id: transaction.merchant_id.clone(),
        amount: transaction.amount,
        currency: transaction.currency,
        settlement,
        policy_version: PolicyVersion::CURRENT,
    })
}
