//! A server in process: the whole of it but the socket, on a virtual clock, over a store of the test's choice.
//!
//! When it is dropped it audits everything: the chain, that a replay equals the state, that every receipt verifies.

use std::sync::Arc;
use std::thread;

use allowlog::admin_token::AdminToken;
use allowlog::app::{App, Parts, Threads};
use allowlog::chance;
use allowlog::checkpoints::ledger::Ledger;
use allowlog::clock::Clock;
use allowlog::http;
use allowlog::http::rate_limit::{Rate, RateLimits};
use allowlog::keyring::{Keyring, MasterKey};
use allowlog::log::Store;
use allowlog::log::memory::MemoryStore;
use allowlog::receipts::{Standing, standing};
use allowlog::replay::replay;
use allowlog::tiles::Tiles;
use allowlog_projections::decide::{Explanation, explain};
use allowlog_projections::ids::Ids;
use allowlog_projections::state::{SigningKey, State};
use allowlog_proto::chain::Chain;
use allowlog_proto::event::Plan;
use allowlog_proto::json::Value as Strict;
use allowlog_proto::record::Record;
use allowlog_proto::text::Name;
use allowlog_proto::time::Timestamp;
use allowlog_proto::verify::{TrustedKeys, verify};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::document;

/// Where the virtual clock stands at the start.
pub const START: &str = "2026-03-01T10:00:00.000Z";
pub const ADMIN_TOKEN: &str = "allowlog_admin_test";

pub struct Server {
    parts: Option<(App, Threads)>,
    pub router: Router,
    pub operations: Router,
    pub clock: Clock,
    pub store: Arc<dyn Store>,
    pub workspace_id: String,
    pub api_key: String,
    keyring_directory: TempDir,
    _trees_directory: TempDir,
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Server {
    pub async fn start() -> Self {
        Self::start_on(Arc::new(MemoryStore::new())).await
    }

    pub async fn start_on(store: Arc<dyn Store>) -> Self {
        Self::start_from(store, |_| {}).await
    }

    /// A server in memory whose parts are changed before it starts.
    pub async fn start_with(change: impl FnOnce(&mut Parts)) -> Self {
        Self::start_from(Arc::new(MemoryStore::new()), change).await
    }

    async fn start_from(store: Arc<dyn Store>, change: impl FnOnce(&mut Parts)) -> Self {
        // As the command line does, before anything speaks TLS.
        http::tls::install();
        let keyring_directory = tempfile::tempdir().unwrap();
        let keyring = Arc::new(Keyring::open(keyring_directory.path().to_owned(), &MasterKey::ephemeral()).unwrap());
        let trees_directory = tempfile::tempdir().unwrap();
        let clock = Clock::standing_at(Timestamp::parse(START).unwrap());
        let mut parts = Parts {
            store: Arc::clone(&store),
            replayed: replay(&*store, None, |_| {}).unwrap(),
            snapshots: None,
            snapshot_records: u64::MAX,
            tiles: Tiles::open(trees_directory.path().join("tiles")).unwrap(),
            ledger: Ledger::open(trees_directory.path().join("checkpoints"), None).unwrap(),
            witnesses: None,
            accepts_rollback: false,
            search_dir: None,
            webhook_file: None,
            webhook_allow_private: false,
            keyring,
            clock: clock.clone(),
            ids: Ids::new(chance::numbers()),
            public_url: "https://allow.example/".to_owned(),
            admin_token: AdminToken::of(ADMIN_TOKEN),
            refuses_emails: false,
            is_behind_proxy: false,
            is_signup_open: false,
        };
        change(&mut parts);
        let (app, threads) = App::start(parts).unwrap();
        let (created, api_key) = app.create_workspace(Name::new("test").unwrap(), Plan::Enterprise).await.unwrap();
        Self {
            router: http::router(app.clone()),
            operations: http::operations::router(app.clone()),
            parts: Some((app, threads)),
            clock,
            store,
            workspace_id: created.workspace_id.to_string(),
            api_key,
            keyring_directory,
            _trees_directory: trees_directory,
        }
    }

    /// A second workspace: its id and its API key.
    pub async fn other_workspace(&self) -> (String, String) {
        let (created, api_key) = self.app().create_workspace(Name::new("other").unwrap(), Plan::Enterprise).await.unwrap();
        (created.workspace_id.to_string(), api_key)
    }

    pub fn app(&self) -> &App {
        &self.parts.as_ref().unwrap().0
    }

    /// The same server with a limit on how often an API key may call.
    pub fn limited(&self, per_second: u32, burst: u32) -> Router {
        let [per_second, burst] = [per_second, burst].map(|number| number.try_into().unwrap());
        http::limited_router(self.app().clone(), RateLimits::new(Rate { per_second, burst }, self.clock.clone()))
    }

    /// A call without a body.
    pub fn request(&self, method: Method, path: &str) -> Request<Body> {
        let request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {}", self.api_key));
        request.body(Body::empty()).unwrap()
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.send_as(&self.api_key, Method::POST, path, Some(body.to_string())).await
    }

    pub async fn delete(&self, path: &str, body: Option<Value>) -> Reply {
        self.send_as(&self.api_key, Method::DELETE, path, body.map(|b| b.to_string())).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send_as(&self.api_key, Method::GET, path, None).await
    }

    pub async fn send_as(&self, api_key: &str, method: Method, path: &str, body: Option<String>) -> Reply {
        let mut request = Request::builder().method(method).uri(path).header("authorization", format!("Bearer {api_key}"));
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        send(&self.router, request.body(Body::from(body.unwrap_or_default())).unwrap()).await
    }

    /// A call that says what it takes.
    pub async fn send_accepting(&self, accept: &str, method: Method, path: &str) -> Reply {
        let mut request = self.request(method, path);
        request.headers_mut().insert("accept", accept.parse().unwrap());
        request.headers_mut().insert("content-type", "application/json".parse().unwrap());
        send(&self.router, request).await
    }

    /// A page, as a person gets it.
    pub async fn page(&self, path: &str) -> Reply {
        send(&self.router, Request::get(path).header("user-agent", "Browser/1.0").body(Body::empty()).unwrap()).await
    }

    /// A form, as a browser sends it.
    pub async fn send_form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        // Nothing in these fields needs an escape.
        let form = fields.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let request = Request::post(path).header("user-agent", "Browser/1.0").header("content-type", "application/x-www-form-urlencoded");
        send(&self.router, request.body(Body::from(form)).unwrap()).await
    }

