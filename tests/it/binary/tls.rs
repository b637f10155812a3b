//! TLS on the API's listener.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::process::{Process, allowlog, init, run, text};

/// A certificate that vouches for itself, and its key, as files.
struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
}

impl Certificate {
    fn make(directory: &Path, name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let [certificate, key] = ["crt", "key"].map(|kind| directory.join(format!("{name}.{kind}")));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Self { certificate, key }
    }

    fn arguments(&self) -> [&str; 4] {
        ["--tls-cert", self.certificate.to_str().unwrap(), "--tls-key", self.key.to_str().unwrap()]
    }

    /// A client that trusts this one and nobody else.
    fn client(&self) -> reqwest::Client {
        let certificate = reqwest::Certificate::from_pem(&fs::read(&self.certificate).unwrap()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([certificate]);
        client.timeout(Duration::from_secs(30)).build().unwrap()
    }
}

#[tokio::test]
async fn the_api_speaks_it_and_reads_its_certificate_again() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let initialised = init(&data);
    let [first, second] = ["first", "second"].map(|name| Certificate::make(directory.path(), name));
    let mut process = Process::serve(&data, &first.arguments());
    assert!(process.url.starts_with("https://") && process.operations_url.starts_with("http://"));
    let url = format!("{}/v1/escalations", process.url);
    let call = async |client: &reqwest::Client| client.get(&url).bearer_auth(initialised["api_key"].as_str().unwrap()).send().await;
    let (kept, before) = (first.client(), first.client());
    assert_eq!(call(&kept).await.unwrap().status(), 200);
    assert!(call(&second.client()).await.is_err(), "nobody else's certificate");

    // Files that do not belong together change nothing; then two that do are what new connections see.
    fs::copy(&second.certificate, &first.certificate).unwrap();
    process.signal(rustix::process::Signal::HUP);
    let text = |address: &str| address.strip_prefix("https://").unwrap().to_owned();
    process.has_said("the certificate stays the one before");
    assert_eq!(call(&kept).await.unwrap().status(), 200);
    assert!(call(&second.client()).await.is_err(), "the certificate does not fit the key");
    fs::copy(&second.key, &first.key).unwrap();
    process.signal(rustix::process::Signal::HUP);
    process.has_said("the certificate has been read again");
    assert_eq!(call(&second.client()).await.unwrap().status(), 200);
    assert!(call(&before).await.is_err(), "the one before is shown to nobody new");
    assert_eq!(call(&kept).await.unwrap().status(), 200, "a connection that is open stays");

    // Who speaks something else is told so, or nothing, and is alone with it.
    let mut plain = TcpStream::connect(text(&process.url)).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    assert_eq!(call(&second.client()).await.unwrap().status(), 200);
    // So is who says nothing: neither the server's life nor its end waits for that.
    let mut silent = TcpStream::connect(text(&process.url)).unwrap();
    silent.write_all(&[22, 3, 1]).unwrap();
    assert_eq!(call(&second.client()).await.unwrap().status(), 200);
    assert_eq!(process.terminate(), Some(0));
    assert_eq!(silent.read(&mut [0; 8]).unwrap_or_default(), 0);
}

#[test]
fn the_command_line_speaks_it_too() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let initialised = init(&data);
    let [served, other] = ["served", "other"].map(|name| Certificate::make(directory.path(), name));
    let process = Process::serve(&data, &served.arguments());
    let list = |certificate: Option<&Path>| {
        let mut command = allowlog();
        command.args(["workspace", "list", "--url", &process.url, "--admin-token", initialised["admin_token"].as_str().unwrap()]);
        if let Some(certificate) = certificate {
            command.arg("--ca-cert").arg(certificate);
        }
        command.output().unwrap()
    };
    let listed = list(Some(&served.certificate));
    assert!(listed.status.success(), "{}", text(&listed.stderr));
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert!(listed.to_string().contains(initialised["workspace_id"].as_str().unwrap()));
    for untrusted in [None, Some(other.certificate.as_path()), Some(served.key.as_path()), Some(Path::new("/nowhere"))] {
        let refused = list(untrusted);
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{untrusted:?}");
    }
    assert_eq!(process.terminate(), Some(0));
}

#[test]
fn files_that_are_of_no_use_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let [one, other] = ["one", "other"].map(|name| Certificate::make(directory.path(), name));
    let nowhere = directory.path().join("nowhere.pem");
    let serve = |certificate: &Path, key: &Path| {
        let [data, certificate, key] = [&data, certificate, key].map(|path| path.to_str().unwrap());
        let refused = run(&[
            "serve",
            "--data",
            data,
            "--listen",
            "127.0.0.1:0",
            "--ops-listen",
            "127.0.0.1:0",
            "--tls-cert",
            certificate,
            "--tls-key",
            key,
        ]);
        assert!(!refused.status.success() && refused.stdout.is_empty());
        text(&refused.stderr)
    };
    for (certificate, key, named) in [
        (&nowhere, &one.key, &nowhere),
        (&one.certificate, &nowhere, &nowhere),
        (&one.key, &one.key, &one.key),
        (&one.certificate, &one.certificate, &one.certificate),
        (&one.certificate, &other.key, &other.key),
    ] {
        let said = serve(certificate, key);
        assert!(said.contains(named.to_str().unwrap()), "{said}");
    }
    assert!(!data.exists(), "nothing was begun");
    let half = run(&["serve", "--data", data.to_str().unwrap(), "--tls-cert", one.certificate.to_str().unwrap()]);
    assert!(!half.status.success() && text(&half.stderr).contains("--tls-key"));
}
