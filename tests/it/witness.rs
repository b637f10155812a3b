//! `allowlog witness` in process: what it cosigns, what it refuses and how, and what it keeps.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use allowlog::clock::{Clock, Stopwatch};
use allowlog::data_dir::DataDirError;
use allowlog::http;
use allowlog::witness::held::hash;
use allowlog::witness::trust::Trust;
use allowlog::witness::{Witness, WitnessError};
use allowlog_proto::note::{Note, NoteSignature};
use allowlog_proto::time::Timestamp;
use allowlog_proto::witness::AddCheckpoint;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use tempfile::TempDir;
use tower::ServiceExt as _;

use self::log::{Log, ORIGIN};
use crate::harness::START;

mod client;
pub mod log;
mod split_view;

/// A witness with its directory, and how it is asked.
struct Desk {
    directory: TempDir,
    witness: Arc<Witness>,
    router: Router,
}

/// Status, media type and body.
type Answer = (u16, String, String);

impl Desk {
    fn open(name: &str, logs: &[&Log]) -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), Some(name), logs)
    }

    fn open_in(directory: TempDir, name: Option<&str>, logs: &[&Log]) -> Self {
        let witness = Arc::new(open(directory.path(), name, logs).unwrap());
        Self { directory, router: http::witness::router(Arc::clone(&witness)), witness }
    }

    /// The same directory, opened again.
    fn reopen(self, logs: &[&Log]) -> Self {
        let Self { directory, witness, router } = self;
        drop((witness, router));
        Self::open_in(directory, None, logs)
    }

    async fn add(&self, body: impl Into<Body>) -> Answer {
        self.send(Request::post("/add-checkpoint").body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        (parts.status.as_u16(), parts.headers["content-type"].to_str().unwrap().to_owned(), text)
    }

    /// Adds what must be cosigned; the seconds it says.
    async fn cosigned(&self, log: &Log, old: u64) -> u64 {
        let (status, _, lines) = self.add(log.request(old)).await;
        assert_eq!(status, 200, "{lines}");
        self.verified(&log.checkpoint().text, &lines)
    }

    fn verified(&self, text: &str, lines: &str) -> u64 {
        let [line] = lines.lines().collect::<Vec<_>>()[..] else { panic!("one line: {lines:?}") };
        assert!(lines.ends_with('\n'));
        let cosigned = Note { text: text.to_owned(), signatures: vec![NoteSignature::parse(line).unwrap()] };
        cosigned.cosigned_at(self.witness.verifier_key()).expect("the cosignature verifies")
    }

    fn file(&self, log: &Log) -> std::path::PathBuf {
        let name = data_encoding::HEXLOWER.encode(&hash(log.verifier_key.name()));
        self.directory.path().join("logs").join(name)
    }
}

fn clock() -> Clock {
    Clock::standing_at(Timestamp::parse(START).unwrap())
}

fn trusting(logs: &[&Log]) -> Trust {
    let mut trust = Trust::nobody();
    logs.iter().for_each(|log| trust.add(&log.verifier_key.to_string()).unwrap());
    trust
}

/// A process that another test is just starting has this one's descriptors, and so its locks, until it is another program.
fn open(path: &Path, name: Option<&str>, logs: &[&Log]) -> Result<Witness, WitnessError> {
    let waiting = Stopwatch::start();
    loop {
        match Witness::open(path, name, trusting(logs), clock()) {
            Err(WitnessError::DataDir(DataDirError::InUse(_))) if waiting.seconds() < 20.0 => std::thread::yield_now(),
            opened => return opened,
        }
    }
}

fn refusal(path: &Path, name: Option<&str>) -> String {
    open(path, name, &[]).err().expect("refused").to_string()
}

fn held(size: u64) -> Answer {
    (409, "text/x.tlog.size".to_owned(), format!("{size}\n"))
}