    /// A call in an API's own name: with the key of its retry.
    pub async fn send_named(&self, name: &str, method: Method, path: &str, body: Option<Value>) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.api_key))
            .header("content-type", "application/json")
            .header("idempotency-key", name);
        send(&self.router, request.body(Body::from(body.map(|b| b.to_string()).unwrap_or_default())).unwrap()).await
    }

    /// A call of the operator.
    pub async fn admin(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        self.send_as(ADMIN_TOKEN, method, &format!("/admin/v1/{path}"), body.map(|b| b.to_string())).await
    }

    /// An authorization that lasts two days, with these members laid over the plainest request.
    pub async fn grant(&self, members: Value) -> String {
        let mut body = json!({
            "user_id": "user_1",
            "agent_id": "mailer",
            "scopes": ["email.read", "email.send"],
            "expires_at": "2026-03-03T10:00:00Z",
        });
        body.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        let reply = self.post("/v1/authorizations", body).await;
        assert_eq!(reply.status, StatusCode::CREATED, "{}", reply.text);
        reply.json()["authorization_id"].as_str().unwrap().to_owned()
    }

    /// The result of checking one scope.
    pub async fn check(&self, authorization_id: &str, scope: &str, resource: Option<&str>) -> Value {
        let body = json!({ "authorization_id": authorization_id, "scopes": [scope], "resource": resource });
        let reply = self.post("/v1/check", body).await;
        assert_eq!(reply.status, StatusCode::OK, "{}", reply.text);
        reply.json()["results"][scope].clone()
    }

    /// Decision and reason of checking one scope.
    pub async fn decide(&self, authorization_id: &str, scope: &str, resource: Option<&str>) -> (String, String) {
        let result = self.check(authorization_id, scope, resource).await;
        (result["decision"].as_str().unwrap().to_owned(), result["reason"].as_str().unwrap().to_owned())
    }

    /// The signed receipt, once it is there.
    pub async fn signed_receipt(&self, id: &str) -> Value {
        let head = self.store.head();
        self.app().signed.clone().wait_for(|position| *position >= head).await.unwrap();
        let reply = self.get(&format!("/v1/receipts/{id}")).await;
        assert_eq!((reply.status, &reply.json()["status"]), (StatusCode::OK, &json!("signed")), "{}", reply.text);
        reply.json()["receipt"].clone()
    }

    /// Waits until a checkpoint covers all that was answered.
    pub async fn published(&self) {
        let head = self.store.head();
        self.app().checkpoints.position().wait_for(|position| *position >= head).await.unwrap();
    }

    /// Number of records in the log.
    pub fn records(&self) -> u64 {
        self.store.head()
    }
}

