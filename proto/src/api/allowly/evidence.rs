//! What evidence is asked for.

use crate::api::query::Parameters;
use crate::time::Timestamp;

/// The query of `GET /v1/evidence`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EvidenceQuery {
    /// The story of this authorization; without it everything of the workspace. Opaque, as every id a caller writes.
    pub authorization_id: Option<String>,
    /// Records of this instant or later.
    pub from: Option<Timestamp>,
    /// Records before this instant.
    pub to: Option<Timestamp>,
}

impl EvidenceQuery {
    /// Reads the parameters of a query.
    pub fn read(parameters: &mut Parameters<'_>) -> Self {
        let instant = |text: &str| Timestamp::parse(text).map_err(|e| e.to_string());
        Self {
            authorization_id: parameters.read("authorization_id", |text| Ok::<_, String>(text.to_owned())),
            from: parameters.read("from", instant),
            to: parameters.read("to", instant),
        }
    }
}
