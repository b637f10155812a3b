//! Commands of the command line, as an operator types them.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use super::process::{Process, allowlog, init, run, text};

#[test]
fn init_shows_everything_once() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let made = init(&data);
    let names: Vec<_> = made.as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["admin_token", "api_key", "key_id", "workspace_id"]);
    assert_eq!(fs::metadata(&data).unwrap().permissions().mode() & 0o777, 0o700, "the log is not for everybody on the machine");
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
    let end = ["--expires-at", "2099-01-01T00:00:00Z"];
    let reader = admin(
        &[&["api-key", "create", "--workspace", &workspace, "--name", "auditor", "--role", "read", "--style", "affixio"], &end[..]]
            .concat(),
    );
    assert_eq!((&reader["role"], &reader["style"]), (&"read".into(), &"affixio".into()));
    assert_eq!(reader["expires_at"], "2099-01-01T00:00:00.000Z");
    assert!(reader["api_key"].as_str().unwrap().starts_with("aff_"));
    let changed = admin(&["workspace", "change", &workspace, "--plan", "free"]);
    assert_eq!((&changed["plan"], &changed["name"]), (&"free".into(), &"acme".into()));
    admin(&["signing-key", "rotate", "--workspace", &workspace]);
    assert_eq!(admin(&["signing-key", "list", "--workspace", &workspace])["keys"].as_array().unwrap().len(), 2);
    let names: Vec<_> = admin(&["workspace", "list"])["items"].as_array().unwrap().iter().map(|w| w["name"].clone()).collect();
    assert_eq!(names, ["default", "acme"]);
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
    assert_eq!(replayed["search_rebuilt"], Value::Null);
    let rebuilt = object(&["replay", "--rebuild-search"]);
    assert_eq!((&rebuilt["search_rebuilt"], &rebuilt["state"]), (&verified["records"], &replayed["state"]));
    let shown = text(&run(&["log", "show", "--from", "1", "--limit", "2", "--data", data]).stdout);
    let sequences: Vec<_> = shown.lines().map(|l| serde_json::from_str::<Value>(l).unwrap()["sequence"].clone()).collect();
    assert_eq!(sequences, [1, 2]);
    let beyond = run(&["replay", "--until", "1000", "--data", data]);
    assert!(!beyond.status.success() && text(&beyond.stderr).contains("the log ends at sequence"), "{}", text(&beyond.stderr));
    let missing = run(&["log", "verify", "--data", "/nonexistent"]);
    assert!(text(&missing.stderr).contains("is not an allowlog data directory"), "{}", text(&missing.stderr));
}

#[test]
fn a_check_of_the_past_is_explained() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let process = Process::serve(directory.path(), &["--demo"]);
    assert_eq!(process.terminate(), Some(0));
    let shown = text(&run(&["log", "show", "--data", data]).stdout);
    let records: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let receipt = |pointer: &str| records.iter().find_map(|record| record.pointer(pointer)).unwrap().as_str().unwrap().to_owned();
    let check = receipt("/event/check/decided/receipt_id");
    let explained = run(&["replay", "--explain", &check, "--data", data]);
    assert!(explained.status.success(), "{}", text(&explained.stderr));
    let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
    assert_eq!((&explained["receipt_id"], &explained["agrees"]), (&Value::from(check), &Value::Bool(true)));
    let ladder = explained["ladder"].as_array().unwrap();
    assert_eq!(ladder.len(), 18);
    assert_eq!((&ladder[0]["standing"], &ladder[17]["standing"]), (&"passed".into(), &"decides".into()));
    assert_eq!(explained["recorded"]["decision"], "allow");
    assert_eq!((&explained["before"]["allows_today"], &explained["after"]["allows_today"]), (&0.into(), &1.into()));
    let grant = run(&["replay", "--explain", &receipt("/event/authorization/granted/receipt_id"), "--data", data]);
    assert!(!grant.status.success() && text(&grant.stderr).contains("not the receipt of a check"), "{}", text(&grant.stderr));
    let unknown = run(&["replay", "--explain", "rcp_01ARZ3NDEKTSV4RRFFQ69G5FAV", "--data", data]);
    assert!(!unknown.status.success() && text(&unknown.stderr).contains("no record of the log"), "{}", text(&unknown.stderr));
}

