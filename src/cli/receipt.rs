//! `allowlog receipt verify`: offline, with the key document and nothing else.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use allowlog_proto::json::Value;
use allowlog_proto::receipt::unwrap_envelope;
use allowlog_proto::verify::{TrustedKeys, verify};
use clap::Subcommand;

use super::{Outcome, complain, say};
use crate::clock::Clock;

/// The receipt is not genuine.
const INVALID: u8 = 1;
/// A file cannot be read, or is no JSON.
const UNREADABLE: u8 = 2;

#[derive(Debug, Subcommand)]
pub enum Receipt {
    /// Check a signed receipt. Exits with 0 if it is genuine, 1 if not, 2 if a file cannot be read
    Verify {
        /// The receipt as JSON, or the answer of GET /v1/receipts/{id} around it
        receipt: PathBuf,
        /// The key document, as from GET /v1/workspaces/{id}/keys
        #[arg(long)]
        keys: PathBuf,
        /// The workspace it must belong to
        #[arg(long)]
        workspace: Option<String>,
    },
}

impl Receipt {
    pub fn run(self) -> Outcome {
        let Self::Verify { receipt, keys, workspace } = self;
        let read = |path: &Path| std::fs::read(path).map_err(|e| format!("cannot read `{}`: {e}", path.display()));
        let parsed = read(&keys).and_then(|bytes| TrustedKeys::parse(&bytes).map_err(|e| format!("`{}`: {e}", keys.display()))).and_then(
            |trusted| {
                let document = Value::parse(&read(&receipt)?).map_err(|e| format!("`{}`: {e}", receipt.display()))?;
                Ok((trusted, unwrap_envelope(document)))
            },
        );
        let (trusted, document) = match parsed {
            Ok(parsed) => parsed,
            Err(problem) => {
                complain(problem);
                return Ok(ExitCode::from(UNREADABLE));
            }
        };
        let field = |name| document.as_object().and_then(|o| o.get(name)).and_then(Value::as_text).unwrap_or("?");
        match verify(&document, &trusted, workspace.as_deref(), Clock::Wall.now()) {
            Ok(()) => {
                say(format_args!(
                    "valid: {} {} ({}) issued {}",
                    field("receipt_id"),
                    field("decision"),
                    field("reason"),
                    field("issued_at")
                ))?;
                Ok(ExitCode::SUCCESS)
            }
            Err(invalid) => {
                say(format_args!("invalid: {}: {invalid}", invalid.code()))?;
                Ok(ExitCode::from(INVALID))
            }
        }
    }
}
