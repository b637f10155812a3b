//! Escalations: a lifecycle, moved by value.

use std::io::{self, Read, Write};

use allowlog_proto::event::{EscalationEvent, Resolution};
use allowlog_proto::id::{AuthorizationId, WorkspaceId};
use allowlog_proto::limits::ESCALATION_LIFE_MS;
use allowlog_proto::record::Record;
use allowlog_proto::text::{Approver, Resource, ScopeName};
use allowlog_proto::time::Timestamp;

use super::State;
use super::stored::{Stored, stored, unknown};

/// A question to a third party. It stays, so that the same answer can be given twice and a late one be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// About which authorization.
    pub authorization_id: AuthorizationId,
    /// About which of its scopes.
    pub scope: ScopeName,
    /// On which resource.
    pub resource: Option<Resource>,
    /// Who was asked.
    pub escalation_to: Option<Approver>,
    /// How far it is.
    pub status: Status,
}

/// How far an escalation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// Asked.
    Open {
        /// When it lapses, exclusive.
        expires_at: Timestamp,
    },
    /// Answered with yes.
    Approved {
        /// By whom.
        by: Approver,
        /// When; good for 24 h.
        at: Timestamp,
        /// Whether a check has used it.
        consumed: bool,
    },
    /// Answered with no.
    Rejected {
        /// By whom.
        by: Approver,
        /// When; good for 24 h.
        at: Timestamp,
    },
}

stored!(Escalation { authorization_id, scope, resource, escalation_to, status });

impl Status {
    /// Whether an answer can still be given at `now`.
    pub fn is_open(&self, now: Timestamp) -> bool {
        matches!(self, Self::Open { expires_at } if now < *expires_at)
    }

    /// Whether a check may use it at `now`.
    pub fn is_approved(&self, now: Timestamp) -> bool {
        matches!(self, Self::Approved { at, consumed: false, .. } if now < at.saturating_add_ms(ESCALATION_LIFE_MS))
    }

    /// Whether it denies checks at `now`.
    pub fn is_rejected(&self, now: Timestamp) -> bool {
        matches!(self, Self::Rejected { at, .. } if now < at.saturating_add_ms(ESCALATION_LIFE_MS))
    }

    pub(super) fn consume(&mut self) {
        let Self::Approved { consumed, .. } = self else {
            unreachable!("only an approval is consumed");
        };
        assert!(!*consumed, "an approval is consumed once");
        *consumed = true;
    }
}

impl Stored for Status {
    fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Open { expires_at } => (0_u8, *expires_at).save(to),
            Self::Approved { by, at, consumed } => {
                1_u8.save(to)?;
                by.save(to)?;
                at.save(to)?;
                consumed.save(to)
            }
            Self::Rejected { by, at } => {
                2_u8.save(to)?;
                by.save(to)?;
                at.save(to)
            }
        }
    }

    fn load(from: &mut dyn Read) -> io::Result<Self> {
        match u8::load(from)? {
            0 => Ok(Self::Open { expires_at: Stored::load(from)? }),
            1 => Ok(Self::Approved { by: Stored::load(from)?, at: Stored::load(from)?, consumed: Stored::load(from)? }),
            2 => Ok(Self::Rejected { by: Stored::load(from)?, at: Stored::load(from)? }),
            tag => Err(unknown(tag)),
        }
    }
}

impl State {
    /// Whether an escalation of this workspace can still be answered at `now`: a revoke ends what is open.
    pub fn is_answerable(&self, workspace_id: WorkspaceId, escalation: &Escalation, now: Timestamp) -> bool {
        let authorization = self.authorization(workspace_id, escalation.authorization_id);
        escalation.status.is_open(now) && authorization.is_some_and(|authorization| authorization.revoked_at.is_none())
    }

    pub(super) fn apply_escalation(&mut self, record: &Record, event: &EscalationEvent) {
        let EscalationEvent::Resolved(resolved) = event;
        let Some(escalation) = self.escalations.get_mut(&(record.workspace_id, resolved.escalation_id)) else {
            unreachable!("an escalation is opened before it is resolved");
        };
        assert!(matches!(escalation.status, Status::Open { .. }), "an escalation is resolved once");
        let (by, at) = (resolved.resolved_by.clone(), record.time);
        escalation.status = match resolved.resolution {
            Resolution::Approved => Status::Approved { by, at, consumed: false },
            Resolution::Rejected => Status::Rejected { by, at },
        };
    }
}
