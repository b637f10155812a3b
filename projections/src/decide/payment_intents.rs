//! Payment intents. A decision is consumed when one is authorised, and the limits with it, behind a fresh look at all that the decision
//! was made by: so a revoke in between wins, and no two can spend the same.
//!
//! Source: section 5 of the AffixIO API.

use allowlog_proto::api::affixio::{AuthoriseBody, CaptureBody, IntentBody};
use allowlog_proto::event::{Code, Event, IntentCreated, IntentMoved, IntentRefused, Payment, PaymentEvent, Purpose, Refusal};
use allowlog_proto::id::{AuthorizationId, DecisionId, DelegationId, PaymentIntentId, ProofId, ReceiptId, RegisteredAgentId, WorkspaceId};
use allowlog_proto::limits::{DECISION_LIFE_MS, DECISIONS_TRIED_MAX, INTENT_LIFE_MS};
use allowlog_proto::money::Amount;
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::text::OpaqueId;
use allowlog_proto::time::Timestamp;

use super::gate::{Scene, is_above};
use super::outcome::IntentAt;
use super::{Decided, Outcome};
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::{Authorisation, Intent, LiveDecision, Progress, State};

pub(super) fn create(
    state: &State,
    workspace_id: WorkspaceId,
    body: &IntentBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let agent_id = match &body.agent {
        None => None,
        Some(asked) => {
            let id = RegisteredAgentId::parse(asked.as_str()).filter(|id| state.registered_agent(workspace_id, *id).is_some());
            Some(id.ok_or(Rejected::NotFound("agent"))?)
        }
    };
    let authorization_id = match &body.delegation {
        None => None,
        Some(asked) => {
            let id = DelegationId::parse(asked.as_str()).map(AuthorizationId::from);
            let id = id.filter(|id| state.delegation(workspace_id, *id).is_some());
            Some(id.ok_or(Rejected::NotFound("delegation"))?)
        }
    };
    // One that is over may be forgotten: whether it is good for anything is told when it is to be consumed.
    let decision = match &body.decision {
        None => None,
        Some(asked) => Some(decision_named(asked).ok_or(Rejected::NotFound("decision"))?),
    };
    let created = IntentCreated {
        authorization_id,
        intent_id: PaymentIntentId::from_bytes(ids.mint(now)),
        merchant_id: body.merchant_id.clone(),
        amount: body.amount,
        currency: body.currency,
        channel: body.channel.clone(),
        agent_id,
        device: body.device.clone(),
        decision,
        metadata: body.metadata.clone(),
        expires_at: now.saturating_add_ms(INTENT_LIFE_MS),
    };
    Ok(Decided::answered_by(workspace_id, vec![Event::Payment(PaymentEvent::IntentCreated(Box::new(created)))], now))
}

/// Consumes a decision for it. The same again is told the first answer.
pub(super) fn authorise(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<PaymentIntentId>,
    body: &AuthoriseBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let (intent_id, intent) = known(state, workspace_id, id)?;
    match &intent.progress {
        Progress::Created if intent.is_expired(now) => return Err(Rejected::Conflict("the time of the payment intent is over")),
        Progress::Created => {}
        // What was captured since was authorised all the same; what was cancelled is so no more.
        Progress::Authorised(first) | Progress::Captured(first, _) => {
            let is_same = body.amount.is_none_or(|amount| amount == first.amount)
                && body.decision.as_ref().is_none_or(|asked| decision_named(asked) == Some(first.decision));
            if !is_same {
                return Err(Rejected::Conflict("the payment intent is authorised otherwise"));
            }
            let outcome = Outcome::Intent(IntentAt::authorised(intent_id, intent.currency, first));
            return Ok(Decided { workspace_id, events: Vec::new(), outcome });
        }
        Progress::Cancelled(..) => return Err(Rejected::Conflict("the payment intent is cancelled")),
    }
    let amount = body.amount.unwrap_or(intent.amount);
    let place = Place { state, workspace_id, intent_id, intent, now };
    let (decision_id, decision) = place.find(body, amount)?;
    let authorization_id = place.fits(decision, amount)?;
    let (moved, test) = place.test(authorization_id, decision_id, decision, amount, ids)?;
    let event = match test {
        None => PaymentEvent::Authorised(Box::new(moved)),
        Some((code, refusal)) => PaymentEvent::Refused(Box::new(IntentRefused { moved, refusal, code })),
    };
    Ok(Decided::answered_by(workspace_id, vec![Event::Payment(event)], now))
}

