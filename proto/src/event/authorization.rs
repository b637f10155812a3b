//! Authorizations: the recorded permission and its withdrawal.

use serde::{Deserialize, Serialize};

use super::{Condition, Consented, Delegated, Visitor, Withdrawer};
use crate::id::{AuthorizationId, ConsentAgentId, ConsentId, ReceiptId};
use crate::json::CanonicalObject;
use crate::money::Micros;
use crate::reason::PolicyVersion;
use crate::text::{AgentId, Approver, BundleId, ConstraintItem, Label, Note, Pattern, ScopeName, UserId};
use crate::time::Timestamp;

/// What happens to an authorization. It never changes otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthorizationEvent {
    /// A user let an agent do something.
    Granted(Box<Granted>),
    /// It is over.
    Revoked(Box<Revoked>),
}

/// A user let an agent do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The receipt of the grant.
    pub receipt_id: ReceiptId,
    /// The new authorization.
    pub authorization_id: AuthorizationId,
    /// For whom the agent acts.
    pub user_id: UserId,
    /// Who may do what; copied from the bundle if there is one.
    pub terms: Terms,
    /// From this instant on nothing is allowed; a consent stands until it is withdrawn.
    pub expires_at: Option<Timestamp>,
    /// Before this instant nothing is allowed.
    pub not_before: Option<Timestamp>,
    /// What all allows together may cost.
    pub budget_limit: Option<Micros>,
    /// The bundle the scopes were copied from.
    pub bundle_id: Option<BundleId>,
    /// The authorization this one follows; that one is not revoked by it.
    pub replaces: Option<AuthorizationId>,
    /// The caller's own members for the receipt.
    pub metadata: CanonicalObject,
    /// By which version of the decision logic.
    pub policy_version: PolicyVersion,
    /// How the user said so, if it was on a consent page.
    pub consent: Option<Box<Consented>>,
    /// What the agent may pay, if it is a delegation.
    pub delegation: Option<Box<Delegated>>,
}

/// Who may do what: what an authorization says by itself, or copies from a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Who acts.
    pub agent_id: AgentId,
    /// What may be done: 1 to 100, each name once, in the caller's order.
    pub scopes: Vec<Grant>,
    /// Granted scopes of which the user is asked each time.
    pub requires_confirm_for: Vec<ScopeName>,
    /// Granted scopes of which a third party is asked each time.
    pub requires_escalation_for: Vec<ScopeName>,
    /// Who is asked, by scope, in canonical order of the names.
    pub escalation_targets: Vec<(ScopeName, Approver)>,
}

/// One scope of an authorization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What may be done.
    pub name: ScopeName,
    /// Within which limits; nothing where the caller gave none.
    pub constraints: Option<Box<Constraints>>,
}

/// Limits inside a grant. A list may be there and empty: it is signed as it was given.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Constraints {
    /// Allows per UTC calendar day, at least 1.
    pub max_per_day: Option<u64>,
    /// What the resource must match; a check without a resource fails it.
    pub resource_pattern: Option<Pattern>,
    /// `context.initiated_by` must be one of these, 1 to 128.
    pub allowed_initiators: Option<Vec<ConstraintItem>>,
    /// Recorded and signed; its meaning belongs to the caller.
    pub allowed_domains: Option<Vec<ConstraintItem>>,
    /// Recorded and signed; its meaning belongs to the caller.
    pub allowed_fields: Option<Vec<ConstraintItem>>,
    /// One that matches makes the check a confirm. At most 10 conditions in all three lists.
    pub confirm_when: Option<Vec<Condition>>,
    /// One that matches makes the check an escalate.
    pub escalate_when: Option<Vec<Condition>>,
    /// One that matches makes the check a deny.
    pub deny_when: Option<Vec<Condition>>,
}

impl Constraints {
    /// Whether there is any condition.
    pub fn has_conditions(&self) -> bool {
        [&self.confirm_when, &self.escalate_when, &self.deny_when].iter().any(|list| list.as_ref().is_some_and(|l| !l.is_empty()))
    }
}

/// An authorization was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revoked {
    /// The receipt of the revoke.
    pub receipt_id: ReceiptId,
    /// What is revoked.
    pub authorization_id: AuthorizationId,
    /// As granted.
    pub user_id: UserId,
    /// As granted.
    pub agent_id: AgentId,
    /// Who revoked, as far as the caller says.
    pub revoked_by: Option<Label>,
    /// The authorization that took its place.
    pub superseded_by: Option<AuthorizationId>,
    /// For a human.
    pub notes: Option<Note>,
    /// By which version of the decision logic.
    pub policy_version: PolicyVersion,
    /// The consent that is over with it, if it was given on a page.
    pub consent: Option<Box<Withdrawal>>,
}

/// A consent that was given is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawal {
    /// Which.
    pub consent_id: ConsentId,
    /// For which agent.
    pub agent_id: ConsentAgentId,
    /// What had been consented to.
    pub scopes: Vec<ScopeName>,
    /// Who took it back.
    pub by: Withdrawer,
    /// Whence, if it was on a page.
    pub visitor: Visitor,
}
