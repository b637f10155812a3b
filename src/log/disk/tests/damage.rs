//! Damage: one flipped bit at a time, at places drawn from a seed, in the log of a server that was stopped or killed; and
//! files that were cut, swapped, taken away or brought from elsewhere.
//!
//! Each is detected, by an error that names a sequence, or harmless: what is read is what was written, to the last frame.
//! `ALLOWLOG_FLIPS=10000` draws more places, `ALLOWLOG_FLIP_SEED=7` others; the counts are printed.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use allowlog_proto::chain::Chain;
use tempfile::TempDir;

use super::{Author, assert_same, audit, copy, crash, journal_files, open, options, volumes};
use crate::log::disk::files::scripted::ScriptedFiles;
use crate::log::disk::{DiskOptions, DiskStore};
use crate::log::{Store, StoreError};

/// Places that every change tries.
const FLIPS: usize = 240;
const THREADS: usize = 2;

/// A log as a server left it.
struct Left {
    name: &'static str,
    dir: TempDir,
    frames: Vec<Vec<u8>>,
}

/// Several volumes and journal files: after a clean stop, and after SIGKILL with frames that are not settled.
fn left(seed: u64) -> [Left; 2] {
    let dir = tempfile::tempdir().unwrap();
    let mut author = Author::new(seed);
    let store = DiskStore::open(dir.path(), small()).unwrap();
    for nth in 0..90 {
        store.append(author.frame(200 + 150 * (nth % 40))).unwrap();
        if nth % 9 == 0 {
            let run: Vec<_> = (store.signed()..store.head()).map(signature).collect();
            store.put_signatures(store.signed(), &run).unwrap();
            store.settle().unwrap();
        }
    }
    store.append(author.frame(30_000)).unwrap();
    store.settle().unwrap();
    store.pause();
    (0..20).for_each(|nth| store.append(author.frame(300 + 100 * nth)).unwrap());
    let killed = Left { name: "killed", dir: crash(dir.path()), frames: audit(&store) };
    store.resume();
    store.close().unwrap();
    assert!(volumes(dir.path()).len() >= 3, "several volumes");
    [Left { name: "stopped", frames: killed.frames.clone(), dir }, killed]
}

fn small() -> DiskOptions {
    DiskOptions { journal_file_bytes: 32 * 1024, volume_bytes: 96 * 1024, ..options(&ScriptedFiles::new()) }
}

fn signature(sequence: u64) -> [u8; 64] {
    [(sequence % 251) as u8; 64]
}

