//! Somebody who takes webhooks: a real HTTP server on loopback that remembers what it got and answers as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::wait::until;

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    /// By name, in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What is answered.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    /// That status, with more header lines.
    Status(u16, &'static str),
    /// That status, and a body that begins and does not end.
    Endless(u16),
    /// Nothing, for ever.
    Silence,
}

/// The server; it ends with the value.
#[derive(Debug)]
pub(crate) struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    task: JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        Self::listen("127.0.0.1:0".parse().unwrap()).await
    }

    /// Listens where another one did before.
    pub(crate) async fn listen(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (got, answers) = (Arc::default(), Arc::default());
        let task = tokio::spawn(serve(listener, Arc::clone(&got), Arc::clone(&answers)));
        Self {
            address,
            got,
            answers,
            task,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Says what is answered next, once; 200 where nothing was said.
    pub(crate) fn answer(&self, answer: Answer) {
        self.answers.lock().unwrap().push_back(answer);
    }

    pub(crate) fn got(&self) -> Vec<Received> {
        self.got.lock().unwrap().clone()
    }

    /// Waits until it has got that many.
    pub(crate) async fn until_got(&self, count: usize) -> Vec<Received> {
        let what = format!("the receiver has got {count} requests");
        until(&what, || async { Some(self.got()).filter(|got| got.len() >= count) }).await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, got: Arc<Mutex<Vec<Received>>>, answers: Arc<Mutex<VecDeque<Answer>>>) {
    // They end with this one.
    let mut conversations = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (got, answers) = (Arc::clone(&got), Arc::clone(&answers));
        // A connection that breaks is the other side's affair.
        conversations.spawn(async move { converse(stream, got, answers).await.ok() });
    }
}

async fn converse(
    stream: TcpStream,
    got: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await? {
        got.lock().unwrap().push(request);
        let answer = answers.lock().unwrap().pop_front();
        match answer.unwrap_or(Answer::Status(200, "")) {
            Answer::Status(status, headers) => {
                let text = format!("HTTP/1.1 {status} Told\r\n{headers}Content-Length: 2\r\n\r\nok");
                stream.write_all(text.as_bytes()).await?;
            }
            Answer::Endless(status) => {
                let text = format!("HTTP/1.1 {status} Told\r\nContent-Length: 100\r\n\r\nso far");
                stream.write_all(text.as_bytes()).await?;
                std::future::pending::<()>().await;
            }
            Answer::Silence => std::future::pending().await,
        }
    }
    Ok(())
}

async fn read(stream: &mut BufReader<TcpStream>) -> std::io::Result<Option<Received>> {
    let mut first = String::new();
    if stream.read_line(&mut first).await? == 0 {
        return Ok(None);
    }
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    // As the contract promises one, there is no other way here to know where a body ends.
    let length: usize = headers["content-length"].parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(Some(Received {
        path: first.split(' ').nth(1).unwrap().to_owned(),
        headers,
        body,
    }))
}
