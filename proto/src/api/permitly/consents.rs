//! `/v1/consent`: requests for consent and how they stand.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, boolean, integer, text};
use crate::api::query::{Parameters, one_of};
use crate::event::{ConsentScope, Risk};
use crate::id::{AuthorizationId, ConsentAgentId, ConsentId};
use crate::json::{CanonicalObject, Value};
use crate::limits::{CONSENT_LIFE_S_DEFAULT, CONSENT_LIFE_S_MAX, CONSENT_METADATA_BYTES_MAX, CONSENT_SCOPES_MAX};
use crate::redirect::RedirectUrl;
use crate::schema::{self, Absent, Members, Signable, array, describe, named, signable_object};
use crate::text::{Email, OpaqueId, ScopeDescription, ScopeLabel, ScopeName, UserId};
use crate::time::Timestamp;

/// A request for consent as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskBody {
    /// As the caller says; the workspace's default where it says nothing.
    pub agent_id: Option<OpaqueId>,
    /// Whom the agent would act for.
    pub user_id: UserId,
    /// Shown on the page.
    pub email: Option<Email>,
    /// 1 to 50, each key once.
    pub scopes: Vec<ConsentScope>,
    /// Where the person goes with the answer.
    pub redirect_url: RedirectUrl,
    /// How long it can be answered.
    pub life_ms: u64,
    /// Can be signed.
    pub metadata: CanonicalObject,
}

impl AskBody {
    /// Reads the body of `POST /v1/consent/request`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        let user_id = fields.required("end_user_ref", text(UserId::new));
        let scopes = scopes(&mut fields);
        let redirect_url = fields.required("redirect_url", text(RedirectUrl::new));
        let agent_id = fields.optional("agent_id", text(OpaqueId::new));
        let email = fields.optional("end_user_email", text(Email::new));
        let life_s = fields.optional("expires_in", integer(1, CONSENT_LIFE_S_MAX)).unwrap_or(CONSENT_LIFE_S_DEFAULT);
        let metadata = match fields.signable("metadata", &[]) {
            Some((_, metadata)) => metadata,
            None => CanonicalObject::default(),
        };
        if metadata.as_str().len() > CONSENT_METADATA_BYTES_MAX {
            fields.refuse("metadata", format!("must be at most {CONSENT_METADATA_BYTES_MAX} bytes as canonical JSON"));
        }
        match (user_id, redirect_url) {
            (Some(user_id), Some(redirect_url)) if fields.is_sound() => {
                let life_ms = u64::try_from(life_s).unwrap_or_default().saturating_mul(1000);
                Ok(Self { agent_id, user_id, email, scopes, redirect_url, life_ms, metadata })
            }
            _ => Err(fields.into_errors()),
        }
    }
}

fn scopes(fields: &mut Fields<'_>) -> Vec<ConsentScope> {
    if !fields.require("scopes") {
        return Vec::new();
    }
    let scopes = fields.items("scopes", CONSENT_SCOPES_MAX, scope);
    let mut seen = std::collections::BTreeSet::new();
    if let Some(twice) = scopes.iter().find(|scope| !seen.insert(&scope.key)) {
        fields.refuse("scopes", format!("names `{}` more than once", twice.key));
    }
    scopes
}

fn scope(item: &Value, path: &str, errors: &mut Vec<FieldError>) -> Option<ConsentScope> {
    let mut fields = Fields::of(item, path);
    let key = fields.required("key", text(ScopeName::given));
    // A label that says nothing is none.
    let has_label = fields.get("label").is_some_and(|label| label.as_text() != Some(""));
    let label = if has_label { fields.optional("label", text(ScopeLabel::new)) } else { None };
    let description = fields.optional("description", text(ScopeDescription::new));
    let (risk, alias) = (fields.optional("risk", text(risk)), fields.optional("risk_level", text(risk)));
    if risk.zip(alias).is_some_and(|(risk, alias)| risk != alias) {
        fields.refuse("risk_level", "must be the same as `risk`, which it is another name of");
    }
    let reversible = fields.optional("reversible", boolean).unwrap_or(true);
    let is_sound = fields.is_sound();
    errors.extend(fields.into_errors());
    let key = key.filter(|_| is_sound)?;
    let label = label.or_else(|| ScopeLabel::new(key.as_str()).ok())?;
    Some(ConsentScope { key, label, description, risk: risk.or(alias), reversible })
}

fn risk(text: &str) -> Result<Risk, String> {
    Risk::parse(text).ok_or_else(|| "must be one of `low`, `medium`, `high`, `critical`".to_owned())
}

