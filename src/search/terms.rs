//! What a receipt can be found by, and a row of the audit list. The index is filled and the log is filtered by the same terms, so that
//! they agree.

use allowlog_projections::audit;
use allowlog_projections::receipts::receipt;
use allowlog_proto::event::{CheckEvent, Event};
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::receipt::About;
use allowlog_proto::record::Record;
use allowlog_proto::time::Timestamp;

/// A member of a receipt, or of what it was made from, that a list can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facet {
    /// As in the receipt: a check that matched nothing has none.
    AuthorizationId,
    /// As in the receipt.
    UserId,
    /// As in the receipt.
    Resource,
    /// What the caller of a check said.
    SessionId,
    /// What was checked.
    Scope,
    /// What happened, where it was no check.
    Event,
    /// As in the receipt.
    Decision,
    /// Every row of the audit list has it, and nothing else; its value is empty.
    Audit,
    /// The kind of a row of the audit list.
    AuditEvent,
    /// The consent that such a row is about.
    ConsentId,
}

/// Begins the term that every receipt of a workspace has.
const ANY: u8 = 0;

impl Facet {
    /// Begins the terms of this facet; stored in the index.
    const fn tag(self) -> u8 {
        match self {
            Self::AuthorizationId => 1,
            Self::UserId => 2,
            Self::Resource => 3,
            Self::SessionId => 4,
            Self::Scope => 5,
            Self::Event => 6,
            Self::Decision => 7,
            Self::Audit => 8,
            Self::AuditEvent => 9,
            Self::ConsentId => 10,
        }
    }
}

/// A facet's tag, the workspace and the value, compared byte by byte. The workspace is in every term, so a query cannot
/// reach into another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term(Vec<u8>);

impl Term {
    fn new(tag: u8, workspace_id: WorkspaceId, value: &str) -> Self {
        let mut bytes = Vec::with_capacity(value.len().saturating_add(17));
        bytes.push(tag);
        bytes.extend_from_slice(&workspace_id.to_bytes());
        bytes.extend_from_slice(value.as_bytes());
        Self(bytes)
    }

    /// What stands for it in the index: eight bytes cost the index half of what the whole term does. Others may have the same,
    /// so a hit is merely a likely one.
    pub(super) fn key(&self) -> [u8; 8] {
        blake3::hash(&self.0).as_bytes().first_chunk().copied().unwrap_or_default()
    }
}

/// The terms a record is found by; none if it is in no list.
pub(super) fn terms(record: &Record) -> Option<Vec<Term>> {
    let mut terms = of_receipt(record);
    if let Some((kind, consent_id)) = audit::kind(&record.event) {
        let term = |facet: Facet, value: &str| Term::new(facet.tag(), record.workspace_id, value);
        terms.extend([term(Facet::Audit, ""), term(Facet::AuditEvent, kind)]);
        terms.extend(consent_id.map(|id| term(Facet::ConsentId, &id.to_string())));
    }
    (!terms.is_empty()).then_some(terms)
}

fn of_receipt(record: &Record) -> Vec<Term> {
    let Some(receipt) = receipt(record) else { return Vec::new() };
    let term = |facet: Facet, value: &str| Term::new(facet.tag(), record.workspace_id, value);
    let mut terms = vec![
        Term::new(ANY, record.workspace_id, ""),
        term(Facet::UserId, receipt.user_id),
        term(Facet::Decision, receipt.decision),
        match receipt.about {
            About::Scope(scope) => term(Facet::Scope, scope),
            About::Event(event) => term(Facet::Event, event),
        },
    ];
    terms.extend(receipt.authorization_id.map(|id| term(Facet::AuthorizationId, &id.to_string())));
    terms.extend(receipt.resource.map(|resource| term(Facet::Resource, resource)));
    if let Event::Check(CheckEvent::Decided(decided)) = &record.event {
        terms.extend(decided.session_id.as_ref().map(|id| term(Facet::SessionId, id.as_str())));
    }
    terms
}

/// Which receipts of one workspace are wanted: those with every facet asked for, within the times.
#[derive(Debug, Clone)]
pub struct Filter {
    workspace_id: WorkspaceId,
    terms: Vec<Term>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Filter {
    /// Every receipt of the workspace.
    pub const fn all(workspace_id: WorkspaceId) -> Self {
        Self { workspace_id, terms: Vec::new(), from: None, to: None }
    }

    /// Only those whose facet is exactly this.
    #[must_use]
    pub fn with(mut self, facet: Facet, value: &str) -> Self {
        self.terms.push(Term::new(facet.tag(), self.workspace_id, value));
        self
    }

    /// Only those of records written at `from` or later, and before `to`.
    #[must_use]
    pub const fn between(mut self, from: Option<Timestamp>, to: Option<Timestamp>) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    /// The terms that what is wanted has, at least one.
    pub(super) fn terms(&self) -> Vec<Term> {
        if self.terms.is_empty() { vec![Term::new(ANY, self.workspace_id, "")] } else { self.terms.clone() }
    }

    /// Whether a record of this instant is not too early.
    pub(super) fn is_late_enough(&self, time_ms: u64) -> bool {
        self.from.is_none_or(|from| time_ms >= from.as_ms())
    }

    /// Whether a record of this instant is not too late.
    pub(super) fn is_early_enough(&self, time_ms: u64) -> bool {
        self.to.is_none_or(|to| time_ms < to.as_ms())
    }

    /// Whether the record leads to what is wanted.
    pub(super) fn matches(&self, record: &Record) -> bool {
        self.is_in_time(record) && terms(record).is_some_and(|terms| self.terms().iter().all(|wanted| terms.contains(wanted)))
    }

    /// Whether the index is right to point to the record.
    pub(super) fn may_match(&self, record: &Record) -> bool {
        let has = |terms: &[Term], wanted: &Term| terms.iter().any(|term| term.key() == wanted.key());
        self.is_in_time(record) && terms(record).is_some_and(|terms| self.terms().iter().all(|wanted| has(&terms, wanted)))
    }

    fn is_in_time(&self, record: &Record) -> bool {
        let time_ms = record.time.as_ms();
        record.workspace_id == self.workspace_id && self.is_late_enough(time_ms) && self.is_early_enough(time_ms)
    }
}
