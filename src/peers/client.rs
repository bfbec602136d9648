//! HTTP to one peer: short, bounded, and to nobody else. Reads no answer's meaning.

use std::error::Error;
use std::fs;
use std::path::Path;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, RequestBuilder, Response};
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use crate::config::{Credentials, Peer};
use crate::peers::PeerError;
use crate::tls;

/// More than any answer to a sensible question has; what is larger is refused, not kept in memory.
const MOST_BYTES: usize = 32 << 20;

/// How much of an error's text is shown.
const SAID_CHARS: usize = 300;

/// One peer. The client is made when it is first needed: reading the system's certificates takes a while.
#[derive(Debug)]
pub(super) struct PeerClient {
    peer: Peer,
    client: OnceCell<Client>,
}

impl PeerClient {
    pub(super) fn new(peer: Peer) -> Self {
        Self {
            peer,
            client: OnceCell::new(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.peer.name
    }

    /// Reads something as JSON. `path` is below the peer's URL and begins without a slash.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str, params: &[(&str, String)]) -> Result<T, PeerError> {
        let request = self.request(Method::GET, path, params).await?;
        self.read(request).await
    }

    /// Posts JSON and reads the answer as JSON.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: String) -> Result<T, PeerError> {
        let request = self.request(Method::POST, path, &[]).await?;
        self.read(request.header(CONTENT_TYPE, "application/json").body(body))
            .await
    }

    /// Deletes something.
    pub(super) async fn delete(&self, path: &str) -> Result<(), PeerError> {
        let request = self.request(Method::DELETE, path, &[]).await?;
        self.send(request).await.map(drop)
    }

    /// An answer that is not what it should be.
    pub(super) fn unusable(&self, why: impl Into<String>) -> PeerError {
        PeerError::Unusable {
            peer: self.peer.name.clone(),
            why: why.into(),
        }
    }

    fn unanswered(&self, why: impl Into<String>) -> PeerError {
        PeerError::Unanswered {
            peer: self.peer.name.clone(),
            why: why.into(),
        }
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        params: &[(&str, String)],
    ) -> Result<RequestBuilder, PeerError> {
        let client = self.client.get_or_try_init(|| self.connect()).await?;
        let mut url = self
            .peer
            .url
            .join(path)
            .map_err(|error| self.unanswered(error.to_string()))?;
        if !params.is_empty() {
            url.query_pairs_mut().extend_pairs(params);
        }
        let request = client.request(method, url);
        match &self.peer.credentials {
            None => Ok(request),
            Some(Credentials::Bearer { file }) => Ok(request.bearer_auth(self.secret(file)?)),
            Some(Credentials::Basic {
                username,
                password_file,
            }) => Ok(request.basic_auth(username, Some(self.secret(password_file)?))),
        }
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, PeerError> {
        let body = self.send(request).await?;
        serde_json::from_slice(&body).map_err(|error| self.unusable(error.to_string()))
    }

    /// Answers with the body; an error unless the status is 2xx.
    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, PeerError> {
        let response = request.send().await.map_err(|error| self.unanswered(told(error)))?;
        let status = response.status();
        let body = self.body(response).await?;
        if status.is_success() {
            return Ok(body);
        }
        let said = String::from_utf8_lossy(&body);
        Err(PeerError::Refused {
            peer: self.peer.name.clone(),
            status: status.as_u16(),
            said: said.trim().chars().take(SAID_CHARS).collect(),
        })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, PeerError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unanswered(told(error)))? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(self.unusable(format!("more than {MOST_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Read for each request, so that a replaced file counts at once.
    fn secret(&self, file: &Path) -> Result<String, PeerError> {
        let text = fs::read_to_string(file);
        let text = text.map_err(|error| self.unanswered(format!("cannot read {}: {error}", file.display())))?;
        Ok(text.trim().to_owned())
    }

    async fn connect(&self) -> Result<Client, PeerError> {
        let peer = self.peer.clone();
        let built = tokio::task::spawn_blocking(move || build(&peer)).await;
        let built = built.unwrap_or_else(|error| Err(error.to_string()));
        built.map_err(|why| self.unanswered(why))
    }
}

fn build(peer: &Peer) -> Result<Client, String> {
    tls::use_ring();
    let mut builder = Client::builder()
        // Credentials and labels are for this peer alone.
        .redirect(Policy::none())
        .no_proxy()
        .timeout(peer.timeout.duration())
        .user_agent(concat!("healgate/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = &peer.ca_file {
        let pem = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let certificates = Certificate::from_pem_bundle(&pem);
        let certificates = certificates.map_err(|error| format!("cannot use {}: {}", path.display(), told(error)))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(told)
}

/// With all that led to it, as the error itself only says that there was one. Without the URL, which repeats the question.
fn told(error: reqwest::Error) -> String {
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
