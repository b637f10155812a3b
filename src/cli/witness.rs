//! `allowlog witness`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use super::serve::Signals;
use super::{Outcome, runtime, say};
use crate::clock::Clock;
use crate::http;
use crate::http::listener::{Limits, Listener};
use crate::telemetry;
use crate::witness::Witness as Cosigner;
use crate::witness::trust::Trust;

/// Connections still open this long after the signal are cut; what was cosigned is kept all the same.
const DRAIN: Duration = Duration::from_secs(5);
/// What still writes then gets this long to end.
const CUT: Duration = Duration::from_secs(1);
/// Open at the same time: a log has one at a time.
const CONNECTIONS: u32 = 256;

#[derive(Debug, Args)]
#[command(after_help = "Environment:
  ALLOWLOG_TELEMETRY   what is printed on standard error, as in `info` or `allowlog=debug`")]
pub struct Witness {
    /// Where the witness keeps its key and what it cosigned last; an empty directory gets a new key
    #[arg(long, env = "ALLOWLOG_WITNESS_DATA", default_value = "./allowlog-witness", value_name = "DIR")]
    data: PathBuf,
    /// Where it listens
    #[arg(long, env = "ALLOWLOG_WITNESS_LISTEN", default_value = "127.0.0.1:8710", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The name of a new witness, as in `witness.example.com`: nobody else's, without white space and `+`, and for ever
    #[arg(long, env = "ALLOWLOG_WITNESS_NAME")]
    name: Option<String>,
    /// The verifier key of a log whose checkpoints are cosigned; may be given more than once
    #[arg(long, value_name = "VKEY")]
    log: Vec<String>,
    /// A file with more of them, one on each line; SIGHUP reads it again
    #[arg(long, env = "ALLOWLOG_WITNESS_TRUST_FILE", value_name = "FILE")]
    trust_file: Option<PathBuf>,
    /// Print telemetry as JSON lines
    #[arg(long, env = "ALLOWLOG_TELEMETRY_JSON", value_parser = clap::builder::BoolishValueParser::new())]
    telemetry_json: bool,
}

impl Witness {
    pub fn run(self) -> Outcome {
        telemetry::start(self.telemetry_json, None)?;
        let runtime = runtime()?;
        let served = runtime.block_on(self.serve());
        runtime.shutdown_timeout(CUT);
        served.map(|()| ExitCode::SUCCESS)
    }

    async fn serve(self) -> Result<(), Box<dyn std::error::Error>> {
        let signals = Signals::catch()?;
        let hangup = signal(SignalKind::hangup())?;
        let socket = TcpListener::bind(self.listen).await.map_err(|e| format!("cannot listen on {}: {e}", self.listen))?;
        let trust = trust(&self.log, self.trust_file.as_deref())?;
        let logs = trust.logs();
        let witness = Arc::new(Cosigner::open(&self.data, self.name.as_deref(), trust, Clock::Wall)?);
        let (url, key) = (format!("http://{}", socket.local_addr()?), witness.verifier_key());
        let version = env!("CARGO_PKG_VERSION");
        say(format_args!("allowlog {version} witnesses {logs} logs on {url}, from {}", self.data.display()))?;
        say(format_args!("\n  verifier key  {key}\n  for a server  --witness '{key} {url}'"))?;
        if logs == 0 {
            tracing::warn!("no log is trusted, so nothing is cosigned; --log and --trust-file name some");
        }
        tokio::spawn(reload(hangup, Arc::clone(&witness), self.log, self.trust_file));
        let listener = Listener { socket, tls: None, limits: Limits::of(CONNECTIONS) };
        until_stopped(listener, witness, signals).await;
        Ok(())
    }
}

/// Serves until a signal, then drains.
async fn until_stopped(listener: Listener, witness: Arc<Cosigner>, mut signals: Signals) {
    let (stop, stopped) = watch::channel(false);
    let server = tokio::spawn(listener.serve(http::witness::router(witness), stopped));
    signals.wait().await;
    tracing::info!("stopping");
    stop.send_replace(true);
    tokio::select! {
        drained = tokio::time::timeout(DRAIN, server) => if drained.is_err() {
            tracing::warn!("connections were still open after {} s and are cut", DRAIN.as_secs());
        },
        () = signals.wait() => tracing::warn!("a second signal: connections that are still open are cut"),
    }
}

/// Reads the file of trusted logs again at every SIGHUP; without one, the signal is merely no reason to end.
async fn reload(mut hangup: Signal, witness: Arc<Cosigner>, keys: Vec<String>, file: Option<PathBuf>) {
    while hangup.recv().await.is_some() {
        match trust(&keys, file.as_deref()) {
            Ok(trust) => {
                let logs = trust.logs();
                witness.trust(trust);
                // Said when it holds: whoever waits for it acts on it.
                tracing::info!(witness.logs = logs, "the trusted logs have been read again");
            }
            Err(error) => tracing::error!(witness.error = error, "the trusted logs stay those before"),
        }
    }
}

/// The logs named on the command line and in the file.
fn trust(keys: &[String], file: Option<&Path>) -> Result<Trust, String> {
    let mut trust = Trust::nobody();
    for key in keys {
        // What a server lists is a line for each key it ever had.
        trust.add_list(key)?;
    }
    if let Some(file) = file {
        let list = std::fs::read_to_string(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
        trust.add_list(&list).map_err(|problem| format!("{}: {problem}", file.display()))?;
    }
    Ok(trust)
}
