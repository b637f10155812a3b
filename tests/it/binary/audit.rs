//! `allowlog audit` as an auditor meets it: exported from a running server and from a stopped one, verified, tampered with.

use std::fs;
use std::path::Path;

use allowlog_proto::note::{KeyKind, VerifierKey};
use serde_json::{Value, json};

use super::process::{Process, init, run, text};

struct Desk {
    directory: tempfile::TempDir,
    key: String,
}

impl Desk {
    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Exit code and what was said, of verifying a file.
    fn verify(&self, name: &str, more: &[&str]) -> (i32, String) {
        let file = self.path(name);
        let output = run(&[&["audit", "verify", &file, "--trust", &self.key][..], more].concat());
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    }

    /// The file with its lines changed, under another name.
    fn forge(&self, from: &str, to: &str, change: impl FnOnce(&mut Vec<String>)) {
        let mut lines: Vec<String> = fs::read_to_string(self.path(from)).unwrap().split_inclusive('\n').map(str::to_owned).collect();
        change(&mut lines);
        fs::write(self.path(to), lines.concat()).unwrap();
    }
}

fn post(runtime: &tokio::runtime::Runtime, url: &str, api_key: &str, body: &Value) -> Value {
    let request = reqwest::Client::new().post(url).bearer_auth(api_key).json(body);
    runtime.block_on(async { request.send().await.unwrap().json().await.unwrap() })
}