/// An intent that is to be authorised.
struct Place<'a> {
    state: &'a State,
    workspace_id: WorkspaceId,
    intent_id: PaymentIntentId,
    intent: &'a Intent,
    now: Timestamp,
}

impl<'a> Place<'a> {
    /// The decision to be consumed: the one in the request, the one in the intent, the latest that was made for it, or the latest that
    /// lets the same be paid.
    fn find(&self, body: &AuthoriseBody, amount: Amount) -> Result<(ReceiptId, &'a LiveDecision), Rejected> {
        let required = Rejected::NotAuthorised(Refusal::PermissionRequired);
        let named = match &body.decision {
            Some(asked) => Some(decision_named(asked).ok_or(required.clone())?),
            None => self.intent.decision,
        };
        if let Some(id) = named {
            return self.named(id);
        }
        // Not more of them than a moment allows, since everybody waits for it: whoever has made so many can name the one that is meant.
        let mut made = self.state.decisions_for(self.workspace_id, self.intent_id).rev().take(DECISIONS_TRIED_MAX);
        if let Some(found) = made.find(|(_, decision)| self.now < decision.expires_at) {
            return Ok(found);
        }
        let offers = self.state.offers(self.workspace_id, self.intent.currency, &self.intent.merchant_id).rev().take(DECISIONS_TRIED_MAX);
        let mut live = offers.filter(|(_, decision)| self.now < decision.expires_at);
        live.find(|(_, decision)| self.is_about(decision) && self.covers(decision, amount)).ok_or(required)
    }

    fn named(&self, id: ReceiptId) -> Result<(ReceiptId, &'a LiveDecision), Rejected> {
        if self.state.consumer_of(self.workspace_id, id).is_some() {
            return Err(Rejected::AlreadyUsed);
        }
        // What is older than any decision lives may be forgotten, if it ever was.
        if self.now.as_ms() >= id.time_ms().saturating_add(DECISION_LIFE_MS) {
            return Err(Rejected::NotAuthorised(Refusal::PermissionExpired));
        }
        let decision = self.state.live_decision(self.workspace_id, id);
        decision.map(|decision| (id, decision)).ok_or(Rejected::NotAuthorised(Refusal::PermissionRequired))
    }

    /// Whether a decision is about what the intent says, and whom, as far as the intent names them.
    fn is_about(&self, decision: &LiveDecision) -> bool {
        let delegation = decision.authorization_id.and_then(|id| self.state.delegation(self.workspace_id, id));
        let agent_id = delegation.map(|(_, delegation)| delegation.agent_id);
        let Payment { merchant_id, currency, channel, intent_id, .. } = &decision.payment;
        // One that was made for another intent is kept for that.
        let made_for = intent_id.as_ref().and_then(|id| PaymentIntentId::parse(id.as_str()));
        let other = made_for.filter(|id| *id != self.intent_id && self.state.payment_intent(self.workspace_id, *id).is_some());
        other.is_none()
            && merchant_id.as_ref() == Some(&self.intent.merchant_id)
            && *currency == Some(self.intent.currency)
            && agree(self.intent.channel.as_ref(), channel.as_ref())
            && agree(self.intent.device.as_ref(), decision.device.as_ref())
            && self.intent.authorization_id.is_none_or(|id| Some(id) == decision.authorization_id)
            && self.intent.agent_id.is_none_or(|id| Some(id) == agent_id)
    }

    /// Whether a decision lets so much be paid. What nobody is asked about was not more than the decision was about.
    fn covers(&self, decision: &LiveDecision, amount: Amount) -> bool {
        let delegation = decision.authorization_id.and_then(|id| self.state.delegation(self.workspace_id, id));
        let limits = delegation.map(|(_, delegation)| &delegation.limits);
        let asks = limits.is_some_and(|l| is_above(Some(amount), l.review_above) || is_above(Some(amount), l.step_up_above));
        let is_asked = decision.payment.amount.is_some_and(|asked| amount <= asked);
        decision.max_amount.is_none_or(|most| amount <= most) && (is_asked || !asks)
    }

