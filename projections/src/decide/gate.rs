//! The gate: may this payment go ahead?
//!
//! The tests below are in the order of [`Code`]: the first that fails decides. An unknown fact never becomes an allow.
//!
//! Source: section 4 of the AffixIO API.

use allowlog_proto::api::affixio::GateBody;
use allowlog_proto::event::{
    AgentStatus, Code, Event, OnExceed, Payment, PaymentDecided, PaymentEvent, PaymentLimits, Purpose, Subject, Verdict,
};
use allowlog_proto::id::{AuthorizationId, DelegationId, DeviceId, EscalationId, Nonce, ReceiptId, RegisteredAgentId, WorkspaceId};
use allowlog_proto::limits::{
    CATEGORY_BYTES_MAX, CHANNEL_BYTES_MAX, DECISION_LIFE_MS, DELEGATIONS_TRIED_MAX, ESCALATION_LIFE_MS, MERCHANT_ID_BYTES_MAX,
    NONCE_LIFE_MS, RESOURCE_BYTES_MAX,
};
use allowlog_proto::money::{Amount, Currency};
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::text::{MerchantId, OpaqueId, Resource, ScopeName};
use allowlog_proto::time::Timestamp;

use super::Decided;
use super::check::still_open;
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::{Authorization, Delegation, RegisteredAgent, State};

/// What a permission to pay is called where nothing is granted that could be named, and what a question about a payment is bound to begins
/// with.
const PAYMENT: &str = "payment";
/// What a question about an offline token is bound to begins with.
const TOKEN: &str = "offline_token";
/// What the first part of a permission to pay begins with, or is.
const PAYS: &str = "pay";
const PAYMENTS: [&str; 4] = ["purchase", "spend", "checkout", "transfer"];
/// 128 bits of what a question is bound to beside the payment.
const BOUND_HASH_CHARS: usize = 32;
// Kind, hash, currency, amount, channel and category escaped, merchant, and what stands between them.
const _: () = assert!(
    13 + 1 + BOUND_HASH_CHARS + 1 + 3 + 1 + 16 + 1 + 3 * CHANNEL_BYTES_MAX + 1 + 3 * CATEGORY_BYTES_MAX + 1 + MERCHANT_ID_BYTES_MAX
        <= RESOURCE_BYTES_MAX
);

/// What is asked, and what it is decided against.
pub(super) struct Scene<'a> {
    pub(super) state: &'a State,
    pub(super) workspace_id: WorkspaceId,
    pub(super) purpose: Purpose,
    /// Who wants to act, if that is an agent of this workspace.
    pub(super) agent: Option<&'a RegisteredAgent>,
    pub(super) agent_id: Option<RegisteredAgentId>,
    pub(super) delegation: Option<Under<'a>>,
    pub(super) device: Option<&'a OpaqueId>,
    pub(super) permission: Option<&'a ScopeName>,
    pub(super) payment: &'a Payment,
    /// Whoever may be paid, where it is not one; nothing if that is anybody.
    pub(super) merchants: Option<&'a [MerchantId]>,
    /// On what, where it is no payment.
    pub(super) resource: Option<&'a Resource>,
    /// Whether less may be paid than was asked for.
    pub(super) may_cap: bool,
    pub(super) now: Timestamp,
}

/// A delegation that something is to be paid under.
#[derive(Clone, Copy)]
pub(super) struct Under<'a> {
    pub(super) id: AuthorizationId,
    pub(super) authorization: &'a Authorization,
    pub(super) delegation: &'a Delegation,
}

/// The tests that were passed, and what they came to.
pub(super) struct Passed<'a> {
    under: Under<'a>,
    /// The granted scope it is by.
    place: usize,
    pub(super) scope: ScopeName,
    /// At most so much, where the limits say so.
    pub(super) ceiling: Option<Amount>,
    /// What of it would be paid.
    pub(super) amount: Option<Amount>,
}

/// What is decided.
pub(super) struct Ruling {
    pub(super) verdict: Verdict,
    pub(super) codes: Vec<Code>,
    pub(super) scope: ScopeName,
    pub(super) resource: Option<Resource>,
    pub(super) max_amount: Option<Amount>,
    /// What of it would be paid.
    pub(super) amount: Option<Amount>,
}

