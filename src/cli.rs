//! The command line; every command is a file. What an operator sets once has a twin in the environment.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use allowlog_proto::event::Plan;
use clap::{Args, Parser, Subcommand};
use zeroize::Zeroizing;

use crate::hardening;

mod admin_token;
mod api_key;
mod audit;
mod backup;
mod client;
mod init;
mod log;
mod progress;
mod receipt;
mod replay;
mod restore;
mod serve;
mod signing_key;
mod witness;
mod workspace;

/// Self-hosted authorization server for AI agents: decisions on a hash-chained log, with receipts anyone can verify.
#[derive(Debug, Parser)]
#[command(name = "allowlog", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server; an empty data directory is initialised first
    Serve(serve::Serve),
    /// Initialise a data directory without running the server
    Init(init::Init),
    /// Workspaces of a running server
    #[command(subcommand)]
    Workspace(workspace::Workspace),
    /// API keys of a running server
    #[command(subcommand)]
    ApiKey(api_key::ApiKey),
    /// The operator's token of a stopped server
    #[command(subcommand)]
    AdminToken(admin_token::Token),
    /// Signing keys of a running server
    #[command(subcommand)]
    SigningKey(signing_key::SigningKey),
    /// Check or print the log of a stopped server
    #[command(subcommand)]
    Log(log::Log),
    /// Rebuild the state of a stopped server from its log, and nothing else
    Replay(replay::Replay),
    /// Write the whole log and the sealed signing keys to one file, of a running server or of a stopped one
    Backup(backup::Backup),
    /// Make a data directory from a backup, or from an archive and the journal that is left; verified before it is accepted
    Restore(restore::Restore),
    /// Evidence that needs no trust in whoever runs the server
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Check receipts offline
    #[command(subcommand)]
    Receipt(receipt::Receipt),
    /// Run a witness, which cosigns the checkpoints of logs as long as they only grow
    Witness(witness::Witness),
}

/// The data directory.
#[derive(Debug, Args)]
struct DataArgument {
    /// Data directory
    #[arg(long = "data", env = "ALLOWLOG_DATA", default_value = "./allowlog-data", value_name = "DIR")]
    path: PathBuf,
}

/// The master key, from the environment alone: what stands on a command line is seen by everybody on the machine.
fn master_key() -> Option<Zeroizing<String>> {
    std::env::var("ALLOWLOG_MASTER_KEY").ok().map(Zeroizing::new)
}

/// A plan, as it is spelt on the wire.
fn plan(text: &str) -> Result<Plan, &'static str> {
    Plan::parse(text).ok_or("must be `free`, `starter`, `pro` or `enterprise`")
}

/// What a command comes to: an error is printed behind the name of the program.
type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// Runs the command.
pub fn run(arguments: Arguments) -> ExitCode {
    crate::http::tls::install();
    if let Err(error) = hardening::keep_memory_private() {
        complain(format_args!("the memory of this process cannot be kept private: {error}"));
    }
    let outcome = match arguments.command {
        Command::Serve(serve) => serve.run(),
        Command::Init(init) => init.run(),
        Command::Workspace(workspace) => workspace.run(),
        Command::ApiKey(api_key) => api_key.run(),
        Command::AdminToken(token) => token.run(),
        Command::SigningKey(signing_key) => signing_key.run(),
        Command::Log(log) => log.run(),
        Command::Replay(replay) => replay.run(),
        Command::Backup(backup) => backup.run(),
        Command::Restore(restore) => restore.run(),
        Command::Audit(audit) => audit.run(),
        Command::Receipt(receipt) => receipt.run(),
        Command::Witness(witness) => witness.run(),
    };
    outcome.unwrap_or_else(|error| {
        complain(&*error);
        ExitCode::FAILURE
    })
}

/// Prints what went wrong; where that is not possible the exit code alone says it.
fn complain(problem: impl Display) {
    let _ = writeln!(io::stderr(), "allowlog: {problem}");
}

/// Prints a line. A reader that has seen enough, like `head`, closes the pipe: that is no failure.
fn say(line: impl Display) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{line}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// A text of a stranger's, as it may be shown: nothing in it steers a terminal, breaks a line or turns its direction.
fn plain(text: &str) -> String {
    let steers = |c: char| {
        c.is_control() || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// A runtime for the commands that need one.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    // Answers come from the writer's thread, by way of the global queue. Whoever is answered goes before whoever only begins
    // to ask: with 1024 clients at once that halves the wait of those who are let in.
    tokio::runtime::Builder::new_multi_thread().global_queue_interval(2).enable_all().build()
}
