//! What many operations have in common: parameters, headers, the errors that mean the same wherever they happen.

use allowlog_proto::api::affixio::AffixioEnvelope;
use allowlog_proto::api::envelope::Envelope;
use allowlog_proto::api::permitly::PermitlyEnvelope;
use allowlog_proto::limits::{IDEMPOTENCY_KEY_BYTES_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX};
use serde_json::Value;
use utoipa::ToSchema as _;
use utoipa::openapi::header::{Header, HeaderBuilder};
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ComponentsBuilder, ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, Required, Response, ResponseBuilder};

use super::examples::Examples;

/// Errors that mean the same wherever they happen.
const ERRORS: [(u16, &str, &str); 12] = [
    (400, "BadRequest", "`bad_request`: the body is not JSON, was cut off or came too slowly, or is announced as another type."),
    (
        401,
        "Unauthorized",
        "`unauthorized`: the key or token is missing, malformed, unknown, expired or revoked; all of these answer alike.",
    ),
    (403, "Forbidden", "`forbidden`: this API key may only read."),
    (404, "NotFound", "`not_found`: there is no such route."),
    (
        405,
        "MethodNotAllowed",
        "`method_not_allowed`: what any method answers that is not listed for its path. `Allow` names those that are.",
    ),
    (413, "PayloadTooLarge", "`payload_too_large`: the body is larger than this call may have."),
    (414, "UriTooLong", "`uri_too_long`: path and query are longer than any call's may be."),
    (
        422,
        "Invalid",
        "`validation_error`, with every field at fault; or `idempotency_key_reused`: the key was given with another request less than 24 h ago.",
    ),
    (
        429,
        "QuotaExceeded",
        "`quota_exceeded`: this API key calls more often than the operator of the server lets a key call. Nothing was decided or counted.",
    ),
    (431, "HeadersTooLarge", "`headers_too_large`: the headers are longer than any call's may be."),
    (
        500,
        "InternalError",
        "`internal_error`: a defect of the server. Whether the call was recorded is open; an `Idempotency-Key` makes trying again safe.",
    ),
    (
        503,
        "Unavailable",
        "`service_unavailable`: too many calls wait, the call took too long, or the log cannot be written or read. An `Idempotency-Key` makes trying again safe.",
    ),
];

/// What a limited API key is told with every answer: name, example, meaning.
const RATE_LIMIT: [(&str, &str, &str); 2] = [
    ("RateLimit", r#""key";r=0;t=1"#, "Calls that might follow at once, and seconds until the bucket is full again."),
    ("RateLimit-Policy", r#""key";q=100;w=1"#, "What a full bucket holds, and seconds in which an empty one fills."),
];

/// The name of such an error among the document's components.
pub fn name(status: u16) -> &'static str {
    ERRORS.iter().find(|(known, _, _)| *known == status).map_or("InternalError", |(_, name, _)| name)
}

/// The same errors where the Permitly API is spoken: what they are called there, and what they mean if it is something else.
const PERMITLY: [(u16, &str); 4] = [
    (401, "`unauthenticated`: the API key is missing, malformed, unknown, expired or revoked; all of these answer alike."),
    (422, "`validation_error`, with what is wrong with each field at fault; a body that is not JSON is one."),
    (
        429,
        "`rate_limit_exceeded`: this API key calls more often than the operator of the server lets a key call. Nothing was decided or counted.",
    ),
    (404, "`not_found`: there is no such route."),
];

/// The name of such an error among the document's components.
pub fn permitly_name(status: u16) -> String {
    format!("Permitly{}", name(status))
}

/// Where an API key may stand in calls of the AffixIO API, by the names of the security schemes.
pub const KEY_HEADERS: [&str; 3] = ["affixio_key", "x_api_key", "api_key"];

/// The same errors where the AffixIO API is spoken: what they are called there, and what they mean if it is something else.
const AFFIXIO: [(u16, &str); 4] = [
    (
        400,
        "`invalid_request`: the body is not JSON, was cut off or came too slowly, or is announced as another type; or it says something that \
         cannot be, with every field at fault in `details`.",
    ),
    (401, "`unauthorized`: the key or token is missing, malformed, unknown, expired or revoked, or two different ones are given."),
    (429, "`rate_limited`: this API key calls more often than the operator of the server lets a key call. Nothing was decided or counted."),
    (409, "`invalid_state`: the idempotency key was given with another request less than 24 h ago."),
];

/// The name of such an error among the document's components.
pub fn affixio_name(status: u16) -> String {
    format!("Affixio{}", if status == 409 { "Conflict" } else { name(status) })
}

/// An error in the envelope of the AffixIO API.
pub fn affixio_error(status: u16, about: &str, example: Option<&Value>) -> Response {
    in_envelope(&AffixioEnvelope::name(), status, about, example)
}

/// An error in the envelope of the Permitly API.
pub fn permitly_error(status: u16, about: &str, example: Option<&Value>) -> Response {
    in_envelope(&PermitlyEnvelope::name(), status, about, example)
}

/// An error that a person is told on a page.
pub fn page_error(status: u16, about: &str) -> Response {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let page = ContentBuilder::new().schema(Some(text())).build();
    let header = HeaderBuilder::new().schema(Some(text())).description(Some("`no-store`")).build();
    with_headers(status, ResponseBuilder::new().description(about).content("text/html", page).header("Cache-Control", header))
}

/// An error in the envelope.
pub fn error(status: u16, about: &str, example: Option<&Value>) -> Response {
    in_envelope(&Envelope::name(), status, about, example)
}

fn in_envelope(envelope: &str, status: u16, about: &str, example: Option<&Value>) -> Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name(envelope))).example(example.cloned());
    with_headers(status, ResponseBuilder::new().description(about).content("application/json", content.build()))
}

