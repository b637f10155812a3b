//! Payments once more, slow and obvious: lists of all that ever happened, and what is left of a limit summed up anew for each question.
//!
//! Written from sections 2 to 6 of the AffixIO API. It shares no constant with the real core.

use allowlog_projections::command::{Payments, Registration};
use allowlog_projections::state::State;
use allowlog_proto::api::affixio::{AuthoriseBody, CaptureBody, DelegationBody, GateBody, IntentBody, OfflineTokenBody};
use allowlog_proto::event::{AgentStatus, OnExceed, Payment, PaymentLimits, Purpose, Resolution};
use allowlog_proto::id::{
    AuthorizationId, DecisionId, DelegationId, DeviceId, EscalationId, OfflineTokenId, OfflineTransactionId, OrgId, PaymentIntentId,
    ProofId, ReceiptId, RegisteredAgentId, WorkspaceId,
};
use allowlog_proto::money::Currency;
use allowlog_proto::text::{Channel, MerchantId, OpaqueId, Resource, ScopeName};
use allowlog_proto::time::Timestamp;

use crate::answer::Answer;
use crate::model::{Binding, Grant, Model, after};
use crate::payment_answer::{PaymentAnswer, Ruled};

pub(crate) const FIVE_MINUTES: u64 = 300_000;
const A_DAY: u64 = 86_400_000;
/// How long a token reserves what it is good for, when it is over.
const GRACE: u64 = A_DAY;

/// All that ever happened.
#[derive(Clone, Default)]
pub(crate) struct Paid {
    pub(crate) agents: Vec<Payer>,
    pub(crate) devices: Vec<Device>,
    pub(crate) delegations: Vec<Delegation>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) intents: Vec<Intent>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) told: Vec<Told>,
}

#[derive(Clone)]
pub(crate) struct Payer {
    pub(crate) id: RegisteredAgentId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) status: AgentStatus,
}

#[derive(Clone)]
pub(crate) struct Device {
    pub(crate) id: DeviceId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) revoked: bool,
}

/// What makes a grant a delegation.
#[derive(Clone)]
pub(crate) struct Delegation {
    pub(crate) id: AuthorizationId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) agent: RegisteredAgentId,
    pub(crate) limits: PaymentLimits,
}

/// What the gate was asked and answered, if it could be consumed.
#[derive(Clone)]
pub(crate) struct Decision {
    pub(crate) id: ReceiptId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) delegation: Option<AuthorizationId>,
    pub(crate) body: GateBody,
    /// By which permission.
    pub(crate) scope: ScopeName,
    pub(crate) allows: bool,
    /// Whether a person was to be asked.
    pub(crate) asks: bool,
    pub(crate) max: Option<i64>,
    pub(crate) at: Timestamp,
    pub(crate) until: Timestamp,
}

#[derive(Clone)]
pub(crate) struct Intent {
    pub(crate) id: PaymentIntentId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) body: IntentBody,
    pub(crate) at: Timestamp,
    pub(crate) authorised: Option<Authorised>,
    /// How it ended, with how much, and when.
    pub(crate) end: Option<(&'static str, i64, Timestamp)>,
}

#[derive(Clone, Copy)]
pub(crate) struct Authorised {
    pub(crate) delegation: AuthorizationId,
    pub(crate) decision: ReceiptId,
    pub(crate) amount: i64,
    pub(crate) at: Timestamp,
}

#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) id: OfflineTokenId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) delegation: AuthorizationId,
    pub(crate) nullifier: [u8; 16],
    pub(crate) amount: i64,
    pub(crate) currency: Currency,
    pub(crate) merchants: Option<Vec<MerchantId>>,
    pub(crate) at: Timestamp,
    pub(crate) until: Timestamp,
}

/// What a device told of.
#[derive(Clone)]
pub(crate) struct Told {
    pub(crate) id: OfflineTransactionId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) device: OpaqueId,
    pub(crate) token: OfflineTokenId,
    pub(crate) body: allowlog_proto::api::affixio::TransactionBody,
    pub(crate) came_to: Option<&'static str>,
    /// When that was.
    pub(crate) settled_at: Option<Timestamp>,
}

/// What is asked.
#[derive(Clone, Copy)]
struct Asked<'a> {
    purpose: Purpose,
    agent: Option<RegisteredAgentId>,
    delegation: Option<AuthorizationId>,
    device: Option<&'a OpaqueId>,
    permission: Option<&'a ScopeName>,
    payment: &'a Payment,
    merchants: Option<&'a [MerchantId]>,
    resource: Option<&'a Resource>,
    may_cap: bool,
}

/// All tests up to the amount are passed.
struct Passed {
    codes: Vec<&'static str>,
    scope: ScopeName,
    ceiling: Option<i64>,
    amount: Option<i64>,
}

impl Token {
    pub(crate) fn reserved_until(&self) -> Timestamp {
        after(self.until, GRACE)
    }
}

impl Intent {
    pub(crate) fn until(&self) -> Timestamp {
        after(self.at, A_DAY)
    }
}

