//! A store the operating system will not serve just now: no file descriptor, no room, no writing at all. What is durable
//! is still read, nothing is taken for damage, and all goes on once the cause is gone.
//!
//! The real limits hold for a whole process, so these tests run in processes of their own.

use std::fs;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::archive::with_archive;
use super::{Author, assert_same, audit, options};
use crate::log::disk::files::scripted::{Fault, ScriptedFiles};
use crate::log::disk::{DiskOptions, DiskStore};
use crate::log::{Store, StoreError};

/// Runs one of the tests below alone, and lets writes that pass a limit be errors rather than the end.
fn alone(test: &str) {
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("log::disk::tests::limits::{test}"), "--nocapture", "--test-threads=1"])
        .env("ALLOWLOG_TEST_ALONE", "1")
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(child.status.success(), "{}\n{}", text(&child.stdout), text(&child.stderr));
}

fn is_alone() -> bool {
    std::env::var_os("ALLOWLOG_TEST_ALONE").is_some()
}

fn limit(resource: Resource, current: Option<u64>) {
    setrlimit(resource, Rlimit { current, ..getrlimit(resource) }).unwrap();
}

fn small(files: &ScriptedFiles) -> DiskOptions {
    DiskOptions { journal_file_bytes: 32 * 1024, volume_bytes: 80 * 1024, ..options(files) }
}

/// Frames in several volumes, settled, and signed.
fn filled(options: DiskOptions, dir: &std::path::Path) -> (DiskStore, Author, Vec<Vec<u8>>) {
    let store = DiskStore::open(dir, options).unwrap();
    let mut author = Author::new(61);
    for nth in 0..80 {
        store.append(author.frame(4_000)).unwrap();
        if nth % 10 == 0 {
            store.settle().unwrap();
        }
    }
    let run: Vec<_> = (0..store.head()).map(|sequence| [(sequence % 251) as u8; 64]).collect();
    store.put_signatures(0, &run).unwrap();
    store.settle().unwrap();
    let written = audit(&store);
    (store, author, written)
}

/// Appends until it fails; says what of it was stored.
fn until_refused(store: &DiskStore, author: &mut Author, written: &mut Vec<Vec<u8>>, most: usize) -> Option<StoreError> {
    for _ in 0..most {
        let kept = author.clone();
        let frame = author.frame(4_000);
        match store.append(frame.clone()) {
            Ok(()) => written.push(frame.bytes().to_vec()),
            Err(error) => {
                *author = kept;
                return Some(error);
            }
        }
    }
    None
}

/// The head of what was written can be read, from memory, and so can its signatures.
fn newest_is_read(store: &DiskStore, written: &[Vec<u8>]) {
    let from = store.head() - 3;
    let frames: Vec<_> = store.scan(from).map(|frame| frame.unwrap().bytes().to_vec()).collect();
    assert_same(&frames, &written[written.len() - frames.len()..], "the newest");
    let sequence = store.signed() - 1;
    assert_eq!(store.signature(sequence).unwrap(), Some([(sequence % 251) as u8; 64]));
}

fn goes_on(store: &DiskStore, author: &mut Author, written: &mut Vec<Vec<u8>>) {
    while store.settle().is_err() {}
    store.recover().unwrap();
    assert!(until_refused(store, author, written, 60).is_none());
    store.settle().unwrap();
    assert_same(&audit(store), written, "all of it");
}

#[test]
fn without_file_descriptors() {
    if !is_alone() {
        return alone("without_file_descriptors");
    }
    let (dir, archive, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), ScriptedFiles::new());
    let options = DiskOptions { archive: Some(archive.path().to_owned()), ..small(&files) };
    let (store, mut author, mut written) = filled(options, dir.path());
    store.pause();
    let before = getrlimit(Resource::Nofile).current;
    // Not one more than those of every process.
    limit(Resource::Nofile, Some(3));
    assert!(fs::File::open("/proc/self/stat").is_err());
    let refused = until_refused(&store, &mut author, &mut written, 60).unwrap();
    assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
    assert!(store.recover().is_err());
    newest_is_read(&store, &written);
    // A sealed volume that nobody has open: an error of this read, and of nothing else.
    for sequence in [0, 40] {
        let error = store.scan(sequence).find_map(Result::err);
        assert!(error.as_ref().is_none_or(|error| matches!(error, StoreError::Io { .. })), "{error:?}");
    }
    assert!((0..store.head()).step_by(7).any(|sequence| matches!(store.signature(sequence), Err(StoreError::Io { .. }))));
    store.resume();
    drop(store.settle());
    limit(Resource::Nofile, before);
    goes_on(&store, &mut author, &mut written);
    assert!(super::volumes(dir.path()).iter().all(|path| path.extension().is_none()), "nothing was set aside");
}

#[test]
fn without_room() {
    if !is_alone() {
        return alone("without_room");
    }
    let (dir, files) = (tempfile::tempdir().unwrap(), ScriptedFiles::new());
    let (store, mut author, mut written) = filled(small(&files), dir.path());
    // Room for the journal's files, none for sled's: the journal fills up.
    limit(Resource::Fsize, Some(33 * 1024));
    let refused = until_refused(&store, &mut author, &mut written, 1_000).unwrap();
    assert!(matches!(refused, StoreError::Io { .. } | StoreError::JournalFull(_)), "{refused}");
    assert!(store.settle().is_err());
    newest_is_read(&store, &written);
    assert!(store.recover().is_err());
    assert!(store.append(author.clone().frame(300)).is_err());
    limit(Resource::Fsize, None);
    goes_on(&store, &mut author, &mut written);
    store.close().unwrap();
    let store = DiskStore::open(dir.path(), small(&files)).unwrap();
    assert_same(&audit(&store), &written, "after opening");
}

#[test]
fn a_disk_that_can_only_be_read() {
    let (dir, archive, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), ScriptedFiles::new());
    let (store, mut author, mut written) = filled(with_archive(&files, archive.path()), dir.path());
    store.pause();
    for fault in [Fault::Lost, Fault::Torn, Fault::DoneButFailed] {
        files.break_path("", fault);
        let refused = until_refused(&store, &mut author, &mut written, 60).unwrap();
        assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
        assert!(store.recover().is_err());
        assert_same(&audit(&store), &written, "what is durable is read");
        newest_is_read(&store, &written);
        files.mend();
        store.recover().unwrap();
        assert!(until_refused(&store, &mut author, &mut written, 5).is_none());
    }
    store.resume();
    goes_on(&store, &mut author, &mut written);
}
