//! `allowlog workspace create|change|list`.

use allowlog_proto::event::Plan;
use allowlog_proto::id::WorkspaceId;
use clap::{ArgGroup, Subcommand};
use reqwest::Method;
use serde_json::json;

use super::client::{Client, workspace_id};
use super::{Outcome, plan};

#[derive(Debug, Subcommand)]
pub enum Workspace {
    /// Make a workspace; its API key is printed this once
    Create {
        /// What people call it
        #[arg(long)]
        name: String,
        /// What it may use: budgets and escalations need `pro` or `enterprise`
        #[arg(long, default_value = "enterprise", value_parser = plan)]
        plan: Plan,
        #[command(flatten)]
        client: Client,
    },
    /// Give a workspace another name or another plan; what was granted before stays as it is
    #[command(group = ArgGroup::new("what").required(true).multiple(true))]
    Change {
        /// Which workspace
        #[arg(value_name = "ID", value_parser = workspace_id)]
        workspace: WorkspaceId,
        /// What people call it from now on
        #[arg(long, group = "what")]
        name: Option<String>,
        /// What it may use from now on
        #[arg(long, group = "what", value_parser = plan)]
        plan: Option<Plan>,
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
            Self::Create { name, plan, client } => client.call(Method::POST, "workspaces", Some(&json!({ "name": name, "plan": plan }))),
            Self::Change { workspace, name, plan, client } => {
                client.call(Method::PATCH, &format!("workspaces/{workspace}"), Some(&json!({ "name": name, "plan": plan })))
            }
            Self::List { client } => client.call(Method::GET, "workspaces", None),
        }
    }
}
