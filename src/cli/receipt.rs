//! `allowlog receipt verify`: offline, with the key document and nothing else.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use allowlog_proto::checkpoint::origin;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::json::Value;
use allowlog_proto::note::{KeyKind, VerifierKey};
use allowlog_proto::proof::{Proof, verify_receipt};
use allowlog_proto::receipt::unwrap_envelope;
use allowlog_proto::verify::{TrustedKeys, verify};
use clap::Subcommand;
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::VerifyingKey;

use super::audit::verifier_key;
use super::{Outcome, complain, plain, say};
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
        /// The proof that it is in the workspace's log, as from GET /v1/receipts/{id}/proof
        #[arg(long, value_name = "FILE")]
        proof: Option<PathBuf>,
        /// A witness that must have cosigned the proof's checkpoint, by its verifier key; may be given several times
        #[arg(long = "witness", value_name = "KEY", requires = "proof", value_parser = verifier_key)]
        witnesses: Vec<VerifierKey>,
        /// How many of them must have
        /// [default: all]
        #[arg(long, value_name = "N", requires = "witnesses")]
        quorum: Option<usize>,
    },
}

impl Receipt {
    pub fn run(self) -> Outcome {
        let Self::Verify { receipt, keys, workspace, proof, witnesses, quorum } = self;
        let read = |path: &Path| std::fs::read(path).map_err(|e| format!("cannot read `{}`: {e}", path.display()));
        let parse = || {
            let bytes = read(&keys)?;
            let trusted = TrustedKeys::parse(&bytes).map_err(|e| format!("`{}`: {e}", keys.display()))?;
            let document = Value::parse(&read(&receipt)?).map_err(|e| format!("`{}`: {e}", receipt.display()))?;
            let proof = proof.as_ref().map(|path| {
                let text = String::from_utf8(read(path)?).map_err(|e| format!("`{}`: {e}", path.display()))?;
                Proof::parse(&text).map_err(|e| format!("`{}`: {e}", path.display()))
            });
            Ok::<_, String>((trusted, log_keys(&bytes), unwrap_envelope(document), proof.transpose()?))
        };
        let (trusted, log_keys, document, proof) = match parse() {
            Ok(parsed) => parsed,
            Err(problem) => {
                complain(problem);
                return Ok(ExitCode::from(UNREADABLE));
            }
        };
        let field = |name| document.as_object().and_then(|o| o.get(name)).and_then(Value::as_text).unwrap_or("?");
        let now = Clock::Wall.now();
        if let Err(invalid) = verify(&document, &trusted, workspace.as_deref(), now) {
            say(plain(&format!("invalid: {}: {invalid}", invalid.code())))?;
            return Ok(ExitCode::from(INVALID));
        }
        let [id, decision, reason, issued_at] = ["receipt_id", "decision", "reason", "issued_at"].map(field);
        let mut verdict = format!("valid: {id} {decision} ({reason}) issued {issued_at}");
        if let Some(proof) = proof {
            let quorum = quorum.unwrap_or(witnesses.len());
            let prove = |log: &VerifierKey| verify_receipt(&document, now, &trusted, &proof, log, &witnesses, quorum);
            // Whichever key of the workspace signed the checkpoint; if none did, the last one says so.
            let signer = log_keys.iter().find(|key| proof.checkpoint.is_signed_by(key)).or(log_keys.last());
            match signer.map(prove) {
                Some(Ok(proved)) => verdict += &format!(", record {} of {} in the log", proved.index, proved.size),
                Some(Err(unproved)) => {
                    say(plain(&format!("invalid: {unproved}")))?;
                    return Ok(ExitCode::from(INVALID));
                }
                None => {
                    say("invalid: the key document names no key of the log")?;
                    return Ok(ExitCode::from(INVALID));
                }
            }
        }
        say(plain(&verdict))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What the checkpoints of a workspace may be signed with: its keys under the name of its log.
fn log_keys(document: &[u8]) -> Vec<VerifierKey> {
    let Ok(document) = Value::parse(document) else { return Vec::new() };
    let member = |object: &Value, name| object.as_object().and_then(|o| o.get(name)).and_then(Value::as_text).map(str::to_owned);
    let Some(origin) = member(&document, "workspace_id").and_then(|id| WorkspaceId::parse(&id)).map(origin) else { return Vec::new() };
    let Some(Value::Array(keys)) = document.as_object().and_then(|o| o.get("keys")) else { return Vec::new() };
    let key = |key: &Value| {
        let bytes = BASE64URL_NOPAD.decode(member(key, "public_key")?.as_bytes()).ok()?;
        VerifierKey::new(&origin, KeyKind::Ed25519, VerifyingKey::from_bytes(&bytes.try_into().ok()?).ok()?).ok()
    };
    keys.iter().filter_map(key).collect()
}
