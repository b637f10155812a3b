//! A directory that was set back is not served from, unless the operator says so.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use allowlog_proto::note::{KeyKind, VerifierKey};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::process::{Process, allowlog, init, run, spawn, text};
use super::witness::Running;

/// Copies a directory, as a file system's snapshot or a careless operator would.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

struct Client {
    api_key: String,
    workspace: String,
    runtime: tokio::runtime::Runtime,
    http: reqwest::Client,
}

impl Client {
    fn new(made: &Value) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let member = |name: &str| made[name].as_str().unwrap().to_owned();
        // Made after the program, which says what TLS is made of.
        drop(allowlog());
        Self { api_key: member("api_key"), workspace: member("workspace_id"), runtime, http: reqwest::Client::new() }
    }

    /// Status and body.
    fn get(&self, url: &str, path: &str) -> (u16, String) {
        self.runtime.block_on(async {
            let reply = self.http.get(format!("{url}{path}")).bearer_auth(&self.api_key).send().await.unwrap();
            (reply.status().as_u16(), reply.text().await.unwrap())
        })
    }

    fn place_tombstones(&self, url: &str, numbers: std::ops::Range<u32>) -> Vec<u16> {
        let place = async |n: u32| {
            let request = self.http.post(format!("{url}/v1/tombstones")).bearer_auth(&self.api_key);
            request.json(&json!({ "resource": format!("r{n}") })).send().await.unwrap().status().as_u16()
        };
        self.runtime.block_on(async {
            let mut statuses = Vec::new();
            for n in numbers {
                statuses.push(place(n).await);
            }
            statuses
        })
    }

    /// The checkpoint, once it is of so many records.
    fn checkpoint(&self, url: &str, size: u64) -> String {
        loop {
            let (status, text) = self.get(url, &format!("/tlog/{}/checkpoint", self.workspace));
            if status == 200 && text.lines().nth(1) == Some(&size.to_string()) {
                return text;
            }
            std::thread::yield_now();
        }
    }
}

/// What a server that will not start says.
fn refusal(data: &Path, more: &[&str]) -> String {
    let mut child = spawn(data, more);
    let code = child.wait().unwrap().code();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(code, Some(1), "{said}");
    said
}

#[test]
fn a_log_with_fewer_records_than_were_signed_is_not_served() {
    let directory = tempfile::tempdir().unwrap();
    let (data, old) = (directory.path().join("data"), directory.path().join("old"));
    let client = Client::new(&init(&data));
    copy(&data, &old);
    let server = Process::serve(&data, &[]);
    assert_eq!(client.place_tombstones(&server.url, 0..5), [201; 5]);
    let signed = client.checkpoint(&server.url, 8);
    assert_eq!(server.terminate(), Some(0));
    // A log of before beside the ledger of now.
    for part in ["log", "journal", "snapshots", "tiles", "search"] {
        drop(fs::remove_dir_all(data.join(part)));
        if old.join(part).is_dir() {
            copy(&old.join(part), &data.join(part));
        }
    }
    let said = refusal(&data, &[]);
    assert!(said.contains("the log was set back: it has 3 records of workspace") && said.contains("8 records"), "{said}");
    let output = run(&["log", "verify", "--data", data.to_str().unwrap()]);
    assert!(text(&output.stdout).contains("\"records\":3"), "nothing was written");
    let server = Process::serve(&data, &["--accept-rollback"]);
    assert_eq!(client.place_tombstones(&server.url, 5..25), [201; 20]);
    // Past the size that was signed it is another log still: none of its checkpoints is.
    let (status, text) = client.get(&server.url, &format!("/tlog/{}/checkpoint", client.workspace));
    assert_eq!(status, 503, "{text}");
    let (status, _) = client.get(&server.url, "/v1/evidence");
    assert_eq!(status, 503);
    assert_eq!(server.terminate(), Some(0));
    assert!(signed.contains("\n8\n"));
}