    /// Whether the decision lets so much be paid for this intent, and under which delegation.
    fn fits(&self, decision: &LiveDecision, amount: Amount) -> Result<AuthorizationId, Rejected> {
        let refused = |refusal| Err(Rejected::NotAuthorised(refusal));
        let Some(authorization_id) = decision.authorization_id.filter(|_| decision.is_consumable) else {
            return refused(Refusal::PermissionDenied);
        };
        if self.now >= decision.expires_at {
            return refused(Refusal::PermissionExpired);
        }
        if !self.is_about(decision) {
            return refused(Refusal::PermissionMismatch);
        }
        if amount > self.intent.amount || !self.covers(decision, amount) {
            return refused(Refusal::AmountExceedsLimit);
        }
        Ok(authorization_id)
    }

    /// What is recorded, and what the decision fails by now, if it does.
    fn test(
        &self,
        authorization_id: AuthorizationId,
        decision_id: ReceiptId,
        decision: &LiveDecision,
        amount: Amount,
        ids: &mut Ids,
    ) -> Result<(IntentMoved, Option<(Code, Refusal)>), Rejected> {
        let delegation = self.state.delegation(self.workspace_id, authorization_id);
        let (_, delegation) = delegation.ok_or(Rejected::NotFound("delegation"))?;
        let payment = Payment {
            merchant_id: Some(self.intent.merchant_id.clone()),
            amount: Some(amount),
            currency: Some(self.intent.currency),
            channel: self.intent.channel.clone().or_else(|| decision.payment.channel.clone()),
            category: decision.payment.category.clone(),
            intent_id: None,
        };
        let scene = Scene {
            state: self.state,
            workspace_id: self.workspace_id,
            purpose: Purpose::Permission,
            agent: self.state.registered_agent(self.workspace_id, delegation.agent_id),
            agent_id: Some(delegation.agent_id),
            delegation: None,
            device: decision.device.as_ref().or(self.intent.device.as_ref()),
            permission: Some(&decision.scope),
            payment: &payment,
            merchants: None,
            resource: None,
            may_cap: false,
            now: self.now,
        };
        let scene = Scene { delegation: scene.under(authorization_id), ..scene };
        let code = scene.test(&mut Vec::new()).err();
        let moved = moved(
            self.state,
            self.workspace_id,
            authorization_id,
            (self.intent_id, self.intent),
            Some(decision_id),
            amount,
            self.now,
            ids,
        )?;
        Ok((moved, code.map(|code| (code, refusal(code)))))
    }
}

/// Whether two say the same, where both say something.
fn agree<T: PartialEq>(one: Option<&T>, other: Option<&T>) -> bool {
    one.is_none() || other.is_none() || one == other
}

/// What the caller is told of a test that fails now.
const fn refusal(code: Code) -> Refusal {
    match code {
        Code::DelegationRevoked => Refusal::DelegationRevoked,
        Code::DelegationExpired => Refusal::PermissionExpired,
        Code::AmountLimitExceeded => Refusal::AmountExceedsLimit,
        Code::DailyLimitExceeded | Code::PeriodLimitExceeded => Refusal::LimitExceeded,
        Code::AgentNotFound
        | Code::AgentSuspended
        | Code::AgentRevoked
        | Code::DelegationNotFound
        | Code::DelegationAgentMismatch
        | Code::DelegationNotYetValid
        | Code::PermissionNotGranted
        | Code::DeviceRevoked
        | Code::DeviceNotTrusted
        | Code::MerchantNotAllowed
        | Code::CurrencyNotAllowed
        | Code::ChannelNotAllowed
        | Code::ManualReviewRejected
        | Code::ManualReviewRequired
        | Code::StepUpRequired
        | Code::DelegationValid
        | Code::DeviceTrusted
        | Code::DeviceUnverified
        | Code::MerchantAllowed
        | Code::AmountCapped
        | Code::ManualReviewApproved
        | Code::StepUpConfirmed => Refusal::PermissionDenied,
    }
}

