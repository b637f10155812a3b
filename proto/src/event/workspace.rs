//! Workspaces.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::json::CanonicalObject;
use crate::text::Name;

/// What happens to a workspace. Its id is in the record's header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WorkspaceEvent {
    /// The first record of every chain.
    Created {
        /// What people call it.
        name: Name,
        /// What it may use.
        plan: Plan,
    },
    /// The operator renamed it or gave it another plan; what was granted before stays as it is.
    Changed {
        /// What people call it from now on.
        name: Name,
        /// What it may use from now on.
        plan: Plan,
    },
    /// The caller's own, said when it was made.
    Described(CanonicalObject),
}

/// What a workspace may use.
///
/// Source: the codes of status 402 of the Allowly API in its scopes form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// No budgets, no escalations.
    Free,
    /// No budgets, no escalations.
    Starter,
    /// Everything.
    Pro,
    /// Everything.
    Enterprise,
}

impl Plan {
    /// Every plan, smallest first.
    pub const ALL: [Self; 4] = [Self::Free, Self::Starter, Self::Pro, Self::Enterprise];

    /// The spelling on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Starter => "starter",
            Self::Pro => "pro",
            Self::Enterprise => "enterprise",
        }
    }

    /// The plan of this spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|plan| plan.as_str() == text)
    }

    /// Whether budgets and escalations may be granted.
    pub const fn is_paid(self) -> bool {
        match self {
            Self::Free | Self::Starter => false,
            Self::Pro | Self::Enterprise => true,
        }
    }
}
