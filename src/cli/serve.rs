//! `allowlog serve`.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use allowlog_proto::event::Plan;
use allowlog_proto::text::Name;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{DataArgument, Outcome, master_key, progress, runtime, say};
use crate::app::{App, Parts, Threads};
use crate::clock::Clock;
use crate::data_dir::DataDir;
use crate::http::listener::{Limits, Listener};
use crate::http::rate_limit::{Rate, RateLimits};
use crate::http::tls::Tls;
use crate::http::{self, Front};
use crate::log::Store;
use crate::opening::open;
use crate::snapshots::SNAPSHOT_RECORDS;
use crate::telemetry;
use crate::witnesses::{Witness, Witnesses, WitnessesError};

mod demo;

/// Connections still open this long after the signal are cut; what was answered is durable all the same.
const DRAIN: Duration = Duration::from_secs(5);
/// Reads of the log that still run get this long to end.
const CUT: Duration = Duration::from_secs(1);
/// At a start witnesses get so long to say what they know of the log.
const WITNESSES_WAIT: Duration = Duration::from_secs(15);
/// Connections to the API when the system would let the process have more.
const CONNECTIONS_DEFAULT_MAX: u32 = 4096;
/// Connections to the operations listener: a probe or two at a time, whatever goes on beside it.
const CONNECTIONS_OPERATIONS: u32 = 8;

#[derive(Debug, Args)]
#[command(after_help = "Environment:
  ALLOWLOG_MASTER_KEY  master key, 64 hexadecimal digits; without it the file master.key in the data directory is used
  ALLOWLOG_TELEMETRY   what is printed on standard error, as in `info` or `allowlog=debug`")]
pub struct Serve {
    #[command(flatten)]
    data: DataArgument,
    /// Where the log is copied to as it grows, in files that need no database to be read: best on another disk
    #[arg(long, env = "ALLOWLOG_ARCHIVE", value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Go on with a log that has fewer records than a checkpoint that was signed or cosigned; no checkpoint of the workspaces it
    /// concerns is published again
    #[arg(long, env = "ALLOWLOG_ACCEPT_ROLLBACK", value_parser = clap::builder::BoolishValueParser::new())]
    accept_rollback: bool,
    /// A witness that is to cosign checkpoints: its verifier key, a space, its URL; may be given several times. `allowlog witness`
    /// prints the line to give
    #[arg(long = "witness", env = "ALLOWLOG_WITNESSES", value_name = "KEY URL", value_delimiter = ',', value_parser = Witness::parse)]
    witnesses: Vec<Witness>,
    /// How many witnesses must have cosigned a checkpoint before it is published
    /// [default: more than half of them]
    #[arg(long, env = "ALLOWLOG_WITNESS_QUORUM", value_name = "N", requires = "witnesses", value_parser = clap::value_parser!(u8).range(1..))]
    witness_quorum: Option<u8>,
    /// Where the API listens
    #[arg(long, env = "ALLOWLOG_LISTEN", default_value = "127.0.0.1:8700", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics listen
    #[arg(long, env = "ALLOWLOG_OPS_LISTEN", default_value = "127.0.0.1:8701", value_name = "ADDRESS")]
    ops_listen: SocketAddr,
    /// What absolute links in answers begin with; to be given where --listen is not how clients reach the server
    /// [default: http:// or https:// and the address of the API]
    #[arg(long, env = "ALLOWLOG_PUBLIC_URL", value_name = "URL", value_parser = absolute_url)]
    public_url: Option<String>,
    /// Whether ids of people that look like an email address are accepted: `accept` or `reject`
    #[arg(long, env = "ALLOWLOG_PII_GUARD", default_value = "accept", value_parser = ["accept", "reject"])]
    pii_guard: String,
    /// Let webhooks go to private addresses and over plain HTTP too, as for a receiver on this machine
    #[arg(long, env = "ALLOWLOG_WEBHOOK_ALLOW_PRIVATE", value_parser = clap::builder::BoolishValueParser::new())]
    webhook_allow_private: bool,
    /// Take the address of who visits a page from the last entry of `X-Forwarded-For`, which a proxy in front of the server sets
    #[arg(long, env = "ALLOWLOG_BEHIND_PROXY", value_parser = clap::builder::BoolishValueParser::new())]
    behind_proxy: bool,
    /// Let anybody make an org, and its first API key within an hour: without it, that takes the admin token
    #[arg(long, env = "ALLOWLOG_OPEN_SIGNUP", value_parser = clap::builder::BoolishValueParser::new())]
    open_signup: bool,
    /// How many records lie between two snapshots, at least
    #[arg(long, env = "ALLOWLOG_SNAPSHOT_EVERY", default_value_t = SNAPSHOT_RECORDS, value_name = "RECORDS")]
    snapshot_every: u64,
    /// Connections that may be open to the API; for one more, that is closed which has waited longest for its client
    /// [default: half of the descriptors the process may have, at most 4096]
    #[arg(long, env = "ALLOWLOG_MAX_CONNECTIONS", value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_connections: Option<u32>,
    /// Speak TLS on the API's listener: the certificate with its chain, as PEM; SIGHUP reads both files again
    #[arg(long, env = "ALLOWLOG_TLS_CERT", value_name = "PEM", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, as PEM
    #[arg(long, env = "ALLOWLOG_TLS_KEY", value_name = "PEM", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Calls per second that each API key may make, as in `100` or `100/s`; one more is answered 429
    #[arg(long, env = "ALLOWLOG_RATE_LIMIT", value_name = "N", value_parser = per_second)]
    rate_limit: Option<NonZeroU32>,
    /// How many of them may come at once
    /// [default: as many as per second]
    #[arg(long, env = "ALLOWLOG_RATE_BURST", value_name = "N", requires = "rate_limit")]
    rate_burst: Option<NonZeroU32>,
    /// On the first start, make a sample authorization and print one decision with its signed receipt
    #[arg(long)]
    demo: bool,
    /// Print telemetry as JSON lines
    #[arg(long, env = "ALLOWLOG_TELEMETRY_JSON", value_parser = clap::builder::BoolishValueParser::new())]
    telemetry_json: bool,
    /// Send traces to the OpenTelemetry collector at this address, over plain HTTP, as in http://127.0.0.1:4318
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_name = "URL", value_parser = endpoint)]
    otlp_endpoint: Option<String>,
}

