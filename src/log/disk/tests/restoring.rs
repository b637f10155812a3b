//! Logs built from elsewhere, volumes made again from the archive, and everything that may fail while that is done.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use allowlog_proto::chain::Chain;
use tempfile::TempDir;

use super::archive::with_archive;
use super::{Author, assert_same, audit, crash, journal_files, volumes};
use crate::log::disk::files::scripted::{Fault, ScriptedFiles};
use crate::log::disk::restoring::{accept, archived, begin, build, finish, reach_of};
use crate::log::disk::{DiskOptions, DiskStore, lock};
use crate::log::{Store, StoreError};

const FAULTS: [Fault; 3] = [Fault::Lost, Fault::DoneButFailed, Fault::Torn];

/// A log of several volumes with its archive, as a kill leaves it, and its frames.
struct Kept {
    dir: TempDir,
    archive: TempDir,
    frames: Vec<Vec<u8>>,
}

impl Kept {
    fn new(seed: u64) -> Self {
        Self::of(seed, 60)
    }

    fn of(seed: u64, frames: usize) -> Self {
        let (dir, archive, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), ScriptedFiles::new());
        let store = DiskStore::open(dir.path(), Self::small(&files, archive.path())).unwrap();
        let mut author = Author::new(seed);
        for nth in 0..frames {
            store.append(author.frame(4_000)).unwrap();
            if nth % 5 == 0 {
                store.settle().unwrap();
            }
        }
        store.settle().unwrap();
        let goal = lock(&store.shared.journal).archive_goal();
        store.wait_for_archive(goal).unwrap();
        store.pause();
        (0..5).for_each(|_| store.append(author.frame(1_000)).unwrap());
        let frames = audit(&store);
        let dir = crash(dir.path());
        assert!(volumes(dir.path()).len() >= 2);
        Self { dir, archive, frames }
    }

    fn small(files: &ScriptedFiles, archive: &Path) -> DiskOptions {
        DiskOptions { journal_file_bytes: 32 * 1024, volume_bytes: 80 * 1024, ..with_archive(files, archive) }
    }

    /// Opened as a server does it, on a copy, after `spoil`.
    fn spoilt(&self, spoil: impl FnOnce(&Path)) -> (TempDir, Result<DiskStore, StoreError>) {
        let image = crash(self.dir.path());
        spoil(image.path());
        let store = DiskStore::open(image.path(), Self::small(&ScriptedFiles::new(), self.archive.path()));
        (image, store)
    }
}

/// Damages what sled reads first and what it reads later.
fn flip_everywhere(volume: &Path) {
    for file in fs::read_dir(volume).unwrap().map(|e| e.unwrap().path()).filter(|path| path.is_file()) {
        let mut bytes = fs::read(&file).unwrap();
        for at in (0..bytes.len()).step_by(301) {
            bytes[at] ^= 1;
        }
        fs::write(&file, bytes).unwrap();
    }
}

fn set_aside(dir: &Path) -> usize {
    volumes(dir).iter().filter(|path| path.to_string_lossy().contains("set-aside")).count()
}

#[test]
fn a_volume_that_cannot_be_read_is_made_again_and_kept() {
    let kept = Kept::new(41);
    for nth in 0..volumes(kept.dir.path()).len() {
        let spoil = |dir: &Path| flip_everywhere(&volumes(dir)[nth]);
        let (image, store) = kept.spoilt(spoil);
        let store = store.unwrap_or_else(|e| panic!("volume {nth}: {e}"));
        assert_same(&audit(&store), &kept.frames, &format!("volume {nth}"));
        assert_eq!(set_aside(image.path()), 1, "volume {nth}");
        let mut author = Author { chain: Chain::new(), time_ms: 1_800_000_000_000, ..Author::new(1) };
        store.scan(0).for_each(|frame| author.chain.admit(&frame.unwrap(), |_, _, _| {}).unwrap());
        store.append(author.frame(500)).unwrap();
        store.close().unwrap();
        // From then on without the archive.
        let store =
            DiskStore::open(image.path(), DiskOptions { archive: None, ..Kept::small(&ScriptedFiles::new(), Path::new("x")) }).unwrap();
        assert_eq!(audit(&store).len(), kept.frames.len() + 1);
        // Without an archive it is named.
        let image = crash(kept.dir.path());
        spoil(image.path());
        let options = DiskOptions { archive: None, ..Kept::small(&ScriptedFiles::new(), Path::new("x")) };
        let error = match DiskStore::open(image.path(), options) {
            Err(error) => error,
            Ok(store) => store.scan(0).find_map(Result::err).expect("it is noticed"),
        };
        let text = error.to_string();
        assert!(matches!(error, StoreError::Damaged { .. }) && text.contains("allowlog restore"), "{text}");
        assert!(text.contains(volumes(image.path())[nth].file_name().unwrap().to_str().unwrap()), "{text}");
    }
}

#[test]
fn a_sealed_volume_that_goes_bad_under_a_reader_is_made_again() {
    let kept = Kept::new(42);
    let (image, store) = kept.spoilt(|_| {});
    let store = store.unwrap();
    flip_everywhere(&volumes(image.path())[1]);
    let reader = store.scan(0);
    assert_same(&reader.map(|frame| frame.unwrap().bytes().to_vec()).collect::<Vec<_>>(), &kept.frames, "through the damage");
    assert_eq!(set_aside(image.path()), 1);
}

