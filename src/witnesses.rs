//! The witnesses a server asks to cosign its checkpoints, and what comes of asking them: the client of C2SP tlog-witness.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};
use std::time::Duration;

use allowlog_proto::chain::Hash;
use allowlog_proto::note::{KeyKind, Note, NoteSignature, VerifierKey};
use allowlog_proto::sha256::sha256;
use allowlog_proto::witness::AddCheckpoint;
use data_encoding::HEXLOWER;
use reqwest::{Client, StatusCode, Url, header};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::telemetry;

/// For connecting, and for each answer as a whole.
const TIMEOUT: Duration = Duration::from_secs(2);
/// For everything about one checkpoint, waiting for the one before included: so not more than a few can pile up.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(5);
/// What those who have not answered are given once the quorum is there.
const GRACE: Duration = Duration::from_millis(50);
/// Of an answer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Where checkpoints are submitted.
const ADD_CHECKPOINT: &str = "/add-checkpoint";
/// The media type of a size that is held.
const SIZE: &str = "text/x.tlog.size";

/// One witness, as the operator names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// What its cosignatures verify with.
    pub key: VerifierKey,
    /// Where it is, without a slash at the end; `/add-checkpoint` comes behind it.
    pub url: String,
}

/// All witnesses, and how many of them must cosign.
pub struct Witnesses {
    witnesses: Vec<Arc<Known>>,
    quorum: usize,
}

/// Witnesses that cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum WitnessesError {
    /// More must cosign than there are.
    #[error("{quorum} witnesses must cosign, and there are {witnesses}")]
    Quorum {
        /// How many must.
        quorum: usize,
        /// How many there are.
        witnesses: usize,
    },
    /// One must not count as two.
    #[error("the witnesses `{0}` and `{1}` have the same name or the same key")]
    Twice(String, String),
    /// No connection could be made.
    #[error("there is no client for the witnesses: {0}")]
    Client(#[from] reqwest::Error),
}

/// What came of asking all witnesses to cosign one checkpoint. Who had not answered when the quorum was there is in none of
/// the lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Of each witness that cosigned one that verifies.
    pub cosignatures: Vec<NoteSignature>,
    /// Witnesses that hold a larger tree of this log, and its size.
    pub behind: Vec<(String, u64)>,
    /// Witnesses that hold another tree of this log, which this one did not grow from.
    pub forked: Vec<String>,
    /// Witnesses that could not be asked or did not answer as a witness does, and why.
    pub unreachable: Vec<(String, String)>,
}

/// A witness, and what is known of it.
struct Known {
    key: VerifierKey,
    url: String,
    http: Client,
    /// By origin. What is asked of it about one log is asked in order.
    standings: Lock<BTreeMap<String, Arc<Mutex<Standing>>>>,
    /// Whether the telemetry says already that it cannot be reached.
    is_missed: AtomicBool,
}

/// How a witness stands to one log.
#[derive(Default)]
struct Standing {
    /// The size it held when it last answered; nothing as long as it never did.
    held: u64,
    /// Whether the telemetry says already that it holds something else.
    is_at_odds: bool,
}

/// What one witness comes to.
enum Verdict {
    Cosigned(NoteSignature),
    Behind(u64),
    Forked,
    Unreachable(String),
}

/// What one request comes to, if it was answered as a witness answers.
enum Answer {
    Cosigned(NoteSignature),
    Held(u64),
    Inconsistent,
}

