//! The PostgreSQL peer, plain or with signed receipts and lists: a cluster of its own, and a front with a fixed number of
//! clients, each with a prepared statement.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use rustix::process::{Signal, geteuid};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio_postgres::{Client, NoTls, Statement};

use crate::front::{self, Asked, Front};
use crate::process::{Process, cpu_us, threads_cpu_us, tied, tree_cpu_us, tree_resident_bytes};
use crate::server::{BUDGET_MICROS, COST_MICROS, PER_DAY, Tenants};
use crate::signing;
use crate::subject::{Counts, Cpu, Lag, Subject};

const SCHEMA: &str = include_str!("postgres.sql");
/// On top of it, for the side that signs and lists.
const LISTS: &str = include_str!("postgres_lists.sql");
/// A disk that others write to may take its time.
const PATIENCE: Duration = Duration::from_secs(180);
/// As one would set them for this work on this machine; what is not here is as Debian has it, `fsync` and
/// `synchronous_commit` among it.
const SETTINGS: [&str; 8] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "max_connections=200",
    "shared_buffers=1GB",
    "wal_buffers=16MB",
    "max_wal_size=8GB",
    "min_wal_size=2GB",
    "checkpoint_timeout=15min",
];
/// Further ones of the side that signs and lists: its indexes are to stay in memory, and their pages, of which a checkpoint
/// makes every one be logged whole again, are to be short in the log.
const LISTS_SETTINGS: [&str; 2] = ["shared_buffers=3GB", "wal_compression=lz4"];

pub struct Postgres {
    // Ended in this order.
    front: Front,
    database: Process,
    client: Client,
    runtime: Arc<Runtime>,
    port: u16,
    signs_and_lists: bool,
    /// The process of the database that works for the worker that signs.
    signing_backend: Option<u32>,
}

impl Postgres {
    /// A fresh cluster with the same workspaces, keys and authorizations as the server.
    pub fn start(runtime: &Arc<Runtime>, directory: &Path, tenants: &Tenants, signs_and_lists: bool) -> Self {
        let (programs, user) = (programs().unwrap(), user());
        let data = directory.join(if signs_and_lists { "postgres-lists" } else { "postgres" });
        fs::create_dir(&data).unwrap();
        if let Some((user, group)) = user {
            chown(&data, Some(user), Some(group)).unwrap();
        }
        let mut initdb = tied(&programs.join("initdb"), user, Signal::TERM);
        // From a place that user may be in.
        initdb.current_dir("/").args(["--username=bench", "--auth=trust", "--no-locale", "--encoding=UTF8", "--pgdata"]).arg(&data);
        Process::spawn(initdb, Signal::TERM).output();
        let port = free_port();
        let telemetry = data.with_extension("err");
        let mut postgres = tied(&programs.join("postgres"), user, Signal::INT);
        postgres.current_dir("/").arg("-D").arg(&data).args(["-p", &port.to_string()]);
        let further: &[&str] = if signs_and_lists { &LISTS_SETTINGS } else { &[] };
        postgres.args(SETTINGS.iter().chain(further).flat_map(|setting| ["-c", setting]));
        postgres.stderr(File::create(&telemetry).unwrap());
        // The signal for a stop that waits for nobody.
        let mut database = Process::spawn(postgres, Signal::INT);
        let started = Instant::now();
        let client = loop {
            if let Ok(client) = runtime.block_on(connect(port, "bench")) {
                break client;
            }
            let said = || fs::read_to_string(&telemetry).unwrap_or_default();
            assert!(!database.has_ended() && started.elapsed() < PATIENCE, "PostgreSQL does not start: {}", said());
            thread::sleep(Duration::from_millis(50));
        };
        let schema: &[&str] = if signs_and_lists { &[SCHEMA, LISTS] } else { &[SCHEMA] };
        runtime.block_on(fill(&client, schema, tenants));
        let front = start_front(port, 16, signs_and_lists);
        let mut postgres = Self { front, database, client, runtime: Arc::clone(runtime), port, signs_and_lists, signing_backend: None };
        postgres.signing_backend = postgres.signing_backend();
        postgres
    }

