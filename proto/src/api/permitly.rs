//! Bodies of the Permitly API.
//!
//! Source: sections 1 and 2 of the Permitly API.

mod agents;
mod audit;
mod consents;
mod envelope;
mod page;
mod tokens;

pub use agents::{AgentBody, ChangeAgentBody, CreateAgentBody, JwkBody, JwksBody, ReadWebhookUrl, WebhookTestBody};
pub use audit::{AuditQuery, AuditRowBody};
pub use consents::{AskBody, ConsentBody, ConsentsQuery, ManageUrlBody, ScopeBody};
pub use envelope::{PermitlyEnvelope, PermitlyErrorBody};
pub use page::{Data, ListQuery, Listed, Meta};
pub use tokens::{ClaimsBody, MintedBody, VerifyBody};