impl Witness {
    /// Reads `<verifier key> <URL>`, as in a witness policy: `witness.example.com+0123abcd+BA... https://witness.example.com`.
    ///
    /// # Errors
    /// Says what is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (key, url) = text.trim().split_once(' ').ok_or("must be a verifier key, a space and a URL")?;
        let key = VerifierKey::parse(key).map_err(|e| format!("`{key}` is no verifier key: {e}"))?;
        match key.kind() {
            KeyKind::Ed25519 => return Err(format!("`{key}` is the key of a log, not of a witness")),
            KeyKind::Cosignature => {}
        }
        let url = url.trim().trim_end_matches('/');
        let parsed = Url::parse(url).map_err(|e| format!("`{url}` is no URL: {e}"))?;
        let is_plain = parsed.has_host() && parsed.query().is_none() && parsed.fragment().is_none();
        if !is_plain || !["http", "https"].contains(&parsed.scheme()) {
            return Err(format!("`{url}` is not an absolute http or https URL without a query"));
        }
        Ok(Self { key, url: url.to_owned() })
    }
}

impl Witnesses {
    /// These, of which so many must cosign.
    ///
    /// # Errors
    /// If they are too few, or two of them are one.
    pub fn new(witnesses: Vec<Witness>, quorum: usize) -> Result<Self, WitnessesError> {
        if quorum > witnesses.len() {
            return Err(WitnessesError::Quorum { quorum, witnesses: witnesses.len() });
        }
        for (place, one) in witnesses.iter().enumerate() {
            let is_same = |other: &&Witness| other.key.name() == one.key.name() || other.key.key() == one.key.key();
            if let Some(other) = witnesses.iter().skip(place + 1).find(is_same) {
                return Err(WitnessesError::Twice(one.key.name().to_owned(), other.key.name().to_owned()));
            }
        }
        let client = Client::builder().connect_timeout(TIMEOUT).timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        // Over plain HTTP there is nothing to trust, and a machine that trusts nobody is no reason to fail.
        let is_plain = witnesses.iter().all(|witness| witness.url.starts_with("http://"));
        let http = if is_plain { client.tls_certs_only([]) } else { client }.build()?;
        let known = |Witness { key, url }| Known::new(key, &url, http.clone());
        Ok(Self { witnesses: witnesses.into_iter().map(|witness| Arc::new(known(witness))).collect(), quorum })
    }

    /// How many must cosign.
    pub const fn quorum(&self) -> usize {
        self.quorum
    }

    /// Whether so many speak against a checkpoint that the others are too few for the quorum.
    pub const fn is_lost_with(&self, against: usize) -> bool {
        self.witnesses.len().saturating_sub(against) < self.quorum
    }

    /// What a witness cosigned last for a log, with the signatures, if it is one that tells: what it merely claims may be a lie.
    pub async fn last_cosigned(&self, witness: &str, origin: &str) -> Option<Note> {
        let known = self.witnesses.iter().find(|known| known.key.name() == witness)?;
        let place = known.url.strip_suffix(ADD_CHECKPOINT)?;
        let url = format!("{place}/{}/checkpoint", HEXLOWER.encode(&sha256(&[origin.as_bytes()])));
        let answer = known.http.get(url).send().await.ok().filter(|answer| answer.status().is_success())?;
        Note::parse(&read(answer).await.ok()?).ok()
    }

    /// Whether so many have.
    pub fn is_met_by(&self, collected: &Collected) -> bool {
        collected.cosignatures.len() >= self.quorum
    }

    /// Asks all witnesses at once to cosign a checkpoint of a tree of this size; `proof` leads from a smaller size to it. Returns when
    /// all have answered, or shortly after the quorum is there; the others are not interrupted, so that it stays known what
    /// they hold.
    pub async fn collect<E: Display>(
        &self,
        checkpoint: &Note,
        size: u64,
        proof: impl Fn(u64) -> Result<Vec<Hash>, E> + Send + Sync + 'static,
    ) -> Collected {
        let submission = Arc::new(Submission::new(checkpoint, size, proof));
        let mut asked = JoinSet::new();
        for witness in &self.witnesses {
            asked.spawn(Arc::clone(witness).ask(Arc::clone(&submission)));
        }
        let mut collected = Collected::default();
        while !self.is_met_by(&collected) {
            let Some(answered) = asked.join_next().await else { break };
            collected.extend(answered.ok());
        }
        let rest = async {
            while let Some(answered) = asked.join_next().await {
                collected.extend(answered.ok());
            }
        };
        // The time is up, or all have answered: both are an end.
        let _ = tokio::time::timeout(GRACE, rest).await;
        asked.detach_all();
        collected
    }
}

