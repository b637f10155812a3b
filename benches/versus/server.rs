//! The server under measurement: the real binary with its default settings in a directory of its own.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::load::body;
use crate::process::{Process, cpu_us, threads_cpu_us, tied, tree_resident_bytes};
use crate::subject::{Counts, Cpu, Lag, Subject};

/// Budgets and limits that no run comes near, and what a check costs: they are counted all the same.
pub const BUDGET_MICROS: u64 = 1_000_000_000_000_000;
pub const PER_DAY: u64 = 1_000_000_000_000;
pub const COST_MICROS: u64 = 12;
/// The threads between a request and its answer; all others follow.
const ANSWERING: [&str; 2] = ["tokio-rt-worker", "writer"];
/// How many authorizations are asked for at once.
const MAKERS: usize = 64;
/// Checks of a batch.
const BATCHED: usize = 100;
/// Followers must have come up within this time.
const PATIENCE: Duration = Duration::from_secs(3600);
/// A server that does next to nothing for so long has nothing left to do.
const QUIET: Duration = Duration::from_millis(2500);

/// Workspaces and authorizations, which everybody who is measured has.
#[derive(Debug, Default)]
pub struct Tenants {
    pub api_keys: Vec<String>,
    /// Places among the API keys, and ids. Neighbours are of different workspaces.
    pub authorizations: Vec<(usize, String)>,
    /// Of an answer to a check, in bytes.
    pub answer_bytes: usize,
}

pub struct Server {
    process: Process,
    runtime: Arc<Runtime>,
    client: reqwest::Client,
    data: PathBuf,
    pub url: String,
    operations_url: String,
}

/// What a data directory takes on the disk.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// Bytes by part of the directory, as allocated, but the journal's.
    pub parts: Vec<(String, u64)>,
    /// Bytes of the journal's files, which are zero-filled ahead and used again and again.
    pub journal_bytes: u64,
    /// Events of the log.
    pub events: u64,
}

/// The program, told nothing by this machine's environment.
fn allowlog() -> Command {
    let program = std::env::var_os("ALLOWLOG_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_allowlog").into());
    let mut command = tied(Path::new(&program), None, Signal::TERM);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ALLOWLOG_") || name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command
}

impl Server {
    /// Makes a directory and serves it. The admin token is shown this once.
    pub fn init(runtime: &Arc<Runtime>, data: &Path) -> (Self, String) {
        let made = allowlog().args(["init", "--json", "--data"]).arg(data).stderr(Stdio::inherit()).output().unwrap();
        assert!(made.status.success(), "init fails");
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        (Self::serve(runtime, data), made["admin_token"].as_str().unwrap().to_owned())
    }

    /// Serves a directory that is there.
    pub fn serve(runtime: &Arc<Runtime>, data: &Path) -> Self {
        allowlog::http::tls::install();
        let mut command = allowlog();
        command.args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data"]).arg(data);
        command.stderr(File::create(data.with_extension("err")).unwrap());
        let mut process = Process::spawn(command, Signal::TERM);
        let line = process.line();
        let mut urls = line.split([' ', ',']).filter(|word| word.starts_with("http"));
        let (Some(url), Some(operations_url)) = (urls.next(), urls.next()) else { panic!("{line}") };
        let (url, operations_url) = (url.to_owned(), operations_url.to_owned());
        Self { process, runtime: Arc::clone(runtime), client: reqwest::Client::new(), data: data.to_owned(), url, operations_url }
    }

