//! The client behind the commands that speak to a running server.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use allowlog_proto::id::{ApiKeyId, WorkspaceId};
use clap::Args;
use reqwest::Method;
use serde_json::Value;

use super::{Outcome, runtime, say};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Which server, and who asks.
#[derive(Args)]
pub struct Client {
    /// Where the server listens, over plain HTTP
    #[arg(long, env = "ALLOWLOG_URL", default_value = "http://127.0.0.1:8700")]
    url: String,
    /// The operator's token, as in `admin.token` of the data directory
    #[arg(long, env = "ALLOWLOG_ADMIN_TOKEN", hide_env_values = true)]
    admin_token: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.url)
    }
}

impl Client {
    /// Sends one request to `/admin/v1` and prints the answer as JSON.
    pub fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Outcome {
        let url = format!("{}/admin/v1/{path}", self.url.trim_end_matches('/'));
        let (ok, answer) = runtime()?.block_on(async {
            let mut request = reqwest::Client::new().request(method, &url).timeout(TIMEOUT).bearer_auth(&self.admin_token);
            if let Some(body) = body {
                request = request.json(body);
            }
            let response = request.send().await.map_err(|e| format!("no answer from {url}: {}", causes(&e)))?;
            let ok = response.status().is_success();
            let status = response.status();
            let answer: Value = response.json().await.map_err(|_| format!("{url} answered {status} without JSON; is it allowlog?"))?;
            Ok::<_, String>((ok, answer))
        })?;
        if !ok {
            let message = answer.pointer("/error/message").and_then(Value::as_str);
            return Err(message.map_or_else(|| answer.to_string(), str::to_owned).into());
        }
        say(serde_json::to_string_pretty(&answer)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// An id of a workspace, as it may stand in a path.
pub fn workspace_id(text: &str) -> Result<WorkspaceId, String> {
    WorkspaceId::parse(text).ok_or_else(|| format!("must be `{}` and 26 characters", WorkspaceId::PREFIX))
}

/// An id of an API key, as it may stand in a path.
pub fn api_key_id(text: &str) -> Result<ApiKeyId, String> {
    ApiKeyId::parse(text).ok_or_else(|| format!("must be `{}` and 26 characters", ApiKeyId::PREFIX))
}

/// An error with what is behind it: the library's own text stops at the first.
fn causes(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
