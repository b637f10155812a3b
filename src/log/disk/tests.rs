//! The log on disk under crashes, faults and damage. A crash is a copy of the directory while the store is open.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use allowlog_proto::chain::Chain;
use allowlog_proto::event::{AuthorizationEvent, Event, Granted, Plan, Terms, WorkspaceEvent};
use allowlog_proto::frame::{Frame, FrameBuilder};
use allowlog_proto::id::{AuthorizationId, ReceiptId, WorkspaceId};
use allowlog_proto::json::{CanonicalObject, Value};
use allowlog_proto::reason::PolicyVersion;
use allowlog_proto::text::{AgentId, Name, UserId};
use allowlog_proto::time::Timestamp;
use tempfile::TempDir;

use super::files::scripted::{Fault, Operation, ScriptedFiles, When};
use super::{DiskOptions, DiskStore, lock};
use crate::log::{Store, StoreError};

mod archive;
mod crashes;
mod damage;
mod limits;
mod restoring;

/// Makes frames that chain, of any size, from one seed.
#[derive(Clone)]
pub(crate) struct Author {
    pub(crate) chain: Chain,
    random: u64,
    time_ms: u64,
}

impl Author {
    pub(crate) fn new(seed: u64) -> Self {
        Self { chain: Chain::new(), random: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1, time_ms: 1_790_000_000_000 }
    }

    fn random(&mut self, below: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % below
    }

    /// A frame of about `size` bytes, at least 200.
    pub(crate) fn frame(&mut self, size: usize) -> Frame {
        let mut builder = FrameBuilder::new();
        while builder.size() + 32 < size || builder.count() == 0 {
            self.time_ms += self.random(3);
            let left = size.saturating_sub(builder.size() + 400).min(500_000);
            let event = if left < 100 { workspace() } else { granted(self.random.to_be_bytes()[0], left) };
            let workspace_id = WorkspaceId::from_bytes([self.random(3) as u8; 16]);
            let mut record = self.chain.record(workspace_id, Timestamp::from_ms(self.time_ms).unwrap(), event);
            record.receipt = [u8::from(record.event.receipt_id().is_some()); 32];
            let hash = builder.push(&record).unwrap();
            self.chain.extend(&record, hash);
        }
        let first = self.chain.next_sequence() - builder.count() as u64;
        let frame = builder.seal(first, self.chain.frame_hash()).unwrap();
        self.chain.close(frame.hash());
        frame
    }

    /// Mostly small, sometimes larger than a page, seldom much larger.
    fn size(&mut self) -> usize {
        let most = [1_000, 6_000, 30_000, 300_000][usize::try_from(self.random(16)).unwrap().saturating_sub(12).min(3)];
        200 + usize::try_from(self.random(most)).unwrap()
    }
}

fn workspace() -> Event {
    Event::Workspace(WorkspaceEvent::Created { name: Name::new("acme").unwrap(), plan: Plan::Enterprise })
}

fn granted(salt: u8, size: usize) -> Event {
    let text: String = (0..size).map(|i| char::from(b'a' + (i as u8 ^ salt) % 26)).collect();
    let metadata = Value::parse(format!("{{\"note\":\"{text}\"}}").as_bytes()).unwrap();
    Event::Authorization(AuthorizationEvent::Granted(Box::new(Granted {
        receipt_id: ReceiptId::from_bytes([salt; 16]),
        authorization_id: AuthorizationId::from_bytes([salt; 16]),
        user_id: UserId::new("user").unwrap(),
        terms: Terms {
            agent_id: AgentId::new("agent").unwrap(),
            scopes: Vec::new(),
            requires_confirm_for: Vec::new(),
            requires_escalation_for: Vec::new(),
            escalation_targets: Vec::new(),
        },
        not_before: None,
        budget_limit: None,
        bundle_id: None,
        expires_at: Some(Timestamp::MAX),
        replaces: None,
        metadata: CanonicalObject::new(metadata.as_object().unwrap(), "metadata").unwrap(),
        policy_version: PolicyVersion::CURRENT,
        consent: None,
        delegation: None,
    })))
}

