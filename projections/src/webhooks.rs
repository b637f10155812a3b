//! What webhooks tell: a function of one record, nothing else, so that every attempt sends the same.
//!
//! Source: section 4 of the Permitly API.

use allowlog_proto::chain::Hash;
use allowlog_proto::event::{AuthorizationEvent, ConsentEvent, Event, Minted, TokenTerms};
use allowlog_proto::id::{ConsentAgentId, ConsentId, WebhookId};
use allowlog_proto::json::{Object, Value, write_object};
use allowlog_proto::record::Record;
use allowlog_proto::text::{ScopeName, UserId};
use allowlog_proto::time::Timestamp;
use allowlog_proto::token::{Claims, whole_second};

/// Something that whoever asked for consent is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The same in every attempt.
    pub id: WebhookId,
    /// Whose webhook it is.
    pub agent_id: ConsentAgentId,
    /// `consent.approved`, `consent.declined` or `consent.revoked`.
    pub kind: &'static str,
    /// Time of the record.
    pub created_at: Timestamp,
    /// Of which consent.
    pub consent_id: ConsentId,
    /// Whom it concerns.
    pub user_id: UserId,
    /// What was asked for.
    pub scopes: Vec<ScopeName>,
    /// What the token says that comes with an approval.
    pub claims: Option<Claims>,
}

/// What is told of a record, whose hash this is; nothing of most.
pub fn notice(record: &Record, hash: Hash) -> Option<Notice> {
    let (kind, agent_id, consent_id, user_id, scopes) = match &record.event {
        Event::Authorization(AuthorizationEvent::Granted(granted)) => {
            let consent = granted.consent.as_ref()?;
            let scopes = granted.terms.scopes.iter().map(|grant| grant.name.clone()).collect();
            ("consent.approved", consent.agent_id, consent.consent_id, &granted.user_id, scopes)
        }
        Event::Authorization(AuthorizationEvent::Revoked(revoked)) => {
            let consent = revoked.consent.as_ref()?;
            ("consent.revoked", consent.agent_id, consent.consent_id, &revoked.user_id, consent.scopes.clone())
        }
        Event::Consent(ConsentEvent::Declined(declined)) => {
            ("consent.declined", declined.agent_id, declined.consent_id, &declined.user_id, declined.scopes.clone())
        }
        Event::Consent(ConsentEvent::Withdrawn(withdrawn)) => {
            ("consent.revoked", withdrawn.agent_id, withdrawn.consent_id, &withdrawn.user_id, withdrawn.scopes.clone())
        }
        Event::Consent(ConsentEvent::Requested(_) | ConsentEvent::Viewed(_) | ConsentEvent::Minted(_) | ConsentEvent::ManageLink(_))
        | Event::Workspace(_)
        | Event::ApiKey(_)
        | Event::SigningKey(_)
        | Event::Check(_)
        | Event::Confirmation(_)
        | Event::Escalation(_)
        | Event::Bundle(_)
        | Event::Tombstone(_)
        | Event::ConsentAgent(_)
        | Event::Agent(_)
        | Event::Device(_)
        | Event::Payment(_) => return None,
    };
    let id = WebhookId::from_bytes(hash.0.first_chunk().copied().unwrap_or_default());
    let (created_at, user_id, claims) = (record.time, user_id.clone(), claims(record));
    Some(Notice { id, agent_id, kind, created_at, consent_id, user_id, scopes, claims })
}

/// What the token says that a record leads to: an approval, or one that was asked for later.
pub fn claims(record: &Record) -> Option<Claims> {
    if let Event::Consent(ConsentEvent::Minted(minted)) = &record.event {
        return Some(claims_of(minted, record.time));
    }
    let Event::Authorization(AuthorizationEvent::Granted(granted)) = &record.event else { return None };
    let consent = granted.consent.as_ref()?;
    Some(Claims {
        user_id: granted.user_id.clone(),
        agent_id: consent.agent_id,
        consent_id: consent.consent_id,
        scopes: granted.terms.scopes.iter().map(|grant| grant.name.clone()).collect(),
        issued_at: whole_second(record.time),
        expires_at: consent.token.expires_at,
        token_id: consent.token.token_id,
    })
}

/// What a token says that was made at this time.
pub fn claims_of(minted: &Minted, at: Timestamp) -> Claims {
    let TokenTerms { token_id, expires_at } = minted.token;
    Claims {
        user_id: minted.user_id.clone(),
        agent_id: minted.agent_id,
        consent_id: minted.consent_id,
        scopes: minted.scopes.clone(),
        issued_at: whole_second(at),
        expires_at,
        token_id,
    }
}

impl Notice {
    /// The bytes that are sent, and signed: canonical JSON.
    pub fn body(&self, token: Option<&str>) -> String {
        let mut data = Object::new();
        data.insert("consent_id", self.consent_id.to_string().as_str().into());
        data.insert("agent_id", self.agent_id.to_string().as_str().into());
        data.insert("end_user_ref", self.user_id.as_str().into());
        data.insert("scopes", Value::Array(self.scopes.iter().map(|scope| scope.as_str().into()).collect()));
        if let Some(token) = token {
            data.insert("token", token.into());
        }
        written(self.id, self.kind, self.created_at, data)
    }
}

/// What is sent to see whether anybody is there.
pub fn test_body(id: WebhookId, agent_id: ConsentAgentId, at: Timestamp) -> String {
    let mut data = Object::new();
    data.insert("agent_id", agent_id.to_string().as_str().into());
    written(id, "webhook.test", at, data)
}

fn written(id: WebhookId, kind: &str, at: Timestamp, data: Object) -> String {
    let mut body = Object::new();
    body.insert("id", id.to_string().as_str().into());
    body.insert("type", kind.into());
    body.insert("created_at", at.to_string().as_str().into());
    body.insert("data", Value::Object(data));
    let mut text = String::new();
    // Nothing in it is what cannot be signed.
    let _ = write_object(&body, "", &mut text);
    text
}
