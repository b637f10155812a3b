//! No secret leaves the process: a whole run of a real server, everything it prints and every file it leaves.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde_json::{Value, json};

use super::process::{Process, allowlog, init};

/// What is looked for: its name, its bytes, and the one file of the directory that may hold it.
struct Secret {
    name: String,
    bytes: Vec<u8>,
    may_be_in: Option<&'static str>,
}

fn secret(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Secret {
    Secret { name: name.into(), bytes: bytes.into(), may_be_in: None }
}

/// A key of 32 bytes, as it is and in hex.
fn key(name: &str, bytes: &[u8]) -> [Secret; 3] {
    let hex = data_encoding::HEXLOWER.encode(bytes);
    [secret(name, bytes), secret(format!("{name} in hex"), hex.as_bytes()), secret(format!("{name} in HEX"), hex.to_uppercase())]
}

/// The secret of an API key, as text and as the bytes behind it.
fn of_api_key(name: &str, text: &str) -> Vec<Secret> {
    let text = text.rsplit('_').next().unwrap();
    let bytes = data_encoding::BASE32_NOPAD.decode(text.to_uppercase().as_bytes()).unwrap();
    assert_eq!(bytes.len(), 32);
    let mut secrets = vec![secret(name, text)];
    secrets.extend(key(name, &bytes));
    secrets
}

/// Opens a sealed key as `proto/FORMAT.md` and the keyring have it: the test must see the bytes themselves.
fn unseal(file: &Path, master: &[u8]) -> Vec<u8> {
    let stored = fs::read(file).unwrap();
    let key_id = file.file_stem().unwrap().to_str().unwrap();
    let (nonce, sealed) = stored.split_at(24);
    let associated = format!("allowlog.signing-key.v1\n{key_id}");
    let cipher = XChaCha20Poly1305::new_from_slice(master).unwrap();
    cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: associated.as_bytes() }).unwrap()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

struct Caller<'a> {
    process: &'a Process,
    key: &'a str,
}

impl Caller<'_> {
    async fn send(&self, method: reqwest::Method, path: &str, body: Value) -> (u16, Value) {
        let request = reqwest::Client::new().request(method, format!("{}{path}", self.process.url)).bearer_auth(self.key);
        let answer = request.header("idempotency-key", format!("named-{path}")).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(reqwest::Method::POST, path, body).await
    }
}

/// Grants, checks of every decision, answers to them, lists, and refusals of every kind.
async fn work(caller: &Caller<'_>) {
    let grant = json!({
        "user_id": "user-in-the-log", "agent_id": "a", "scopes": ["read", "send", "purge"], "expires_at": "2099-01-01T00:00:00Z",
        "requires_confirm_for": ["send"], "requires_escalation_for": ["purge"], "escalation_targets": { "purge": "security" },
        "metadata": { "note": "metadata-in-the-log" },
    });
    let (status, granted) = caller.post("/v1/authorizations", grant).await;
    assert_eq!(status, 201, "{granted}");
    let id = &granted["authorization_id"];
    let check = |scopes: Value| json!({ "authorization_id": id, "scopes": scopes, "context": { "purpose": "context-in-the-log" } });
    let (_, checked) = caller.post("/v1/check?wait=true", check(json!(["read", "send", "purge", "other"]))).await;
    let results = &checked["results"];
    let nonce = results["send"]["confirm_nonce"].as_str().unwrap();
    assert_eq!(caller.post(&format!("/v1/confirmations/{nonce}"), json!({ "approved": true })).await.0, 200);
    let escalation = results["purge"]["escalation_id"].as_str().unwrap();
    let resolution = json!({ "resolution": "approved", "resolved_by": "bob" });
    assert_eq!(caller.post(&format!("/v1/escalations/{escalation}/resolve"), resolution).await.0, 200);
    assert_eq!(caller.post("/v1/check", check(json!(["read"]))).await.0, 200);
    assert_eq!(caller.post("/v1/check", check(json!(["send"]))).await.0, 422, "its name is that of another request");
    assert_eq!(caller.post("/v1/authorizations", json!({ "metadata": "metadata-in-the-log" })).await.0, 422);
    for path in ["/v1/receipts", "/v1/authorizations", "/v1/escalations"] {
        assert_eq!(caller.send(reqwest::Method::GET, path, Value::Null).await.0, 200, "{path}");
    }
    let path = format!("/v1/authorizations/{}", id.as_str().unwrap());
    assert_eq!(caller.send(reqwest::Method::DELETE, &path, json!({ "revoked_by": "user" })).await.0, 200);
}