/// The first segment is `pay...`, or one of the words for it; a star is everything.
pub(crate) fn pays(permission: &str) -> bool {
    let segment: String = permission.to_lowercase().chars().take_while(char::is_ascii_alphanumeric).collect();
    permission == "*" || segment.starts_with("pay") || ["purchase", "spend", "checkout", "transfer"].contains(&segment.as_str())
}

impl Model {
    pub(crate) fn register(&self, workspace: WorkspaceId, registration: &Registration, now: Timestamp) -> Answer {
        let not_found = Answer::Refused("not found");
        let payer = |id: &Option<RegisteredAgentId>| self.paid.agents.iter().find(|a| Some(a.id) == *id && a.workspace == workspace);
        let device = |id: &Option<DeviceId>| self.paid.devices.iter().find(|d| Some(d.id) == *id && d.workspace == workspace);
        Answer::Payment(match registration {
            Registration::Agent(body) if body.owner != Some(OrgId::from(workspace)) => return not_found,
            Registration::Agent(_) => PaymentAnswer::Agent { known: None, stored: true },
            Registration::AgentStatus(id, status) => match payer(id) {
                None => return not_found,
                Some(payer) if payer.status == *status => PaymentAnswer::Agent { known: *id, stored: false },
                Some(payer) if payer.status == AgentStatus::Revoked => return Answer::Refused("conflict"),
                Some(_) => PaymentAnswer::Agent { known: *id, stored: true },
            },
            Registration::Credential { agent_id, expires_at, .. } => match payer(agent_id) {
                None => return not_found,
                Some(payer) if payer.status == AgentStatus::Revoked => return Answer::Refused("conflict"),
                Some(_) if expires_at.is_some_and(|end| end <= now) => return Answer::Invalid("body.expires_at".to_owned()),
                Some(_) => PaymentAnswer::Credential(*expires_at),
            },
            Registration::Device(_) => PaymentAnswer::Device { known: None, stored: true },
            Registration::Attest(id, _) => match device(id) {
                None => return not_found,
                Some(device) if device.revoked => return Answer::Refused("conflict"),
                Some(_) => PaymentAnswer::Device { known: *id, stored: true },
            },
            Registration::RevokeDevice(id, _) => match device(id) {
                None => return not_found,
                Some(device) => PaymentAnswer::Device { known: *id, stored: !device.revoked },
            },
        })
    }

    pub(crate) fn pay(&self, workspace: WorkspaceId, payments: &Payments, now: Timestamp) -> Answer {
        match payments {
            Payments::Delegate(body) => self.delegate(workspace, body, now),
            Payments::Revoke(id, _) => match id.and_then(|id| self.delegation(workspace, id)) {
                None => Answer::Refused("not found"),
                Some((_, grant)) if grant.revoked => Answer::Payment(PaymentAnswer::Delegation { known: Some(grant.id) }),
                Some(_) => Answer::Revoked(None),
            },
            Payments::Decide(body) => self.gate(workspace, body, now),
            Payments::CreateIntent(body) => self.create_intent(workspace, body, now),
            Payments::Authorise(id, body) => self.authorise(workspace, *id, body, now),
            Payments::Capture(id, body) => self.capture(workspace, *id, *body, now),
            Payments::Cancel(id) => self.cancel(workspace, *id, now),
            Payments::IssueToken(body) => self.issue(workspace, body, now),
            Payments::Queue(body) => self.queue(workspace, body),
            Payments::Reconcile(body) => self.reconcile(workspace, &body.device, now),
        }
    }

    fn payer(&self, workspace: WorkspaceId, text: &str) -> Option<&Payer> {
        let id = RegisteredAgentId::parse(text)?;
        self.paid.agents.iter().find(|payer| payer.id == id && payer.workspace == workspace)
    }

    fn delegation(&self, workspace: WorkspaceId, id: AuthorizationId) -> Option<(&Delegation, &Grant)> {
        let delegation = self.paid.delegations.iter().find(|delegation| delegation.id == id && delegation.workspace == workspace)?;
        Some((delegation, self.grants.iter().find(|grant| grant.id == id).expect("a delegation is a grant")))
    }

    fn delegation_called(&self, workspace: WorkspaceId, text: &str) -> Option<AuthorizationId> {
        let id = AuthorizationId::from(DelegationId::parse(text)?);
        self.paid.delegations.iter().any(|delegation| delegation.id == id && delegation.workspace == workspace).then_some(id)
    }

    fn delegate(&self, workspace: WorkspaceId, body: &DelegationBody, now: Timestamp) -> Answer {
        match self.payer(workspace, body.agent.as_str()).map(|payer| payer.status) {
            None => return Answer::Refused("not found"),
            Some(AgentStatus::Suspended | AgentStatus::Revoked) => return Answer::Refused("conflict"),
            Some(AgentStatus::Active) => {}
        }
        let end = body.expires_at.unwrap_or(Timestamp::MAX);
        if end <= now || body.not_before.is_some_and(|start| start >= end) {
            return Answer::Invalid("body.validity_window.end".to_owned());
        }
        if body.limits.review_above.is_some() && !self.has_escalations(workspace) {
            return Answer::Refused("payment required");
        }
        Answer::Payment(PaymentAnswer::Delegation { known: None })
    }

