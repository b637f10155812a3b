//! `POST /v1/check`: may this agent do this, for this person, now?

use std::sync::Arc;
use std::time::Duration;

use allowlog_projections::command::Action;
use allowlog_projections::decide::Outcome;
use allowlog_proto::api::allowly::{CheckBody, CheckedBody, EscalationBody, PendingReceipt, ReceiptBody, ResultBody, budget, policy_eval};
use allowlog_proto::event::{Decided, Subject, Verdict};
use allowlog_proto::id::{ReceiptId, WorkspaceId};
use allowlog_proto::json::Value;
use allowlog_proto::limits::BODY_BYTES_MAX;
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::time::Timestamp;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::{ApiError, call};
use crate::receipts::{Standing, records, standing};
use crate::telemetry::blocking;

/// How long `?wait=true` waits for signing; clients give up after a second.
const WAIT: Duration = Duration::from_millis(800);
/// Most answers take no more for each scope.
const ANSWER_BYTES: usize = 1024;

/// Decides each scope, and answers 200 whatever the decision.
pub async fn check(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    let wait = call::switch(request.uri().query(), "wait");
    let call = call::parse(&app, request, BODY_BYTES_MAX, CheckBody::parse).await?;
    let asked = call.body.authorization_id.clone();
    let committed = app.submit(call.command(|body| Action::Check(Box::new(body)))).await?;
    let Outcome::Checked(checked) = &committed.outcome else { return Err(ApiError::internal()) };
    // The check is decided and durable: from here on nothing may turn the answer into an error, or keep it too long.
    let mut signed =
        if wait { Signed::in_time(&app, committed.workspace_id, committed.end, checked.results.len()).await } else { Signed::default() };
    json(&answer(&app, asked.as_str(), &checked.results, checked.checked_at, &mut signed))
}

/// The answer as [`axum::Json`] makes it, in a buffer that need not grow.
fn json(body: &CheckedBody<'_>) -> Result<Response, ApiError> {
    let mut text = Vec::with_capacity(ANSWER_BYTES.saturating_mul(body.results.len().max(1)));
    serde_json::to_writer(&mut text, body).map_err(|_| ApiError::internal())?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response())
}

pub fn check_entry() -> Entry {
    let wait = ObjectBuilder::new().schema_type(Type::Boolean).default(Some(false.into()));
    Entry::acts("Checks", "check", "May this agent do this, for this person, now?")
        .about(
            "The scopes are decided in the order of the request, at the same instant, and recorded together or not at all. The answer is \
             200 whatever the decision, with one result and one receipt for each scope. The first reason that applies decides, in the \
             order in which they are listed here. An unknown authorization is a denial, no error.",
        )
        .query("wait", "Waits up to 800 ms for the receipts to be signed; it never fails a check. `1` and `0` are understood too.", wait)
        .body::<CheckBody>(BODY_BYTES_MAX)
        .answers::<CheckedBody<'_>>(200, "A decision for each scope.")
}

/// The receipts that were signed in time, in the order of the records of the command; none where nobody waited.
#[derive(Default)]
pub(super) struct Signed(std::vec::IntoIter<Option<ReceiptBody>>);

impl Signed {
    /// Waits for the receipts of so many results, the last of them before `end` in the log, but not too long.
    pub(super) async fn in_time(app: &App, workspace_id: WorkspaceId, end: u64, count: usize) -> Self {
        let in_time = tokio::time::timeout(WAIT, Self::wait(app, workspace_id, end, count)).await;
        in_time.ok().flatten().unwrap_or_default()
    }

    async fn wait(app: &App, workspace_id: WorkspaceId, end: u64, count: usize) -> Option<Self> {
        app.signed.clone().wait_for(|position| *position >= end).await.ok()?;
        let keys = app.engine.read(move |state, _| state.workspace(workspace_id).map(|w| w.signing_keys.clone())).await.ok()??;
        let (store, keyring) = (Arc::clone(&app.store), Arc::clone(&app.keyring));
        let first = end.checked_sub(u64::try_from(count).ok()?)?;
        let receipts = move || {
            let each = |(sequence, record)| match standing(&store, &keyring, sequence, record, &keys) {
                Standing::Signed(document) => Value::parse(document.as_bytes()).ok().map(ReceiptBody::signed),
                Standing::Pending(_) => None,
            };
            records(&store, first..end).map(|records| (first..).zip(records).map(each).collect::<Vec<_>>())
        };
        Some(Self(blocking(receipts).await.ok()?.ok()?.into_iter()))
    }

    /// The receipt of the next result.
    fn next(&mut self, app: &App, id: ReceiptId, checked_at: Timestamp) -> ReceiptBody {
        let signed = self.0.next().flatten();
        signed.unwrap_or_else(|| ReceiptBody::Pending(PendingReceipt::new(id, checked_at, &app.public_url)))
    }
}

/// What one check is answered whose scopes were decided so.
pub(super) fn answer<'a>(
    app: &App,
    asked: &'a str,
    results: &'a [Arc<Decided>],
    checked_at: Timestamp,
    signed: &mut Signed,
) -> CheckedBody<'a> {
    let (user_id, agent_id, expires_at) = match results.first().map(|result| &result.subject) {
        Some(Subject::Known { user_id, agent_id, expires_at, .. }) => (user_id.as_str(), agent_id.as_str(), *expires_at),
        Some(Subject::Unknown { .. }) | None => ("unknown", "unknown", None),
    };
    let mut each = |decided: &'a Decided| (decided.scope.as_str(), result(decided, signed.next(app, decided.receipt_id, checked_at)));
    CheckedBody {
        authorization_id: asked,
        user_id,
        agent_id,
        authorization_expires_at: expires_at,
        policy_version: results.first().map_or(PolicyVersion::CURRENT, |result| result.policy_version).as_str(),
        results: results.iter().map(|decided| each(decided)).collect(),
    }
}

fn result(decided: &Decided, receipt: ReceiptBody) -> ResultBody<'_> {
    let mut body = ResultBody {
        decision: decided.verdict.decision(),
        reason: decided.reason,
        receipt,
        budget: budget(decided).map(Value::Object),
        policy_eval: policy_eval(decided).map(Value::Object),
        confirm_nonce: None,
        confirm_expires_at: None,
        confirm_prompt_hint: None,
        escalation_id: None,
        escalation_to: None,
        escalation_expires_at: None,
        escalation: None,
    };
    match &decided.verdict {
        Verdict::Allow { .. } | Verdict::Deny => {}
        Verdict::Confirm { nonce, expires_at } => {
            body.confirm_nonce = Some(*nonce);
            body.confirm_expires_at = Some(*expires_at);
            body.confirm_prompt_hint = Some(decided.scope.as_str());
        }
        Verdict::Escalate { escalation_id, escalation_to, expires_at, .. } => {
            let (escalation_id, escalation_to, expires_at) = (*escalation_id, escalation_to.as_ref(), *expires_at);
            body.escalation_id = Some(escalation_id);
            body.escalation_to = Some(escalation_to);
            body.escalation_expires_at = Some(expires_at);
            body.escalation = Some(EscalationBody { escalation_id, status: "pending", escalation_to, expires_at });
        }
    }
    body
}
