//! Consents once more, slow and obvious: a request is looked for among all there ever were, and how it stands follows from facts.
//!
//! Written from sections 2 to 4 of the Permitly API. It shares no constant with the real core.

use allowlog_projections::command::{Action, Visit};
use allowlog_projections::decide::{Decided, Outcome};
use allowlog_projections::state::State;
use allowlog_proto::api::permitly::{AskBody, ChangeAgentBody};
use allowlog_proto::event::{
    AgentTerms, AuthorizationEvent, ConsentAgentEvent, ConsentEvent, ConsentScope, Event, Terms, TokenTerms, Withdrawer,
};
use allowlog_proto::id::{AuthorizationId, ConsentAgentId, ConsentId, WorkspaceId};
use allowlog_proto::reason::Reason;
use allowlog_proto::text::{ScopeName, UserId};
use allowlog_proto::time::Timestamp;

use crate::answer::Answer;
use crate::model::{Grant, Model, after};

const AN_HOUR: u64 = 3_600_000;
const VIEWS_THAT_COUNT: usize = 100;

#[derive(Clone)]
pub(crate) struct ConsentAgent {
    pub(crate) id: ConsentAgentId,
    pub(crate) workspace: WorkspaceId,
    /// As they were last said; which one is the default is told by `defaults` alone.
    terms: AgentTerms,
    public_key: (u8, [u8; 32]),
    rotations: u32,
    /// How many agents were made or made the default before it was, of all workspaces; the last one of a workspace is its default.
    default_since: Option<usize>,
}

/// A request for consent.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) id: ConsentId,
    pub(crate) authorization: AuthorizationId,
    pub(crate) workspace: WorkspaceId,
    pub(crate) agent: ConsentAgentId,
    pub(crate) user: UserId,
    scopes: Vec<ConsentScope>,
    pub(crate) expires_at: Timestamp,
    declined: bool,
    withdrawn: bool,
    approved_at: Option<Timestamp>,
    views: usize,
}

/// A token that was handed out.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) consent: ConsentId,
    pub(crate) terms: TokenTerms,
}

/// An answer about consents, without what chance decides.
#[derive(Debug, PartialEq)]
pub(crate) enum ConsentAnswer {
    /// Nobody is named where the default agent is made with it.
    Asked {
        agent: Option<ConsentAgentId>,
        until: Timestamp,
    },
    Viewed {
        counted: bool,
    },
    /// What was granted, and until when its first token is good.
    Approved(Box<Terms>, Timestamp),
    Declined,
    /// Before it was answered, or once more.
    Withdrawn {
        again: bool,
    },
    Minted(Vec<ScopeName>, Timestamp),
    Verified(Reason),
    Linked(UserId, Timestamp),
    AgentMade(Box<AgentTerms>),
    AgentChanged(ConsentAgentId, Box<AgentTerms>),
    SecretRotated(ConsentAgentId, u32),
}

impl ConsentAnswer {
    /// For whoever counts.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Asked { agent: Some(_), .. } => "asked for consent",
            Self::Asked { agent: None, .. } => "asked for consent, with the default agent",
            Self::Viewed { .. } => "viewed",
            Self::Approved(..) => "consented",
            Self::Declined => "declined",
            Self::Withdrawn { again: false } => "withdrawn unanswered",
            Self::Withdrawn { again: true } => "withdrawn again",
            Self::Minted(..) => "token minted",
            Self::Verified(Reason::AuthorizationRevoked) => "token of a consent taken back",
            Self::Verified(Reason::AuthorizationExpired) => "token expired",
            Self::Verified(_) => "token good",
            Self::Linked(..) => "linked",
            Self::AgentMade(_) | Self::AgentChanged(..) | Self::SecretRotated(..) => "agent",
        }
    }
}

impl Asked {
    fn keys(&self) -> Vec<ScopeName> {
        self.scopes.iter().map(|scope| scope.key.clone()).collect()
    }
}