fn options(files: &ScriptedFiles) -> DiskOptions {
    DiskOptions { journal_file_bytes: 64 * 1024, volume_bytes: 512 * 1024, settle: true, archive: None, files: Arc::new(files.clone()) }
}

fn open(dir: &Path) -> DiskStore {
    DiskStore::open(dir, options(&ScriptedFiles::new())).unwrap()
}

/// Reads the whole log, checks every link of it, and gives the stored bytes.
fn audit(store: &dyn Store) -> Vec<Vec<u8>> {
    let mut chain = Chain::new();
    let mut all = Vec::new();
    for frame in store.scan(0) {
        let frame = frame.unwrap();
        chain.admit(&frame, |_, _, _| {}).unwrap();
        all.push(frame.bytes().to_vec());
    }
    assert_eq!(chain.next_sequence(), store.head());
    all
}

/// What a crash at this instant would leave.
fn crash(dir: &Path) -> TempDir {
    let image = tempfile::tempdir().unwrap();
    copy(dir, image.path());
    image
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else if let Err(error) = fs::copy(entry.path(), target) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}

fn assert_same(found: &[Vec<u8>], expected: &[Vec<u8>], context: &str) {
    assert_eq!(found.len(), expected.len(), "number of frames, {context}");
    assert!(found == expected, "bytes of the frames, {context}");
}

