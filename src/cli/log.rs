//! `allowlog log verify|show`: the stored bytes themselves.

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::process::ExitCode;

use allowlog_projections::receipts::receipt_hash;
use allowlog_proto::chain::Chain;
use allowlog_proto::id::WorkspaceId;
use allowlog_proto::record::Record;
use clap::Subcommand;
use data_encoding::HEXLOWER;
use serde_json::json;

use super::client::workspace_id;
use super::{DataArgument, Outcome, progress, say};
use crate::log::{Store as _, StoreError};
use crate::opening::open_log;

const REMEDY: &str = "`allowlog restore` makes a whole log from a backup or an archive, and keeps this one aside";

#[derive(Debug, Subcommand)]
pub enum Log {
    /// Check every frame, record and hash; exits with 1 and names the first bad sequence if one is bad
    Verify {
        #[command(flatten)]
        data: DataArgument,
    },
    /// Print records as JSON lines
    Show {
        #[command(flatten)]
        data: DataArgument,
        /// Begin at this log sequence
        #[arg(long, default_value_t = 0, value_name = "SEQUENCE")]
        from: u64,
        /// Print at most so many
        #[arg(long, value_name = "COUNT")]
        limit: Option<u64>,
        /// Only records of this workspace
        #[arg(long, value_name = "ID", value_parser = workspace_id)]
        workspace: Option<WorkspaceId>,
    },
}

impl Log {
    pub fn run(self) -> Outcome {
        match self {
            Self::Verify { data } => verify(&data),
            Self::Show { data, from, limit, workspace } => show(&data, from, limit, workspace),
        }
    }
}

fn verify(data: &DataArgument) -> Outcome {
    let (_lock, store) = open_log(&data.path)?;
    let bar = progress::records("verifying");
    let mut chain = Chain::new();
    let (mut frames, mut workspaces) = (0_u64, BTreeSet::new());
    let mut problem = None;
    for frame in store.scan(0) {
        let stored = frame.map_err(|e| match e {
            StoreError::Damaged { sequence, .. } => (sequence, e.to_string(), Some(REMEDY)),
            _ => (chain.next_sequence(), e.to_string(), Some(REMEDY)),
        });
        let admitted = stored.and_then(|frame| {
            let mut foreign = None;
            let each = |sequence, record: &Record, _| {
                workspaces.insert(record.workspace_id);
                if receipt_hash(record) != record.receipt {
                    foreign.get_or_insert(sequence);
                }
            };
            chain.admit(&frame, each).map_err(|e| match StoreError::version(&e) {
                // What is whole needs no restore, and its message says what can be done.
                Some(other) => (e.sequence, other.to_string(), None),
                None => (e.sequence, e.to_string(), Some(REMEDY)),
            })?;
            match foreign {
                None => Ok(()),
                Some(sequence) => {
                    let text = format!("the record at sequence {sequence} does not carry the hash of its receipt");
                    Err((sequence, text, Some(REMEDY)))
                }
            }
        });
        if let Err(e) = admitted {
            problem = Some(e);
            break;
        }
        frames += 1;
        bar.set_position(chain.next_sequence());
    }
    bar.finish_and_clear();
    let summary = json!({
        "ok": problem.is_none(),
        "records": chain.next_sequence(),
        "frames": frames,
        "workspaces": workspaces.len(),
        "head": chain.frame_hash(),
        "problem": problem.as_ref().map(|(_, text, _)| text),
        "first_bad_sequence": problem.as_ref().map(|(sequence, ..)| sequence),
        "remedy": problem.as_ref().and_then(|(.., remedy)| *remedy),
    });
    say(summary)?;
    Ok(if problem.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(data: &DataArgument, from: u64, limit: Option<u64>, workspace: Option<WorkspaceId>) -> Outcome {
    let (_lock, store) = open_log(&data.path)?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut left = limit.unwrap_or(u64::MAX);
    for frame in store.scan(from) {
        let frame = frame?;
        for (sequence, (bytes, hash)) in (frame.header().first_sequence..).zip(frame.records()?) {
            let record = Record::decode(bytes)?;
            let wanted = sequence >= from && workspace.is_none_or(|id| record.workspace_id == id);
            if !wanted {
                continue;
            }
            if left == 0 {
                return finish(out.flush());
            }
            left -= 1;
            let line = json!({
                "sequence": sequence,
                "workspace_id": record.workspace_id,
                "index": record.index,
                "time": record.time,
                "previous": record.previous,
                "receipt": HEXLOWER.encode(&record.receipt),
                "hash": hash,
                "event": record.event,
                "request": record.request,
            });
            if let Err(error) = writeln!(out, "{line}") {
                return finish(Err(error));
            }
        }
    }
    finish(out.flush())
}

/// A reader that has seen enough, like `head`, closes the pipe: that is no failure.
fn finish(written: io::Result<()>) -> Outcome {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}
