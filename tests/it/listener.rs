//! The listener, over sockets: clients that are slow, silent, many or wrong, and none of them in anybody's way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use allowlog::http::listener::{Limits, Listener};
use allowlog::http::stack;
use allowlog::http::tls::Tls;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::task::JoinHandle;

use crate::harness::Server;

/// A listener that is served until it is told to stop.
struct Door {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    served: JoinHandle<()>,
}

impl Door {
    async fn open(router: Router, limits: Limits) -> Self {
        Self::open_with(router, limits, None).await
    }

    async fn open_with(router: Router, limits: Limits, tls: Option<Arc<Tls>>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, (stop, stopped)) = (socket.local_addr().unwrap(), watch::channel(false));
        let served = tokio::spawn(Listener { socket, tls, limits }.serve(router, stopped));
        Self { address, stop, served }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Says this on a connection of its own; what was answered until the end.
    async fn told(&self, text: impl AsRef<[u8]>) -> String {
        let mut client = self.connect().await;
        // The server may have refused before it was told everything.
        let _ = client.write_all(text.as_ref()).await;
        rest(&mut client).await
    }

    /// Ends without cutting anybody.
    async fn close(self) {
        self.stop.send_replace(true);
        self.served.await.unwrap();
    }
}

/// What still comes, to the end or to a reset.
async fn rest(client: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let _ = client.read_to_end(&mut text).await;
    String::from_utf8_lossy(&text).into_owned()
}

/// Asks, and reads an answer whose body is `done`.
async fn ask(client: &mut TcpStream, path: &str) {
    client.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut text = String::new();
    while !text.ends_with("\r\n\r\ndone") {
        let byte = client.read_u8().await.unwrap_or_else(|e| panic!("{e} behind {text:?}"));
        text.push(char::from(byte));
    }
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
}

fn fine() -> Router {
    stack(Router::new().route("/fine", get(async || "done")), None)
}

/// A route that answers once the gate is open, and a count of those who wait at it.
fn gated() -> (Router, Arc<Semaphore>, Arc<Semaphore>) {
    let (gate, entered) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (opened, enter) = (Arc::clone(&gate), Arc::clone(&entered));
    let wait = async move || {
        enter.add_permits(1);
        drop(opened.acquire().await.unwrap());
        "done"
    };
    (stack(Router::new().route("/slow", get(wait)).route("/fine", get(async || "done")), None), gate, entered)
}

fn hasty() -> Limits {
    let short = Duration::from_millis(100);
    Limits { head: short, handshake: short, stall: short, ..Limits::of(100) }
}

#[tokio::test]
async fn heads_that_do_not_come_are_not_waited_for() {
    let door = Door::open(fine(), hasty()).await;
    assert_eq!(door.told("").await, "", "not a word");
    assert_eq!(door.told("GET /fine HTTP/1.1\r\nhost: x\r\n").await, "", "all but the last line");
    let mut idle = door.connect().await;
    ask(&mut idle, "/fine").await;
    assert_eq!(rest(&mut idle).await, "", "nothing more after an answer");
    // Byte by byte: each of them in time, the whole never.
    let (mut reader, mut writer) = door.connect().await.into_split();
    let mut answer = Vec::new();
    let drip = async {
        let mut drops = tokio::time::interval(Duration::from_millis(5));
        loop {
            drops.tick().await;
            if writer.write_all(b"x").await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        _ = reader.read_to_end(&mut answer) => {}
        () = drip => {}
    }
    assert_eq!(answer, b"");
    door.close().await;
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let [certificate, key] = ["crt", "key"].map(|name| directory.path().join(name));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Arc::new(Tls::open(certificate, key).unwrap());
    // Only the handshake is bounded here: the rest is longer than any test.
    let (long, short) = (Duration::from_secs(3600), Duration::from_millis(100));
    let limits = Limits { head: long, handshake: short, stall: long, ..Limits::of(2) };
    let door = Door::open_with(fine(), limits, Some(Arc::clone(&tls))).await;
    assert_eq!(door.told("").await, "");
    assert_eq!(door.told([22, 3, 1, 2, 0, 1]).await, "");
    // Nor has one a place for itself while others wait for it.
    let limits = Limits { handshake: long, ..limits };
    let door = Door::open_with(fine(), limits, Some(tls)).await;
    let mut silent = door.connect().await;
    let _others = [door.connect().await, door.connect().await];
    assert_eq!(rest(&mut silent).await, "");
    door.close().await;
}

/// Bytes that tell when nobody holds them any more.
struct Held(Vec<u8>, Option<oneshot::Sender<()>>);

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.1.take().unwrap().send(());
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let (dropped, released) = oneshot::channel();
    // More than the sockets' buffers take.
    let answer = Bytes::from_owner(Held(vec![0; 64 * 1024 * 1024], Some(dropped)));
    let answer = Arc::new(std::sync::Mutex::new(Some(answer)));
    let large = async move || Body::from(answer.lock().unwrap().take().unwrap());
    let door = Door::open(stack(Router::new().route("/large", get(large)), None), hasty()).await;
    let mut client = door.connect().await;
    client.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    released.await.unwrap();
    door.close().await;
    drop(client);
}

