//! `allowlog workspace create|list`.

use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::Outcome;
use super::client::Client;

#[derive(Debug, Subcommand)]
pub enum Workspace {
    /// Make a workspace; its API key is printed this once
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        #[command(flatten)]
        client: Client,
    },
    /// List the workspaces
    List {
        #[command(flatten)]
        client: Client,
    },
}

impl Workspace {
    pub fn run(self) -> Outcome {
        match self {
            Self::Create { name, client } => client.call(Method::POST, "workspaces", Some(&json!({ "name": name }))),
            Self::List { client } => client.call(Method::GET, "workspaces", None),
        }
    }
}
