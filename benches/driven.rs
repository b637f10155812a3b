//! The real server, driven over sockets, and the processor time of each of its threads.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::{SocketAddr, TcpStream as BlockingStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// What the kernel counts in.
const TICK_NS: f64 = 1e7;

/// A server in a process of its own, with a fresh directory on the disk; it ends with this.
pub struct Server {
    child: Child,
    address: SocketAddr,
    operations: SocketAddr,
    api_key: String,
    _directory: tempfile::TempDir,
}

/// What was asked, and what came of it.
pub struct Driven {
    pub seconds: f64,
    /// Of answers that something was created.
    pub bodies: Vec<String>,
}

/// So many requests at a time, so often: how they come while a server answers many at once.
pub struct Waves {
    pub requests: usize,
    pub period: Duration,
}

impl Waves {
    fn start(self, room: Arc<Semaphore>, count: usize) -> JoinHandle<()> {
        let begin = Instant::now();
        std::thread::spawn(move || {
            let mut sent = 0;
            for wave in 1.. {
                room.add_permits(self.requests);
                sent += self.requests;
                if sent >= count {
                    return;
                }
                std::thread::sleep((begin + self.period * wave).saturating_duration_since(Instant::now()));
            }
        })
    }
}

impl Server {
    pub fn start() -> Self {
        let directory = super::fixture::directory();
        let data = directory.path().join("data");
        let initialised = allowlog("init", &data).arg("--json").output().unwrap();
        let initialised: serde_json::Value = serde_json::from_slice(&initialised.stdout).unwrap();
        let api_key = initialised["api_key"].as_str().unwrap().to_owned();
        let mut serve = allowlog("serve", &data);
        serve.args(["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]);
        let mut child = serve.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let addresses: Vec<SocketAddr> =
            line.split([' ', ',', '\n']).filter_map(|word| word.strip_prefix("http://")?.trim_end_matches('/').parse().ok()).collect();
        let [address, operations] = addresses[..] else { panic!("where does it listen? {line}") };
        Self { child, address, operations, api_key, _directory: directory }
    }

    /// A request to one of its routes, by its own API key or another.
    pub fn request(&self, path: &str, api_key: Option<&str>, body: &str) -> Vec<u8> {
        let (api_key, length) = (api_key.unwrap_or(&self.api_key), body.len());
        format!(
            "POST {path} HTTP/1.1\r\nhost: allowlog\r\nauthorization: Bearer {api_key}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }

    /// Sends so many of the requests, in turn, over so many connections that are kept: as soon as each is answered, or as the
    /// waves let them.
    pub fn drive(&self, requests: Vec<Vec<u8>>, count: usize, connections: usize, status: u16, waves: Option<Waves>) -> Driven {
        let room = Arc::new(Semaphore::new(if waves.is_some() { 0 } else { count }));
        let waves = waves.map(|waves| waves.start(Arc::clone(&room), count));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (requests, turn, address) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)), self.address);
        let started = Instant::now();
        let bodies = runtime.block_on(async move {
            let connections: Vec<_> = (0..connections)
                .map(|_| {
                    let (requests, turn, room) = (Arc::clone(&requests), Arc::clone(&turn), Arc::clone(&room));
                    tokio::spawn(async move {
                        let (mut connection, mut bodies) = (Connection::open(address).await, Vec::new());
                        loop {
                            let turn = turn.fetch_add(1, Ordering::Relaxed);
                            if turn >= count {
                                return bodies;
                            }
                            room.acquire().await.unwrap().forget();
                            let body = connection.ask(&requests[turn % requests.len()], status).await;
                            // The ids of what was created.
                            if status == 201 {
                                bodies.push(String::from_utf8_lossy(body).into_owned());
                            }
                        }
                    })
                })
                .collect();
            let mut bodies = Vec::new();
            for connection in connections {
                bodies.extend(connection.await.unwrap());
            }
            bodies
        });
        let seconds = started.elapsed().as_secs_f64();
        if let Some(waves) = waves {
            waves.join().unwrap();
        }
        Driven { seconds, bodies }
    }

    /// Of all its threads.
    pub fn time(&self) -> Times {
        Times::of(&self.child.id().to_string())
    }

    /// What it says of itself.
    pub fn metric(&self, name: &str) -> f64 {
        let mut stream = BlockingStream::connect(self.operations).unwrap();
        std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.1\r\nhost: allowlog\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name}: {text}")).trim().parse().unwrap()
    }