#[tokio::test]
async fn growth_is_cosigned_and_nothing_else() {
    let log = Log::new(ORIGIN, 1).grown(100, 0);
    let desk = Desk::open("witness.example/w1", &[&log]);
    assert_eq!(desk.cosigned(&log.clone().cut(0), 0).await, Timestamp::parse(START).unwrap().as_ms() / 1000);
    let mut before = 0;
    for size in [1, 2, 3, 7, 8, 9, 64, 99] {
        desk.cosigned(&log.clone().cut(size), before).await;
        before = size.try_into().unwrap();
        // The answer may have been lost: it is given again.
        desk.cosigned(&log.clone().cut(size), before).await;
    }
    // Whoever is wrong about what it holds is told.
    for old in [0, 98, 100] {
        assert_eq!(desk.add(log.request(old)).await, held(99), "{old}");
    }
    assert_eq!(desk.add(log.clone().cut(98).request(98)).await, held(99), "what is smaller is not cosigned again");
    // Of the same size another tree; a larger one that did not grow from it; one that did, with other proofs.
    let fork = log.clone().cut(80).grown(30, 1);
    assert_eq!(desk.add(fork.clone().cut(99).request(99)).await, held(99));
    assert_eq!(desk.add(fork.request(99)).await.0, 422);
    let mut right = AddCheckpoint::parse(&log.request(99)).unwrap();
    let wrong: [&dyn Fn(&mut AddCheckpoint); 4] =
        [&|request| request.proof.clear(), &|request| request.proof.truncate(1), &|request| request.proof.push(log.root()), &|request| {
            request.proof[0].0[31] ^= 1
        }];
    for change in wrong {
        let mut request = right.clone();
        change(&mut request);
        assert_eq!(desk.add(request.to_string()).await.0, 422, "{request:?}");
    }
    // A note's other signatures mean nothing, and the answer is about the text with all its lines.
    right.checkpoint.signatures.insert(0, NoteSignature { name: "somebody".into(), key_id: [1; 4], bytes: vec![7; 64] });
    assert_eq!(desk.add(right.to_string()).await.0, 200);
    let longer = log.clone().grown(1, 0);
    let noted = longer.signed(format!("{}a line of its own\n", longer.checkpoint().text));
    let request = AddCheckpoint { old: 100, proof: longer.proof(100), checkpoint: noted.clone() };
    let (status, media_type, lines) = desk.add(request.to_string()).await;
    assert_eq!((status, &*media_type), (200, "text/plain; charset=utf-8"));
    desk.verified(&noted.text, &lines);
}

#[tokio::test]
async fn the_first_checkpoint_has_no_proof() {
    let log = Log::new(ORIGIN, 1).grown(5, 0);
    let desk = Desk::open("w", &[&log]);
    let with_proof = AddCheckpoint { old: 0, proof: log.proof(3), checkpoint: log.checkpoint() };
    assert_eq!(desk.add(with_proof.to_string()).await.0, 422);
    assert_eq!(desk.add(log.request(3)).await, held(0));
    let text = format!("{ORIGIN}\n0\n{}\n", log.checkpoint().text.lines().nth(2).unwrap());
    let empty = AddCheckpoint { old: 0, proof: Vec::new(), checkpoint: log.signed(text) };
    assert_eq!(desk.add(empty.to_string()).await, held(0), "there is one tree without leaves");
    desk.cosigned(&log, 0).await;
}