    /// Another front, with so many clients of the database.
    pub fn set_clients(&mut self, clients: u32) {
        self.front = start_front(self.port, clients, self.signs_and_lists);
        self.signing_backend = self.signing_backend();
    }

    fn signing_backend(&self) -> Option<u32> {
        // That of the front before may not have ended yet.
        const NEWEST: &str = "SELECT pid FROM pg_stat_activity WHERE application_name = $1 ORDER BY backend_start DESC LIMIT 1";
        let newest = || self.runtime.block_on(self.client.query_one(NEWEST, &[&signing::NAME])).unwrap();
        self.signs_and_lists.then(|| newest().get::<_, i32>(0).try_into().unwrap())
    }

    /// How many receipts nobody has signed yet, and how long the oldest of them has waited, in seconds.
    fn pending(&self) -> (u64, f64) {
        let sql = "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8
                   FROM pending_receipts JOIN events USING (workspace_id, index)";
        let row = self.runtime.block_on(self.client.query_one(sql, &[])).unwrap();
        (row.get::<_, i64>(0).try_into().unwrap(), row.get(1))
    }
}

fn start_front(port: u16, clients: u32, signs: bool) -> Front {
    Front::start(&["postgres", &port.to_string(), &clients.to_string(), &signs.to_string()])
}

/// The newest that is installed; Debian has its programs out of everybody's way.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    versions.filter(|bin| bin.join("initdb").exists()).max()
}

/// Of what is installed.
pub fn version() -> Option<String> {
    crate::machine::version(&programs()?.join("postgres"))
}

