//! `allowlog init`: a data directory with its first workspace, without a server.

use std::process::ExitCode;
use std::sync::Arc;

use allowlog_proto::event::Plan;
use allowlog_proto::text::Name;
use clap::Args;
use serde_json::json;

use super::{DataArgument, Outcome, master_key, plan, runtime, say};
use crate::app::App;
use crate::opening::open;

#[derive(Debug, Args)]
pub struct Init {
    #[command(flatten)]
    data: DataArgument,
    /// Name of the first workspace
    #[arg(long, default_value = "default")]
    name: String,
    /// What the first workspace may use: `free`, `starter`, `pro` or `enterprise`
    #[arg(long, default_value = "enterprise", value_parser = plan)]
    plan: Plan,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

impl Init {
    pub fn run(self) -> Outcome {
        let name = Name::new(&self.name).map_err(|e| format!("the name {e}"))?;
        let (_lock, mut parts) = open(&self.data.path, None, master_key().as_deref().map(String::as_str), String::new(), false, |_| {})?;
        if parts.replayed.chain.next_sequence() > 0 {
            return Err(format!("`{}` is initialised already", self.data.path.display()).into());
        }
        let (store, admin_token) = (Arc::clone(&parts.store), parts.admin_token.take_drawn().unwrap_or_default());
        let (app, threads) = App::start(parts)?;
        let created = runtime()?.block_on(app.create_workspace(name, self.plan));
        drop(app);
        threads.join();
        drop(store);
        let (created, api_key) = created?;
        if self.json {
            say(format_args!(
                "{}",
                json!({
                    "workspace_id": created.workspace_id,
                    "api_key": api_key,
                    "admin_token": *admin_token,
                    "key_id": created.key_id,
                })
            ))?;
        } else {
            say(format_args!("`{}` is initialised. The API key is shown this once:\n", self.data.path.display()))?;
            say(format_args!("  workspace    {}", created.workspace_id))?;
            say(format_args!("  API key      {api_key}"))?;
            say(format_args!("  signing key  {}", created.key_id))?;
            say(format_args!("  admin token  {}", *admin_token))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
