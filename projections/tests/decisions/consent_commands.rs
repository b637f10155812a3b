//! Random commands about consents: people are asked, look, answer in time or not, take back; tokens are made and presented.

use allowlog_projections::command::{Action, Command, Visit};
use allowlog_proto::api::permitly::{AskBody, ChangeAgentBody};
use allowlog_proto::event::{AgentTerms, ConsentScope, TokenTerms, Visitor};
use allowlog_proto::id::{ConsentAgentId, ConsentId, TokenId, WorkspaceId};
use allowlog_proto::json::CanonicalObject;
use allowlog_proto::redirect::{Origin, RedirectUrl};
use allowlog_proto::text::{IpAddress, Name, OpaqueId, ScopeLabel, ScopeName, UserId};

use crate::commands::Commands;
use crate::consent_model::{Asked, Token};

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 24 * 60 * MINUTE;

impl Commands<'_> {
    /// Any command about consents, in proportions that let most requests be answered.
    pub(crate) fn about_consents(&mut self) -> Command {
        if self.model.asked.is_empty() {
            return self.ask_for_consent();
        }
        // What lapses now is answered, or presented, now.
        if self.dice.percent(60) {
            if !self.lapsing_tokens().is_empty() {
                return self.verify_token();
            }
            if self.model.asked.iter().any(|asked| self.is_edge(asked.expires_at)) {
                return self.answer();
            }
        }
        match self.dice.below(100) {
            0..22 => self.ask_for_consent(),
            22..29 => self.view(),
            29..53 => self.answer(),
            53..59 => self.withdraw_consent(),
            59..64 => self.withdraw_own(),
            64..70 => self.mint_token(),
            70..88 => self.verify_token(),
            88..91 => self.manage_link(),
            91..94 => self.make_agent(),
            94..98 => self.change_agent(),
            _ => self.rotate_secret(),
        }
    }

    /// Whether a request, or a token, lapses at this instant or beside it.
    pub(crate) fn is_at_a_consents_end(&self) -> bool {
        self.model.consent_edges().iter().any(|edge| self.is_edge(*edge))
    }

    fn lapsing_tokens(&self) -> Vec<&Token> {
        self.model.tokens.iter().filter(|token| self.is_edge(token.terms.expires_at)).collect()
    }

    fn user(&mut self) -> UserId {
        UserId::new(self.dice.pick(&["user", "user", "other"])).unwrap()
    }

    fn ask_for_consent(&mut self) -> Command {
        let agent_id = match self.dice.below(10) {
            0..7 => None,
            7..9 => self.agent_id().map(|id| OpaqueId::new(&id.to_string()).unwrap()),
            _ => Some(OpaqueId::new("nobody").unwrap()),
        };
        let scope = |key: &str| ConsentScope {
            key: ScopeName::new(key).unwrap(),
            label: ScopeLabel::new(key).unwrap(),
            description: None,
            risk: None,
            reversible: true,
        };
        let scopes = self.dice.pick(&[&["a"][..], &["a", "b"], &["c", "b", "a"], &["d"]]);
        let url = self.dice.pick(&["https://a.example/done", "https://a.example/done?x=y", "https://b.example:8443/"]);
        let body = AskBody {
            agent_id,
            user_id: self.user(),
            email: None,
            scopes: scopes.iter().map(|key| scope(key)).collect(),
            redirect_url: RedirectUrl::new(url).unwrap(),
            life_ms: self.dice.pick(&[SECOND, MINUTE, 30 * MINUTE, 30 * MINUTE, 30 * DAY]),
            metadata: CanonicalObject::default(),
        };
        let spare = self.dice.percent(80).then(|| self.agent_key());
        let home = self.dice.percent(20).then(|| self.any_workspace());
        self.caller_at(home, Action::Ask(Box::new(body), spare))
    }

    fn agent_key(&mut self) -> (u8, [u8; 32]) {
        (self.dice.pick(&[2, 3]), self.dice.pick(self.public_keys))
    }

    fn agent_id(&mut self) -> Option<ConsentAgentId> {
        let ids: Vec<ConsentAgentId> = self.model.agents.iter().map(|agent| agent.id).collect();
        self.dice.pick_recent(&ids)
    }

    fn home_of(&self, id: Option<ConsentAgentId>) -> Option<WorkspaceId> {
        self.model.agents.iter().find(|agent| Some(agent.id) == id).map(|agent| agent.workspace)
    }

    /// Mostly one that is about to lapse, or that stands so; sometimes an id that nobody has.
    fn consent(&mut self, status: &str) -> Option<Asked> {
        if self.dice.percent(2) {
            return None;
        }
        let all: Vec<&Asked> = self.model.asked.iter().collect();
        let so: Vec<&Asked> = all.iter().copied().filter(|asked| self.model.status(asked, self.now) == status).collect();
        let lapsing: Vec<&Asked> = all.iter().copied().filter(|asked| self.is_edge(asked.expires_at)).collect();
        let from = if self.dice.percent(15) || so.is_empty() { &all } else { &so };
        let from = if lapsing.is_empty() || self.dice.percent(30) { from } else { &lapsing };
        self.dice.pick_recent(from).cloned()
    }

    fn visit(&mut self, visit: Visit) -> Command {
        let ip_address = self.dice.percent(50).then(|| IpAddress::new("192.0.2.7").unwrap());
        Command::Visitor { visitor: Visitor { ip_address, user_agent: None }, visit }
    }

    fn view(&mut self) -> Command {
        let id = self.consent("pending").map(|asked| asked.id);
        self.visit(Visit::View(id))
    }

    fn answer(&mut self) -> Command {
        let consent_id = self.consent("pending").map(|asked| asked.id);
        let approves = self.dice.percent(75);
        self.visit(Visit::Answer { consent_id, approves })
    }

    fn withdraw_own(&mut self) -> Command {
        let asked = self.consent("approved");
        let workspace_id = match &asked {
            Some(asked) if self.dice.percent(95) => asked.workspace,
            Some(_) | None => self.any_workspace(),
        };
        let user_id = match &asked {
            Some(asked) if self.dice.percent(90) => asked.user.clone(),
            Some(_) | None => self.user(),
        };
        self.visit(Visit::Withdraw { workspace_id, user_id, consent_id: asked.map(|asked| asked.id) })
    }

    fn withdraw_consent(&mut self) -> Command {
        let status = self.dice.pick(&["pending", "approved", "revoked"]);
        let asked = self.consent(status);
        self.caller_at(asked.as_ref().map(|asked| asked.workspace), Action::WithdrawConsent(asked.map(|asked| asked.id)))
    }

    fn mint_token(&mut self) -> Command {
        let asked = self.consent("approved");
        self.caller_at(asked.as_ref().map(|asked| asked.workspace), Action::MintToken(asked.map(|asked| asked.id)))
    }

    /// Mostly one that was handed out, often about to lapse; else of whatever request, or of none.
    fn verify_token(&mut self) -> Command {
        let all: Vec<&Token> = self.model.tokens.iter().collect();
        let lapsing: Vec<&Token> = self.model.tokens.iter().filter(|token| self.is_edge(token.terms.expires_at)).collect();
        let from = if lapsing.is_empty() || self.dice.percent(20) { &all } else { &lapsing };
        let token = self.dice.pick_recent(from).filter(|_| self.dice.percent(92)).cloned();
        let (consent_id, token) = match token {
            Some(token) => (token.consent, token.terms),
            None => {
                let consent_id = self.consent("pending").map_or(ConsentId::from_bytes([0xff; 16]), |asked| asked.id);
                (consent_id, TokenTerms { token_id: TokenId::from_bytes([0xff; 16]), expires_at: self.now.saturating_add_ms(DAY) })
            }
        };
        let asked = self.model.asked.iter().find(|asked| asked.id == consent_id).cloned();
        let stranger = if self.dice.percent(8) { self.agent_id() } else { None };
        let agent_id = stranger.or(asked.as_ref().map(|asked| asked.agent)).unwrap_or(ConsentAgentId::from_bytes([0xff; 16]));
        self.caller_at(asked.map(|asked| asked.workspace), Action::VerifyToken { consent_id, agent_id, token })
    }

    fn manage_link(&mut self) -> Command {
        let user = self.user();
        self.caller_at(None, Action::CreateManageLink(user))
    }

    fn origins(&mut self) -> Vec<Origin> {
        let origins = self.dice.pick(&[&[][..], &[], &["https://a.example"], &["https://a.example", "https://b.example:8443"]]);
        origins.iter().map(|origin| Origin::new(origin).unwrap()).collect()
    }

    fn token_life_s(&mut self) -> u32 {
        self.dice.pick(&[1, 60, 60, 3600])
    }

    fn make_agent(&mut self) -> Command {
        let terms = AgentTerms {
            name: Name::new("agent").unwrap(),
            token_life_s: self.token_life_s(),
            webhook_url: None,
            redirect_origins: self.origins(),
            is_default: self.dice.percent(50),
        };
        let key = self.agent_key();
        self.caller_at(None, Action::CreateConsentAgent(Box::new(terms), key))
    }

    fn change_agent(&mut self) -> Command {
        let id = self.agent_id().filter(|_| self.dice.percent(97));
        let body = ChangeAgentBody {
            name: self.dice.percent(30).then(|| Name::new("other").unwrap()),
            token_life_s: self.dice.percent(60).then(|| self.token_life_s()),
            webhook_url: None,
            redirect_origins: self.dice.percent(40).then(|| self.origins()),
            is_default: self.dice.percent(40).then_some(true),
        };
        self.caller_at(self.home_of(id), Action::ChangeConsentAgent(id, Box::new(body)))
    }

    fn rotate_secret(&mut self) -> Command {
        let id = self.agent_id().filter(|_| self.dice.percent(95));
        self.caller_at(self.home_of(id), Action::RotateWebhookSecret(id))
    }
}
