//! `allowlog audit export|verify`: evidence that is verified with a file, a fingerprint and nothing else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use allowlog_projections::receipts::receipt_hash;
use allowlog_proto::checkpoint::{Checkpoint, origin};
use allowlog_proto::evidence::{Code, Continuity, Fault, Line, Verdict, Verifier};
use allowlog_proto::id::{AuthorizationId, DelegationId, KeyId, WorkspaceId};
use allowlog_proto::limits::EVIDENCE_LINE_BYTES_MAX;
use allowlog_proto::note::{Note, VerifierKey};
use allowlog_proto::time::Timestamp;
use clap::{Args, Subcommand};

use super::client::{Client, workspace_id};
use super::{Outcome, complain, master_key, plain, progress, runtime, say};
use crate::app::App;
use crate::evidence::{Bundle, Request};
use crate::opening::open;

mod story;

/// The evidence proves nothing.
const INVALID: u8 = 1;
/// A file cannot be read.
const UNREADABLE: u8 = 2;

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Write evidence to a file: the story of an authorization, or everything of a workspace
    Export(Export),
    /// Check evidence offline and print its story. Exits with 0 if it holds, 1 if not, 2 if a file cannot be read
    Verify(Verify),
}

#[derive(Debug, Args)]
#[group(id = "what", required = true, multiple = false)]
struct What {
    /// The story of this authorization
    #[arg(long, value_name = "ID", value_parser = authorization_id)]
    authorization: Option<AuthorizationId>,
    /// Everything of this workspace; of a running server that of the API key
    #[arg(long, value_name = "ID", value_parser = workspace_id)]
    workspace: Option<WorkspaceId>,
}

#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    what: What,
    /// Records of this instant or later, as in 2026-11-26T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<Timestamp>,
    /// Records before this instant
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<Timestamp>,
    /// The file to write; `-` is the standard output
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Of a stopped server: its data directory. Without it the running server at --url is asked
    #[arg(long, value_name = "DIR", conflicts_with_all = ["url", "api_key"])]
    data: Option<PathBuf>,
    /// Where the server listens [default: http://127.0.0.1:8700]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A certificate to trust beside those the machine trusts, as PEM; else as in ALLOWLOG_CA_CERT
    #[arg(long, value_name = "PEM", conflicts_with = "data")]
    ca_cert: Option<PathBuf>,
    /// An API key of the workspace; else as in ALLOWLOG_API_KEY
    #[arg(long)]
    api_key: Option<String>,
}

#[derive(Debug, Args)]
pub struct Verify {
    /// The evidence; `-` is the standard input
    evidence: PathBuf,
    /// The id of a signing key you trust, `key_` and 26 characters; it is the key's fingerprint. May be given several times
    #[arg(long = "trust", value_name = "FINGERPRINT", required = true, value_parser = key_id)]
    trusted: Vec<KeyId>,
    /// A witness whose cosignature counts, by its verifier key; may be given several times
    #[arg(long = "witness", value_name = "KEY", value_parser = verifier_key)]
    witnesses: Vec<VerifierKey>,
    /// How many of them must have cosigned
    /// [default: all]
    #[arg(long, value_name = "N", requires = "witnesses")]
    quorum: Option<usize>,
    /// A checkpoint of this workspace that was kept earlier: the evidence must be of the same log
    #[arg(long, value_name = "FILE")]
    earlier: Option<PathBuf>,
    /// Print the verdict alone
    #[arg(long, short)]
    quiet: bool,
}

impl Audit {
    pub fn run(self) -> Outcome {
        match self {
            Self::Export(export) => export.run(),
            Self::Verify(verify) => verify.run(),
        }
    }
}

impl Export {
    fn run(self) -> Outcome {
        if self.output == Path::new("-") {
            self.write(&mut io::stdout().lock())?;
            return Ok(ExitCode::SUCCESS);
        }
        // Whole or not at all.
        let temporary = self.output.with_extension("partial");
        let written = self.write_to(&temporary).and_then(|()| Ok(fs::rename(&temporary, &self.output)?));
        if written.is_err() {
            // The cause is what is told.
            drop(fs::remove_file(&temporary));
        }
        written?;
        let out = self.output.display();
        say(format_args!("`{out}` is written; `allowlog audit verify {out} --trust KEY` checks it"))?;
        Ok(ExitCode::SUCCESS)
    }