#[tokio::test]
async fn one_more_than_there_is_room_for_takes_the_place_of_who_waited_longest() {
    let door = Door::open(fine(), Limits::of(3)).await;
    let [mut first, mut second, mut third] = [door.connect().await, door.connect().await, door.connect().await];
    // The first to come has been the last to ask, and the second has said half a word.
    ask(&mut third, "/fine").await;
    second.write_all(b"GET /f").await.unwrap();
    ask(&mut first, "/fine").await;
    ask(&mut door.connect().await, "/fine").await;
    assert_eq!(rest(&mut second).await, "");
    ask(&mut first, "/fine").await;
    ask(&mut third, "/fine").await;
    // A crowd of the silent keeps nobody out.
    let mut crowd = Vec::new();
    for _ in 0..200 {
        crowd.push(door.connect().await);
    }
    ask(&mut door.connect().await, "/fine").await;
    door.close().await;
}

#[tokio::test]
async fn bodies_that_do_not_come_hold_no_place() {
    let server = Server::start().await;
    let door = Door::open(server.router.clone(), Limits::of(4)).await;
    let head = |key: &str| format!("POST /v1/check HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-length: 2\r\n\r\n");
    let mut slow = Vec::new();
    for key in ["x", &server.api_key].iter().cycle().take(40) {
        let mut client = door.connect().await;
        client.write_all(format!("{}{{", head(key)).as_bytes()).await.unwrap();
        slow.push(client);
    }
    let mut client = door.connect().await;
    client.write_all(format!("{}{{}}", head(&server.api_key)).as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let answer = rest(&mut client).await;
    assert!(answer.starts_with("HTTP/1.1 422"), "{answer}");
    for client in &mut slow[..20] {
        assert_eq!(rest(client).await, "", "sent away, and not after a timeout: that would be an answer");
    }
    // One that comes after all is answered.
    let last = slow.last_mut().unwrap();
    last.write_all(b"}").await.unwrap();
    last.shutdown().await.unwrap();
    assert!(rest(last).await.starts_with("HTTP/1.1 422"));
    door.close().await;
}

#[tokio::test]
async fn who_is_being_answered_is_not_sent_away() {
    let (router, gate, entered) = gated();
    let door = Arc::new(Door::open(router, Limits::of(1)).await);
    let (one, other) = (Arc::clone(&door), Arc::clone(&door));
    let first = tokio::spawn(async move {
        let mut client = one.connect().await;
        ask(&mut client, "/slow").await;
        rest(&mut client).await
    });
    drop(entered.acquire().await.unwrap());
    let second = tokio::spawn(async move { ask(&mut other.connect().await, "/fine").await });
    gate.add_permits(1);
    assert_eq!(first.await.unwrap(), "", "answered, then sent away");
    second.await.unwrap();
    Arc::into_inner(door).unwrap().close().await;
}

#[tokio::test]
async fn stopping_answers_who_asked_and_waits_for_nobody_else() {
    let (router, gate, entered) = gated();
    // Longer than any test: nothing here ends by a timeout.
    let limits = Limits { head: Duration::from_secs(3600), ..Limits::of(100) };
    let door = Door::open(router, limits).await;
    let mut silent = door.connect().await;
    let mut idle = door.connect().await;
    ask(&mut idle, "/fine").await;
    let mut asking = door.connect().await;
    let asked = tokio::spawn(async move {
        ask(&mut asking, "/slow").await;
        rest(&mut asking).await
    });
    drop(entered.acquire().await.unwrap());
    door.stop.send_replace(true);
    assert_eq!((rest(&mut silent).await, rest(&mut idle).await), (String::new(), String::new()));
    assert!(!door.served.is_finished());
    gate.add_permits(1);
    assert_eq!(asked.await.unwrap(), "");
    door.served.await.unwrap();
    assert!(TcpStream::connect(door.address).await.is_err());
}

#[tokio::test]
async fn odd_but_lawful_clients_are_answered() {
    let door = Door::open(fine(), Limits::of(100)).await;
    let get = "GET /fine HTTP/1.1\r\nhost: x\r\n\r\n";
    let close = "GET /fine HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let pipelined = door.told(format!("{get}{get}{get}{close}{get}")).await;
    assert_eq!(pipelined.matches("HTTP/1.1 200 OK").count(), 4, "in order, and none behind the last: {pipelined}");
    let old = door.told("GET /fine HTTP/1.0\r\n\r\n").await;
    assert!(old.starts_with("HTTP/1.0 200 OK") && old.ends_with("done"), "{old}");
    let mut half = door.connect().await;
    half.write_all(get.as_bytes()).await.unwrap();
    half.shutdown().await.unwrap();
    let half = rest(&mut half).await;
    assert!(half.starts_with("HTTP/1.1 200 OK") && half.ends_with("done"), "{half}");
    door.close().await;
}

#[tokio::test]
async fn the_api_outlives_what_is_no_http() {
    let server = Server::start().await;
    let door = Door::open(server.router.clone(), Limits::of(100)).await;
    let key = &server.api_key;
    let head = format!("POST /v1/check HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nconnection: close\r\n");
    let long = "x".repeat(128 * 1024);
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let envelope = r#"{"error":{"code":""#;
    for (told, status, answer) in [
        // What can be read as a request is answered in the envelope ...
        (format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n"), "400", envelope),
        (format!("{head}transfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n"), "422", envelope),
        (format!("{head}expect: 100-continue\r\ncontent-length: 2\r\n\r\n{{}}"), "100 Continue\r\n\r\nHTTP/1.1 422", envelope),
        (format!("{head}content-length: 1000000\r\n\r\n{long}"), "413", envelope),
        (format!("{head}x: {}\r\n\r\n", &long[..20_000]), "431", envelope),
        (format!("GET /v1/receipts?x={} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n", &long[..20_000]), "414", envelope),
        ("GET /v1/receipts HTTP/1.0\r\n\r\n".to_owned(), "401", envelope),
        // ... what cannot, by hyper, without one.
        (format!("{head}x: {long}\r\n\r\n"), "431", ""),
        (format!("{head}{many}\r\n"), "431", ""),
        (format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n"), "4", ""),
        (format!("{head}content-length: 2\r\ncontent-length: 3\r\n\r\n{{}}"), "400", ""),
        (format!("{head}content-length: -1\r\n\r\n{{}}"), "400", ""),
        ("\u{16}\u{3}\u{1}\u{2}\r\n\r\n".to_owned(), "400", ""),
        ("GET /fine SPDY/9\r\n\r\n".to_owned(), "400", ""),
    ] {
        let answered = door.told(&told).await;
        let version = if told.contains("HTTP/1.0") { "HTTP/1.0" } else { "HTTP/1.1" };
        assert!(answered.starts_with(&format!("{version} {status}")), "{told:.200}\n{answered:.400}");
        let body = answered.rsplit("\r\n\r\n").next().unwrap();
        assert!(body.starts_with(answer) && body.is_empty() == answer.is_empty(), "{told:.200}\n{answered:.400}");
    }
    let last = door.told(format!("{head}content-length: 2\r\n\r\n{{}}")).await;
    assert!(last.starts_with("HTTP/1.1 422"), "{last}");
    door.close().await;
}