fn volumes(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(dir.join("log")).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

/// The raw pages of a copy of a volume, opened without our own code.
fn raw(volume: &Path, tree: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let image = tempfile::tempdir().unwrap();
    copy(volume, image.path());
    let db = sled::Config::new().path(image.path()).segment_size(1024 * 1024).flush_every_ms(None).open().unwrap();
    let tree = db.open_tree(tree).unwrap();
    tree.iter().map(Result::unwrap).map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

#[test]
fn what_was_appended_is_found_again_across_files_and_volumes() {
    let dir = tempfile::tempdir().unwrap();
    let mut author = Author::new(7);
    let mut written = Vec::new();
    for round in 0..3 {
        let store = open(dir.path());
        assert_same(&audit(&store), &written, "after opening");
        for nth in 0..60 {
            let size = match nth {
                10 => 1_500_000,
                20 => 310_000,
                _ => author.size(),
            };
            let frame = author.frame(size);
            written.push(frame.bytes().to_vec());
            store.append(frame).unwrap();
            if nth % 5 == 0 {
                store.settle().unwrap();
            }
        }
        assert_same(&audit(&store), &written, "while open");
        for from in (0..store.head()).step_by(17) {
            let frame = store.scan(from).next().unwrap().unwrap();
            assert!((frame.header().first_sequence..frame.header().end_sequence()).contains(&from));
        }
        if round == 1 {
            store.close().unwrap();
        }
    }
    assert!(volumes(dir.path()).len() >= 4, "several volumes");
    for volume in volumes(dir.path()) {
        let blobs = fs::read_dir(volume.join("blobs")).map_or(0, Iterator::count);
        assert_eq!(blobs, 0, "nothing is under {}", volume.join("blobs").display());
        for tree in ["frames", "times", "signatures", "about"] {
            assert!(raw(&volume, tree).iter().all(|(_, value)| value.len() <= 8192));
        }
    }
    let reader = DiskStore::open(dir.path(), DiskOptions { settle: false, ..options(&ScriptedFiles::new()) }).unwrap();
    assert_same(&audit(&reader), &written, "opened for reading");
    assert!(reader.append(author.frame(300)).is_err());
}

#[test]
fn reading_alone_sees_the_journal_and_changes_nothing_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.pause();
    let mut author = Author::new(8);
    (0..20).for_each(|_| store.append(author.frame(900)).unwrap());
    let image = crash(dir.path());
    let before: Vec<_> = journal_files(image.path()).iter().map(|f| (f.clone(), fs::read(f).unwrap())).collect();
    let files = ScriptedFiles::new();
    let reader = DiskStore::open(image.path(), DiskOptions { settle: false, ..options(&files) }).unwrap();
    assert_same(&audit(&reader), &audit(&store), "opened for reading");
    drop(reader);
    let after: Vec<_> = journal_files(image.path()).iter().map(|f| (f.clone(), fs::read(f).unwrap())).collect();
    assert!(before == after);
}

fn journal_files(dir: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(dir.join("journal")).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

/// Where the bytes of a frame stand in the journal of `dir`.
fn place(dir: &Path, frame: &[u8]) -> (PathBuf, usize) {
    for path in journal_files(dir) {
        if let Some(at) = memchr::memmem::find(&fs::read(&path).unwrap(), frame) {
            return (path, at);
        }
    }
    panic!("the frame is not in the journal");
}

#[test]
fn a_torn_last_frame_is_cut_and_appends_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut author = Author::new(9);
    store.append(author.frame(5_000)).unwrap();
    store.settle().unwrap();
    store.pause();
    for _ in 0..3 {
        store.append(author.frame(700)).unwrap();
    }
    let kept = author.clone();
    let expected = audit(&store);
    let last = author.frame(2_000);
    store.append(last.clone()).unwrap();
    let image = crash(dir.path());
    let (path, at) = place(image.path(), last.bytes());
    // One byte of each field and of each region, cut from there on, or flipped alone.
    let length = last.bytes().len();
    for offset in [0, 4, 8, 16, 20, 28, 36, 67, 68, 72, 100, length / 2, length - 33, length - 32, length - 1] {
        for cut in [false, true] {
            let context = format!("byte {offset}, cut {cut}");
            let torn = crash(image.path());
            let file = torn.path().join("journal").join(path.file_name().unwrap());
            let mut bytes = fs::read(&file).unwrap();
            // Its seal is written once it is durable.
            bytes[at + length..at + length + 8].fill(0);
            if cut {
                bytes[at + offset..at + length].fill(0);
            }
            bytes[at + offset] ^= 0xff;
            fs::write(&file, bytes).unwrap();
            let mut author = kept.clone();
            let mut expected = expected.clone();
            for size in [300, 2_500] {
                let store = open(torn.path());
                assert_same(&audit(&store), &expected, &context);
                store.pause();
                let next = author.frame(size);
                expected.push(next.bytes().to_vec());
                store.append(next).unwrap();
                let again = crash(torn.path());
                assert_same(&audit(&open(again.path())), &expected, &context);
            }
        }
    }
}

#[test]
fn damage_in_the_last_frame_is_no_torn_tail() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut author = Author::new(19);
    store.append(author.frame(5_000)).unwrap();
    store.settle().unwrap();
    store.pause();
    (0..3).for_each(|_| store.append(author.frame(700)).unwrap());
    let image = crash(dir.path());
    let expected = audit(&store);
    let last = expected.last().unwrap();
    let (file, at) = place(image.path(), last);
    let original = fs::read(&file).unwrap();
    let mut sealed_again = original.clone();
    for place in at - 8..at + last.len() + 8 {
        let mut bytes = original.clone();
        bytes[place] ^= 1 << (place % 8);
        fs::write(&file, &bytes).unwrap();
        let opened = DiskStore::open(image.path(), DiskOptions { settle: false, ..options(&ScriptedFiles::new()) });
        if place < at + last.len() {
            assert!(matches!(opened, Err(StoreError::Damaged { .. })), "byte {place}, of a frame at {at}");
        } else {
            assert_same(&audit(&opened.unwrap()), &expected, "a seal only speaks for what cannot be read");
            sealed_again = bytes;
        }
    }
    // The next start makes the last frame durable once more, and says so.
    fs::write(&file, sealed_again).unwrap();
    let store = open(image.path());
    store.pause();
    assert!(fs::read(&file).unwrap()[at + last.len()..at + last.len() + 8] == original[at + last.len()..at + last.len() + 8]);
}