impl Collected {
    fn extend(&mut self, answered: Option<(String, Verdict)>) {
        let Some((name, verdict)) = answered else { return };
        match verdict {
            Verdict::Cosigned(cosignature) => self.cosignatures.push(cosignature),
            Verdict::Behind(held) => self.behind.push((name, held)),
            Verdict::Forked => self.forked.push(name),
            Verdict::Unreachable(reason) => self.unreachable.push((name, reason)),
        }
    }
}

/// A checkpoint on its way to every witness.
struct Submission {
    origin: String,
    size: u64,
    checkpoint: Note,
    proof: Box<dyn Fn(u64) -> Result<Vec<Hash>, String> + Send + Sync>,
}

impl Submission {
    fn new<E: Display>(checkpoint: &Note, size: u64, proof: impl Fn(u64) -> Result<Vec<Hash>, E> + Send + Sync + 'static) -> Self {
        let origin = checkpoint.text.lines().next().unwrap_or_default().to_owned();
        // Cosignatures of others are of no use to a witness.
        let checkpoint = checkpoint.clone();
        let proof = Box::new(move |old| proof(old).map_err(|e| e.to_string()));
        Self { origin, size, checkpoint, proof }
    }

    /// The body of the request to somebody who holds `old`.
    fn from(&self, old: u64) -> Result<String, String> {
        // Nothing leads from no tree, and nothing to the same one.
        let proof = if old == 0 || old == self.size { Vec::new() } else { (self.proof)(old)? };
        Ok(AddCheckpoint { old, proof, checkpoint: self.checkpoint.clone() }.to_string())
    }
}

impl Known {
    fn new(key: VerifierKey, url: &str, http: Client) -> Self {
        let url = format!("{}{ADD_CHECKPOINT}", url.trim_end_matches('/'));
        Self { key, url, http, standings: Lock::default(), is_missed: AtomicBool::new(false) }
    }

    async fn ask(self: Arc<Self>, submission: Arc<Submission>) -> (String, Verdict) {
        let asked = tokio::time::timeout(WHOLE_TIMEOUT, async {
            let mut standing = self.standing(&submission.origin).lock_owned().await;
            let verdict = self.submit(&submission, &mut standing.held).await.unwrap_or_else(Verdict::Unreachable);
            self.tell(&submission, &verdict, &mut standing.is_at_odds);
            verdict
        });
        let verdict = asked.await.unwrap_or_else(|_| Verdict::Unreachable("it takes too long".to_owned()));
        (self.key.name().to_owned(), verdict)
    }

    /// Submits from the size that it is thought to hold, and once more from the size that it says it holds.
    async fn submit(&self, submission: &Arc<Submission>, held: &mut u64) -> Result<Verdict, String> {
        let size = submission.size;
        let mut old = size.min(*held);
        for is_last in [false, true] {
            match self.post(submission, old).await? {
                Answer::Cosigned(cosignature) => {
                    *held = size;
                    return Ok(Verdict::Cosigned(cosignature));
                }
                Answer::Inconsistent => return Ok(Verdict::Forked),
                Answer::Held(larger) if larger > size => {
                    *held = larger;
                    return Ok(Verdict::Behind(larger));
                }
                Answer::Held(same) if same == size && old == size => return Ok(Verdict::Forked),
                Answer::Held(same) if same == old => {
                    return Err(format!("it refuses what begins at size {old} and says that it holds just that"));
                }
                Answer::Held(other) if is_last => return Err(format!("it held {old} a moment ago, and now {other}")),
                Answer::Held(other) => {
                    *held = other;
                    old = other;
                }
            }
        }
        Err("it cannot be told what it holds".to_owned())
    }