#[test]
fn usage_errors_name_what_is_wrong() {
    for (arguments, message) in [
        (&["serve", "--listen", "nowhere"][..], "invalid value 'nowhere'"),
        (&["serve", "--public-url", "not a url"], "invalid value 'not a url'"),
        (&["signing-key", "rotate", "--workspace", "x/../y", "--admin-token", "t"], "invalid value 'x/../y'"),
        (&["workspace", "change", "ws_01ARZ3NDEKTSV4RRFFQ69G5FAV", "--admin-token", "t"], "--name <NAME>|--plan <PLAN>"),
        (
            &["workspace", "create", "--name", "x", "--plan", "gold", "--admin-token", "t"],
            "must be `free`, `starter`, `pro` or `enterprise`",
        ),
        (&["serve", "--pii-guard", "maybe"], "possible values: accept, reject"),
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

/// What `serve` says and returns; it must not get as far as serving.
fn refused_to_serve(data: &Path, master_key: Option<&str>) -> String {
    let mut command = allowlog();
    command.args(["serve", "--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--data"]).arg(data).stdin(Stdio::null());
    if let Some(key) = master_key {
        command.env("ALLOWLOG_MASTER_KEY", key);
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

#[test]
fn secrets_that_are_gone_or_worthless_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    init(&data);
    let (master, token) = (data.join("master.key"), data.join("admin.hash"));
    let sound = fs::read(&token).unwrap();
    for worthless in ["", "\n", "short", "of a length that would do\nbut in two lines"] {
        fs::write(&token, worthless).unwrap();
        assert!(refused_to_serve(&data, None).contains("holds no secret"));
    }
    fs::write(&token, "x".repeat(64)).unwrap();
    assert!(refused_to_serve(&data, None).contains("`allowlog admin-token rotate` draws another"));
    fs::remove_file(&token).unwrap();
    let process = Process::serve(&data, &[]);
    let refused = run(&["workspace", "list", "--url", &process.url, "--admin-token", "x"]);
    assert!(text(&refused.stderr).contains("Invalid admin token"), "checks are served, and nobody operates");
    assert_eq!(process.terminate(), Some(0));
    fs::write(&token, &sound).unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused_to_serve(&data, None).contains("chmod 600"));
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(refused_to_serve(&data, Some("abc")).contains("64 hexadecimal digits"));
    assert!(refused_to_serve(&data, Some(&"ab".repeat(32))).contains("cannot be unsealed"));
    let key = fs::read(&master).unwrap();
    fs::remove_file(&master).unwrap();
    assert!(refused_to_serve(&data, None).contains("is missing"));
    assert!(!master.exists(), "no other key takes its place");
    fs::write(&master, key).unwrap();
    fs::set_permissions(&master, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(data.join("log"), directory.path().join("elsewhere")).unwrap();
    for empty in [false, true] {
        if empty {
            fs::create_dir(data.join("log")).unwrap();
        }
        assert!(refused_to_serve(&data, None).contains("has keys but no log"));
    }
    fs::remove_dir(data.join("log")).unwrap();
    fs::rename(directory.path().join("elsewhere"), data.join("log")).unwrap();
    assert_eq!(Process::serve(&data, &[]).terminate(), Some(0));
}

#[test]
fn a_rotated_admin_token_takes_the_place_of_the_one_before() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().to_str().unwrap();
    let before = init(directory.path())["admin_token"].as_str().unwrap().to_owned();
    let process = Process::serve(directory.path(), &[]);
    assert!(text(&run(&["admin-token", "rotate", "--data", data]).stderr).contains("in use by another allowlog process"));
    let lists =
        |process: &Process, token: &str| run(&["workspace", "list", "--url", &process.url, "--admin-token", token]).status.success();
    assert!(lists(&process, &before));
    assert_eq!(process.terminate(), Some(0));
    let after = text(&run(&["admin-token", "rotate", "--data", data]).stdout).trim().to_owned();
    let process = Process::serve(directory.path(), &[]);
    assert_eq!((lists(&process, &before), lists(&process, &after)), (false, true));
    assert_eq!(process.terminate(), Some(0));
}

#[test]
fn a_missing_key_concerns_its_own_workspace_alone() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let first = init(&data);
    let token = first["admin_token"].as_str().unwrap();
    let process = Process::serve(&data, &[]);
    let output = run(&["workspace", "create", "--name", "acme", "--url", &process.url, "--admin-token", token]);
    let second: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(process.terminate(), Some(0));
    let sealed = data.join("keys").join(format!("{}.sealed", second["key_id"].as_str().unwrap()));
    fs::rename(&sealed, directory.path().join("elsewhere")).unwrap();
    let process = Process::serve(&data, &[]);
    let check = |workspace: &Value| {
        let body = r#"{"authorization_id":"x","scopes":["s"]}"#;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let request = reqwest::Client::new().post(format!("{}/v1/check?wait=true", process.url)).body(body);
        let request = request.bearer_auth(workspace["api_key"].as_str().unwrap());
        let answer: Value = runtime.block_on(async { request.send().await.unwrap().json().await.unwrap() });
        answer["results"]["s"]["receipt"]["status"].as_str().unwrap().to_owned()
    };
    assert_eq!((check(&second), check(&first)), ("pending".to_owned(), "signed".to_owned()));
    fs::rename(directory.path().join("elsewhere"), &sealed).unwrap();
    assert_eq!(check(&second), "signed", "with its key restored it goes on");
    assert_eq!(process.terminate(), Some(0));
}

#[test]
fn a_half_sent_request_does_not_keep_the_server_from_stopping() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::serve(directory.path(), &[]);
    let mut half = TcpStream::connect(process.url.trim_start_matches("http://")).unwrap();
    half.write_all(b"POST /v1/check HTTP/1.1\r\nHo").unwrap();
    // One whole exchange behind it: the half request has arrived when this is answered.
    let mut whole = TcpStream::connect(process.url.trim_start_matches("http://")).unwrap();
    whole.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    std::io::read_to_string(&mut whole).unwrap();
    process.ask_to_stop();
    // A second signal cuts what is still open at once.
    assert_eq!(process.terminate(), Some(0));
    drop(half);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    init(directory.path());
    for arguments in [&["log", "verify"][..], &["replay"], &["log", "show"]] {
        let mut child = allowlog().args(arguments).arg("--data").arg(directory.path()).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}
