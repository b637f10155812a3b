//! Consents: a person is asked on a page whether an agent may have some scopes. A consent is a pending authorization, whose id
//! it has from the start; giving it is [`super::Granted`], taking it back is [`super::Revoked`], and presenting a token of it is
//! [`super::TokenVerified`].
//!
//! Source: sections 2 to 4 of the Permitly API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::id::{AuthorizationId, ConsentAgentId, ConsentId, TokenId};
use crate::json::CanonicalObject;
use crate::redirect::RedirectUrl;
use crate::text::{Email, IpAddress, ScopeDescription, ScopeLabel, ScopeName, UserAgent, UserId};
use crate::time::Timestamp;

/// What happens to a request for consent, other than that it is given, or taken back once it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsentEvent {
    /// Somebody is to be asked.
    Requested(Box<Asked>),
    /// The page was looked at.
    Viewed(Box<Viewed>),
    /// The person said no.
    Declined(Box<Declined>),
    /// The request was taken back before it was answered.
    Withdrawn(Box<Withdrawn>),
    /// One more token was made for a consent that stands.
    Minted(Box<Minted>),
    /// A person can be sent to the page that lists what was consented to.
    ManageLink(ManageLink),
}

/// Somebody is to be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Names the page.
    pub consent_id: ConsentId,
    /// What the authorization is called, should there come to be one.
    pub authorization_id: AuthorizationId,
    /// Who wants to act.
    pub agent_id: ConsentAgentId,
    /// Whom the agent would act for, as the caller calls them.
    pub user_id: UserId,
    /// Shown on the page.
    pub email: Option<Email>,
    /// What the agent wants to do: 1 to 50, each key once, in the caller's order.
    pub scopes: Vec<ConsentScope>,
    /// Where the person goes with the answer.
    pub redirect_url: RedirectUrl,
    /// From this instant on nobody can answer any more.
    pub expires_at: Timestamp,
    /// The caller's own.
    pub metadata: CanonicalObject,
}

/// Something an agent wants to do.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConsentScope {
    /// What may be done.
    pub key: ScopeName,
    /// The same for a person to read; the key where the caller gave none.
    pub label: ScopeLabel,
    /// More about it.
    pub description: Option<ScopeDescription>,
    /// How much can go wrong, if the caller says.
    pub risk: Option<Risk>,
    /// Whether it can be undone.
    pub reversible: bool,
}

/// How much can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Little.
    Low,
    /// Something.
    Medium,
    /// Much.
    High,
    /// Everything.
    Critical,
}

impl Risk {
    /// Every risk, the least first.
    pub const ALL: [Self; 4] = [Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The risk of this spelling, in any letter case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|risk| risk.as_str().eq_ignore_ascii_case(text))
    }
}

/// Who looks at a page, as far as the connection tells; nothing where somebody called the API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Visitor {
    /// Where the connection came from.
    pub ip_address: Option<IpAddress>,
    /// What the browser calls itself.
    pub user_agent: Option<UserAgent>,
}

/// The page was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewed {
    /// Whose page.
    pub consent_id: ConsentId,
    /// As asked for.
    pub authorization_id: AuthorizationId,
    /// As asked for.
    pub agent_id: ConsentAgentId,
    /// By whom.
    pub visitor: Visitor,
}

/// The person said yes: what a grant carries of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consented {
    /// Which request was answered.
    pub consent_id: ConsentId,
    /// For which agent.
    pub agent_id: ConsentAgentId,
    /// The first token.
    pub token: TokenTerms,
    /// By whom.
    pub visitor: Visitor,
}

/// What a token says beside the consent it is for. The token is a function of this, of the consent and of the agent's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TokenTerms {
    /// Its claim `jti`.
    pub token_id: TokenId,
    /// Its claim `exp`: from then on it is of no use. Whole seconds.
    pub expires_at: Timestamp,
}

/// The person said no.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declined {
    /// Which request was answered.
    pub consent_id: ConsentId,
    /// As asked for.
    pub authorization_id: AuthorizationId,
    /// As asked for.
    pub agent_id: ConsentAgentId,
    /// As asked for.
    pub user_id: UserId,
    /// As asked for.
    pub scopes: Vec<ScopeName>,
    /// By whom.
    pub visitor: Visitor,
}

/// The request was taken back before it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Which request.
    pub consent_id: ConsentId,
    /// As asked for.
    pub authorization_id: AuthorizationId,
    /// As asked for.
    pub agent_id: ConsentAgentId,
    /// As asked for.
    pub user_id: UserId,
    /// As asked for.
    pub scopes: Vec<ScopeName>,
}

/// Who takes a consent back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Withdrawer {
    /// The person, on their own page.
    EndUser,
    /// Who asked for it, over an API.
    Builder,
}

impl Withdrawer {
    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndUser => "end_user",
            Self::Builder => "builder",
        }
    }
}

/// One more token was made for a consent that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Minted {
    /// For which.
    pub consent_id: ConsentId,
    /// As asked for.
    pub authorization_id: AuthorizationId,
    /// As asked for.
    pub agent_id: ConsentAgentId,
    /// As asked for.
    pub user_id: UserId,
    /// As asked for.
    pub scopes: Vec<ScopeName>,
    /// The token.
    pub token: TokenTerms,
}

/// A person can be sent to the page that lists what was consented to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManageLink {
    /// Whose consents.
    pub user_id: UserId,
    /// From this instant on the link leads nowhere.
    pub expires_at: Timestamp,
}

impl ConsentEvent {
    /// The authorization it is about: what was asked for has an id from the start.
    pub fn authorization_id(&self) -> Option<AuthorizationId> {
        match self {
            Self::Requested(asked) => Some(asked.authorization_id),
            Self::Viewed(viewed) => Some(viewed.authorization_id),
            Self::Declined(declined) => Some(declined.authorization_id),
            Self::Withdrawn(withdrawn) => Some(withdrawn.authorization_id),
            Self::Minted(minted) => Some(minted.authorization_id),
            Self::ManageLink(_) => None,
        }
    }
}
