//! The listener: lets connections in up to a limit, and sees to it that none holds anything for ever. HTTP/1.1 alone, so a
//! connection has one request in flight.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Once};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::server::TlsStream;

use self::crowd::{Crowd, Place};
use super::Front;
use super::tls::Tls;

mod crowd;

/// Bytes of a request's head that are read at all; hyper itself answers what is longer, with 431 and no body. The stack
/// refuses sooner, in the envelope. Answers are buffered up to as much.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Pause after the system had no descriptor or memory for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// The same when others leave for it: they are given the time to.
const PAUSE_SHORT: Duration = Duration::from_millis(5);
/// As many are asked to leave then.
const SENT_AWAY: usize = 4;

/// What one listener lets its clients have.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections open at the same time.
    pub connections: u32,
    /// From the moment a connection waits for a request until its head is there: bounds slow heads and idle connections.
    pub head: Duration,
    /// For agreeing on keys, where TLS is spoken.
    pub handshake: Duration,
    /// A client that takes nothing of its answer for so long is cut.
    pub stall: Duration,
}

impl Limits {
    /// The usual ones, with so many connections.
    pub const fn of(connections: u32) -> Self {
        Self { connections, head: Duration::from_secs(30), handshake: Duration::from_secs(10), stall: Duration::from_secs(10) }
    }
}

/// A socket, and how its clients are met.
pub struct Listener {
    /// Bound already.
    pub socket: TcpListener,
    /// Plain without.
    pub tls: Option<Arc<Tls>>,
    /// What they may have.
    pub limits: Limits,
}

/// What every connection is served with.
#[derive(Clone)]
struct Server {
    front: Front,
    tls: Option<Arc<Tls>>,
    limits: Limits,
    stop: watch::Receiver<bool>,
}

impl Listener {
    /// Serves until `stop` says so, then until the last connection has ended: idle ones end at once, the others with their
    /// answer.
    pub async fn serve(self, front: impl Into<Front>, mut stop: watch::Receiver<bool>) {
        let Self { socket, tls, limits } = self;
        let server = Server { front: front.into(), tls, limits, stop: stop.clone() };
        let crowd = Arc::new(Crowd::new(limits.connections));
        let mut refused = false;
        loop {
            let accepted = tokio::select! {
                () = stopped(&mut stop) => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    if std::mem::take(&mut refused) {
                        tracing::info!("connections are accepted again");
                    }
                    let place = tokio::select! {
                        () = stopped(&mut stop) => break,
                        place = place(&crowd, limits) => place,
                    };
                    tokio::spawn(connection(stream, peer, server.clone(), place));
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    // Most often there are no descriptors left. What is idle gives some back, to others in the process too.
                    let gone = (0..SENT_AWAY).filter(|_| crowd.send_one_of_several_away()).count();
                    if !std::mem::replace(&mut refused, true) {
                        tracing::error!(accept.error = %error, "a connection could not be accepted; the server goes on trying");
                    }
                    tokio::time::sleep(if gone > 0 { PAUSE_SHORT } else { PAUSE }).await;
                }
            }
        }
        drop(socket);
        crowd.empty(limits.connections).await;
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone: then it is time to stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn place(crowd: &Arc<Crowd>, limits: Limits) -> Place {
    static FULL: Once = Once::new();
    if let Some(place) = crowd.place() {
        return place;
    }
    // Once, since a crowd that has come so far comes again; which connections are closed is no news after that.
    FULL.call_once(|| {
        tracing::warn!(
            connections.max = limits.connections,
            "as many connections are open as may be; for each new one, that is closed which has waited longest for its client"
        );
    });
    crowd.place_of_another().await
}

/// Errors of one connection that did not come about; the next may.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

async fn connection(stream: TcpStream, peer: SocketAddr, server: Server, place: Place) {
    // An answer is written at once and whole: there is nothing to gather.
    let _ = stream.set_nodelay(true);
    let mut io = TimeoutStream::new(stream);
    io.set_write_timeout(Some(server.limits.stall));
    let io = Box::pin(io);
    let ended = match server.tls.clone() {
        None => converse(io, peer, server, place).await,
        Some(tls) => match handshake(&tls, io, &server, &place).await {
            Ok(io) => converse(io, peer, server, place).await,
            Err(error) => {
                tracing::debug!(client.address = %peer, tls.error = %error, "a connection has not come about");
                return;
            }
        },
    };
    if let Err(error) = ended {
        tracing::debug!(client.address = %peer, connection.error = %error, "a connection has failed");
    }
}

async fn handshake<I: AsyncRead + AsyncWrite + Unpin>(tls: &Tls, io: I, server: &Server, place: &Place) -> io::Result<TlsStream<I>> {
    let mut stop = server.stop.clone();
    tokio::select! {
        accepted = tokio::time::timeout(server.limits.handshake, tls.accept(io)) => accepted?,
        () = stopped(&mut stop) => Err(io::Error::other("the server is stopping")),
        () = place.sent_away() => Err(io::Error::other("the place is needed for another connection")),
    }
}

/// A body on its way. Until all of it is there, its connection waits for the client: one that never comes holds no place
/// that others want.
struct Arriving {
    body: Incoming,
    place: Arc<Place>,
}

impl Arriving {
    fn new(body: Incoming, place: Arc<Place>) -> Self {
        if body.is_end_stream() {
            place.begin();
        }
        Self { body, place }
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.place.begin();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Requests and answers of one connection, until it ends.
async fn converse<I>(io: I, peer: SocketAddr, server: Server, place: Place) -> hyper::Result<()>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Server { front, limits, mut stop, .. } = server;
    let place = Arc::new(place);
    let (answering, leaving) = (Arc::clone(&place), place);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (front, place) = (front.clone(), Arc::clone(&answering));
        async move {
            let request = request.map(|body| Body::new(Arriving::new(body, Arc::clone(&place))));
            let answer = front.answer(request, peer).await;
            place.end();
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER_BYTES_MAX)
        // A client that has said all it will say is answered all the same.
        .half_close(true)
        .serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let mut closing = false;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => return ended,
            () = stopped(&mut stop), if !closing => {
                closing = true;
                connection.as_mut().graceful_shutdown();
            }
            () = leaving.sent_away() => {
                if !leaving.is_answering() {
                    return Ok(());
                }
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