describe!(AskBody, refers to [OpaqueId, UserId, Email, GivenConsentScope, RedirectUrl, ConsentMetadata, Absent], {
    let life = schema::integer(1, CONSENT_LIFE_S_MAX).default(Some(CONSENT_LIFE_S_DEFAULT.into()));
    Members::of("Whom to ask, and for what. Members that are not named here are ignored.")
        .required("end_user_ref", "The person, as you call them.", named::<UserId>())
        .required("scopes", "What the agent wants to do, each key once.", array(named::<GivenConsentScope>(), 1, CONSENT_SCOPES_MAX))
        .required("redirect_url", "Where the person goes with the answer.", named::<RedirectUrl>())
        .optional("agent_id", "Who wants to act; the workspace's default agent if absent.", named::<OpaqueId>())
        .optional("end_user_email", "Shown on the page.", named::<Email>())
        .optional("expires_in", "Seconds for which it can be answered.", life)
        .optional("metadata", "Your own.", named::<ConsentMetadata>())
        .build()
});

/// `metadata` of a request.
enum ConsentMetadata {}

describe!(ConsentMetadata, refers to [Signable], { signable_object(&[]).description(Some("Your own members.")).into() });

/// A scope as a request writes it.
enum GivenConsentScope {}

describe!(GivenConsentScope, refers to [ScopeName, ScopeLabel, ScopeDescription, Absent], {
    let risk = || schema::patterned("In any letter case.", "^([Ll][Oo][Ww]|[Mm][Ee][Dd][Ii][Uu][Mm]|[Hh][Ii][Gg][Hh]|[Cc][Rr][Ii][Tt][Ii][Cc][Aa][Ll])$", "medium");
    let label = schema::text("What people read.", 0, crate::limits::SCOPE_LABEL_BYTES_MAX);
    Members::of("Something an agent wants to do.")
        .required("key", "What it is called in tokens and checks.", named::<ScopeName>())
        .optional("label", "What people read; the key if absent.", label)
        .optional("description", "More about it.", named::<ScopeDescription>())
        .optional("risk", "`low`, `medium`, `high` or `critical`.", risk())
        .optional("risk_level", "Another name of `risk`.", risk())
        .optional("reversible", "Whether it can be undone; true if absent.", schema::boolean())
        .build()
});

/// A scope as an answer shows it.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ScopeBody<'a> {
    /// What it is called.
    pub key: &'a ScopeName,
    /// What people read.
    pub label: &'a ScopeLabel,
    /// More about it.
    #[schema(required)]
    pub description: Option<&'a ScopeDescription>,
    /// How much can go wrong.
    #[schema(required)]
    pub risk: Option<Risk>,
    /// The same.
    #[schema(required)]
    pub risk_level: Option<Risk>,
    /// Whether it can be undone.
    pub reversible: bool,
}

impl<'a> From<&'a ConsentScope> for ScopeBody<'a> {
    fn from(scope: &'a ConsentScope) -> Self {
        let ConsentScope { key, label, description, risk, reversible } = scope;
        Self { key, label, description: description.as_ref(), risk: *risk, risk_level: *risk, reversible: *reversible }
    }
}

/// How a request for consent stands. Every member is there always.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConsentBody<'a> {
    /// Names it.
    pub id: ConsentId,
    /// `pending`, `approved`, `declined`, `expired` or `revoked`.
    pub status: &'static str,
    /// Where the person is asked.
    pub consent_url: String,
    /// The person.
    pub end_user_ref: &'a UserId,
    /// Shown on the page.
    #[schema(required)]
    pub end_user_email: Option<&'a Email>,
    /// Who wants to act.
    pub agent_id: ConsentAgentId,
    /// What was asked for.
    pub scopes: Vec<ScopeBody<'a>>,
    /// What was approved; null before.
    #[schema(required)]
    pub approved_scopes: Option<Vec<ScopeBody<'a>>>,
    /// Where the person goes with the answer.
    pub redirect_url: &'a RedirectUrl,
    /// Yours.
    #[schema(value_type = ConsentMetadata)]
    pub metadata: Value,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When the person answered.
    #[schema(required)]
    pub decided_at: Option<Timestamp>,
    /// Until when it can be answered.
    pub expires_at: Timestamp,
    /// When it was taken back.
    #[schema(required)]
    pub revoked_at: Option<Timestamp>,
    /// `end_user` or `builder`.
    #[schema(required)]
    pub revoked_by: Option<&'static str>,
    /// The authorization it led to, for checks, receipts and evidence.
    #[schema(required)]
    pub authorization_id: Option<AuthorizationId>,
}

/// Which consents are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsentsQuery {
    /// Those that stand so now.
    pub status: Option<&'static str>,
    /// Those of this agent. Opaque, as every id a caller writes.
    pub agent_id: Option<String>,
    /// Those of this person.
    pub user_id: Option<String>,
}

impl ConsentsQuery {
    /// Every status, in the order of a consent's life.
    pub const STATUSES: &'static [&'static str] = &["pending", "approved", "declined", "expired", "revoked"];

    /// Reads the filters among the parameters of a query.
    pub fn read(parameters: &mut Parameters<'_>) -> Self {
        let opaque = |text: &str| Ok::<_, String>(text.to_owned());
        Self {
            status: parameters.read("status", one_of(Self::STATUSES)),
            agent_id: parameters.read("agent_id", opaque),
            user_id: parameters.read("end_user_ref", opaque),
        }
    }
}

/// Where a person manages their consents.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ManageUrlBody {
    /// For an hour.
    pub url: String,
}
