//! `POST /v1/check/batch`: many checks in one call and one commit, each decided and receipted for itself.

use std::sync::Arc;

use allowlog_projections::command::Action;
use allowlog_projections::decide::{Checked, Outcome};
use allowlog_proto::api::allowly::{CheckBatchBody, CheckBody, CheckedBatchBody, CheckedItemBody};
use allowlog_proto::event::Decided;
use allowlog_proto::limits::{BATCH_BYTES_GOAL, BODY_BATCH_BYTES_MAX};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::check::{Signed, answer};
use crate::app::App;
use crate::http::openapi::Entry;
use crate::http::rate_limit::Bucket;
use crate::http::{ApiError, call};

/// Decides each check behind the one before it, and answers 200 whatever came of them.
pub async fn check_batch(State(app): State<App>, bucket: Option<Extension<Bucket>>, request: Request) -> Result<Response, ApiError> {
    let wait = call::switch(request.uri().query(), "wait");
    let call = call::parse(&app, request, BODY_BATCH_BYTES_MAX, CheckBatchBody::parse).await?;
    // The call itself has been counted as one.
    let more = call.body.checks.len().saturating_sub(1);
    let remaining = bucket.map(|Extension(bucket)| bucket.take_more(more)).transpose()?.flatten();
    // What the checks of the batch are refused for, or that they are not.
    let (mut refusals, mut checks) = (Vec::new(), Arc::default());
    let command = call.command(|body| {
        (refusals, checks) = sorted(body);
        Action::CheckBatch(Arc::clone(&checks))
    });
    let committed = app.submit(command).await?;
    let Outcome::Checked(checked) = &committed.outcome else { return Err(ApiError::internal()) };
    // The checks are decided and durable: from here on nothing may turn the answer into an error, or keep it too long.
    let mut signed =
        if wait { Signed::in_time(&app, committed.workspace_id, committed.end, checked.results.len()).await } else { Signed::default() };
    let mut response = Json(CheckedBatchBody { results: results(&app, refusals, &checks, checked, &mut signed)? }).into_response();
    if let Some(remaining) = remaining {
        response.extensions_mut().insert(remaining);
    }
    Ok(response)
}

pub fn check_batch_entry() -> Entry {
    let wait = ObjectBuilder::new().schema_type(Type::Boolean).default(Some(false.into()));
    Entry::acts("Checks", "check_batch", "Up to 1,000 checks at once")
        .about(
            "The checks are decided in the order of the request, each as `POST /v1/check` would decide it in its place: it sees what \
             those before it have spent, opened or counted, and each scope has its receipt. All that is decided is recorded together or \
             not at all. A check that cannot be understood is refused in its place, and the others are decided. The checks of a batch name \
             at most 2,500 scopes together; if their records come to more than 4 MiB, those behind are not decided and are 413 in their \
             place. Where API keys are limited, a batch counts as many calls as it has checks.",
        )
        .query("wait", "Waits up to 800 ms for the receipts to be signed; it never fails a check. `1` and `0` are understood too.", wait)
        .body::<CheckBatchBody>(BODY_BATCH_BYTES_MAX)
        .answers::<CheckedBatchBody<'_>>(200, "An answer for each check, in the order of the request.")
}

/// The checks that can be decided, and for each check of the body why it cannot, if it cannot.
fn sorted(body: CheckBatchBody) -> (Vec<Option<ApiError>>, Arc<Vec<CheckBody>>) {
    let mut checks = Vec::with_capacity(body.checks.len());
    let each = |check| match check {
        Ok(check) => {
            checks.push(check);
            None
        }
        Err(fields) => Some(ApiError::invalid(fields)),
    };
    let refusals = body.checks.into_iter().map(each).collect();
    (refusals, Arc::new(checks))
}

/// The answer to each check. Results of all of them follow each other, one for each scope, up to where the batch was full; a
/// retry finds them in the log.
fn results<'a>(
    app: &App,
    refusals: Vec<Option<ApiError>>,
    checks: &'a [CheckBody],
    checked: &'a Checked,
    signed: &mut Signed,
) -> Result<Vec<CheckedItemBody<'a>>, ApiError> {
    let (mut checks, mut rest) = (checks.iter(), checked.results.as_slice());
    let mut items = Vec::with_capacity(refusals.len());
    for refusal in refusals {
        let refusal = match refusal {
            Some(refusal) => refusal,
            None if rest.is_empty() => ApiError::batch_is_full(BATCH_BYTES_GOAL),
            None => {
                let check = checks.next().ok_or_else(ApiError::internal)?;
                let results = own(check, rest).ok_or_else(ApiError::internal)?;
                rest = rest.get(results.len()..).unwrap_or_default();
                items.push(CheckedItemBody::Checked {
                    status: 200,
                    body: answer(app, check.authorization_id.as_str(), results, checked.checked_at, signed),
                });
                continue;
            }
        };
        let (status, error) = refusal.into_parts();
        items.push(CheckedItemBody::Refused { status: status.as_u16(), error });
    }
    Ok(items)
}

/// The results of a check, which are the next ones. Nobody is told what was decided for another scope.
fn own<'a>(check: &CheckBody, results: &'a [Arc<Decided>]) -> Option<&'a [Arc<Decided>]> {
    let own = results.get(..check.scopes.len())?;
    own.iter().zip(&check.scopes).all(|(decided, scope)| decided.scope == *scope).then_some(own)
}