    /// Returns once all that was answered is signed, indexed, vouched for and settled.
    pub fn rest(&self) {
        let lags = ["signing_lag_records", "search_lag_records", "checkpoints_lag_records", "log_unsettled_bytes"];
        while lags.iter().any(|lag| self.metric(&format!("allowlog_{lag}")) > 0.0) {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing of this machine's environment reaches the program.
fn allowlog(command: &str, data: &Path) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_allowlog"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ALLOWLOG_") || name.starts_with("OTEL_")) {
        program.env_remove(name);
    }
    program.arg(command).arg("--data").arg(data);
    program
}

/// As little HTTP as a client of ours needs, so that it takes little of the machine.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::with_capacity(16 * 1024) }
    }

    /// The body of the answer, which must have this status.
    async fn ask(&mut self, request: &[u8], status: u16) -> &[u8] {
        let mut sent = 0;
        while sent < request.len() {
            self.stream.writable().await.unwrap();
            match self.stream.try_write(&request[sent..]) {
                Ok(count) => sent += count,
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
        }
        self.buffer.clear();
        loop {
            self.stream.readable().await.unwrap();
            match self.stream.try_read_buf(&mut self.buffer) {
                Ok(count) => assert_ne!(count, 0, "the connection ends"),
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
            }
            let Some(head) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
            let text = std::str::from_utf8(&self.buffer[..head]).unwrap();
            assert_eq!(text.get(9..12), Some(status.to_string().as_str()), "{}", String::from_utf8_lossy(&self.buffer));
            let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            let body = head + 4..head + 4 + length.parse::<usize>().unwrap();
            if self.buffer.len() >= body.end {
                return &self.buffer[body];
            }
        }
    }
}

/// Processor time in ns.
#[derive(Debug, Clone, Copy, Default)]
pub struct Time {
    pub all: f64,
    /// Of it in the kernel.
    pub kernel: f64,
}

/// Processor time of the threads of a process, by their names.
pub struct Times {
    threads: BTreeMap<String, Time>,
    process: Time,
}

impl Times {
    /// Of this process, with the threads it has now.
    pub fn own() -> Self {
        Self::of("self")
    }

    fn of(process: &str) -> Self {
        let mut threads: BTreeMap<String, Time> = BTreeMap::new();
        for task in fs::read_dir(format!("/proc/{process}/task")).unwrap() {
            let task = task.unwrap().path();
            // One that has just ended is counted with the process.
            let (Ok(name), Ok(stat)) = (fs::read_to_string(task.join("comm")), fs::read_to_string(task.join("stat"))) else { continue };
            let of_thread = threads.entry(name.trim().to_owned()).or_default();
            let ticks = ticks(&stat);
            let exact = fs::read_to_string(task.join("schedstat")).ok();
            of_thread.all += exact.and_then(|text| text.split(' ').next()?.parse().ok()).unwrap_or(ticks.all);
            of_thread.kernel += ticks.kernel;
        }
        Self { threads, process: ticks(&fs::read_to_string(format!("/proc/{process}/stat")).unwrap()) }
    }

    /// What each thread took since, in µs for each of so many operations; `ended` is what threads took that are there no longer.
    pub fn since(&self, before: &Self, operations: f64) -> BTreeMap<String, Time> {
        let each = |now: Time, before: Time| Time {
            all: (now.all - before.all).max(0.0) / 1e3 / operations,
            kernel: (now.kernel - before.kernel).max(0.0) / 1e3 / operations,
        };
        let of_thread = |(name, now): (&String, &Time)| (name.clone(), each(*now, before.threads.get(name).copied().unwrap_or_default()));
        let mut times: BTreeMap<String, Time> = self.threads.iter().map(of_thread).collect();
        let sum: f64 = times.values().map(|time| time.all).sum();
        times.insert("ended".to_owned(), Time { all: (each(self.process, before.process).all - sum).max(0.0), kernel: 0.0 });
        times
    }
}

/// User and system time of `stat`, of a thread or of a process with all the threads it has had.
fn ticks(stat: &str) -> Time {
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let [user, kernel] = [11, 12].map(|field| fields[field].parse::<f64>().unwrap() * TICK_NS);
    Time { all: user + kernel, kernel }
}
