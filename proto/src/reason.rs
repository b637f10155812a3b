//! Decisions and their reasons, in the published order of evaluation.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a check answers for one scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// The agent may act.
    Allow,
    /// The agent may not act.
    Deny,
    /// The user is to be asked first.
    Confirm,
    /// A third party is to be asked first.
    Escalate,
}

impl Decision {
    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Confirm => "confirm",
            Self::Escalate => "escalate",
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// Why a check was decided as it was. The order is the order of evaluation: the first that applies decides.
        ///
        /// Source: `/v1/check` of the Allowly API, table of reasons.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason, in the order of evaluation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The spelling on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

reasons! {
    /// Deny: no such authorization in this workspace.
    AuthorizationNotFound = "authorization_not_found",
    /// Deny: revoked; wins over everything below, approvals included.
    AuthorizationRevoked = "authorization_revoked",
    /// Deny: now is before `not_before`.
    AuthorizationNotYetValid = "authorization_not_yet_valid",
    /// Deny: now is at or past `expires_at`.
    AuthorizationExpired = "authorization_expired",
    /// Deny: the scope is not granted, or a static constraint failed.
    ScopeNotAuthorized = "scope_not_authorized",
    /// Deny: the resource has a live tombstone.
    ResourceTombstoned = "resource_tombstoned",
    /// Deny: `max_per_day` allows were given on this UTC day already.
    RateLimitExceeded = "rate_limit_exceeded",
    /// Deny: spent and estimate together pass the limit.
    BudgetExceeded = "budget_exceeded",
    /// Deny: a `deny_when` entry fired.
    DenyConditionMatched = "deny_condition_matched",
    /// Deny: an escalation for this scope and resource was rejected less than 24 h ago.
    EscalationRejected = "escalation_rejected",
    /// Escalate: the scope is listed in `requires_escalation_for`.
    EscalationRequired = "escalation_required",
    /// Escalate: an `escalate_when` entry fired.
    EscalateConditionMatched = "escalate_condition_matched",
    /// Escalate or confirm: a condition could not be evaluated.
    ContextFieldMissing = "context_field_missing",
    /// Confirm: the scope is listed in `requires_confirm_for`.
    ScopeRequiresUserConfirmation = "scope_requires_user_confirmation",
    /// Confirm: a `confirm_when` entry fired.
    ConfirmConditionMatched = "confirm_condition_matched",
    /// Allow: an approved escalation was consumed.
    AuthorizationGrantedViaEscalation = "authorization_granted_via_escalation",
    /// Allow: a live confirmation covers it.
    AuthorizationGrantedViaConfirmation = "authorization_granted_via_confirmation",
    /// Allow: the grant alone suffices.
    AuthorizationGrantedScopeActive = "authorization_granted_scope_active",
}

/// Version of the decision logic, named in every receipt. A change of the ladder is a new variant at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PolicyVersion {
    /// All reasons of the published ladder.
    #[serde(rename = "2026-11-26.1")]
    V20261126,
}

impl PolicyVersion {
    /// The version this build decides by.
    pub const CURRENT: Self = Self::V20261126;

    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V20261126 => "2026-11-26.1",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_in_the_order_of_the_variants() {
        assert!(Reason::ALL.is_sorted());
        assert_eq!(Reason::ALL.len(), 18);
    }
}
