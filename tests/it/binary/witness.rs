//! `allowlog witness` as a process: killed at any moment, asked by many at once, told of other logs while it runs.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use allowlog::witnesses::Witness as Known;
use allowlog_proto::note::{Note, NoteSignature};

use super::process::{allowlog, text};
use crate::witness::log::{Log, ORIGIN};

/// As many as a run on every change has time for; `ALLOWLOG_WITNESS_KILLS=60` is for the hand. The log grows with them, and so
/// does what each of its clients computes.
const KILLS: u64 = 20;
const CLIENTS: u8 = 32;

pub struct Running {
    child: Child,
    stderr: BufReader<ChildStderr>,
    _stdout: BufReader<ChildStdout>,
    pub known: Known,
}

impl Running {
    pub fn start(data: &Path, more: &[&str]) -> Self {
        Self::start_on("127.0.0.1:0", data, more)
    }

    pub fn start_on(address: &str, data: &Path, more: &[&str]) -> Self {
        let mut program = allowlog();
        program.args(["witness", "--listen", address, "--data"]).arg(data).args(more);
        let mut child = program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        // What is pasted into a server's command line is what it is known by.
        while !line.contains("--witness '") {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the output ends: {}", text(&child.wait_with_output().unwrap().stderr));
        }
        let known = Known::parse(line.split('\'').nth(1).unwrap()).unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr, _stdout: stdout, known }
    }

    async fn add(&self, log: &Log, old: u64) -> Option<(u16, String)> {
        post(&self.known.url, log.request(old)).await
    }

    fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).unwrap();
    }

    fn has_said(&mut self, said: &str) {
        let mut line = String::new();
        while !line.contains(said) {
            line.clear();
            assert_ne!(self.stderr.read_line(&mut line).unwrap(), 0, "the telemetry ends before `{said}`");
        }
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and body, or nothing if the witness died before it gave an answer.
async fn post(url: &str, body: String) -> Option<(u16, String)> {
    // Made once: what a client has to read of the machine's certificates takes longer than all the rest.
    static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| reqwest::Client::builder().tls_certs_only([]).build().unwrap());
    let answer = HTTP.post(format!("{url}/add-checkpoint")).body(body).send().await.ok()?;
    let status = answer.status().as_u16();
    Some((status, answer.text().await.ok()?))
}

fn is_cosigned(known: &Known, log: &Log, lines: &str) -> bool {
    let signatures = lines.lines().map(|line| NoteSignature::parse(line).unwrap()).collect();
    Note { text: log.checkpoint().text, signatures }.cosigned_at(&known.key).is_some()
}