    fn write_to(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path);
        let mut file = BufWriter::new(file.map_err(|e| format!("cannot create `{}`: {e}", path.display()))?);
        self.write(&mut file)?;
        file.flush()?;
        Ok(file.get_ref().sync_all()?)
    }

    fn write(&self, out: &mut dyn Write) -> Result<(), Box<dyn std::error::Error>> {
        if let Some(data) = &self.data {
            return self.write_offline(data, out);
        }
        let client = Client::with_api_key(self.url.clone(), self.api_key.clone(), self.ca_cert.clone())?;
        let mut query: Vec<String> = self.what.authorization.iter().map(|id| format!("authorization_id={id}")).collect();
        query.extend(self.from.iter().map(|from| format!("from={from}")));
        query.extend(self.to.iter().map(|to| format!("to={to}")));
        let bar = progress::bytes("fetching");
        let mut whole = Whole { out, lines: 0, expected: None, head: Vec::new(), workspace: self.what.workspace };
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        client.fetch(&format!("v1/evidence{query}"), &mut whole, |bytes| bar.set_position(bytes))?;
        bar.finish_and_clear();
        whole.finish()
    }

    /// From a data directory nobody serves from: its log is opened as a server would, and signs what is not signed yet.
    fn write_offline(&self, data: &Path, out: &mut dyn Write) -> Result<(), Box<dyn std::error::Error>> {
        if !data.join("log").is_dir() {
            return Err(format!("`{}` is not an allowlog data directory", data.display()).into());
        }
        let bar = progress::records("replaying");
        let (_lock, parts) = open(data, None, master_key().as_deref().map(String::as_str), String::new(), false, |n| bar.set_position(n))?;
        bar.finish_and_clear();
        let state = &parts.replayed.state;
        let is_whose = |id| match self.what.authorization {
            Some(authorization) => state.authorization(id, authorization).is_some(),
            None => self.what.workspace == Some(id),
        };
        let found = state.workspaces().find(|(id, _)| is_whose(*id));
        let (workspace_id, workspace) = found.ok_or("there is no such workspace or authorization")?;
        let request = Request {
            workspace_id,
            keys: workspace.signing_keys.clone(),
            authorization_id: self.what.authorization,
            from: self.from,
            to: self.to,
        };
        let store = Arc::clone(&parts.store);
        let (app, mut threads) = App::start(parts)?;
        runtime()?.block_on(threads.first_checkpoints());
        let published = app.checkpoints.latest(workspace_id).ok_or("no checkpoint can be made of it; what was printed says why")?;
        let bundle = Bundle::prepare(Arc::clone(&store), Arc::clone(&app.keyring), &app.checkpoints.tiles, &published, request);
        let bar = progress::records("writing");
        let written = bundle.and_then(|bundle| bundle.write(out, |records| bar.set_position(records)));
        bar.finish_and_clear();
        drop(app);
        threads.join();
        drop(store);
        Ok(written?)
    }
}

/// Passes a bundle on and sees that all of its lines are there.
struct Whole<'o> {
    out: &'o mut dyn Write,
    lines: u64,
    expected: Option<u64>,
    head: Vec<u8>,
    workspace: Option<WorkspaceId>,
}

