//! The run: how long, where on the disk, on what machine, and where its results go.

use std::fmt::Arguments;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::geteuid;

use crate::fixture;

/// `statfs` says this of a file system in memory.
const TMPFS_MAGIC: i64 = 0x0102_1994;
/// A load that only finds out what somebody is best with.
const BRIEF: Duration = Duration::from_secs(5);

/// A program that a run needs.
#[derive(Debug)]
pub struct Program {
    pub name: &'static str,
    /// Debian's package.
    pub package: &'static str,
    /// Nothing if it is not installed.
    pub version: fn() -> Option<String>,
}

/// What every run needs: the load generator.
pub const WRK: Program = Program { name: "wrk", package: "wrk", version: || version(Path::new("wrk")) };

/// How this run measures.
#[derive(Debug)]
pub struct Bench {
    programs: &'static [Program],
    /// Without this everything is small, and only shown to work.
    pub measures: bool,
    pub rounds: u32,
    /// Of one load.
    pub seconds: u64,
    /// Of the load that the followers must keep up with.
    pub minutes: f64,
    directory: PathBuf,
}

impl Bench {
    /// With what is needed installed, and an empty directory on the disk.
    pub fn new(name: &str, programs: &'static [Program]) -> Self {
        let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<f64>().ok());
        let measures = fixture::measures();
        let base = std::env::var_os("ALLOWLOG_BENCH_DIRECTORY").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
        let directory = fresh(&base, name);
        let bench = Self {
            programs,
            measures,
            rounds: if measures { number("ALLOWLOG_BENCH_ROUNDS").map_or(5, |n| odd(n as u32)) } else { 1 },
            seconds: number("ALLOWLOG_BENCH_SECONDS").map_or(10, |n| n as u64),
            minutes: number("ALLOWLOG_BENCH_MINUTES").unwrap_or(1.0),
            directory,
        };
        if measures {
            let kind = rustix::fs::statfs(&bench.directory).unwrap().f_type;
            assert!(kind != TMPFS_MAGIC, "`{}` is in memory: set ALLOWLOG_BENCH_DIRECTORY to one on a disk", base.display());
            install(programs);
        }
        bench
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How long one load lasts; nothing if it is not to be measured.
    pub fn time(&self) -> Option<Duration> {
        self.measures.then(|| Duration::from_secs(self.seconds))
    }

    /// The same for a load that only finds out what somebody is best with.
    pub fn brief(&self) -> Option<Duration> {
        self.time().map(|time| time.min(BRIEF))
    }

    /// Says how it goes, beside the results.
    pub fn say(&self, what: Arguments<'_>) {
        eprintln!("{what}");
    }

    /// The machine and the versions, in one line.
    pub fn describe(&self) -> String {
        let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let value = |line: &str| line.split(": ").nth(1).map(str::to_owned);
        let models: Vec<String> = cpus.lines().filter(|line| line.starts_with("model name")).filter_map(value).collect();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kilobytes = memory.split_whitespace().nth(1).and_then(|n| n.parse::<f64>().ok()).unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let mut text = format!(
            "{} × {}, {:.0} GiB, Linux {}, {}",
            models.len(),
            models.first().map_or("unknown", String::as_str),
            kilobytes / 1_048_576.0,
            kernel.trim().split('-').next().unwrap_or_default(),
            self.file_system(),
        );
        for program in self.programs.iter().filter(|_| self.measures) {
            text.push_str(&format!(", {} {}", program.name, (program.version)().unwrap_or_default()));
        }
        if std::env::var_os("ALLOWLOG_BIN").is_some() {
            text.push_str("; the server is another program than this build's");
        }
        text
    }

    /// Of the directory: the mount with the longest path that leads to it.
    fn file_system(&self) -> String {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let mounts = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        });
        let directory = fs::canonicalize(&self.directory).unwrap();
        let longest = mounts.filter(|(path, _)| directory.starts_with(path)).max_by_key(|(path, _)| path.len());
        longest.map_or_else(|| "unknown".to_owned(), |(_, kind)| kind.to_owned())
    }

    /// Prints the results; those of a run that measures are kept as files.
    pub fn publish(&self, name: &str, markdown: &str, svg: &str) {
        println!("{markdown}");
        let results = if self.measures { Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results") } else { self.directory.clone() };
        fs::create_dir_all(&results).unwrap();
        fs::write(results.join(format!("{name}.md")), markdown).unwrap();
        fs::write(results.join(format!("{name}.svg")), svg).unwrap();
    }
}

/// So many rounds that one of them is the median: of two it would be the worse of what is better large, and the better of the rest.
fn odd(rounds: u32) -> u32 {
    assert!(rounds % 2 == 1, "`ALLOWLOG_BENCH_ROUNDS` must be odd, so that one round is the median");
    rounds
}

impl Drop for Bench {
    fn drop(&mut self) {
        // What a failure leaves is there to be looked at until the next run.
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// A directory of this process. What processes that are gone have left is removed.
fn fresh(base: &Path, name: &str) -> PathBuf {
    fs::create_dir_all(base).unwrap();
    for entry in fs::read_dir(base).unwrap() {
        let path = entry.unwrap().path();
        let id = path.file_name().and_then(|file| file.to_str()?.strip_prefix(name)?.strip_prefix('-')?.parse::<u32>().ok());
        if id.is_some_and(|id| !Path::new("/proc").join(id.to_string()).exists()) {
            let _ = fs::remove_dir_all(path);
        }
    }
    let directory = base.join(format!("{name}-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    directory
}

/// The first word with a number in what a program says of its version.
pub fn version(program: &Path) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let word = text.split_whitespace().find(|word| word.contains(|c: char| c.is_ascii_digit()))?;
    Some(word.trim_start_matches("v=").trim_start_matches("debian/").to_owned())
}

/// Installs what is missing where we may, else says what to install.
fn install(programs: &[Program]) {
    let missing: Vec<&str> = programs.iter().filter(|program| (program.version)().is_none()).map(|program| program.package).collect();
    if missing.is_empty() {
        return;
    }
    let packages = missing.join(" ");
    let may = geteuid().is_root() && version(Path::new("apt-get")).is_some();
    assert!(may, "this bench needs more programs. On Debian: apt-get install {packages}");
    let apt = |arguments: &[&str]| {
        // The level at which packages do not start what they install.
        let status = Command::new("apt-get").args(arguments).env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1").status();
        assert!(status.unwrap().success(), "apt-get {arguments:?} fails");
    };
    apt(&["update", "-qq"]);
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], &missing[..]].concat());
}
