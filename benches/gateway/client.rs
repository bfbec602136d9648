//! One keep-alive connection that speaks just enough HTTP/1.1, so that the client costs little beside the server.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::failed::{Failed, failed};

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    host: SocketAddr,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(host: SocketAddr) -> Result<Self, Failed> {
        let connect = async {
            let stream = TcpStream::connect(host).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        Ok(Self {
            stream: connect.await.map_err(failed("connect"))?,
            host,
            buffer: Vec::with_capacity(4096),
        })
    }

    /// Posts a webhook and answers with the body that came back; an error unless it was accepted.
    pub(crate) async fn post(&mut self, body: &str) -> Result<&[u8], Failed> {
        let head = format!(
            "POST /webhooks/alertmanager HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n",
            self.host,
            body.len()
        );
        self.exchange(&(head + body), 202).await
    }

    /// Reads something and answers with its body; an error unless it is there.
    pub(crate) async fn get(&mut self, path: &str) -> Result<&[u8], Failed> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        self.exchange(&request, 200).await
    }

    /// Reads the last bytes of something; an error unless it is there and has a beginning before them.
    pub(crate) async fn tail(&mut self, path: &str, bytes: usize) -> Result<&[u8], Failed> {
        let host = self.host;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes=-{bytes}\r\n\r\n");
        self.exchange(&request, 206).await
    }

    /// Asks for a page and waits for its first bytes alone; an error unless it is there. Nothing else can be asked after that.
    pub(crate) async fn begin(&mut self, path: &str) -> Result<(), Failed> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept: text/html\r\n\r\n",
            self.host
        );
        let sent = self.stream.write_all(request.as_bytes()).await;
        sent.map_err(failed("send a request"))?;
        self.buffer.clear();
        let page = b"<!doctype html>";
        while !self.buffer.windows(page.len()).any(|part| part == page) {
            self.read_more().await?;
        }
        match self.buffer.starts_with(b"HTTP/1.1 200 ") {
            true => Ok(()),
            false => Err(Failed::new("be answered well", String::from_utf8_lossy(&self.buffer))),
        }
    }

    /// The rest of that page.
    pub(crate) async fn end(&mut self) -> Result<(), Failed> {
        let end = b"</html>";
        while !self.buffer.windows(end.len()).any(|part| part == end) {
            self.read_more().await?;
        }
        Ok(())
    }

    async fn exchange(&mut self, request: &str, expected: u16) -> Result<&[u8], Failed> {
        let sent = self.stream.write_all(request.as_bytes()).await;
        sent.map_err(failed("send a request"))?;
        self.buffer.clear();
        let (status, begin) = loop {
            self.read_more().await?;
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.buffer[..end]);
                let (status, length) = parse(&head).ok_or_else(|| Failed::new("read an answer's head", &head))?;
                while self.buffer.len() < end + 4 + length {
                    self.read_more().await?;
                }
                break (status, end + 4);
            }
        };
        let body = &self.buffer[begin..];
        if status == expected {
            return Ok(body);
        }
        let said = String::from_utf8_lossy(body);
        Err(Failed::new("be answered well", format!("{status} {said}")))
    }

    async fn read_more(&mut self) -> Result<(), Failed> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(Failed::new("read an answer", "the server closed the connection")),
            Ok(_) => Ok(()),
            Err(error) => Err(Failed::new("read an answer", error)),
        }
    }
}

/// The status and the body's length.
fn parse(head: &str) -> Option<(u16, usize)> {
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse())
    })?;
    Some((status, length.ok()?))
}
