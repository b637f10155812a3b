//! The README's quickstart, pasted into a shell line by line.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::process::{Process, allowlog, run, text};

/// Between the sections, so that what they print can be told apart.
const PAST: &str = "echo; echo past the quickstart";
const PAST_SAYS: &str = "past the quickstart";

/// What a person does between the blocks of the other section, the first of which asks; it can be done once.
const ANSWERED_IN_A_BROWSER: &str = r#"
if [ -z "${ANSWERED:-}" ]; then
  ANSWERED=1
  CSRF=$(curl -sS "http://127.0.0.1:8700/c/$CONSENT" | sed -n 's/.*name="csrf" value="\([^"]*\)".*/\1/p')
  curl -sS "http://127.0.0.1:8700/c/$CONSENT" --data-urlencode "csrf=$CSRF" -d decision=approve
fi
"#;

/// The shell blocks of the section of this name.
fn blocks(readme: &str, section: &str) -> Vec<String> {
    let body = readme.split("\n## ").find(|part| part.starts_with(section)).unwrap_or_else(|| panic!("no section `{section}`"));
    body.split("```bash\n").skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
}

#[test]
fn works_as_pasted() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut process = Process::serve(&directory.path().join("data"), &[]);
    let workspace = process.value_behind("workspace");
    let api_key = process.value_behind("API key");
    let asking = blocks(&readme, "Asking a person").join(ANSWERED_IN_A_BROWSER);
    let quickstart = blocks(&readme, "Quickstart").join("\n");
    let paying = blocks(&readme, "Letting an agent pay").join("\n");
    let script = format!("{quickstart}\n{PAST}\n{asking}\n{PAST}\n{paying}").replace("http://127.0.0.1:8700", &process.url);
    let program = allowlog();
    let path = format!("{}:{}", std::path::Path::new(program.get_program()).parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-eu", "-o", "pipefail", "-c", &script])
        .current_dir(directory.path())
        .env("PATH", path)
        .env("ALLOWLOG_API_KEY", &api_key)
        .env("ALLOWLOG_WORKSPACE", workspace)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    let (out, asked) = out.split_once(PAST_SAYS).unwrap();
    let (asked, paid) = asked.split_once(PAST_SAYS).unwrap();
    holds_what_was_paid(paid);
    for said in [
        r#""status":"pending""#,
        "open this and answer: http://",
        r#""status":"approved""#,
        r#""scopes":["send_email","write_files"]"#,
        "/manage/",
        r#""status":"revoked""#,
        r#""code":"token_revoked""#,
        r#""event_type":"verify_failed""#,
    ] {
        assert!(asked.contains(said), "{said}: {asked}");
    }
    let decisions: Vec<_> = out.match_indices(r#""decision":""#).map(|(at, m)| out[at + m.len()..].split('"').next().unwrap()).collect();
    assert_eq!(
        decisions,
        [
            "allow",
            "confirm",
            "approved",
            "allow",
            "escalate",
            "allow",
            "escalate",
            "deny",
            "allow",
            "deny",
            "authorization_granted",
            "allow",
            "confirm",
            "allow",
            "escalate",
            "escalation_approved",
            "allow",
            "escalate",
            "escalation_rejected",
            "deny",
            "authorization_revoked",
            "deny"
        ],
        "{out}"
    );
    assert!(out.contains("\nvalid: rcp_"), "{out}");
    verify_every_receipt(&process.url, &api_key, directory.path(), &format!("{out}{err}"));
    assert_eq!(process.terminate(), Some(0));
}

/// What the blocks about payments print.
fn holds_what_was_paid(paid: &str) {
    let actions: Vec<_> = paid.match_indices(r#""action":""#).map(|(at, m)| paid[at + m.len()..].split('"').next().unwrap()).collect();
    // The proof of the first holds its action once more, if it is signed by then.
    let actions: Vec<_> =
        actions.iter().enumerate().filter(|(i, action)| *i != 1 || **action != "ALLOW_WITH_LIMITS").map(|(_, a)| *a).collect();
    assert_eq!(actions, ["ALLOW_WITH_LIMITS", "STEP_UP_REQUIRED", "ALLOW_WITH_LIMITS", "DENY", "DENY"], "{paid}");
    for said in
        [r#""status":"authorised""#, r#""status":"captured""#, r#""authorised_amount":1850"#, "DELEGATION_REVOKED", "AMOUNT_LIMIT_EXCEEDED"]
    {
        assert!(paid.contains(said), "{said}: {paid}");
    }
}

/// Each receipt that was promised is signed within a second of the last answer, and genuine.
fn verify_every_receipt(url: &str, api_key: &str, directory: &Path, answers: &str) {
    let promised: BTreeSet<&str> = answers.match_indices("rcp_").map(|(at, _)| &answers[at..at + 30]).collect();
    assert_eq!(promised.len(), 12, "a create, eight checks, two resolutions, a revoke: {promised:?}");
    let answered = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for id in promised {
        let signed = runtime.block_on(async {
            loop {
                let request = reqwest::Client::new().get(format!("{url}/v1/receipts/{id}")).bearer_auth(api_key);
                let body = request.send().await.unwrap().text().await.unwrap();
                if body.contains(r#""status":"signed""#) {
                    return body;
                }
                assert!(answered.elapsed() < Duration::from_secs(1), "{id} is not signed: {body}");
            }
        });
        let file = directory.join(format!("{id}.json"));
        std::fs::write(&file, signed).unwrap();
        let keys = directory.join("keys.json");
        let output = run(&["receipt", "verify", file.to_str().unwrap(), "--keys", keys.to_str().unwrap()]);
        assert!(output.status.success(), "{id}: {}", text(&output.stdout));
    }
}
