//! Answers about agents, devices, delegations and payments without what chance decides, and what the model learns of them.

use allowlog_projections::command::{Payments, Registration};
use allowlog_projections::decide::{Decided, IntentAt, Outcome};
use allowlog_proto::event::{
    AgentEvent, AgentStatus, AuthorizationEvent, Code, DeviceEvent, Event, PaymentDecided, PaymentEvent, Purpose, Verdict,
};
use allowlog_proto::id::{AuthorizationId, DeviceId, EscalationId, OfflineTransactionId, ReceiptId, RegisteredAgentId, WorkspaceId};
use allowlog_proto::text::{MerchantId, ScopeName};
use allowlog_proto::time::Timestamp;

use crate::model::{Grant, Model};
use crate::payment_model::{Authorised, Decision, Delegation, Device, Intent, Payer, Token, Told};

/// An answer about payments: of a minted id remains that it is new.
#[derive(Debug, PartialEq)]
pub(crate) enum PaymentAnswer {
    Agent {
        known: Option<RegisteredAgentId>,
        stored: bool,
    },
    Credential(Option<Timestamp>),
    Device {
        known: Option<DeviceId>,
        stored: bool,
    },
    Delegation {
        known: Option<AuthorizationId>,
    },
    Ruled(Ruled),
    IntentMade(Timestamp),
    Intent {
        status: &'static str,
        amount: i64,
        decision: Option<ReceiptId>,
        at: Timestamp,
        again: bool,
    },
    Abandoned,
    Refused(&'static str, &'static str),
    Token {
        amount: i64,
        until: Timestamp,
        merchants: Option<Vec<MerchantId>>,
        codes: Vec<&'static str>,
        uses: Option<EscalationId>,
        scope: ScopeName,
    },
    Queued(usize),
    Reconciled(Vec<(OfflineTransactionId, &'static str)>),
}

/// What the gate answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ruled {
    pub(crate) action: &'static str,
    pub(crate) codes: Vec<&'static str>,
    pub(crate) max: Option<i64>,
    pub(crate) delegation: Option<AuthorizationId>,
    /// Nothing where it is denied.
    pub(crate) scope: Option<ScopeName>,
    pub(crate) until: Timestamp,
    pub(crate) uses: Option<EscalationId>,
    /// The escalation that is open, nothing if it is new, or what is asked is the user; until when.
    pub(crate) asks: Option<(Option<EscalationId>, Timestamp)>,
}

impl PaymentAnswer {
    pub(crate) const fn intent(status: &'static str, amount: i64, decision: Option<ReceiptId>, at: Timestamp, again: bool) -> Self {
        Self::Intent { status, amount, decision, at, again }
    }

    /// How many records it leaves.
    pub(crate) const fn records(&self) -> usize {
        match self {
            Self::Agent { stored: false, .. }
            | Self::Device { stored: false, .. }
            | Self::Delegation { known: Some(_) }
            | Self::Intent { again: true, .. } => 0,
            Self::Agent { stored: true, .. }
            | Self::Device { stored: true, .. }
            | Self::Credential(_)
            | Self::Delegation { known: None }
            | Self::Ruled(_)
            | Self::IntentMade(_)
            | Self::Intent { again: false, .. }
            | Self::Abandoned
            | Self::Refused(..)
            | Self::Token { .. } => 1,
            Self::Queued(count) => *count,
            Self::Reconciled(results) => results.len(),
        }
    }

    /// For whoever counts: all that is said.
    pub(crate) fn told(&self) -> Vec<&'static str> {
        match self {
            Self::Agent { .. } => vec!["payer"],
            Self::Credential(_) => vec!["credential"],
            Self::Device { .. } => vec!["device"],
            Self::Delegation { known: None } => vec!["delegated"],
            Self::Delegation { known: Some(_) } => vec!["delegation revoked again"],
            Self::Ruled(ruled) => [&ruled.codes[..], &[ruled.action]].concat(),
            Self::IntentMade(_) => vec!["intent"],
            Self::Intent { again: true, .. } => vec!["an intent moved again"],
            Self::Intent { status, .. } => vec![status],
            Self::Abandoned => vec!["abandoned"],
            Self::Refused(refusal, _) => vec!["refused when fresh", refusal],
            Self::Token { codes, .. } => [&codes[..], &["token issued"]].concat(),
            Self::Queued(0) => vec!["queued before"],
            Self::Queued(_) => vec!["queued"],
            Self::Reconciled(results) => results.iter().map(|(_, came_to)| *came_to).collect(),
        }
    }
}

