//! The operations listener: is the process alive, may it be sent requests, and how does it fare?

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

use super::{ApiError, stack};
use crate::app::App;
use crate::telemetry::metrics::{MEDIA_TYPE, Standing, as_seconds, metrics};
use crate::telemetry::{blocking, process};

/// The metrics are answered without what a writer that is busy or stands still for so long would have said.
const WRITER_WAIT: Duration = Duration::from_millis(500);

/// Every endpoint of the listener.
pub fn router(app: App) -> Router {
    let router = Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).route("/metrics", get(scrape));
    stack(router.with_state(app), None)
}

/// The process answers.
async fn healthz() -> &'static str {
    "ok\n"
}

/// The writer takes commands. Asking makes a writer that takes none try to go on.
async fn readyz(State(app): State<App>) -> Result<&'static str, ApiError> {
    match app.engine.probe().await {
        Ok(()) => Ok("ready\n"),
        Err(failure) => Err(ApiError::unavailable(app.engine.refusing().unwrap_or_else(|| failure.to_string()))),
    }
}

/// The metrics, for Prometheus. They are answered whatever state the server is in.
async fn scrape(State(app): State<App>) -> Result<Response, ApiError> {
    let is_latched = app.engine.refusing().is_some();
    let queue = app.engine.waiting();
    // A read would make a latched writer try to recover, which is not what looking at it should do.
    let state = if is_latched {
        None
    } else {
        let read = tokio::time::timeout(WRITER_WAIT, app.engine.read(|state, _| state.sizes())).await;
        read.ok().and_then(Result::ok).map(Vec::from)
    };
    // The oldest record of a long backlog is on disk.
    let standing = blocking(move || Standing {
        queue,
        is_latched,
        state,
        head: app.store.head(),
        settled: app.store.settled(),
        followers: vec![
            lag(&app, "signing", app.store.signed()),
            lag(&app, "search", app.search.position()),
            lag(&app, "checkpoints", *app.checkpoints.position().borrow()),
            lag(&app, "webhooks", app.webhooks.borrow().position),
        ],
        process: (process::resident_bytes(), process::open_files(), process::open_files_max()),
        disk: metrics().data().and_then(|directory| process::disk_bytes(directory)),
    });
    let text = metrics().text(standing.await.map_err(|_| ApiError::internal())?).map_err(|_| ApiError::internal())?;
    Ok(([(header::CONTENT_TYPE, MEDIA_TYPE)], text).into_response())
}

/// How far a follower that stands at `position` is behind: in records, and in seconds since the first of them.
fn lag(app: &App, name: &'static str, position: u64) -> (&'static str, u64, Option<f64>) {
    let records = app.store.head().saturating_sub(position);
    if records == 0 {
        return (name, 0, Some(0.0));
    }
    let oldest = app.store.scan(position).next().and_then(Result::ok);
    let age_ms = oldest.map(|frame| app.clock.now().as_ms().saturating_sub(frame.header().first_time_ms));
    (name, records, age_ms.map(as_seconds))
}