/// Decides what the gate is asked. Always an answer, but for a verification of what is not there.
pub(super) fn decide(
    state: &State,
    workspace_id: WorkspaceId,
    body: &GateBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let scene = Scene::of(state, workspace_id, body, now);
    if body.purpose == Purpose::Verification && scene.delegation.is_none() {
        return Err(Rejected::NotFound("delegation"));
    }
    let (scene, ruling) = match (&body.delegation, scene.agent) {
        (None, Some(agent)) => best(scene, agent, ids),
        (Some(_), _) | (None, None) => {
            let ruling = scene.rule(ids);
            (scene, ruling)
        }
    };
    let event = scene.decided(body, ruling, ids);
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}

/// Tries the delegations of an agent that are not over, the newest first and not more than [`DELEGATIONS_TRIED_MAX`]: the first that allows
/// decides, else the first under which somebody is to be asked, else the newest.
fn best<'a>(scene: Scene<'a>, agent: &'a RegisteredAgent, ids: &mut Ids) -> (Scene<'a>, Ruling) {
    let mut best: Option<(Scene<'a>, Ruling)> = None;
    let rank = |ruling: &Ruling| match ruling.verdict {
        Verdict::Allow { .. } => 2_u8,
        Verdict::Confirm { .. } | Verdict::Escalate { .. } => 1,
        Verdict::Deny => 0,
    };
    let live = agent.standing().rev().filter(|id| scene.under(*id).is_some_and(|under| !under.authorization.is_expired(scene.now)));
    for id in live.take(DELEGATIONS_TRIED_MAX) {
        let tried = Scene { delegation: scene.under(id), ..scene };
        let ruling = tried.rule(ids);
        let found = rank(&ruling);
        if best.as_ref().is_none_or(|(_, before)| found > rank(before)) {
            best = Some((tried, ruling));
        }
        if found == 2 {
            break;
        }
    }
    best.unwrap_or_else(|| {
        // Of those that are over the newest says why.
        let newest = agent.standing().next_back().and_then(|id| scene.under(id));
        let scene = Scene { delegation: newest, ..scene };
        let ruling = scene.rule(ids);
        (scene, ruling)
    })
}

impl<'a> Scene<'a> {
    pub(super) fn of(state: &'a State, workspace_id: WorkspaceId, body: &'a GateBody, now: Timestamp) -> Self {
        let delegation = body.delegation.as_ref().and_then(|asked| DelegationId::parse(asked.as_str())).map(AuthorizationId::from);
        let agent_id = body.agent.as_ref().and_then(|asked| RegisteredAgentId::parse(asked.as_str()));
        let scene = Scene {
            state,
            workspace_id,
            purpose: body.purpose,
            agent: None,
            agent_id,
            delegation: None,
            device: body.device.as_ref(),
            permission: body.permission.as_ref(),
            payment: &body.payment,
            merchants: None,
            resource: body.resource.as_ref(),
            may_cap: true,
            now,
        };
        let delegation = delegation.and_then(|id| scene.under(id));
        // A verification is of a delegation, whoever's it is.
        let agent_id = match (body.purpose, delegation) {
            (Purpose::Verification, Some(under)) => Some(under.delegation.agent_id),
            _ => agent_id,
        };
        let agent = agent_id.and_then(|id| state.registered_agent(workspace_id, id));
        Self { agent, agent_id, delegation, ..scene }
    }

    /// The delegation, if it is this workspace's.
    pub(super) fn under(&self, id: AuthorizationId) -> Option<Under<'a>> {
        let (authorization, delegation) = self.state.delegation(self.workspace_id, id)?;
        Some(Under { id, authorization, delegation })
    }

    /// All tests, then whether somebody is to be asked.
    pub(super) fn rule(&self, ids: &mut Ids) -> Ruling {
        let mut codes = Vec::new();
        let passed = match self.test(&mut codes) {
            Ok(passed) => passed,
            Err(code) => {
                codes.push(code);
                let scope =
                    self.permission.cloned().or_else(|| self.delegation.and_then(|under| self.granted(under)).map(|(_, scope)| scope));
                return Ruling {
                    verdict: Verdict::Deny,
                    codes,
                    scope: scope.unwrap_or_else(payment_scope),
                    resource: self.bound_to(),
                    max_amount: None,
                    amount: None,
                };
            }
        };
        let resource = self.bound_to();
        let (verdict, code) = self.ask(&passed, resource.as_ref(), &mut codes, ids);
        codes.extend(code);
        let max_amount = if matches!(verdict, Verdict::Allow { .. }) { passed.ceiling } else { None };
        Ruling { verdict, codes, scope: passed.scope, resource, max_amount, amount: passed.amount }
    }

    /// Tests 1 to 10: the codes of those that were passed, and the first that failed.
    pub(super) fn test(&self, codes: &mut Vec<Code>) -> Result<Passed<'a>, Code> {
        let now = self.now;
        let agent = self.agent.ok_or(Code::AgentNotFound)?;
        match agent.status {
            AgentStatus::Active => {}
            AgentStatus::Suspended => return Err(Code::AgentSuspended),
            AgentStatus::Revoked => return Err(Code::AgentRevoked),
        }
        let under = self.delegation.ok_or(Code::DelegationNotFound)?;
        let Under { authorization, delegation: Delegation { limits, .. }, .. } = under;
        if self.agent_id != Some(under.delegation.agent_id) {
            return Err(Code::DelegationAgentMismatch);
        }
        if authorization.revoked_at.is_some() {
            return Err(Code::DelegationRevoked);
        }
        if authorization.not_before().is_some_and(|start| now < start) {
            return Err(Code::DelegationNotYetValid);
        }
        if authorization.is_expired(now) {
            return Err(Code::DelegationExpired);
        }
        codes.push(Code::DelegationValid);
        let (place, scope) = self.granted(under).filter(|_| !self.is_tombstoned()).ok_or(Code::PermissionNotGranted)?;
        codes.extend(self.device(limits)?);
        let mut passed = Passed { under, place, scope, ceiling: None, amount: self.payment.amount };
        if !self.is_payment() {
            return Ok(passed);
        }
        if !self.may_be_paid(limits) {
            return Err(Code::MerchantNotAllowed);
        }
        if self.payment.merchant_id.is_some() || !self.merchants().is_empty() {
            codes.push(Code::MerchantAllowed);
        }
        if !is_listed(limits.currencies.as_deref(), self.payment.currency.as_ref()) {
            return Err(Code::CurrencyNotAllowed);
        }
        if !is_listed(limits.channels.as_deref(), self.payment.channel.as_ref()) {
            return Err(Code::ChannelNotAllowed);
        }
        if limits.has_amounts() {
            let (ceiling, exceeded) = self.ceiling(under);
            match (exceeded, Amount::new(ceiling), limits.on_exceed) {
                (None, ceiling, _) => passed.ceiling = ceiling,
                (Some(_), Some(ceiling), OnExceed::Cap) if self.may_cap && passed.amount.is_some() => {
                    codes.push(Code::AmountCapped);
                    (passed.ceiling, passed.amount) = (Some(ceiling), Some(ceiling));
                }
                (Some(code), _, _) => return Err(code),
            }
        }
        Ok(passed)
    }

    /// What a single payment can be at most, and the first limit that this one passes.
    fn ceiling(&self, under: Under<'_>) -> (i64, Option<Code>) {
        let limits = &under.delegation.limits;
        let left = under.delegation.left(self.payment.currency, self.now);
        let single = limits.per_transaction.map(|most| most.get().unsigned_abs());
        let asked = self.payment.amount.map(|amount| amount.get().unsigned_abs());
        let tests = [(single, Code::AmountLimitExceeded), (left.daily, Code::DailyLimitExceeded), (left.period, Code::PeriodLimitExceeded)];
        let passes = |most: u64| asked.is_none_or(|asked| asked > most);
        let exceeded = tests.iter().find(|(most, _)| most.is_some_and(passes)).map(|(_, code)| *code);
        let ceiling = tests.iter().filter_map(|(most, _)| *most).min().unwrap_or_default();
        (i64::try_from(ceiling).unwrap_or(i64::MAX), exceeded)
    }

    /// Tests 11 and 12: whether a person is to be asked first. A code that is passed goes to the others, one that is not is returned.
    fn ask(&self, passed: &Passed<'_>, resource: Option<&Resource>, codes: &mut Vec<Code>, ids: &mut Ids) -> (Verdict, Option<Code>) {
        let now = self.now;
        let mut consumed = None;
        if !self.is_payment() {
            return (Verdict::Allow { consumed }, None);
        }
        let limits = &passed.under.delegation.limits;
        let live = passed.under.authorization.live(passed.place, resource);
        if is_above(passed.amount, limits.review_above) {
            let escalation = live.escalation.and_then(|id| Some((id, self.state.escalation(self.workspace_id, id)?)));
            if escalation.is_some_and(|(_, e)| e.status.is_rejected(now)) {
                return (Verdict::Deny, Some(Code::ManualReviewRejected));
            }
            match escalation.filter(|(_, e)| e.status.is_approved(now)) {
                Some((id, _)) => {
                    codes.push(Code::ManualReviewApproved);
                    consumed = match self.purpose {
                        Purpose::Permission | Purpose::Policy | Purpose::OfflineToken => Some(id),
                        // These consume nothing.
                        Purpose::Trust | Purpose::Verification => None,
                    };
                }
                None if self.purpose == Purpose::Verification => return (Verdict::Deny, Some(Code::ManualReviewRequired)),
                None => {
                    let (escalation_id, expires_at, opened) = match escalation.and_then(still_open(now)) {
                        Some((id, expires_at)) => (id, expires_at, false),
                        None => (EscalationId::from_bytes(ids.mint(now)), now.saturating_add_ms(ESCALATION_LIFE_MS), true),
                    };
                    let verdict = Verdict::Escalate { escalation_id, escalation_to: None, expires_at, opened };
                    return (verdict, Some(Code::ManualReviewRequired));
                }
            }
        }
        if is_above(passed.amount, limits.step_up_above) {
            if live.confirmed_until.is_some_and(|until| now < until) {
                codes.push(Code::StepUpConfirmed);
            } else if self.purpose == Purpose::Verification {
                return (Verdict::Deny, Some(Code::StepUpRequired));
            } else {
                let nonce = Nonce::from_bytes(ids.mint(now));
                return (Verdict::Confirm { nonce, expires_at: now.saturating_add_ms(NONCE_LIFE_MS) }, Some(Code::StepUpRequired));
            }
        }
        (Verdict::Allow { consumed }, None)
    }

    /// The scope of the delegation that grants it. Where it is a payment, any permission to pay does: which of them is named is no matter.
    fn granted(&self, under: Under<'_>) -> Option<(usize, ScopeName)> {
        let scopes = || under.authorization.scopes.iter().map(|scope| &scope.name).enumerate();
        let named = self.permission.and_then(|asked| scopes().find(|(_, name)| *name == asked || name.as_str() == "*"));
        let any = || scopes().find(|(_, name)| is_payment(name.as_str()));
        let found = match self.permission {
            None if self.is_payment() => any(),
            // Nothing in particular is asked for: whatever it grants does.
            None => scopes().next(),
            Some(asked) if self.purpose != Purpose::Policy && is_payment(asked.as_str()) => named.or_else(any),
            Some(_) => named,
        };
        found.map(|(place, name)| (place, name.clone()))
    }

    /// Whether what it is about is closed to every agent.
    fn is_tombstoned(&self) -> bool {
        let workspace = self.state.workspace(self.workspace_id);
        self.resource.is_some_and(|resource| workspace.is_some_and(|workspace| workspace.is_tombstoned(resource)))
    }

    fn merchants(&self) -> &'a [MerchantId] {
        self.merchants.unwrap_or_default()
    }

    fn is_payment(&self) -> bool {
        let asks = self.permission.is_some_and(|asked| is_payment(asked.as_str()));
        asks || *self.payment != Payment::default()
    }

    fn device(&self, limits: &PaymentLimits) -> Result<Option<Code>, Code> {
        let known = self.device.and_then(|asked| self.state.device(self.workspace_id, DeviceId::parse(asked.as_str())?));
        match known {
            Some(device) if device.revoked_at.is_some() => Err(Code::DeviceRevoked),
            Some(_) => Ok(Some(Code::DeviceTrusted)),
            None if limits.requires_trusted_device => Err(Code::DeviceNotTrusted),
            None => Ok(self.device.map(|_| Code::DeviceUnverified)),
        }
    }

    /// Whether each that may be paid is such as the limits say.
    fn may_be_paid(&self, limits: &PaymentLimits) -> bool {
        let PaymentLimits { merchants, blocked_merchants, categories, .. } = limits;
        let allowed = |id: &MerchantId| merchants.as_ref().is_none_or(|list| list.contains(id)) && !blocked_merchants.contains(id);
        let is_limited = merchants.is_some() || !blocked_merchants.is_empty();
        let merchant = match &self.payment.merchant_id {
            Some(id) => allowed(id),
            None if self.merchants().is_empty() => !is_limited,
            None => self.merchants().iter().all(allowed),
        };
        merchant && is_listed(categories.as_deref(), self.payment.category.as_ref())
    }

    /// What a question to a person about it is bound to: all that is said of the payment, so that no two are bound to the same. What is
    /// not said is empty, which nothing that is said can be; the resource and the merchants of a token go in by their hash.
    fn bound_to(&self) -> Option<Resource> {
        let Payment { merchant_id, amount, currency, channel, category, intent_id: _ } = self.payment;
        let says_nothing = merchant_id.is_none() && amount.is_none() && currency.is_none() && channel.is_none() && category.is_none();
        let looks_like_one = |resource: &&Resource| resource.as_str().starts_with(PAYMENT) || resource.as_str().starts_with(TOKEN);
        if says_nothing && self.merchants.is_none() && self.resource.filter(looks_like_one).is_none() {
            return self.resource.cloned();
        }
        let kind = if self.purpose == Purpose::OfflineToken { TOKEN } else { PAYMENT };
        let more = self.more().map_or(String::new(), |hash| format!("+{hash}"));
        let amount = amount.map_or(String::new(), |amount| amount.get().to_string());
        let currency = currency.as_ref().map_or("", Currency::as_str);
        let channel = escaped(channel.as_ref().map(|channel| channel.as_str()));
        let category = escaped(category.as_ref().map(|category| category.as_str()));
        let merchant_id = merchant_id.as_ref().map_or("", |id| id.as_str());
        let text = format!("{kind}{more}:{currency}:{amount}:{channel}:{category}:{merchant_id}");
        // For whoever reads it, where there is room; its hash is in it anyway.
        let readable = self.resource.map(|resource| format!("{text} on {resource}")).and_then(|text| Resource::new(&text).ok());
        let Some(bound) = readable.or_else(|| Resource::new(&text).ok()) else {
            unreachable!("the limits of its parts together are within the limit")
        };
        Some(bound)
    }

    /// The hash of what has no place of its own: device, intent and resource, and the merchants of a token.
    fn more(&self) -> Option<String> {
        let intent_id = self.payment.intent_id.as_ref().map(|id| id.as_str());
        let said = [self.device.map(|device| device.as_str()), intent_id, self.resource.map(|resource| resource.as_str())];
        if said.iter().all(Option::is_none) && self.merchants.is_none() {
            return None;
        }
        let mut hasher = blake3::Hasher::new();
        let mut merchants: Vec<&str> = self.merchants.into_iter().flatten().map(|id| id.as_str()).collect();
        merchants.sort_unstable();
        merchants.dedup();
        for part in said.iter().map(|said| said.unwrap_or_default()).chain(merchants) {
            // Each behind its length, so that no two lists are the same bytes.
            hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&said.map(|said| u8::from(said.is_some())));
        hasher.update(&[u8::from(self.merchants.is_some())]);
        Some(hasher.finalize().to_hex().chars().take(BOUND_HASH_CHARS).collect())
    }

    pub(super) fn decided(&self, body: &GateBody, ruling: Ruling, ids: &mut Ids) -> Event {
        let now = self.now;
        let end = self.delegation.and_then(|under| under.authorization.expires_at);
        Event::Payment(PaymentEvent::Decided(Box::new(PaymentDecided {
            receipt_id: ReceiptId::from_bytes(ids.mint(now)),
            subject: self.subject(body.delegation.as_ref().or(body.agent.as_ref())),
            purpose: self.purpose,
            agent: body.agent.clone().or_else(|| self.agent_id.and_then(|id| OpaqueId::new(&id.to_string()).ok())).unwrap_or_else(nobody),
            device: body.device.clone(),
            scope: ruling.scope,
            payment: body.payment.clone(),
            resource: ruling.resource,
            context: body.context.clone(),
            verdict: ruling.verdict,
            codes: ruling.codes,
            max_amount: ruling.max_amount,
            expires_at: now.saturating_add_ms(DECISION_LIFE_MS).min(end.filter(|end| *end > now).unwrap_or(Timestamp::MAX)),
            policy_version: PolicyVersion::CURRENT,
        })))
    }

    /// Whom a decision is about; what was asked for if there is no delegation.
    fn subject(&self, asked: Option<&OpaqueId>) -> Subject {
        match self.delegation {
            None => Subject::Unknown { asked: asked.cloned().unwrap_or_else(nobody) },
            Some(Under { id, authorization, .. }) => Subject::Known {
                authorization_id: id,
                user_id: authorization.user_id.clone(),
                agent_id: authorization.agent_id.clone(),
                expires_at: authorization.expires_at,
            },
        }
    }
}

