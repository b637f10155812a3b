//! One attempt: its bytes, and what it does not do.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use allowlog::webhooks::{Failure, Lookup, Sender, signature};

use super::receiver::{Answer, Receiver};

const SECRET: &str = "whsec_0123456789abcdef";
const BODY: &str = r#"{"id":"evt_1","name":"Zo\u00eb"}"#;
const LONG: Duration = Duration::from_secs(3600);

/// What names lead to, and how often that was asked.
fn names(addresses: &[&str]) -> (Lookup, Arc<AtomicUsize>) {
    let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let addresses = addresses.clone();
        Box::pin(async move { Ok(addresses) })
    });
    (lookup, asked)
}

pub fn sender(timeout: Duration) -> Sender {
    allowlog::http::tls::install();
    Sender::with(true, timeout, names(&[]).0)
}

async fn sent(answer: Answer) -> Result<u16, Failure> {
    let receiver = Receiver::new(move |_| answer.clone()).await;
    sender(LONG).send(&receiver.url(), SECRET, BODY.into()).await
}

#[tokio::test]
async fn what_is_sent_is_signed() {
    let mut receiver = Receiver::new(|_| Answer::Status(204)).await;
    sender(LONG).send(&receiver.url(), SECRET, BODY.into()).await.unwrap();
    let received = receiver.next().await;
    assert_eq!(received.head.lines().next(), Some("POST /hook?from=allowlog HTTP/1.1"));
    assert_eq!(received.body, BODY);
    assert_eq!(received.header("content-type"), Some("application/json"));
    assert_eq!(received.header("user-agent"), Some(concat!("allowlog/", env!("CARGO_PKG_VERSION"))));
    assert_eq!(received.header("x-permitly-signature"), Some(signature(SECRET, BODY.as_bytes()).as_str()));
    assert_eq!(received.header("host"), Some(receiver.address.to_string().as_str()));
    assert_eq!(receiver.rest(), []);
}

#[tokio::test]
async fn any_2xx_is_taken_and_nothing_else() {
    for status in [200, 201, 202, 204, 299] {
        assert_eq!(sent(Answer::Status(status)).await, Ok(status));
    }
    for status in [300, 301, 304, 307, 400, 401, 404, 410, 429, 500, 503] {
        assert_eq!(sent(Answer::Status(status)).await, Err(Failure::Status(status)));
    }
    assert_eq!(sent(Answer::Endless).await, Ok(200), "only the beginning of an answer is read");
    for answer in [Answer::Close, Answer::Half] {
        let failure = sent(answer).await.unwrap_err();
        assert!(matches!(&failure, Failure::Unreachable(reason) if !reason.contains("http")), "{failure:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let mut other = Receiver::new(|_| Answer::Status(200)).await;
    assert_eq!(sent(Answer::Redirect(other.url())).await, Err(Failure::Status(302)));
    assert_eq!(other.rest(), []);
}

#[tokio::test]
async fn an_answer_is_not_waited_for_for_ever() {
    let receiver = Receiver::new(|_| Answer::Never).await;
    let sent = sender(Duration::from_millis(100)).send(&receiver.url(), SECRET, BODY.into()).await;
    assert_eq!(sent, Err(Failure::Timeout));
    let stuck: Lookup = Arc::new(|_| Box::pin(std::future::pending::<io::Result<Vec<SocketAddr>>>()));
    let sender = Sender::with(true, Duration::from_millis(100), stuck);
    assert_eq!(sender.send("https://hooks.example.com/", SECRET, BODY.into()).await, Err(Failure::Timeout), "a name is part of it");
}

#[tokio::test]
async fn a_receiver_that_is_down_is_told_without_its_url() {
    let receiver = Receiver::new(|_| Answer::Status(200)).await;
    let url = receiver.url();
    receiver.go_down().await;
    let failure = sender(LONG).send(&url, SECRET, BODY.into()).await.unwrap_err();
    assert!(matches!(&failure, Failure::Unreachable(reason) if reason.contains("refused") && !reason.contains("hook")), "{failure:?}");
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_checked() {
    allowlog::http::tls::install();
    let mut receiver = Receiver::new(|_| Answer::Status(200)).await;
    let address = receiver.address;
    let (lookup, asked) = names(&[&format!("{}:0", address.ip())]);
    let sender = Sender::with(true, LONG, lookup);
    // No name server knows this one.
    let url = format!("http://hooks.invalid:{}/", address.port());
    for n in 1..=3 {
        sender.send(&url, SECRET, BODY.into()).await.unwrap();
        assert_eq!(asked.load(Ordering::SeqCst), n, "a name is asked for once for each attempt");
        let host = format!("hooks.invalid:{}", address.port());
        assert_eq!(receiver.next().await.header("host"), Some(host.as_str()));
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_followed() {
    allowlog::http::tls::install();
    let mut receiver = Receiver::new(|_| Answer::Status(200)).await;
    let inside = format!("{}:0", receiver.address.ip());
    let url = format!("https://hooks.example.com:{}/", receiver.address.port());
    // One that is not public is enough, wherever it stands: which of them is connected to is not ours to say.
    for addresses in [&[&*inside] as &[&str], &["8.8.8.8:0", &inside], &[&inside, "8.8.8.8:0"], &["[::ffff:169.254.169.254]:0"]] {
        let (lookup, asked) = names(addresses);
        let sender = Sender::with(false, LONG, lookup);
        assert_eq!(sender.send(&url, SECRET, BODY.into()).await, Err(Failure::NotPublic), "{addresses:?}");
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }
    // Literal addresses and plain HTTP do not get as far as that.
    let sender = Sender::with(false, LONG, names(&[]).0);
    for url in [receiver.url(), receiver.url().replace("http:", "https:"), "https://localhost/".to_owned()] {
        assert!(matches!(sender.send(&url, SECRET, BODY.into()).await, Err(Failure::Target(_))), "{url}");
    }
    assert_eq!(receiver.rest(), []);
}