#[test]
fn evidence_is_exported_verified_and_told() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let made = init(&data);
    let [api_key, workspace, key] = ["api_key", "workspace_id", "key_id"].map(|member| made[member].as_str().unwrap().to_owned());
    let desk = Desk { directory, key };
    let server = Process::serve(&data, &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let post = |path: &str, body: Value| post(&runtime, &format!("{}{path}", server.url), &api_key, &body);
    let mut ids = Vec::new();
    for user in ["zo\u{eb}\u{1b}[2J", "user_\u{202e}2"] {
        let grant = json!({ "user_id": user, "agent_id": "mailer", "scopes": ["email.read"], "expires_at": "2099-01-01T00:00:00Z", "budget_limit_micros": 500 });
        ids.push(post("/v1/authorizations", grant)["authorization_id"].as_str().unwrap().to_owned());
    }
    let mut receipt = String::new();
    for id in ids.iter().chain(&ids) {
        let answer = post("/v1/check", json!({ "authorization_id": id, "scopes": ["email.read"], "estimated_cost_micros": 90 }));
        receipt = answer.pointer("/results/email.read/receipt/receipt_id").unwrap().as_str().unwrap().to_owned();
    }
    let get = |path: String| {
        let request = reqwest::Client::new().get(format!("{}{path}", server.url)).bearer_auth(&api_key);
        runtime.block_on(async { request.send().await.unwrap().text().await.unwrap() })
    };
    let checkpoint = loop {
        let text = get(format!("/tlog/{workspace}/checkpoint"));
        if text.lines().nth(1) == Some("9") {
            break text;
        }
    };
    fs::write(desk.path("checkpoint"), checkpoint).unwrap();
    let paths = [format!("/v1/receipts/{receipt}"), format!("/v1/receipts/{receipt}/proof"), format!("/v1/workspaces/{workspace}/keys")];
    for (name, path) in ["receipt", "proof", "keys"].into_iter().zip(paths) {
        fs::write(desk.path(name), get(path)).unwrap();
    }
    proved(&desk);
    let export = |more: &[&str]| {
        let output = run(&[&["audit", "export", "--url", &server.url, "--api-key", &api_key][..], more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
    };
    export(&["--workspace", &workspace, "--output", &desk.path("all")]);
    export(&["--authorization", &ids[0], "-o", &desk.path("story")]);
    let elsewhere = ["--workspace", "ws_00000000000000000000000000", "-o", &desk.path("elsewhere")];
    let output = run(&[&["audit", "export", "--url", &server.url, "--api-key", &api_key][..], &elsewhere].concat());
    assert!(!output.status.success() && text(&output.stderr).contains("the API key is one of workspace"), "{}", text(&output.stderr));
    assert!(!Path::new(&desk.path("elsewhere")).exists());
    let (code, said) = desk.verify("all", &["--earlier", &desk.path("checkpoint")]);
    assert!(code == 0 && said.contains("VALID: records 0 to 8") && said.contains("it is the log of the earlier checkpoint"), "{said}");
    let (code, said) = desk.verify("story", &[]);
    assert!(code == 0 && said.contains("of which 3 are not about"), "{said}");
    assert!(said.contains("check email.read: allow (authorization_granted_scope_active)"), "{said}");
    assert!(said.contains("2 allowed on that day; spent 180 of 500 micro-USD"), "{said}");
    assert!(!said.contains('\u{1b}') && !said.contains('\u{202e}') && !said.contains("user_"), "{said:?}");
    tampered(&desk, &ids[1]);
    assert_eq!(server.terminate(), Some(0));
    let output = run(&["audit", "export", "--data", data.to_str().unwrap(), "--workspace", &workspace, "-o", &desk.path("offline")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(fs::read(desk.path("offline")).unwrap(), fs::read(desk.path("all")).unwrap());
    assert!(!Path::new(&desk.path("offline.partial")).exists());
}

/// A receipt with its proof, verified offline.
fn proved(desk: &Desk) {
    let verify = |more: &[&str]| {
        let output = run(&[&["receipt", "verify", &desk.path("receipt"), "--keys", &desk.path("keys")][..], more].concat());
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    let (code, said) = verify(&["--proof", &desk.path("proof")]);
    assert!(code == 0 && said.contains(", record 8 of 9 in the log"), "{said}");
    let proof = fs::read_to_string(desk.path("proof")).unwrap();
    for (name, forged) in [("index", proof.replace("index 8", "index 7")), ("size", proof.replace("\n9\n", "\n10\n"))] {
        fs::write(desk.path(name), forged).unwrap();
        let (code, said) = verify(&["--proof", &desk.path(name)]);
        assert!(code == 1 && said.starts_with("invalid: "), "{name}: {said}");
    }
    let key = ed25519_dalek::SigningKey::from_bytes(&[9; 32]).verifying_key();
    let witness = VerifierKey::new("nobody.example", KeyKind::Cosignature, key).unwrap().to_string();
    let (code, said) = verify(&["--proof", &desk.path("proof"), "--witness", &witness]);
    assert!(code == 1 && said.contains("0 of the named witnesses have cosigned"), "{said}");
    let (code, said) = verify(&["--proof", &desk.path("keys")]);
    assert!(code == 2 && said.contains("does not begin with"), "{said}");
}

fn tampered(desk: &Desk, other: &str) {
    let refused = |name: &str, what: &str| {
        let (code, said) = desk.verify(name, &["--quiet"]);
        assert!(code == 1 && said.contains(what), "{name}: {said}");
        assert!(!said.contains('\u{1b}') && said.lines().count() == 1, "{name}: {said:?}");
    };
    desk.forge("all", "removed", |lines| drop(lines.remove(5)));
    refused("removed", "INVALID at record 4: ");
    desk.forge("all", "cut", |lines| drop(lines.pop()));
    refused("cut", "(missing_records)");
    desk.forge("all", "escapes", |lines| {
        lines[7] = lines[7].replace(&desk.key, "key_\\u001b[2J\\r\\nVALID: all good\\u202e");
    });
    refused("escapes", "INVALID at record 6: ");
    // Records of somebody else do not become those of a story.
    desk.forge("all", "claimed", |lines| {
        lines[0] = lines[0].replace("\"authorization_id\":null", &format!("\"authorization_id\":\"{other}\""))
    });
    refused("claimed", "(wrong_subject)");
    let story = fs::read_to_string(desk.path("story")).unwrap();
    let all: Vec<String> = fs::read_to_string(desk.path("all")).unwrap().split_inclusive('\n').map(str::to_owned).collect();
    let hidden = story.split_inclusive('\n').position(|line| line.contains("\"hidden\"")).unwrap();
    let first: usize = serde_json::from_str::<Value>(story.lines().next().unwrap()).unwrap()["first"].as_u64().unwrap().try_into().unwrap();
    desk.forge("story", "unhidden", |lines| lines[hidden].clone_from(&all[first + hidden]));
    refused("unhidden", "(wrong_subject)");
    let (code, said) = desk.verify("nothing", &[]);
    assert!(code == 2 && said.contains("cannot read"), "{said}");
    let file = desk.path("all");
    let output = run(&["audit", "verify", &file, "--trust", "key_00000000000000000000000000"]);
    assert!(output.status.code() == Some(1) && text(&output.stdout).contains("(untrusted_checkpoint)"), "{}", text(&output.stdout));
    fs::write(
        desk.path("foreign"),
        "allowlog/ws_00000000000000000000000000\n9\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n\u{2014} x AAAAAAAA\n",
    )
    .unwrap();
    let (code, said) = desk.verify("all", &["--earlier", &desk.path("foreign")]);
    assert!(code == 2 && said.contains("is of another log"), "{said}");
    let larger = fs::read_to_string(desk.path("checkpoint")).unwrap().replace("\n9\n", "\n99\n");
    fs::write(desk.path("larger"), larger).unwrap();
    let (code, said) = desk.verify("all", &["--earlier", &desk.path("larger")]);
    assert!(code == 1 && said.contains("the log was set back or this evidence is older"), "{said}");
}