/// Sends a request through a router. What the API answers must be what its document says.
pub async fn send(router: &Router, request: Request<Body>) -> Reply {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    let reply = Reply { status: parts.status, headers: parts.headers, text };
    document::hold(&method, &path, &reply);
    reply
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// The token that the first form of a page brings back.
    #[track_caller]
    pub fn csrf(&self) -> String {
        let (_, rest) = self.text.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("no form: {}", self.text));
        rest.split('"').next().unwrap().to_owned()
    }

    /// Status and error code of the Permitly API, and what is wrong with which fields.
    #[track_caller]
    pub fn permitly_error(&self) -> (u16, String, Vec<String>) {
        let json = self.json();
        assert_eq!(json.as_object().unwrap().len(), 1, "{}", self.text);
        let error = json["error"].as_object().unwrap();
        assert!(error.keys().all(|k| ["code", "message", "errors"].contains(&k.as_str())), "{}", self.text);
        assert!(!error["message"].as_str().unwrap().is_empty());
        let fields = error.get("errors").map(|errors| errors.as_object().unwrap().clone()).unwrap_or_default();
        for told in fields.values() {
            assert!(told.as_array().unwrap().iter().all(|told| told.as_str().is_some_and(|text| !text.is_empty())), "{}", self.text);
        }
        (self.status.as_u16(), error["code"].as_str().unwrap().to_owned(), fields.keys().cloned().collect())
    }

    /// Status and error code of the AffixIO API, and the fields at fault.
    #[track_caller]
    pub fn affixio_error(&self) -> (u16, String, Vec<String>) {
        let json = self.json();
        let error = json.as_object().unwrap();
        assert!(error.keys().all(|k| ["error", "code", "message", "details"].contains(&k.as_str())), "{}", self.text);
        assert!(!error["message"].as_str().unwrap().is_empty() && error["error"] == error["code"], "{}", self.text);
        assert!(self.headers.contains_key("x-request-id"));
        let details = error.get("details").map(|details| details.as_array().unwrap().clone()).unwrap_or_default();
        let fields = details.iter().map(|detail| detail["field"].as_str().unwrap().to_owned()).collect();
        (self.status.as_u16(), error["code"].as_str().unwrap().to_owned(), fields)
    }

    /// Status and error code, of an answer in the envelope and nothing but the envelope.
    #[track_caller]
    pub fn error(&self) -> (u16, String) {
        let json = self.json();
        assert_eq!(json.as_object().unwrap().len(), 1, "{}", self.text);
        let error = json["error"].as_object().unwrap();
        assert!(error.keys().all(|k| ["code", "message", "fields"].contains(&k.as_str())), "{}", self.text);
        assert!(!error["message"].as_str().unwrap().is_empty());
        for field in error.get("fields").map(|f| f.as_array().unwrap().as_slice()).unwrap_or_default() {
            assert_eq!(field.as_object().unwrap().keys().collect::<Vec<_>>(), ["field", "message"]);
        }
        assert!(self.headers.contains_key("x-request-id"));
        (self.status.as_u16(), error["code"].as_str().unwrap().to_owned())
    }

    /// The paths of the fields at fault.
    #[track_caller]
    pub fn fields(&self) -> Vec<String> {
        assert_eq!(self.error(), (422, "validation_error".to_owned()), "{}", self.text);
        let json = self.json();
        json["error"]["fields"].as_array().unwrap().iter().map(|f| f["field"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some((app, threads)) = self.parts.take() else { return };
        self.router = Router::new();
        self.operations = Router::new();
        if thread::panicking() {
            return;
        }
        let store = Arc::clone(&self.store);
        let now = self.clock.now();
        // A runtime of its own, on a thread of its own: the test's may be what is being torn down.
        let audit = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let state = runtime.block_on(app.engine.read(|state, _| state.clone())).expect("the server still works at the end of the test");
            let (keyring, checkpoints) = (Arc::clone(&app.keyring), Arc::clone(&app.checkpoints));
            drop(app);
            assert!(threads.join(), "no thread has panicked");
            audit(&store, &keyring, &state, now);
            // One whose key this server does not have is signed for once it has.
            let is_ours = |key: &SigningKey| keyring.private_key(key.key_id).is_ok();
            for (id, workspace) in state.workspaces().filter(|(_, workspace)| workspace.signing_keys.last().is_some_and(is_ours)) {
                let published = checkpoints.latest(id).expect("every workspace has a checkpoint");
                let tree = &workspace.tree;
                assert_eq!((published.size, published.root), (tree.size(), tree.root()), "nothing lies outside of the last checkpoint");
            }
        });
        if let Err(panic) = audit.join() {
            std::panic::resume_unwind(panic);
        }
        let _ = &self.keyring_directory; // held until here: the follower needed the keys
    }
}

