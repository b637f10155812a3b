//! `allowlog workspace create`.

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
}

impl Workspace {
    pub fn run(self) -> Outcome {
        let Self::Create { name, client } = self;
        client.call(Method::POST, "workspaces", Some(&json!({ "name": name })))
    }
}
