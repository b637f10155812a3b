//! Bodies of `/admin/v1`.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::envelope::FieldError;
use crate::api::fields::{Fields, text};
use crate::event::{Plan, Role, Style};
use crate::id::{ApiKeyId, KeyId, WorkspaceId};
use crate::json::Value;
use crate::schema::{Absent, Members, any_of, describe, named};
use crate::text::Name;
use crate::time::{GivenTimestamp, Timestamp};

/// `POST /admin/v1/workspaces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWorkspaceBody {
    /// What people call it.
    pub name: Name,
    /// What it may use; `enterprise` where the operator does not say.
    pub plan: Plan,
}

impl NewWorkspaceBody {
    /// Reads `{"name": ..., "plan": ...}`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        let name = fields.required("name", text(Name::new));
        let plan = fields.optional("plan", text(plan)).unwrap_or(Plan::Enterprise);
        match name {
            Some(name) if fields.is_sound() => Ok(Self { name, plan }),
            _ => Err(fields.into_errors()),
        }
    }
}

/// `PATCH /admin/v1/workspaces/{id}`: what is absent stays as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeWorkspaceBody {
    /// What people call it from now on.
    pub name: Option<Name>,
    /// What it may use from now on.
    pub plan: Option<Plan>,
}

impl ChangeWorkspaceBody {
    /// Reads `{"name": ..., "plan": ...}`, at least one of them.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        let name = fields.optional("name", text(Name::new));
        let plan = fields.optional("plan", text(plan));
        if name.is_none() && plan.is_none() && fields.is_sound() {
            fields.refuse("name", "or `plan` is required");
        }
        if fields.is_sound() { Ok(Self { name, plan }) } else { Err(fields.into_errors()) }
    }
}

/// `POST /admin/v1/workspaces/{id}/api-keys`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKeyBody {
    /// What people call it.
    pub name: Name,
    /// How its text is spelt; `allowly` where the operator does not say.
    pub style: Style,
    /// What it may do; `runtime` where the operator does not say.
    pub role: Role,
    /// From when on it opens nothing; whether that lies ahead is for the decider to say.
    pub expires_at: Option<Timestamp>,
}

impl NewKeyBody {
    /// Reads `{"name": ..., "style": ..., "role": ..., "expires_at": ...}`.
    ///
    /// # Errors
    /// Every field at fault.
    pub fn parse(body: &Value) -> Result<Self, Vec<FieldError>> {
        let mut fields = Fields::of(body, "body");
        let name = fields.required("name", text(Name::new));
        let style = text(|t| Style::parse(t).ok_or("must be `allowly`, `permitly` or `affixio`"));
        let style = fields.optional("style", style).unwrap_or(Style::Allowly);
        let role = text(|t| Role::parse(t).ok_or("must be `runtime` or `read`"));
        let role = fields.optional("role", role).unwrap_or(Role::Runtime);
        let expires_at = fields.optional("expires_at", text(Timestamp::parse));
        match name {
            Some(name) if fields.is_sound() => Ok(Self { name, style, role, expires_at }),
            _ => Err(fields.into_errors()),
        }
    }
}

describe!(NewWorkspaceBody, refers to [Name, Plan, Absent], {
    Members::of("A workspace to be made.")
        .required("name", "What people call it.", named::<Name>())
        .optional("plan", "What it may use; `enterprise` where it is absent.", named::<Plan>())
        .build()
});

describe!(ChangeWorkspaceBody, refers to [Name, Plan, Absent], {
    let renamed = Members::of("Another name, and perhaps another plan.")
        .required("name", "What people call it from now on.", named::<Name>())
        .optional("plan", "What it may use from now on.", named::<Plan>());
    let moved = Members::of("Another plan, and perhaps another name.")
        .required("plan", "What it may use from now on.", named::<Plan>())
        .optional("name", "What people call it from now on.", named::<Name>());
    any_of([renamed.build(), moved.build()]).description(Some("What is absent stays as it is; one of them must be there.")).into()
});

describe!(NewKeyBody, refers to [Name, Style, Role, GivenTimestamp, Absent], {
    Members::of("An API key to be made.")
        .required("name", "What people call it.", named::<Name>())
        .optional("style", "How its text is spelt; `allowly` where it is absent.", named::<Style>())
        .optional("role", "What it may do; `runtime`, which is everything, where it is absent.", named::<Role>())
        .optional("expires_at", "From when on it opens nothing; must lie in the future.", named::<GivenTimestamp>())
        .build()
});

fn plan(text: &str) -> Result<Plan, &'static str> {
    Plan::parse(text).ok_or("must be `free`, `starter`, `pro` or `enterprise`")
}

/// A new workspace with its first keys. Not to be printed: it holds a secret.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceBody {
    /// The new workspace.
    pub workspace_id: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// What it may use.
    pub plan: Plan,
    /// Time of its first record.
    pub created_at: Timestamp,
    /// The whole key, shown this once.
    pub api_key: String,
    /// The public part of it.
    pub api_key_id: ApiKeyId,
    /// The key that signs its receipts.
    pub key_id: KeyId,
}

/// A workspace as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownWorkspaceBody {
    /// The workspace.
    pub workspace_id: WorkspaceId,
    /// What people call it.
    pub name: Name,
    /// What it may use.
    pub plan: Plan,
    /// Time of its first record.
    pub created_at: Timestamp,
}

/// Every workspace, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkspacesBody {
    /// All of them.
    pub items: Vec<KnownWorkspaceBody>,
}

/// A new API key. Not to be printed: it holds a secret.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiKeyBody {
    /// The whole key, shown this once.
    pub api_key: String,
    /// The public part of the key.
    pub api_key_id: ApiKeyId,
    /// What people call it.
    pub name: Name,
    /// How its text is spelt.
    pub style: Style,
    /// What it may do.
    pub role: Role,
    /// Time of its record.
    pub created_at: Timestamp,
    /// From when on it opens nothing; null if it does not end by itself.
    #[schema(required)]
    pub expires_at: Option<Timestamp>,
    /// Null while it opens its workspace.
    #[schema(required)]
    pub revoked_at: Option<Timestamp>,
}

/// An API key without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeyBody {
    /// The public part of the key.
    pub api_key_id: ApiKeyId,
    /// What people call it.
    pub name: Name,
    /// How its text is spelt.
    pub style: Style,
    /// What it may do.
    pub role: Role,
    /// Time of its record.
    pub created_at: Timestamp,
    /// From when on it opens nothing; null if it does not end by itself.
    #[schema(required)]
    pub expires_at: Option<Timestamp>,
    /// Null while it opens its workspace.
    #[schema(required)]
    pub revoked_at: Option<Timestamp>,
}

/// The API keys of a workspace, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiKeysBody {
    /// Revoked ones too.
    pub items: Vec<ApiKeyBody>,
}

/// A signing key that has just become active.
#[derive(Debug, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SigningKeyBody {
    /// Derived from the public key.
    pub key_id: KeyId,
    /// Receipts issued from here on are signed with it.
    pub active_from: Timestamp,
}
