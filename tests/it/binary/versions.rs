//! A data directory that another build has written.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use allowlog::log::disk::{DiskOptions, DiskStore};
use allowlog::log::{Store as _, backup};
use allowlog_proto::frame::{FRAME_CLOSING_BYTES, FRAME_HEADER_BYTES, Frame};
use allowlog_proto::record;

use super::process::{init, run, text};

/// Where in a frame the hash of the one before it stands.
const PREVIOUS: usize = FRAME_HEADER_BYTES - 32;

/// The same frame with records of this version, behind another one.
fn of_version(version: u8, frame: &Frame, previous: [u8; 32]) -> Frame {
    let mut bytes = frame.bytes().to_vec();
    bytes[PREVIOUS..FRAME_HEADER_BYTES].copy_from_slice(&previous);
    let mut closing = blake3::Hasher::new();
    closing.update(b"allowlog.frame.v1\n").update(&bytes[..FRAME_HEADER_BYTES]);
    let mut at = FRAME_HEADER_BYTES;
    for record in frame.contents() {
        let place = at + 4..at + 4 + record.len();
        bytes[place.start] = version;
        at = place.end;
        closing.update(&record::hash(&bytes[place]).unwrap().0);
    }
    let end = bytes.len() - FRAME_CLOSING_BYTES;
    bytes[end..].copy_from_slice(closing.finalize().as_bytes());
    Frame::read(&bytes).unwrap()
}

fn frames(data: &Path) -> Vec<Frame> {
    let store = open(data);
    let frames = store.scan(0).map(|frame| Frame::clone(&frame.unwrap())).collect();
    store.close().unwrap();
    frames
}

fn open(data: &Path) -> DiskStore {
    DiskStore::open(data, DiskOptions::default()).unwrap()
}

/// Makes the log anew, as a build of this version would have written it.
fn rewrite(data: &Path, version: u8, settled: bool) -> Vec<Frame> {
    let mut written: Vec<Frame> = Vec::new();
    for frame in frames(data) {
        let previous = written.last().map_or([0; 32], |last| last.hash().0);
        written.push(of_version(version, &frame, previous));
    }
    fs::remove_dir_all(data.join("journal")).unwrap();
    fs::remove_dir_all(data.join("log")).unwrap();
    let store = open(data);
    written.iter().for_each(|frame| store.append(frame.clone()).unwrap());
    store.close().unwrap();
    if !settled {
        // As after a SIGKILL: the journal alone has it.
        let empty = data.with_extension("empty");
        open(&empty).close().unwrap();
        fs::remove_dir_all(data.join("log")).unwrap();
        fs::rename(empty.join("log"), data.join("log")).unwrap();
    }
    written
}

#[test]
fn a_log_of_another_version_is_refused_by_its_version_and_left_as_it_is() {
    for (version, settled) in [(3, true), (3, false), (5, true)] {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("data");
        init(&data);
        let written = rewrite(&data, version, settled);
        let path = data.to_str().unwrap();
        let said = format!(
            "the log has records of format version {version} from sequence 0 on, and this build reads version 4 alone; they are as they \
             were: go on with the build that wrote them, or begin anew with another `--data`"
        );
        for command in [&["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"][..], &["replay"], &["init"]] {
            let output = run(&[command, &["--data", path]].concat());
            assert_eq!(output.status.code(), Some(1), "{command:?}");
            assert!(text(&output.stderr).contains(&said), "{command:?}: {}", text(&output.stderr));
        }
        let output = run(&["log", "verify", "--data", path]);
        assert_eq!(output.status.code(), Some(1));
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(summary["problem"].as_str().unwrap().contains(&said), "{summary}");
        assert_eq!((&summary["first_bad_sequence"], &summary["remedy"]), (&0.into(), &serde_json::Value::Null), "nothing to restore");
        let (file, elsewhere) = (directory.path().join("backup"), directory.path().join("elsewhere"));
        let frames_of_it = Box::new(written.clone().into_iter().map(|frame| Ok(Arc::new(frame))));
        backup::write(fs::File::create(&file).unwrap(), &[], frames_of_it, |_| {}).unwrap();
        let output = run(&["restore", "--from", file.to_str().unwrap(), "--data", elsewhere.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(&said), "{}", text(&output.stderr));
        assert_eq!(frames(&data), written, "the build that wrote it can go on");
    }
}
