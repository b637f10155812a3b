//! The Redis peer: a server of its own that syncs its file for every write, and a front that pipelines over one connection.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};
use rustix::process::Signal;
use tokio::runtime::Runtime;

use crate::front::{self, Asked, Front};
use crate::postgres::free_port;
use crate::process::{Process, cpu_us, tied, tree_cpu_us, tree_resident_bytes};
use crate::server::{BUDGET_MICROS, COST_MICROS, PER_DAY, Tenants};
use crate::subject::{Counts, Cpu, Subject};

const SCRIPT: &str = include_str!("redis.lua");
/// A disk that others write to may take its time.
const PATIENCE: Duration = Duration::from_secs(180);
/// 2099-01-01.
const EXPIRES_AT_S: u64 = 4_070_908_800;

pub struct Redis {
    front: Front,
    server: Process,
    connection: MultiplexedConnection,
    runtime: Arc<Runtime>,
    authorizations: Vec<String>,
    workspaces: usize,
}

impl Redis {
    /// An empty server with the same workspaces, keys and authorizations as ours.
    pub fn start(runtime: &Arc<Runtime>, directory: &Path, tenants: &Tenants) -> Self {
        let data = directory.join("redis");
        fs::create_dir(&data).unwrap();
        let port = free_port();
        let mut redis = tied(Path::new("redis-server"), None, Signal::TERM);
        redis.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--dir"]).arg(&data);
        redis.args(["--appendonly", "yes", "--appendfsync", "always"]);
        // The file is not rewritten in the midst of a measurement, but between two.
        redis.args(["--save", "", "--auto-aof-rewrite-percentage", "0"]);
        let telemetry = directory.join("redis.out");
        redis.args(["--logfile".as_ref(), telemetry.as_os_str()]).stderr(File::create(directory.join("redis.err")).unwrap());
        let mut server = Process::spawn(redis, Signal::TERM);
        let started = Instant::now();
        let mut connection = loop {
            if let Ok(connection) = runtime.block_on(connect(port)) {
                break connection;
            }
            let said = || fs::read_to_string(&telemetry).unwrap_or_default();
            assert!(!server.has_ended() && started.elapsed() < PATIENCE, "Redis does not start: {}", said());
            thread::sleep(Duration::from_millis(50));
        };
        runtime.block_on(fill(&mut connection, tenants));
        let front = Front::start(&["redis", &port.to_string()]);
        let authorizations = tenants.authorizations.iter().map(|(_, id)| id.clone()).collect();
        Self { front, server, connection, runtime: Arc::clone(runtime), authorizations, workspaces: tenants.api_keys.len() }
    }

    /// What was written is forgotten and its file made anew, so that neither memory nor disk runs out. The chain goes on.
    async fn trim(&mut self) {
        let connection = &mut self.connection;
        let mut trimming = redis::pipe();
        for workspace in 0..self.workspaces {
            trimming.cmd("UNLINK").arg(format!("events:{workspace}")).ignore();
        }
        trimming.query_async::<()>(connection).await.unwrap();
        redis::cmd("BGREWRITEAOF").query_async::<String>(connection).await.unwrap();
        loop {
            let persistence: String = redis::cmd("INFO").arg("persistence").query_async(connection).await.unwrap();
            let still = ["aof_rewrite_in_progress:1", "aof_rewrite_scheduled:1"];
            if !still.iter().any(|busy| persistence.contains(busy)) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn connect(port: u16) -> RedisResult<MultiplexedConnection> {
    // Nobody gives up early: the other sides' clients do not either.
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    Client::open(format!("redis://127.0.0.1:{port}/"))?.get_multiplexed_async_connection_with_config(&config).await
}

async fn fill(connection: &mut MultiplexedConnection, tenants: &Tenants) {
    let mut filling = redis::pipe();
    for (workspace, key) in tenants.api_keys.iter().enumerate() {
        filling.cmd("HSET").arg("api-keys").arg(front::hash(key).as_slice()).arg(workspace).ignore();
    }
    for (n, (workspace, id)) in tenants.authorizations.iter().enumerate() {
        filling.cmd("HSET").arg(format!("authorization:{id}")).arg("workspace").arg(*workspace);
        filling.arg("user_id").arg(format!("user_{n:06}")).arg("agent_id").arg("mailer").arg("expires_at").arg(EXPIRES_AT_S);
        filling.arg("max_per_day").arg(PER_DAY).arg("budget_limit_micros").arg(BUDGET_MICROS).ignore();
        filling.cmd("SADD").arg(format!("scopes:{id}")).arg("email.read").arg("email.send").ignore();
    }
    filling.query_async::<()>(connection).await.unwrap();
}

impl Subject for Redis {
    fn url(&self) -> &str {
        &self.front.url
    }

    fn cpu(&self) -> Cpu {
        Cpu { front_us: cpu_us(self.front.id()), database_us: tree_cpu_us(self.server.id()), behind_us: 0.0 }
    }

    fn resident_bytes(&self) -> u64 {
        tree_resident_bytes(self.front.id()) + tree_resident_bytes(self.server.id())
    }

    fn counts(&mut self) -> Option<Counts> {
        let mut asking = redis::pipe();
        for id in &self.authorizations {
            asking.cmd("HGET").arg(format!("authorization:{id}")).arg("budget_spent_micros");
        }
        let spent: Vec<Option<u64>> = self.runtime.block_on(asking.query_async(&mut self.connection)).unwrap();
        Some(Counts { allowed: spent.into_iter().flatten().sum::<u64>() / COST_MICROS, events_and_syncs: None })
    }

    fn rest(&mut self) -> Duration {
        let runtime = Arc::clone(&self.runtime);
        runtime.block_on(self.trim());
        Duration::ZERO
    }
}

/// Serves as the front of this peer.
pub fn serve(port: u16) {
    front::serve(async move {
        let mut connection = connect(port).await.unwrap();
        let script: String = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(&mut connection).await.unwrap();
        Router::new().route("/v1/check", post(check)).with_state((connection, Arc::from(script)))
    });
}

async fn check(State((mut connection, script)): State<(MultiplexedConnection, Arc<str>)>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Asked>(&body) else { return StatusCode::BAD_REQUEST.into_response() };
    let mut call = redis::cmd("EVALSHA");
    call.arg(&*script).arg(0).arg(front::key_hash(&headers).as_slice()).arg(asked.authorization_id).arg(&asked.scopes[0]);
    call.arg(asked.resource).arg(asked.session_id).arg(asked.estimated_cost_micros).arg(asked.context.to_string());
    match call.query_async::<Option<String>>(&mut connection).await {
        Ok(Some(text)) => front::answer(text),
        Ok(None) => StatusCode::UNAUTHORIZED.into_response(),
        Err(error) => {
            eprintln!("Redis refuses: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
