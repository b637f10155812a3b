//! Backups, archives, and directories made of them, by the real binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

use super::process::{Process, run, text};

/// A server with a few records, its data, its archive and its admin token.
struct Served {
    root: tempfile::TempDir,
    data: PathBuf,
    archive: PathBuf,
    process: Process,
    token: String,
}

impl Served {
    fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let (data, archive) = (root.path().join("data"), root.path().join("archive"));
        let mut process = Process::serve(&data, &["--archive", archive.to_str().unwrap()]);
        let token = process.value_behind("admin token");
        let served = Self { root, data, archive, process, token };
        served.workspace("acme");
        served
    }

    fn workspace(&self, name: &str) {
        let output = self.run(&["workspace", "create", "--name", name]);
        assert!(output.status.success(), "{}", text(&output.stderr));
    }

    /// A command that speaks to the server.
    fn run(&self, arguments: &[&str]) -> Output {
        run(&[arguments, &["--url", &self.process.url, "--admin-token", &self.token]].concat())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
}

fn object(output: &Output) -> Value {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn verified(data: &Path) -> Value {
    object(&run(&["log", "verify", "--data", data.to_str().unwrap()]))
}

fn replayed(data: &Path) -> Value {
    object(&run(&["replay", "--data", data.to_str().unwrap()]))["state"].clone()
}

fn restore(from: &Path, data: &Path, more: &[&str]) -> Output {
    run(&[&["restore", "--from", from.to_str().unwrap(), "--data", data.to_str().unwrap()], more].concat())
}

fn refused(output: &Output, words: &str) {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
}

#[test]
fn a_backup_of_a_running_server_becomes_another_one() {
    let served = Served::start();
    let (first, second, third) = (served.path("first"), served.path("second"), served.path("third"));
    let made = object(&served.run(&["backup", "--to", first.to_str().unwrap()]));
    assert_eq!(made["signing_keys"], 2);
    refused(&served.run(&["backup", "--to", first.to_str().unwrap()]), "is there already");
    refused(
        &run(&["backup", "--to", third.to_str().unwrap(), "--url", &served.process.url, "--admin-token", "wrong"]),
        "Invalid admin token",
    );
    refused(&run(&["backup", "--to", third.to_str().unwrap()]), "is needed for a running server");
    assert!(!third.exists() && !served.path("third.partial").exists());
    served.workspace("later");
    let Served { root, data, process, .. } = served;
    assert_eq!(process.terminate(), Some(0));
    let stopped = object(&run(&["backup", "--to", second.to_str().unwrap(), "--data", data.to_str().unwrap()]));
    let whole = verified(&data);
    assert_eq!((&stopped["records"], &stopped["head"]), (&whole["records"], &whole["head"]));
    assert!(made["records"].as_u64() < whole["records"].as_u64());
    for secret in ["master.key", "admin.hash"] {
        let secret = fs::read_to_string(data.join(secret)).unwrap();
        let backup = fs::read(&second).unwrap();
        let decoded = data_encoding::HEXLOWER.decode(secret.trim().rsplit('_').next().unwrap().as_bytes()).unwrap();
        for needle in [secret.trim().as_bytes(), &decoded] {
            assert!(memchr::memmem::find(&backup, needle).is_none(), "no secret is in a backup");
        }
    }
    let again = root.path().join("again");
    let restored = object(&restore(&second, &again, &[]));
    assert_eq!((&restored["records"], &restored["head"]), (&whole["records"], &whole["head"]));
    assert!(restored["notes"].to_string().contains("master.key is missing"), "{restored}");
    assert_eq!(verified(&again), whole);
    assert_eq!(replayed(&again), replayed(&data));
    let nobody = run(&["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data", again.to_str().unwrap()]);
    refused(&nobody, "the log was written under it");
    fs::copy(data.join("master.key"), again.join("master.key")).unwrap();
    assert_eq!(Process::serve(&again, &[]).terminate(), Some(0));
    // A shorter backup does not take the place of a longer log unless it is told to, and even then nothing is lost.
    refused(&restore(&first, &again, &[]), "--accept-loss");
    assert_eq!(verified(&again), whole);
    let restored = object(&restore(&first, &again, &["--accept-loss"]));
    assert_eq!(restored["records"], made["records"]);
    assert_eq!(restored["set_aside"].as_array().unwrap().len(), 2, "{restored}");
    assert_eq!(verified(&again)["head"], made["head"]);
    assert!(!again.join("search").exists());
    let kept = root.path().join("kept");
    fs::create_dir(&kept).unwrap();
    for part in ["log", "journal"] {
        fs::rename(again.join(format!("{part}.set-aside-1")), kept.join(part)).unwrap();
    }
    assert_eq!(verified(&kept)["head"], whole["head"]);
}

#[test]
fn a_log_that_went_another_way_is_not_replaced_unasked() {
    let served = Served::start();
    let (early, late) = (served.path("early"), served.path("late"));
    object(&served.run(&["backup", "--to", early.to_str().unwrap()]));
    served.workspace("one");
    served.workspace("two");
    object(&served.run(&["backup", "--to", late.to_str().unwrap()]));
    let Served { root, data, process, .. } = served;
    assert_eq!(process.terminate(), Some(0));
    // The same log up to the first backup, and then shorter and another.
    let fork = root.path().join("fork");
    object(&restore(&early, &fork, &[]));
    fs::copy(data.join("master.key"), fork.join("master.key")).unwrap();
    let token = text(&run(&["admin-token", "rotate", "--data", fork.to_str().unwrap()]).stdout);
    let process = Process::serve(&fork, &[]);
    object(&run(&["workspace", "create", "--name", "other", "--url", &process.url, "--admin-token", token.trim()]));
    assert_eq!(process.terminate(), Some(0));
    let before = verified(&fork);
    refused(&restore(&late, &fork, &[]), "is another one");
    assert_eq!(verified(&fork), before);
    // One that shares nothing with it.
    let foreign = root.path().join("foreign");
    super::process::init(&foreign);
    refused(&restore(&late, &foreign, &[]), "is another one");
    let restored = object(&restore(&late, &fork, &["--accept-loss"]));
    assert_eq!(restored["set_aside"].as_array().unwrap().len(), 2, "{restored}");
    assert_eq!(verified(&fork)["head"], verified(&data)["head"]);
}

#[test]
fn a_backup_that_was_cut_or_a_key_that_does_not_fit_is_refused() {
    let served = Served::start();
    let backup = served.path("backup");
    object(&served.run(&["backup", "--to", backup.to_str().unwrap()]));
    let bytes = fs::read(&backup).unwrap();
    let data = served.path("other");
    for spoilt in [&bytes[..bytes.len() - 1], &bytes[..bytes.len() / 2], b""] {
        fs::write(&backup, spoilt).unwrap();
        refused(&restore(&backup, &data, &[]), "was cut off");
        assert!(!data.join("log").exists());
    }
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    fs::write(&backup, flipped).unwrap();
    refused(&restore(&backup, &data, &[]), "cannot be used");
    fs::write(&backup, bytes).unwrap();
    let nothing = served.path("nothing");
    fs::create_dir(&nothing).unwrap();
    refused(&restore(&nothing, &data, &[]), "there is no log in");
    assert!(!data.join("log").exists() && !data.join("restored").exists());
    // The master key of another server opens none of the signing keys.
    super::process::init(&data);
    refused(&restore(&backup, &data, &[]), "cannot be unsealed");
    assert!(!data.join("restored.partial").exists());
    assert_eq!(verified(&data)["ok"], true);
}

#[test]
fn an_archive_and_the_journal_that_is_left_make_up_for_a_lost_log() {
    let served = Served::start();
    let Served { root: _root, data, archive, process, .. } = served;
    process.kill();
    let whole = verified(&data);
    let state = replayed(&data);
    fs::remove_dir_all(data.join("log")).unwrap();
    let serve = |data: &Path| {
        let output = run(&["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        text(&output.stderr)
    };
    assert!(serve(&data).contains("has keys but no log"));
    let restored = object(&restore(&archive, &data, &[]));
    assert_eq!((&restored["records"], &restored["head"]), (&whole["records"], &whole["head"]));
    assert_eq!((verified(&data), replayed(&data)), (whole, state));
    assert_eq!(Process::serve(&data, &["--archive", archive.to_str().unwrap()]).terminate(), Some(0));
}

#[test]
fn log_verify_names_the_first_bad_sequence_and_what_can_be_done() {
    let served = Served::start();
    let Served { root: _root, data, process, .. } = served;
    assert_eq!(process.terminate(), Some(0));
    let verify = || run(&["log", "verify", "--data", data.to_str().unwrap()]);
    let db = data.join("log/00000000000000000000/db");
    let whole = fs::read(&db).unwrap();
    let mut named = 0;
    for frame in memchr::memmem::find_iter(&whole, b"ALF1") {
        let mut bytes = whole.clone();
        bytes[frame + 90] ^= 1;
        fs::write(&db, bytes).unwrap();
        let output = verify();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        if output.status.code() == Some(1) {
            named += 1;
            assert!(said.contains("sequence") && said.contains("allowlog restore"), "{said}");
            if let Ok(summary) = serde_json::from_slice::<Value>(&output.stdout) {
                assert!(summary["first_bad_sequence"].is_u64(), "{said}");
            }
        }
    }
    assert!(named > 0, "an altered frame is noticed");
    fs::write(&db, whole).unwrap();
    for file in fs::read_dir(data.join("journal")).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    let output = verify();
    refused(&output, "the log is damaged at sequence 0");
    assert!(text(&output.stderr).contains("allowlog restore"));
}
