//! `/v1/consent-agents`: agents that people are asked to consent to.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, boolean, integer, text};
use crate::event::AgentTerms;
use crate::id::{ConsentAgentId, KeyId, WebhookId};
use crate::json::Value;
use crate::limits::{REDIRECT_ORIGINS_MAX, TOKEN_LIFE_S_DEFAULT, TOKEN_LIFE_S_MAX};
use crate::redirect::Origin;
use crate::schema::{self, Absent, Members, array, describe, named};
use crate::text::{Name, WebhookUrl};
use crate::time::Timestamp;

/// Reads a URL that webhooks may be sent to; which these are is for whoever sends them to say.
pub type ReadWebhookUrl<'r> = &'r dyn Fn(&str) -> Result<WebhookUrl, String>;

/// An agent as asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateAgentBody {
    /// What it is to be.
    pub terms: AgentTerms,
}

impl CreateAgentBody {
    /// Reads the body of `POST /v1/consent-agents`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value, webhook_url: ReadWebhookUrl<'_>) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        fields.require("name");
        let ChangeAgentBody { name, token_life_s, webhook_url, redirect_origins, is_default } = read(body, &mut fields, webhook_url);
        let Some(name) = name.filter(|_| fields.is_sound()) else { return Err(fields.into_errors()) };
        Ok(Self {
            terms: AgentTerms {
                name,
                token_life_s: token_life_s.unwrap_or(TOKEN_LIFE_S_DEFAULT),
                webhook_url: webhook_url.flatten(),
                redirect_origins: redirect_origins.unwrap_or_default(),
                is_default: is_default.unwrap_or(false),
            },
        })
    }
}

/// What is to be changed of an agent; nothing stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeAgentBody {
    /// Shown on the page.
    pub name: Option<Name>,
    /// How long its tokens live, in seconds.
    pub token_life_s: Option<u32>,
    /// Where webhooks go to; `null` means nowhere.
    pub webhook_url: Option<Option<WebhookUrl>>,
    /// Where people may be sent to; an empty list means anywhere.
    pub redirect_origins: Option<Vec<Origin>>,
    /// Only to make it the default: another one takes its place by itself.
    pub is_default: Option<bool>,
}

impl ChangeAgentBody {
    /// Reads the body of `PATCH /v1/consent-agents/{id}`. Here `null` and `[]` say something where something can be taken away.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value, webhook_url: ReadWebhookUrl<'_>) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        let change = read(body, &mut fields, webhook_url);
        if fields.is_sound() { Ok(change) } else { Err(fields.into_errors()) }
    }
}

fn read(body: &Value, fields: &mut Fields<'_>, webhook_url: ReadWebhookUrl<'_>) -> ChangeAgentBody {
    let given = |name| body.as_object().and_then(|object| object.get(name));
    let name = fields.optional("name", text(Name::new));
    let token_life_s = fields.optional("token_lifetime", integer(1, TOKEN_LIFE_S_MAX)).and_then(|life| u32::try_from(life).ok());
    let url = match given("webhook_url") {
        Some(Value::Null) => Some(None),
        _ => fields.optional("webhook_url", text(webhook_url)).map(Some),
    };
    let redirect_origins = given("redirect_origins").filter(|origins| **origins != Value::Null).map(|_| {
        fields.items("redirect_origins", REDIRECT_ORIGINS_MAX, |item, path, errors| {
            text(Origin::new)(item).map_err(|error| errors.push(FieldError::new(path, error))).ok()
        })
    });
    let is_default = fields.optional("is_default", boolean);
    if is_default == Some(false) {
        fields.refuse("is_default", "can only be made true, of another agent in its place");
    }
    ChangeAgentBody { name, token_life_s, webhook_url: url, redirect_origins, is_default }
}

fn members(members: Members) -> Members {
    let life = schema::integer(1, TOKEN_LIFE_S_MAX).default(Some(TOKEN_LIFE_S_DEFAULT.into()));
    let is_default = schema::boolean().enum_values(Some([true]));
    members
        .optional("token_lifetime", "How long its tokens live, in seconds.", life)
        .optional("webhook_url", "Where webhooks go to: https, at a public address unless the server allows others.", named::<WebhookUrl>())
        .optional(
            "redirect_origins",
            "Where people may be sent to with their answer, as in `https://app.example.com`; anywhere if it is empty.",
            array(named::<Origin>(), 0, REDIRECT_ORIGINS_MAX),
        )
        .optional("is_default", "Whether it is the one for requests that name none; the first agent is anyway.", is_default)
}

describe!(CreateAgentBody, refers to [Name, WebhookUrl, Origin, Absent], {
    members(Members::of("An agent that people are asked to consent to.").required("name", "Shown on the page.", named::<Name>())).build()
});

describe!(ChangeAgentBody, refers to [Name, WebhookUrl, Origin, Absent], {
    let change = Members::of("What is to be changed; `webhook_url: null` takes the URL away.");
    members(change.optional("name", "Shown on the page.", named::<Name>())).build()
});

/// An agent. Every member is there always, but for the secret.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentBody {
    /// Names it.
    pub id: ConsentAgentId,
    /// Shown on the page.
    pub name: Name,
    /// Whether it is the one for requests that name none.
    pub is_default: bool,
    /// How long its tokens live, in seconds.
    pub token_lifetime: u32,
    /// Where webhooks go to.
    #[schema(required)]
    pub webhook_url: Option<WebhookUrl>,
    /// Where people may be sent to with their answer; anywhere if it is empty.
    pub redirect_origins: Vec<Origin>,
    /// The key that signs its tokens, as in their header.
    pub key_id: KeyId,
    /// Where its public key is.
    pub jwks_url: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// `whsec_...`, all of which is the key of the HMAC: in the answer that made it and nowhere else.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub webhook_secret: Option<String>,
}

/// The public keys of an agent (RFC 7517).
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JwksBody {
    /// One.
    pub keys: [JwkBody; 1],
}

/// A public key of P-256 (RFC 7518).
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JwkBody {
    /// Always `EC`.
    pub kty: &'static str,
    /// Always `P-256`.
    pub crv: &'static str,
    /// base64url of 32 bytes.
    pub x: String,
    /// base64url of 32 bytes.
    pub y: String,
    /// As in the header of the tokens.
    pub kid: KeyId,
    /// Always `ES256`.
    pub alg: &'static str,
    /// Always `sig`.
    #[serde(rename = "use")]
    pub usage: &'static str,
}

/// What became of a test webhook.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookTestBody {
    /// What it was called.
    pub id: WebhookId,
    /// Whether it was taken.
    pub delivered: bool,
    /// The status of the answer, if there was one.
    #[schema(required)]
    pub status: Option<u16>,
    /// Why it was not taken.
    #[schema(required)]
    pub error: Option<String>,
}