impl Serve {
    pub fn run(self) -> Outcome {
        let traces = telemetry::start(self.telemetry_json, self.otlp_endpoint.as_deref().filter(|url| !url.is_empty()))?;
        let runtime = runtime()?;
        let served = runtime.block_on(self.serve());
        // A connection that is still open holds the engine. With the runtime its task ends, whatever the client does.
        runtime.shutdown_timeout(CUT);
        let Some(Served { threads, clean, store, lock }) = served? else { return Ok(ExitCode::FAILURE) };
        let joined = threads.join();
        drop((store, lock)); // settles what is left, then lets others in
        drop(traces); // sends what is left
        Ok(if clean && joined { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Who is to cosign, if anybody is.
    fn witnesses(&self) -> Result<Option<Witnesses>, WitnessesError> {
        let count = self.witnesses.len();
        let quorum = self.witness_quorum.map_or(count / 2 + 1, usize::from);
        if count == 0 { Ok(None) } else { Witnesses::new(self.witnesses.clone(), quorum).map(Some) }
    }

    /// Serves until a signal. Nothing if the signal came before there was anything to serve.
    async fn serve(self) -> Result<Option<Served>, Box<dyn std::error::Error>> {
        let mut signals = Signals::catch()?;
        let hangup = signal(SignalKind::hangup())?;
        let witnesses = self.witnesses()?;
        let tls = match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Some(Arc::new(Tls::open(certificate.clone(), key.clone())?)),
            _ => None,
        };
        tokio::spawn(reload(hangup, tls.clone()));
        // The sockets come first: a port that is taken must not leave a directory half made.
        let bind = async |address| TcpListener::bind(address).await.map_err(|e| format!("cannot listen on {address}: {e}"));
        let (api, operations) = (bind(self.listen).await?, bind(self.ops_listen).await?);
        let rate = self.rate_limit.map(|per_second| Rate { per_second, burst: self.rate_burst.unwrap_or(per_second) });
        let limits = Limits::of(self.max_connections.unwrap_or_else(default_connections));
        let url = format!("{}://{}", if tls.is_some() { "https" } else { "http" }, api.local_addr()?);
        let public_url = self.public_url.clone().unwrap_or_else(|| url.clone());
        let (data, archive, accepts_rollback) = (self.data.path.clone(), self.archive.clone(), self.accept_rollback);
        let opening = tokio::task::spawn_blocking(move || {
            let bar = progress::records("replaying");
            let opened =
                open(&data, archive, master_key().as_deref().map(String::as_str), public_url, accepts_rollback, |n| bar.set_position(n));
            bar.finish_and_clear();
            opened
        });
        let (lock, parts) = tokio::select! {
            opened = opening => opened??,
            () = signals.wait() => {
                tracing::info!("stopped before the log was replayed");
                return Ok(None);
            }
        };
        let (records, store) = (parts.replayed.chain.next_sequence(), Arc::clone(&parts.store));
        let (refuses_emails, webhook_allow_private) = (self.pii_guard == "reject", self.webhook_allow_private);
        let (is_behind_proxy, is_signup_open, snapshot_records) = (self.behind_proxy, self.open_signup, self.snapshot_every);
        let mut parts =
            Parts { witnesses, refuses_emails, webhook_allow_private, is_behind_proxy, is_signup_open, snapshot_records, ..parts };
        let admin_token = parts.admin_token.take_drawn();
        let has_witnesses = parts.witnesses.is_some();
        let (app, mut threads) = App::start(parts)?;
        if has_witnesses && !hear_witnesses(&app, &mut threads, &mut signals).await? {
            return Ok(None);
        }
        let operations_url = format!("http://{}", operations.local_addr()?);
        say(format_args!(
            "allowlog {} serves {} on {url}, operations on {operations_url}",
            env!("CARGO_PKG_VERSION"),
            self.data.path.display()
        ))?;
        if records == 0 {
            let name = Name::new("default").map_err(|e| e.to_string())?;
            let (created, api_key) = app.create_workspace(name, Plan::Enterprise).await?;
            welcome(&url, &created.workspace_id.to_string(), &api_key, admin_token.as_deref().map_or("", |text| text))?;
            if self.demo {
                demo::run(http::router(app.clone()), &api_key).await?;
            }
        } else {
            tracing::info!(log.records = records, "the state has been replayed from the log");
            if self.demo {
                say(format_args!("The directory was initialised before: --demo shows something on a new one only."))?;
            }
        }
        let front = match rate {
            Some(rate) => http::limited_router(app.clone(), RateLimits::new(rate, Clock::Wall)).into(),
            None => Front::api(app.clone()),
        };
        let api = Listener { socket: api, tls, limits };
        let operations = Listener { socket: operations, tls: None, limits: Limits::of(CONNECTIONS_OPERATIONS) };
        let listeners = [(api, front), (operations, http::operations::router(app).into())];
        let clean = until_stopped(listeners, &mut threads, signals).await;
        Ok(Some(Served { threads, clean, store, lock }))
    }
}

/// Waits for what the witnesses know of this log, as far as they can be reached: nothing is written before. False if the signal
/// came first.
async fn hear_witnesses(app: &App, threads: &mut Threads, signals: &mut Signals) -> Result<bool, String> {
    tokio::select! {
        () = threads.first_checkpoints() => {}
        () = tokio::time::sleep(WITNESSES_WAIT) => tracing::warn!(
            "not every witness has been asked about every workspace after {} s; the server goes on, and asks on",
            WITNESSES_WAIT.as_secs()
        ),
        () = signals.wait() => {
            tracing::info!("stopped before the witnesses had answered");
            return Ok(false);
        }
    }
    app.engine.refusing().map_or(Ok(true), Err)
}

/// What is left to be ended once no request is served any more.
struct Served {
    threads: Threads,
    clean: bool,
    store: Arc<dyn Store>,
    lock: DataDir,
}

/// Serves until a signal, then drains. False if a thread ended on its own.
async fn until_stopped(listeners: [(Listener, Front); 2], threads: &mut Threads, mut signals: Signals) -> bool {
    let (stop, stopped) = watch::channel(false);
    let servers = listeners.map(|(listener, front)| tokio::spawn(listener.serve(front, stopped.clone())));
    let clean = tokio::select! {
        () = signals.wait() => true,
        () = threads.ended() => {
            tracing::error!("the writer or a follower has ended; the server stops, and a restart goes on from the log");
            false
        }
    };
    tracing::info!("stopping");
    stop.send_replace(true);
    let drained = tokio::time::timeout(DRAIN, async {
        for server in servers {
            // A server that ends by itself has nothing left to drain.
            let _ = server.await;
        }
    });
    tokio::select! {
        drained = drained => if drained.is_err() {
            tracing::warn!("connections were still open after {} s and are cut", DRAIN.as_secs());
        },
        () = signals.wait() => tracing::warn!("a second signal: connections that are still open are cut"),
    }
    clean
}

/// Reads the certificate again at every SIGHUP; without one, the signal is merely no reason to end.
async fn reload(mut hangup: Signal, tls: Option<Arc<Tls>>) {
    while hangup.recv().await.is_some() {
        let Some(tls) = tls.clone() else {
            tracing::info!("a hangup: there is no certificate to read again");
            continue;
        };
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(())) => tracing::info!("the certificate has been read again"),
            Ok(Err(error)) => tracing::error!(tls.error = %error, "the certificate stays the one before"),
            Err(error) => tracing::error!(tls.error = %error, "the certificate stays the one before"),
        }
    }
}

