//! `--open-signup`: whoever reaches the server has an org and its first key, and nobody has without it.

use serde_json::{Value, json};

use super::process::{Process, init};

#[tokio::test]
async fn signup_is_open_where_the_operator_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let token = init(&data)["admin_token"].as_str().unwrap().to_owned();
    let http = reqwest::Client::builder().tls_certs_only([]).build().unwrap();
    let org = json!({ "name": "Acme" });
    let post =
        async |process: &Process, path: &str, body: &Value| http.post(format!("{}{path}", process.url)).json(body).send().await.unwrap();
    let process = Process::serve(&data, &[]);
    assert_eq!(post(&process, "/v1/orgs", &org).await.status(), 401);
    let made = http.post(format!("{}/v1/orgs", process.url)).bearer_auth(&token).json(&org).send().await.unwrap();
    assert_eq!(made.status(), 201, "the operator always may");
    assert_eq!(process.terminate(), Some(0));
    let process = Process::serve(&data, &["--open-signup"]);
    let made: Value = post(&process, "/v1/orgs", &org).await.json().await.unwrap();
    let first = json!({ "orgId": made["id"] });
    let key: Value = post(&process, "/v1/api-keys", &first).await.json().await.unwrap();
    let key = key["key"].as_str().unwrap_or_else(|| panic!("{key}"));
    let agent = json!({ "name": "Shopper", "type": "llm", "ownerOrgId": made["id"] });
    let registered = http.post(format!("{}/v1/agents", process.url)).header("X-AffixIO-Key", key).json(&agent).send().await.unwrap();
    assert_eq!(registered.status(), 201);
    assert_eq!(post(&process, "/v1/api-keys", &first).await.status(), 401, "the first alone");
    assert_eq!(process.terminate(), Some(0));
}