#[test]
fn damage_before_the_last_frame_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut author = Author::new(10);
    store.append(author.frame(5_000)).unwrap();
    store.settle().unwrap();
    store.pause();
    // More than a file, so that the damage is behind a later frame or a later file.
    let frames: Vec<Frame> = (0..20).map(|_| author.frame(6_000)).collect();
    frames.iter().for_each(|frame| store.append(frame.clone()).unwrap());
    let last_of_file =
        (1..20).find(|nth| place(dir.path(), frames[*nth].bytes()).0 != place(dir.path(), frames[nth - 1].bytes()).0).unwrap() - 1;
    let damaged = |spoil: &dyn Fn(&Path), context: &str| {
        let image = crash(dir.path());
        spoil(image.path());
        for settle in [true, false] {
            let outcome = DiskStore::open(image.path(), DiskOptions { settle, ..options(&ScriptedFiles::new()) });
            assert!(matches!(outcome, Err(StoreError::Damaged { .. })), "{context}, settle {settle}");
        }
    };
    for nth in [0, 1, last_of_file, last_of_file + 1] {
        for offset in [0, 5, 10, 40, 500, frames[nth].bytes().len() - 1] {
            let flip = |dir: &Path| {
                let (path, at) = place(dir, frames[nth].bytes());
                let mut bytes = fs::read(&path).unwrap();
                bytes[at + offset] ^= 1;
                fs::write(path, bytes).unwrap();
            };
            damaged(&flip, &format!("frame {nth}, byte {offset}"));
        }
    }
    for nth in [0, 19] {
        let header = |dir: &Path| {
            let (path, _) = place(dir, frames[nth].bytes());
            let mut bytes = fs::read(&path).unwrap();
            bytes[20] ^= 1;
            fs::write(path, bytes).unwrap();
        };
        damaged(&header, &format!("header of the file of frame {nth}"));
        damaged(&|dir| fs::remove_file(place(dir, frames[nth].bytes()).0).unwrap(), "missing file");
    }
}

#[test]
fn a_journal_that_ends_before_what_is_settled_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut author = Author::new(16);
    store.append(author.frame(5_000)).unwrap();
    store.settle().unwrap();
    store.pause();
    let older = crash(dir.path());
    // All in the file that is begun with a settled frame.
    let unsettled = author.frame(3_000);
    store.append(unsettled.clone()).unwrap();
    let current = place(dir.path(), unsettled.bytes()).0.file_name().unwrap().to_owned();
    let spoilt = |what: &str, spoil: &dyn Fn(&Path)| {
        let image = crash(dir.path());
        spoil(&image.path().join("journal"));
        for settle in [true, false] {
            let outcome = DiskStore::open(image.path(), DiskOptions { settle, ..options(&ScriptedFiles::new()) });
            assert!(matches!(outcome, Err(StoreError::Damaged { .. })), "{what}, settle {settle}");
        }
    };
    for byte in [0, 9, 30, 60, 87] {
        spoilt(&format!("byte {byte} of the header"), &|journal| {
            let mut bytes = fs::read(journal.join(&current)).unwrap();
            bytes[byte] ^= 0xff;
            fs::write(journal.join(&current), bytes).unwrap();
        });
    }
    for length in [0, 4096, 5_000, 64 * 1024 - 1] {
        let cut = |journal: &Path| fs::File::options().write(true).open(journal.join(&current)).unwrap().set_len(length).unwrap();
        spoilt(&format!("cut to {length} bytes"), &cut);
    }
    spoilt("the current file removed", &|journal| fs::remove_file(journal.join(&current)).unwrap());
    spoilt("every file removed", &|journal| fs::read_dir(journal).unwrap().for_each(|e| fs::remove_file(e.unwrap().path()).unwrap()));
    // An older journal that reaches what is settled cannot be told from one that was never written to again.
    let again = DiskStore::open(older.path(), options(&ScriptedFiles::new())).unwrap();
    assert_eq!(again.head(), author.chain.next_sequence() - u64::from(unsettled.header().count));
}