/// An agent with a key of its own, an API key made by another, and a token to pay with offline: the secrets of all of them.
async fn pay(caller: &Caller<'_>, workspace: &str) -> Vec<Secret> {
    let org = workspace.replace("ws_", "org_");
    let (_, made) = caller.post("/v1/api-keys", json!({ "orgId": org })).await;
    let api_key = made["key"].as_str().unwrap();
    let agent = json!({ "name": "Shopper", "type": "llm", "ownerOrgId": org });
    let request = reqwest::Client::new().post(format!("{}/v1/agents", caller.process.url)).json(&agent);
    let request = request.header("X-AffixIO-Key", api_key).header("X-API-Key", api_key);
    let agent: Value = request.send().await.unwrap().json().await.unwrap();
    let (_, credential) = caller.post(&format!("/v1/agents/{}/credentials", agent["id"].as_str().unwrap()), json!({})).await;
    let private = credential["private_key"].as_str().unwrap();
    let (_, delegation) = caller.post("/v1/delegations", json!({ "agent_id": agent["id"], "permissions": "pay" })).await;
    let token = json!({ "agent_id": agent["id"], "delegation_id": delegation["id"], "device_id": "v", "max_amount": 5, "currency": "EUR" });
    let (status, token) = caller.post("/v1/offline/tokens", token).await;
    assert_eq!(status, 201, "{token}");
    let signature = token["token"].as_str().unwrap().rsplit('.').next().unwrap();
    let mut secrets = of_api_key("the API key of an org", api_key);
    secrets.extend(key("an agent's private key", &data_encoding::BASE64URL_NOPAD.decode(private.as_bytes()).unwrap()));
    secrets.push(secret("an agent's private key as it was shown", private));
    // Whoever has the log knows what a token says, and still has no token.
    secrets.push(secret("the signature of an offline token", signature));
    secrets.push(secret("the bytes of it", data_encoding::BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap()));
    secrets
}

/// Requests that are none: what they hold must not be echoed.
fn misbehave(process: &Process, key: &str) {
    for head in [
        format!("POST /v1/check HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {key}\r\nContent-Length: 0\r\n"),
        format!("POST /v1/check HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nContent-Length: 0\r\n"),
        format!("GET /v1/authorizations/{key}?cursor={key} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"),
        format!("GET /admin/v1/workspaces HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"),
        format!("GET /v1/agents/{key} HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\nX-AffixIO-Key: {key}x\r\n"),
        format!("GET /{key} HTTP/1.1\r\nHost: x\r\n"),
        format!("GET / HTTP/1.1\r\nHost: x\r\nBroken {key}\r\n"),
        format!("{key}\r\n"),
    ] {
        let mut stream = TcpStream::connect(process.url.trim_start_matches("http://")).unwrap();
        stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = Vec::new();
        // A connection that was no HTTP may be reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(!holds(&answer, key.as_bytes()), "{}", String::from_utf8_lossy(&answer));
    }
}