/// What comes of opening and reading all of it.
fn probe(dir: &Path, frames: &[Vec<u8>]) -> Result<(), Outcome> {
    let store = DiskStore::open(dir, small()).map_err(|error| Outcome::of(&error, "at open"))?;
    let mut chain = Chain::new();
    let mut found = Vec::new();
    for frame in store.scan(0) {
        let frame = frame.map_err(|error| Outcome::of(&error, "by verify"))?;
        chain.admit(&frame, |_, _, _| {}).map_err(|_| Outcome::Detected("by verify"))?;
        found.push(frame.bytes().to_vec());
    }
    if found != frames {
        return Err(Outcome::Silent(format!("{} frames instead of {}", found.len(), frames.len())));
    }
    for sequence in 0..store.signed() {
        // Derived data: it may be gone, and is then made again.
        let wrong = store.signature(sequence).ok().flatten().filter(|found| *found != signature(sequence) && *found != [0; 64]);
        if let Some(wrong) = wrong {
            return Err(Outcome::Silent(format!("signature {sequence} is {:?}", &wrong[..4])));
        }
    }
    Ok(())
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Detected(&'static str),
    /// An error that says nothing of damage.
    Unnamed(String),
    Silent(String),
}

impl Outcome {
    fn of(error: &StoreError, when: &'static str) -> Self {
        if matches!(error, StoreError::Damaged { .. }) { Self::Detected(when) } else { Self::Unnamed(format!("{error:?}")) }
    }
}

/// Where stored frames stand in a file, journal or database alike.
fn frame_places(bytes: &[u8], frames: &[Vec<u8>]) -> Vec<Range<usize>> {
    let chunks = frames.iter().flat_map(|frame| if frame.len() > 8192 { frame.chunks(8192) } else { frame.chunks(usize::MAX) });
    chunks
        .filter(|c| c.len() >= 100)
        .flat_map(|c| memchr::memmem::find_iter(bytes, c).map(|at| at..at + c.len()).collect::<Vec<_>>())
        .collect()
}

/// A place to flip a bit at.
#[derive(Debug, Clone)]
struct Place {
    path: PathBuf,
    byte: usize,
    region: String,
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let volumes = volumes(dir).into_iter().flat_map(|v| fs::read_dir(v).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>());
    let mut all: Vec<_> = volumes.filter(|path| path.is_file()).chain(journal_files(dir)).collect();
    all.sort();
    all
}

/// Half of the places are within stored frames, the others anywhere.
fn draw(left: &Left, count: usize, dice: &mut Dice) -> Vec<Place> {
    let (mut within, mut around) = (Vec::new(), Vec::new());
    for path in files(left.dir.path()) {
        let bytes = fs::read(&path).unwrap();
        let kind = match path.extension().and_then(|e| e.to_str()) {
            Some("journal") => "journal",
            _ if path.ends_with("db") => "db",
            _ if path.ends_with("conf") => "conf",
            _ => "snap",
        };
        let places = if matches!(kind, "journal" | "db") { frame_places(&bytes, &left.frames) } else { Vec::new() };
        within.extend(places.iter().map(|range| (path.clone(), range.clone(), format!("{kind}: stored frames"))));
        if !bytes.is_empty() {
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
            around.push((path.clone(), 0..used.max(1), places.clone(), kind));
            around.push((path, 0..bytes.len(), places, kind));
        }
    }
    (0..count)
        .map(|nth| {
            if nth % 2 == 0 {
                let (path, range, region) = within[dice.below(within.len())].clone();
                let byte = range.start + dice.below(range.len());
                return Place { path, byte, region };
            }
            let (path, range, places, kind) = &around[dice.below(around.len())];
            let byte = range.start + dice.below(range.len());
            let inside = places.iter().any(|range| range.contains(&byte));
            Place { path: path.clone(), byte, region: format!("{kind}: {}", if inside { "stored frames" } else { "around them" }) }
        })
        .collect()
}

#[test]
fn no_flipped_bit_goes_unnoticed_or_does_harm() {
    let number = |name: &str, default: usize| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (count, seed) = (number("ALLOWLOG_FLIPS", FLIPS), number("ALLOWLOG_FLIP_SEED", 1) as u64);
    let (tally, failures) = (Mutex::new(BTreeMap::<(String, String), usize>::new()), Mutex::new(Vec::new()));
    for left in left(seed) {
        probe(crash(left.dir.path()).path(), &left.frames).unwrap();
        let places = draw(&left, count / 2, &mut Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    while let Some(place) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let outcome = flip(&left, place);
                        let named = match &outcome {
                            Ok(()) => "harmless".to_owned(),
                            Err(Outcome::Detected(when)) => format!("detected {when}"),
                            Err(Outcome::Unnamed(_)) => "an error that names nothing".to_owned(),
                            Err(Outcome::Silent(_)) => "silent".to_owned(),
                        };
                        *tally.lock().unwrap().entry((format!("{}, {}", left.name, place.region), named)).or_default() += 1;
                        if let Err(outcome @ (Outcome::Silent(_) | Outcome::Unnamed(_))) = outcome {
                            failures.lock().unwrap().push(format!("{}: {place:?}: {outcome:?}", left.name));
                        }
                    }
                });
            }
        });
    }
    for ((region, outcome), count) in tally.lock().unwrap().iter() {
        println!("{count:>6} {region}: {outcome}");
    }
    let failures = failures.lock().unwrap();
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n"));
}