fn codes(codes: &[Code]) -> Vec<&'static str> {
    codes.iter().map(|code| code.as_str()).collect()
}

fn real_ruling(decided: &PaymentDecided) -> Ruled {
    let (uses, asks) = match &decided.verdict {
        Verdict::Deny => (None, None),
        Verdict::Allow { consumed } => (*consumed, None),
        Verdict::Confirm { expires_at, .. } => (None, Some((None, *expires_at))),
        Verdict::Escalate { escalation_id, expires_at, opened, .. } => {
            (None, Some((Some(*escalation_id).filter(|_| !opened), *expires_at)))
        }
    };
    Ruled {
        action: decided.action(),
        codes: codes(&decided.codes),
        max: decided.max_amount.map(|amount| amount.get()),
        delegation: decided.subject.authorization_id(),
        scope: Some(decided.scope.clone()).filter(|_| decided.verdict != Verdict::Deny),
        until: decided.expires_at,
        uses,
        asks,
    }
}

/// What the core answered, in the words of the model.
pub(crate) fn real_payment_answer(decided: &Decided) -> PaymentAnswer {
    let first = decided.events.first();
    let stored = first.is_some();
    match &decided.outcome {
        Outcome::Agent(id) => {
            let is_new = matches!(first, Some(Event::Agent(AgentEvent::Registered(_))));
            PaymentAnswer::Agent { known: Some(*id).filter(|_| !is_new), stored }
        }
        Outcome::Credential(new) => PaymentAnswer::Credential(new.expires_at),
        Outcome::Device(id) => {
            let is_new = matches!(first, Some(Event::Device(DeviceEvent::Registered(_))));
            PaymentAnswer::Device { known: Some(*id).filter(|_| !is_new), stored }
        }
        Outcome::Delegation(id) => PaymentAnswer::Delegation { known: Some(*id).filter(|_| !stored) },
        Outcome::PaymentDecided(decided, _) => PaymentAnswer::Ruled(real_ruling(decided)),
        Outcome::IntentCreated(_) => match first {
            Some(Event::Payment(PaymentEvent::IntentCreated(created))) => PaymentAnswer::IntentMade(created.expires_at),
            other => panic!("{other:?} makes no intent"),
        },
        Outcome::Intent(IntentAt { status, amount, decision, at, .. }) => {
            PaymentAnswer::intent(status.as_str(), amount.get(), *decision, *at, !stored)
        }
        Outcome::Abandoned(..) => PaymentAnswer::Abandoned,
        Outcome::Refused(refused) => PaymentAnswer::Refused(refused.refusal.as_str(), refused.code.as_str()),
        Outcome::TokenIssued(issued, _) => PaymentAnswer::Token {
            amount: issued.max_amount.get(),
            until: issued.expires_at,
            merchants: issued.merchants.clone(),
            codes: codes(&issued.codes),
            uses: issued.consumed,
            scope: issued.scope.clone(),
        },
        Outcome::Queued(ids) => PaymentAnswer::Queued(ids.len()),
        Outcome::Reconciled(settled) => {
            PaymentAnswer::Reconciled(settled.results.iter().map(|one| (one.transaction_id, one.settlement.as_str())).collect())
        }
        Outcome::WorkspaceCreated(_)
        | Outcome::WorkspaceChanged(_)
        | Outcome::ApiKeyCreated(_)
        | Outcome::ApiKeyRevoked(_)
        | Outcome::SigningKeyRotated(_)
        | Outcome::Created(_)
        | Outcome::Revoked(_)
        | Outcome::Checked(_)
        | Outcome::Confirmed(_)
        | Outcome::Resolved(_)
        | Outcome::BundleCreated(..)
        | Outcome::BundleDeleted(..)
        | Outcome::TombstonePlaced { .. }
        | Outcome::TombstoneLifted { .. }
        | Outcome::Consent(_)
        | Outcome::ConsentViewed(_)
        | Outcome::TokenMinted(..)
        | Outcome::TokenVerified(_)
        | Outcome::ManageLink(_)
        | Outcome::ConsentAgent(_)
        | Outcome::Repeated(_) => panic!("{:?} is not about payments", decided.outcome),
    }
}

