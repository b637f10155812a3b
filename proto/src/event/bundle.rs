//! Bundles: named sets of scopes to grant from. They are copied when they are granted; deleting one touches no grant.

use serde::{Deserialize, Serialize};

use super::Terms;
use crate::text::{BundleId, Note};

/// What happens to a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BundleEvent {
    /// Authorizations may be made from it.
    Created(Box<Bundle>),
    /// No authorization is made from it any more; its id may be used again.
    Deleted {
        /// Which.
        bundle_id: BundleId,
    },
}

/// A named set of scopes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bundle {
    /// The caller's own.
    pub bundle_id: BundleId,
    /// Who may do what.
    pub terms: Terms,
    /// How long an authorization lasts that names no end itself, 1 to 3650 days.
    pub default_expiry_days: Option<u16>,
    /// For a human.
    pub description: Option<Note>,
}
