//! The words of the tables for agents, devices, delegations and payments: outcomes and events.

use allowlog_projections::decide::{IntentAt, Outcome};
use allowlog_projections::state::{IntentStatus, State};
use allowlog_proto::event::{
    AgentEvent, AgentStatus, Code, Delegated, DeviceEvent, Granted, IntentMoved, OnExceed, Payment, PaymentDecided, PaymentEvent,
    PaymentLimits, Subject, TokenIssued, Verdict,
};
use allowlog_proto::id::{AuthorizationId, DecisionId, DelegationId, PaymentIntentId, ReceiptId, WorkspaceId};
use allowlog_proto::money::{Amount, Currency};
use allowlog_proto::text::Resource;
use allowlog_proto::time::Timestamp;

use crate::wording::{Names, option, resource, time};

/// `a|b`, or `-` for a list that is there and empty.
fn list<T: ToString>(items: &[T]) -> String {
    let text = items.iter().map(ToString::to_string).collect::<Vec<_>>().join("|");
    if text.is_empty() { "-".to_owned() } else { text }
}

fn codes(codes: &[Code]) -> String {
    codes.iter().map(|code| code.as_str()).collect::<Vec<_>>().join(" ")
}

fn money(amount: Amount, currency: Currency) -> String {
    format!("{}{currency}", amount.get())
}

/// In the words of the request.
fn limits(limits: &PaymentLimits) -> String {
    let amount = |name, amount: Option<Amount>| option(name, amount.map(Amount::get));
    let mut words = option("merchants", limits.merchants.as_deref().map(list));
    words += &option("categories", limits.categories.as_deref().map(list));
    words += &option("blocked", Some(&limits.blocked_merchants).filter(|all| !all.is_empty()).map(|all| list(all)));
    words += &(amount("per", limits.per_transaction) + &amount("daily", limits.daily));
    words += &option("period", limits.period.map(|period| format!("{}/{}", period.amount.get(), period.interval)));
    words += &option("currencies", limits.currencies.as_deref().map(list));
    words += &option("channels", limits.channels.as_deref().map(list));
    words += &(amount("stepup", limits.step_up_above) + &amount("review", limits.review_above));
    words += if limits.requires_trusted_device { " trusted" } else { "" };
    words + if limits.on_exceed == OnExceed::Cap { " cap" } else { "" }
}

impl Names {
    /// An authorization that is a delegation has two ids, and two names.
    fn delegation(&mut self, id: AuthorizationId) -> String {
        self.of("D", DelegationId::from(id))
    }

    fn decision(&mut self, id: ReceiptId) -> String {
        self.of("Q", DecisionId::from(id))
    }

    /// What was written there, by its name if it has one.
    fn written(&self, text: &str) -> String {
        self.name_of(text).unwrap_or(text).to_owned()
    }