/// With an archive beside it, damage in what is settled heals by itself.
#[test]
fn a_flipped_bit_in_a_sealed_volume_heals_from_the_archive() {
    let number = |name: &str, default: usize| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (count, seed) = (number("ALLOWLOG_FLIPS", FLIPS) / 8, number("ALLOWLOG_FLIP_SEED", 1) as u64);
    let archive = tempfile::tempdir().unwrap();
    let [_, left] = left(seed);
    {
        let image = crash(left.dir.path());
        let store = DiskStore::open(image.path(), DiskOptions { archive: Some(archive.path().to_owned()), ..small() }).unwrap();
        let goal = crate::log::disk::lock(&store.shared.journal).archive_goal();
        store.wait_for_archive(goal).unwrap();
    }
    let (mut healed, mut named) = (0, 0);
    let places = draw(&left, count * 3, &mut Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1));
    for place in places.iter().filter(|place| !place.path.to_string_lossy().ends_with(".journal")).take(count) {
        let image = flipped(&left, place);
        let options = DiskOptions { archive: Some(crash(archive.path()).keep()), ..small() };
        let copy = options.archive.clone().unwrap();
        match DiskStore::open(image.path(), options) {
            Ok(store) => match store.scan(0).find_map(Result::err) {
                None => {
                    assert_same(&audit(&store), &left.frames, &format!("{place:?}"));
                    healed += 1;
                }
                Some(error) => {
                    assert!(matches!(error, StoreError::Damaged { .. }), "{place:?}: {error:?}");
                    named += 1;
                }
            },
            Err(error) => {
                assert!(matches!(error, StoreError::Damaged { .. }), "{place:?}: {error:?}");
                named += 1;
            }
        }
        fs::remove_dir_all(copy).unwrap();
    }
    println!("{healed} healed or harmless, {named} named");
    assert!(named * 20 <= healed, "{healed} healed or harmless, {named} named");
}

fn flip(left: &Left, place: &Place) -> Result<(), Outcome> {
    if let Ok(trace) = std::env::var("ALLOWLOG_FLIP_TRACE") {
        // What a process that did not survive was at.
        fs::write(format!("{trace}.{:?}", std::thread::current().id()), format!("{place:?}")).unwrap();
    }
    probe(flipped(left, place).path(), &left.frames)
}

fn flipped(left: &Left, place: &Place) -> TempDir {
    let image = crash(left.dir.path());
    let path = image.path().join(place.path.strip_prefix(left.dir.path()).unwrap());
    let mut bytes = fs::read(&path).unwrap();
    bytes[place.byte] ^= 1 << (place.byte % 8);
    fs::write(&path, bytes).unwrap();
    image
}

/// Copies, spoils, and says what comes of it.
fn spoilt(left: &Left, spoil: impl FnOnce(&Path)) -> Result<(), Outcome> {
    let image = crash(left.dir.path());
    spoil(image.path());
    probe(image.path(), &left.frames)
}

