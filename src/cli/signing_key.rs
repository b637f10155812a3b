//! `allowlog signing-key rotate|list`.

use allowlog_proto::id::WorkspaceId;
use clap::Subcommand;
use reqwest::Method;

use super::Outcome;
use super::client::{Client, workspace_id};

#[derive(Debug, Subcommand)]
pub enum SigningKey {
    /// Sign with a new key from now on; the old one stays in the key document for ever
    Rotate {
        /// Of which workspace
        #[arg(long, value_name = "ID", value_parser = workspace_id)]
        workspace: WorkspaceId,
        #[command(flatten)]
        client: Client,
    },
    /// List the signing keys of a workspace with the windows in which they sign
    List {
        /// Of which workspace
        #[arg(long, value_name = "ID", value_parser = workspace_id)]
        workspace: WorkspaceId,
        #[command(flatten)]
        client: Client,
    },
}

impl SigningKey {
    pub fn run(self) -> Outcome {
        let (method, workspace, client) = match self {
            Self::Rotate { workspace, client } => (Method::POST, workspace, client),
            Self::List { workspace, client } => (Method::GET, workspace, client),
        };
        client.call(method, &format!("workspaces/{workspace}/signing-keys"), None)
    }
}
