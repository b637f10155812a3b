//! `allowlog replay`: the state again, from nothing.

use std::process::ExitCode;
use std::sync::Arc;

use allowlog_proto::id::ReceiptId;
use allowlog_proto::record::Record;
use clap::Args;
use serde_json::json;

use super::{DataArgument, Outcome, progress, say};
use crate::clock::Stopwatch;
use crate::data_dir::DataDir;
use crate::log::Store;
use crate::log::disk::DiskStore;
use crate::opening::open_log;
use crate::replay::replay;
use crate::search::{Indexing, IndexingError};

mod explanation;

#[derive(Debug, Args)]
pub struct Replay {
    #[command(flatten)]
    data: DataArgument,
    /// Stop before this log sequence
    #[arg(long, value_name = "SEQUENCE")]
    until: Option<u64>,
    /// Explain the check of this receipt: the authorization as it stood, what each rung of the ladder saw, and whether the
    /// same is decided again
    #[arg(long, value_name = "RECEIPT_ID", value_parser = receipt_id, conflicts_with_all = ["until", "rebuild_search"])]
    explain: Option<ReceiptId>,
    /// Throw the search index away and build it anew from the whole log
    #[arg(long, conflicts_with = "until")]
    rebuild_search: bool,
}

impl Replay {
    pub fn run(self) -> Outcome {
        let (directory, store) = open_log(&self.data.path)?;
        let store = Arc::new(store);
        if let Some(id) = self.explain {
            return explain(&*store, id);
        }
        if let Some(until) = self.until.filter(|until| *until > store.head()) {
            return Err(format!("the log ends at sequence {}, before {until}", store.head()).into());
        }
        let bar = progress::records("replaying");
        let started = Stopwatch::start();
        let replayed = replay(&*store, self.until, |position| bar.set_position(position));
        let seconds = started.seconds();
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

/// Prints how the check of this receipt came to its decision; exits with 1 if it would not again.
fn explain(store: &dyn Store, id: ReceiptId) -> Outcome {
    let (sequence, record) = find(store, id)?.ok_or_else(|| format!("no record of the log has the receipt `{id}`"))?;
    let bar = progress::records("replaying");
    let replayed = replay(store, Some(sequence), |position| bar.set_position(position));
    bar.finish_and_clear();
    let Some(explanation) = allowlog_projections::decide::explain(&replayed?.state, &record) else {
        return Err(format!("`{id}` is not the receipt of a check: only checks are decided by the ladder").into());
    };
    let document = explanation::document(sequence, &record, &explanation);
    say(serde_json::to_string_pretty(&document)?)?;
    Ok(if explanation.agrees() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The record that leads to this receipt, of whatever workspace, with its sequence.
fn find(store: &dyn Store, id: ReceiptId) -> Result<Option<(u64, Record)>, Box<dyn std::error::Error>> {
    for frame in store.scan(store.locate(id.time_ms())?) {
        let frame = frame?;
        if frame.header().first_time_ms > id.time_ms() {
            break;
        }
        for (sequence, (bytes, _)) in (frame.header().first_sequence..).zip(frame.records()?) {
            let record = Record::decode(bytes)?;
            if record.event.receipt_id() == Some(id) {
                return Ok(Some((sequence, record)));
            }
        }
    }
    Ok(None)
}

fn receipt_id(text: &str) -> Result<ReceiptId, String> {
    ReceiptId::parse(text).ok_or_else(|| "is no receipt id, which looks like `rcp_01KA...`".to_owned())
}

/// The position that the new index goes up to.
fn rebuild_search(store: Arc<DiskStore>, directory: &DataDir) -> Result<u64, IndexingError> {
    let bar = progress::records("indexing");
    let rebuilt = Indexing::rebuild(store, directory.search(), |position| bar.set_position(position));
    bar.finish_and_clear();
    rebuilt
}