    pub(crate) fn payment_outcome(&mut self, outcome: &Outcome) -> Vec<String> {
        vec![match outcome {
            Outcome::Agent(id) => format!("agent {}", self.of("P", id)),
            Outcome::Credential(new) => {
                let (id, agent) = (self.of("Z", new.credential_id), self.of("P", new.agent_id));
                format!("credential {id} of {agent} at {}{}", time(new.created_at), option("until", new.expires_at.map(time)))
            }
            Outcome::Device(id) => format!("device {}", self.of("V", id)),
            Outcome::Delegation(id) => format!("delegation {}", self.delegation(*id)),
            Outcome::PaymentDecided(decided, _) => self.ruling(decided),
            Outcome::IntentCreated(id) => format!("intent {}", self.of("M", id)),
            Outcome::Intent(intent) => self.intent_at(intent),
            Outcome::Abandoned(id, at) => format!("cancelled {} at {}", self.of("M", id), time(*at)),
            Outcome::Refused(refused) => format!("refused {} {}", refused.refusal.as_str(), refused.code.as_str()),
            Outcome::TokenIssued(issued, _) => self.issued(issued),
            Outcome::Queued(ids) => format!("queued {}", list(&ids.iter().map(|id| self.of("U", id)).collect::<Vec<_>>())),
            Outcome::Reconciled(settled) => {
                let results = settled.results.iter();
                return results.map(|one| format!("{} {}", self.of("U", one.transaction_id), one.settlement.as_str())).collect();
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
            | Outcome::Repeated(_) => panic!("{outcome:?} is not about payments"),
        }]
    }

    /// `ALLOW_WITH_LIMITS Q1 max 100 until 09:05 uses E1 | DELEGATION_VALID MERCHANT_ALLOWED`
    fn ruling(&mut self, decided: &PaymentDecided) -> String {
        let detail = match &decided.verdict {
            Verdict::Deny | Verdict::Allow { consumed: None } => String::new(),
            Verdict::Allow { consumed: Some(id) } => format!(" uses {}", self.of("E", id)),
            Verdict::Confirm { nonce, expires_at } => format!(" {} until {}", self.of("N", nonce), time(*expires_at)),
            Verdict::Escalate { escalation_id, expires_at, opened, .. } => {
                let again = if *opened { "" } else { " again" };
                format!(" {} until {}{again}", self.of("E", escalation_id), time(*expires_at))
            }
        };
        let (id, max) = (self.decision(decided.receipt_id), option("max", decided.max_amount.map(Amount::get)));
        format!("{} {id}{max} until {}{detail} | {}", decided.action(), time(decided.expires_at), codes(&decided.codes))
    }

    fn intent_at(&mut self, intent: &IntentAt) -> String {
        let by = intent.decision.map(|id| self.decision(id));
        let (id, money) = (self.of("M", intent.intent_id), money(intent.amount, intent.currency));
        format!("{} {id} {money}{} at {}", intent.status.as_str(), option("by", by), time(intent.at))
    }

    fn issued(&mut self, issued: &TokenIssued) -> String {
        let uses = issued.consumed.map(|id| self.of("E", id));
        let (id, money) = (self.of("O", issued.token_id), money(issued.max_amount, issued.currency));
        format!("token {id} {money} until {}{} | {}", time(issued.expires_at), option("uses", uses), codes(&issued.codes))
    }

    /// What a grant says of the delegation that it is.
    pub(crate) fn delegated(&mut self, granted: &Granted, delegated: &Delegated) -> String {
        assert_eq!(granted.terms.agent_id.as_str(), delegated.agent_id.to_string(), "the agent of a grant is the delegation's");
        let (id, agent) = (self.delegation(granted.authorization_id), self.of("P", delegated.agent_id));
        format!(" delegation {id} {agent}{}", limits(&delegated.limits))
    }

    pub(crate) fn registered_agent(&mut self, event: &AgentEvent) -> String {
        match event {
            AgentEvent::Registered(registered) => format!("registered {} {}", self.of("P", registered.agent_id), registered.kind.as_str()),
            AgentEvent::StatusChanged { agent_id, status } => {
                let status = match status {
                    AgentStatus::Active => "active",
                    AgentStatus::Suspended => "suspended",
                    AgentStatus::Revoked => "revoked",
                };
                format!("agent_status {} {status}", self.of("P", agent_id))
            }
            AgentEvent::CredentialIssued { agent_id, credential_id, expires_at, .. } => {
                let (agent, id) = (self.of("P", agent_id), self.of("Z", credential_id));
                format!("credential {id} of {agent}{}", option("until", expires_at.map(time)))
            }
        }
    }

    pub(crate) fn device(&mut self, event: &DeviceEvent) -> String {
        match event {
            DeviceEvent::Registered(terms) => format!("device {}", self.of("V", terms.device_id)),
            DeviceEvent::Attested { device_id, .. } => format!("attested {}", self.of("V", device_id)),
            DeviceEvent::Revoked { device_id, reason } => {
                format!("device_revoked {}{}", self.of("V", device_id), option("reason", reason.as_ref()))
            }
        }
    }

    pub(crate) fn payment(&mut self, event: &PaymentEvent) -> String {
        match event {
            PaymentEvent::Decided(decided) => self.decided(decided),
            PaymentEvent::IntentCreated(created) => {
                let (id, money) = (self.of("M", created.intent_id), money(created.amount, created.currency));
                let mut line = format!("intent {id} {money} to {}{}", created.merchant_id, option("via", created.channel.as_ref()));
                line += &option("by", created.agent_id.map(|id| self.of("P", id)));
                line += &option("under", created.authorization_id.map(|id| self.delegation(id)));
                line += &option("from", created.device.as_ref().map(|device| self.written(device.as_str())));
                line += &option("with", created.decision.map(|id| self.decision(id)));
                format!("{line} until {}", time(created.expires_at))
            }
            PaymentEvent::Authorised(moved) => format!("authorised {}", self.moved(moved)),
            PaymentEvent::Captured(moved) => format!("captured {}", self.moved(moved)),
            PaymentEvent::Cancelled(moved) => format!("cancelled {}", self.moved(moved)),
            PaymentEvent::Refused(refused) => {
                format!("refused {} {} {}", self.moved(&refused.moved), refused.refusal.as_str(), refused.code.as_str())
            }
            PaymentEvent::Abandoned(id) => format!("abandoned {}", self.of("M", id)),
            PaymentEvent::TokenIssued(issued) => {
                let (delegation, device) = (self.delegation(issued.authorization_id), self.written(issued.device.as_str()));
                let merchants = option("to", issued.merchants.as_deref().map(list));
                format!("issued {delegation} {} from {device}{merchants} {}", issued.scope, self.issued(issued))
            }
            PaymentEvent::Queued(queued) => {
                let (id, token) = (self.of("U", queued.transaction_id), self.of("O", queued.token_id));
                let (delegation, device) = (self.delegation(queued.authorization_id), self.written(queued.device.as_str()));
                let money = money(queued.amount, queued.currency);
                let told = option("occurred", queued.occurred_at.map(time)) + &option("ref", queued.client_ref.as_ref());
                format!("queued {id} {token} {delegation} from {device} {money} to {}{told}", queued.merchant_id)
            }
            PaymentEvent::Reconciled(one) => {
                let (id, token) = (self.of("U", one.transaction_id), self.of("O", one.token_id));
                let (delegation, device) = (self.delegation(one.authorization_id), self.written(one.device.as_str()));
                let (money, what) = (money(one.amount, one.currency), one.settlement.as_str());
                format!("reconciled {id} {token} {delegation} from {device} {money} to {} {what}", one.merchant_id)
            }
        }
    }

    /// `decided permission P1 D1 pay 100EUR to m1 on payment:... ALLOW Q1 ...`
    fn decided(&mut self, decided: &PaymentDecided) -> String {
        let subject = match &decided.subject {
            Subject::Unknown { asked } => format!("unknown {}", self.written(asked.as_str())),
            Subject::Known { authorization_id, .. } => self.delegation(*authorization_id),
        };
        let who = (self.written(decided.agent.as_str()), decided.device.as_ref().map(|device| self.written(device.as_str())));
        let about = format!("{} {subject} {}{}", who.0, decided.scope, option("from", who.1));
        let (payment, on) = (self.paid(&decided.payment), bound(decided.resource.as_ref()));
        format!("decided {} {about}{payment} on {on} {}", decided.purpose.as_str(), self.ruling(decided))
    }

    fn paid(&self, payment: &Payment) -> String {
        let (amount, currency) = (payment.amount.map(Amount::get), payment.currency.map(|currency| currency.to_string()));
        let money = amount.map_or(String::new(), |amount| amount.to_string()) + &currency.unwrap_or_default();
        let mut words = if money.is_empty() { money } else { format!(" {money}") };
        words += &option("to", payment.merchant_id.as_ref());
        words += &(option("via", payment.channel.as_ref()) + &option("category", payment.category.as_ref()));
        words + &option("for", payment.intent_id.as_ref().map(|id| self.written(id.as_str())))
    }

    fn moved(&mut self, moved: &IntentMoved) -> String {
        let by = moved.decision.map(|id| self.decision(id));
        let (id, delegation) = (self.of("M", moved.intent_id), self.delegation(moved.authorization_id));
        format!("{id} {delegation} {} to {}{}", money(moved.amount, moved.currency), moved.merchant_id, option("by", by))
    }

    /// `daily 100 period 200 tokens 1`: what is left of a delegation's limits in a currency, and how many tokens hold something.
    pub(crate) fn left(&self, state: &State, name: &str, currency: &str, now: Timestamp) -> Vec<String> {
        let workspace_id = WorkspaceId::parse(&self.text("W1")).unwrap();
        let id = DelegationId::parse(&self.text(name)).expect("a delegation");
        let (_, delegation) = state.delegation(workspace_id, id.into()).expect("a known one");
        let left = delegation.left(Some(Currency::new(currency).unwrap()), now);
        let (daily, period) = (option("daily", left.daily), option("period", left.period));
        vec![format!("left{daily}{period}{}", option("tokens", Some(delegation.tokens_held(now)).filter(|held| *held > 0)))]
    }

    /// How far an intent is.
    pub(crate) fn stands(&mut self, state: &State, name: &str, now: Timestamp) -> Vec<String> {
        let workspace_id = WorkspaceId::parse(&self.text("W1")).unwrap();
        let id = PaymentIntentId::parse(&self.text(name)).expect("an intent");
        let intent = state.payment_intent(workspace_id, id).expect("a known one");
        assert_eq!(intent.status(now) == IntentStatus::Expired, intent.is_expired(now));
        vec![self.intent_at(&IntentAt::now(id, intent, now))]
    }
}

/// What a question is bound to, with a bare `+` for the hash of what has no place of its own.
fn bound(to: Option<&Resource>) -> String {
    let text = resource(to);
    match text.split_once('+').and_then(|(kind, rest)| Some((kind, rest.split_once(':')?))) {
        Some((kind, (hash, rest))) if hash.len() == 32 => format!("{kind}+:{rest}"),
        Some(_) | None => text.to_owned(),
    }
}
