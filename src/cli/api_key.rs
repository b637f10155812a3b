//! `allowlog api-key create|list|revoke`.

use allowlog_proto::id::{ApiKeyId, WorkspaceId};
use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::Outcome;
use super::client::{Client, api_key_id as parse_api_key_id, workspace_id};

#[derive(Debug, Subcommand)]
pub enum ApiKey {
    /// Make an API key; it is printed this once
    Create {
        /// Of which workspace
        #[arg(long, value_name = "ID", value_parser = workspace_id)]
        workspace: WorkspaceId,
        /// What people call it
        #[arg(long)]
        name: String,
        /// How its text is spelt: `allowly`, `permitly` or `affixio`; a key of any style opens every face
        #[arg(long, default_value = "allowly")]
        style: String,
        /// What it may do: `runtime` everything, `read` nothing that leaves an event
        #[arg(long, default_value = "runtime")]
        role: String,
        /// From when on it opens nothing, as in 2027-01-31T12:00:00Z
        #[arg(long, value_name = "TIME")]
        expires_at: Option<String>,
        #[command(flatten)]
        client: Client,
    },
    /// List the API keys of a workspace, without their secrets
    List {
        /// Of which workspace
        #[arg(long, value_name = "ID", value_parser = workspace_id)]
        workspace: WorkspaceId,
        #[command(flatten)]
        client: Client,
    },
    /// Revoke an API key: the next request with it is refused
    Revoke {
        /// Of which workspace
        #[arg(long, value_name = "ID", value_parser = workspace_id)]
        workspace: WorkspaceId,
        /// The key's id, as in the list
        #[arg(value_parser = parse_api_key_id)]
        api_key_id: ApiKeyId,
        #[command(flatten)]
        client: Client,
    },
}

impl ApiKey {
    pub fn run(self) -> Outcome {
        match self {
            Self::Create { workspace, name, style, role, expires_at, client } => {
                let body = json!({ "name": name, "style": style, "role": role, "expires_at": expires_at });
                client.call(Method::POST, &format!("workspaces/{workspace}/api-keys"), Some(&body))
            }
            Self::List { workspace, client } => client.call(Method::GET, &format!("workspaces/{workspace}/api-keys"), None),
            Self::Revoke { workspace, api_key_id, client } => {
                client.call(Method::DELETE, &format!("workspaces/{workspace}/api-keys/{api_key_id}"), None)
            }
        }
    }
}
