//! Every operation of settling and of rolling over to the next volume: a crash before it, and each way it may fail.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::archive::with_archive;
use super::{Author, assert_same, audit, crash, volumes};
use crate::log::Store;
use crate::log::disk::files::scripted::{Fault, ScriptedFiles, When};
use crate::log::disk::{DiskOptions, DiskStore};

fn small(files: &ScriptedFiles, archive: &Path) -> DiskOptions {
    DiskOptions { journal_file_bytes: 32 * 1024, volume_bytes: 40 * 1024, ..with_archive(files, archive) }
}

/// A store with frames that are waiting to be settled into two volumes, or more.
fn waiting(files: &ScriptedFiles, dir: &Path, archive: &Path) -> (DiskStore, Author, Vec<Vec<u8>>) {
    let store = DiskStore::open(dir, small(files, archive)).unwrap();
    let mut author = Author::new(51);
    (0..8).for_each(|_| store.append(author.frame(4_000)).unwrap());
    store.settle().unwrap();
    store.pause();
    (0..10).for_each(|_| store.append(author.frame(4_000)).unwrap());
    let run: Vec<_> = (0..store.head()).map(|sequence| [(sequence % 251) as u8; 64]).collect();
    store.put_signatures(0, &run).unwrap();
    let written = audit(&store);
    (store, author, written)
}

/// Opened without faults: everything is there, and it goes on.
fn holds(image: &TempDir, archive: &Path, written: &[Vec<u8>], author: &Author, context: &str) {
    let store = DiskStore::open(image.path(), small(&ScriptedFiles::new(), archive)).unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_same(&audit(&store), written, context);
    for sequence in 0..store.signed() {
        let signature = store.signature(sequence).unwrap();
        assert_eq!(signature, Some([(sequence % 251) as u8; 64]), "{context}: signature {sequence}");
    }
    let mut author = author.clone();
    (0..3).for_each(|_| store.append(author.frame(4_000)).unwrap());
    store.settle().unwrap();
    assert_eq!(audit(&store).len(), written.len() + 3, "{context}");
}

#[test]
fn a_crash_before_any_operation_of_settling_loses_nothing() {
    for nth in 0.. {
        let (dir, archive, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), ScriptedFiles::new());
        let (store, author, written) = waiting(&files, dir.path(), archive.path());
        let goal = files.count() + nth;
        let image: Arc<Mutex<Option<(TempDir, TempDir)>>> = Arc::default();
        let (kept, counted, from, archived) = (Arc::clone(&image), files.clone(), dir.path().to_owned(), archive.path().to_owned());
        files.watch(Box::new(move |when, _| {
            let mut kept = kept.lock().unwrap();
            if when == When::Before && counted.count() >= goal && kept.is_none() {
                *kept = Some((crash(&from), crash(&archived)));
            }
        }));
        store.resume();
        store.settle().unwrap();
        store.pause();
        assert!(volumes(dir.path()).len() > 1, "it rolled over");
        let Some((image, archived)) = image.lock().unwrap().take() else {
            assert!(nth > 8, "{nth} operations");
            return;
        };
        holds(&image, archived.path(), &written, &author, &format!("before operation {nth}"));
    }
}

#[test]
fn every_operation_of_settling_may_fail() {
    for fault in [Fault::Lost, Fault::DoneButFailed, Fault::Torn] {
        for nth in 0.. {
            let context = format!("{fault:?} {nth}");
            let (dir, archive, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), ScriptedFiles::new());
            let (store, author, written) = waiting(&files, dir.path(), archive.path());
            let before = files.count();
            files.fail(nth, fault);
            store.resume();
            let failed = store.settle().is_err();
            store.pause();
            let operations = files.count() - before;
            assert_same(&audit(&store), &written, &context);
            let (image, archived) = (crash(dir.path()), crash(archive.path()));
            holds(&image, archived.path(), &written, &author, &context);
            files.mend();
            store.resume();
            let tries: Vec<_> = (0..10).map(|_| store.settle()).take_while(Result::is_err).collect();
            assert!(tries.len() < 10, "{context}: {tries:?}");
            store.pause();
            assert_same(&audit(&store), &written, &context);
            holds(&crash(dir.path()), crash(archive.path()).path(), &written, &author, &format!("{context}, mended"));
            if !failed && operations <= nth {
                assert!(nth > 8, "{context}");
                break;
            }
        }
    }
}
