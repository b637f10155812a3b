//! `GET /v1/openapi.json`: the API as OpenAPI 3.1, made of the faces' lists and of the very types that handlers take and give.

use std::sync::LazyLock;

use allowlog_proto::api::affixio::AffixioEnvelope;
use allowlog_proto::api::envelope::Envelope;
use allowlog_proto::api::permitly::PermitlyEnvelope;
use axum::body::Bytes;
use axum::http::header;
use axum::response::IntoResponse;
use utoipa::ToSchema as _;
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, SchemaType, Type};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder, ServerBuilder};

use self::examples::Examples;
use super::routes::Documented;

mod entry;
mod examples;
mod shared;

pub use entry::Entry;

/// Made once; nothing in it depends on how the server is run.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let document = document(super::routes().into_entries());
    document.to_json().unwrap_or_default().into()
});

/// In the order in which a reader meets them.
const TAGS: [(&str, &str); 17] = [
    ("Authorizations", "What a person lets an agent do: recorded once, never changed, withdrawn at any time."),
    ("Checks", "The call before every action: may this agent do this, for this person, now?"),
    ("Confirmations", "What the user answers when a check says `confirm`."),
    ("Escalations", "What a third party answers when a check says `escalate`."),
    ("Receipts", "Signed proof of every grant, decision, resolution and revoke, and the keys to verify it with."),
    ("Transparency log", "What everybody may hold a workspace's log to, in the formats of C2SP."),
    ("Bundles", "Named sets of scopes to grant from."),
    ("Tombstones", "Resources closed to every agent of the workspace."),
    ("Consent", "The Permitly API: a person is asked on a page whether an agent may have some scopes."),
    ("Consent agents", "Who people are asked to consent to: keys, webhooks, and where people are sent back to."),
    ("Pages", "For people, in a browser: to answer a request for consent, and to take back what they consented to."),
    ("Agents", "The AffixIO API: orgs and their keys, agents that can be given delegations, and devices."),
    ("Delegations", "What an agent may do and pay, within limits, until that is taken back."),
    ("Payments", "The gate: may this payment go ahead? And payment intents, which consume what it decided."),
    ("Offline payments", "Tokens to pay with where the server cannot be asked: reserved when they are made, settled once."),
    ("Documentation", "This description of the API."),
    ("Administration", "For the operator, behind the admin token: workspaces and their keys."),
];

const ABOUT: &str = "\
allowlog answers one question, *may this agent do this, for this person, now?*, and can prove afterwards what it answered.

**Errors.** Every answer that is not 2xx is in one envelope, `{\"error\": {\"code\", \"message\", \"fields\"}}` (that of its own where another API is spoken), also for unknown routes (404), \
for methods a path does not take (405, with `Allow`) and for defects (500). `HEAD` is answered wherever `GET` is. What is no HTTP at all is \
refused before it gets here, without a body.

**Limits.** Path and query are at most 8 KiB (414), all headers together 16 KiB (431); a head of more than 64 KiB or 100 headers is refused \
without a body. Where the operator limits how often an API key may call, every answer to it carries `RateLimit` and `RateLimit-Policy`, and \
one call too many is 429 with `Retry-After`.

**Absent members.** In requests, `null`, `[]` and `{}` mean that a member is absent, and members nobody asks for are ignored, except inside \
`constraints` and the limits of a delegation, where an empty list allows nothing.

**Spelling.** The AffixIO API is read in both spellings, `agent_id` and `agentId`; a member that is given in both must say the same. Nothing \
inside of `metadata`, `context` and `attestation` is read otherwise than it is written.

**What JSON Schema cannot say.** Lengths of strings are in bytes of UTF-8; `maxLength` counts characters, of which there are never more. \
`1.0` is no integer here. An integer lies within plus or minus 2^53 - 1.

**Retries.** Every `POST` and `DELETE` under `/v1`, but those that make an org or an API key and those that decide nothing (the verification of a consent token, the check of nullifiers), takes an `Idempotency-Key`: a retry within 24 h, also after a crash, gets the first answer.";

/// The document, as it is served.
pub fn json() -> Bytes {
    DOCUMENT.clone()
}

/// The document.
pub async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], json())
}

/// What the document says of itself.
pub fn serve_entry() -> Entry {
    let openapi = ObjectBuilder::new().schema_type(Type::String).pattern(Some(r"^3\.1\."));
    let any = || ObjectBuilder::new().schema_type(SchemaType::AnyValue);
    let document = ObjectBuilder::new().schema_type(Type::Object).property("openapi", openapi).property("paths", any());
    Entry::open("Documentation", "openapi_document", "This document").answers_with(
        "application/json",
        "OpenAPI 3.1.",
        document.required("openapi").required("paths"),
    )
}

fn document(entries: Vec<Documented>) -> OpenApi {
    let examples = Examples::read();
    let mut envelope = Vec::new();
    Envelope::schemas(&mut envelope);
    PermitlyEnvelope::schemas(&mut envelope);
    AffixioEnvelope::schemas(&mut envelope);
    let components = ComponentsBuilder::new().schema_from::<Envelope>().schema_from::<PermitlyEnvelope>().schema_from::<AffixioEnvelope>();
    let mut components = components.schemas_from_iter(envelope);
    let mut paths = PathsBuilder::new();
    for Documented { path, method, mut entry } in entries {
        components = components.schemas_from_iter(std::mem::take(&mut entry.schemas));
        paths = paths.path(path, utoipa::openapi::PathItem::new(method, entry.build(&examples)));
    }
    let license = LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build();
    let info = InfoBuilder::new().title("allowlog").version(env!("CARGO_PKG_VERSION")).description(Some(ABOUT)).license(Some(license));
    let tags = TAGS.map(|(name, about)| TagBuilder::new().name(name).description(Some(about)).build());
    OpenApiBuilder::new()
        .info(info)
        // Relative to where the document was got from: it works under every address the server is reached by.
        .servers(Some([ServerBuilder::new().url("/").build()]))
        .paths(paths)
        .components(Some(shared::components(components, &examples).build()))
        .tags(Some(tags))
        .build()
}