impl Write for Whole<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.expected.is_none() {
            self.head.extend_from_slice(bytes);
            if let Some(end) = self.head.iter().position(|byte| *byte == b'\n') {
                self.head.truncate(end);
                self.read_head()?;
            }
        }
        self.lines = self.lines.saturating_add(u64::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or(u64::MAX));
        self.out.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Whole<'_> {
    fn read_head(&mut self) -> io::Result<()> {
        let head: serde_json::Value = serde_json::from_slice(&self.head)?;
        let number = |name: &str| head.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
        self.expected = Some(number("end").saturating_sub(number("first")).saturating_add(1));
        let found = head.get("workspace_id").and_then(serde_json::Value::as_str).unwrap_or_default();
        match self.workspace {
            Some(wanted) if wanted.to_string() != found => {
                Err(io::Error::other(format!("the API key is one of workspace `{found}`, not of `{wanted}`")))
            }
            _ => Ok(()),
        }
    }

    fn finish(mut self) -> Result<(), Box<dyn std::error::Error>> {
        self.flush()?;
        if self.expected == Some(self.lines) { Ok(()) } else { Err("the server stopped in the middle of the evidence".into()) }
    }
}

impl Verify {
    fn run(self) -> Outcome {
        let verified = self.open().map_err(Into::into).and_then(|(file, length)| self.verify(file, length));
        match verified {
            Ok(Ok(conclusion)) => {
                say(conclusion)?;
                Ok(ExitCode::SUCCESS)
            }
            Ok(Err(fault)) => {
                let at = fault.index.map(|index| format!(" at record {index}")).unwrap_or_default();
                say(format_args!("INVALID{at}: {} ({})", plain(&fault.sentence), fault.code.as_str()))?;
                Ok(ExitCode::from(INVALID))
            }
            Err(problem) => {
                complain(problem);
                Ok(ExitCode::from(UNREADABLE))
            }
        }
    }

    /// The file, and its length if it has one.
    fn open(&self) -> Result<(Box<dyn io::Read>, Option<u64>), String> {
        if self.evidence == Path::new("-") {
            return Ok((Box::new(io::stdin()), None));
        }
        let file = File::open(&self.evidence).map_err(|e| format!("cannot read `{}`: {e}", self.evidence.display()))?;
        let length = file.metadata().ok().map(|metadata| metadata.len());
        Ok((Box::new(file), length))
    }

    /// What the evidence comes to, in words.
    fn verify(&self, file: Box<dyn io::Read>, length: Option<u64>) -> Result<Result<String, Fault>, Box<dyn std::error::Error>> {
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        let quorum = self.quorum.unwrap_or(self.witnesses.len());
        let unreadable = |error: io::Error| format!("cannot read `{}`: {error}", self.evidence.display());
        read_line(&mut lines, &mut line).map_err(unreadable)?;
        let mut verifier = match Verifier::open(&line, &self.trusted, &self.witnesses, quorum) {
            Ok(verifier) => verifier,
            Err(fault) => return Ok(Err(fault)),
        };
        if let Some(path) = &self.earlier {
            let Checkpoint { size, root, origin: of } = self.earlier(path)?;
            if of != origin(verifier.workspace_id()) {
                return Err(format!("`{}` is a checkpoint of `{of}`, and the evidence is of another log", path.display()).into());
            }
            verifier = verifier.expect_earlier(size, root);
        }
        let bar = progress::checked("verifying", length);
        let mut story = story::Story::new(verifier.authorization_id());
        let (mut bytes, mut last) = (line.len(), None);
        loop {
            read_line(&mut lines, &mut line).map_err(unreadable)?;
            if line.is_empty() {
                break;
            }
            match verifier.record(&line).and_then(says_what_it_records) {
                Ok(record) => {
                    last = Some(record.time);
                    if !self.quiet {
                        bar.suspend(|| story.tell(&record).map_or(Ok(()), say))?;
                    }
                }
                Err(fault) => {
                    bar.finish_and_clear();
                    return Ok(Err(fault));
                }
            }
            bytes = bytes.saturating_add(line.len());
            bar.set_position(u64::try_from(bytes).unwrap_or(u64::MAX));
        }
        bar.finish_and_clear();
        Ok(verifier.finish().and_then(|verdict| compared(&verdict).map(|()| conclusion(&verdict, last))))
    }