impl Model {
    /// Takes note of agents and devices, with the ids that were minted.
    pub(crate) fn learn_registration(&mut self, workspace: WorkspaceId, registration: &Registration, decided: &Decided) {
        match (registration, decided.events.first(), &decided.outcome) {
            (_, None, _) => {}
            (Registration::Agent(_), _, Outcome::Agent(id)) => {
                self.mint(id);
                self.paid.agents.push(Payer { id: *id, workspace, status: AgentStatus::Active });
            }
            (Registration::AgentStatus(_, status), _, Outcome::Agent(id)) => {
                self.paid.agents.iter_mut().find(|payer| payer.id == *id).unwrap().status = *status;
            }
            (Registration::Credential { .. }, _, Outcome::Credential(new)) => self.mint(new.credential_id),
            (Registration::Device(_), _, Outcome::Device(id)) => {
                self.mint(id);
                self.paid.devices.push(Device { id: *id, workspace, revoked: false });
            }
            (Registration::Attest(..), _, Outcome::Device(_)) => {}
            (Registration::RevokeDevice(..), _, Outcome::Device(id)) => {
                self.paid.devices.iter_mut().find(|device| device.id == *id).unwrap().revoked = true;
            }
            (registration, event, _) => panic!("{event:?} is no answer to {registration:?}"),
        }
    }

    /// Takes note of what was paid, with the ids that were minted.
    pub(crate) fn learn_payments(&mut self, workspace: WorkspaceId, payments: &Payments, now: Timestamp, decided: &Decided) {
        for event in &decided.events {
            match (payments, event) {
                (Payments::Delegate(body), Event::Authorization(AuthorizationEvent::Granted(granted))) => {
                    let id = granted.authorization_id;
                    self.mint(id);
                    let agent = self.paid.agents.iter().find(|payer| payer.id.to_string() == body.agent.as_str()).unwrap().id;
                    let permissions: Vec<&ScopeName> = granted.terms.scopes.iter().map(|scope| &scope.name).collect();
                    assert_eq!(permissions, body.permissions.iter().collect::<Vec<_>>(), "what was asked for is granted");
                    let delegated = granted.delegation.as_deref().expect("a delegation");
                    assert_eq!((delegated.agent_id, &delegated.limits), (agent, &body.limits), "to whom, and within which limits");
                    self.paid.delegations.push(Delegation { id, workspace, agent, limits: body.limits.clone() });
                    let (expires_at, not_before, terms) = (body.expires_at, body.not_before, granted.terms.clone());
                    self.grants.push(Grant { id, workspace, terms, expires_at, not_before, budget: None, revoked: false });
                }
                (Payments::Revoke(..), Event::Authorization(AuthorizationEvent::Revoked(revoked))) => {
                    self.grants.iter_mut().find(|grant| grant.id == revoked.authorization_id).unwrap().revoked = true;
                }
                (_, Event::Payment(event)) => self.learn_payment(workspace, payments, now, event),
                (payments, event) => panic!("{event:?} is no answer to {payments:?}"),
            }
        }
    }

