//! The client of witnesses, over sockets: what it asks, whom it believes, and for whom it waits.

use std::io::Write;
use std::sync::{Arc, Mutex};

use allowlog::http::listener::{Limits, Listener};
use allowlog::witnesses::{Collected, Witness as Known, Witnesses};
use allowlog_proto::note::VerifierKey;
use allowlog_proto::witness::AddCheckpoint;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use http_body_util::BodyExt as _;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt as _;

use super::Desk;
use super::log::{Log, ORIGIN};

/// A socket behind which something answers as long as this is held.
struct Stand {
    url: String,
    _stop: watch::Sender<bool>,
}

impl Stand {
    async fn serve(router: Router) -> Self {
        allowlog::http::tls::install();
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, (stop, stopped)) = (format!("http://{}", socket.local_addr().unwrap()), watch::channel(false));
        tokio::spawn(Listener { socket, tls: None, limits: Limits::of(16) }.serve(router, stopped));
        Self { url, _stop: stop }
    }

    /// Always this answer.
    async fn saying(status: u16, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        let (status, body) = (StatusCode::from_u16(status).unwrap(), body.into());
        let answer = move || async move { (status, [("content-type", media_type), ("location", "/add-checkpoint")], body).into_response() };
        Self::serve(Router::new().fallback(answer)).await
    }

    /// A witness, and the old sizes it is asked about, once the gate lets them in.
    async fn noting(desk: &Desk, gate: Arc<Semaphore>) -> (Self, Arc<Mutex<Vec<u64>>>) {
        let (asked, router) = (Arc::new(Mutex::new(Vec::new())), desk.router.clone());
        let noted = Arc::clone(&asked);
        let answer = move |request: Request| async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            noted.lock().unwrap().push(AddCheckpoint::parse(std::str::from_utf8(&body).unwrap()).unwrap().old);
            drop(gate.acquire().await.unwrap());
            router.oneshot(Request::from_parts(parts, Body::from(body))).await.unwrap()
        };
        (Self::serve(Router::new().fallback(answer)).await, asked)
    }

    fn known(&self, key: &VerifierKey) -> Known {
        Known { key: key.clone(), url: self.url.clone() }
    }
}

fn open_gate() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(Semaphore::MAX_PERMITS))
}

async fn collect(log: &Log, witnesses: &Witnesses) -> Collected {
    let proving = log.clone();
    witnesses.collect(&log.checkpoint(), log.size(), move |old| Ok::<_, String>(proving.proof(old))).await
}

#[tokio::test]
async fn it_remembers_what_each_witness_holds() {
    let log = Log::new(ORIGIN, 1).grown(30, 0);
    let desk = Desk::open("w", &[&log]);
    let (stand, asked) = Stand::noting(&desk, open_gate()).await;
    let known = || vec![stand.known(desk.witness.verifier_key())];
    let (one, other) = (Witnesses::new(known(), 1).unwrap(), Witnesses::new(known(), 1).unwrap());
    for (witnesses, size, olds) in [
        (&one, 5, vec![0]),
        (&one, 9, vec![5]),
        (&one, 9, vec![9]),
        // Who does not know it yet, or not any more, is told.
        (&other, 12, vec![0, 9]),
        (&one, 20, vec![9, 12]),
        (&other, 20, vec![12, 20]),
        (&one, 30, vec![20]),
    ] {
        let collected = collect(&log.clone().cut(size), witnesses).await;
        assert!(witnesses.is_met_by(&collected), "{size}: {collected:?}");
        let cosigned = allowlog_proto::note::Note { text: log.clone().cut(size).checkpoint().text, signatures: collected.cosignatures };
        assert!(cosigned.cosigned_at(desk.witness.verifier_key()).is_some());
        assert_eq!(std::mem::take(&mut *asked.lock().unwrap()), olds, "{size}");
    }
    // Something smaller than it holds is asked about all the same: it may have been a lie.
    let behind = collect(&log.clone().cut(7), &one).await;
    assert_eq!(behind, Collected { behind: vec![("w".to_owned(), 30)], ..Collected::default() });
    let forked = collect(&log.clone().cut(7).grown(30, 1), &one).await;
    assert_eq!(forked, Collected { forked: vec!["w".to_owned()], ..Collected::default() });
    let forked = collect(&log.clone().cut(7).grown(23, 1), &other).await;
    assert_eq!(forked, Collected { forked: vec!["w".to_owned()], ..Collected::default() });
    assert_eq!(std::mem::take(&mut *asked.lock().unwrap()), [7, 30, 20, 30]);
    // Each log is a thing of its own.
    let elsewhere = Log::new("elsewhere", 2).grown(4, 0);
    desk.witness.trust(super::trusting(&[&elsewhere]));
    assert!(one.is_met_by(&collect(&elsewhere, &one).await));
    assert_eq!(*asked.lock().unwrap(), [0]);
}

