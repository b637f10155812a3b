//! Random commands about payments: few agents, delegations, merchants and currencies, and amounts that meet their limits.

use allowlog_projections::command::{Action, Command, Payments, Registration};
use allowlog_proto::api::affixio::{
    AttestBody, AuthoriseBody, CaptureBody, DelegationBody, GateBody, IntentBody, OfflineTokenBody, ReconcileBody, RegisterAgentBody,
    RegisterDeviceBody, RevokeDeviceBody, TransactionBody, TransactionsBody,
};
use allowlog_proto::api::allowly::{ConfirmBody, ResolveBody};
use allowlog_proto::event::{AgentKind, AgentStatus, Interval, OnExceed, Payment, PaymentLimits, Period, Purpose, Resolution};
use allowlog_proto::id::{DecisionId, DelegationId, PaymentIntentId, ProofId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::money::{Amount, Currency};
use allowlog_proto::text::{Approver, Category, Channel, ClientRef, MerchantId, Name, OpaqueId, Resource, ScopeName};

use crate::commands::Commands;
use crate::payment_model::{Decision, Delegation, Intent, Payer, Token, is_consumable};

const SECOND: u64 = 1000;
const HOUR: u64 = 3600 * SECOND;

fn amount(n: i64) -> Amount {
    Amount::new(n).unwrap()
}

fn opaque(text: impl ToString) -> OpaqueId {
    OpaqueId::new(&text.to_string()).unwrap()
}

impl Commands<'_> {
    /// Any command about payments, in proportions that let most of what is allowed be authorised.
    pub(crate) fn about_payments(&mut self) -> Command {
        let paid = &self.model.paid;
        if paid.agents.is_empty() || (paid.delegations.is_empty() && self.dice.percent(20)) {
            return self.register_agent();
        }
        if paid.delegations.is_empty() || (paid.delegations.len() < 3 && self.dice.percent(40)) {
            return self.delegate();
        }
        // What a reservation lapses with is settled now.
        if self.is_at_a_reservations_end() && self.dice.percent(50) {
            return self.reconcile();
        }
        match self.dice.below(100) {
            0 => self.register_agent(),
            1 => self.agent_status(),
            2..4 => self.credential_or_device(),
            4 => self.device_changes(),
            5..11 => self.delegate(),
            11..13 => self.revoke_delegation(),
            13..36 => self.decide(),
            36..79 => self.about_intents(),
            79..82 => self.issue(),
            82..86 => self.tell(),
            86..90 => self.reconcile(),
            90..98 => self.answer_question(),
            _ => self.check(),
        }
    }

    fn is_at_a_reservations_end(&self) -> bool {
        let paid = &self.model.paid;
        let mut waiting = paid.told.iter().filter(|told| told.came_to.is_none());
        waiting.any(|told| paid.tokens.iter().any(|token| token.id == told.token && self.is_edge(token.reserved_until())))
    }

    /// What is of use with what there is, mostly.
    fn about_intents(&mut self) -> Command {
        let is_offered = self.model.paid.decisions.iter().any(|decision| self.is_good(decision));
        let fits = self.pair().is_some();
        let is_held = self.model.paid.intents.iter().any(is_held);
        match self.dice.below(100) {
            0..28 if is_offered => self.create_intent(),
            28..68 if fits => self.authorise(),
            68..76 if is_held => self.capture(),
            76..84 if is_held => self.cancel(),
            84..88 => self.create_intent(),
            88..93 => self.authorise(),
            93 => self.capture(),
            94 => self.cancel(),
            _ => self.decide(),
        }
    }

    /// Whether it can be consumed, and was not.
    fn is_good(&self, decision: &Decision) -> bool {
        let is_used = self.model.paid.intents.iter().any(|intent| intent.authorised.is_some_and(|first| first.decision == decision.id));
        is_consumable(decision) && !is_used && self.now <= decision.until
    }

    fn is_open(&self, intent: &Intent) -> bool {
        intent.authorised.is_none() && intent.end.is_none() && self.now <= intent.until()
    }

    fn register_agent(&mut self) -> Command {
        let home = self.any_workspace();
        let owner = if self.dice.percent(95) { home } else { self.any_workspace() };
        let body = RegisterAgentBody {
            name: Name::new("agent").unwrap(),
            kind: AgentKind::Llm,
            owner: Some(owner.into()),
            metadata: CanonicalObject::default(),
        };
        self.caller_at(Some(home), Action::Register(Registration::Agent(Box::new(body))))
    }

    fn payer(&mut self) -> Option<Payer> {
        let all: Vec<&Payer> = self.model.paid.agents.iter().collect();
        let active: Vec<&Payer> = all.iter().copied().filter(|payer| payer.status == AgentStatus::Active).collect();
        let from = if active.is_empty() || self.dice.percent(10) { &all } else { &active };
        self.dice.pick_recent(from).cloned()
    }

    /// Mostly lets those act again who may not.
    fn agent_status(&mut self) -> Command {
        let idle: Vec<&Payer> = self.model.paid.agents.iter().filter(|payer| payer.status == AgentStatus::Suspended).collect();
        let back = self.dice.pick_recent(&idle).cloned().filter(|_| self.dice.percent(90));
        let status = match back {
            Some(_) => AgentStatus::Active,
            None => self.dice.pick(&[
                AgentStatus::Suspended,
                AgentStatus::Suspended,
                AgentStatus::Suspended,
                AgentStatus::Active,
                AgentStatus::Revoked,
            ]),
        };
        let payer = back.or_else(|| self.payer());
        let home = payer.as_ref().map(|payer| payer.workspace);
        self.caller_at(home, Action::Register(Registration::AgentStatus(payer.map(|payer| payer.id), status)))
    }

    fn credential_or_device(&mut self) -> Command {
        let payer = self.payer();
        let registration = if self.dice.percent(40) {
            let expires_at = self.dice.percent(50).then(|| self.now.saturating_add_ms(self.dice.pick(&[0, 1, HOUR])));
            Registration::Credential { agent_id: payer.as_ref().map(|payer| payer.id), public_key: [7; 32], expires_at }
        } else {
            Registration::Device(Box::new(RegisterDeviceBody { name: None, kind: None, metadata: CanonicalObject::default() }))
        };
        self.caller_at(payer.map(|payer| payer.workspace), Action::Register(registration))
    }

    fn device_changes(&mut self) -> Command {
        let all: Vec<_> = self.model.paid.devices.iter().map(|device| (device.id, device.workspace)).collect();
        let found = self.dice.pick_recent(&all);
        let id = found.map(|(id, _)| id);
        let registration = if self.dice.percent(40) {
            Registration::Attest(id, Box::new(AttestBody { attestation: CanonicalObject::default() }))
        } else {
            Registration::RevokeDevice(id, Box::new(RevokeDeviceBody { reason: None }))
        };
        self.caller_at(found.map(|(_, home)| home), Action::Register(registration))
    }

    fn merchants(&mut self) -> Vec<MerchantId> {
        let lists: [&[&str]; 5] = [&["m1"], &["m1", "m2"], &["m1", "m2"], &["m2"], &[]];
        self.dice.pick(&lists).iter().map(|id| MerchantId::new(id).unwrap()).collect()
    }

    fn limits(&mut self) -> PaymentLimits {
        let seconds = self.dice.pick(&[1, 60, 60, 3600, 3600, 86_400]);
        let channels: [&[&str]; 3] = [&["online"], &["online", "offline"], &["online", "offline"]];
        let channels = self.dice.pick(&channels).iter().map(|name| Channel::new(name).unwrap()).collect();
        let currency = |letters: &str| Currency::new(letters).unwrap();
        PaymentLimits {
            merchants: self.dice.percent(15).then(|| self.merchants()),
            categories: self.dice.percent(5).then(|| vec![Category::new("food").unwrap()]),
            blocked_merchants: if self.dice.percent(8) { vec![MerchantId::new("m2").unwrap()] } else { Vec::new() },
            per_transaction: self.dice.percent(30).then(|| amount(self.dice.pick(&[50, 80, 100]))),
            daily: self.dice.percent(55).then(|| amount(self.dice.pick(&[100, 150]))),
            period: self
                .dice
                .percent(50)
                .then(|| Period { amount: amount(self.dice.pick(&[100, 120])), interval: Interval::seconds(seconds).unwrap() }),
            currencies: self.dice.percent(10).then(|| vec![currency("EUR")]),
            channels: self.dice.percent(8).then_some(channels),
            step_up_above: self.dice.percent(18).then(|| amount(self.dice.pick(&[20, 50]))),
            review_above: self.dice.percent(22).then(|| amount(self.dice.pick(&[40, 50]))),
            requires_trusted_device: self.dice.percent(6),
            on_exceed: if self.dice.percent(30) { OnExceed::Cap } else { OnExceed::Deny },
        }
    }

    fn delegate(&mut self) -> Command {
        let payer = self.payer();
        let permissions: [&[&str]; 6] = [&["pay"], &["pay", "b"], &["a", "payments.make"], &["*"], &["pay", "a", "transfer"], &["pay"]];
        let permissions = self.dice.pick(&permissions).iter().map(|name| ScopeName::new(name).unwrap()).collect();
        let (start, life) = (
            self.dice.pick(&[0, 1, 1, 3 * SECOND, 30 * SECOND, 30 * SECOND]),
            self.dice.pick(&[0, 1, 60 * SECOND, 200 * SECOND, 10 * HOUR, 60 * HOUR, 200 * HOUR]),
        );
        let body = DelegationBody {
            agent: opaque(payer.as_ref().map_or("nobody".to_owned(), |payer| payer.id.to_string())),
            permissions,
            not_before: self.dice.percent(15).then(|| self.now.saturating_add_ms(start)),
            expires_at: self.dice.percent(35).then(|| self.now.saturating_add_ms(life)),
            limits: self.limits(),
            metadata: CanonicalObject::default(),
        };
        self.caller_at(payer.map(|payer| payer.workspace), Action::Pay(Payments::Delegate(Box::new(body))))
    }

    /// Mostly one that stands.
    fn delegation(&mut self) -> Option<Delegation> {
        let all: Vec<&Delegation> = self.model.paid.delegations.iter().collect();
        let is_live = |id| self.model.grants.iter().any(|grant| grant.id == id && grant.is_live(self.now));
        let may_act = |id| self.model.paid.agents.iter().any(|payer| payer.id == id && payer.status == AgentStatus::Active);
        let live = all.iter().copied().filter(|delegation| is_live(delegation.id) && may_act(delegation.agent));
        let live: Vec<&Delegation> = live.collect();
        let from = if live.is_empty() || self.dice.percent(8) { &all } else { &live };
        self.dice.pick_recent(from).cloned()
    }

    fn revoke_delegation(&mut self) -> Command {
        // Often between a decision and what it is to authorise.
        let awaited = self.pair().filter(|_| self.dice.percent(60)).and_then(|(_, decision)| decision.delegation);
        let awaited = self.model.paid.delegations.iter().find(|delegation| Some(delegation.id) == awaited).cloned();
        let found = awaited.or_else(|| self.delegation());
        let over = self.model.paid.delegations.iter().filter(|d| self.model.grants.iter().any(|grant| grant.id == d.id && grant.revoked));
        let over: Vec<&Delegation> = over.collect();
        let found = self.dice.pick_recent(&over).filter(|_| self.dice.percent(30)).cloned().or(found);
        let id = found.as_ref().map(|delegation| delegation.id).filter(|_| self.dice.percent(95));
        self.caller_at(found.map(|delegation| delegation.workspace), Action::Pay(Payments::Revoke(id, Box::default())))
    }

    fn device(&mut self) -> Option<OpaqueId> {
        let known: Vec<_> = self.model.paid.devices.iter().map(|device| device.id).collect();
        match self.dice.below(10) {
            0..5 => None,
            5..7 => Some(opaque(self.dice.pick(&["till", "kiosk"]))),
            _ => self.dice.pick_recent(&known).map(opaque),
        }
    }

    fn sum(&mut self) -> Amount {
        amount(self.dice.pick(&[1, 20, 40, 50, 51, 60, 60, 80, 100, 101]))
    }

    fn currency(&mut self) -> Currency {
        Currency::new(self.dice.pick(&["EUR", "EUR", "EUR", "EUR", "USD"])).unwrap()
    }

    fn merchant(&mut self) -> MerchantId {
        MerchantId::new(self.dice.pick(&["m1", "m1", "m1", "m2"])).unwrap()
    }

    fn channel(&mut self) -> Option<Channel> {
        self.dice.pick(&[None, None, None, Some("online")]).map(|name| Channel::new(name).unwrap())
    }

    fn payment(&mut self) -> Payment {
        let open: Vec<PaymentIntentId> =
            self.model.paid.intents.iter().filter(|intent| intent.authorised.is_none()).map(|intent| intent.id).collect();
        let awaited: Vec<&Intent> = self.model.paid.intents.iter().filter(|intent| self.is_open(intent)).collect();
        if let Some(intent) = self.dice.pick_recent(&awaited).filter(|_| self.dice.percent(35)) {
            let IntentBody { merchant_id, amount, currency, channel, .. } = intent.body.clone();
            let intent_id = self.dice.percent(40).then(|| opaque(intent.id));
            let (merchant_id, amount, currency) = (Some(merchant_id), Some(amount), Some(currency));
            return Payment { merchant_id, amount, currency, channel, category: None, intent_id };
        }
        let whole = self.dice.percent(90);
        let said = |commands: &mut Self| whole || commands.dice.percent(50);
        Payment {
            merchant_id: said(self).then(|| self.merchant()),
            amount: said(self).then(|| self.sum()),
            currency: said(self).then(|| self.currency()),
            channel: self.channel(),
            category: self.dice.percent(20).then(|| Category::new(self.dice.pick(&["food", "arms"])).unwrap()),
            intent_id: if self.dice.percent(30) { self.dice.pick_recent(&open).map(opaque) } else { None },
        }
    }

    /// Often the same as before, of late.
    fn decide(&mut self) -> Command {
        let before: Vec<&Decision> = self.model.paid.decisions.iter().collect();
        let asked: Vec<&Decision> = before.iter().copied().filter(|decision| decision.asks).collect();
        let good: Vec<&Decision> = before.iter().copied().filter(|decision| decision.allows).collect();
        let from = match self.dice.below(10) {
            0..4 if !asked.is_empty() => &asked,
            4..8 if !good.is_empty() => &good,
            _ => &before,
        };
        let again = self.dice.pick_recent(from).filter(|_| self.dice.percent(45)).cloned();
        if let Some(decision) = again {
            let purpose = if self.dice.percent(20) { self.purpose() } else { decision.body.purpose };
            let body = GateBody { purpose, ..decision.body };
            if purpose != Purpose::Verification || body.delegation.is_some() {
                return self.caller_at(Some(decision.workspace), Action::Pay(Payments::Decide(Box::new(body))));
            }
        }
        let found = self.delegation();
        let purpose = self.purpose();
        let agent = match self.dice.below(100) {
            0..3 => Some(opaque("nobody")),
            3..10 => self.any_payer(),
            _ => found.as_ref().map(|delegation| opaque(delegation.agent)),
        };
        let names_it = purpose == Purpose::Verification || self.dice.percent(80);
        let named = found.as_ref().map(|delegation| DelegationId::from(delegation.id).to_string()).filter(|_| self.dice.percent(97));
        let permission = self.dice.pick(&[None, None, None, None, None, Some("pay"), Some("pay"), Some("transfer"), Some("a")]);
        let body = GateBody {
            purpose,
            agent: agent.or_else(|| Some(opaque("nobody"))),
            delegation: names_it.then(|| opaque(named.unwrap_or("nonsense".to_owned()))),
            device: self.device(),
            permission: permission.map(|name| ScopeName::new(name).unwrap()),
            payment: if self.dice.percent(92) { self.payment() } else { Payment::default() },
            resource: self.dice.percent(8).then(|| Resource::new(self.dice.pick(&["x", "y"])).unwrap()),
            context: CanonicalObject::default(),
        };
        self.caller_at(found.map(|delegation| delegation.workspace), Action::Pay(Payments::Decide(Box::new(body))))
    }

    fn any_payer(&mut self) -> Option<OpaqueId> {
        let all: Vec<_> = self.model.paid.agents.iter().map(|payer| payer.id).collect();
        self.dice.pick_recent(&all).map(opaque)
    }

    /// What the gate asked of late, of a reviewer or of the user.
    fn answer_question(&mut self) -> Command {
        let home = |id| self.model.paid.delegations.iter().find(|d| d.id == id).map(|d| d.workspace);
        let open = self.model.escalations.iter().filter(|e| e.resolution.is_none());
        let open: Vec<_> = open.filter_map(|e| Some((e.id, home(e.binding.grant)?))).collect();
        let asked = self.model.questions.iter().filter(|question| !question.answered);
        let asked: Vec<_> = asked.filter_map(|question| Some((question.nonce, home(question.binding.grant)?))).collect();
        let (reviews, confirms) = (self.dice.percent(50), self.dice.percent(90));
        match (self.dice.pick_recent(&open), self.dice.pick_recent(&asked)) {
            (Some((id, home)), _) if reviews => {
                let resolution = if self.dice.percent(60) { Resolution::Approved } else { Resolution::Rejected };
                let body = ResolveBody { resolution, resolved_by: Approver::new("boss").unwrap(), note: None };
                self.caller_at(Some(home), Action::Resolve(Some(id), Box::new(body)))
            }
            (_, Some((nonce, home))) if confirms => {
                let body = ConfirmBody { approved: self.dice.percent(90), ttl_ms: self.dice.pick(&[1, 60, 300]) * SECOND };
                self.caller_at(Some(home), Action::Confirm(Some(nonce), body))
            }
            _ if reviews => self.resolve(),
            _ => self.confirm(),
        }
    }

    fn purpose(&mut self) -> Purpose {
        self.dice.pick(&[
            Purpose::Permission,
            Purpose::Permission,
            Purpose::Permission,
            Purpose::Permission,
            Purpose::Permission,
            Purpose::Policy,
            Purpose::Policy,
            Purpose::Trust,
            Purpose::Verification,
        ])
    }

    /// A decision that is of use; mostly one that can be consumed and was not, often where it lapses.
    fn decision(&mut self) -> Option<Decision> {
        let all: Vec<&Decision> = self.model.paid.decisions.iter().collect();
        let good: Vec<&Decision> = all.iter().copied().filter(|decision| self.is_good(decision)).collect();
        let lapsing: Vec<&Decision> = good.iter().copied().filter(|decision| self.is_edge(decision.until)).collect();
        let from = match self.dice.below(100) {
            0..15 => &all,
            15..60 if !lapsing.is_empty() => &lapsing,
            _ if !good.is_empty() => &good,
            _ => &all,
        };
        self.dice.pick_recent(from).cloned()
    }

    fn called(&mut self, decision: &Decision) -> OpaqueId {
        match self.dice.below(100) {
            0 => opaque("nonsense"),
            1 => opaque("dec_00000000000000000000000000"),
            2..30 => opaque(ProofId::from(decision.id)),
            _ => opaque(DecisionId::from(decision.id)),
        }
    }

    /// Mostly as a decision was made for.
    fn create_intent(&mut self) -> Command {
        let decision = self.decision().filter(|_| self.dice.percent(85));
        let payment = decision.as_ref().map(|decision| decision.body.payment.clone()).unwrap_or_default();
        let same = self.dice.percent(85);
        let delegation = decision.as_ref().and_then(|decision| decision.delegation);
        let agent = self.model.paid.delegations.iter().find(|d| Some(d.id) == delegation).map(|d| d.agent);
        let other = self.delegation();
        let (merchant_id, amount, currency) = (self.merchant(), self.sum(), self.currency());
        let delegation = if self.dice.percent(90) { delegation } else { other.as_ref().map(|other| other.id) };
        let body = IntentBody {
            merchant_id: payment.merchant_id.filter(|_| same).unwrap_or(merchant_id),
            amount: payment.amount.filter(|_| same || self.dice.percent(50)).unwrap_or(amount),
            currency: payment.currency.filter(|_| same).unwrap_or(currency),
            channel: if self.dice.percent(70) { payment.channel } else { self.channel() },
            agent: agent.filter(|_| self.dice.percent(20)).map(opaque),
            delegation: delegation.filter(|_| self.dice.percent(25)).map(|id| opaque(DelegationId::from(id))),
            device: if self.dice.percent(80) { None } else { self.device() },
            decision: decision.as_ref().filter(|_| self.dice.percent(20)).map(|decision| self.called(decision)),
            metadata: CanonicalObject::default(),
        };
        let home = decision.map(|decision| decision.workspace).or(other.map(|other| other.workspace));
        self.caller_at(home, Action::Pay(Payments::CreateIntent(Box::new(body))))
    }

    /// Mostly one that stands so.
    fn intent(&mut self, suits: impl Fn(&Self, &Intent) -> bool) -> Option<Intent> {
        let all: Vec<&Intent> = self.model.paid.intents.iter().collect();
        let so: Vec<&Intent> = all.iter().copied().filter(|intent| suits(self, intent)).collect();
        let from = if so.is_empty() || self.dice.percent(12) { &all } else { &so };
        self.dice.pick_recent(from).cloned()
    }

    /// An open intent, and a decision that it is likely to be authorised by.
    fn pair(&mut self) -> Option<(Intent, Decision)> {
        let paid = &self.model.paid;
        let suits = |intent: &Intent, decision: &Decision| {
            let payment = &decision.body.payment;
            let same = payment.merchant_id.as_ref() == Some(&intent.body.merchant_id) && payment.currency == Some(intent.body.currency);
            same && decision.workspace == intent.workspace && decision.max.is_none_or(|max| intent.body.amount.get() <= max)
        };
        let good: Vec<&Decision> = paid.decisions.iter().filter(|decision| self.is_good(decision)).collect();
        let open = paid.intents.iter().filter(|intent| self.is_open(intent));
        let pairs: Vec<(&Intent, &Decision)> = open
            .flat_map(|intent| good.iter().filter(move |decision| suits(intent, decision)).map(move |decision| (intent, *decision)))
            .collect();
        self.dice.pick_recent(&pairs).map(|(intent, decision)| (intent.clone(), decision.clone()))
    }

    fn authorise(&mut self) -> Command {
        if let Some((intent, decision)) = self.pair().filter(|_| self.dice.percent(70)) {
            let decision = self.dice.percent(40).then(|| self.called(&decision));
            let amount = self.dice.percent(10).then(|| self.sum());
            let body = AuthoriseBody { decision, amount };
            return self.caller_at(Some(intent.workspace), Action::Pay(Payments::Authorise(Some(intent.id), Box::new(body))));
        }
        let intent = self.intent(Self::is_open);
        let decision = self.decision();
        let first = intent.as_ref().and_then(|intent| intent.authorised);
        let first = first.and_then(|first| self.model.paid.decisions.iter().find(|decision| decision.id == first.decision).cloned());
        let named = first.filter(|_| self.dice.percent(60)).or(decision).filter(|_| self.dice.percent(35));
        let amount = match self.dice.below(10) {
            0..7 => None,
            7 => intent.as_ref().map(|intent| intent.body.amount),
            _ => Some(self.sum()),
        };
        let body = AuthoriseBody { decision: named.map(|decision| self.called(&decision)), amount };
        let home = home_of(intent.as_ref());
        self.caller_at(home, Action::Pay(Payments::Authorise(intent.map(|intent| intent.id), Box::new(body))))
    }

    fn capture(&mut self) -> Command {
        let intent = self.intent(|_, intent| is_held(intent));
        let body = CaptureBody { amount: self.dice.percent(50).then(|| self.sum()) };
        let home = home_of(intent.as_ref());
        self.caller_at(home, Action::Pay(Payments::Capture(intent.map(|intent| intent.id), body)))
    }

    fn cancel(&mut self) -> Command {
        let intent = self.intent(|_, intent| is_held(intent));
        let home = home_of(intent.as_ref());
        self.caller_at(home, Action::Pay(Payments::Cancel(intent.map(|intent| intent.id))))
    }

    fn issue(&mut self) -> Command {
        let found = self.delegation();
        let (agent, delegation) = match &found {
            Some(found) => (opaque(found.agent), opaque(DelegationId::from(found.id))),
            None => (opaque("nobody"), opaque("nonsense")),
        };
        let body = OfflineTokenBody {
            agent,
            delegation,
            device: self.device().unwrap_or(opaque("till")),
            max_amount: self.sum(),
            currency: self.currency(),
            merchants: self.dice.percent(40).then(|| self.merchants()),
            life_ms: self.dice.pick(&[SECOND, 60 * SECOND, 60 * SECOND, HOUR]),
        };
        self.caller_at(found.map(|found| found.workspace), Action::Pay(Payments::IssueToken(Box::new(body))))
    }

    fn tell(&mut self) -> Command {
        let all: Vec<&Token> = self.model.paid.tokens.iter().collect();
        let lapsing: Vec<&Token> = all.iter().copied().filter(|t| self.is_edge(t.until) || self.is_edge(t.reserved_until())).collect();
        let mut home = None;
        let mut transactions = Vec::new();
        for _ in 0..=self.dice.below(2) {
            let from = if lapsing.is_empty() || self.dice.percent(40) { &all } else { &lapsing };
            let token = self.dice.pick_recent(from).cloned();
            home = token.as_ref().map(|token| token.workspace).or(home);
            let sum = self.sum();
            let whole = token.as_ref().map(|token| amount(token.amount)).filter(|_| self.dice.percent(85));
            let occurred_at = token.as_ref().filter(|_| self.dice.percent(25)).map(|token| token.until).unwrap_or(self.now);
            let occurred_at = allowlog_proto::time::Timestamp::from_ms(occurred_at.as_ms() - self.dice.below(2)).unwrap();
            let currency = self.currency();
            transactions.push(TransactionBody {
                nullifier: token.as_ref().map(|token| token.nullifier).filter(|_| self.dice.percent(97)),
                merchant_id: self.merchant(),
                amount: whole.unwrap_or(sum),
                currency: token.map(|token| token.currency).filter(|_| self.dice.percent(90)).unwrap_or(currency),
                occurred_at: self.dice.percent(50).then_some(occurred_at),
                client_ref: self.dice.percent(40).then(|| ClientRef::new(self.dice.pick(&["r1", "r2", "r3", "r4", "r5"])).unwrap()),
            });
        }
        // What was told is told again.
        let told: Vec<_> = self.model.paid.told.iter().filter(|told| Some(told.workspace) == home).collect();
        let mut device = opaque(self.dice.pick(&["till", "kiosk"]));
        if let Some(told) = self.dice.pick_recent(&told).filter(|_| self.dice.percent(40)) {
            if self.dice.percent(50) {
                transactions.clear();
            }
            device = told.device.clone();
            transactions.push(told.body.clone());
        }
        let body = TransactionsBody { device, transactions };
        self.caller_at(home, Action::Pay(Payments::Queue(Box::new(body))))
    }

    fn reconcile(&mut self) -> Command {
        let waiting: Vec<_> = self.model.paid.told.iter().filter(|told| told.came_to.is_none()).collect();
        let found = self.dice.pick_recent(&waiting).filter(|_| self.dice.percent(95));
        let (home, device) = found.map_or((None, opaque("till")), |told| (Some(told.workspace), told.device.clone()));
        self.caller_at(home, Action::Pay(Payments::Reconcile(Box::new(ReconcileBody { device }))))
    }
}

fn home_of(intent: Option<&Intent>) -> Option<WorkspaceId> {
    intent.map(|intent| intent.workspace)
}

fn is_held(intent: &Intent) -> bool {
    intent.authorised.is_some() && intent.end.is_none()
}