    /// What counts of all that was ever spent under a delegation in a currency, at the instants that are asked about.
    pub(crate) fn spent(&self, id: AuthorizationId, currency: Currency, now: Timestamp, counts: impl Fn(Timestamp) -> bool) -> i64 {
        let mut sum = 0;
        for intent in self.paid.intents.iter().filter(|intent| intent.body.currency == currency) {
            let Some(authorised) = intent.authorised.filter(|a| a.delegation == id && counts(a.at)) else { continue };
            sum += match intent.end {
                None => authorised.amount,
                Some(("captured", amount, _)) => amount,
                Some(_) => 0,
            };
        }
        for token in self.paid.tokens.iter().filter(|token| token.delegation == id && token.currency == currency) {
            let settled = self.paid.told.iter().find(|told| told.token == token.id && told.came_to == Some("settled"));
            sum += match settled {
                // It counts as what was spent when it was settled, and before that on every day.
                Some(told) if counts(told.settled_at.unwrap()) => told.body.amount.get(),
                None if now < token.reserved_until() => token.amount,
                Some(_) | None => 0,
            };
        }
        sum
    }

    /// What is left of the day and of the rolling period.
    pub(crate) fn left(&self, delegation: &Delegation, currency: Option<Currency>, now: Timestamp) -> (Option<i64>, Option<i64>) {
        let PaymentLimits { daily, period, .. } = &delegation.limits;
        let Some(currency) = currency else { return (daily.map(|_| 0), period.map(|_| 0)) };
        let today = || self.spent(delegation.id, currency, now, |at| at.as_ms() / A_DAY == now.as_ms() / A_DAY);
        let daily = daily.map(|most| most.get() - today());
        let period = period.map(|period| {
            let rolls_out = |at| after(at, period.interval.as_ms());
            period.amount.get() - self.spent(delegation.id, currency, now, |at| now < rolls_out(at))
        });
        (daily, period)
    }

    /// What the state says is left is what was not spent.
    pub(crate) fn assert_limits_are(&self, state: &State, now: Timestamp) {
        for delegation in &self.paid.delegations {
            let (_, real) = state.delegation(delegation.workspace, delegation.id).expect("a delegation");
            for currency in ["EUR", "USD"].map(|letters| Currency::new(letters).unwrap()) {
                let (daily, period) = self.left(delegation, Some(currency), now);
                assert!(daily.is_none_or(|left| left >= 0) && period.is_none_or(|left| left >= 0), "overspent: {}", delegation.id);
                let left = real.left(Some(currency), now);
                let left = (left.daily, left.period);
                assert_eq!(left, (daily.map(|n| n.try_into().unwrap()), period.map(|n| n.try_into().unwrap())), "{}", delegation.id);
            }
        }
    }

    /// Which permission of a grant it is by.
    fn permitted(grant: &Grant, asked: &Asked<'_>) -> Option<ScopeName> {
        let names: Vec<&ScopeName> = grant.terms.scopes.iter().map(|scope| &scope.name).collect();
        let paying = names.iter().find(|name| pays(name.as_str()));
        let found = match asked.permission {
            None if is_payment(asked) => paying,
            None => names.first(),
            Some(wanted) => {
                let named = names.iter().find(|name| **name == wanted || name.as_str() == "*");
                let any_does = pays(wanted.as_str()) && asked.purpose != Purpose::Policy;
                named.or(paying.filter(|_| any_does))
            }
        };
        found.map(|name| (*name).clone())
    }