#[test]
fn the_archive_remembers_what_the_directory_has_lost() {
    let directory = tempfile::tempdir().unwrap();
    let (data, old, archive) = (directory.path().join("data"), directory.path().join("old"), directory.path().join("archive"));
    let client = Client::new(&init(&data));
    copy(&data, &old);
    let archived = ["--archive", archive.to_str().unwrap()];
    let server = Process::serve(&data, &archived);
    assert_eq!(client.place_tombstones(&server.url, 0..5), [201; 5]);
    client.checkpoint(&server.url, 8);
    assert_eq!(server.terminate(), Some(0));
    fs::remove_dir_all(&data).unwrap();
    copy(&old, &data);
    let said = refusal(&data, &archived);
    assert!(said.contains("the log was set back"), "{said}");
    // The directory has learnt it; another copy without the archive knows nothing.
    assert!(refusal(&data, &[]).contains("the log was set back"));
    fs::remove_dir_all(&data).unwrap();
    copy(&old, &data);
    let server = Process::serve(&data, &[]);
    assert_eq!(client.place_tombstones(&server.url, 5..6), [201]);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_witness_remembers_what_everybody_else_has_lost() {
    let directory = tempfile::tempdir().unwrap();
    let [data, old, held] = ["data", "old", "held"].map(|name| directory.path().join(name));
    let client = Client::new(&init(&data));
    copy(&data, &old);
    let server = Process::serve(&data, &[]);
    let trusted = directory.path().join("trusted");
    fs::write(&trusted, client.get(&server.url, &format!("/tlog/{}/keys", client.workspace)).1).unwrap();
    assert_eq!(server.terminate(), Some(0));
    let trust = ["--name", "witness.example", "--trust-file", trusted.to_str().unwrap()];
    let witness = Running::start(&held, &trust);
    let address = witness.known.url.strip_prefix("http://").unwrap().to_owned();
    let asked = format!("{} {}", witness.known.key, witness.known.url);
    let asked = ["--witness", &asked];
    let server = Process::serve(&data, &asked);
    assert_eq!(client.place_tombstones(&server.url, 0..5), [201; 5]);
    let cosigned = client.checkpoint(&server.url, 8);
    assert!(cosigned.contains("\n\u{2014} witness.example "), "{cosigned}");
    assert_eq!(server.terminate(), Some(0));
    // The whole directory is set back, its ledger too.
    let set_back = || {
        fs::remove_dir_all(&data).unwrap();
        copy(&old, &data);
    };
    set_back();
    let said = refusal(&data, &asked);
    assert!(said.contains("the log was set back, or goes on elsewhere: witness `witness.example` has cosigned 8 records"), "{said}");
    let server = Process::serve(&data, &[&asked[..], &["--accept-rollback"]].concat());
    assert_eq!(client.place_tombstones(&server.url, 5..15), [201; 10]);
    assert_eq!(client.get(&server.url, &format!("/tlog/{}/checkpoint", client.workspace)).0, 503);
    assert_eq!(server.terminate(), Some(0));
    // While it cannot be reached nobody knows; once it can, nothing more is written.
    set_back();
    witness.kill();
    let server = Process::serve(&data, &asked);
    assert_eq!(client.place_tombstones(&server.url, 5..6), [201]);
    let witness = Running::start_on(&address, &held, &trust[2..]);
    loop {
        let (status, text) = client.get(&server.operations_url, "/readyz");
        if status == 503 {
            assert!(text.contains("the log was set back") || text.contains("the log is another one"), "{text}");
            break;
        }
        std::thread::yield_now();
    }
    assert_eq!(client.place_tombstones(&server.url, 6..8), [503; 2]);
    assert_eq!(client.get(&server.url, "/v1/tombstones").0, 200, "what is there can be read");
    assert_eq!(server.terminate(), Some(0));
    drop(witness);
}

/// A proof from damaged trees would be that of another log.
#[test]
fn damaged_trees_are_no_rollback() {
    let directory = tempfile::tempdir().unwrap();
    let [data, held] = ["data", "held"].map(|name| directory.path().join(name));
    let client = Client::new(&init(&data));
    let server = Process::serve(&data, &[]);
    let trusted = directory.path().join("trusted");
    fs::write(&trusted, client.get(&server.url, &format!("/tlog/{}/keys", client.workspace)).1).unwrap();
    assert_eq!(server.terminate(), Some(0));
    let witness = Running::start(&held, &["--name", "witness.example", "--trust-file", trusted.to_str().unwrap()]);
    let server = Process::serve(&data, &["--witness", &format!("{} {}", witness.known.key, witness.known.url)]);
    assert_eq!(client.place_tombstones(&server.url, 0..5), [201; 5]);
    client.checkpoint(&server.url, 8);
    for (n, size) in (5_u32..).zip(9..12) {
        let entries = data.join("tiles").join(&client.workspace).join("entries");
        let mut bytes = fs::read(&entries).unwrap();
        bytes[64 * usize::try_from(n).unwrap()] ^= 1;
        fs::write(&entries, bytes).unwrap();
        assert_eq!(client.place_tombstones(&server.url, n..n + 1), [201]);
        let cosigned = client.checkpoint(&server.url, size);
        assert!(cosigned.contains("\n\u{2014} witness.example "), "{cosigned}");
        assert_eq!(client.get(&server.operations_url, "/readyz").0, 200);
    }
    assert_eq!(server.terminate(), Some(0));
}

/// Somebody who says of every log that it was larger once.
fn liar(runtime: &tokio::runtime::Runtime) -> String {
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]).verifying_key();
    let key = VerifierKey::new("liar.example", KeyKind::Cosignature, key).unwrap();
    let socket = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let lie = async || (StatusCode::CONFLICT, [("content-type", "text/x.tlog.size")], "999999\n");
    runtime.spawn(async move { axum::serve(socket, axum::Router::new().fallback(lie)).await });
    format!("{key} {url}")
}

#[test]
fn one_witness_of_several_stops_nobody_with_a_lie() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let client = Client::new(&init(&data));
    let server = Process::serve(&data, &[]);
    let trusted = directory.path().join("trusted");
    fs::write(&trusted, client.get(&server.url, &format!("/tlog/{}/keys", client.workspace)).1).unwrap();
    assert_eq!(server.terminate(), Some(0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let liar = liar(&runtime);
    let honest =
        ["a", "b"].map(|name| Running::start(&directory.path().join(name), &["--name", name, "--trust-file", trusted.to_str().unwrap()]));
    let [a, b] = honest.each_ref().map(|witness| format!("{} {}", witness.known.key, witness.known.url));
    let server = Process::serve(&data, &["--witness", &a, "--witness", &b, "--witness", &liar]);
    assert_eq!(client.place_tombstones(&server.url, 0..5), [201; 5]);
    let cosigned = client.checkpoint(&server.url, 8);
    assert_eq!(cosigned.matches('\u{2014}').count(), 3, "the log and two witnesses: {cosigned}");
    assert_eq!(server.terminate(), Some(0));
    // Where nobody else is asked, or too few are left, it is believed.
    assert!(refusal(&data, &["--witness", &liar]).contains("has cosigned 999999 records"));
    assert!(refusal(&data, &["--witness", &liar, "--witness", &a]).contains("has cosigned 999999 records"));
    let server = Process::serve(&data, &["--witness", &liar, "--accept-rollback"]);
    assert_eq!(client.place_tombstones(&server.url, 5..6), [201]);
    assert_eq!(server.terminate(), Some(0));
}
