//! `allowlog replay`: the state again, from nothing.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use serde_json::json;

use super::{DataArgument, Outcome, progress, say};
use crate::data_dir::DataDir;
use crate::log::disk::DiskStore;
use crate::opening::open_log;
use crate::replay::replay;
use crate::search::{Indexing, IndexingError};

#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    data: DataArgument,
    /// Stop before this log sequence
    #[arg(long, value_name = "SEQUENCE")]
    until: Option<u64>,
    /// Throw the search index away and build it anew from the whole log
    #[arg(long, conflicts_with = "until")]
    rebuild_search: bool,
}

impl Replay {
    pub fn run(self) -> Outcome {
        let (directory, store) = open_log(&self.data.path)?;
        let store = Arc::new(store);
        let bar = progress::records("replaying");
        let started = Instant::now();
        let replayed = replay(&*store, self.until, |position| bar.set_position(position));
        let seconds = started.elapsed().as_secs_f64();
        bar.finish_and_clear();
        let replayed = replayed?;
        let position = self.until.map_or(replayed.chain.next_sequence(), |until| until.min(replayed.chain.next_sequence()));
        let rate = (replayed.chain.next_sequence() as f64 / seconds.max(1e-9)).round();
        let indexed = if self.rebuild_search { Some(rebuild_search(store, &directory)?) } else { None };
        let mut summary = json!({
            "position": position,
            // The hash of a frame is of no use where only a part of it was replayed.
            "head": (position == replayed.chain.next_sequence()).then(|| replayed.chain.frame_hash()),
            "state": replayed.state.hash(),
            "authorizations": replayed.state.authorizations_count(),
            "events_per_second": rate,
        });
        if let Some(position) = indexed {
            summary["search_rebuilt"] = position.into();
        }
        say(summary)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The position that the new index goes up to.
fn rebuild_search(store: Arc<DiskStore>, directory: &DataDir) -> Result<u64, IndexingError> {
    let bar = progress::records("indexing");
    let rebuilt = Indexing::rebuild(store, directory.search(), |position| bar.set_position(position));
    bar.finish_and_clear();
    rebuilt
}
