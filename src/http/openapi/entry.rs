//! What the document says of one method of a path: little is said for each, the rest follows from who may call it.

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::link::LinkBuilder;
use utoipa::openapi::path::{OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, SchemaType, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Schema, path};

use super::examples::Examples;
use super::shared;

/// What is said of one method of a path.
pub struct Entry {
    /// Unique in the document; examples are kept under it.
    pub id: &'static str,
    tag: &'static str,
    summary: &'static str,
    about: &'static str,
    access: Access,
    /// How errors are told.
    speech: Speech,
    parameters: Vec<RefOr<Parameter>>,
    body: Option<Body>,
    answers: Vec<Answer>,
    /// Statuses of errors, with what is particular to them here.
    refusals: Vec<(u16, Option<&'static str>)>,
    /// Every schema that is referred to.
    pub schemas: Vec<(String, RefOr<Schema>)>,
}

/// How errors are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speech {
    Allowly,
    Permitly,
    Affixio,
    /// To a person, as far as a person can come by them.
    Page,
}

/// Who may call.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    Everybody,
    ApiKey,
    AdminToken,
    /// The operator, or anybody where the server is run so.
    SignUp,
    /// The holder of an API key, and whoever may sign up.
    KeyOrSignUp,
}

/// The media type of nearly everything.
const JSON: &str = "application/json";

struct Body {
    about: String,
    schema: RefOr<Schema>,
    required: Required,
    media_type: &'static str,
}

struct Answer {
    status: u16,
    about: &'static str,
    contents: Vec<(&'static str, RefOr<Schema>)>,
    headers: Vec<(&'static str, &'static str)>,
    links: Vec<(&'static str, &'static str, &'static str)>,
}

impl Entry {
    /// Nobody has to say who they are.
    pub fn open(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Access::Everybody, tag, id, summary)
    }

    /// Any API key will do.
    pub fn reads(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Access::ApiKey, tag, id, summary)
    }

    /// Leaves an event, so the API key must be one that may do more than read, and the call can have a name.
    pub fn acts(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        let operation = Self::new(Access::ApiKey, tag, id, summary).refuses(403).refuses(422);
        operation.shared_parameter("IdempotencyKey")
    }

    /// For the operator.
    pub fn operates(id: &'static str, summary: &'static str) -> Self {
        Self::new(Access::AdminToken, "Administration", id, summary)
    }

