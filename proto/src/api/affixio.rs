//! Bodies of the AffixIO API.
//!
//! Source: sections 1 to 6 of the AffixIO API. Requests are read in both spellings, `agentId` and `agent_id`.

mod agents;
mod delegations;
mod devices;
mod envelope;
mod gate;
mod members;
mod offline;
mod orgs;
mod payment_intents;
mod payment_limits;
mod spelling;

pub use agents::{CredentialBody, CredentialCreatedBody, RegisterAgentBody, RegisteredAgentBody};
pub use delegations::{
    DelegationBody, DelegationRevokedBody, DelegationVerifiedBody, KnownDelegationBody, RevokeDelegationBody, WindowBody, limit_objects,
};
pub use devices::{AttestBody, DeviceBody, RegisterDeviceBody, RevokeDeviceBody};
pub use envelope::AffixioEnvelope;
pub use gate::{DecisionBody, GateBody, PermissionAsked, PolicyAsked, TrustAsked, TrustBody, TrustCheckBody, VerificationAsked};
pub use members::OwnBody;
pub use offline::{
    NullifierBody, NullifiersBody, NullifiersCheckedBody, OfflineTokenBody, OfflineTokenIssuedBody, QueueBody, QueuedTransactionBody,
    ReconcileBody, ReconciledBody, SettlementBody, TransactionBody, TransactionsBody, nullifier,
};
pub use orgs::{OrgBody, OrgCreatedBody, OrgKeyBody, OrgKeyCreatedBody};
pub use payment_intents::{AuthoriseBody, AuthorisedBody, CaptureBody, IntentBody, PaymentIntentBody};
pub use payment_limits::limits;