#[test]
fn an_unfinished_snapshot_does_not_keep_a_volume_shut() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut author = Author::new(17);
    (0..20).for_each(|_| store.append(author.frame(10_000)).unwrap());
    let expected = audit(&store);
    store.close().unwrap();
    let volume = volumes(dir.path()).pop().unwrap();
    // As a full disk, or a crash while sled writes one, leaves it.
    for content in [&b""[..], b"half of it"] {
        let unfinished = volume.join("snap.00000000FFFFFFFF.generating");
        fs::write(&unfinished, content).unwrap();
        for settle in [false, true] {
            let store = DiskStore::open(dir.path(), DiskOptions { settle, ..options(&ScriptedFiles::new()) }).unwrap();
            assert_same(&audit(&store), &expected, "all is there");
        }
        assert!(!unfinished.exists());
    }
}

#[test]
fn every_operation_of_an_append_may_fail() {
    // What the append meets: room in the file, a spare to begin, a file to be made.
    for before in [1, 10, 30] {
        for fault in [Fault::Lost, Fault::DoneButFailed, Fault::Torn] {
            let mut nth = 0;
            while fails_and_recovers(before, nth, fault) {
                nth += 1;
            }
            assert!(nth >= 2, "{before} {fault:?}: only {nth} operations");
        }
    }
}

/// Fails the nth operation of an append behind `before` frames; says whether there was such an operation.
fn fails_and_recovers(before: usize, nth: usize, fault: Fault) -> bool {
    let context = format!("{before} frames before, operation {nth}, {fault:?}");
    let (dir, files) = (tempfile::tempdir().unwrap(), ScriptedFiles::new());
    let store = DiskStore::open(dir.path(), options(&files)).unwrap();
    store.pause();
    let mut author = Author::new(11);
    // Six of these fill a file.
    (0..before).for_each(|_| store.append(author.frame(10_000)).unwrap());
    if before > 1 {
        while author.chain.next_sequence() > 0 && store.shared.journal.lock().unwrap().room() >= 10_000 {
            store.append(author.frame(9_000)).unwrap();
        }
    }
    let acknowledged = audit(&store);
    let mut failing = author.clone();
    let failed = failing.frame(10_000);
    files.fail(nth, fault);
    if store.append(failed.clone()).is_ok() {
        return false;
    }
    assert_same(&audit(&store), &acknowledged, &context);
    assert!(store.append(failed.clone()).is_err(), "{context}: latched");
    let found = audit(&open(crash(dir.path()).path()));
    assert!(found.len() <= acknowledged.len() + 1, "{context}");
    assert_same(&found[..acknowledged.len()], &acknowledged, &context);
    if let Some(extra) = found.get(acknowledged.len()) {
        assert!(extra == failed.bytes(), "{context}");
    }
    store.recover().unwrap();
    assert_same(&audit(&open(crash(dir.path()).path())), &acknowledged, &context);
    let mut expected = acknowledged;
    for size in [400, 12_000] {
        let frame = author.frame(size);
        expected.push(frame.bytes().to_vec());
        store.append(frame).unwrap();
        assert_same(&audit(&store), &expected, &context);
        assert_same(&audit(&open(crash(dir.path()).path())), &expected, &context);
    }
    true
}

