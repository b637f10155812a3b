//! A running `allowlog serve`.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

/// The program, ready to be given arguments; nothing of this machine's environment reaches it.
pub fn allowlog() -> Command {
    // Clients of these tests speak TLS too.
    allowlog::http::tls::install();
    let mut command = Command::new(env!("CARGO_BIN_EXE_allowlog"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ALLOWLOG_") || name.starts_with("OTEL_")) {
        command.env_remove(name);
    }
    command
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    allowlog().args(arguments).stdin(Stdio::null()).output().unwrap()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub struct Process {
    child: Child,
    /// Held open: a server whose reader has gone away must not be tested by accident.
    stdout: BufReader<ChildStdout>,
    /// Nothing if it was sent elsewhere.
    stderr: Option<BufReader<ChildStderr>>,
    pub url: String,
    pub operations_url: String,
    data: PathBuf,
}

/// The server on ports of the system's choice, just started.
pub fn spawn(data: &Path, more: &[&str]) -> Child {
    spawn_by(allowlog(), data, more, Stdio::piped())
}

fn spawn_by(mut program: Command, data: &Path, more: &[&str], stderr: Stdio) -> Child {
    program.args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data"]).arg(data).args(more);
    program.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr).spawn().unwrap()
}

impl Process {
    /// Serves the directory on ports of the system's choice, and returns once it says where.
    pub fn serve(data: &Path, more: &[&str]) -> Self {
        Self::serve_as(allowlog(), data, more, Stdio::piped())
    }

    /// The same for a process that may have so many descriptors.
    pub fn serve_with_descriptors(number: u32, data: &Path, more: &[&str]) -> Self {
        let program = allowlog();
        let mut shell = Command::new("bash");
        shell.args(["-c", r#"ulimit -n "$1"; shift; exec "$@""#, "bash", &number.to_string()]).arg(program.get_program());
        for (name, _) in program.get_envs() {
            shell.env_remove(name);
        }
        Self::serve_as(shell, data, more, Stdio::piped())
    }

    /// The same with the program as it is given, and its standard error sent there.
    pub fn serve_as(program: Command, data: &Path, more: &[&str], stderr: Stdio) -> Self {
        let mut child = spawn_by(program, data, more, stderr);
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let mut urls = line.split([' ', ',', '\n']).filter(|word| word.starts_with("http"));
        let (Some(url), Some(operations_url)) = (urls.next(), urls.next()) else {
            child.kill().unwrap();
            panic!("{line:?}: {}", text(&child.wait_with_output().unwrap().stderr));
        };
        let stderr = child.stderr.take().map(BufReader::new);
        Self { child, stdout, stderr, url: url.to_owned(), operations_url: operations_url.to_owned(), data: data.to_owned() }
    }

    /// The next lines of its output up to the one that begins with `prefix`, and the rest of that one.
    pub fn value_behind(&mut self, prefix: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "the output ends before `{prefix}`");
            if let Some(value) = line.trim().strip_prefix(prefix) {
                return value.trim().to_owned();
            }
        }
    }

    /// Waits until its telemetry says this.
    pub fn has_said(&mut self, said: &str) {
        let mut line = String::new();
        while !line.contains(said) {
            line.clear();
            let stderr = self.stderr.as_mut().expect("a telemetry that can be read");
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "the telemetry ends before `{said}`");
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: no destructor, no flush, no goodbye.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, without waiting for the end.
    pub fn ask_to_stop(&self) {
        self.signal(rustix::process::Signal::TERM);
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGTERM; returns the exit code, after a full audit of what the server leaves behind.
    pub fn terminate(self) -> Option<i32> {
        self.ask_to_stop();
        self.ended().0
    }

    /// Waits for the end of one that was asked to stop: the same, with what its telemetry said up to then.
    pub fn ended(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        if let Some(stderr) = &mut self.stderr {
            stderr.read_to_string(&mut said).unwrap();
        }
        let code = self.child.wait().unwrap().code();
        audit(&self.data);
        (code, said)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The chain holds, and two replays come to the same head and state.
fn audit(data: &Path) {
    let object = |arguments: &[&str]| -> Value {
        let output = run(&[arguments, &["--data", data.to_str().unwrap()]].concat());
        assert!(output.status.success(), "{arguments:?}: {}{}", text(&output.stdout), text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let (verified, replayed) = (object(&["log", "verify"]), object(&["replay"]));
    assert_eq!((&verified["records"], &verified["head"]), (&replayed["position"], &replayed["head"]));
    assert_eq!(replayed["state"], object(&["replay"])["state"]);
}

/// `allowlog init --json`
pub fn init(data: &Path) -> Value {
    let output = run(&["init", "--json", "--data", data.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}
