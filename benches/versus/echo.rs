//! The ceiling: an axum handler that parses the body and answers as many bytes as the server does, and decides nothing.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use serde_json::Value;

use crate::front::{self, Front};
use crate::process::{cpu_us, tree_resident_bytes};
use crate::subject::{Cpu, Subject};

pub struct Echo(Front);

impl Echo {
    pub fn start(answer_bytes: usize) -> Self {
        Self(Front::start(&["echo", &answer_bytes.to_string()]))
    }
}

impl Subject for Echo {
    fn url(&self) -> &str {
        &self.0.url
    }

    fn cpu(&self) -> Cpu {
        Cpu { front_us: cpu_us(self.0.id()), database_us: 0.0, behind_us: 0.0 }
    }

    fn resident_bytes(&self) -> u64 {
        tree_resident_bytes(self.0.id())
    }
}

/// Serves as the front of this peer.
pub fn serve(answer_bytes: usize) {
    front::serve(async move { Router::new().route("/v1/check", post(echo)).with_state(answer_bytes) });
}

async fn echo(State(answer_bytes): State<usize>, body: Bytes) -> Response {
    let asked: Value = serde_json::from_slice(&body).unwrap();
    let head = format!(r#"{{"authorization_id":{},"rest":""#, asked["authorization_id"]);
    let mut text = String::with_capacity(answer_bytes);
    text.push_str(&head);
    text.push_str(&".".repeat(answer_bytes.saturating_sub(head.len() + 2)));
    text.push_str("\"}");
    front::answer(text)
}
