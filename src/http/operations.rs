//! The operations listener: is the process alive, and may it be sent requests?

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::{ApiError, stack};
use crate::app::App;

/// Every endpoint of the listener.
pub fn router(app: App) -> Router {
    stack(Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(app))
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
