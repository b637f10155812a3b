//! `allowlog backup`: the whole log in one file, of a running server or of a stopped one.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use allowlog_proto::chain::Chain;
use clap::Args;
use serde_json::json;

use super::client::Client;
use super::{Outcome, progress, say};
use crate::log::Store as _;
use crate::log::backup::{self, Backup as Reader};
use crate::opening::open_log;

#[derive(Debug, Args)]
pub struct Backup {
    /// The file to write; it must not be there yet
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Of a stopped server: its data directory. Without it the running server at --url is asked
    #[arg(long, value_name = "DIR", conflicts_with_all = ["url", "admin_token"])]
    data: Option<PathBuf>,
    /// Where the server listens [default: http://127.0.0.1:8700]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A certificate to trust beside those the machine trusts, as PEM; else as in ALLOWLOG_CA_CERT
    #[arg(long, value_name = "PEM", conflicts_with = "data")]
    ca_cert: Option<PathBuf>,
    /// The operator's token, as `init` or the first `serve` printed it; else as in ALLOWLOG_ADMIN_TOKEN
    #[arg(long)]
    admin_token: Option<String>,
}

impl Backup {
    pub fn run(self) -> Outcome {
        if self.to.exists() {
            return Err(format!("`{}` is there already; a backup replaces nothing", self.to.display()).into());
        }
        let temporary = self.to.with_extension("partial");
        let written = self.write(&temporary).and_then(|()| check(&temporary, &self.to));
        if written.is_err() {
            // The cause is what is told; a file that cannot be removed either is no backup all the same.
            drop(fs::remove_file(&temporary));
        }
        say(written?)?;
        Ok(ExitCode::SUCCESS)
    }

    fn write(&self, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path);
        let mut file = BufWriter::new(file.map_err(|e| format!("cannot create `{}`: {e}", path.display()))?);
        if let Some(data) = &self.data {
            let (directory, store) = open_log(data)?;
            let bar = progress::records("backing up");
            let frames = store.scan(0);
            let keys = backup::sealed_keys(&directory.keys())?;
            backup::write(&mut file, &keys, frames, |records| bar.set_position(records))?;
            bar.finish_and_clear();
        } else {
            let client = Client::of(self.url.clone(), self.admin_token.clone(), self.ca_cert.clone())?;
            let bar = progress::bytes("fetching");
            client.fetch("admin/v1/backup", &mut file, |bytes| bar.set_position(bytes))?;
            bar.finish_and_clear();
        }
        file.flush()?;
        Ok(file.get_ref().sync_all()?)
    }
}

/// Reads what was written, and only then gives it its name. Says what it comes to.
fn check(temporary: &Path, to: &Path) -> Result<String, Box<dyn std::error::Error>> {
    let bar = progress::records("checking");
    let mut reader = Reader::open(BufReader::new(File::open(temporary)?))?;
    let mut chain = Chain::new();
    for frame in reader.by_ref() {
        chain.admit(&*frame?, |_, _, _| {})?;
        bar.set_position(chain.next_sequence());
    }
    bar.finish_and_clear();
    fs::rename(temporary, to)?;
    let directory = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(directory)?.sync_all()?;
    let summary = reader.summary();
    let summary = json!({
        "backup": to.display().to_string(),
        "records": summary.records,
        "frames": summary.frames,
        "head": summary.head,
        "signing_keys": reader.keys.len(),
    });
    Ok(summary.to_string())
}