    /// Makes so many authorizations, spread over so many workspaces.
    pub fn tenants(&self, admin_token: &str, workspaces: usize, authorizations: usize) -> Tenants {
        let url: Arc<str> = self.url.as_str().into();
        let made = self.runtime.block_on(async {
            let mut api_keys = Vec::new();
            for n in 0..workspaces {
                let body = json!({ "name": format!("workspace {n}") });
                let made = call(&self.client, &format!("{url}/admin/v1/workspaces"), admin_token, body.to_string()).await;
                api_keys.push(made["api_key"].as_str().unwrap().to_owned());
            }
            let keys: Arc<[String]> = api_keys.clone().into();
            let maker = |maker: usize| {
                let (client, url, keys) = (self.client.clone(), format!("{url}/v1/authorizations"), Arc::clone(&keys));
                tokio::spawn(async move {
                    let mut made = Vec::new();
                    for n in (maker..authorizations).step_by(MAKERS) {
                        let workspace = n % keys.len();
                        let answer = call(&client, &url, &keys[workspace], create(n)).await;
                        made.push((n, workspace, answer["authorization_id"].as_str().unwrap().to_owned()));
                    }
                    made
                })
            };
            let mut made = Vec::with_capacity(authorizations);
            for task in (0..MAKERS).map(maker).collect::<Vec<_>>() {
                made.extend(task.await.unwrap());
            }
            made.sort_unstable();
            Tenants { api_keys, authorizations: made.into_iter().map(|(_, workspace, id)| (workspace, id)).collect(), answer_bytes: 0 }
        });
        let answer_bytes = self.answer_bytes(&made);
        Tenants { answer_bytes, ..made }
    }

    /// Checks so many authorizations a hundred times each, in batches.
    pub fn ask_in_batches(&self, tenants: &Tenants, count: usize) {
        let url = format!("{}/v1/check/batch", self.url);
        self.runtime.block_on(async {
            for (workspace, id) in tenants.authorizations.iter().take(count) {
                let checks: Vec<String> = (0..BATCHED).map(|turn| body(id, turn)).collect();
                let batch = format!(r#"{{"checks":[{}]}}"#, checks.join(","));
                let answer = call(&self.client, &url, &tenants.api_keys[*workspace], batch).await;
                let answered = answer["results"].as_array().unwrap().iter().filter(|result| result["status"] == 200).count();
                assert_eq!(answered, BATCHED, "{answer}");
            }
        });
    }

    /// Lists the receipts of so many authorizations and reads the first of each list.
    pub fn look_up(&self, tenants: &Tenants, count: usize) {
        self.runtime.block_on(async {
            for (workspace, id) in tenants.authorizations.iter().take(count) {
                let read = async |path: String| {
                    let request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&tenants.api_keys[*workspace]);
                    request.send().await.unwrap().error_for_status().unwrap().json::<Value>().await.unwrap()
                };
                let list = read(format!("/v1/receipts?authorization_id={id}")).await;
                let receipt = list["items"][0]["receipt_id"].as_str().unwrap_or_else(|| panic!("{list}"));
                read(format!("/v1/receipts/{receipt}")).await;
            }
        });
    }

    fn answer_bytes(&self, tenants: &Tenants) -> usize {
        let (workspace, id) = &tenants.authorizations[0];
        let request = self.client.post(format!("{}/v1/check", self.url)).bearer_auth(&tenants.api_keys[*workspace]).body(body(id, 0));
        self.runtime.block_on(async { request.send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap().len() })
    }

    /// The sum of a metric over its labels that contain `labels`.
    fn metric(text: &str, name: &str, labels: &str) -> f64 {
        let value = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let (behind, value) = rest.rsplit_once(' ')?;
            let is_it = behind.is_empty() || behind.starts_with('{');
            (is_it && behind.contains(labels)).then(|| value.parse::<f64>().unwrap())
        };
        text.lines().filter_map(value).sum()
    }

    fn metrics(&self) -> String {
        let url = format!("{}/metrics", self.operations_url);
        self.runtime.block_on(async { self.client.get(url).send().await.unwrap().text().await.unwrap() })
    }

    /// Events of its log.
    pub fn events(&self) -> u64 {
        Self::metric(&self.metrics(), "allowlog_log_head", "") as u64
    }

    /// Ends it, counts what it has left on the disk, and says how it has ended.
    pub fn stop(self) -> (Disk, ExitStatus) {
        let (data, events) = (self.data.clone(), self.events());
        let ended = self.process.stop();
        let mut disk = Disk { events, ..Disk::default() };
        for entry in fs::read_dir(&data).unwrap() {
            let path = entry.unwrap().path();
            let (name, bytes) = (path.file_name().unwrap().to_string_lossy().into_owned(), allocated(&path));
            if name == "journal" { disk.journal_bytes = bytes } else { disk.parts.push((name, bytes)) }
        }
        disk.parts.sort_unstable_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        (disk, ended)
    }
}