#[tokio::test]
async fn who_does_not_answer_as_a_witness_does_not_count() {
    let log = Log::new(ORIGIN, 1).grown(9, 0);
    let [desk, somebody] = ["w", "somebody"].map(|name| Desk::open(name, &[&log]));
    let of_somebody = somebody.add(log.request(0)).await.2;
    let earlier = desk.add(log.clone().cut(5).request(0)).await.2;
    let size = "text/x.tlog.size";
    let renamed = of_somebody.replace("somebody", "w");
    for (status, media_type, body, why) in [
        (200, "text/plain", "", "no cosignature that verifies"),
        (200, "text/plain", "hello\n", "no cosignature that verifies"),
        (200, "text/plain", &*of_somebody, "no cosignature that verifies"),
        (200, "text/plain", &*renamed, "no cosignature that verifies"),
        (200, "text/plain", &*earlier, "no cosignature that verifies"),
        (200, "text/plain", &*format!("{}\n", "x".repeat(70_000)), "longer than 65536 bytes"),
        (302, "text/plain", "", "it answered 302"),
        (400, "text/plain", "that is wrong\nyes\n", "it answered 400 Bad Request: that is wrong"),
        (403, "text/plain", "", "it answered 403"),
        (404, "text/plain", "", "it answered 404"),
        (500, "text/plain", "", "it answered 500"),
        (409, "text/plain", "5\n", "it answered 409"),
        (409, size, "many\n", "is no number"),
        (409, size, "0\n", "says that it holds just that"),
        (409, size, "3\n", "says that it holds just that"),
    ] {
        let stand = Stand::saying(status, media_type, body.to_owned()).await;
        let witnesses = Witnesses::new(vec![stand.known(desk.witness.verifier_key())], 1).unwrap();
        let collected = collect(&log, &witnesses).await;
        let [(name, reason)] = &*collected.unreachable else { panic!("{status} {body:.80}: {collected:?}") };
        assert!(name == "w" && reason.contains(why), "{status} {body:.80}: {reason}");
        assert!(!witnesses.is_met_by(&collected));
    }
    let stand = Stand::saying(200, "text/plain", vec![0xff, 0xfe]).await;
    let witnesses = Witnesses::new(vec![stand.known(desk.witness.verifier_key())], 1).unwrap();
    assert_eq!(collect(&log, &witnesses).await.unreachable, [("w".to_owned(), "its answer is no text".to_owned())]);
    // Among lines of others its own is found.
    let mixed = format!("hello\n{of_somebody}{renamed}{}", desk.add(log.request(5)).await.2);
    let stand = Stand::saying(200, "text/plain", mixed).await;
    let witnesses = Witnesses::new(vec![stand.known(desk.witness.verifier_key())], 1).unwrap();
    assert!(witnesses.is_met_by(&collect(&log, &witnesses).await));
    // Nobody is there; there is no proof.
    let url = stand.url.clone();
    let gone = Known { key: somebody.witness.verifier_key().clone(), url: "http://127.0.0.1:1".to_owned() };
    let both = vec![Known { key: desk.witness.verifier_key().clone(), url }, gone];
    let collected = collect(&log, &Witnesses::new(both.clone(), 1).unwrap()).await;
    assert_eq!((collected.cosignatures.len(), &*collected.unreachable[0].0), (1, "somebody"));
    let (real, _) = Stand::noting(&somebody, open_gate()).await;
    let witnesses = Witnesses::new(vec![real.known(somebody.witness.verifier_key())], 1).unwrap();
    let unproved = log.clone().grown(1, 0);
    let collected = witnesses.collect(&unproved.checkpoint(), 10, |_| Err("the disk is gone")).await;
    assert_eq!(collected.unreachable, [("somebody".to_owned(), "there is no proof from size 9: the disk is gone".to_owned())]);
}