impl Model {
    /// `pending`, `approved`, `declined`, `expired` or `revoked`.
    pub(crate) fn status(&self, asked: &Asked, now: Timestamp) -> &'static str {
        let is_over = self.grants.iter().any(|grant| grant.id == asked.authorization && grant.revoked);
        match (asked.withdrawn || is_over, asked.declined, asked.approved_at) {
            (true, ..) => "revoked",
            (false, true, _) => "declined",
            (false, false, Some(_)) => "approved",
            (false, false, None) if now >= asked.expires_at => "expired",
            (false, false, None) => "pending",
        }
    }

    fn asked(&self, workspace: WorkspaceId, id: Option<ConsentId>) -> Option<&Asked> {
        self.asked.iter().find(|asked| Some(asked.id) == id && asked.workspace == workspace)
    }

    fn agent(&self, workspace: WorkspaceId, id: Option<ConsentAgentId>) -> Option<&ConsentAgent> {
        self.agents.iter().find(|agent| Some(agent.id) == id && agent.workspace == workspace)
    }

    fn default_agent(&self, workspace: WorkspaceId) -> Option<&ConsentAgent> {
        let mine = self.agents.iter().filter(|agent| agent.workspace == workspace && agent.default_since.is_some());
        mine.max_by_key(|agent| agent.default_since)
    }

    /// The terms of an agent, with what is now true of the default.
    fn terms_of(&self, agent: &ConsentAgent) -> AgentTerms {
        let is_default = self.default_agent(agent.workspace).is_some_and(|default| default.id == agent.id);
        AgentTerms { is_default, ..agent.terms.clone() }
    }

    /// The answer to a revoke of this grant.
    pub(crate) fn revoked(&self, grant: &Grant, by: Withdrawer) -> Answer {
        Answer::Revoked(self.asked.iter().any(|asked| asked.authorization == grant.id).then_some(by))
    }

    /// Whole seconds: those of the instant, and the life of the agent's tokens behind them.
    fn token_end(&self, asked: &Asked, now: Timestamp) -> Timestamp {
        let life = self.agent(asked.workspace, Some(asked.agent)).unwrap().terms.token_life_s;
        Timestamp::from_ms((now.as_ms() / 1000 + u64::from(life)) * 1000).unwrap()
    }

    pub(crate) fn about_consents(&self, workspace: WorkspaceId, action: &Action, now: Timestamp) -> Answer {
        let not_found = Answer::Refused("not found");
        Answer::Consent(match action {
            Action::Ask(body, spare) => return self.ask_for_consent(workspace, body, spare.is_some(), now),
            Action::CreateManageLink(user) => ConsentAnswer::Linked(user.clone(), after(now, AN_HOUR)),
            Action::CreateConsentAgent(terms, _) => {
                let is_default = terms.is_default || self.default_agent(workspace).is_none();
                ConsentAnswer::AgentMade(Box::new(AgentTerms { is_default, ..(**terms).clone() }))
            }
            Action::ChangeConsentAgent(id, body) => match self.agent(workspace, *id) {
                None => return not_found,
                Some(agent) => ConsentAnswer::AgentChanged(agent.id, Box::new(changed(&self.terms_of(agent), body))),
            },
            Action::RotateWebhookSecret(id) => match self.agent(workspace, *id) {
                None => return not_found,
                Some(agent) => ConsentAnswer::SecretRotated(agent.id, agent.rotations + 1),
            },
            Action::WithdrawConsent(id) => {
                let Some(asked) = self.asked(workspace, *id) else { return not_found };
                match self.status(asked, now) {
                    "approved" => return Answer::Revoked(Some(Withdrawer::Builder)),
                    "pending" => ConsentAnswer::Withdrawn { again: false },
                    "revoked" => ConsentAnswer::Withdrawn { again: true },
                    _ => return Answer::Invalid("body.status".to_owned()),
                }
            }
            Action::MintToken(id) => {
                let Some(asked) = self.asked(workspace, *id) else { return not_found };
                if self.status(asked, now) != "approved" {
                    return Answer::Invalid("body.status".to_owned());
                }
                ConsentAnswer::Minted(asked.keys(), self.token_end(asked, now))
            }
            Action::VerifyToken { consent_id, agent_id, token } => {
                let known = self.asked(workspace, Some(*consent_id));
                let Some(asked) = known.filter(|asked| asked.approved_at.is_some() && asked.agent == *agent_id) else { return not_found };
                ConsentAnswer::Verified(match self.status(asked, now) {
                    "revoked" => Reason::AuthorizationRevoked,
                    _ if now >= token.expires_at => Reason::AuthorizationExpired,
                    _ => Reason::AuthorizationGrantedScopeActive,
                })
            }
            Action::Create(_)
            | Action::Revoke(..)
            | Action::Check(_)
            | Action::CheckBatch(_)
            | Action::Confirm(..)
            | Action::Resolve(..)
            | Action::CreateBundle(_)
            | Action::DeleteBundle(_)
            | Action::PlaceTombstone(_)
            | Action::LiftTombstone(_)
            | Action::CreateApiKey(..)
            | Action::Register(_)
            | Action::Pay(_) => panic!("{action:?} is not about consents"),
        })
    }

    fn ask_for_consent(&self, workspace: WorkspaceId, body: &AskBody, has_spare_key: bool, now: Timestamp) -> Answer {
        let agent = match &body.agent_id {
            Some(id) => self.agent(workspace, ConsentAgentId::parse(id.as_str())),
            None => self.default_agent(workspace),
        };
        if agent.is_none() && (body.agent_id.is_some() || !has_spare_key) {
            return Answer::Invalid("body.agent_id".to_owned());
        }
        let origins = agent.map(|agent| agent.terms.redirect_origins.clone()).unwrap_or_default();
        let goes_there = |origin: &str| body.redirect_url.as_str().strip_prefix(origin).is_some_and(|rest| rest.starts_with('/'));
        if !origins.is_empty() && !origins.iter().any(|origin| goes_there(origin.as_str())) {
            return Answer::Invalid("body.redirect_url".to_owned());
        }
        Answer::Consent(ConsentAnswer::Asked { agent: agent.map(|agent| agent.id), until: after(now, body.life_ms) })
    }

    pub(crate) fn visit(&self, visit: &Visit, now: Timestamp) -> Answer {
        let whoever = |id: Option<ConsentId>| self.asked.iter().find(|asked| Some(asked.id) == id);
        match visit {
            Visit::View(id) => match whoever(*id) {
                None => Answer::Refused("not found"),
                Some(asked) => Answer::Consent(ConsentAnswer::Viewed { counted: asked.views < VIEWS_THAT_COUNT }),
            },
            Visit::Answer { consent_id, approves } => {
                let Some(asked) = whoever(*consent_id) else { return Answer::Refused("not found") };
                match self.status(asked, now) {
                    "pending" if *approves => {
                        let agent_id = asked.agent.to_string();
                        let grant = |name| allowlog_proto::event::Grant { name, constraints: None };
                        let terms = Terms {
                            agent_id: allowlog_proto::text::AgentId::new(&agent_id).unwrap(),
                            scopes: asked.keys().into_iter().map(grant).collect(),
                            requires_confirm_for: Vec::new(),
                            requires_escalation_for: Vec::new(),
                            escalation_targets: Vec::new(),
                        };
                        Answer::Consent(ConsentAnswer::Approved(Box::new(terms), self.token_end(asked, now)))
                    }
                    "pending" => Answer::Consent(ConsentAnswer::Declined),
                    "approved" | "declined" => Answer::Refused("conflict"),
                    _ => Answer::Refused("gone"),
                }
            }
            Visit::Withdraw { workspace_id, user_id, consent_id } => {
                let Some(asked) = self.asked(*workspace_id, *consent_id).filter(|asked| asked.user == *user_id) else {
                    return Answer::Refused("not found");
                };
                match self.status(asked, now) {
                    "approved" => Answer::Revoked(Some(Withdrawer::EndUser)),
                    "revoked" => Answer::Consent(ConsentAnswer::Withdrawn { again: true }),
                    _ => Answer::Refused("conflict"),
                }
            }
        }
    }

    /// Takes note of what happened to consents and agents.
    pub(crate) fn learn_consents(&mut self, now: Timestamp, decided: &Decided) {
        for event in &decided.events {
            match event {
                Event::ConsentAgent(event) => self.learn_agent(decided.workspace_id, event),
                Event::Consent(event) => self.learn_consent(decided.workspace_id, event),
                Event::Authorization(AuthorizationEvent::Granted(granted)) => {
                    let consent = granted.consent.as_ref().expect("a consent");
                    self.mint(consent.token.token_id);
                    self.tokens.push(Token { consent: consent.consent_id, terms: consent.token });
                    let asked = self.asked.iter_mut().find(|asked| asked.id == consent.consent_id).unwrap();
                    assert_eq!(asked.authorization, granted.authorization_id, "the authorization is called what it was to be");
                    asked.approved_at = Some(now);
                    let (id, workspace, terms) = (granted.authorization_id, decided.workspace_id, granted.terms.clone());
                    self.grants.push(Grant { id, workspace, terms, expires_at: None, not_before: None, budget: None, revoked: false });
                }
                Event::Authorization(AuthorizationEvent::Revoked(revoked)) => {
                    self.grants.iter_mut().find(|grant| grant.id == revoked.authorization_id).unwrap().revoked = true;
                }
                // A token may be presented any number of times.
                Event::Check(_) => {}
                Event::Workspace(_)
                | Event::ApiKey(_)
                | Event::SigningKey(_)
                | Event::Confirmation(_)
                | Event::Escalation(_)
                | Event::Bundle(_)
                | Event::Tombstone(_)
                | Event::Agent(_)
                | Event::Device(_)
                | Event::Payment(_) => panic!("{event:?} does not happen to consents"),
            }
        }
    }

    fn learn_agent(&mut self, workspace: WorkspaceId, event: &ConsentAgentEvent) {
        let turn = self.agents.iter().filter_map(|agent| agent.default_since).max().map_or(0, |last| last + 1);
        match event {
            ConsentAgentEvent::Created { agent_id, public_key, terms } => {
                self.mint(agent_id);
                let default_since = terms.is_default.then_some(turn);
                let (id, terms, public_key) = (*agent_id, (**terms).clone(), *public_key);
                self.agents.push(ConsentAgent { id, workspace, terms, public_key, rotations: 0, default_since });
            }
            ConsentAgentEvent::Changed { agent_id, terms } => {
                let agent = self.agents.iter_mut().find(|agent| agent.id == *agent_id).unwrap();
                agent.terms = (**terms).clone();
                agent.default_since = if terms.is_default { Some(turn) } else { agent.default_since };
            }
            ConsentAgentEvent::SecretRotated { agent_id, .. } => {
                self.agents.iter_mut().find(|agent| agent.id == *agent_id).unwrap().rotations += 1;
            }
        }
    }

    fn learn_consent(&mut self, workspace: WorkspaceId, event: &ConsentEvent) {
        match event {
            ConsentEvent::Requested(new) => {
                self.mint(new.consent_id);
                self.mint(new.authorization_id);
                self.asked.push(Asked {
                    id: new.consent_id,
                    authorization: new.authorization_id,
                    workspace,
                    agent: new.agent_id,
                    user: new.user_id.clone(),
                    scopes: new.scopes.clone(),
                    expires_at: new.expires_at,
                    declined: false,
                    withdrawn: false,
                    approved_at: None,
                    views: 0,
                });
            }
            ConsentEvent::Viewed(viewed) => self.asked_mut(viewed.consent_id).views += 1,
            ConsentEvent::Declined(declined) => self.asked_mut(declined.consent_id).declined = true,
            ConsentEvent::Withdrawn(withdrawn) => self.asked_mut(withdrawn.consent_id).withdrawn = true,
            ConsentEvent::Minted(minted) => {
                self.mint(minted.token.token_id);
                self.tokens.push(Token { consent: minted.consent_id, terms: minted.token });
            }
            ConsentEvent::ManageLink(_) => {}
        }
    }

    fn asked_mut(&mut self, id: ConsentId) -> &mut Asked {
        self.asked.iter_mut().find(|asked| asked.id == id).unwrap()
    }

    /// The instants at which a request or a token lapses that is still of use.
    pub(crate) fn consent_edges(&self) -> Vec<Timestamp> {
        let open = self.asked.iter().filter(|asked| !asked.declined && !asked.withdrawn && asked.approved_at.is_none());
        open.map(|asked| asked.expires_at).chain(self.tokens.iter().map(|token| token.terms.expires_at)).collect()
    }

    /// What the state says of agents and consents is what the facts say.
    pub(crate) fn assert_consents_are(&self, state: &State, now: Timestamp) {
        for workspace in self.workspaces.iter().map(|workspace| workspace.id) {
            let agents: Vec<_> = state.consent_agents(workspace).map(|(id, agent)| (id, agent.terms.clone())).collect();
            let mine = self.agents.iter().filter(|agent| agent.workspace == workspace);
            assert_eq!(agents, mine.clone().map(|agent| (agent.id, self.terms_of(agent))).collect::<Vec<_>>(), "agents");
            let default = state.workspace(workspace).and_then(|workspace| workspace.default_agent);
            assert_eq!(default, self.default_agent(workspace).map(|agent| agent.id), "the default agent");
            for agent in mine {
                let known = state.consent_agent(workspace, agent.id).unwrap();
                assert_eq!((known.secret_generation, known.public_key), (agent.rotations, agent.public_key));
                assert_eq!(state.consent_agent_anywhere(agent.id), Some(known), "whose it is need not be known");
            }
            let asked: Vec<&Asked> = self.asked.iter().filter(|asked| asked.workspace == workspace).collect();
            let places = |asked: &[&Asked]| asked.iter().map(|asked| asked.authorization).collect::<Vec<_>>();
            assert_eq!(state.consents(workspace, None).map(|(place, _)| place).collect::<Vec<_>>(), places(&asked), "all, oldest first");
            for user in ["user", "other"].map(|user| UserId::new(user).unwrap()) {
                let theirs: Vec<&Asked> = asked.iter().copied().filter(|asked| asked.user == user).collect();
                let found = state.consents_of_user(workspace, &user, None);
                assert_eq!(found.map(|(place, _)| place).collect::<Vec<_>>(), places(&theirs), "those of {user}");
            }
            let mut lapsed: Vec<&Asked> = asked.iter().copied().filter(|asked| self.status(asked, now) == "expired").collect();
            lapsed.sort_by_key(|asked| (asked.expires_at, asked.authorization));
            let found = |end| state.lapsed_consents(workspace, now, end).map(|(place, _)| place).collect::<Vec<_>>();
            assert_eq!(found(None), places(&lapsed), "those that nobody answered");
            let beyond = (after(now, AN_HOUR), AuthorizationId::from_bytes([0xff; 16]));
            assert_eq!(found(Some(beyond)), places(&lapsed), "what can be answered has not lapsed, wherever the end is");
            for (nth, asked) in lapsed.iter().enumerate() {
                assert_eq!(found(Some((asked.expires_at, asked.authorization))), places(&lapsed[..nth]), "those before one");
            }
        }
        for asked in &self.asked {
            let (workspace, place, consent) = state.consent(asked.id).expect("whoever has the link finds it");
            assert_eq!((workspace, place), (asked.workspace, asked.authorization));
            let counts = asked.views < VIEWS_THAT_COUNT;
            let known = (consent.status(now).as_str(), consent.approved_at(), consent.agent_id, consent.counts_views());
            assert_eq!(known, (self.status(asked, now), asked.approved_at, asked.agent, counts), "{}", asked.id);
        }
    }
}

