//! What must be true of payments in every log, from its records alone: no limit is passed at any instant, no decision is consumed
//! twice, and nothing is authorised after a revoke.

use std::collections::{BTreeMap, BTreeSet};

use allowlog_proto::event::{AgentEvent, AgentStatus, AuthorizationEvent, Delegated, Event, PaymentEvent, Settlement, Verdict};
use allowlog_proto::id::{AuthorizationId, OfflineTokenId, PaymentIntentId, ReceiptId, RegisteredAgentId};
use allowlog_proto::money::Currency;
use allowlog_proto::record::Record;
use allowlog_proto::time::Timestamp;

const A_DAY: u64 = 86_400_000;

/// Something that counts against limits.
#[derive(Debug)]
struct Spent {
    by: By,
    delegation: AuthorizationId,
    currency: Currency,
    at: Timestamp,
    amount: i64,
    /// While it is a reservation only, until when.
    until: Option<Timestamp>,
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum By {
    Intent(PaymentIntentId),
    Token(OfflineTokenId),
}

#[derive(Default)]
struct Audit {
    delegations: BTreeMap<AuthorizationId, Delegated>,
    /// Delegations that were revoked, and agents that may not act.
    revoked: BTreeSet<AuthorizationId>,
    idle: BTreeSet<RegisteredAgentId>,
    consumed: BTreeSet<ReceiptId>,
    spent: Vec<Spent>,
}

/// Looks through a whole log.
pub(crate) fn assert_limits_held<'r>(records: impl IntoIterator<Item = &'r Record>) {
    let mut audit = Audit::default();
    for record in records {
        audit.admit(&record.event, record.time);
    }
}

impl Audit {
    fn admit(&mut self, event: &Event, now: Timestamp) {
        match event {
            Event::Authorization(AuthorizationEvent::Granted(granted)) => {
                if let Some(delegated) = granted.delegation.as_deref() {
                    self.delegations.insert(granted.authorization_id, delegated.clone());
                }
            }
            Event::Authorization(AuthorizationEvent::Revoked(revoked)) => {
                self.revoked.insert(revoked.authorization_id);
            }
            Event::Agent(AgentEvent::StatusChanged { agent_id, status }) => match status {
                AgentStatus::Active => drop(self.idle.remove(agent_id)),
                AgentStatus::Suspended | AgentStatus::Revoked => drop(self.idle.insert(*agent_id)),
            },
            Event::Payment(event) => self.admit_payment(event, now),
            Event::Agent(AgentEvent::Registered(_) | AgentEvent::CredentialIssued { .. })
            | Event::Workspace(_)
            | Event::ApiKey(_)
            | Event::SigningKey(_)
            | Event::Check(_)
            | Event::Confirmation(_)
            | Event::Escalation(_)
            | Event::Bundle(_)
            | Event::Tombstone(_)
            | Event::ConsentAgent(_)
            | Event::Consent(_)
            | Event::Device(_) => {}
        }
    }

    fn admit_payment(&mut self, event: &PaymentEvent, now: Timestamp) {
        match event {
            PaymentEvent::Decided(decided) => {
                if let (Verdict::Allow { .. }, Some(id)) = (&decided.verdict, decided.subject.authorization_id()) {
                    self.assert_stands(id);
                }
            }
            PaymentEvent::Authorised(moved) => {
                self.assert_stands(moved.authorization_id);
                let decision = moved.decision.expect("a decision");
                assert!(self.consumed.insert(decision), "{decision} is consumed twice");
                let by = By::Intent(moved.intent_id);
                let (delegation, currency, amount) = (moved.authorization_id, moved.currency, moved.amount.get());
                self.spent.push(Spent { by, delegation, currency, at: now, amount, until: None });
                self.assert_within(delegation, currency, now);
            }
            PaymentEvent::Captured(moved) => self.change(By::Intent(moved.intent_id), |spent| spent.amount = moved.amount.get()),
            PaymentEvent::Cancelled(moved) => self.change(By::Intent(moved.intent_id), |spent| spent.amount = 0),
            PaymentEvent::TokenIssued(issued) => {
                self.assert_stands(issued.authorization_id);
                let until = Some(issued.expires_at.saturating_add_ms(A_DAY));
                let (delegation, currency, amount) = (issued.authorization_id, issued.currency, issued.max_amount.get());
                self.spent.push(Spent { by: By::Token(issued.token_id), delegation, currency, at: now, amount, until });
                self.assert_within(delegation, currency, now);
            }
            PaymentEvent::Reconciled(one) if one.settlement == Settlement::Settled => {
                let spent = self.spent.iter().find(|spent| spent.by == By::Token(one.token_id)).expect("a token");
                assert!(spent.until.is_some_and(|until| now < until), "a token is settled once, while it reserves something");
                assert!(one.amount.get() <= spent.amount && one.currency == spent.currency, "and for no more");
                self.change(By::Token(one.token_id), |spent| (spent.amount, spent.until) = (one.amount.get(), None));
                self.assert_within(one.authorization_id, one.currency, now);
            }
            PaymentEvent::Reconciled(_)
            | PaymentEvent::Refused(_)
            | PaymentEvent::IntentCreated(_)
            | PaymentEvent::Abandoned(_)
            | PaymentEvent::Queued(_) => {}
        }
    }

    fn change(&mut self, by: By, change: impl Fn(&mut Spent)) {
        self.spent.iter_mut().filter(|spent| spent.by == by).for_each(change);
    }

    fn assert_stands(&self, id: AuthorizationId) {
        assert!(!self.revoked.contains(&id), "{id} was revoked");
        assert!(!self.idle.contains(&self.delegations[&id].agent_id), "the agent of {id} may not act");
    }

    /// Of every day, and of every window of the length of the period, that ends where something was spent.
    fn assert_within(&self, id: AuthorizationId, currency: Currency, now: Timestamp) {
        let limits = &self.delegations[&id].limits;
        let counts = |spent: &&Spent| spent.delegation == id && spent.currency == currency && spent.until.is_none_or(|until| now < until);
        let all: Vec<&Spent> = self.spent.iter().filter(counts).collect();
        let sum = |within: &dyn Fn(Timestamp) -> bool| all.iter().filter(|spent| within(spent.at)).map(|spent| spent.amount).sum::<i64>();
        for end in all.iter().map(|spent| spent.at) {
            if let Some(most) = limits.daily {
                assert!(sum(&|at| at.to_string()[..10] == end.to_string()[..10]) <= most.get(), "{id} passes its day at {now}: {all:?}");
            }
            if let Some(period) = limits.period {
                let within = |at: Timestamp| at <= end && end < at.saturating_add_ms(period.interval.as_ms());
                assert!(sum(&within) <= period.amount.get(), "{id} passes its period at {now}: {all:?}");
            }
        }
    }
}