#[tokio::test]
async fn a_quorum_waits_for_nobody() {
    let log = Log::new(ORIGIN, 1).grown(9, 0);
    let desks = ["a", "b", "c"].map(|name| Desk::open(name, &[&log]));
    let shut = Arc::new(Semaphore::new(0));
    let (mut stands, mut olds, mut known) = (Vec::new(), Vec::new(), Vec::new());
    for (desk, gate) in desks.iter().zip([open_gate(), Arc::clone(&shut), open_gate()]) {
        let (stand, asked) = Stand::noting(desk, gate).await;
        known.push(stand.known(desk.witness.verifier_key()));
        olds.push(asked);
        stands.push(stand);
    }
    let witnesses = Witnesses::new(known, 2).unwrap();
    // Had it waited for the one that says nothing, that one would have been given up, and be among the unreachable.
    let collected = collect(&log.clone().cut(4), &witnesses).await;
    assert_eq!((collected.cosignatures.len(), collected.unreachable), (2, Vec::new()));
    // That one is not interrupted: when it answers, its answer is heard, and what comes next begins there.
    shut.add_permits(Semaphore::MAX_PERMITS);
    assert!(witnesses.is_met_by(&collect(&log, &witnesses).await));
    while olds[1].lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(*olds[1].lock().unwrap(), [0, 4]);
}

/// Lines of telemetry.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_trouble_is_told_once() {
    let log = Log::new(ORIGIN, 1).grown(9, 0);
    let desk = Desk::open("w", &[&log]);
    let (router, is_up) = (desk.router.clone(), Arc::new(Mutex::new(false)));
    let up = Arc::clone(&is_up);
    let answer = move |request: Request| async move {
        let is_up = *up.lock().unwrap();
        if is_up { router.oneshot(request).await.unwrap() } else { Response::builder().status(502).body(Body::empty()).unwrap() }
    };
    let stand = Stand::serve(Router::new().fallback(answer)).await;
    let witnesses = Witnesses::new(vec![stand.known(desk.witness.verifier_key())], 1).unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    let printer = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _printing = tracing::subscriber::set_default(printer);
    let fork = log.clone().cut(5).grown(9, 1);
    for (up, log) in [(false, &log), (false, &log), (true, &log), (true, &fork), (true, &fork), (true, &log.clone().cut(3)), (false, &log)]
    {
        *is_up.lock().unwrap() = up;
        collect(log, &witnesses).await;
    }
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let count = |said: &str| text.matches(said).count();
    let counted = [count("does not cosign"), count("answers again"), count("did not grow from"), count("a larger tree")];
    // The fork and what is cut belong together: the witness is at odds with this log until it has cosigned again.
    assert_eq!(counted, [2, 1, 1, 0], "{text}");
}

#[test]
fn witnesses_are_named_in_one_spelling() {
    let log = Log::new(ORIGIN, 1);
    let keys = ["a", "b"].map(|name| Desk::open(name, &[]).witness.verifier_key().clone());
    let good = format!("{} https://witness.example/", keys[0]);
    let witness = Known::parse(&good).unwrap();
    assert_eq!((&witness.key, &*witness.url), (&keys[0], "https://witness.example"));
    for (bad, why) in [
        ("a", "a verifier key, a space and a URL"),
        ("a https://witness.example", "`a` is no verifier key"),
        (&*format!("{} https://witness.example", log.verifier_key), "the key of a log"),
        (&*format!("{} witness.example", keys[0]), "is no URL"),
        (&*format!("{} ftp://witness.example", keys[0]), "is not an absolute http or https URL"),
        (&*format!("{} https://witness.example?a=b", keys[0]), "is not an absolute http or https URL"),
    ] {
        assert!(Known::parse(bad).unwrap_err().contains(why), "{bad}: {}", Known::parse(bad).unwrap_err());
    }
    allowlog::http::tls::install();
    let named = |keys: &[&VerifierKey], quorum| {
        let known = keys.iter().map(|key| Known { key: (*key).clone(), url: "http://127.0.0.1:1".to_owned() });
        Witnesses::new(known.collect(), quorum).map(|witnesses| witnesses.quorum()).map_err(|e| e.to_string())
    };
    assert_eq!(named(&[&keys[0], &keys[1]], 2), Ok(2));
    assert_eq!(named(&[&keys[0]], 2), Err("2 witnesses must cosign, and there are 1".to_owned()));
    let same = VerifierKey::new("c", keys[0].kind(), *keys[0].key()).unwrap();
    for twice in [[&keys[0], &keys[0]], [&keys[0], &same]] {
        assert!(named(&twice, 1).unwrap_err().contains("the same name or the same key"));
    }
}