    /// Tests 1 to 10: either all are passed, or these codes, of which the last is the failure.
    fn test(&self, workspace: WorkspaceId, asked: &Asked<'_>, now: Timestamp) -> Result<Passed, Vec<&'static str>> {
        let payer = self.paid.agents.iter().find(|payer| Some(payer.id) == asked.agent && payer.workspace == workspace);
        match payer.map(|payer| payer.status) {
            None => return Err(vec!["AGENT_NOT_FOUND"]),
            Some(AgentStatus::Suspended) => return Err(vec!["AGENT_SUSPENDED"]),
            Some(AgentStatus::Revoked) => return Err(vec!["AGENT_REVOKED"]),
            Some(AgentStatus::Active) => {}
        }
        let Some((delegation, grant)) = asked.delegation.and_then(|id| self.delegation(workspace, id)) else {
            return Err(vec!["DELEGATION_NOT_FOUND"]);
        };
        if Some(delegation.agent) != asked.agent {
            return Err(vec!["DELEGATION_AGENT_MISMATCH"]);
        }
        if grant.revoked {
            return Err(vec!["DELEGATION_REVOKED"]);
        }
        if grant.not_before.is_some_and(|start| now < start) {
            return Err(vec!["DELEGATION_NOT_YET_VALID"]);
        }
        if grant.expires_at.is_some_and(|end| now >= end) {
            return Err(vec!["DELEGATION_EXPIRED"]);
        }
        let mut codes = vec!["DELEGATION_VALID"];
        let fail = |codes: &[&'static str], code| Err([codes, &[code]].concat());
        let is_closed = self.is_closed(workspace, asked.resource);
        let Some(scope) = Self::permitted(grant, asked).filter(|_| !is_closed) else { return fail(&codes, "PERMISSION_NOT_GRANTED") };
        let limits = &delegation.limits;
        let device = asked.device.map(|text| {
            let id = DeviceId::parse(text.as_str());
            self.paid.devices.iter().find(|device| Some(device.id) == id && device.workspace == workspace)
        });
        match device {
            Some(Some(device)) if device.revoked => return fail(&codes, "DEVICE_REVOKED"),
            Some(Some(_)) => codes.push("DEVICE_TRUSTED"),
            _ if limits.requires_trusted_device => return fail(&codes, "DEVICE_NOT_TRUSTED"),
            Some(None) => codes.push("DEVICE_UNVERIFIED"),
            None => {}
        }
        if !is_payment(asked) {
            return Ok(Passed { codes, scope, ceiling: None, amount: asked.payment.amount.map(|amount| amount.get()) });
        }
        self.test_payment(delegation, asked, (codes, scope), now)
    }

    /// Tests 7 to 10.
    fn test_payment(
        &self,
        delegation: &Delegation,
        asked: &Asked<'_>,
        (mut codes, scope): (Vec<&'static str>, ScopeName),
        now: Timestamp,
    ) -> Result<Passed, Vec<&'static str>> {
        let (limits, payment) = (&delegation.limits, asked.payment);
        let fail = |codes: &[&'static str], code| Err([codes, &[code]].concat());
        let payees: Vec<&MerchantId> = payment.merchant_id.iter().chain(asked.merchants.into_iter().flatten()).collect();
        let listed = |id: &MerchantId| limits.merchants.as_ref().is_none_or(|all| all.contains(id));
        let bad_payee = payees.iter().any(|id| !listed(id) || limits.blocked_merchants.contains(id));
        let anybody = payees.is_empty() && (limits.merchants.is_some() || !limits.blocked_merchants.is_empty());
        let bad_category = match (&limits.categories, &payment.category) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(all), Some(category)) => !all.contains(category),
        };
        if bad_payee || anybody || bad_category {
            return fail(&codes, "MERCHANT_NOT_ALLOWED");
        }
        if !payees.is_empty() {
            codes.push("MERCHANT_ALLOWED");
        }
        if limits.currencies.as_ref().is_some_and(|all| payment.currency.is_none_or(|currency| !all.contains(&currency))) {
            return fail(&codes, "CURRENCY_NOT_ALLOWED");
        }
        if limits.channels.as_ref().is_some_and(|all| payment.channel.as_ref().is_none_or(|channel| !all.contains(channel))) {
            return fail(&codes, "CHANNEL_NOT_ALLOWED");
        }
        let (daily, period) = self.left(delegation, payment.currency, now);
        let mosts = [
            (limits.per_transaction.map(|most| most.get()), "AMOUNT_LIMIT_EXCEEDED"),
            (daily, "DAILY_LIMIT_EXCEEDED"),
            (period, "PERIOD_LIMIT_EXCEEDED"),
        ];
        let mut amount = payment.amount.map(|amount| amount.get());
        let ceiling = mosts.iter().filter_map(|(most, _)| *most).min();
        // An amount that nobody knows is more than any limit.
        let passes = |most: i64| amount.is_none_or(|amount| amount > most);
        if let Some((_, code)) = mosts.iter().find(|(most, _)| most.is_some_and(passes)) {
            let caps = asked.may_cap && limits.on_exceed == OnExceed::Cap && amount.is_some() && ceiling > Some(0);
            if !caps {
                return fail(&codes, code);
            }
            codes.push("AMOUNT_CAPPED");
            amount = ceiling;
        }
        Ok(Passed { codes, scope, ceiling, amount })
    }

    /// What an answer of a person is bound to.
    fn binding(grant: AuthorizationId, scope: &ScopeName, asked: &Asked<'_>) -> Binding {
        let merchants = asked.merchants.map(|all| {
            let mut all = all.to_vec();
            all.sort();
            all
        });
        let said = Payment { intent_id: None, ..asked.payment.clone() };
        let imitates = asked.resource.is_some_and(|r| r.as_str().starts_with("payment") || r.as_str().starts_with("offline_token"));
        let resource = if said == Payment::default() && merchants.is_none() && !imitates {
            asked.resource.cloned()
        } else {
            let is_token = asked.purpose == Purpose::OfflineToken;
            let all = (is_token, asked.payment, asked.device, asked.resource, merchants);
            // The whole of it, since it may be longer than a resource.
            Some(Resource::new(blake3::hash(format!("{all:?}").as_bytes()).to_hex().as_str()).unwrap())
        };
        Binding { grant, scope: scope.clone(), resource }
    }

    /// The gate's answer for one delegation.
    fn rule(&self, workspace: WorkspaceId, asked: &Asked<'_>, now: Timestamp) -> (Ruled, Option<i64>) {
        let found = asked.delegation.and_then(|id| self.delegation(workspace, id));
        let end = found.and_then(|(_, grant)| grant.expires_at).filter(|end| *end > now);
        let lives = after(now, FIVE_MINUTES);
        let until = end.map_or(lives, |end| lives.min(end));
        let delegation = found.map(|(delegation, _)| delegation.id);
        let ruled = |action, codes| Ruled { action, codes, max: None, delegation, scope: None, until, uses: None, asks: None };
        let passed = match self.test(workspace, asked, now) {
            Ok(passed) => passed,
            Err(codes) => return (ruled("DENY", codes), None),
        };
        let Passed { mut codes, scope, ceiling, amount } = passed;
        let (Some((Delegation { limits, .. }, _)), Some(id)) = (found, delegation) else { panic!("it has passed") };
        let (mut uses, binding) = (None, Self::binding(id, &scope, asked));
        let above = |most: Option<i64>| is_payment(asked) && most.is_some_and(|most| amount.is_none_or(|amount| amount > most));
        let consults = asked.purpose != Purpose::Verification;
        if above(limits.review_above.map(|most| most.get())) {
            let (rejected, approved, open) = self.reviews(&binding, now);
            match approved {
                _ if rejected => return (ruled("DENY", [codes, vec!["MANUAL_REVIEW_REJECTED"]].concat()), None),
                Some(id) => {
                    codes.push("MANUAL_REVIEW_APPROVED");
                    uses = Some(id).filter(|_| consults && asked.purpose != Purpose::Trust);
                }
                None => {
                    codes.push("MANUAL_REVIEW_REQUIRED");
                    if !consults {
                        return (ruled("DENY", codes), None);
                    }
                    let asks = Some(open.map_or((None, after(now, A_DAY)), |(id, until)| (Some(id), until)));
                    return (Ruled { scope: Some(scope), asks, ..ruled("REVIEW", codes) }, None);
                }
            }
        }
        if above(limits.step_up_above.map(|most| most.get())) {
            if self.is_confirmed(&binding, now) {
                codes.push("STEP_UP_CONFIRMED");
            } else {
                codes.push("STEP_UP_REQUIRED");
                if !consults {
                    return (ruled("DENY", codes), None);
                }
                let asks = Some((None, after(now, FIVE_MINUTES)));
                return (Ruled { scope: Some(scope), asks, ..ruled("STEP_UP_REQUIRED", codes) }, None);
            }
        }
        let action = if ceiling.is_some() { "ALLOW_WITH_LIMITS" } else { "ALLOW" };
        (Ruled { scope: Some(scope), max: ceiling, uses, ..ruled(action, codes) }, amount)
    }

    /// Whether a reviewer has rejected it, the approval that is good, and the question that is open.
    fn reviews(&self, binding: &Binding, now: Timestamp) -> (bool, Option<EscalationId>, Option<(EscalationId, Timestamp)>) {
        let (mut rejected, mut approved, mut open) = (false, None, None);
        for escalation in self.escalations.iter().filter(|e| e.binding == *binding && now < e.until()) {
            match &escalation.resolution {
                None => open = Some((escalation.id, escalation.until())),
                Some((Resolution::Rejected, ..)) => rejected = true,
                Some((Resolution::Approved, ..)) if escalation.used => {}
                Some((Resolution::Approved, ..)) => approved = Some(escalation.id),
            }
        }
        (rejected, approved, open)
    }

    fn is_confirmed(&self, binding: &Binding, now: Timestamp) -> bool {
        self.confirmations.iter().any(|confirmation| confirmation.binding == *binding && now < confirmation.until)
    }

    fn gate_asked<'a>(&self, workspace: WorkspaceId, body: &'a GateBody) -> Asked<'a> {
        let delegation = body.delegation.as_ref().and_then(|text| self.delegation_called(workspace, text.as_str()));
        let named = body.agent.as_ref().and_then(|text| self.payer(workspace, text.as_str())).map(|payer| payer.id);
        let own = delegation.and_then(|id| self.delegation(workspace, id)).map(|(delegation, _)| delegation.agent);
        Asked {
            purpose: body.purpose,
            agent: if body.purpose == Purpose::Verification { own } else { named },
            delegation,
            device: body.device.as_ref(),
            permission: body.permission.as_ref(),
            payment: &body.payment,
            merchants: None,
            resource: body.resource.as_ref(),
            may_cap: true,
        }
    }

    fn gate(&self, workspace: WorkspaceId, body: &GateBody, now: Timestamp) -> Answer {
        let asked = self.gate_asked(workspace, body);
        if body.purpose == Purpose::Verification && asked.delegation.is_none() {
            return Answer::Refused("not found");
        }
        let all = self.paid.delegations.iter().rev().filter(|delegation| Some(delegation.agent) == asked.agent);
        let standing = all.filter(|delegation| !self.delegation(delegation.workspace, delegation.id).unwrap().1.revoked);
        let standing: Vec<&Delegation> = standing.collect();
        let is_over = |delegation: &&&Delegation| {
            self.delegation(delegation.workspace, delegation.id).unwrap().1.expires_at.is_some_and(|end| now >= end)
        };
        let mut live: Vec<&Delegation> = standing.iter().filter(|delegation| !is_over(delegation)).take(64).copied().collect();
        if live.is_empty() {
            live.extend(standing.first());
        }
        let tried: Vec<Ruled> = match (&body.delegation, asked.agent) {
            (None, Some(_)) => {
                let under = |delegation: &Delegation| Asked { delegation: Some(delegation.id), ..asked };
                live.iter().map(|delegation| self.rule(workspace, &under(delegation), now).0).collect()
            }
            _ => Vec::new(),
        };
        let allows = tried.iter().find(|ruled| ruled.action.starts_with("ALLOW"));
        let asks = || tried.iter().find(|ruled| ruled.asks.is_some());
        let best = allows.or_else(asks).or(tried.first()).cloned();
        Answer::Payment(PaymentAnswer::Ruled(best.unwrap_or_else(|| self.rule(workspace, &asked, now).0)))
    }

    /// What a question of the gate is bound to that was asked of this body under this delegation, by this permission.
    pub(crate) fn bound(&self, workspace: WorkspaceId, body: &GateBody, id: AuthorizationId, scope: &ScopeName) -> Binding {
        Self::binding(id, scope, &self.gate_asked(workspace, body))
    }

    fn create_intent(&self, workspace: WorkspaceId, body: &IntentBody, now: Timestamp) -> Answer {
        let knows_agent = body.agent.as_ref().is_none_or(|text| self.payer(workspace, text.as_str()).is_some());
        let knows_delegation = body.delegation.as_ref().is_none_or(|text| self.delegation_called(workspace, text.as_str()).is_some());
        let is_decision = body.decision.as_ref().is_none_or(|text| decision_called(text).is_some());
        if knows_agent && knows_delegation && is_decision {
            Answer::Payment(PaymentAnswer::IntentMade(after(now, A_DAY)))
        } else {
            Answer::Refused("not found")
        }
    }

    fn intent(&self, workspace: WorkspaceId, id: Option<PaymentIntentId>) -> Option<&Intent> {
        self.paid.intents.iter().find(|intent| Some(intent.id) == id && intent.workspace == workspace)
    }

    fn authorise(&self, workspace: WorkspaceId, id: Option<PaymentIntentId>, body: &AuthoriseBody, now: Timestamp) -> Answer {
        let Some(intent) = self.intent(workspace, id) else { return Answer::Refused("not found") };
        let amount = body.amount.map_or(intent.body.amount.get(), |amount| amount.get());
        match (intent.end, intent.authorised) {
            (Some(("cancelled", ..)), _) => return Answer::Refused("conflict"),
            (_, Some(first)) => {
                let same_amount = body.amount.is_none_or(|amount| amount.get() == first.amount);
                let same_decision = body.decision.as_ref().is_none_or(|text| decision_called(text) == Some(first.decision));
                if !same_amount || !same_decision {
                    return Answer::Refused("conflict");
                }
                let Authorised { amount, decision, at, .. } = first;
                return Answer::Payment(PaymentAnswer::intent("authorised", amount, Some(decision), at, true));
            }
            (_, None) if now >= intent.until() => return Answer::Refused("conflict"),
            (_, None) => {}
        }
        let decision = match self.find(intent, body, amount, now) {
            Ok(decision) => decision,
            Err(why) => return Answer::Refused(why),
        };
        let Some(id) = decision.delegation.filter(|_| is_consumable(decision)) else { return Answer::Refused("permission_denied") };
        if now >= decision.until {
            return Answer::Refused("permission_expired");
        }
        if !self.is_about(decision, intent) {
            return Answer::Refused("permission_mismatch");
        }
        if amount > intent.body.amount.get() || !self.covers(decision, amount) {
            return Answer::Refused("amount_exceeds_limit");
        }
        let (delegation, _) = self.delegation(workspace, id).unwrap();
        let asked = decision.body.payment.clone();
        let payment = Payment {
            merchant_id: Some(intent.body.merchant_id.clone()),
            amount: allowlog_proto::money::Amount::new(amount),
            currency: Some(intent.body.currency),
            channel: intent.body.channel.clone().or(asked.channel),
            category: asked.category,
            intent_id: None,
        };
        let fresh = Asked {
            purpose: Purpose::Permission,
            agent: Some(delegation.agent),
            delegation: Some(id),
            device: decision.body.device.as_ref().or(intent.body.device.as_ref()),
            permission: Some(&decision.scope),
            payment: &payment,
            merchants: None,
            resource: None,
            may_cap: false,
        };
        Answer::Payment(match self.test(workspace, &fresh, now) {
            Ok(_) => PaymentAnswer::intent("authorised", amount, Some(decision.id), now, false),
            Err(codes) => {
                let code = *codes.last().unwrap();
                let refusal = match code {
                    "DELEGATION_REVOKED" => "delegation_revoked",
                    "DELEGATION_EXPIRED" => "permission_expired",
                    "AMOUNT_LIMIT_EXCEEDED" => "amount_exceeds_limit",
                    "DAILY_LIMIT_EXCEEDED" | "PERIOD_LIMIT_EXCEEDED" => "limit_exceeded",
                    _ => "permission_denied",
                };
                PaymentAnswer::Refused(refusal, code)
            }
        })
    }

    /// In the body, given at creation, made for this intent, else the newest that is unused and covers it.
    fn find(&self, intent: &Intent, body: &AuthoriseBody, amount: i64, now: Timestamp) -> Result<&Decision, &'static str> {
        let is_used = |id| self.paid.intents.iter().any(|intent| intent.authorised.is_some_and(|first| first.decision == id));
        let named = match (&body.decision, &intent.body.decision) {
            (Some(text), _) => Some(decision_called(text).ok_or("permission_required")?),
            (None, Some(text)) => decision_called(text),
            (None, None) => None,
        };
        let mut own = self.paid.decisions.iter().rev().filter(|decision| decision.workspace == intent.workspace);
        if let Some(id) = named {
            // Ids of one kind are apart across workspaces: whose it is, is nobody's business.
            if is_used(id) && own.any(|decision| decision.id == id) {
                return Err("already used");
            }
            let made = Timestamp::from_ms(id.time_ms()).unwrap_or_default();
            if now >= after(made, FIVE_MINUTES) {
                return Err("permission_expired");
            }
            return own.find(|decision| decision.id == id).ok_or("permission_required");
        }
        let live: Vec<&Decision> =
            own.filter(|decision| is_consumable(decision) && now < decision.until && !is_used(decision.id)).collect();
        let text = intent.id.to_string();
        let mine = |decision: &&&Decision| decision.body.payment.intent_id.as_ref().is_some_and(|id| id.as_str() == text);
        let suits = |decision: &&&Decision| self.is_about(decision, intent) && self.covers(decision, amount);
        let found = live.iter().find(mine).or_else(|| live.iter().find(suits));
        found.copied().ok_or("permission_required")
    }

    fn is_about(&self, decision: &Decision, intent: &Intent) -> bool {
        let (payment, body) = (&decision.body.payment, &intent.body);
        let own = decision.delegation.and_then(|id| self.delegation(intent.workspace, id)).map(|(delegation, _)| delegation);
        let same = |one: Option<&str>, other: Option<&str>| one.is_none() || other.is_none() || one == other;
        let device = |device: &Option<OpaqueId>| device.as_ref().map(|device| device.as_str().to_owned());
        let made_for = payment.intent_id.as_ref().and_then(|text| PaymentIntentId::parse(text.as_str()));
        if made_for.is_some_and(|id| id != intent.id && self.intent(intent.workspace, Some(id)).is_some()) {
            return false;
        }
        payment.merchant_id.as_ref() == Some(&body.merchant_id)
            && payment.currency == Some(body.currency)
            && same(body.channel.as_ref().map(Channel::as_str), payment.channel.as_ref().map(Channel::as_str))
            && same(device(&body.device).as_deref(), device(&decision.body.device).as_deref())
            && body.agent.as_ref().is_none_or(|text| own.map(|own| own.agent) == RegisteredAgentId::parse(text.as_str()))
            && body.delegation.as_ref().is_none_or(|text| own.map(|own| DelegationId::from(own.id)) == DelegationId::parse(text.as_str()))
    }

    /// What nobody was asked about is not more than what needs no question.
    fn covers(&self, decision: &Decision, amount: i64) -> bool {
        let own = decision.delegation.and_then(|id| self.delegation(decision.workspace, id)).map(|(delegation, _)| delegation);
        let above = |most: Option<allowlog_proto::money::Amount>| most.is_some_and(|most| amount > most.get());
        let asks = own.is_some_and(|own| above(own.limits.review_above) || above(own.limits.step_up_above));
        let was_asked = decision.body.payment.amount.is_some_and(|asked| amount <= asked.get());
        decision.max.is_none_or(|max| amount <= max) && (was_asked || !asks)
    }

    fn capture(&self, workspace: WorkspaceId, id: Option<PaymentIntentId>, body: CaptureBody, now: Timestamp) -> Answer {
        let Some(intent) = self.intent(workspace, id) else { return Answer::Refused("not found") };
        let decision = intent.authorised.map(|first| first.decision);
        match (intent.end, intent.authorised) {
            (Some(("captured", amount, at)), _) if body.amount.is_none_or(|asked| asked.get() == amount) => {
                Answer::Payment(PaymentAnswer::intent("captured", amount, decision, at, true))
            }
            (Some(_), _) | (None, None) => Answer::Refused("conflict"),
            (None, Some(first)) => {
                let amount = body.amount.map_or(first.amount, |amount| amount.get());
                if amount > first.amount {
                    return Answer::Refused("amount_exceeds_limit");
                }
                Answer::Payment(PaymentAnswer::intent("captured", amount, decision, now, false))
            }
        }
    }

    fn cancel(&self, workspace: WorkspaceId, id: Option<PaymentIntentId>, now: Timestamp) -> Answer {
        let Some(intent) = self.intent(workspace, id) else { return Answer::Refused("not found") };
        let decision = intent.authorised.map(|first| first.decision);
        Answer::Payment(match (intent.end, intent.authorised) {
            (Some(("cancelled", amount, at)), _) => PaymentAnswer::intent("cancelled", amount, decision, at, true),
            (Some(_), _) => return Answer::Refused("conflict"),
            (None, Some(first)) => PaymentAnswer::intent("cancelled", first.amount, decision, now, false),
            (None, None) if now >= intent.until() => return Answer::Refused("conflict"),
            (None, None) if intent.body.delegation.is_none() => PaymentAnswer::Abandoned,
            (None, None) => PaymentAnswer::intent("cancelled", intent.body.amount.get(), None, now, false),
        })
    }

    /// As the gate would be asked for a token.
    pub(crate) fn asked_for_token(body: &OfflineTokenBody) -> GateBody {
        GateBody {
            purpose: Purpose::OfflineToken,
            agent: Some(body.agent.clone()),
            delegation: Some(body.delegation.clone()),
            device: Some(body.device.clone()),
            permission: None,
            payment: Payment {
                amount: Some(body.max_amount),
                currency: Some(body.currency),
                channel: Some(Channel::new("offline").unwrap()),
                ..Payment::default()
            },
            resource: None,
            context: allowlog_proto::json::CanonicalObject::default(),
        }
    }

    /// Who may be paid with a token: those that are named, else those that the delegation allows; nothing if that cannot be said.
    pub(crate) fn payees(&self, workspace: WorkspaceId, body: &OfflineTokenBody) -> Option<Option<Vec<MerchantId>>> {
        let id = self.delegation_called(workspace, body.delegation.as_str());
        let limits = id.and_then(|id| self.delegation(workspace, id)).map(|(delegation, _)| &delegation.limits);
        match (&body.merchants, limits) {
            (Some(named), _) => Some(Some(named.clone())),
            (None, None) => Some(None),
            (None, Some(limits)) => match &limits.merchants {
                Some(all) => Some(Some(all.iter().filter(|id| !limits.blocked_merchants.contains(id)).cloned().collect())),
                None => limits.blocked_merchants.is_empty().then_some(None),
            },
        }
    }

    /// What a question about a token is bound to.
    pub(crate) fn bound_token(&self, workspace: WorkspaceId, body: &OfflineTokenBody, scope: &ScopeName) -> Option<Binding> {
        let (gate, payees) = (Self::asked_for_token(body), self.payees(workspace, body)?);
        let asked = Asked { merchants: payees.as_deref(), ..self.gate_asked(workspace, &gate) };
        Some(Self::binding(asked.delegation?, scope, &asked))
    }

    fn issue(&self, workspace: WorkspaceId, body: &OfflineTokenBody, now: Timestamp) -> Answer {
        let Some(merchants) = self.payees(workspace, body) else { return Answer::Invalid("body.merchant_ids".to_owned()) };
        let gate = Self::asked_for_token(body);
        let asked = Asked { merchants: merchants.as_deref(), ..self.gate_asked(workspace, &gate) };
        let (ruled, amount) = self.rule(workspace, &asked, now);
        let Some(amount) = amount else { return Answer::Payment(PaymentAnswer::Ruled(ruled)) };
        let end = asked.delegation.and_then(|id| self.delegation(workspace, id)).and_then(|(_, grant)| grant.expires_at);
        let until = end.map_or(after(now, body.life_ms), |end| end.min(after(now, body.life_ms)));
        let until = Timestamp::from_ms(until.as_ms() / 1000 * 1000).unwrap();
        let Ruled { codes, uses, scope, .. } = ruled;
        Answer::Payment(PaymentAnswer::Token { amount, until, merchants, codes, uses, scope: scope.unwrap() })
    }
}

fn is_payment(asked: &Asked<'_>) -> bool {
    *asked.payment != Payment::default() || asked.permission.is_some_and(|name| pays(name.as_str()))
}

/// An allow of a whole payment, by the gate or the policy.
pub(crate) fn is_consumable(decision: &Decision) -> bool {
    let Payment { merchant_id, amount, currency, .. } = &decision.body.payment;
    decision.allows && merchant_id.is_some() && amount.is_some() && currency.is_some()
}

fn decision_called(text: &OpaqueId) -> Option<ReceiptId> {
    DecisionId::parse(text.as_str()).map(ReceiptId::from).or_else(|| ProofId::parse(text.as_str()).map(ReceiptId::from))
}
