//! `allowlog replay`: the state again, from nothing.

use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::{DataArgument, Outcome, progress, say};
use crate::opening::open_log;
use crate::replay::replay;

#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    data: DataArgument,
    /// Stop before this log sequence
    #[arg(long, value_name = "SEQUENCE")]
    until: Option<u64>,
}

impl Replay {
    pub fn run(self) -> Outcome {
        let (_lock, store) = open_log(&self.data.path)?;
        let bar = progress::records("replaying");
        let started = Instant::now();
        let replayed = replay(&store, self.until, |position| bar.set_position(position));
        let seconds = started.elapsed().as_secs_f64();
        bar.finish_and_clear();
        let replayed = replayed?;
        let position = self.until.map_or(replayed.chain.next_sequence(), |until| until.min(replayed.chain.next_sequence()));
        let rate = (replayed.chain.next_sequence() as f64 / seconds.max(1e-9)).round();
        let summary = json!({
            "position": position,
            // The hash of a frame is of no use where only a part of it was replayed.
            "head": (position == replayed.chain.next_sequence()).then(|| replayed.chain.frame_hash()),
            "state": replayed.state.hash(),
            "authorizations": replayed.state.authorizations_count(),
            "events_per_second": rate,
        });
        say(summary)?;
        Ok(ExitCode::SUCCESS)
    }
}
