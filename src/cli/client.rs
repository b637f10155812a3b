//! The client behind the commands that speak to a running server.

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
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
    /// Where the server listens
    #[arg(long, env = "ALLOWLOG_URL", default_value = "http://127.0.0.1:8700")]
    url: String,
    /// A certificate to trust beside those the machine trusts, as PEM: the server's own, or that of who issued it
    #[arg(long, env = "ALLOWLOG_CA_CERT", value_name = "PEM")]
    ca_cert: Option<PathBuf>,
    /// The operator's token, as `init` or the first `serve` printed it
    #[arg(long = "admin-token", env = "ALLOWLOG_ADMIN_TOKEN", hide_env_values = true)]
    token: String,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.url)
    }
}

impl Client {
    /// The server at `url`, or the usual place; the token may be in the environment.
    pub fn of(url: Option<String>, admin_token: Option<String>, ca_cert: Option<PathBuf>) -> Result<Self, String> {
        let environment = |name| std::env::var(name).ok();
        let url = url.or_else(|| environment("ALLOWLOG_URL")).unwrap_or_else(|| "http://127.0.0.1:8700".to_owned());
        let admin_token = admin_token.or_else(|| environment("ALLOWLOG_ADMIN_TOKEN"));
        let admin_token =
            admin_token.ok_or("--admin-token (or ALLOWLOG_ADMIN_TOKEN) is needed for a running server, --data for a stopped one")?;
        let ca_cert = ca_cert.or_else(|| environment("ALLOWLOG_CA_CERT").map(PathBuf::from));
        Ok(Self { url, ca_cert, token: admin_token })
    }

    /// The same for the holder of an API key.
    pub fn with_api_key(url: Option<String>, api_key: Option<String>, ca_cert: Option<PathBuf>) -> Result<Self, String> {
        let api_key = api_key.or_else(|| std::env::var("ALLOWLOG_API_KEY").ok());
        let api_key = api_key.ok_or("--api-key (or ALLOWLOG_API_KEY) is needed for a running server, --data for a stopped one")?;
        Self::of(url, Some(api_key), ca_cert)
    }

    /// Writes the body of an answer to `out`, as it comes; `progress` is told the bytes so far.
    pub fn fetch(&self, path: &str, out: &mut impl Write, mut progress: impl FnMut(u64)) -> Result<(), Box<dyn std::error::Error>> {
        let url = format!("{}/{path}", self.url.trim_end_matches('/'));
        // The whole may take long; a server that says nothing for so long is gone.
        let http = self.http()?.read_timeout(TIMEOUT).build()?;
        runtime()?.block_on(async {
            let response = http.get(&url).bearer_auth(&self.token).send().await;
            let mut response = response.map_err(|e| format!("no answer from {url}: {}", causes(&e)))?;
            if !response.status().is_success() {
                let status = response.status();
                let answer: Value = response.json().await.unwrap_or_default();
                let message = answer.pointer("/error/message").and_then(Value::as_str);
                return Err(message.map_or_else(|| format!("{url} answered {status}"), str::to_owned).into());
            }
            let mut bytes = 0_u64;
            while let Some(piece) = response.chunk().await.map_err(|e| format!("{url} stopped answering: {}", causes(&e)))? {
                out.write_all(&piece)?;
                bytes = bytes.saturating_add(u64::try_from(piece.len()).unwrap_or_default());
                progress(bytes);
            }
            Ok(())
        })
    }

    /// Sends one request to `/admin/v1` and prints the answer as JSON.
    pub fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Outcome {
        let url = format!("{}/admin/v1/{path}", self.url.trim_end_matches('/'));
        let http = self.http()?.timeout(TIMEOUT).build()?;
        let (ok, answer) = runtime()?.block_on(async {
            let mut request = http.request(method, &url).bearer_auth(&self.token);
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

    fn http(&self) -> Result<reqwest::ClientBuilder, Box<dyn std::error::Error>> {
        let client = reqwest::Client::builder();
        let Some(path) = &self.ca_cert else {
            // Over plain HTTP there is nothing to trust, and a machine that trusts nobody is no reason to fail.
            return Ok(if self.url.starts_with("http://") { client.tls_certs_only([]) } else { client });
        };
        let of = |cause: &dyn std::fmt::Display| format!("{} cannot be used: {cause}", path.display());
        let pem = std::fs::read(path).map_err(|e| of(&e))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|e| of(&causes(&e)))?;
        if certificates.is_empty() {
            return Err(of(&"it holds no certificate").into());
        }
        Ok(client.tls_certs_merge(certificates))
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