#[tokio::test]
async fn no_secret_is_printed_or_stored() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let made = init(&data);
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    let (api_key, admin_token, workspace) = (text("api_key"), text("admin_token"), text("workspace_id"));
    // The last character but one: the last has bits that say nothing.
    let mut wrong = api_key.clone();
    let at = wrong.len() - 2;
    wrong.replace_range(at..=at, if &api_key[at..=at] == "a" { "b" } else { "a" });
    let mut secrets = of_api_key("the API key", &api_key);
    let mut printed = Vec::new();
    for (n, more) in [&[][..], &["--telemetry-json"]].into_iter().enumerate() {
        let file = directory.path().join(format!("printed-{n}"));
        let mut command = allowlog();
        command.env("ALLOWLOG_TELEMETRY", "trace");
        let process = Process::serve_as(command, &data, more, Stdio::from(File::create(&file).unwrap()));
        if n == 0 {
            let caller = Caller { process: &process, key: &api_key };
            work(&caller).await;
            secrets.extend(pay(&caller, &workspace).await);
        }
        let admin = Caller { process: &process, key: &admin_token };
        let path = format!("/admin/v1/workspaces/{workspace}");
        let (status, second) = admin.post(&format!("{path}/api-keys"), json!({ "name": "second" })).await;
        assert_eq!(status, 201, "{second}");
        let second = second["api_key"].as_str().unwrap();
        secrets.extend(of_api_key("the second API key", second));
        assert_eq!(admin.post(&format!("{path}/signing-keys"), Value::Null).await.0, 201);
        assert_eq!(Caller { process: &process, key: &wrong }.post("/v1/check", json!({})).await.0, 401);
        misbehave(&process, &wrong);
        misbehave(&process, second);
        assert_eq!(process.terminate(), Some(0));
        printed.push((file.clone(), fs::read(file).unwrap()));
    }
    let master = fs::read_to_string(data.join("master.key")).unwrap();
    let master = data_encoding::HEXLOWER.decode(master.trim().as_bytes()).unwrap();
    secrets.extend(key("the master key", &master).map(|secret| Secret { may_be_in: Some("master.key"), ..secret }));
    secrets.push(secret("the admin token", admin_token.trim_start_matches("allowlog_admin_")));
    let sealed = files(&data.join("keys"));
    assert_eq!(sealed.len(), 3, "one of the start, two rotations");
    secrets.extend(sealed.iter().flat_map(|file| key("a signing key", &unseal(file, &master))));
    let stored: Vec<_> = files(&data).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    for (path, bytes) in stored.iter().chain(&printed) {
        let name = path.file_name().unwrap().to_str();
        for secret in secrets.iter().filter(|secret| secret.may_be_in.is_none() || secret.may_be_in != name) {
            assert!(!holds(bytes, &secret.bytes), "{} holds {}", path.display(), secret.name);
        }
    }
    // What people and agents say is in the log, which shows that looking finds something, and in no telemetry.
    let wrong = wrong.rsplit('_').next().unwrap();
    for part in ["user-in-the-log", "metadata-in-the-log", "context-in-the-log", wrong] {
        assert_eq!(stored.iter().any(|(_, bytes)| holds(bytes, part.as_bytes())), part != wrong, "{part}");
        for (path, bytes) in &printed {
            assert!(!holds(bytes, part.as_bytes()), "{} holds {part}", path.display());
        }
    }
    assert!(printed.iter().all(|(_, bytes)| holds(bytes, b"TRACE") && holds(bytes, b"answered")), "all of the telemetry was printed");
}

#[cfg(target_os = "linux")]
#[test]
fn the_server_leaves_no_core() {
    let directory = tempfile::tempdir().unwrap();
    let process = Process::serve(directory.path(), &[]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let core: Vec<_> = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"], "{limits}");
    assert_eq!(process.terminate(), Some(0));
}

/// The unit of the README, as far as systemd itself can judge it where it is installed.
#[test]
fn the_readmes_systemd_unit_is_understood() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let unit = readme.split("```ini\n").nth(1).expect("the unit").split("```").next().unwrap();
    let program = env!("CARGO_BIN_EXE_allowlog");
    assert!(unit.contains("ExecStart=/usr/local/bin/allowlog serve"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("allowlog.service");
    fs::write(&path, unit.replace("/usr/local/bin/allowlog", program)).unwrap();
    let Ok(verified) = std::process::Command::new("systemd-analyze").arg("verify").arg(&path).stdin(Stdio::null()).output() else {
        // Past what the test harness would keep to itself: nobody shall take this for a check.
        let _ = writeln!(std::io::stderr(), "systemd-analyze is not on this machine: the README's unit is not checked");
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    // What it says of other units of the machine is not ours.
    assert!(verified.status.success() && !said.contains("allowlog.service"), "{said}");
}
