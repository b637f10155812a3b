//! `allowlog signing-key rotate`.

use clap::Subcommand;
use reqwest::Method;

use super::Outcome;
use super::client::Client;

#[derive(Debug, Subcommand)]
pub enum SigningKey {
    /// Sign with a new key from now on; the old one stays in the key document for ever
    Rotate {
        /// Of which workspace
        #[arg(long)]
        workspace: String,
        #[command(flatten)]
        client: Client,
    },
}

impl SigningKey {
    pub fn run(self) -> Outcome {
        let Self::Rotate { workspace, client } = self;
        client.call(Method::POST, &format!("workspaces/{workspace}/signing-keys"), None)
    }
}
