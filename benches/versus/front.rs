//! The HTTP front of a peer: axum with as many workers as the server has, in a process of its own.

use axum::Router;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse as _, Response};
use axum::serve::ListenerExt as _;
use rustix::process::Signal;
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::process::{Process, tied};

/// What the body of a check says.
#[derive(Deserialize)]
pub struct Asked {
    pub authorization_id: String,
    pub scopes: Vec<String>,
    pub resource: String,
    pub session_id: String,
    pub estimated_cost_micros: i64,
    pub context: Value,
}

/// A front that serves, as whoever measures it sees it.
pub struct Front {
    process: Process,
    pub url: String,
}

impl Front {
    /// This same program again, told to be a peer's front.
    pub fn start(arguments: &[&str]) -> Self {
        let mut command = tied(&std::env::current_exe().unwrap(), None, Signal::TERM);
        command.arg("peer").args(arguments);
        let mut process = Process::spawn(command, Signal::TERM);
        let url = process.line();
        Self { process, url }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }
}

/// Serves what the future makes until the process is ended.
pub fn serve(router: impl Future<Output = Router>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let router = router.await;
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("http://{}", socket.local_addr().unwrap());
        let socket = socket.tap_io(|stream| stream.set_nodelay(true).unwrap());
        axum::serve(socket, router).await.unwrap();
    });
}

/// The API key of a call, hashed as it is stored.
pub fn key_hash(headers: &HeaderMap) -> [u8; 32] {
    let key = headers[header::AUTHORIZATION].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    hash(key)
}

/// The hash of an API key: its secret has 256 bits, so that nothing slower is needed.
pub fn hash(key: &str) -> [u8; 32] {
    allowlog_proto::sha256::sha256(&[key.as_bytes()])
}

/// The answer to a check.
pub fn answer(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