#[tokio::test]
async fn who_is_not_understood_or_not_trusted_is_told_so() {
    let log = Log::new(ORIGIN, 1).grown(5, 0);
    let desk = Desk::open("w", &[&log]);
    let good = log.request(0);
    for bad in [
        String::new(),
        "old".to_owned(),
        good.replacen("old 0", "old 00", 1),
        good.replacen("old 0", "old -1", 1),
        good.replacen("old 0", "old 6", 1),
        good.replacen("old 0\n", &format!("old 0\n{}", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n".repeat(64)), 1),
        good.replacen("\n5\n", "\n05\n", 1),
        good.replacen("\n5\n", "\nfive\n", 1),
        good.replace("\n\n—", "\n—"),
        good.trim_end().to_owned(),
    ] {
        assert_eq!(desk.add(bad.clone()).await.0, 400, "{bad}");
    }
    assert_eq!(desk.add(vec![0xff; 10]).await.0, 400);
    assert_eq!(desk.add(vec![b'a'; 200_000]).await.0, 413);
    let stranger = Log::new("somebody/else", 1).grown(5, 0);
    assert_eq!(desk.add(stranger.request(0)).await.0, 404);
    let other_key = Log::new(ORIGIN, 2).grown(5, 0);
    assert_eq!(desk.add(other_key.request(0)).await.0, 403);
    let altered = good.replacen("\n5\n", "\n6\n", 1);
    assert_eq!(desk.add(altered).await.0, 403, "a signature of another text");
    // The right key under a wrong name or id, and a witness's key, are none.
    let mut renamed = AddCheckpoint::parse(&good).unwrap();
    renamed.checkpoint.signatures[0].name = "other".into();
    assert_eq!(desk.add(renamed.to_string()).await.0, 403);
    assert!(Trust::nobody().add(&desk.witness.verifier_key().to_string()).unwrap_err().contains("of a witness"));
    assert_eq!(desk.get("/add-checkpoint").await.0, 405);
    assert_eq!(desk.get("/healthz").await.2, "ok\n");
    // After all of this it still stands where it began.
    desk.cosigned(&log, 0).await;
}

#[tokio::test]
async fn a_log_may_have_several_keys_and_lose_them_again() {
    let log = Log::new(ORIGIN, 1).grown(9, 0);
    let next = Log { leaves: log.leaves.clone(), ..Log::new(ORIGIN, 2) };
    let desk = Desk::open("w", &[&log, &next]);
    desk.cosigned(&log.clone().cut(3), 0).await;
    desk.cosigned(&next.clone().cut(5), 3).await;
    desk.witness.trust(trusting(&[&next]));
    assert_eq!(desk.add(log.request(5)).await.0, 403);
    desk.witness.trust(Trust::nobody());
    assert_eq!(desk.add(next.request(5)).await.0, 404);
    // What it holds it holds, whoever is trusted.
    let desk = desk.reopen(&[]);
    desk.witness.trust(trusting(&[&log]));
    assert_eq!(desk.add(log.request(0)).await, held(5));
    desk.cosigned(&log, 5).await;
    let mut trust = Trust::nobody();
    trust.add_list(&format!("# logs\n\n  {}  \r\n{}\n", log.verifier_key, next.verifier_key)).unwrap();
    assert_eq!((trust.logs(), trust.keys_of(ORIGIN).unwrap().len()), (1, 2));
    assert!(trust.add_list("# one\nallowlog").unwrap_err().starts_with("line 2: "));
}

#[tokio::test]
async fn what_was_cosigned_last_can_be_compared() {
    let log = Log::new(ORIGIN, 1).grown(9, 0);
    let other = Log::new("other", 3).grown(4, 0);
    let desk = Desk::open("w", &[&log, &other]);
    let path = |origin: &str| format!("/{}/checkpoint", data_encoding::HEXLOWER.encode(&hash(origin)));
    assert_eq!(desk.get(&path(ORIGIN)).await.0, 404);
    desk.cosigned(&log.clone().cut(6), 0).await;
    desk.cosigned(&log, 6).await;
    desk.cosigned(&other, 0).await;
    for desk in [desk.reopen(&[])] {
        let (status, _, note) = desk.get(&path(ORIGIN)).await;
        let note = Note::parse(&note).unwrap();
        assert_eq!((status, &note.text), (200, &log.checkpoint().text));
        assert!(note.is_signed_by(&log.verifier_key) && note.cosigned_at(desk.witness.verifier_key()).is_some());
        assert!(desk.get(&path("other")).await.2.starts_with("other\n4\n"));
        for unknown in [path("nobody"), path(ORIGIN).to_uppercase(), "/abc/checkpoint".to_owned(), "/%ff/checkpoint".to_owned()] {
            assert_eq!(desk.get(&unknown).await.0, 404, "{unknown}");
        }
    }
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let log = Log::new(ORIGIN, 1).grown(50, 0);
    let mut desk = Desk::open("witness.example/w1", &[&log]);
    let key = desk.witness.verifier_key().clone();
    let mut before = 0;
    for size in [4, 10, 33] {
        desk.cosigned(&log.clone().cut(size), before).await;
        before = size.try_into().unwrap();
        desk = desk.reopen(&[&log]);
        assert_eq!(desk.witness.verifier_key(), &key);
        assert_eq!(desk.add(log.request(0)).await, held(before));
    }
    let second = Witness::open(desk.directory.path(), None, Trust::nobody(), clock()).err().expect("one is enough");
    assert!(second.to_string().contains("is in use by another allowlog process"), "{second}");
    let Desk { directory, witness, router } = desk;
    drop((witness, router));
    let path = directory.path();
    assert!(refusal(path, Some("w2")).contains("is called `witness.example/w1`"));
    drop(open(path, Some("witness.example/w1"), &[]).unwrap());
}

#[test]
fn a_new_witness_is_its_owners_alone_and_has_a_name() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("witness");
    assert!(refusal(&path, None).contains("has no name yet"));
    for name in ["", "two words", "a+b"] {
        assert!(refusal(&path, Some(name)).starts_with(&format!("no witness can be called `{name}`")));
    }
    assert!(!path.join("key").exists());
    drop(open(&path, Some("w"), &[]).unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("key")), mode(&path.join("logs"))), (0o700, 0o600, 0o700));
    fs::set_permissions(path.join("key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refusal(&path, None).contains("others can read it"));
}

#[tokio::test]
async fn memory_that_cannot_be_trusted_stops_it() {
    let log = Log::new(ORIGIN, 1).grown(50, 0);
    let desk = Desk::open("w", &[&log]);
    desk.cosigned(&log.clone().cut(20), 0).await;
    let early = fs::read_to_string(desk.file(&log)).unwrap();
    desk.cosigned(&log, 20).await;
    let (file, key) = (desk.file(&log), desk.directory.path().join("key"));
    let (note, secret) = (fs::read_to_string(&file).unwrap(), fs::read_to_string(&key).unwrap());
    let Desk { directory, witness, router } = desk;
    drop((witness, router));
    let path = directory.path();
    // Bytes that were not written like this; a file in the place of another; another key.
    let signature = note.lines().last().unwrap();
    for damaged in
        ["", &note[..note.len() - 1], &note.replace("\n50\n", "\n51\n"), &note.replace(signature, ""), &early.replace("\n20\n", "\n0\n")]
    {
        fs::write(&file, damaged).unwrap();
        assert!(refusal(path, None).contains("a witness that forgets is none"), "{damaged}");
    }
    fs::write(&file, &note).unwrap();
    let elsewhere = file.with_file_name("0".repeat(64));
    fs::rename(&file, &elsewhere).unwrap();
    assert!(refusal(path, None).contains("whose name is another"));
    fs::rename(&elsewhere, &file).unwrap();
    fs::write(&key, format!("w+{}\n", "7".repeat(64))).unwrap();
    assert!(refusal(path, None).contains("`w` has not cosigned it"));
    for no_key in ["w".repeat(80), format!("w+{}", "x".repeat(64)), format!("w+{}", "7".repeat(62))] {
        fs::write(&key, no_key).unwrap();
        assert!(refusal(path, None).contains("holds no witness's key"));
    }
    fs::remove_file(&key).unwrap();
    assert!(refusal(path, Some("w")).contains("is missing, and checkpoints beside it"));
    fs::write(&key, secret).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    // What a crash leaves of a write is no memory.
    fs::write(file.with_extension("new"), &note[..30]).unwrap();
    let desk = Desk::open_in(directory, None, &[&log]);
    assert_eq!(desk.add(log.request(0)).await, held(50));
    assert!(!file.with_extension("new").exists());
}

#[tokio::test]
async fn what_cannot_be_kept_is_not_cosigned() {
    let log = Log::new(ORIGIN, 1).grown(50, 0);
    let desk = Desk::open("w", &[&log]);
    desk.cosigned(&log.clone().cut(20), 0).await;
    let (logs, aside) = (desk.directory.path().join("logs"), desk.directory.path().join("aside"));
    fs::rename(&logs, &aside).unwrap();
    assert_eq!(desk.add(log.request(20)).await.0, 503);
    fs::rename(&aside, &logs).unwrap();
    assert_eq!(desk.add(log.request(50)).await, held(20));
    desk.cosigned(&log, 20).await;
}

/// Were it kept, the next start could not read it, and would refuse to be a witness for anybody.
#[tokio::test]
async fn no_log_can_make_it_keep_what_it_could_not_read() {
    let log = Log::new(ORIGIN, 1).grown(5, 0);
    let desk = Desk::open("w", &[&log]);
    let fits = 64 * 1024 - log.checkpoint().to_string().len();
    let padded = |bytes: usize| log.signed(format!("{}{}\n", log.checkpoint().text, "x".repeat(bytes - 1)));
    let request = |checkpoint| AddCheckpoint { old: 0, proof: Vec::new(), checkpoint }.to_string();
    assert_eq!(desk.add(request(padded(fits))).await.0, 400, "without room for the cosignature");
    let mut repeated = log.checkpoint();
    repeated.signatures = vec![repeated.signatures[0].clone(); 100];
    assert_eq!(desk.add(request(repeated)).await.0, 200);
    let desk = desk.reopen(&[&log]);
    assert_eq!(desk.add(log.request(0)).await, held(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_one_is_cosigned() {
    let mut base = Log::new(ORIGIN, 1);
    let desk = Arc::new(Desk::open("w", &[&base]));
    for _ in 0..20 {
        // All of them begin where it stands, and no two have more in common.
        let forks: Vec<_> = (1..=32_u8).map(|fork| base.clone().grown(usize::from(fork % 3) + 1, fork.into())).collect();
        let ask = |fork: &Log| {
            let (desk, request) = (Arc::clone(&desk), fork.request(base.size()));
            tokio::spawn(async move { desk.add(request).await.0 })
        };
        let asked: Vec<_> = forks.iter().map(ask).collect();
        let (mut cosigned, mut refused) = (Vec::new(), 0);
        for (fork, asked) in forks.iter().zip(asked) {
            match asked.await.unwrap() {
                200 => cosigned.push(fork),
                409 => refused += 1,
                status => panic!("{status}"),
            }
        }
        assert_eq!((cosigned.len(), refused), (1, 31));
        base = cosigned[0].clone();
    }
}
