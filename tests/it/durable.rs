//! Durable before answered: every answer's event is in bytes for which `fdatasync` has returned, all 10,000 times.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use allowlog::log::disk::files::{Files, Handle, OpenFile, OsFiles};
use allowlog::log::disk::{DiskOptions, DiskStore};
use allowlog_proto::frame::{FRAME_MAGIC, Frame};
use allowlog_proto::record::Record;
use axum::http::StatusCode;
use serde_json::json;

use crate::harness::Server;

const CLIENTS: usize = 32;
const CHECKS_EACH: usize = 313;

/// File operations of the operating system, with a record of the receipts whose events are durable.
#[derive(Clone, Default)]
struct Witness {
    durable: Arc<Mutex<BTreeSet<String>>>,
}

struct Witnessed {
    file: Handle,
    /// What was written since the last `fdatasync`.
    written: Mutex<Vec<Vec<u8>>>,
    durable: Arc<Mutex<BTreeSet<String>>>,
}

impl Witness {
    fn witnessed(&self, file: Handle) -> Handle {
        Arc::new(Witnessed { file, written: Mutex::default(), durable: Arc::clone(&self.durable) })
    }
}

impl Files for Witness {
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        OsFiles.list(dir)
    }

    fn create_zeroed(&self, path: &Path, bytes: u64) -> io::Result<Handle> {
        Ok(self.witnessed(OsFiles.create_zeroed(path, bytes)?))
    }

    fn open(&self, path: &Path) -> io::Result<Handle> {
        Ok(self.witnessed(OsFiles.open(path)?))
    }

    fn open_to_read(&self, path: &Path) -> io::Result<Handle> {
        OsFiles.open_to_read(path)
    }

    fn write_whole(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        OsFiles.write_whole(path, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        OsFiles.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        OsFiles.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        OsFiles.sync_dir(dir)
    }
}

impl OpenFile for Witnessed {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_at(bytes, offset)?;
        self.written.lock().unwrap().push(bytes.to_vec());
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let written = std::mem::take(&mut *self.written.lock().unwrap());
        self.file.sync_data()?;
        // Only now, and from the very bytes that were synced.
        for bytes in written {
            let Some(start) = bytes.windows(4).position(|window| window == FRAME_MAGIC) else { continue };
            let frame = Frame::read(&bytes[start..]).unwrap();
            let ids = frame.records().unwrap().map(|(bytes, _)| Record::decode(bytes).unwrap().event.receipt_id());
            self.durable.lock().unwrap().extend(ids.flatten().map(|id| id.to_string()));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_answer_leaves_before_its_event_is_durable() {
    let directory = tempfile::tempdir().unwrap();
    let witness = Witness::default();
    let options = DiskOptions { files: Arc::new(witness.clone()), journal_file_bytes: 1 << 20, ..DiskOptions::default() };
    let store = DiskStore::open(directory.path(), options).unwrap();
    let server = Arc::new(Server::start_on(Arc::new(store)).await);
    let id = Arc::new(server.grant(json!({})).await);
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (server, id, durable) = (Arc::clone(&server), Arc::clone(&id), Arc::clone(&witness.durable));
            tokio::spawn(async move {
                for _ in 0..CHECKS_EACH {
                    let reply = server.post("/v1/check", json!({ "authorization_id": *id, "scopes": ["email.read"] })).await;
                    assert_eq!(reply.status, StatusCode::OK);
                    let receipt = reply.json()["results"]["email.read"]["receipt"]["receipt_id"].as_str().unwrap().to_owned();
                    assert!(durable.lock().unwrap().contains(&receipt), "{receipt} was answered before it was durable");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert!(witness.durable.lock().unwrap().len() > 10_000);
    let volumes = std::fs::read_dir(directory.path().join("log")).unwrap();
    for volume in volumes.map(|entry| entry.unwrap().path()) {
        let blobs = std::fs::read_dir(volume.join("blobs")).map_or(0, Iterator::count);
        assert_eq!(blobs, 0, "no value of {} left the file that is synced", volume.display());
    }
}
