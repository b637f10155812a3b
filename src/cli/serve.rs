//! `allowlog serve`.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use allowlog_proto::text::Name;
use axum::Router;
use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::{DataArgument, MasterKeyArgument, Outcome, progress, runtime};
use crate::app::{App, Threads};
use crate::http;
use crate::opening::open;
use crate::telemetry;

mod demo;

/// Connections still open this long after the signal are cut; what was answered is durable all the same.
const DRAIN: Duration = Duration::from_secs(10);

#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    data: DataArgument,
    #[command(flatten)]
    master: MasterKeyArgument,
    /// Where the API listens
    #[arg(long, env = "ALLOWLOG_LISTEN", default_value = "127.0.0.1:8700", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Where /healthz and /readyz listen
    #[arg(long, env = "ALLOWLOG_OPS_LISTEN", default_value = "127.0.0.1:8701", value_name = "ADDRESS")]
    ops_listen: SocketAddr,
    /// What absolute links in answers begin with [default: http:// and the address of the API]
    #[arg(long, env = "ALLOWLOG_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// On the first start, make a sample authorization and print one decision with its signed receipt
    #[arg(long)]
    demo: bool,
    /// Print telemetry as JSON lines
    #[arg(long, env = "ALLOWLOG_TELEMETRY_JSON")]
    telemetry_json: bool,
}

impl Serve {
    pub fn run(self) -> Outcome {
        telemetry::start(self.telemetry_json);
        runtime()?.block_on(self.serve())
    }

    async fn serve(self) -> Outcome {
        let signals = Signals::catch()?;
        // The sockets come first: a port that is taken must not leave a directory half made.
        let bind = async |address| TcpListener::bind(address).await.map_err(|e| format!("cannot listen on {address}: {e}"));
        let (api, operations) = (bind(self.listen).await?, bind(self.ops_listen).await?);
        let url = format!("http://{}", api.local_addr()?);
        let public_url = self.public_url.clone().unwrap_or_else(|| url.clone());
        let bar = progress::records("replaying");
        let opened = open(&self.data.path, self.master.master_key.as_deref(), public_url, |n| bar.set_position(n));
        bar.finish_and_clear();
        let (lock, parts) = opened?;
        let (records, store) = (parts.replayed.chain.next_sequence(), Arc::clone(&parts.store));
        let (app, mut threads) = App::start(parts)?;
        println!(
            "allowlog {} serves {} on {url}, operations on http://{}",
            env!("CARGO_PKG_VERSION"),
            self.data.path.display(),
            operations.local_addr()?
        );
        if records == 0 {
            let name = Name::new("default").map_err(|e| e.to_string())?;
            let (created, api_key) = app.create_workspace(name).await?;
            welcome(&url, &created.workspace_id.to_string(), &api_key, &app.admin_token);
            if self.demo {
                demo::run(http::router(app.clone()), &api_key).await?;
            }
        } else {
            tracing::info!(log.records = records, "the state has been replayed from the log");
        }
        let clean = until_stopped(app, &mut threads, signals, api, operations).await;
        let joined = tokio::task::spawn_blocking(move || threads.join()).await?;
        drop((store, lock)); // settles what is left, then lets others in
        Ok(if clean && joined { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Serves until a signal, then drains. False if the writer ended on its own.
async fn until_stopped(app: App, threads: &mut Threads, mut signals: Signals, api: TcpListener, operations: TcpListener) -> bool {
    let (stop, stopped) = watch::channel(false);
    let serve = |listener: TcpListener, router: Router| {
        let mut stopped = stopped.clone();
        let stop = async move {
            // An error means that the sender is gone: then it is time to stop as well.
            let _ = stopped.wait_for(|stop| *stop).await;
        };
        tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(stop).into_future())
    };
    let servers = [serve(api, http::router(app.clone())), serve(operations, http::operations::router(app))];
    let clean = tokio::select! {
        () = signals.wait() => true,
        () = threads.writer_ended() => {
            tracing::error!("the writer has ended; the server stops, and a restart rebuilds the state from the log");
            false
        }
    };
    tracing::info!("stopping");
    stop.send_replace(true);
    for server in servers {
        let mut server = server;
        if tokio::time::timeout(DRAIN, &mut server).await.is_err() {
            tracing::warn!("connections were still open after {} s and are cut", DRAIN.as_secs());
            server.abort();
        }
    }
    clean
}

/// Ctrl-C and SIGTERM, caught from the moment this is made.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// What a new directory says, once.
fn welcome(url: &str, workspace_id: &str, api_key: &str, admin_token: &str) {
    println!(
        r#"
A new data directory was initialised. These secrets are shown once:

  workspace    {workspace_id}
  API key      {api_key}
  admin token  {admin_token}

Paste this into another terminal:

  export ALLOWLOG_API_KEY={api_key}
  curl -s {url}/v1/authorizations -H "Authorization: Bearer $ALLOWLOG_API_KEY" -H 'Content-Type: application/json' \
    -d '{{"user_id": "user_1", "agent_id": "mailer", "scopes": ["email.read"], "expires_at": "2099-01-01T00:00:00Z"}}'
"#
    );
}
