//! Commands of the command line, as an operator types them.

use serde_json::Value;

use super::process::{Process, init, run, text};

#[test]
fn init_shows_everything_once() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let made = init(&data);
    let names: Vec<_> = made.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["admin_token", "api_key", "key_id", "workspace_id"]);
    let again = run(&["init", "--data", data.to_str().unwrap()]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("initialised already"), "{}", text(&again.stderr));
}

#[test]
fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::serve(directory.path(), &[]);
    for arguments in [&["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"][..], &["log", "verify"], &["replay"], &["init"]]
    {
        let output = run(&[arguments, &["--data", directory.path().to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        assert!(text(&output.stderr).contains("in use by another allowlog process"), "{}", text(&output.stderr));
    }
    assert_eq!(process.terminate(), Some(0));
    assert!(run(&["log", "verify", "--data", directory.path().to_str().unwrap()]).status.success(), "free again");
}

#[test]
fn workspaces_and_keys_over_the_wire() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::serve(directory.path(), &[]);
    let token = process.value_behind("admin token");
    let admin = |arguments: &[&str]| {
        let output = run(&[arguments, &["--url", &process.url, "--admin-token", &token]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let workspace = admin(&["workspace", "create", "--name", "acme"])["workspace_id"].as_str().unwrap().to_owned();
    let key = admin(&["api-key", "create", "--workspace", &workspace, "--name", "worker"]);
    let id = key["api_key_id"].as_str().unwrap();
    assert_eq!(admin(&["api-key", "revoke", "--workspace", &workspace, id])["name"], "worker");
    let listed = admin(&["api-key", "list", "--workspace", &workspace]);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    admin(&["signing-key", "rotate", "--workspace", &workspace]);
    let refused = run(&["workspace", "create", "--name", "x", "--url", &process.url, "--admin-token", "wrong"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("Invalid admin token"), "{}", text(&refused.stderr));
    let nobody = run(&["workspace", "create", "--name", "x", "--url", "http://127.0.0.1:9", "--admin-token", "x"]);
    assert!(text(&nobody.stderr).contains("no answer from http://127.0.0.1:9"), "{}", text(&nobody.stderr));
}

#[test]
fn log_and_replay_agree() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let process = Process::serve(directory.path(), &["--demo"]);
    assert_eq!(process.terminate(), Some(0));
    let object = |arguments: &[&str]| {
        let output = run(&[arguments, &["--data", data]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let verified = object(&["log", "verify"]);
    let replayed = object(&["replay"]);
    assert_eq!(verified["ok"], true);
    assert_eq!((&verified["records"], &verified["head"]), (&replayed["position"], &replayed["head"]));
    assert_eq!(replayed["state"], object(&["replay"])["state"]);
    assert_ne!(replayed["state"], object(&["replay", "--until", "2"])["state"]);
    let shown = text(&run(&["log", "show", "--from", "1", "--limit", "2", "--data", data]).stdout);
    let sequences: Vec<_> = shown.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["sequence"].clone()).collect();
    assert_eq!(sequences, [1, 2]);
    let missing = run(&["log", "verify", "--data", "/nonexistent"]);
    assert!(text(&missing.stderr).contains("is not an allowlog data directory"), "{}", text(&missing.stderr));
}

#[test]
fn usage_errors_name_what_is_wrong() {
    for (arguments, message) in [
        (&["serve", "--listen", "nowhere"][..], "invalid value 'nowhere'"),
        (&["serve", "--master-key", "abc", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"], "64 hexadecimal digits"),
        (&["receipt", "verify", "/nonexistent", "--keys", "/nonexistent"], "cannot read `/nonexistent`"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut all = arguments.to_vec();
        if arguments[0] == "serve" {
            all.extend(["--data", directory.path().to_str().unwrap()]);
        }
        let output = run(&all);
        assert!(!output.status.success());
        assert!(text(&output.stderr).contains(message), "{arguments:?}: {}", text(&output.stderr));
    }
}