/// It refuses to be run as root.
fn user() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap();
    let of = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2).map(|id| id.parse().unwrap_or_default());
        Some((ids.next()?, ids.next()?))
    };
    of("postgres").or_else(|| of("nobody"))
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A client of that name.
pub async fn connect(port: u16, name: &str) -> Result<Client, tokio_postgres::Error> {
    let parameters = format!("host=127.0.0.1 port={port} user=bench dbname=postgres application_name={name}");
    let (client, connection) = tokio_postgres::connect(&parameters, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn fill(client: &Client, schema: &[&str], tenants: &Tenants) {
    for sql in schema {
        client.batch_execute(sql).await.unwrap();
    }
    for (workspace, key) in (0_i32..).zip(&tenants.api_keys) {
        client.execute("INSERT INTO workspaces (workspace_id) VALUES ($1)", &[&workspace]).await.unwrap();
        let hash = front::hash(key);
        client.execute("INSERT INTO api_keys VALUES ($1, $2)", &[&hash.as_slice(), &workspace]).await.unwrap();
    }
    let sql = format!(
        "INSERT INTO authorizations (authorization_id, workspace_id, user_id, agent_id, scopes, expires_at, max_per_day, budget_limit_micros)
         SELECT id, workspace, user_id, 'mailer', '{{email.read,email.send}}', '2099-01-01T00:00:00Z', {PER_DAY}, {BUDGET_MICROS}
         FROM unnest($1::text[], $2::integer[], $3::text[]) AS asked (id, workspace, user_id)"
    );
    let (ids, workspaces): (Vec<&str>, Vec<i32>) =
        tenants.authorizations.iter().map(|(workspace, id)| (id.as_str(), i32::try_from(*workspace).unwrap())).unzip();
    let users: Vec<String> = (0..ids.len()).map(|n| format!("user_{n:06}")).collect();
    client.execute(&sql, &[&ids, &workspaces, &users]).await.unwrap();
    for tidying in ["VACUUM ANALYZE", "CHECKPOINT"] {
        client.batch_execute(tidying).await.unwrap();
    }
}

impl Subject for Postgres {
    fn url(&self) -> &str {
        &self.front.url
    }

    fn cpu(&self) -> Cpu {
        let (front, worker) = (self.front.id(), threads_cpu_us(self.front.id(), &[signing::NAME]));
        let backend = self.signing_backend.map_or(0.0, cpu_us);
        let database_us = tree_cpu_us(self.database.id()) - backend;
        Cpu { front_us: cpu_us(front) - worker, database_us, behind_us: worker + backend }
    }

    fn resident_bytes(&self) -> u64 {
        tree_resident_bytes(self.front.id()) + tree_resident_bytes(self.database.id())
    }

    fn counts(&mut self) -> Option<Counts> {
        let sql = format!("SELECT (sum(budget_spent_micros) / {COST_MICROS})::bigint FROM authorizations");
        let row = self.runtime.block_on(self.client.query_one(&sql, &[])).unwrap();
        Some(Counts { allowed: row.get::<_, i64>(0).try_into().unwrap(), events_and_syncs: None })
    }

    fn lag(&mut self) -> Option<Lag> {
        let (signing_records, signing_seconds) = self.signs_and_lists.then(|| self.pending())?;
        // Lists are never behind: their indexes are part of each check's transaction.
        Some(Lag { signing_records, signing_seconds, search_records: 0, search_seconds: 0.0 })
    }

    fn rest(&mut self) -> Duration {
        let started = Instant::now();
        let is_pending = || self.runtime.block_on(self.client.query_one("SELECT EXISTS (SELECT FROM pending_receipts)", &[])).unwrap();
        while self.signs_and_lists && is_pending().get(0) {
            assert!(started.elapsed() < PATIENCE, "receipts stay unsigned");
            thread::sleep(Duration::from_millis(50));
        }
        let caught_up = if self.signs_and_lists { started.elapsed() } else { Duration::ZERO };
        // What autovacuum would come to while another side is measured.
        let tidying: &[&str] = if self.signs_and_lists { &["VACUUM pending_receipts", "CHECKPOINT"] } else { &["CHECKPOINT"] };
        for sql in tidying {
            self.runtime.block_on(self.client.batch_execute(sql)).unwrap();
        }
        caught_up
    }
}

/// Clients that are free, each with its prepared statement.
struct Pool {
    free: Mutex<Vec<Arc<(Client, Statement)>>>,
    permits: Semaphore,
}

/// A client in use. It is free again when this goes, also if whoever asked went away before the answer.
struct Lent<'a>(&'a Pool, Arc<(Client, Statement)>);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.free.lock().unwrap().push(Arc::clone(&self.1));
    }
}

/// Serves as the front of this peer; `signs` says whether it has the worker that signs.
pub fn serve(port: u16, clients: usize, signs: bool) {
    front::serve(async move {
        if signs {
            signing::start(port).await;
        }
        let mut free = Vec::new();
        for _ in 0..clients {
            let client = connect(port, "front").await.unwrap();
            let statement = client.prepare("SELECT decide($1, $2, $3, $4, $5, $6, $7)").await.unwrap();
            free.push(Arc::new((client, statement)));
        }
        let pool = Arc::new(Pool { free: Mutex::new(free), permits: Semaphore::new(clients) });
        Router::new().route("/v1/check", post(check)).with_state(pool)
    });
}

async fn check(State(pool): State<Arc<Pool>>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Asked>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let (key, context) = (front::key_hash(&headers), asked.context.to_string());
    let _permit = pool.permits.acquire().await.unwrap();
    // Goes before the permit does.
    let lent = Lent(&pool, pool.free.lock().unwrap().pop().unwrap());
    let (client, statement) = &*lent.1;
    let answered = client
        .query_one(
            statement,
            &[
                &key.as_slice(),
                &asked.authorization_id,
                &asked.scopes[0],
                &asked.resource,
                &asked.session_id,
                &asked.estimated_cost_micros,
                &context,
            ],
        )
        .await;
    match answered.map(|row| row.get::<_, Option<String>>(0)) {
        Ok(Some(text)) => front::answer(text),
        Ok(None) => StatusCode::UNAUTHORIZED.into_response(),
        Err(error) => {
            eprintln!("PostgreSQL refuses: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