/// Whether a check, which says nothing of an agent, a device or an amount, can decide about a scope of a delegation.
pub(super) fn is_for_a_check(state: &State, workspace_id: WorkspaceId, delegation: &Delegation, name: &str) -> bool {
    let agent = state.registered_agent(workspace_id, delegation.agent_id);
    agent.is_some_and(|agent| agent.status == AgentStatus::Active) && !delegation.limits.requires_trusted_device && !is_payment(name)
}

/// Whether a permission is one to pay.
fn is_payment(name: &str) -> bool {
    let first = name.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_ascii_lowercase();
    name == "*" || first.starts_with(PAYS) || PAYMENTS.contains(&first.as_str())
}

/// Whether a list says nothing against it. Where there is a list, what is not known is not in it.
fn is_listed<T: PartialEq>(list: Option<&[T]>, value: Option<&T>) -> bool {
    list.is_none_or(|list| value.is_some_and(|value| list.contains(value)))
}

/// Whether a payment passes what needs no question. One of which nobody says how much it is does.
pub(super) fn is_above(amount: Option<Amount>, most: Option<Amount>) -> bool {
    most.is_some_and(|most| amount.is_none_or(|amount| amount > most))
}

fn escaped(text: Option<&str>) -> String {
    text.unwrap_or_default().replace('%', "%25").replace(':', "%3A")
}

fn payment_scope() -> ScopeName {
    let Ok(name) = ScopeName::new(PAYMENT) else { unreachable!("it is short") };
    name
}

fn nobody() -> OpaqueId {
    let Ok(nobody) = OpaqueId::new("unknown") else { unreachable!("it is short") };
    nobody
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permissions_to_pay_are_told_by_their_first_part() {
        for name in ["*", "pay", "payments:create", "payment.initiate", "PAYMENTS", "purchase", "spend/any", "checkout.session", "transfer"]
        {
            assert!(is_payment(name), "{name}");
        }
        for name in ["", "catalog.pay", "refund", "transfers", "spending", "re-pay", "*.pay", ".pay"] {
            assert!(!is_payment(name), "{name}");
        }
    }

    #[test]
    fn no_two_payments_are_bound_to_the_same() {
        assert_eq!(escaped(Some("a:b%c")), "a%3Ab%25c");
        assert_eq!(escaped(None), "");
    }
}
