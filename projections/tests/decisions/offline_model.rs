//! What devices told of payments with offline tokens, once more: which are new, and what comes of each; and when anything about payments
//! lapses.
//!
//! Written from section 6 of the AffixIO API.

use allowlog_proto::api::affixio::TransactionsBody;
use allowlog_proto::id::{OfflineTokenId, OfflineTransactionId, WorkspaceId};
use allowlog_proto::text::OpaqueId;
use allowlog_proto::time::Timestamp;

use crate::answer::Answer;
use crate::model::{Model, after};
use crate::payment_answer::PaymentAnswer;
use crate::payment_model::{FIVE_MINUTES, Intent, Told};

impl Model {
    /// The transactions that are new, with their tokens.
    fn news(&self, workspace: WorkspaceId, body: &TransactionsBody) -> Result<Vec<(usize, OfflineTokenId)>, Box<Answer>> {
        let mut new: Vec<(usize, OfflineTokenId)> = Vec::new();
        for (place, one) in body.transactions.iter().enumerate() {
            let token = self.paid.tokens.iter().find(|token| Some(token.nullifier) == one.nullifier && token.workspace == workspace);
            let Some(token) = token else { return Err(Box::new(Answer::Invalid(format!("body.transactions[{place}].nullifier")))) };
            let before = self.paid.told.iter().filter(|told| told.workspace == workspace && told.device == body.device);
            let mut called = before.map(|told| &told.body).chain(new.iter().map(|(place, _)| &body.transactions[*place]));
            match called.find(|told| one.client_ref.is_some() && told.client_ref == one.client_ref) {
                Some(told) if told == one => {}
                Some(_) => return Err(Box::new(Answer::Refused("conflict"))),
                None => new.push((place, token.id)),
            }
        }
        Ok(new)
    }

    pub(crate) fn queue(&self, workspace: WorkspaceId, body: &TransactionsBody) -> Answer {
        self.news(workspace, body).map_or_else(|answer| *answer, |new| Answer::Payment(PaymentAnswer::Queued(new.len())))
    }

    pub(crate) fn reconcile(&self, workspace: WorkspaceId, device: &OpaqueId, now: Timestamp) -> Answer {
        let mut results: Vec<(OfflineTransactionId, &'static str)> = Vec::new();
        let mut spent: Vec<OfflineTokenId> =
            self.paid.told.iter().filter(|told| told.came_to == Some("settled")).map(|told| told.token).collect();
        let waiting = |told: &&Told| told.workspace == workspace && told.device == *device && told.came_to.is_none();
        for told in self.paid.told.iter().filter(waiting).take(100) {
            let token = self.paid.tokens.iter().find(|token| token.id == told.token).unwrap();
            let one = &told.body;
            let pays = token.merchants.as_ref().is_none_or(|all| all.contains(&one.merchant_id));
            let came_to = if spent.contains(&token.id) {
                "double_spend"
            } else if one.occurred_at.is_some_and(|at| at >= token.until) || now >= token.reserved_until() {
                "expired"
            } else if one.amount.get() > token.amount || one.currency != token.currency || !pays {
                "over_limit"
            } else {
                spent.push(token.id);
                "settled"
            };
            results.push((told.id, came_to));
        }
        Answer::Payment(PaymentAnswer::Reconciled(results))
    }

    /// The instants at which something about payments lapses or rolls out.
    pub(crate) fn payment_edges(&self) -> Vec<Timestamp> {
        let paid = &self.paid;
        let interval = |id| paid.delegations.iter().find(|d| d.id == id).and_then(|d| d.limits.period).map(|p| p.interval.as_ms());
        let decisions = paid.decisions.iter().flat_map(|decision| [decision.until, after(decision.at, FIVE_MINUTES)]);
        let intents = paid.intents.iter().filter(|intent| intent.authorised.is_none() && intent.end.is_none()).map(Intent::until);
        let tokens = paid.tokens.iter().flat_map(|token| [token.until, token.reserved_until()]);
        let spent = paid.intents.iter().filter_map(|intent| intent.authorised).map(|first| (first.delegation, first.at));
        let spent = spent.chain(paid.tokens.iter().map(|token| (token.delegation, token.at)));
        let rolls_out = spent.filter_map(|(id, at)| interval(id).map(|ms| after(at, ms)));
        decisions.chain(intents).chain(tokens).chain(rolls_out).collect()
    }
}