    /// For the operator, or for anybody where the server is run so.
    pub fn signs_up(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Access::SignUp, tag, id, summary)
    }

    /// For the holder of an API key, and for whoever may sign up.
    pub fn signs_in(tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Access::KeyOrSignUp, tag, id, summary)
    }

    fn new(access: Access, tag: &'static str, id: &'static str, summary: &'static str) -> Self {
        let (about, parameters, body, answers, schemas) = ("", Vec::new(), None, Vec::new(), Vec::new());
        let speech = Speech::Allowly;
        let operation = Self { id, tag, summary, about, access, speech, parameters, body, answers, refusals: Vec::new(), schemas };
        let operation = operation.shared_parameter("RequestId").refuses(414).refuses(431).refuses(500).refuses(503);
        match access {
            Access::Everybody => operation,
            Access::ApiKey | Access::KeyOrSignUp => operation.refuses(401).refuses(429),
            Access::AdminToken | Access::SignUp => operation.refuses(401),
        }
    }

    /// Errors are spelt as the Permitly API does, which has one status for whatever is wrong with a body.
    pub fn permitly(mut self) -> Self {
        self.speech = Speech::Permitly;
        self.refusals.retain(|(status, _)| *status != 400);
        self
    }

    /// Errors are spelt as the AffixIO API does, and an API key may stand in a header of its own.
    pub fn affixio(mut self) -> Self {
        self.speech = Speech::Affixio;
        let named = |parameter: &RefOr<Parameter>| matches!(parameter, RefOr::Ref(to) if to.ref_location.ends_with("/IdempotencyKey"));
        let can_be_named = self.parameters.iter().any(named);
        let refusals = std::mem::take(&mut self.refusals);
        let this = refusals.into_iter().fold(self, |this, (status, _)| this.refuses(status));
        if can_be_named { this.refuses(409) } else { this }
    }

    /// A page for people, who are told errors by a page too.
    pub fn page(mut self) -> Self {
        self.speech = Speech::Page;
        self
    }

    /// Leaves an event all the same, so the API key must be one that may do more than read.
    pub fn acting(self) -> Self {
        self.refuses(403).refuses(422)
    }

    /// A list in pages that have numbers as well as cursors.
    pub fn numbered(self) -> Self {
        let number = || ObjectBuilder::new().schema_type(Type::Integer);
        self.query("limit", "Items at most, 1 to 100: a number out of range is taken for the nearest that is not. 20 if absent.", number())
            .query("per_page", "Another name of `limit`.", number())
            .query("page", "The number of a page.", number().minimum(Some(1)).maximum(Some(u32::MAX)))
            .query("cursor", "The `cursor` of the page before; wins over `page`.", ObjectBuilder::new().schema_type(Type::String))
    }

    /// More than the summary says.
    pub fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    /// A part of the path that is the id `T`. Any text is taken: one that was never given out is merely unknown.
    pub fn names<T: ToSchema>(self, name: &str, about: &str) -> Self {
        let example = match T::schema() {
            RefOr::T(Schema::Object(id)) => id.examples.into_iter().next(),
            _ => None,
        };
        self.path(name, about, example)
    }

    /// A part of the path that is any text.
    pub fn path(mut self, name: &str, about: &str, example: Option<Value>) -> Self {
        let text = ObjectBuilder::new().schema_type(Type::String).min_length(Some(1));
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).required(Required::True);
        let parameter = parameter.description(Some(about)).schema(Some(text)).example(example);
        self.parameters.push(RefOr::T(parameter.build()));
        self
    }

    /// A parameter of the query, which may be absent.
    pub fn query(mut self, name: &str, about: &str, schema: impl Into<RefOr<Schema>>) -> Self {
        let parameter = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Query).required(Required::False);
        self.parameters.push(RefOr::T(parameter.description(Some(about)).schema(Some(schema)).build()));
        // A page passes over what it does not understand of its query.
        if self.speech == Speech::Page { self } else { self.refuses(422) }
    }

    /// A list in pages.
    pub fn paged(self) -> Self {
        self.shared_parameter("Limit").shared_parameter("Cursor").refuses(422)
    }

    fn shared_parameter(mut self, name: &str) -> Self {
        self.parameters.push(RefOr::Ref(Ref::new(format!("#/components/parameters/{name}"))));
        self
    }

    /// A body that must be there.
    pub fn body<T: ToSchema>(self, limit_bytes: usize) -> Self {
        self.with_body::<T>(limit_bytes, Required::True).refuses(422)
    }

    /// A body that may be absent.
    pub fn optional_body<T: ToSchema>(self, limit_bytes: usize) -> Self {
        self.with_body::<T>(limit_bytes, Required::False).refuses(422)
    }

    fn with_body<T: ToSchema>(mut self, limit_bytes: usize, required: Required) -> Self {
        self.collect::<T>();
        let about = format!("At most {} KiB.", limit_bytes.div_euclid(1024));
        self.body = Some(Body { about, schema: Ref::from_schema_name(T::name()).into(), required, media_type: JSON });
        self.refuses(400).refuses(413)
    }

    /// A body in which nothing is looked for. It must be JSON all the same, if there is one.
    pub fn ignored_body(mut self, limit_bytes: usize) -> Self {
        let about = format!("Nothing in it is looked for. At most {} KiB.", limit_bytes.div_euclid(1024));
        let schema = ObjectBuilder::new().schema_type(SchemaType::AnyValue).into();
        self.body = Some(Body { about, schema, required: Required::False, media_type: JSON });
        self.refuses(400).refuses(413)
    }

    /// The answer when all is well.
    pub fn answers<T: ToSchema>(mut self, status: u16, about: &'static str) -> Self {
        self.collect::<T>();
        let schema = Ref::from_schema_name(T::name()).into();
        self.answers.push(Answer { status, about, contents: vec![("application/json", schema)], headers: Vec::new(), links: Vec::new() });
        self
    }

    /// An answer that is none of this API's bodies.
    pub fn answers_with(mut self, media_type: &'static str, about: &'static str, schema: impl Into<RefOr<Schema>>) -> Self {
        self.answers.push(Answer {
            status: 200,
            about,
            contents: vec![(media_type, schema.into())],
            headers: Vec::new(),
            links: Vec::new(),
        });
        self
    }

    /// Another form of the answer that was described last.
    pub fn or_as(mut self, media_type: &'static str, schema: impl Into<RefOr<Schema>>) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.contents.push((media_type, schema.into()));
        }
        self
    }

    /// A header of the answer that was described last.
    pub fn header(mut self, name: &'static str, about: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push((name, about));
        }
        self
    }

    /// Another operation whose part `parameter` of the path is the member `member` of the answer that was described last.
    pub fn leads_to(mut self, operation: &'static str, parameter: &'static str, member: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.links.push((operation, parameter, member));
        }
        self
    }

    /// The answer when all is well and there is nothing to be said.
    pub fn answers_nothing(mut self, status: u16, about: &'static str) -> Self {
        self.answers.push(Answer { status, about, contents: Vec::new(), headers: Vec::new(), links: Vec::new() });
        self
    }

    /// A form of these fields, as browsers send it.
    pub fn form(mut self, fields: &[(&str, &str)]) -> Self {
        let form = ObjectBuilder::new().schema_type(Type::Object);
        let field = |form: ObjectBuilder, (name, about): &(&str, &str)| {
            let text = ObjectBuilder::new().schema_type(Type::String).description(Some(*about));
            form.property(*name, text).required(*name)
        };
        let schema = fields.iter().fold(form, field).into();
        let media_type = "application/x-www-form-urlencoded";
        self.body = Some(Body { about: "As browsers send it.".to_owned(), schema, required: Required::True, media_type });
        self
    }

    /// An error that can happen here.
    fn refuses(mut self, status: u16) -> Self {
        let status = match (self.speech, status) {
            (Speech::Permitly, 400) => return self,
            // Whatever is wrong with a body, it is the same to this API.
            (Speech::Affixio, 422) => 400,
            _ => status,
        };
        if self.refusals.iter().all(|(known, _)| *known != status) {
            self.refusals.push((status, None));
        }
        self
    }

    /// An error that means something particular here.
    pub fn refuses_with(mut self, status: u16, about: &'static str) -> Self {
        self.refusals.retain(|(known, _)| *known != status);
        self.refusals.push((status, Some(about)));
        self
    }

    fn collect<T: ToSchema>(&mut self) {
        self.schemas.push((T::name().into(), T::schema()));
        T::schemas(&mut self.schemas);
    }

    /// As the document has it.
    pub fn build(self, examples: &Examples) -> path::Operation {
        let operation = OperationBuilder::new().operation_id(Some(self.id)).tag(self.tag).summary(Some(self.summary));
        let mut operation = operation.description(Some(self.about).filter(|about| !about.is_empty()));
        let scheme = |name| SecurityRequirement::new(name, [""; 0]);
        operation = match self.access {
            // Written out, since an operation that says nothing would inherit.
            Access::Everybody => operation.securities(Some([])),
            Access::ApiKey if self.speech == Speech::Affixio => operation.securities(Some(shared::KEY_HEADERS.map(scheme))),
            Access::ApiKey => operation.security(scheme("api_key")),
            Access::AdminToken => operation.security(scheme("admin_token")),
            Access::SignUp => operation.security(scheme("admin_token")).security(SecurityRequirement::default()),
            Access::KeyOrSignUp => {
                let keys = shared::KEY_HEADERS.map(scheme).into_iter().chain([scheme("admin_token"), SecurityRequirement::default()]);
                operation.securities(Some(keys))
            }
        };
        for parameter in self.parameters {
            operation = match parameter {
                RefOr::Ref(reference) => operation.parameter_ref(reference),
                RefOr::T(parameter) => operation.parameter(parameter),
            };
        }
        if let Some(Body { about, schema, required, media_type }) = self.body {
            let content = ContentBuilder::new().schema(Some(schema)).examples_from_iter(examples.requests(self.id));
            let body = RequestBodyBuilder::new().description(Some(about)).required(Some(required));
            operation = operation.request_body(Some(body.content(media_type, content.build()).build()));
        }
        for answer in self.answers {
            operation = operation.response(answer.status.to_string(), answer.build(self.id, examples));
        }
        for (status, about) in self.refusals {
            operation = match about {
                Some(about) if self.speech == Speech::Page => operation.response(status.to_string(), shared::page_error(status, about)),
                None if self.speech == Speech::Page && status >= 500 => {
                    operation.response(status.to_string(), shared::page_error(status, "The server cannot answer just now."))
                }
                None if self.speech == Speech::Permitly => {
                    operation.response(status.to_string(), Ref::from_response_name(shared::permitly_name(status)))
                }
                None if self.speech == Speech::Affixio => {
                    operation.response(status.to_string(), Ref::from_response_name(shared::affixio_name(status)))
                }
                None => operation.response(status.to_string(), Ref::from_response_name(shared::name(status))),
                Some(about) if self.speech == Speech::Affixio => {
                    let example = examples.of_affixio_error(self.id, status);
                    operation.response(status.to_string(), shared::affixio_error(status, about, example))
                }
                Some(about) if self.speech == Speech::Permitly => {
                    let example = examples.of_permitly_error(self.id, status);
                    operation.response(status.to_string(), shared::permitly_error(status, about, example))
                }
                Some(about) => operation.response(status.to_string(), shared::error(status, about, examples.of_error(self.id, status))),
            };
        }
        operation.build()
    }
}

impl Answer {
    fn build(self, id: &str, examples: &Examples) -> Response {
        let content = |response: ResponseBuilder, (media_type, schema)| {
            let content = ContentBuilder::new().schema::<RefOr<Schema>>(Some(schema));
            response.content(media_type, content.examples_from_iter(examples.answers(id, self.status)).build())
        };
        let response = self.contents.into_iter().fold(ResponseBuilder::new().description(self.about), content);
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let header = |response: ResponseBuilder, (name, about): (&str, &str)| {
            response.header(name, HeaderBuilder::new().schema(Some(text())).description(Some(about)).build())
        };
        let link = |response: ResponseBuilder, (operation, parameter, member): (&str, &str, &str)| {
            let link = LinkBuilder::new().operation_id(operation).parameter(parameter, format!("$response.body#/{member}"));
            response.link(operation, link.build())
        };
        let response = self.headers.into_iter().fold(response, header);
        shared::with_request_id(self.links.into_iter().fold(response, link)).build()
    }
}
