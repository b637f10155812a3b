//! The README's quickstart, pasted into a shell line by line.

use std::process::{Command, Stdio};

use super::process::{Process, allowlog, text};

/// The shell blocks of the section of this name.
fn blocks(readme: &str, section: &str) -> Vec<String> {
    let body = readme.split("\n## ").find(|part| part.starts_with(section)).unwrap_or_else(|| panic!("no section `{section}`"));
    body.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn works_as_pasted() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::serve(&directory.path().join("data"), &[]);
    let workspace = process.value_behind("workspace");
    let api_key = process.value_behind("API key");
    let script = blocks(&readme, "Quickstart").join("\n").replace("http://127.0.0.1:8700", &process.url);
    let program = allowlog();
    let path = format!("{}:{}", std::path::Path::new(program.get_program()).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-eu", "-o", "pipefail", "-c", &script])
        .current_dir(directory.path())
        .env("PATH", path)
        .env("ALLOWLOG_API_KEY", api_key)
        .env("ALLOWLOG_WORKSPACE", workspace)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let decisions: Vec<_> = out.match_indices(r#""decision":""#).map(|(at, m)| out[at + m.len()..].split('"').next().unwrap()).collect();
    assert_eq!(decisions, ["allow", "confirm", "approved", "allow", "escalate", "allow", "escalate", "deny", "allow", "deny"], "{out}");
    assert!(out.contains("\nvalid: rcp_"), "{out}");
}