/// Half of the descriptors that the process may have: the log and the index need some, and so does what comes in beside.
fn default_connections() -> u32 {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let half = descriptors.map_or(CONNECTIONS_DEFAULT_MAX, |limit| u32::try_from(limit / 2).unwrap_or(u32::MAX));
    half.clamp(1, CONNECTIONS_DEFAULT_MAX)
}

/// Ctrl-C and SIGTERM, caught from the moment this is made.
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub(super) fn catch() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

fn per_second(text: &str) -> Result<NonZeroU32, &'static str> {
    text.strip_suffix("/s").unwrap_or(text).parse().map_err(|_| "must be a number of calls per second above 0, as in `100` or `100/s`")
}

fn absolute_url(text: &str) -> Result<String, String> {
    let url: axum::http::Uri = text.parse().map_err(|e| format!("{e}"))?;
    let is_secret = url.authority().is_some_and(|authority| authority.as_str().contains('@'));
    let plain = url.query().is_none() && matches!(url.scheme_str(), Some("http" | "https")) && !is_secret;
    if plain {
        Ok(text.to_owned())
    } else {
        Err("must be an absolute http or https URL without a query and without credentials".to_owned())
    }
}

/// An empty variable is one that is not set: so OpenTelemetry has it.
fn endpoint(text: &str) -> Result<String, String> {
    if text.is_empty() { Ok(String::new()) } else { absolute_url(text) }
}

/// What a new directory says, once.
fn welcome(url: &str, workspace_id: &str, api_key: &str, admin_token: &str) -> std::io::Result<()> {
    say(format_args!(
        r#"
A new data directory was initialised. These secrets are shown once:

  workspace    {workspace_id}
  API key      {api_key}
  admin token  {admin_token}

Paste this into another terminal:

  export ALLOWLOG_API_KEY={api_key}
  export ALLOWLOG_WORKSPACE={workspace_id}
  curl -s {url}/v1/authorizations -H "Authorization: Bearer $ALLOWLOG_API_KEY" -H 'Content-Type: application/json' \
    -d '{{"user_id": "user_1", "agent_id": "mailer", "scopes": ["email.read"], "expires_at": "2099-01-01T00:00:00Z"}}'
"#
    ))
}