/// Every check, decided once more against the state as it was, comes out as it was recorded.
fn decide_again(store: &Arc<dyn Store>) {
    let (mut chain, mut state) = (Chain::new(), State::new());
    for frame in store.scan(0) {
        let each = |sequence, record: &Record, hash| {
            let explanation = explain(&state, record);
            assert!(explanation.as_ref().is_none_or(Explanation::agrees), "sequence {sequence}: {explanation:?}");
            state.apply(record, hash);
        };
        chain.admit(&frame.unwrap(), each).expect("the chain holds");
    }
}

/// The whole-log check.
fn audit(store: &Arc<dyn Store>, keyring: &Keyring, state: &State, now: Timestamp) {
    let replayed = replay(&**store, None, |_| {}).expect("the chain holds");
    assert_eq!(replayed.state.hash(), state.hash(), "a replay equals the state");
    assert_eq!(&replayed.state, state);
    assert_eq!(store.signed(), store.head(), "all is signed");
    decide_again(store);
    for frame in store.scan(0) {
        let frame = frame.unwrap();
        for (sequence, (bytes, _)) in (frame.header().first_sequence..).zip(frame.records().unwrap()) {
            let record = Record::decode(bytes).unwrap();
            let Some(id) = record.event.receipt_id() else { continue };
            let workspace = state.workspace(record.workspace_id).unwrap();
            let workspace_id = record.workspace_id.to_string();
            let keys = serde_json::to_vec(&workspace.key_document(record.workspace_id)).unwrap();
            let keys = TrustedKeys::parse(&keys).unwrap();
            // Not by id: on a clock that stands still, every lookup would go through the whole log.
            let found = standing(store, keyring, sequence, record, &workspace.signing_keys);
            let Standing::Signed(document) = found else { panic!("{id} is not signed: {found:?}") };
            let receipt = Strict::parse(document.as_bytes()).unwrap();
            verify(&receipt, &keys, Some(&workspace_id), now).unwrap_or_else(|e| panic!("{id}: {e}: {document}"));
        }
    }
}