#[test]
fn files_that_are_cut_swapped_missing_or_foreign_are_noticed() {
    let foreign = left(3);
    for (left, foreign) in left(2).into_iter().zip(foreign) {
        for (nth, file) in files(left.dir.path()).into_iter().enumerate() {
            let name = file.strip_prefix(left.dir.path()).unwrap().to_owned();
            let length = fs::metadata(&file).unwrap().len();
            let context = |what: &str| format!("{}, {what}: {}", left.name, name.display());
            let fair = |outcome: Result<(), Outcome>, what: &str| match outcome {
                Ok(()) | Err(Outcome::Detected(_)) => {}
                Err(other) => panic!("{}: {other:?}", context(what)),
            };
            fair(spoilt(&left, |dir| fs::remove_file(dir.join(&name)).unwrap()), "removed");
            for cut in [0, length / 3, length.saturating_sub(1)] {
                fair(spoilt(&left, |dir| fs::File::options().write(true).open(dir.join(&name)).unwrap().set_len(cut).unwrap()), "cut");
            }
            if let Some(other) = files(foreign.dir.path()).get(nth).filter(|other| other.file_name() == name.file_name()) {
                fair(spoilt(&left, |dir| assert!(fs::copy(other, dir.join(&name)).is_ok())), "foreign");
            }
            if let Some(other) = files(left.dir.path()).get(nth + 1) {
                fair(spoilt(&left, |dir| assert!(fs::copy(other, dir.join(&name)).is_ok())), "of its neighbour");
            }
        }
        let all = volumes(left.dir.path());
        let fair = |outcome: Result<(), Outcome>, what: &str, name: &Path| {
            assert!(matches!(outcome, Ok(()) | Err(Outcome::Detected(_))), "{}, {what}: {}: {outcome:?}", left.name, name.display());
        };
        for (nth, volume) in all.iter().enumerate() {
            let name = volume.strip_prefix(left.dir.path()).unwrap();
            // The newest may be what the journal still holds.
            fair(spoilt(&left, |dir| fs::remove_dir_all(dir.join(name)).unwrap()), "removed", name);
            let other = all[(nth + 1) % all.len()].strip_prefix(left.dir.path()).unwrap();
            let swapped = spoilt(&left, |dir| {
                let between = dir.join("between");
                fs::rename(dir.join(name), &between).unwrap();
                fs::rename(dir.join(other), dir.join(name)).unwrap();
                fs::rename(between, dir.join(other)).unwrap();
            });
            assert!(matches!(swapped, Err(Outcome::Detected(_))), "{} swapped: {swapped:?}", name.display());
            let theirs = spoilt(&left, |dir| {
                fs::remove_dir_all(dir.join(name)).unwrap();
                copy(&volumes(foreign.dir.path())[nth.min(volumes(foreign.dir.path()).len() - 1)], &dir.join(name));
            });
            assert!(matches!(theirs, Err(Outcome::Detected(_))), "{} of another log: {theirs:?}", name.display());
        }
    }
}

#[test]
fn a_directory_put_together_from_two_times_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let mut author = Author::new(4);
    let run = |author: &mut Author, frames: usize| {
        let store = DiskStore::open(dir.path(), small()).unwrap();
        (0..frames).for_each(|_| store.append(author.frame(3_000)).unwrap());
        store.close().unwrap();
    };
    run(&mut author, 60);
    let older = crash(dir.path());
    run(&mut author, 60);
    let frames = audit(&open(crash(dir.path()).path()));
    let newer = Left { name: "newer", dir: crash(dir.path()), frames };
    for part in ["log", "journal"] {
        let outcome = spoilt(&newer, |dir| {
            fs::remove_dir_all(dir.join(part)).unwrap();
            copy(&older.path().join(part), &dir.join(part));
        });
        assert!(matches!(outcome, Err(Outcome::Detected(_))), "an older {part}: {outcome:?}");
    }
}

#[test]
fn a_damaged_log_is_not_extended() {
    let [_, killed] = left(5);
    let image = crash(killed.dir.path());
    let file =
        journal_files(image.path()).into_iter().max_by_key(|path| frame_places(&fs::read(path).unwrap(), &killed.frames[91..]).len());
    let mut bytes = fs::read(file.as_ref().unwrap()).unwrap();
    let place = frame_places(&bytes, &killed.frames[91..])[3].start;
    bytes[place + 50] ^= 4;
    fs::write(file.unwrap(), bytes).unwrap();
    let before: Vec<_> = journal_files(image.path()).iter().map(|f| (f.clone(), fs::read(f).unwrap())).collect();
    for settle in [true, false] {
        let opened = DiskStore::open(image.path(), DiskOptions { settle, ..small() });
        assert!(matches!(opened.err(), Some(StoreError::Damaged { .. })));
    }
    let after: Vec<_> = journal_files(image.path()).iter().map(|f| (f.clone(), fs::read(f).unwrap())).collect();
    assert!(before == after);
    assert_same(&audit(&DiskStore::open(killed.dir.path(), small()).unwrap()), &killed.frames, "the one beside it");
}
