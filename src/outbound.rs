//! What requests to others need: secrets out of their files, a client that trusts whom it is told to, errors that say what
//! led to them. Sends nothing.

pub(crate) mod secret;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};
use tokio::sync::OnceCell;

use crate::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How somebody is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// In our own network, never through a proxy. The limit is for one request with its answer.
    Peer { timeout: Duration },
    /// Wherever they are. How long an answer may take is the caller's affair.
    Receiver,
}

/// A client that is made when it is first needed: reading the system's certificates takes a while. It follows no
/// redirects: credentials and labels are for whom it was told to speak to.
#[derive(Debug)]
pub(crate) struct LazyClient {
    manner: Manner,
    /// PEM, to trust beside what the system does.
    ca_file: Option<PathBuf>,
    client: OnceCell<Client>,
}

impl LazyClient {
    pub(crate) fn new(manner: Manner, ca_file: Option<PathBuf>) -> Self {
        Self {
            manner,
            ca_file,
            client: OnceCell::new(),
        }
    }

    /// The client, or a line that says why there is none.
    pub(crate) async fn get(&self) -> Result<&Client, String> {
        self.client.get_or_try_init(|| self.make()).await
    }

    async fn make(&self) -> Result<Client, String> {
        let (manner, ca_file) = (self.manner, self.ca_file.clone());
        let made = tokio::task::spawn_blocking(move || build(manner, ca_file.as_deref()));
        made.await.map_err(|error| error.to_string())?
    }
}

fn build(manner: Manner, ca_file: Option<&Path>) -> Result<Client, String> {
    tls::use_ring();
    let mut builder = in_manner(manner)
        .redirect(Policy::none())
        .user_agent(concat!("healgate/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = ca_file {
        let certificates = Certificate::from_pem_bundle(&read_certificates(path)?);
        let certificates = certificates.map_err(|error| format!("cannot use {}: {}", path.display(), told(error)))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(told)
}

fn in_manner(manner: Manner) -> ClientBuilder {
    match manner {
        Manner::Peer { timeout } => Client::builder().no_proxy().timeout(timeout),
        // Messages are rare: what is kept open would be closed by the other side when the next one comes.
        Manner::Receiver => Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(0),
    }
}

/// Certificates in PEM. Waits for the disk.
pub(crate) fn read_certificates(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// With all that led to it, as the error itself only says that there was one. Without the URL, which may be a secret
/// itself, or repeats the question.
pub(crate) fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told.push_str(": ");
        told.push_str(&cause.to_string());
        source = cause.source();
    }
    told
}
