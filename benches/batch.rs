//! Processor time of a check in a batch over HTTP, and of a token that is verified, beside that of a check by itself: the answer path
//! of the real server.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test or a bench that meets the unexpected must end")]

mod fixture;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fixture::quantile;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const ROUNDS: usize = 5;
const AUTHORIZATIONS: usize = 1_000;
/// Checks in one call, and connections that call.
const SHAPES: [(usize, usize); 4] = [(1, 64), (100, 8), (1_000, 2), (TOKEN, 64)];
/// In place of the checks of a call: it verifies the token of a consent.
const TOKEN: usize = 0;
/// Consents whose tokens are verified.
const CONSENTS: usize = 100;
/// Threads whose time an answer is waited for.
const ANSWER_PATH: [&str; 2] = ["tokio-rt-worker", "writer"];
/// As `/proc` counts processor time.
const TICKS_PER_SECOND: f64 = 100.0;

struct Server {
    child: Child,
    address: String,
    api_key: String,
}

/// What a round came to.
#[derive(Clone, Copy)]
struct Round {
    rate: f64,
    cpu_us: f64,
    all_us: f64,
    p50_ms: f64,
}

fn main() {
    let (authorizations, time) =
        if fixture::measures() { (AUTHORIZATIONS, Duration::from_secs(3)) } else { (10, Duration::from_millis(100)) };
    let directory = fixture::directory();
    let server = Server::start(&directory.path().join("data"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let grants = runtime.block_on(grants(&server, authorizations));
    let tokens = runtime.block_on(tokens(&server, authorizations.min(CONSENTS)));
    let calls = SHAPES.map(|(checks, _)| Arc::new(if checks == TOKEN { tokens.clone() } else { calls(&server, &grants, checks) }));
    let mut rounds = SHAPES.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (place, (checks, connections)) in SHAPES.into_iter().enumerate() {
            rounds[place].push(runtime.block_on(round(&server, &calls[place], checks, connections, time)));
        }
    }
    println!("{:<30} {:>10} {:>14} {:>14} {:>12}", "median of 5 rounds", "checks/s", "answer path µs", "all threads µs", "a call ms");
    let figures = rounds.map(|rounds| median(&rounds));
    for ((checks, connections), Round { rate, cpu_us, all_us, p50_ms }) in SHAPES.into_iter().zip(figures) {
        let what = if checks == TOKEN { "a token".to_owned() } else { checks.to_string() };
        let shape = format!("{what} a call, {connections} connections");
        println!("{shape:<30} {rate:>10.0} {cpu_us:>14.2} {all_us:>14.2} {p50_ms:>12.2}");
    }
    let [single, hundred, thousand, token] = figures;
    for (name, of) in [("a batch of 100", hundred), ("a batch of 1,000", thousand)] {
        let (per_core, rate) = (single.cpu_us / of.cpu_us, of.rate / single.rate);
        println!(
            "{name}: {per_core:.2} times the checks of a single one for each second of the answer path's processor time, {rate:.2} times as many a second"
        );
    }
    println!(
        "tokens: {:.2} times as many a second as single checks, {:.2} times the processor time",
        token.rate / single.rate,
        token.all_us / single.all_us
    );
}

impl Server {
    fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_allowlog"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data"]).arg(data);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (mut address, mut api_key) = (None, None);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        while address.is_none() || api_key.is_none() {
            let line = lines.next().expect("the server says where it is").unwrap();
            let word = |prefix: &str| line.split([' ', ',', '"', '\'']).find_map(|word| word.strip_prefix(prefix)).map(str::to_owned);
            address = address.or(word("http://"));
            api_key = api_key.or(line.split_whitespace().find(|word| word.starts_with("allowly_l1_")).map(str::to_owned));
        }
        // What it says later is read by nobody, and must not hold it up.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.unwrap(), api_key: api_key.unwrap() }
    }

    fn request(&self, path: &str, body: &Value) -> Vec<u8> {
        let body = body.to_string();
        let (address, key, length) = (&self.address, &self.api_key, body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        (head + &body).into_bytes()
    }

    /// Processor time so far in µs: of the threads an answer waits for, and of all.
    fn cpu_us(&self) -> (f64, f64) {
        let (mut path, mut all) = (0.0, 0.0);
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap() {
            let Ok(stat) = fs::read_to_string(task.unwrap().path().join("stat")) else { continue };
            let (name, fields) = stat.split_once('(').unwrap().1.rsplit_once(')').unwrap();
            let ticks: f64 = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum();
            let us = ticks * 1e6 / TICKS_PER_SECOND;
            all += us;
            path += if ANSWER_PATH.contains(&name) { us } else { 0.0 };
        }
        (path, all)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn grants(server: &Server, count: usize) -> Vec<String> {
    let body = json!({ "user_id": "user_1", "agent_id": "mailer", "expires_at": "2099-01-01T00:00:00Z",
                       "scopes": ["email.read", { "name": "email.send", "constraints": { "max_per_day": 1_000_000_000 } }] });
    let (mut connection, request) = (Connection::to(server).await, server.request("/v1/authorizations", &body));
    let mut ids = Vec::new();
    for _ in 0..count {
        let answer: Value = serde_json::from_slice(connection.call(&request, 201).await).unwrap();
        ids.push(answer["authorization_id"].as_str().unwrap().to_owned());
    }
    ids
}

/// Calls that verify a token each, of as many consents that were approved as a browser does it.
async fn tokens(server: &Server, count: usize) -> Vec<Vec<u8>> {
    let ask = server.request(
        "/v1/consent/request",
        &json!({ "end_user_ref": "user_1", "scopes": [{ "key": "email.read" }, { "key": "email.send" }], "redirect_url": "https://app.example/" }),
    );
    let (mut connection, mut calls) = (Connection::to(server).await, Vec::new());
    for _ in 0..count {
        let asked: Value = serde_json::from_slice(connection.call(&ask, 201).await).unwrap();
        let id = asked["data"]["id"].as_str().unwrap().to_owned();
        let page = format!("GET /c/{id} HTTP/1.1\r\nhost: {}\r\n\r\n", server.address);
        let page = String::from_utf8(connection.call(page.as_bytes(), 200).await.to_vec()).unwrap();
        let csrf = page.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let form = format!("decision=approve&csrf={csrf}");
        let (address, length) = (&server.address, form.len());
        let form = format!("POST /c/{id} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n\r\n{form}");
        connection.call(form.as_bytes(), 303).await;
        let mint = server.request(&format!("/v1/consent/{id}/token"), &json!({}));
        let minted: Value = serde_json::from_slice(connection.call(&mint, 201).await).unwrap();
        calls.push(server.request("/v1/consent/verify", &json!({ "token": minted["data"]["token"] })));
    }
    calls
}

/// Some calls of so many checks each, spread over the authorizations.
fn calls(server: &Server, grants: &[String], checks: usize) -> Vec<Vec<u8>> {
    let mut turn = 0;
    let mut check = || {
        turn += 7_919;
        json!({ "authorization_id": grants[turn % grants.len()], "scopes": ["email.send"], "resource": "mail:12345", "session_id": "s-1",
                "context": { "purpose": "daily summary", "amount": 12 } })
    };
    let mut call = || {
        if checks == 1 {
            server.request("/v1/check", &check())
        } else {
            server.request("/v1/check/batch", &json!({ "checks": (0..checks).map(|_| check()).collect::<Vec<_>>() }))
        }
    };
    (0..(1_000 / checks).max(4)).map(|_| call()).collect()
}

async fn round(server: &Server, calls: &Arc<Vec<Vec<u8>>>, checks: usize, connections: usize, time: Duration) -> Round {
    let mut lines = Vec::new();
    for _ in 0..connections {
        lines.push(Connection::to(server).await);
    }
    let (path, all) = server.cpu_us();
    let started = Instant::now();
    let clients: Vec<_> = (0_usize..)
        .zip(lines)
        .map(|(client, mut connection)| {
            let calls = Arc::clone(calls);
            let call = async move {
                let (mut times, mut turn) = (Vec::new(), client * 131);
                while started.elapsed() < time {
                    turn += 1;
                    let asked = Instant::now();
                    connection.call(&calls[turn % calls.len()], 200).await;
                    times.push(asked.elapsed().as_secs_f64() * 1e3);
                }
                times
            };
            tokio::task::spawn(call)
        })
        .collect();
    let mut times = Vec::new();
    for client in clients {
        times.extend(client.await.unwrap());
    }
    let (took, (path_after, all_after)) = (started.elapsed().as_secs_f64(), server.cpu_us());
    let done = (times.len() * checks.max(1)) as f64;
    times.sort_by(f64::total_cmp);
    Round { rate: done / took, cpu_us: (path_after - path) / done, all_us: (all_after - all) / done, p50_ms: quantile(&times, 0.5) }
}

fn median(rounds: &[Round]) -> Round {
    let of = |figure: fn(&Round) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        quantile(&figures, 0.5)
    };
    Round { rate: of(|r| r.rate), cpu_us: of(|r| r.cpu_us), all_us: of(|r| r.all_us), p50_ms: of(|r| r.p50_ms) }
}

/// A connection that is kept, and as little else of a client as will do.
struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Connection {
    async fn to(server: &Server) -> Self {
        let stream = TcpStream::connect(&server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, answer: Vec::with_capacity(1024 * 1024) }
    }

    /// The body of the answer.
    async fn call(&mut self, request: &[u8], status: u16) -> &[u8] {
        self.stream.write_all(request).await.unwrap();
        self.answer.clear();
        let body = loop {
            assert_ne!(self.stream.read_buf(&mut self.answer).await.unwrap(), 0, "the server lives on");
            if let Some(end) = self.answer.windows(4).position(|end| end == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = std::str::from_utf8(&self.answer[..body]).unwrap().to_ascii_lowercase();
        assert!(head.starts_with(&format!("http/1.1 {status}")), "{}", String::from_utf8_lossy(&self.answer));
        let length: usize = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap().parse().unwrap();
        while self.answer.len() < body + length {
            assert_ne!(self.stream.read_buf(&mut self.answer).await.unwrap(), 0, "the server lives on");
        }
        &self.answer[body..]
    }
}
