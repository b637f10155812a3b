//! The archive beside the log: gap-free, never needed for an answer, and never of another log.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use super::{Author, assert_same, audit, crash, fill_the_journal, options};
use crate::log::disk::archive::Archive;
use crate::log::disk::files::scripted::{Fault, ScriptedFiles};
use crate::log::disk::files::{Files, OsFiles};
use crate::log::disk::{DiskOptions, DiskStore, lock};
use crate::log::{Store, StoreError};

pub(super) fn with_archive(files: &ScriptedFiles, dir: &Path) -> DiskOptions {
    DiskOptions { archive: Some(dir.to_owned()), ..options(files) }
}

/// Every frame of an archive, which must be a chain from the beginning of the log.
fn archived(dir: &Path) -> Vec<Vec<u8>> {
    let archive = Arc::new(Archive::open(Arc::new(OsFiles), dir).unwrap());
    let mut chain = allowlog_proto::chain::Chain::new();
    let frames: Vec<_> = archive.frames(0).map(Result::unwrap).collect();
    frames.iter().for_each(|frame| chain.admit(frame, |_, _, _| {}).unwrap());
    assert_eq!(archive.reach().unwrap().end.sequence, chain.next_sequence());
    frames.iter().map(|frame| frame.bytes().to_vec()).collect()
}

fn pieces(dir: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    let mut pieces: Vec<_> = names.filter(|path| path.extension().is_some_and(|e| e == "journal")).collect();
    pieces.sort();
    pieces
}

fn fill(store: &DiskStore, author: &mut Author, frames: usize) -> Vec<Vec<u8>> {
    let mut written = Vec::new();
    for nth in 0..frames {
        let frame = author.frame(10_000);
        written.push(frame.bytes().to_vec());
        store.append(frame).unwrap();
        if nth % 10 == 9 {
            store.settle().unwrap();
        }
    }
    store.settle().unwrap();
    written
}

/// Where what must be archived ends.
fn goal(store: &DiskStore) -> u64 {
    lock(&store.shared.journal).archive_goal()
}

#[test]
fn full_journal_files_are_archived_before_they_are_used_again() {
    let (dir, archive, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), ScriptedFiles::new());
    let mut author = Author::new(21);
    fs::create_dir(dir.path().join("keys")).unwrap();
    fs::write(dir.path().join("keys/a.sealed"), b"sealed").unwrap();
    fs::write(dir.path().join("master.key"), b"secret").unwrap();
    let mut written = Vec::new();
    for _ in 0..2 {
        let store = DiskStore::open(dir.path(), with_archive(&files, archive.path())).unwrap();
        written.extend(fill(&store, &mut author, 60));
        store.wait_for_archive(goal(&store)).unwrap();
        let found = archived(archive.path());
        assert!(found.len() + 10 > written.len(), "all but the tail: {} of {}", found.len(), written.len());
        assert_same(&found, &written[..found.len()], "the archive");
        store.close().unwrap();
    }
    assert!(pieces(archive.path()).len() > 10);
    // A key that is made later is copied with the next round.
    let store = DiskStore::open(dir.path(), with_archive(&files, archive.path())).unwrap();
    fs::write(dir.path().join("keys/b.sealed"), b"later").unwrap();
    written.extend(fill(&store, &mut author, 20));
    store.wait_for_archive(goal(&store)).unwrap();
    store.close().unwrap();
    assert_eq!(fs::read(archive.path().join("keys/b.sealed")).unwrap(), b"later");
    assert_eq!(fs::read(archive.path().join("keys/a.sealed")).unwrap(), b"sealed");
    assert!(!archive.path().join("master.key").exists());
    // Each piece is a journal file of just the size its header says.
    for piece in pieces(archive.path()) {
        let bytes = fs::read(&piece).unwrap();
        assert_eq!(u64::from_be_bytes(bytes[16..24].try_into().unwrap()), bytes.len() as u64);
        assert_eq!(format!("{:020}", u64::from_be_bytes(bytes[24..32].try_into().unwrap())), piece.file_stem().unwrap().to_str().unwrap());
    }
}

#[test]
fn an_archive_begun_later_or_with_a_file_missing_is_made_whole() {
    let (dir, archive, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), ScriptedFiles::new());
    let mut author = Author::new(22);
    let store = DiskStore::open(dir.path(), options(&files)).unwrap();
    let mut written = fill(&store, &mut author, 80);
    store.close().unwrap();
    for missing in [None, Some(0), Some(3), Some(4)] {
        if let Some(nth) = missing {
            fs::remove_file(&pieces(archive.path())[nth]).unwrap();
        }
        let store = DiskStore::open(dir.path(), with_archive(&files, archive.path())).unwrap();
        store.wait_for_archive(goal(&store)).unwrap();
        assert!(goal(&store) > 0);
        let found = archived(archive.path());
        assert_same(&found, &written[..found.len()], "without another frame");
        written.extend(fill(&store, &mut author, 10));
        store.wait_for_archive(goal(&store)).unwrap();
        let found = archived(archive.path());
        assert!(found.len() + 10 > written.len());
        assert_same(&found, &written[..found.len()], &format!("piece {missing:?} was missing"));
    }
}