#[test]
fn a_file_made_meanwhile_is_not_begun_behind_a_later_one() {
    let (dir, files) = (tempfile::tempdir().unwrap(), ScriptedFiles::new());
    let store = DiskStore::open(dir.path(), options(&files)).unwrap();
    store.pause();
    let mut author = Author::new(14);
    // Until the spares are used up: then the settler would make a file, and the writer makes one of its own.
    let chore = loop {
        store.append(author.frame(10_000)).unwrap();
        let mut journal = store.shared.journal.lock().unwrap();
        if journal.room() < 10_500 && journal.spares() == 0 {
            break journal.chore().unwrap();
        }
    };
    let acknowledged = audit(&store);
    // Create, sync of the directory, header, and its fdatasync, which reports a failure although all is there.
    files.fail(3, Fault::DoneButFailed);
    store.append(author.clone().frame(10_500)).unwrap_err();
    let outcome = chore.run(&files);
    store.shared.journal.lock().unwrap().finish(chore, &outcome);
    outcome.unwrap();
    store.recover().unwrap();
    let mut expected = acknowledged;
    for _ in 0..3 {
        let frame = author.frame(10_500);
        expected.push(frame.bytes().to_vec());
        store.append(frame).unwrap();
        assert_same(&audit(&open(crash(dir.path()).path())), &expected, "what was acknowledged is there after a crash");
    }
}

#[test]
fn a_file_that_cannot_be_made_leaves_no_part() {
    let (dir, files) = (tempfile::tempdir().unwrap(), ScriptedFiles::new());
    let store = DiskStore::open(dir.path(), options(&files)).unwrap();
    store.pause();
    let mut author = Author::new(15);
    let names = || fs::read_dir(dir.path().join("journal")).unwrap().count();
    loop {
        let before = names();
        files.fail(0, Fault::Torn);
        let Err(_) = store.append(author.clone().frame(60_000)) else {
            author.frame(60_000);
            files.mend();
            continue;
        };
        files.mend();
        assert_eq!(names(), before);
        store.recover().unwrap();
        store.append(author.frame(60_000)).unwrap();
        if names() > before {
            return; // A file was made after all, so one was tried before.
        }
    }
}

#[test]
fn recovery_that_fails_stays_latched() {
    let (dir, files) = (tempfile::tempdir().unwrap(), ScriptedFiles::new());
    let store = DiskStore::open(dir.path(), options(&files)).unwrap();
    store.pause();
    let mut author = Author::new(12);
    store.append(author.frame(400)).unwrap();
    let next = author.frame(400);
    files.break_path(".journal", Fault::DoneButFailed);
    assert!(store.append(next.clone()).is_err());
    assert!(store.recover().is_err());
    assert!(store.append(next.clone()).is_err());
    files.mend();
    assert!(store.append(next.clone()).is_err(), "only recovery opens it again");
    store.recover().unwrap();
    store.append(next).unwrap();
    assert_eq!(audit(&open(crash(dir.path()).path())).len(), 2);
}

#[test]
fn a_journal_file_is_not_reused_before_sled_is_durable() {
    let (dir, files) = (tempfile::tempdir().unwrap(), ScriptedFiles::new());
    let copies = tempfile::tempdir().unwrap();
    let reuses = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reuses);
    let (copies_dir, begun) = (copies.path().to_owned(), Mutex::new(Vec::new()));
    files.watch(Box::new(move |when, operation| match (when, operation) {
        (When::Done, Operation::SyncData(path)) if path.ends_with("db") => {
            let volume = path.parent().unwrap();
            let copied = copies_dir.join(volume.file_name().unwrap());
            let _ = fs::remove_dir_all(&copied);
            copy(volume, &copied);
        }
        (When::Before, Operation::Rename(path, _) | Operation::Remove(path)) if path.extension().is_some_and(|e| e == "journal") => {
            counted.fetch_add(1, Ordering::Relaxed);
            assert_durable(&fs::read(path).unwrap(), &copies_dir);
        }
        (When::Before, Operation::Write(path, 0, _)) => {
            let mut begun = lock(&begun);
            assert!(!begun.contains(path), "{} is begun once under its name", path.display());
            begun.push(path.clone());
        }
        _ => {}
    }));
    let store = DiskStore::open(dir.path(), options(&files)).unwrap();
    let mut author = Author::new(13);
    for nth in 0..120 {
        store.append(author.frame(10_000)).unwrap();
        if nth % 20 == 19 {
            store.settle().unwrap();
        }
    }
    store.close().unwrap();
    assert!(reuses.load(Ordering::Relaxed) > 5, "files were reused");
    assert!(volumes(dir.path()).len() > 1);
}

