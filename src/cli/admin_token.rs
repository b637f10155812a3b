//! `allowlog admin-token rotate`.

use std::process::ExitCode;

use clap::Subcommand;

use super::{DataArgument, Outcome, say};
use crate::admin_token::AdminToken;
use crate::data_dir::DataDir;

#[derive(Debug, Subcommand)]
pub enum Token {
    /// Draw another admin token and print it this once; the one before opens nothing any more
    Rotate {
        #[command(flatten)]
        data: DataArgument,
    },
}

impl Token {
    pub fn run(self) -> Outcome {
        let Self::Rotate { data } = self;
        let directory = DataDir::open(&data.path)?;
        if let Some(text) = AdminToken::draw(&directory)?.take_drawn() {
            say(&*text)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