/// Clients that each have a history of their own beyond what is held, all at once, again and again: whichever is cosigned first is
/// what the others are refused for.
async fn quarrel(url: String, truth: Arc<Mutex<Log>>, issued: Arc<Mutex<Vec<Log>>>, answers: Arc<AtomicU64>, salt: u8) {
    loop {
        let base = truth.lock().unwrap().clone();
        let fork = base.clone().grown(usize::from(salt % 3) + 1, salt.into());
        match post(&url, fork.request(base.size())).await {
            None => return,
            Some((200, _)) => {
                issued.lock().unwrap().push(fork.clone());
                let mut truth = truth.lock().unwrap();
                if truth.size() < fork.size() {
                    *truth = fork;
                }
            }
            // What the killed one kept and nobody heard of is found out by the next start.
            Some((409, _)) => {}
            Some((status, body)) => panic!("{status} {body}"),
        }
        answers.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lead_to_no_second_history() {
    let kills = std::env::var("ALLOWLOG_WITNESS_KILLS").map_or(KILLS, |kills| kills.parse().expect("a number of kills"));
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("witness");
    let log = Log::new(ORIGIN, 1);
    let trusted = log.verifier_key.to_string();
    let arguments = ["--log", &trusted, "--name", "witness.example/w1"];
    let mut running = Running::start(&data, &arguments);
    let key = running.known.key.clone();
    let (issued, answers) = (Arc::new(Mutex::new(Vec::<Log>::new())), Arc::new(AtomicU64::new(0)));
    let mut base = log;
    for kill in 0..kills {
        let truth = Arc::new(Mutex::new(base.clone()));
        let url = running.known.url.clone();
        let one = |salt| tokio::spawn(quarrel(url.clone(), Arc::clone(&truth), Arc::clone(&issued), Arc::clone(&answers), salt));
        let clients: Vec<_> = (1..=CLIENTS).map(one).collect();
        let goal = answers.load(Ordering::SeqCst) + 50 + (kill * 37) % 100;
        while answers.load(Ordering::SeqCst) < goal {
            tokio::task::yield_now().await;
        }
        running.kill();
        for client in clients {
            client.await.unwrap();
        }
        let last = truth.lock().unwrap().clone();
        running = Running::start(&data, &arguments);
        assert_eq!(running.known.key, key);
        // It holds what it last answered, or one step more that nobody heard of.
        let (status, body) = running.add(&last, last.size()).await.unwrap();
        base = match status {
            200 => last,
            409 => {
                let held: u64 = body.trim().parse().unwrap();
                let lost = (1..=CLIENTS).map(|salt| last.clone().grown(usize::from(salt % 3) + 1, salt.into()));
                let mut found = None;
                for fork in lost.filter(|fork| fork.size() == held) {
                    match running.add(&fork, held).await.unwrap() {
                        (200, _) => assert!(found.replace(fork).is_none(), "two of one size"),
                        (status, body) => assert_eq!((status, body), (409, format!("{held}\n"))),
                    }
                }
                found.expect("a history that somebody asked about")
            }
            status => panic!("{status} {body}"),
        };
    }
    let mut issued = issued.lock().unwrap().clone();
    issued.push(base);
    issued.sort_by_key(Log::size);
    for pair in issued.windows(2) {
        assert!(pair[0].size() == pair[1].size() || pair[1].leaves.starts_with(&pair[0].leaves), "two histories");
        assert!(pair[0].size() < pair[1].size() || pair[0].leaves == pair[1].leaves, "two trees of one size");
    }
    println!("{kills} kills, {} answers, {} cosignatures", answers.load(Ordering::SeqCst), issued.len() - 1);
}

#[tokio::test]
async fn it_is_told_of_other_logs_while_it_runs() {
    let directory = tempfile::tempdir().unwrap();
    let (data, list) = (directory.path().join("witness"), directory.path().join("logs"));
    let (log, other) = (Log::new(ORIGIN, 1).grown(3, 0), Log::new("other", 2).grown(4, 0));
    std::fs::write(&list, "# nobody yet\n").unwrap();
    let mut running = Running::start(&data, &["--name", "w", "--trust-file", list.to_str().unwrap()]);
    running.has_said("no log is trusted");
    assert_eq!(running.add(&log, 0).await.unwrap().0, 404);
    std::fs::write(&list, format!("{}\n{}\n", log.verifier_key, other.verifier_key)).unwrap();
    running.signal(rustix::process::Signal::HUP);
    running.has_said("the trusted logs have been read again");
    let (status, lines) = running.add(&log, 0).await.unwrap();
    assert!(status == 200 && is_cosigned(&running.known, &log, &lines), "{status} {lines}");
    // What cannot be read changes nothing.
    std::fs::write(&list, "nonsense\n").unwrap();
    running.signal(rustix::process::Signal::HUP);
    running.has_said("the trusted logs stay those before");
    assert_eq!(running.add(&other, 0).await.unwrap().0, 200);
    // A second process with the same key is none.
    let second = allowlog().args(["witness", "--listen", "127.0.0.1:0", "--data"]).arg(&data).output().unwrap();
    assert!(!second.status.success() && text(&second.stderr).contains("is in use by another allowlog process"), "{second:?}");
    running.signal(rustix::process::Signal::TERM);
    assert_eq!(running.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_it_cannot_start_from_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("witness");
    let run = |more: &[&str]| {
        let output = allowlog().args(["witness", "--listen", "127.0.0.1:0", "--data"]).arg(&data).args(more).output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty());
        text(&output.stderr)
    };
    assert!(run(&[]).contains("has no name yet"));
    assert!(run(&["--name", "w", "--log", "x"]).contains("`x` is no verifier key"));
    assert!(run(&["--name", "w", "--trust-file", "/nowhere"]).contains("/nowhere cannot be read"));
    assert!(!data.join("key").exists());
}
