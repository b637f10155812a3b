//! Processes that end with the one that started them, and what the operating system says of them.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Whoever does not end within this time is killed.
const STOP: Duration = Duration::from_secs(600);
const PAUSE: Duration = Duration::from_millis(10);

/// A child that is stopped when this goes, and by the kernel if we are killed first.
pub struct Process {
    child: Child,
    stop: Signal,
    stdout: Option<BufReader<ChildStdout>>,
}

/// Runs a program so that the kernel sends it `TERM` or `INT` when the thread that spawned it, which is our first, ends.
pub fn tied(program: &Path, user: Option<(u32, u32)>, stop: Signal) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", if stop == Signal::INT { "INT" } else { "TERM" }]);
    if let Some((user, group)) = user {
        command.arg(format!("--reuid={user}")).arg(format!("--regid={group}")).arg("--clear-groups");
    }
    command.arg("--").arg(program);
    command
}

impl Process {
    /// Spawns what [`tied`] has made; its standard output is ours to read.
    pub fn spawn(mut command: Command, stop: Signal) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stop, stdout }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The next line it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "process {} has ended before it said anything", self.child.id());
        line.trim_end().to_owned()
    }

    /// Everything it prints up to its end.
    pub fn output(mut self) -> String {
        let mut text = String::new();
        self.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert!(self.child.wait().unwrap().success(), "{text}");
        text
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Stops it, and says how it has ended.
    pub fn stop(mut self) -> ExitStatus {
        self.end().unwrap()
    }

    fn end(&mut self) -> io::Result<ExitStatus> {
        if !self.has_ended() {
            let _ = kill_process(Pid::from_child(&self.child), self.stop);
            let asked = Instant::now();
            while !self.has_ended() {
                if asked.elapsed() > STOP {
                    eprintln!("process {} does not stop and is killed", self.child.id());
                    let _ = self.child.kill();
                    break;
                }
                thread::sleep(PAUSE);
            }
        }
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// Fields of a `stat` file behind the name, which may hold anything.
fn fields(stat: &str) -> Vec<u64> {
    let behind = stat.rsplit(") ").next().unwrap_or_default();
    behind.split_whitespace().skip(1).map(|field| field.parse().unwrap_or_default()).collect()
}

/// Microseconds of processor time in these fields of a `stat` file, counted as proc(5) does from 1.
fn microseconds(stat: &str, from: usize, count: usize) -> f64 {
    // Behind the name and the state comes field 4.
    let ticks: u64 = fields(stat).iter().skip(from - 4).take(count).sum();
    ticks as f64 * 1e6 / rustix::param::clock_ticks_per_second() as f64
}

/// Processor time of a process, its ended threads included.
pub fn cpu_us(id: u32) -> f64 {
    microseconds(&fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default(), 14, 2)
}

/// Processor time of a process, of its children and of theirs, those that have ended included.
pub fn tree_cpu_us(id: u32) -> f64 {
    let stat = |id: u32| fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    tree(id).into_iter().map(|id| microseconds(&stat(id), 14, 4)).sum()
}

/// Processor time of the threads with these names.
pub fn threads_cpu_us(id: u32, names: &[&str]) -> f64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{id}/task")) else { return 0.0 };
    let named = tasks.map(|task| task.unwrap().path()).filter(|task| {
        let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
        names.contains(&name.trim_end())
    });
    named.map(|task| microseconds(&fs::read_to_string(task.join("stat")).unwrap_or_default(), 14, 2)).sum()
}

/// Resident bytes of a process and of all below it; what they share is counted once where we may see it.
pub fn tree_resident_bytes(id: u32) -> u64 {
    tree(id).into_iter().map(resident_bytes).sum()
}

fn resident_bytes(id: u32) -> u64 {
    let kilobytes = |file: &str, name: &str| {
        let text = fs::read_to_string(format!("/proc/{id}/{file}")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    kilobytes("smaps_rollup", "Pss:").or_else(|| kilobytes("status", "VmRSS:")).unwrap_or_default() * 1024
}

/// A process and all below it.
fn tree(root: u32) -> Vec<u32> {
    let ids = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let parent = |id: u32| fs::read_to_string(format!("/proc/{id}/stat")).ok().and_then(|stat| fields(&stat).first().copied());
    let parents: Vec<(u32, u64)> = ids.filter_map(|id| Some((id, parent(id)?))).collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(above) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, parent)| *parent == u64::from(above)).map(|(id, _)| *id));
        next += 1;
    }
    found
}
