//! Rows of the audit list: what happened to consents, as a view of the log.
//!
//! Source: section "Audit list" of the Permitly API.

use allowlog_proto::api::permitly::AuditRowBody;
use allowlog_proto::chain::Hash;
use allowlog_proto::event::{AuthorizationEvent, CheckEvent, ConsentEvent, Event, Visitor, Withdrawer};
use allowlog_proto::id::{AuditId, ConsentId};
use allowlog_proto::reason::Decision;
use allowlog_proto::record::Record;

use crate::state::Consent;

const END_USER: &str = "end_user";
const BUILDER: &str = "builder";
const SYSTEM: &str = "system";

/// What a row says that is not in every record.
struct Told<'r> {
    event_type: &'static str,
    actor: &'static str,
    consent_id: Option<ConsentId>,
    agent_id: Option<String>,
    visitor: Option<&'r Visitor>,
}

/// The row of a record, whose hash this is; most have none.
pub fn row(record: &Record, hash: Hash) -> Option<AuditRowBody> {
    let Told { event_type, actor, consent_id, agent_id, visitor } = told(&record.event)?;
    Some(AuditRowBody {
        id: AuditId::new(record.time.as_ms(), &hash.0),
        event_type,
        actor,
        consent_id,
        agent_id,
        ip_address: visitor.and_then(|visitor| visitor.ip_address.clone()),
        user_agent: visitor.and_then(|visitor| visitor.user_agent.clone()),
        created_at: record.time,
    })
}

/// The row of a request that nobody answered in time. There is no record of that: it is told by comparison.
pub fn row_of_lapse(consent: &Consent) -> AuditRowBody {
    AuditRowBody {
        id: lapse_id(consent),
        event_type: "expired",
        actor: SYSTEM,
        consent_id: Some(consent.consent_id),
        agent_id: Some(consent.agent_id.to_string()),
        ip_address: None,
        user_agent: None,
        created_at: consent.expires_at,
    }
}

/// What such a row is called.
pub fn lapse_id(consent: &Consent) -> AuditId {
    AuditId::new(consent.expires_at.as_ms(), blake3::hash(&consent.consent_id.to_bytes()).as_bytes())
}

/// The kind of the row that an event leads to, and the consent it is about.
pub fn kind(event: &Event) -> Option<(&'static str, Option<ConsentId>)> {
    told(event).map(|told| (told.event_type, told.consent_id))
}

fn told(event: &Event) -> Option<Told<'_>> {
    let of = |event_type, actor, consent_id: &ConsentId, agent_id: &dyn std::fmt::Display, visitor| {
        Some(Told { event_type, actor, consent_id: Some(*consent_id), agent_id: Some(agent_id.to_string()), visitor })
    };
    match event {
        Event::Consent(event) => match event {
            ConsentEvent::Requested(asked) => of("requested", BUILDER, &asked.consent_id, &asked.agent_id, None),
            ConsentEvent::Viewed(viewed) => of("viewed", END_USER, &viewed.consent_id, &viewed.agent_id, Some(&viewed.visitor)),
            ConsentEvent::Declined(declined) => of("declined", END_USER, &declined.consent_id, &declined.agent_id, Some(&declined.visitor)),
            ConsentEvent::Withdrawn(withdrawn) => of("revoked", BUILDER, &withdrawn.consent_id, &withdrawn.agent_id, None),
            // A token alone changes nothing; what it is used for is a row.
            ConsentEvent::Minted(_) => None,
            ConsentEvent::ManageLink(_) => {
                Some(Told { event_type: "manage_link_created", actor: BUILDER, consent_id: None, agent_id: None, visitor: None })
            }
        },
        Event::Authorization(AuthorizationEvent::Granted(granted)) => {
            let consent = granted.consent.as_ref()?;
            of("approved", END_USER, &consent.consent_id, &consent.agent_id, Some(&consent.visitor))
        }
        Event::Authorization(AuthorizationEvent::Revoked(revoked)) => {
            let consent = revoked.consent.as_ref()?;
            let actor = match consent.by {
                Withdrawer::EndUser => END_USER,
                Withdrawer::Builder => BUILDER,
            };
            of("revoked", actor, &consent.consent_id, &consent.agent_id, Some(&consent.visitor))
        }
        Event::Check(CheckEvent::TokenVerified(verified)) => {
            let event_type = match verified.decision() {
                Decision::Allow => "verified",
                Decision::Deny | Decision::Confirm | Decision::Escalate => "verify_failed",
            };
            of(event_type, BUILDER, &verified.consent_id, &verified.agent_id, None)
        }
        Event::Check(CheckEvent::Decided(_))
        | Event::Workspace(_)
        | Event::ApiKey(_)
        | Event::SigningKey(_)
        | Event::Confirmation(_)
        | Event::Escalation(_)
        | Event::Bundle(_)
        | Event::Tombstone(_)
        | Event::ConsentAgent(_)
        | Event::Agent(_)
        | Event::Device(_)
        | Event::Payment(_) => None,
    }
}