/// Every frame of a journal file is in the copies of volumes made when their file was durable.
fn assert_durable(journal: &[u8], copies: &Path) {
    if journal.iter().all(|byte| *byte == 0) {
        return; // A new spare that the writer overtook: it held nothing yet and only gets another name.
    }
    let header = |at: usize| u64::from_be_bytes(journal[at..at + 8].try_into().unwrap());
    let (mut sequence, mut at) = (header(24), 4096);
    let volumes = fs::read_dir(copies).unwrap().map(|e| e.unwrap().path());
    let stored: Vec<u8> =
        volumes.filter(|v| v.extension().is_none()).flat_map(|v| raw(&v, "frames")).flat_map(|(_, value)| value).collect();
    // Behind the header block, each frame between its mark and its seal of 8 bytes.
    while let Ok(frame) = Frame::read(&journal[at + 8..]) {
        if frame.header().first_sequence != sequence {
            break;
        }
        assert!(memchr::memmem::find(&stored, frame.bytes()).is_some(), "the frame at {sequence} is not durable in sled");
        sequence = frame.header().end_sequence();
        at += 16 + frame.bytes().len();
    }
    assert!(at > 4096, "a file that was begun holds frames");
}

/// Appends until the journal is full; `each` is told how many frames were. The author is left as if the last had not been
/// tried.
fn fill_the_journal(store: &DiskStore, author: &mut Author, mut each: impl FnMut(usize)) -> Vec<Vec<u8>> {
    let mut written = Vec::new();
    loop {
        let kept = author.clone();
        let frame = author.frame(20_000);
        if let Err(full) = store.append(frame.clone()) {
            *author = kept;
            assert!(matches!(full, StoreError::JournalFull(_)), "{full}");
            return written;
        }
        written.push(frame.bytes().to_vec());
        each(written.len());
    }
}

#[test]
fn while_settling_fails_the_journal_keeps_everything_and_is_bounded() {
    let (dir, files) = (tempfile::tempdir().unwrap(), ScriptedFiles::new());
    let store = DiskStore::open(dir.path(), options(&files)).unwrap();
    store.settle().unwrap();
    store.pause();
    files.break_path("/db", Fault::Lost);
    store.resume();
    let mut author = Author::new(14);
    let mut written = fill_the_journal(&store, &mut author, |_| {});
    assert!(matches!(store.recover(), Err(StoreError::JournalFull(_))));
    assert!(lock(&store.shared.journal).files() <= super::journal::FILES_MAX);
    assert_same(&audit(&store), &written, "nothing is lost");
    files.mend();
    while store.settle().is_err() {}
    store.recover().unwrap();
    let frame = author.frame(700);
    written.push(frame.bytes().to_vec());
    store.append(frame).unwrap();
    store.settle().unwrap();
    assert!(journal_files(dir.path()).len() <= 5, "files that are not needed go");
    drop(store);
    assert_same(&audit(&open(dir.path())), &written, "after opening");
}