fn with_headers(status: u16, response: ResponseBuilder) -> Response {
    let mut response = with_request_id(response);
    if [429, 503].contains(&status) {
        let seconds = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1));
        let header = HeaderBuilder::new().schema(Some(seconds)).description(Some("Whole seconds after which the call may be tried again."));
        response = response.header("Retry-After", header.build());
    }
    if status == 429 {
        for (name, example, about) in RATE_LIMIT {
            let text = ObjectBuilder::new().schema_type(Type::String).examples([example]);
            response = response.header(name, HeaderBuilder::new().schema(Some(text)).description(Some(about)).build());
        }
    }
    if status == 405 {
        let methods = ObjectBuilder::new().schema_type(Type::String).examples(["GET,HEAD,POST"]);
        response = response.header("Allow", HeaderBuilder::new().schema(Some(methods)).description(Some("What the path takes.")).build());
    }
    response.build()
}

/// Every answer can be found again in the telemetry.
pub fn with_request_id(response: ResponseBuilder) -> ResponseBuilder {
    response.header_ref("X-Request-Id", Ref::new("#/components/headers/RequestId"))
}

/// All of it, among the document's components.
pub fn components(mut components: ComponentsBuilder, examples: &Examples) -> ComponentsBuilder {
    for (status, name, about) in ERRORS {
        components = components.response(name, error(status, about, examples.of_status(status)));
        if status != 400 {
            let about = PERMITLY.iter().find(|(known, _)| *known == status).map_or(about, |(_, about)| about);
            components = components.response(permitly_name(status), permitly_error(status, about, examples.of_permitly_status(status)));
        }
    }
    let here = ERRORS.into_iter().filter(|(status, ..)| *status != 422).map(|(status, _, about)| (status, about)).chain([(409, "")]);
    for (status, about) in here {
        let about = AFFIXIO.iter().find(|(known, _)| *known == status).map_or(about, |(_, about)| about);
        components = components.response(affixio_name(status), affixio_error(status, about, examples.of_affixio_status(status)));
    }
    for (name, parameter) in parameters() {
        components = components.parameter(name, parameter);
    }
    let scheme = |about: &str| {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build();
        SecurityScheme::Http(bearer)
    };
    let header = |name, about| SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, about)));
    components
        .header("RequestId", request_id())
        .security_scheme("affixio_key", header("X-AffixIO-Key", "The same key in a header of the AffixIO API."))
        .security_scheme("x_api_key", header("X-API-Key", "The same key in a header that clients have for it."))
        .security_scheme("api_key", scheme("An API key: `allowly_l1_s001_...`. It opens one workspace."))
        .security_scheme("admin_token", scheme("The operator's token, as `init`, the first `serve` or `admin-token rotate` printed it."))
}

fn request_id() -> Header {
    let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)).examples(["5d2f0b1c9a7e4f608d3b2a1c0f9e8d7c"]);
    HeaderBuilder::new()
        .schema(Some(text))
        .description(Some("Names the call in the server's telemetry; the caller's own, if it gave one."))
        .build()
}

fn parameters() -> [(&'static str, Parameter); 4] {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let optional = |name: &str, at: ParameterIn, about: &str, schema: ObjectBuilder| {
        let parameter = ParameterBuilder::new().name(name).parameter_in(at).required(Required::False);
        parameter.description(Some(about)).schema(Some(schema)).build()
    };
    let id = "What the caller calls this request; 1 to 1024 bytes are echoed in the answer, anything else is passed over.";
    let key = "Names the call, so that its retry within 24 h gets the first answer and counts nothing twice. With another request: 422.";
    let limit = "Items at most; an empty value means the default.";
    let limits = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(PAGE_ITEMS_MAX));
    let cursor = "The `next_cursor` of the page before; an empty value means the first page.";
    let keys = text().min_length(Some(1)).max_length(Some(IDEMPOTENCY_KEY_BYTES_MAX)).pattern(Some("^[!-~]+$"));
    [
        ("RequestId", optional("X-Request-Id", ParameterIn::Header, id, text())),
        ("IdempotencyKey", optional("Idempotency-Key", ParameterIn::Header, key, keys)),
        ("Limit", optional("limit", ParameterIn::Query, limit, limits.default(Some(PAGE_ITEMS_DEFAULT.into())))),
        ("Cursor", optional("cursor", ParameterIn::Query, cursor, text().pattern(Some("^[A-Za-z0-9_-]*$")))),
    ]
}