    async fn post(&self, submission: &Arc<Submission>, old: u64) -> Result<Answer, String> {
        let made = Arc::clone(submission);
        // A proof may have to be read from a disk.
        let body = telemetry::blocking(move || made.from(old)).await.map_err(|e| e.to_string())?;
        let body = body.map_err(|e| format!("there is no proof from size {old}: {e}"))?;
        let answer = self.http.post(&self.url).body(body).send().await.map_err(|e| innermost(&e))?;
        let (status, media_type) = (answer.status(), answer.headers().get(header::CONTENT_TYPE).cloned());
        let text = read(answer).await?;
        match status {
            StatusCode::OK => {
                let cosignature = self.cosignature(submission, &text);
                cosignature.map(Answer::Cosigned).ok_or_else(|| "its answer holds no cosignature that verifies with its key".to_owned())
            }
            StatusCode::CONFLICT if media_type.is_some_and(|media_type| media_type.as_bytes() == SIZE.as_bytes()) => {
                let size = text.strip_suffix('\n').unwrap_or(&text);
                size.parse().map(Answer::Held).map_err(|_| "the size it says it holds is no number".to_owned())
            }
            StatusCode::UNPROCESSABLE_ENTITY => Ok(Answer::Inconsistent),
            status => Err(format!("it answered {status}: {}", text.lines().next().unwrap_or_default())),
        }
    }

    /// The first of the lines that is this witness's cosignature of the checkpoint.
    fn cosignature(&self, submission: &Submission, lines: &str) -> Option<NoteSignature> {
        let signatures = lines.lines().filter_map(|line| NoteSignature::parse(line).ok());
        signatures.into_iter().find(|signature| {
            let cosigned = Note { text: submission.checkpoint.text.clone(), signatures: vec![signature.clone()] };
            cosigned.cosigned_at(&self.key).is_some()
        })
    }

    fn standing(&self, origin: &str) -> Arc<Mutex<Standing>> {
        let mut standings = self.standings.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(standings.entry(origin.to_owned()).or_default())
    }

    /// Each thing once, until it is over.
    fn tell(&self, submission: &Submission, verdict: &Verdict, is_at_odds: &mut bool) {
        let (witness, origin, size) = (self.key.name(), submission.origin.as_str(), submission.size);
        let is_missed = matches!(verdict, Verdict::Unreachable(_));
        let was_missed = self.is_missed.swap(is_missed, Ordering::Relaxed);
        match verdict {
            Verdict::Cosigned(_) => *is_at_odds = false,
            Verdict::Behind(held) if !std::mem::replace(is_at_odds, true) => tracing::error!(
                witness.name = witness,
                witness.held = held,
                log.origin = origin,
                log.size = size,
                "a witness has cosigned a larger tree of this log than is here"
            ),
            Verdict::Forked if !std::mem::replace(is_at_odds, true) => tracing::error!(
                witness.name = witness,
                log.origin = origin,
                log.size = size,
                "a witness has cosigned a tree of this log that the one here did not grow from"
            ),
            Verdict::Behind(_) | Verdict::Forked => {}
            Verdict::Unreachable(_) if was_missed => {}
            Verdict::Unreachable(reason) => tracing::warn!(witness.name = witness, witness.reason = reason, "a witness does not cosign"),
        }
        if was_missed && !is_missed {
            tracing::info!(witness.name = witness, "a witness answers again");
        }
    }
}

/// An answer's text, if it is one and not too long.
async fn read(mut answer: reqwest::Response) -> Result<String, String> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|e| innermost(&e))? {
        if bytes.len().saturating_add(piece.len()) > ANSWER_BYTES_MAX {
            return Err(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes"));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| "its answer is no text".to_owned())
}

/// The cause at the bottom of an error: the library's own text stops at the first.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