#[test]
fn scans_beside_the_writer_see_a_contiguous_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..3 {
            let (store, done) = (&store, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let head = store.head();
                    let from = if reader == 0 { 0 } else { head.saturating_mul(reader) / 3 };
                    let mut next = None;
                    for frame in store.scan(from).map(Result::unwrap) {
                        assert_eq!(next.unwrap_or(frame.header().first_sequence), frame.header().first_sequence);
                        next = Some(frame.header().end_sequence());
                    }
                    assert!(next.unwrap_or(head) >= head);
                }
            });
        }
        let mut author = Author::new(15);
        for nth in 0..400 {
            let size = author.size();
            store.append(author.frame(size)).unwrap();
            if nth % 7 == 0 {
                store.settle().unwrap();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(volumes(dir.path()).len() > 3);
    audit(&store);
    assert!(store.shared.volumes.open_count() <= 3, "the newest and two sealed ones");
}

#[test]
fn signatures_are_kept_as_a_contiguous_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let signature = |sequence: u64| [(sequence % 251) as u8; 64];
    let mut author = Author::new(16);
    let mut image = crash(dir.path());
    let store = open(dir.path());
    for nth in 0..150 {
        store.append(author.frame(12_000)).unwrap();
        // Signing lags, so that it passes the ends of sealed volumes.
        if nth >= 70 {
            let from = store.signed();
            let run: Vec<_> = (from..(from + 300).min(store.head())).map(signature).collect();
            store.put_signatures(from, &run).unwrap();
            assert!(store.put_signatures(from + 10_000, &run).is_err());
        }
        if nth % 10 == 0 {
            store.settle().unwrap();
        }
        if nth == 110 {
            store.pause();
            image = crash(dir.path());
            store.resume();
        }
    }
    let expect = |store: &DiskStore, signed: u64| {
        assert_eq!(store.signed(), signed);
        for sequence in 0..signed {
            assert_eq!(store.signature(sequence).unwrap(), Some(signature(sequence)), "sequence {sequence}");
        }
        assert_eq!(store.signature(signed).unwrap(), None);
        assert!(store.shared.volumes.open_count() <= 3);
    };
    let signed = store.signed();
    assert!(signed > 100 && volumes(dir.path()).len() > 2);
    expect(&store, signed);
    drop(store);
    expect(&open(dir.path()), signed);
    let store = open(image.path());
    assert!(store.signed() > 0 && store.signed() < signed);
    expect(&store, store.signed());
    assert!(fs::read_dir(volumes(image.path())[0].join("blobs")).map_or(0, Iterator::count) == 0);
}

#[test]
fn times_are_located_in_memory_and_in_every_volume() {
    let dir = tempfile::tempdir().unwrap();
    let mut author = Author::new(17);
    let store = open(dir.path());
    for nth in 0..120 {
        store.append(author.frame(15_000)).unwrap();
        if nth % 10 == 0 {
            store.settle().unwrap();
        }
    }
    let check = |store: &DiskStore| {
        let frames: Vec<_> = store.scan(0).map(Result::unwrap).collect();
        for (nth, frame) in frames.iter().enumerate() {
            for time in [frame.header().first_time_ms, frame.header().last_time_ms] {
                let first = frames.iter().find(|f| f.header().last_time_ms >= time).unwrap();
                let located = store.locate(time).unwrap();
                assert!(located <= first.header().first_sequence, "frame {nth}");
                let found = frames.iter().position(|f| f.header().first_sequence == located).unwrap();
                assert!(nth - found < 30, "few before: {nth} {found}");
            }
        }
        assert_eq!(store.locate(0).unwrap(), 0);
    };
    check(&store);
    drop(store);
    check(&open(dir.path()));
    assert!(volumes(dir.path()).len() > 2);
}

#[test]
fn a_volume_in_the_making_is_no_part_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let mut author = Author::new(18);
    let store = open(dir.path());
    store.append(author.frame(3_000)).unwrap();
    drop(store);
    let new = dir.path().join("log").join(format!("{:020}.new", author.chain.next_sequence()));
    fs::create_dir(&new).unwrap();
    fs::write(new.join("db"), b"half").unwrap();
    let store = open(dir.path());
    assert!(!new.exists());
    assert_eq!(audit(&store).len(), 1);
}
