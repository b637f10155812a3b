//! What a real server prints and sends about itself, also when nobody can take it.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::{Value, json};

use super::process::{Process, allowlog};

/// A check, as the caller of this name.
async fn check(process: &Process, api_key: &str, request_id: &str, more: &[(&str, &str)]) -> reqwest::Response {
    let mut request = reqwest::Client::new()
        .post(format!("{}/v1/check", process.url))
        .bearer_auth(api_key)
        .header("x-request-id", request_id)
        .json(&json!({ "authorization_id": "unknown", "scopes": ["s"] }));
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["x-request-id"].to_str().unwrap()), (200, request_id));
    answer
}

fn printing(filter: &str) -> Command {
    let mut command = allowlog();
    command.env("ALLOWLOG_TELEMETRY", filter);
    command
}

#[tokio::test]
async fn each_line_reads_alone_and_names_its_request() {
    let directory = tempfile::tempdir().unwrap();
    let printed = directory.path().join("printed");
    let data = directory.path().join("data");
    let file = || Stdio::from(std::fs::File::create(&printed).unwrap());
    let mut command = printing("debug");
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", ""); // as good as not set
    let mut process = Process::serve_as(command, &data, &["--telemetry-json"], file());
    let api_key = process.value_behind("API key");
    check(&process, &api_key, "mine-1", &[]).await;
    assert_eq!(process.terminate(), Some(0));
    let lines: Vec<Value> = std::fs::read_to_string(&printed).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| ["timestamp", "level", "target", "message"].iter().all(|name| line[name].is_string())), "{lines:?}");
    let answered: Vec<_> = lines.iter().filter(|line| line["span"]["request.id"] == "mine-1").collect();
    let [line] = answered.as_slice() else { panic!("{lines:?}") };
    assert_eq!(
        (&line["message"], &line["response.status"], &line["span"]["request.method"], &line["span"]["request.route"]),
        (&json!("answered"), &json!(200), &json!("POST"), &json!("/v1/check"))
    );
    assert!(line["response.duration_seconds"].is_f64());
    // As text, what is printed of a request at the default level names it too; here, that a key is gone.
    std::fs::remove_dir_all(data.join("keys")).unwrap();
    let process = Process::serve_as(printing("info,allowlog::http=debug"), &data, &[], file());
    check(&process, &api_key, "mine-2", &[]).await;
    assert_eq!(process.terminate(), Some(0));
    let text = std::fs::read_to_string(&printed).unwrap();
    let line = text.lines().find(|line| line.contains("answered")).unwrap();
    assert!(line.contains(r#"request{request.id="mine-2" request.method="POST" request.route="/v1/check"}"#), "{line}");
    assert!(text.contains("cannot be signed until it is restored"), "{text}");
}

#[tokio::test]
async fn printing_that_fails_ends_nothing() {
    let closed = |name: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec \"$0\" \"$@\" {name}")]).arg(allowlog().get_program()).env("ALLOWLOG_TELEMETRY", "debug");
        command
    };
    let full = || Stdio::from(std::fs::File::options().write(true).open("/dev/full").unwrap());
    let (reader, gone) = std::io::pipe().unwrap();
    drop(reader);
    for (case, command, stderr) in [
        ("full", printing("debug"), full()),
        ("closed", closed("2>&-"), Stdio::null()),
        ("reader gone", printing("debug"), Stdio::from(gone)),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut process = Process::serve_as(command, directory.path(), &[], stderr);
        let api_key = process.value_behind("API key");
        check(&process, &api_key, "a", &[]).await;
        check(&process, &api_key, "b", &[]).await;
        assert_eq!(process.terminate(), Some(0), "{case}");
    }
    let refused = allowlog().args(["serve", "--data", "/dev/null"]).stdin(Stdio::null()).stderr(full()).status().unwrap();
    assert_eq!(refused.code(), Some(1), "no panic");
}

/// A collector: what it is sent, request by request, head and body.
fn collector() -> (String, mpsc::Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut head) = (stream.unwrap(), Vec::new());
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let head = String::from_utf8(head).unwrap();
            let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned)).unwrap();
            let mut body = vec![0; length.parse().unwrap()];
            stream.read_exact(&mut body).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
            if sender.send((head, body)).is_err() {
                return;
            }
        }
    });
    (url, receiver)
}

fn holds(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_request_is_traced_within_the_callers_trace() {
    let (url, sent) = collector();
    let directory = tempfile::tempdir().unwrap();
    let mut command = allowlog();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &url);
    let mut process = Process::serve_as(command, directory.path(), &[], Stdio::null());
    let api_key = process.value_behind("API key");
    let parent = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    check(&process, &api_key, "mine-3", &parent).await;
    assert_eq!(process.terminate(), Some(0));
    let (heads, bodies): (Vec<_>, Vec<_>) = sent.try_iter().unzip();
    assert!(heads.iter().all(|head| head.starts_with("POST /v1/traces HTTP/1.1")), "{heads:?}");
    assert!(heads.iter().all(|head| head.to_lowercase().contains("content-type: application/x-protobuf")), "{heads:?}");
    let body = bodies.concat();
    let trace = [0x0a, 0xf7, 0x65, 0x19, 0x16, 0xcd, 0x43, 0xdd, 0x84, 0x48, 0xeb, 0x21, 0x1c, 0x80, 0x31, 0x9c];
    for part in [b"allowlog".as_slice(), b"mine-3", b"/v1/check", b"commit", b"http.response.status_code", &trace] {
        assert!(holds(&body, part), "{}", String::from_utf8_lossy(part));
    }
    assert!(holds(&body, &[0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]), "the caller's span is the parent");
    assert!(!holds(&body, api_key.rsplit('_').next().unwrap().as_bytes()), "no secret");
}

#[tokio::test]
async fn a_collector_that_is_gone_costs_traces_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let printed = directory.path().join("printed");
    let data: &Path = &directory.path().join("data");
    let mut command = allowlog();
    // Batches follow each other at once, and each fails.
    command.env("OTEL_BSP_SCHEDULE_DELAY", "1").env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1");
    let gone = ["--otlp-endpoint", "http://127.0.0.1:9"];
    let mut process = Process::serve_as(command, data, &gone, Stdio::from(std::fs::File::create(&printed).unwrap()));
    let api_key = process.value_behind("API key");
    for n in 0..20 {
        check(&process, &api_key, &n.to_string(), &[]).await;
    }
    assert_eq!(process.terminate(), Some(0));
    let text = std::fs::read_to_string(&printed).unwrap();
    assert_eq!(text.matches("traces cannot be sent").count(), 1, "{text}");
}