impl Disk {
    pub fn bytes_per_event(&self) -> f64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum::<u64>() as f64 / self.events as f64
    }
}

impl Subject for Server {
    fn url(&self) -> &str {
        &self.url
    }

    fn cpu(&self) -> Cpu {
        let (all, front_us) = (cpu_us(self.process.id()), threads_cpu_us(self.process.id(), &ANSWERING));
        Cpu { front_us, database_us: 0.0, behind_us: all - front_us }
    }

    fn resident_bytes(&self) -> u64 {
        tree_resident_bytes(self.process.id())
    }

    fn counts(&mut self) -> Option<Counts> {
        let text = self.metrics();
        let count = |name, labels| Self::metric(&text, name, labels) as u64;
        let events_and_syncs = Some((count("allowlog_commit_records_sum", ""), count("allowlog_journal_sync_seconds_count", "")));
        Some(Counts { allowed: count("allowlog_checks_total", r#"decision="allow""#), events_and_syncs })
    }

    fn lag(&mut self) -> Option<Lag> {
        let text = self.metrics();
        let value = |name| Self::metric(&text, name, "");
        Some(Lag {
            signing_records: value("allowlog_signing_lag_records") as u64,
            search_records: value("allowlog_search_lag_records") as u64,
            signing_seconds: value("allowlog_signing_lag_seconds"),
            search_seconds: value("allowlog_search_lag_seconds"),
        })
    }

    fn rest(&mut self) -> Duration {
        let started = Instant::now();
        loop {
            let text = self.metrics();
            let is_behind = |name| Self::metric(&text, name, "") > 0.0;
            let behind = ["allowlog_signing_lag_records", "allowlog_search_lag_records", "allowlog_checkpoints_lag_records"];
            if !behind.into_iter().any(is_behind) {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "the followers do not come up");
            thread::sleep(Duration::from_millis(50));
        }
        let caught_up = started.elapsed();
        // Settling, merges and a snapshot that has come due, which is looked for each 2 s, say nothing of themselves.
        loop {
            let before = cpu_us(self.process.id());
            thread::sleep(QUIET);
            if cpu_us(self.process.id()) - before < QUIET.as_micros() as f64 / 50.0 {
                return caught_up;
            }
        }
    }
}

async fn call(client: &reqwest::Client, url: &str, token: &str, body: String) -> Value {
    let answer = client.post(url).bearer_auth(token).header("content-type", "application/json").body(body).send().await.unwrap();
    assert!(answer.status().is_success(), "{url}: {}", answer.status());
    answer.json().await.unwrap()
}

fn create(n: usize) -> String {
    json!({
        "user_id": format!("user_{n:06}"),
        "agent_id": "mailer",
        "scopes": ["email.read", { "name": "email.send", "constraints": { "max_per_day": PER_DAY } }],
        "expires_at": "2099-01-01T00:00:00Z",
        "budget_limit_micros": BUDGET_MICROS,
    })
    .to_string()
}

/// Bytes that the disk has for a file, or for all files below a directory.
fn allocated(path: &Path) -> u64 {
    if path.is_dir() {
        fs::read_dir(path).unwrap().map(|entry| allocated(&entry.unwrap().path())).sum()
    } else {
        fs::metadata(path).unwrap().blocks() * 512
    }
}