fn changed(before: &AgentTerms, body: &ChangeAgentBody) -> AgentTerms {
    let mut terms = before.clone();
    body.name.iter().for_each(|name| terms.name = name.clone());
    body.token_life_s.iter().for_each(|life| terms.token_life_s = *life);
    body.webhook_url.iter().for_each(|url| terms.webhook_url.clone_from(url));
    body.redirect_origins.iter().for_each(|origins| terms.redirect_origins.clone_from(origins));
    body.is_default.iter().for_each(|is_default| terms.is_default = *is_default);
    terms
}

/// Who took the consent back that a revoke ended.
pub(crate) fn withdrawer(event: &Event) -> Option<Withdrawer> {
    let Event::Authorization(AuthorizationEvent::Revoked(revoked)) = event else { panic!("{event:?} is no revoke") };
    revoked.consent.as_ref().map(|consent| consent.by)
}

/// What the core answered about a consent or an agent, in the words of the model.
pub(crate) fn real_consent_answer(decided: &Decided) -> ConsentAnswer {
    let events = &decided.events;
    match (&decided.outcome, events.last()) {
        (Outcome::Created(created), Some(_)) => {
            let consent = created.granted.consent.as_ref().expect("a consent");
            assert_eq!(created.granted.expires_at, None, "a consent stands until it is taken back");
            ConsentAnswer::Approved(Box::new(created.granted.terms.clone()), consent.token.expires_at)
        }
        (Outcome::Consent(_), None) => ConsentAnswer::Withdrawn { again: true },
        (Outcome::Consent(id), Some(Event::Consent(ConsentEvent::Requested(asked)))) => {
            assert_eq!(*id, asked.consent_id);
            ConsentAnswer::Asked { agent: (events.len() == 1).then_some(asked.agent_id), until: asked.expires_at }
        }
        (Outcome::Consent(_), Some(Event::Consent(ConsentEvent::Declined(_)))) => ConsentAnswer::Declined,
        (Outcome::Consent(_), Some(Event::Consent(ConsentEvent::Withdrawn(_)))) => ConsentAnswer::Withdrawn { again: false },
        (Outcome::ConsentViewed(_), viewed) => ConsentAnswer::Viewed { counted: viewed.is_some() },
        (Outcome::TokenMinted(minted, _), Some(_)) => ConsentAnswer::Minted(minted.scopes.clone(), minted.token.expires_at),
        (Outcome::TokenVerified(verified), Some(_)) => ConsentAnswer::Verified(verified.reason),
        (Outcome::ManageLink(link), Some(_)) => ConsentAnswer::Linked(link.user_id.clone(), link.expires_at),
        (Outcome::ConsentAgent(_), Some(Event::ConsentAgent(event))) => match event {
            ConsentAgentEvent::Created { terms, .. } => ConsentAnswer::AgentMade(terms.clone()),
            ConsentAgentEvent::Changed { agent_id, terms } => ConsentAnswer::AgentChanged(*agent_id, terms.clone()),
            ConsentAgentEvent::SecretRotated { agent_id, generation } => ConsentAnswer::SecretRotated(*agent_id, *generation),
        },
        (outcome, event) => panic!("{outcome:?} of {event:?}"),
    }
}
