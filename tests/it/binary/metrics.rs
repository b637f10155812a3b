//! What `/metrics` of a real server says, and what the README says of it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::process::Process;

async fn scrape(process: &Process) -> String {
    let answer = reqwest::get(format!("{}/metrics", process.operations_url)).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    answer.text().await.unwrap()
}

/// Every sample: its name with labels, and its value.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit_once(' ').unwrap()).map(|(name, value)| (name, value.parse().unwrap())).collect()
}

/// The families: what `# TYPE` names, as it is spelt in a query.
fn families(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let spelt = |(name, kind): (&str, &str)| match kind {
        "counter" => format!("{name}_total"),
        "info" => format!("{name}_info"),
        _ => name.to_owned(),
    };
    types.map(|line| spelt(line.split_once(' ').unwrap())).collect()
}

async fn busy(process: &mut Process) {
    let api_key = process.value_behind("API key");
    let client = reqwest::Client::new();
    let post = async |path: &str, body: Value| -> Value {
        let request = client.post(format!("{}{path}", process.url)).bearer_auth(&api_key).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    };
    let grant = json!({ "user_id": "u", "agent_id": "a", "scopes": ["s"], "expires_at": "2099-01-01T00:00:00Z" });
    let id = post("/v1/authorizations", grant).await["authorization_id"].clone();
    for _ in 0..3 {
        post("/v1/check?wait=true", json!({ "authorization_id": id, "scopes": ["s", "t"] })).await;
    }
    post("/v1/check", json!({ "authorization_id": id })).await;
    let secret = client.get(format!("{}/v1/authorizations/secret-in-a-path", process.url)).bearer_auth(&api_key);
    assert_eq!(secret.send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn what_happened_is_what_is_counted() {
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::serve(directory.path(), &[]);
    busy(&mut process).await;
    let text = scrape(&process).await;
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("secret-in-a-path"), "a route is a template");
    let samples = samples(&text);
    for (name, value) in [
        (r#"allowlog_checks_total{decision="allow",reason="authorization_granted_scope_active"}"#, 3.0),
        (r#"allowlog_checks_total{decision="deny",reason="scope_not_authorized"}"#, 3.0),
        (r#"allowlog_checks_total{decision="confirm",reason="confirm_condition_matched"}"#, 0.0),
        (r#"allowlog_commands_total{kind="check",result="stored"}"#, 3.0),
        (r#"allowlog_commands_total{kind="create",result="stored"}"#, 1.0),
        (r#"allowlog_http_requests_total{method="POST",route="/v1/check",status="200"}"#, 3.0),
        (r#"allowlog_http_requests_total{method="POST",route="/v1/check",status="422"}"#, 1.0),
        (r#"allowlog_http_requests_total{method="GET",route="/v1/authorizations/{id}",status="404"}"#, 1.0),
        (r#"allowlog_http_request_duration_seconds_count{method="POST",route="/v1/check"}"#, 4.0),
        // The workspace with its keys is three records; then one authorization and six decisions.
        ("allowlog_log_head", 10.0),
        ("allowlog_commit_records_sum", 10.0),
        ("allowlog_commit_records_count", 5.0),
        ("allowlog_commit_append_seconds_count", 5.0),
        ("allowlog_commit_decide_seconds_count", 5.0),
        ("allowlog_queue_wait_seconds_count", 5.0),
        ("allowlog_signing_lag_records", 0.0),
        ("allowlog_signing_lag_seconds", 0.0),
        ("allowlog_latched", 0.0),
        ("allowlog_queue_depth", 0.0),
        (r#"allowlog_state_entries{kind="authorizations"}"#, 1.0),
        (r#"allowlog_state_entries{kind="workspaces"}"#, 1.0),
        ("allowlog_replayed_records", 0.0),
        (concat!(r#"allowlog_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""}"#), 1.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name} in\n{text}");
    }
    assert!(samples["allowlog_journal_sync_seconds_count"] >= 5.0, "each commit waits for the disk");
    assert!(samples["allowlog_commit_bytes_sum"] > 1000.0);
    assert!(samples["allowlog_data_free_bytes"] > 0.0 && samples["allowlog_data_free_bytes"] <= samples["allowlog_data_size_bytes"]);
    assert!(samples["allowlog_process_resident_bytes"] > 1e6);
    assert!(samples["allowlog_process_open_files"] < samples["allowlog_process_open_files_max"]);
    assert_eq!(process.terminate(), Some(0));
    // After a restart the log is what it was, and what was counted begins anew.
    let process = Process::serve(directory.path(), &[]);
    let text = scrape(&process).await;
    let after = self::samples(&text);
    assert_eq!((after["allowlog_replayed_records"], after["allowlog_log_head"]), (10.0, 10.0));
    assert_eq!(after.get(r#"allowlog_checks_total{decision="deny",reason="scope_not_authorized"}"#), Some(&0.0));
}

#[tokio::test]
async fn the_readme_names_every_metric_and_no_other() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::serve(directory.path(), &[]);
    busy(&mut process).await;
    let text = scrape(&process).await;
    let families = families(&text);
    let helped = text.lines().filter_map(|line| line.strip_prefix("# HELP ")).count();
    assert_eq!(helped, families.len(), "each says what it is");
    let word = |text: &str| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap().to_owned();
    let spoken: BTreeSet<_> = readme.match_indices("`allowlog_").map(|(at, _)| word(&readme[at + 1..])).collect();
    assert_eq!(spoken, families, "the table of metrics");
    // Those of the alerts may be the parts of a histogram.
    let alerts = readme.split("```promql\n").nth(1).expect("the alerts").split("```").next().unwrap();
    let asked: BTreeSet<_> = alerts.match_indices("allowlog_").map(|(at, _)| word(&alerts[at..])).collect();
    assert!(asked.len() >= 10, "{asked:?}");
    for name in asked {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(&name);
        assert!(families.contains(family), "{name} is no metric");
    }
}