/// What was authorised is paid, all of it or in part; the same again is told the first answer.
pub(super) fn capture(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<PaymentIntentId>,
    body: CaptureBody,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let (intent_id, intent) = known(state, workspace_id, id)?;
    let authorised = match &intent.progress {
        Progress::Authorised(authorised) => authorised,
        Progress::Captured(_, done) if body.amount.is_none_or(|amount| amount == done.amount) => {
            return Ok(Decided { workspace_id, events: Vec::new(), outcome: Outcome::Intent(IntentAt::now(intent_id, intent, now)) });
        }
        Progress::Captured(..) => return Err(Rejected::Conflict("the payment intent is captured otherwise")),
        Progress::Created => return Err(Rejected::Conflict("the payment intent is not authorised")),
        Progress::Cancelled(..) => return Err(Rejected::Conflict("the payment intent is cancelled")),
    };
    let amount = body.amount.unwrap_or(authorised.amount);
    if amount > authorised.amount {
        return Err(Rejected::NotAuthorised(Refusal::AmountExceedsLimit));
    }
    let Authorisation { authorization_id, decision, .. } = *authorised;
    let moved = moved(state, workspace_id, authorization_id, (intent_id, intent), Some(decision), amount, now, ids)?;
    Ok(Decided::answered_by(workspace_id, vec![Event::Payment(PaymentEvent::Captured(Box::new(moved)))], now))
}

/// It is over; the same again is told the first answer.
pub(super) fn cancel(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<PaymentIntentId>,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let (intent_id, intent) = known(state, workspace_id, id)?;
    let (authorization_id, decision, amount) = match &intent.progress {
        Progress::Created if intent.is_expired(now) => return Err(Rejected::Conflict("the time of the payment intent is over")),
        Progress::Created => (intent.authorization_id, None, intent.amount),
        Progress::Authorised(authorised) => (Some(authorised.authorization_id), Some(authorised.decision), authorised.amount),
        Progress::Captured(..) => return Err(Rejected::Conflict("the payment intent is captured")),
        Progress::Cancelled(..) => {
            return Ok(Decided { workspace_id, events: Vec::new(), outcome: Outcome::Intent(IntentAt::now(intent_id, intent, now)) });
        }
    };
    let event = match authorization_id {
        Some(id) => PaymentEvent::Cancelled(Box::new(moved(state, workspace_id, id, (intent_id, intent), decision, amount, now, ids)?)),
        None => PaymentEvent::Abandoned(intent_id),
    };
    Ok(Decided::answered_by(workspace_id, vec![Event::Payment(event)], now))
}

#[expect(clippy::too_many_arguments, reason = "each is a member of what is recorded, or says what it is of")]
fn moved(
    state: &State,
    workspace_id: WorkspaceId,
    authorization_id: AuthorizationId,
    (intent_id, intent): (PaymentIntentId, &Intent),
    decision: Option<ReceiptId>,
    amount: Amount,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<IntentMoved, Rejected> {
    let authorization = state.authorization(workspace_id, authorization_id).ok_or(Rejected::NotFound("delegation"))?;
    Ok(IntentMoved {
        receipt_id: ReceiptId::from_bytes(ids.mint(now)),
        authorization_id,
        user_id: authorization.user_id.clone(),
        agent_id: authorization.agent_id.clone(),
        intent_id,
        decision,
        merchant_id: intent.merchant_id.clone(),
        amount,
        currency: intent.currency,
        policy_version: PolicyVersion::CURRENT,
    })
}

fn known(state: &State, workspace_id: WorkspaceId, id: Option<PaymentIntentId>) -> Result<(PaymentIntentId, &Intent), Rejected> {
    let found = id.and_then(|id| Some((id, state.payment_intent(workspace_id, id)?)));
    found.ok_or(Rejected::NotFound("payment intent"))
}

/// The decision of this name, which may be that of its proof; nothing if it is neither.
fn decision_named(asked: &OpaqueId) -> Option<ReceiptId> {
    let text = asked.as_str();
    DecisionId::parse(text).map(ReceiptId::from).or_else(|| ProofId::parse(text).map(ReceiptId::from))
}