    /// The checkpoint that was kept. Who signed it is not asked: it is the caller's own.
    fn earlier(&self, path: &Path) -> Result<Checkpoint, Box<dyn std::error::Error>> {
        let of = |problem: &dyn std::fmt::Display| format!("`{}`: {problem}", path.display());
        let text = fs::read_to_string(path).map_err(|e| of(&e))?;
        let note = Note::parse(&text).map_err(|e| of(&e))?;
        Ok(Checkpoint::parse(&note.text).map_err(|e| of(&e))?)
    }
}

/// Whoever names an earlier checkpoint wants it compared.
fn compared(verdict: &Verdict) -> Result<(), Fault> {
    let Verdict { first, end, size, earlier, .. } = verdict;
    match earlier {
        Continuity::NotAsked | Continuity::Proved => Ok(()),
        Continuity::NotJudged => Err(Fault {
            code: Code::AnotherLog,
            index: None,
            sentence: format!(
                "the earlier checkpoint cannot be compared: its size lies neither within {first} to {end} nor is it {size}, that of this one; \
                 if it is larger, the log was set back or this evidence is older, and if it is smaller, export from further back"
            ),
        }),
    }
}

/// A line with its end, nothing at the end of the file.
fn read_line(from: &mut impl io::BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    // One byte more than a line may have, so that it is seen to be too long.
    let limit = u64::try_from(EVIDENCE_LINE_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    io::Read::take(&mut *from, limit).read_until(b'\n', line)?;
    Ok(())
}

/// What only those can check who know what a receipt says of an event.
fn says_what_it_records(line: Line) -> Result<Line, Fault> {
    match &line.record {
        Some(record) if receipt_hash(record) != record.receipt => Err(Fault {
            code: Code::WrongReceipt,
            index: Some(line.index),
            sentence: "the receipt does not say what the record says".to_owned(),
        }),
        _ => Ok(line),
    }
}

/// What the evidence comes to.
fn conclusion(verdict: &Verdict, last: Option<Timestamp>) -> String {
    let Verdict { workspace_id, authorization_id, first, end, hidden, size, signed_by, cosigned, earlier, begins_with_grant, .. } = verdict;
    let mut text = match (end.checked_sub(1).filter(|_| first < end), authorization_id) {
        (None, _) => format!("VALID: no record of workspace {workspace_id}, before record {first}"),
        (Some(last), None) => format!("VALID: records {first} to {last} of workspace {workspace_id}"),
        (Some(last), Some(id)) => {
            format!("VALID: records {first} to {last} of workspace {workspace_id}, of which {hidden} are not about {id}")
        }
    };
    let records = if *size == 1 { "record" } else { "records" };
    text += &format!("\n  under a checkpoint of {size} {records}, signed by {signed_by}");
    if let Some(last) = last {
        text += &format!("\n  the last of them is of {last}");
    }
    for (witness, seconds) in cosigned {
        let time = Timestamp::from_ms(seconds.saturating_mul(1000)).map(|time| time.to_string()).unwrap_or_default();
        text += &format!("\n  cosigned by {} at {time}", witness.name());
    }
    if *begins_with_grant == Some(false) {
        text += "\n  NOTE: it does not begin with the grant: what came before is not shown";
    }
    if !verdict.reaches_end() {
        text += "\n  NOTE: it ends before the checkpoint does: what came behind is not shown";
    }
    if *earlier == Continuity::Proved {
        text += "\n  it is the log of the earlier checkpoint";
    }
    text
}

fn authorization_id(text: &str) -> Result<AuthorizationId, String> {
    // A delegation is the authorization with the same 26 characters.
    let id = AuthorizationId::parse(text).or_else(|| DelegationId::parse(text).map(AuthorizationId::from));
    id.ok_or_else(|| format!("must be `{}` or `{}` and 26 characters", AuthorizationId::PREFIX, DelegationId::PREFIX))
}

fn key_id(text: &str) -> Result<KeyId, String> {
    KeyId::parse(text).ok_or_else(|| format!("must be `{}` and 26 characters", KeyId::PREFIX))
}

pub(super) fn verifier_key(text: &str) -> Result<VerifierKey, String> {
    VerifierKey::parse(text).map_err(|e| e.to_string())
}

fn instant(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|e| e.to_string())
}
