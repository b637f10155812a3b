//! Devices that are registered: what an agent pays from or at. One that nobody registered is merely unverified.
//!
//! Source: section 2 of the AffixIO API.

use serde::{Deserialize, Serialize};

use crate::id::DeviceId;
use crate::json::CanonicalObject;
use crate::text::{Name, Note};

/// What happens to a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceEvent {
    /// It is trusted from now on.
    Registered(Box<DeviceTerms>),
    /// Somebody vouched for it.
    Attested {
        /// Which.
        device_id: DeviceId,
        /// What was said, which nobody but the caller judges.
        attestation: CanonicalObject,
    },
    /// It is not trusted any more.
    Revoked {
        /// Which.
        device_id: DeviceId,
        /// For a human.
        reason: Option<Note>,
    },
}

/// A device is trusted from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceTerms {
    /// The new device.
    pub device_id: DeviceId,
    /// What people call it.
    pub name: Option<Name>,
    /// What it is, in the caller's words.
    pub kind: Option<Name>,
    /// The caller's own.
    pub metadata: CanonicalObject,
}
