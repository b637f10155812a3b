//! A receiver of webhooks, which answers as a test wants it to.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// What a receiver does with a request it has read.
#[derive(Debug, Clone)]
pub enum Answer {
    Status(u16),
    /// 302 to there.
    Redirect(String),
    /// Closes without a word.
    Close,
    /// Closes in the middle of its answer's head.
    Half,
    /// Says nothing, and holds the connection.
    Never,
    /// A 200 whose body does not end.
    Endless,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub head: String,
    pub body: String,
}

impl Received {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// It answers as long as it is held.
pub struct Receiver {
    pub address: SocketAddr,
    requests: UnboundedReceiver<Received>,
    accepting: JoinHandle<()>,
}

impl Receiver {
    /// One whose n-th request is answered as `answer` says, counted from 0.
    pub async fn new(answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        // Not where other tests look for a free port: some of these come back to the one they had.
        Self::at("127.77.0.1:0".parse().unwrap(), answer).await
    }

    pub async fn at(address: SocketAddr, answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(address, move |nth, _| answer(nth)).await
    }

    /// One that answers by what it is told.
    pub async fn reading(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen("127.77.0.1:0".parse().unwrap(), move |_, received| answer(received)).await
    }

    async fn listen(address: SocketAddr, answer: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static) -> Self {
        let socket = TcpListener::bind(address).await.unwrap();
        let (address, (noting, requests)) = (socket.local_addr().unwrap(), unbounded_channel());
        let answer = Arc::new(answer);
        let accepting = tokio::spawn(async move {
            for nth in 0.. {
                let (stream, _) = socket.accept().await.unwrap();
                let (answer, noting) = (Arc::clone(&answer), noting.clone());
                tokio::spawn(serve(stream, move |received| answer(nth, received), noting));
            }
        });
        Self { address, requests, accepting }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook?from=allowlog", self.address)
    }

    /// The next request, once it is there.
    pub async fn next(&mut self) -> Received {
        self.requests.recv().await.unwrap()
    }

    /// Whether nothing came that was not looked at.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    /// What came and was not looked at.
    pub fn rest(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.requests.try_recv().ok()).collect()
    }

    /// Refuses connections from now on; says where it was.
    pub async fn go_down(self) -> SocketAddr {
        self.accepting.abort();
        let _ = self.accepting.await;
        self.address
    }
}

async fn serve(mut stream: TcpStream, answer: impl Fn(&Received) -> Answer, noting: UnboundedSender<Received>) {
    let Some(received) = read(&mut stream).await else { return };
    let answer = answer(&received);
    let _ = noting.send(received);
    let text = match answer {
        Answer::Status(status) => format!("HTTP/1.1 {status} x\r\ncontent-length: 2\r\n\r\nok"),
        Answer::Redirect(url) => format!("HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n"),
        Answer::Close => String::new(),
        Answer::Half => "HTTP/1.1 200 OK\r\ncontent-le".to_owned(),
        Answer::Never => std::future::pending().await,
        Answer::Endless => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
            return;
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let text = String::from_utf8(bytes.clone()).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let received = Received { head: head.to_owned(), body: body.to_owned() };
            let length: usize = received.header("content-length").unwrap().parse().unwrap();
            if received.body.len() >= length {
                return Some(received);
            }
        }
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&piece[..count]);
    }
}