#[test]
fn an_archive_that_cannot_help_changes_nothing() {
    let kept = Kept::new(43);
    let other = Kept::new(44);
    let spoil = |dir: &Path| flip_everywhere(&volumes(dir)[1]);
    // Of another log, or with a file missing.
    for archive in [crash(other.archive.path()), crash(kept.archive.path())] {
        fs::remove_file(archive.path().join(format!("{:020}.journal", 0))).unwrap();
        let image = crash(kept.dir.path());
        spoil(image.path());
        let opened = DiskStore::open(image.path(), Kept::small(&ScriptedFiles::new(), archive.path()));
        let failed = opened.map(|store| store.scan(0).find_map(Result::err));
        assert!(!matches!(failed, Ok(None)), "{failed:?}");
        assert_eq!(set_aside(image.path()), 0);
    }
}

#[test]
fn every_operation_of_a_rebuilding_may_fail() {
    let kept = Kept::of(45, 24);
    for fault in FAULTS {
        for nth in 0.. {
            let context = format!("{fault:?} {nth}");
            let image = crash(kept.dir.path());
            let at = volumes(image.path()).len() - 2;
            flip_everywhere(&volumes(image.path())[at]);
            let (files, archive) = (ScriptedFiles::new(), crash(kept.archive.path()));
            files.fail(nth, fault);
            // Whichever thread meets the fault.
            let opened = DiskStore::open(image.path(), Kept::small(&files, archive.path()));
            if let Ok(store) = &opened {
                store.scan(0).for_each(drop);
            }
            let operations = files.count();
            let crashed = crash(image.path());
            drop(opened);
            let store = DiskStore::open(crashed.path(), Kept::small(&ScriptedFiles::new(), kept.archive.path()));
            let store = store.unwrap_or_else(|e| panic!("{context}: {e}"));
            assert_same(&audit(&store), &kept.frames, &context);
            if operations <= nth {
                assert!(nth > 10, "{context}");
                break;
            }
        }
    }
}

#[test]
fn every_operation_of_a_restore_may_fail() {
    let kept = Kept::of(46, 24);
    let older = crash(kept.dir.path());
    let expect = |dir: &Path, context: &str| {
        let store = DiskStore::open(dir, DiskOptions { archive: None, ..Kept::small(&ScriptedFiles::new(), Path::new("x")) }).unwrap();
        assert_same(&audit(&store), &kept.frames, context);
    };
    for fault in FAULTS {
        for nth in 0.. {
            let context = format!("{fault:?} {nth}");
            let image = crash(older.path());
            fs::create_dir(image.path().join("search")).unwrap();
            let files = ScriptedFiles::new();
            let options = Kept::small(&files, Path::new("x"));
            files.fail(nth, fault);
            let restore = || -> Result<(), StoreError> {
                let partial = begin(image.path())?;
                let frames = archived(options.files.clone(), kept.archive.path(), Some(&image.path().join("journal")))?;
                build(&partial, frames, &options, |_, _| {})?;
                drop(accept(options.files.as_ref(), image.path())?);
                Ok(())
            };
            let failed = restore().is_err();
            let operations = files.count();
            files.mend();
            // A crash here: the next start finishes what was accepted, and what was not leaves all as it was.
            let crashed = crash(image.path());
            finish(&crate::log::disk::files::OsFiles, crashed.path()).unwrap();
            expect(crashed.path(), &context);
            // And one that was not accepted can be run again.
            finish(options.files.as_ref(), image.path()).unwrap();
            if !image.path().join("log.set-aside-1").exists() {
                restore().unwrap_or_else(|e| panic!("{context}: {e}"));
            }
            expect(image.path(), &context);
            assert!(!image.path().join("search").exists() && !image.path().join("restored").exists());
            if !failed && operations <= nth {
                assert!(nth > 10, "{context}");
                break;
            }
        }
    }
}

#[test]
fn what_only_the_journal_has_goes_behind_the_archive() {
    let kept = Kept::new(47);
    let options = DiskOptions { archive: None, ..Kept::small(&ScriptedFiles::new(), Path::new("x")) };
    let files = Arc::clone(&options.files);
    let journal = kept.dir.path().join("journal");
    let frames = |journal: Option<&Path>| archived(Arc::clone(&files), kept.archive.path(), journal).unwrap().map(Result::unwrap).count();
    assert_eq!(frames(Some(&journal)), kept.frames.len());
    assert!(frames(None) < kept.frames.len());
    // How far a log goes is told of a damaged one too.
    let head = reach_of(kept.dir.path(), &options);
    let image = crash(kept.dir.path());
    flip_everywhere(volumes(image.path()).last().unwrap());
    assert_eq!(reach_of(image.path(), &options), head);
    // A journal that begins behind the archive's end leaves a gap.
    let other = Kept::new(48);
    let begun = archived(Arc::clone(&files), kept.archive.path(), Some(&other.dir.path().join("journal")));
    assert!(matches!(begun.err(), Some(StoreError::Damaged { .. })));
    assert!(journal_files(kept.dir.path()).len() > 1);
}
