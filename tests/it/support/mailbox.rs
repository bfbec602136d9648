//! A mail server on loopback: real SMTP, with STARTTLS or TLS and a login where it is told so. Keeps what it takes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::wait::until;

/// What vouches for the server's certificate, which is for localhost and 127.0.0.1.
pub(crate) const CA_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls/ca.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../fixtures/tls/server.pem");
const KEY: &[u8] = include_bytes!("../../fixtures/tls/server.key");

/// One mail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mail {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    /// Headers and body.
    pub(crate) text: String,
    pub(crate) encrypted: bool,
    /// The user and the password that were given.
    pub(crate) login: Option<(String, String)>,
}

/// How the server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    StartTls,
    Tls,
}

/// What the server has taken, and how it is told to behave.
#[derive(Debug, Default)]
struct Office {
    got: Mutex<Vec<Mail>>,
    /// What is said of a recipient instead of `250`.
    refused: Mutex<HashMap<String, &'static str>>,
    /// How long it looks through a mail before it answers.
    thinks: Mutex<Duration>,
    /// It does.
    is_thinking: AtomicBool,
}

/// The server; it ends with the value.
#[derive(Debug)]
pub(crate) struct Mailbox {
    address: SocketAddr,
    office: Arc<Office>,
    task: JoinHandle<()>,
}

impl Mailbox {
    pub(crate) async fn start(way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let office = Arc::new(Office::default());
        let task = tokio::spawn(serve(listener, way, Arc::clone(&office)));
        Self { address, office, task }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn got(&self) -> Vec<Mail> {
        self.office.got.lock().unwrap().clone()
    }

    /// From now on, that is said of this recipient.
    pub(crate) fn refuse(&self, recipient: &str, answer: &'static str) {
        self.office.refused.lock().unwrap().insert(recipient.to_owned(), answer);
    }

    /// From now on, it looks through each mail for so long.
    pub(crate) fn think(&self, time: Duration) {
        *self.office.thinks.lock().unwrap() = time;
    }

    /// Waits until it looks through a mail.
    pub(crate) async fn until_thinking(&self) {
        let is_thinking = || async { self.office.is_thinking.load(Ordering::SeqCst).then_some(()) };
        until("the mailbox looks through a mail", is_thinking).await;
    }

    /// Waits until it has got that many.
    pub(crate) async fn until_got(&self, count: usize) -> Vec<Mail> {
        let what = format!("the mailbox has got {count} mails");
        until(&what, || async { Some(self.got()).filter(|got| got.len() >= count) }).await
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn acceptor() -> TlsAcceptor {
    healgate::tls::use_ring();
    let chain = vec![CertificateDer::from_pem_slice(CERTIFICATE).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

async fn serve(listener: TcpListener, way: Way, office: Arc<Office>) {
    let acceptor = acceptor();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, office) = (acceptor.clone(), Arc::clone(&office));
        // A connection that breaks is the other side's affair.
        tokio::spawn(async move { greet(stream, way, acceptor, office).await.ok() });
    }
}

async fn greet(stream: TcpStream, way: Way, acceptor: TlsAcceptor, office: Arc<Office>) -> std::io::Result<()> {
    if way == Way::Tls {
        let mut stream = BufReader::new(acceptor.accept(stream).await?);
        say(&mut stream, "220 localhost").await?;
        return converse(&mut stream, &office, (true, false)).await.map(drop);
    }
    let mut stream = BufReader::new(stream);
    say(&mut stream, "220 localhost").await?;
    let upgrades = converse(&mut stream, &office, (false, way == Way::StartTls)).await?;
    if upgrades {
        let mut stream = BufReader::new(acceptor.accept(stream.into_inner()).await?);
        converse(&mut stream, &office, (true, false)).await?;
    }
    Ok(())
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), line: &str) -> std::io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await
}

/// Until the client goes, or wants to be encrypted.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    office: &Office,
    (encrypted, upgrades): (bool, bool),
) -> std::io::Result<bool> {
    let empty = Mail {
        encrypted,
        ..Mail::default()
    };
    let mut mail = empty.clone();
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(false);
        }
        let command = line.trim_end().to_owned();
        let word = command.split(' ').next().unwrap_or_default().to_uppercase();
        let address = || command.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let answer = match word.as_str() {
            "EHLO" if upgrades => "250-localhost\r\n250-8BITMIME\r\n250 STARTTLS",
            "EHLO" => "250-localhost\r\n250-8BITMIME\r\n250 AUTH PLAIN",
            "STARTTLS" => {
                say(stream, "220 go ahead").await?;
                return Ok(true);
            }
            "AUTH" => {
                mail.login = Some(login(&command));
                "235 welcome"
            }
            "MAIL" => {
                mail.from = address();
                "250 ok"
            }
            "RCPT" => {
                let refused = office.refused.lock().unwrap().get(&address()).copied();
                if refused.is_none() {
                    mail.to.push(address());
                }
                refused.unwrap_or("250 ok")
            }
            "DATA" => {
                say(stream, "354 go on").await?;
                mail.text = data(stream).await?;
                let time = *office.thinks.lock().unwrap();
                office.is_thinking.store(true, Ordering::SeqCst);
                tokio::time::timeout(time, std::future::pending::<()>()).await.ok();
                let kept = std::mem::replace(&mut mail, empty.clone());
                office.got.lock().unwrap().push(kept);
                "250 2.0.0 kept"
            }
            "QUIT" => {
                say(stream, "221 bye").await?;
                return Ok(false);
            }
            _ => "250 ok",
        };
        say(stream, answer).await?;
    }
}

/// Of `AUTH PLAIN` with its initial response: base64 of NUL user NUL password.
fn login(command: &str) -> (String, String) {
    let given = STANDARD.decode(command.split(' ').nth(2).unwrap()).unwrap();
    let text = String::from_utf8(given).unwrap();
    let mut parts = text.split('\0').skip(1).map(str::to_owned);
    (parts.next().unwrap(), parts.next().unwrap())
}

async fn data<S: AsyncRead + Unpin>(stream: &mut BufReader<S>) -> std::io::Result<String> {
    let mut text = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line == ".\r\n" {
            return Ok(text);
        }
        text.push_str(line.strip_prefix('.').unwrap_or(&line));
    }
}
