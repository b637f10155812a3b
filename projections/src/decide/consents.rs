//! Consents: a person is asked, and what came first of an answer, the end of the time and a withdrawal is what counts.

use allowlog_proto::api::permitly::AskBody;
use allowlog_proto::event::{
    AgentTerms, Asked, AuthorizationEvent, CheckEvent, ConsentEvent, Consented, Declined, Event, Grant, Granted, ManageLink, Minted,
    Revoked, Terms, TokenTerms, TokenVerified, Viewed, Visitor, Withdrawal, Withdrawer, Withdrawn,
};
use allowlog_proto::id::{AuthorizationId, ConsentAgentId, ConsentId, ReceiptId, TokenId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::limits::{MANAGE_LINK_LIFE_MS, TOKEN_LIFE_S_DEFAULT};
use allowlog_proto::reason::{PolicyVersion, Reason};
use allowlog_proto::text::{AgentId, Label, Name, ScopeName, UserId};
use allowlog_proto::time::Timestamp;
use allowlog_proto::token::whole_second;

use super::consent_agents::created;
use super::{Decided, Outcome};
use crate::ids::Ids;
use crate::rejected::Rejected;
use crate::state::{Authorization, Consent, ConsentStatus, State};

/// What the default agent is called that is made with the first request of a workspace.
const DEFAULT_AGENT: &str = "Default agent";

/// A person is to be asked. `spare_key` is the public half of a key for the default agent, in case there is none yet.
pub(super) fn ask(
    state: &State,
    workspace_id: WorkspaceId,
    body: &AskBody,
    spare_key: Option<(u8, [u8; 32])>,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let mut events = Vec::new();
    let workspace = state.workspace(workspace_id).ok_or(Rejected::Unauthorized)?;
    let agent_id = match (&body.agent_id, workspace.default_agent, spare_key) {
        (Some(asked), ..) => {
            let id = ConsentAgentId::parse(asked.as_str()).filter(|id| state.consent_agent(workspace_id, *id).is_some());
            id.ok_or_else(|| Rejected::field("body.agent_id", "names no agent of this workspace"))?
        }
        (None, Some(default), _) => default,
        (None, None, Some(key)) => {
            let agent_id = ConsentAgentId::from_bytes(ids.mint(now));
            let name = Name::new(DEFAULT_AGENT).map_err(|_| Rejected::NotFound("agent"))?;
            let (webhook_url, redirect_origins) = (None, Vec::new());
            let terms = AgentTerms { name, token_life_s: TOKEN_LIFE_S_DEFAULT, webhook_url, redirect_origins, is_default: true };
            events.push(created(state, workspace_id, agent_id, terms, key));
            agent_id
        }
        (None, None, None) => return Err(Rejected::field("body.agent_id", "is required: the workspace has no agent yet")),
    };
    let origins = state.consent_agent(workspace_id, agent_id).map(|agent| agent.terms.redirect_origins.as_slice()).unwrap_or_default();
    if !origins.is_empty() && !origins.contains(&body.redirect_url.origin()) {
        return Err(Rejected::field("body.redirect_url", "is at none of the origins that the agent may send people to"));
    }
    let expires_at = now.saturating_add_ms(body.life_ms);
    events.push(Event::Consent(ConsentEvent::Requested(Box::new(Asked {
        consent_id: ConsentId::from_bytes(ids.draw()),
        authorization_id: AuthorizationId::from_bytes(ids.mint(now)),
        agent_id,
        user_id: body.user_id.clone(),
        email: body.email.clone(),
        scopes: body.scopes.clone(),
        redirect_url: body.redirect_url.clone(),
        expires_at,
        metadata: body.metadata.clone(),
    }))));
    Ok(Decided::answered_by(workspace_id, events, now))
}

/// Somebody looks at the page. Whoever has its link may do so any number of times; the first hundred are recorded.
pub(super) fn view(state: &State, id: Option<ConsentId>, visitor: &Visitor) -> Result<Decided, Rejected> {
    let (workspace_id, authorization_id, consent) = known(state, id)?;
    let viewed = Viewed { consent_id: consent.consent_id, authorization_id, agent_id: consent.agent_id, visitor: visitor.clone() };
    let events = if consent.counts_views() { vec![Event::Consent(ConsentEvent::Viewed(Box::new(viewed)))] } else { Vec::new() };
    Ok(Decided { workspace_id, events, outcome: Outcome::ConsentViewed(workspace_id) })
}

/// The person answers. Only what is pending can be answered, and once.
pub(super) fn answer(
    state: &State,
    id: Option<ConsentId>,
    approves: bool,
    visitor: &Visitor,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let (workspace_id, authorization_id, consent) = known(state, id)?;
    match consent.status(now) {
        ConsentStatus::Pending => {}
        ConsentStatus::Approved | ConsentStatus::Declined => return Err(Rejected::Conflict("the request is answered already")),
        ConsentStatus::Expired => return Err(Rejected::Gone("the time to answer the request is over")),
        ConsentStatus::Revoked => return Err(Rejected::Gone("the request was taken back")),
    }
    let event = if approves {
        Event::Authorization(AuthorizationEvent::Granted(Box::new(granted(
            state,
            workspace_id,
            authorization_id,
            consent,
            visitor,
            now,
            ids,
        ))))
    } else {
        Event::Consent(ConsentEvent::Declined(Box::new(Declined {
            consent_id: consent.consent_id,
            authorization_id,
            agent_id: consent.agent_id,
            user_id: consent.user_id.clone(),
            scopes: keys(consent),
            visitor: visitor.clone(),
        })))
    };
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}

fn granted(
    state: &State,
    workspace_id: WorkspaceId,
    authorization_id: AuthorizationId,
    consent: &Consent,
    visitor: &Visitor,
    now: Timestamp,
    ids: &mut Ids,
) -> Granted {
    let scopes = consent.scopes.iter().map(|scope| Grant { name: scope.key.clone(), constraints: None });
    let terms = Terms {
        agent_id: agent_text(consent.agent_id),
        scopes: scopes.collect(),
        requires_confirm_for: Vec::new(),
        requires_escalation_for: Vec::new(),
        escalation_targets: Vec::new(),
    };
    let token = token(state, workspace_id, consent.agent_id, now, ids);
    let consented = Consented { consent_id: consent.consent_id, agent_id: consent.agent_id, token, visitor: visitor.clone() };
    Granted {
        receipt_id: ReceiptId::from_bytes(ids.mint(now)),
        authorization_id,
        user_id: consent.user_id.clone(),
        terms,
        // Until it is taken back.
        expires_at: None,
        not_before: None,
        budget_limit: None,
        bundle_id: None,
        replaces: None,
        metadata: CanonicalObject::default(),
        policy_version: PolicyVersion::CURRENT,
        consent: Some(Box::new(consented)),
        delegation: None,
    }
}

/// The terms of a fresh token, which lives as long as those of its agent do now.
fn token(state: &State, workspace_id: WorkspaceId, agent_id: ConsentAgentId, now: Timestamp, ids: &mut Ids) -> TokenTerms {
    let life_s = state.consent_agent(workspace_id, agent_id).map_or(TOKEN_LIFE_S_DEFAULT, |agent| agent.terms.token_life_s);
    let expires_at = whole_second(whole_second(now).saturating_add_ms(u64::from(life_s).saturating_mul(1000)));
    TokenTerms { token_id: TokenId::from_bytes(ids.mint(now)), expires_at }
}

/// Whoever asked takes it back, answered or not. To take it back again changes nothing.
pub(super) fn withdraw(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<ConsentId>,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let (authorization_id, consent) = of(state, workspace_id, id)?;
    let event = match consent.status(now) {
        ConsentStatus::Pending => Event::Consent(ConsentEvent::Withdrawn(Box::new(Withdrawn {
            consent_id: consent.consent_id,
            authorization_id,
            agent_id: consent.agent_id,
            user_id: consent.user_id.clone(),
            scopes: keys(consent),
        }))),
        ConsentStatus::Approved => revoked(state, workspace_id, authorization_id, Withdrawer::Builder, &Visitor::default(), now, ids)?,
        ConsentStatus::Revoked => {
            return Ok(Decided { workspace_id, events: Vec::new(), outcome: Outcome::Consent(consent.consent_id) });
        }
        ConsentStatus::Declined => return Err(Rejected::field("body.status", "is `declined`: there is nothing to be taken back")),
        ConsentStatus::Expired => return Err(Rejected::field("body.status", "is `expired`: there is nothing to be taken back")),
    };
    Ok(Decided::answered_by(workspace_id, vec![event], now))
}

/// The person takes back what they consented to.
pub(super) fn withdraw_own(
    state: &State,
    workspace_id: WorkspaceId,
    user_id: &UserId,
    id: Option<ConsentId>,
    visitor: &Visitor,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let (authorization_id, consent) = of(state, workspace_id, id)?;
    if consent.user_id != *user_id {
        return Err(Rejected::NotFound("consent"));
    }
    match consent.status(now) {
        ConsentStatus::Approved => {
            let event = revoked(state, workspace_id, authorization_id, Withdrawer::EndUser, visitor, now, ids)?;
            Ok(Decided::answered_by(workspace_id, vec![event], now))
        }
        ConsentStatus::Revoked => Ok(Decided { workspace_id, events: Vec::new(), outcome: Outcome::Consent(consent.consent_id) }),
        ConsentStatus::Pending | ConsentStatus::Declined | ConsentStatus::Expired => {
            Err(Rejected::Conflict("there is nothing to be taken back"))
        }
    }
}

fn revoked(
    state: &State,
    workspace_id: WorkspaceId,
    authorization_id: AuthorizationId,
    by: Withdrawer,
    visitor: &Visitor,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Event, Rejected> {
    let authorization = state.authorization(workspace_id, authorization_id).ok_or(Rejected::NotFound("authorization"))?;
    let revoked = Revoked {
        receipt_id: ReceiptId::from_bytes(ids.mint(now)),
        authorization_id,
        user_id: authorization.user_id.clone(),
        agent_id: authorization.agent_id.clone(),
        revoked_by: Label::new(by.as_str()).ok(),
        superseded_by: None,
        notes: None,
        policy_version: PolicyVersion::CURRENT,
        consent: withdrawal(state, workspace_id, authorization_id, by, visitor),
    };
    Ok(Event::Authorization(AuthorizationEvent::Revoked(Box::new(revoked))))
}

/// What the revoke of an authorization says of the consent that led to it, if one did.
pub(super) fn withdrawal(
    state: &State,
    workspace_id: WorkspaceId,
    authorization_id: AuthorizationId,
    by: Withdrawer,
    visitor: &Visitor,
) -> Option<Box<Withdrawal>> {
    let consent = state.consent_at(workspace_id, authorization_id)?;
    let (consent_id, agent_id, scopes) = (consent.consent_id, consent.agent_id, keys(consent));
    Some(Box::new(Withdrawal { consent_id, agent_id, scopes, by, visitor: visitor.clone() }))
}

/// One more token, as long as the consent stands.
pub(super) fn mint(
    state: &State,
    workspace_id: WorkspaceId,
    id: Option<ConsentId>,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let (authorization_id, consent) = of(state, workspace_id, id)?;
    if consent.status(now) != ConsentStatus::Approved {
        return Err(Rejected::field("body.status", "must be `approved` for a token to be made"));
    }
    let minted = Minted {
        consent_id: consent.consent_id,
        authorization_id,
        agent_id: consent.agent_id,
        user_id: consent.user_id.clone(),
        scopes: keys(consent),
        token: token(state, workspace_id, consent.agent_id, now, ids),
    };
    Ok(Decided::answered_by(workspace_id, vec![Event::Consent(ConsentEvent::Minted(Box::new(minted)))], now))
}

/// A token whose signature is that of `agent_id` may be relied on or not: the first reason that applies.
pub(super) fn verify(
    state: &State,
    workspace_id: WorkspaceId,
    consent_id: ConsentId,
    agent_id: ConsentAgentId,
    token: TokenTerms,
    now: Timestamp,
    ids: &mut Ids,
) -> Result<Decided, Rejected> {
    let (authorization_id, consent) = of(state, workspace_id, Some(consent_id))?;
    let authorization = state.authorization(workspace_id, authorization_id).filter(|_| consent.agent_id == agent_id);
    // What nobody approved has no token.
    let authorization: &Authorization = authorization.ok_or(Rejected::NotFound("consent"))?;
    let reason = if authorization.revoked_at.is_some() {
        Reason::AuthorizationRevoked
    } else if now >= token.expires_at || authorization.is_expired(now) {
        Reason::AuthorizationExpired
    } else {
        Reason::AuthorizationGrantedScopeActive
    };
    let verified = TokenVerified {
        receipt_id: ReceiptId::from_bytes(ids.mint(now)),
        authorization_id,
        consent_id,
        agent_id: authorization.agent_id.clone(),
        user_id: authorization.user_id.clone(),
        token,
        reason,
        policy_version: PolicyVersion::CURRENT,
    };
    Ok(Decided::answered_by(workspace_id, vec![Event::Check(CheckEvent::TokenVerified(Box::new(verified)))], now))
}

/// A person can be sent to the page on which they manage what they consented to.
pub(super) fn link(workspace_id: WorkspaceId, user_id: &UserId, now: Timestamp) -> Decided {
    let link = ManageLink { user_id: user_id.clone(), expires_at: now.saturating_add_ms(MANAGE_LINK_LIFE_MS) };
    Decided::answered_by(workspace_id, vec![Event::Consent(ConsentEvent::ManageLink(link))], now)
}

/// The consent whose link somebody has.
fn known(state: &State, id: Option<ConsentId>) -> Result<(WorkspaceId, AuthorizationId, &Consent), Rejected> {
    id.and_then(|id| state.consent(id)).ok_or(Rejected::NotFound("consent"))
}

fn of(state: &State, workspace_id: WorkspaceId, id: Option<ConsentId>) -> Result<(AuthorizationId, &Consent), Rejected> {
    id.and_then(|id| state.consent_of(workspace_id, id)).ok_or(Rejected::NotFound("consent"))
}

fn keys(consent: &Consent) -> Vec<ScopeName> {
    consent.scopes.iter().map(|scope| scope.key.clone()).collect()
}

fn agent_text(id: ConsentAgentId) -> AgentId {
    let Ok(text) = AgentId::new(&id.to_string()) else { unreachable!("ids are shorter than agents may be called") };
    text
}