    fn learn_payment(&mut self, workspace: WorkspaceId, payments: &Payments, now: Timestamp, event: &PaymentEvent) {
        let moved = |id| move |intent: &&mut Intent| intent.id == id;
        match (payments, event) {
            (Payments::Decide(body), PaymentEvent::Decided(decided)) => {
                self.mint(decided.receipt_id);
                let delegation = decided.subject.authorization_id();
                if let Some(id) = delegation {
                    let binding = self.bound(workspace, body, id, &decided.scope);
                    if decided.codes.contains(&Code::StepUpConfirmed) && matches!(body.purpose, Purpose::Permission | Purpose::Policy) {
                        // A yes is good for one payment.
                        self.confirmations.retain(|confirmation| confirmation.binding != binding);
                    }
                    self.learn_asked(binding, &decided.verdict, now);
                }
                if matches!(body.purpose, Purpose::Permission | Purpose::Policy) {
                    let allows = matches!(decided.verdict, Verdict::Allow { .. });
                    let asks = !allows && decided.verdict != Verdict::Deny;
                    let (id, body, max) = (decided.receipt_id, (**body).clone(), decided.max_amount.map(|amount| amount.get()));
                    let (until, scope) = (decided.expires_at, decided.scope.clone());
                    self.paid.decisions.push(Decision { id, workspace, delegation, body, scope, allows, asks, max, at: now, until });
                }
            }
            (Payments::CreateIntent(body), PaymentEvent::IntentCreated(created)) => {
                self.mint(created.intent_id);
                let (id, body) = (created.intent_id, (**body).clone());
                self.paid.intents.push(Intent { id, workspace, body, at: now, authorised: None, end: None });
            }
            (Payments::Authorise(..), PaymentEvent::Authorised(new)) => {
                let (delegation, decision, amount) = (new.authorization_id, new.decision.expect("a decision"), new.amount.get());
                let found = self.paid.decisions.iter().find(|known| known.id == decision).expect("a known decision");
                assert_eq!(found.delegation, Some(delegation), "the delegation is that of the decision");
                let intent = self.paid.intents.iter_mut().find(moved(new.intent_id)).unwrap();
                intent.authorised = Some(Authorised { delegation, decision, amount, at: now });
            }
            (Payments::Authorise(..), PaymentEvent::Refused(_)) => {}
            (Payments::Capture(..), PaymentEvent::Captured(new)) => {
                self.paid.intents.iter_mut().find(moved(new.intent_id)).unwrap().end = Some(("captured", new.amount.get(), now));
            }
            (Payments::Cancel(_), PaymentEvent::Cancelled(new)) => {
                self.paid.intents.iter_mut().find(moved(new.intent_id)).unwrap().end = Some(("cancelled", new.amount.get(), now));
            }
            (Payments::Cancel(_), PaymentEvent::Abandoned(id)) => {
                let intent = self.paid.intents.iter_mut().find(moved(*id)).unwrap();
                intent.end = Some(("cancelled", intent.body.amount.get(), now));
            }
            (payments, event) => self.learn_offline(workspace, payments, now, event),
        }
    }

    fn learn_offline(&mut self, workspace: WorkspaceId, payments: &Payments, now: Timestamp, event: &PaymentEvent) {
        match (payments, event) {
            (Payments::IssueToken(body), PaymentEvent::Decided(decided)) => {
                self.mint(decided.receipt_id);
                if let Some(binding) = self.bound_token(workspace, body, &decided.scope) {
                    self.learn_asked(binding, &decided.verdict, now);
                }
            }
            (Payments::IssueToken(body), PaymentEvent::TokenIssued(issued)) => {
                self.mint(issued.token_id);
                assert!(self.paid.tokens.iter().all(|token| token.nullifier != issued.nullifier), "a nullifier is drawn once");
                let binding = self.bound_token(workspace, body, &issued.scope).unwrap();
                self.learn_asked(binding, &Verdict::Allow { consumed: issued.consumed }, now);
                self.paid.tokens.push(Token {
                    id: issued.token_id,
                    workspace,
                    delegation: issued.authorization_id,
                    nullifier: issued.nullifier,
                    amount: issued.max_amount.get(),
                    currency: issued.currency,
                    merchants: issued.merchants.clone(),
                    at: now,
                    until: issued.expires_at,
                });
            }
            (Payments::Queue(body), PaymentEvent::Queued(queued)) => {
                self.mint(queued.transaction_id);
                let same = |one: &&allowlog_proto::api::affixio::TransactionBody| {
                    let token = self.paid.tokens.iter().find(|token| Some(token.nullifier) == one.nullifier);
                    token.is_some_and(|token| token.id == queued.token_id)
                        && (&one.merchant_id, one.amount, one.currency) == (&queued.merchant_id, queued.amount, queued.currency)
                        && (one.occurred_at, &one.client_ref) == (queued.occurred_at, &queued.client_ref)
                };
                let one = body.transactions.iter().find(same).expect("what was told is queued").clone();
                let (id, device, token) = (queued.transaction_id, body.device.clone(), queued.token_id);
                self.paid.told.push(Told { id, workspace, device, token, body: one, came_to: None, settled_at: None });
            }
            (Payments::Reconcile(_), PaymentEvent::Reconciled(one)) => {
                let told = self.paid.told.iter_mut().find(|told| told.id == one.transaction_id).unwrap();
                told.came_to = Some(one.settlement.as_str());
                told.settled_at = Some(now);
            }
            (payments, event) => panic!("{event:?} is no answer to {payments:?}"),
        }
    }
}