#[test]
fn an_archive_that_fails_holds_nothing_up_but_the_reuse_of_files() {
    let (dir, archive, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), ScriptedFiles::new());
    let mut author = Author::new(23);
    let store = DiskStore::open(dir.path(), with_archive(&files, archive.path())).unwrap();
    files.break_path(".partial", Fault::Torn);
    let mut written = fill_the_journal(&store, &mut author, |frames| {
        if frames % 10 == 0 {
            store.settle().unwrap();
        }
    });
    assert!(written.len() > 30, "the journal's bound is reached first");
    let image = crash(dir.path());
    store.wait_for_archive(1).unwrap_err();
    assert!(archived(archive.path()).is_empty());
    files.mend();
    // A try that was under way while the fault was mended may fail still.
    store.wait_for_archive(goal(&store)).or_else(|_| store.wait_for_archive(goal(&store))).unwrap();
    // The settler makes spares of what was freed.
    while matches!(store.recover(), Err(StoreError::JournalFull(_))) {
        std::thread::yield_now();
    }
    written.extend(fill(&store, &mut author, 30));
    store.wait_for_archive(goal(&store)).unwrap();
    let found = archived(archive.path());
    assert!(found.len() + 10 > written.len());
    assert_same(&found, &written[..found.len()], "the archive");
    assert_same(&audit(&store), &written, "the log");
    drop(store);
    // What a crash left unarchived is archived by the next start.
    let again = tempfile::tempdir().unwrap();
    let store = DiskStore::open(image.path(), with_archive(&files, again.path())).unwrap();
    store.settle().unwrap();
    store.wait_for_archive(goal(&store)).unwrap();
    let found = archived(again.path());
    assert!(found.len() > 30);
    assert_same(&found, &written[..found.len()], "after a crash");
}

#[test]
fn every_operation_of_the_archive_may_fail() {
    for fault in [Fault::Lost, Fault::DoneButFailed, Fault::Torn] {
        for nth in 0..12 {
            let context = format!("{fault:?} {nth}");
            let (dir, archive, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), ScriptedFiles::new());
            let mut author = Author::new(24);
            let written = {
                let store = DiskStore::open(dir.path(), options(&files)).unwrap();
                let written = fill(&store, &mut author, 20);
                store.close().unwrap();
                written
            };
            // Nothing but the archiver works on files now.
            let target = Arc::new(Archive::open(Arc::new(files.clone()), archive.path()).unwrap());
            let source = DiskStore::open(dir.path(), options(&ScriptedFiles::new())).unwrap();
            let archiving =
                crate::log::disk::archiving::Archiving { archive: target, keys: dir.path().join("keys"), piece_bytes: 64 * 1024 };
            files.fail(nth, fault);
            let failed = archiving.catch_up(&source.shared).is_err();
            // A crash here.
            let image = crash(archive.path());
            drop(source);
            assert_same(&archived(image.path()), &written[..archived(image.path()).len()], &context);
            let store = DiskStore::open(dir.path(), with_archive(&ScriptedFiles::new(), image.path())).unwrap();
            store.wait_for_archive(goal(&store)).unwrap();
            let found = archived(image.path());
            assert!(found.len() + 10 > written.len(), "{context}");
            assert_same(&found, &written[..found.len()], &context);
            assert!(failed || nth > 5, "{context}");
        }
    }
}

#[test]
fn an_archive_of_another_log_or_ahead_of_this_one_is_refused() {
    let files = ScriptedFiles::new();
    let make = |seed: u64, frames: usize| -> (TempDir, TempDir) {
        let (dir, archive) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = DiskStore::open(dir.path(), with_archive(&files, archive.path())).unwrap();
        fill(&store, &mut Author::new(seed), frames);
        store.wait_for_archive(goal(&store)).unwrap();
        store.close().unwrap();
        (dir, archive)
    };
    let (_, archive) = make(25, 30);
    let (other, _) = make(26, 60);
    let (shorter, _) = make(25, 5);
    let refused = |dir: &Path, words: &str| {
        let before = pieces(archive.path());
        let error = DiskStore::open(dir, with_archive(&files, archive.path())).err().unwrap();
        assert!(matches!(error, StoreError::Archive(_)) && error.to_string().contains(words), "{error}");
        assert_eq!(pieces(archive.path()), before);
    };
    refused(other.path(), "is of another log");
    refused(shorter.path(), "allowlog restore --from");
    refused(tempfile::tempdir().unwrap().path(), "allowlog restore --from");
    // A piece that was cut, or of which a bit was flipped where it is looked at.
    let piece = pieces(archive.path())[1].clone();
    let bytes = fs::read(&piece).unwrap();
    let (dir, _) = make(25, 30);
    for spoilt in [bytes[..bytes.len() - 1].to_vec(), bytes[..100].to_vec(), [&bytes[..30], &[0xff], &bytes[31..]].concat()] {
        fs::write(&piece, spoilt).unwrap();
        refused(dir.path(), "move that file away");
    }
    fs::write(&piece, bytes).unwrap();
    let files: Arc<dyn Files> = Arc::new(OsFiles);
    assert!(Archive::open(files, archive.path()).is_ok());
}
