//! HTTP to one peer: short, bounded, and to nobody else. Reads no answer's meaning.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder, Response};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::{Credentials, Peer};
use crate::outbound::{LazyClient, Manner, secret, told};
use crate::peers::PeerError;

/// More than any answer to a sensible question has; what is larger is refused, not kept in memory.
const MOST_BYTES: usize = 32 << 20;

/// How much of an error's text is shown.
const SAID_CHARS: usize = 300;

/// One peer. Connects when it is first asked.
#[derive(Debug)]
pub(super) struct PeerClient {
    peer: Peer,
    client: LazyClient,
}

/// What the body of an error may say: Prometheus has `error`, Alertmanager a text, or `message`.
#[derive(Deserialize)]
#[serde(untagged)]
enum Complaint {
    Prometheus { error: String },
    Alertmanager { message: String },
    Text(String),
}

impl PeerClient {
    pub(super) fn new(peer: Peer) -> Self {
        let manner = Manner::Peer {
            timeout: peer.timeout.duration(),
        };
        Self {
            client: LazyClient::new(manner, peer.ca_file.clone()),
            peer,
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

    /// The same, with the answer's headers.
    pub(super) async fn get_with_headers<T: DeserializeOwned>(
        &self,
        path: &str,
        params: &[(&str, String)],
    ) -> Result<(HeaderMap, T), PeerError> {
        let request = self.request(Method::GET, path, params).await?;
        let (headers, body) = self.answered(request).await?;
        let value = serde_json::from_slice(&body).map_err(|error| self.unusable(error.to_string()))?;
        Ok((headers, value))
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
        let client = self.client.get().await.map_err(|why| self.unanswered(why))?;
        let mut url = self
            .peer
            .url
            .join(path)
            .map_err(|error| self.unanswered(error.to_string()))?;
        if !params.is_empty() {
            url.query_pairs_mut().extend_pairs(params);
        }
        let request = client.request(method, url);
        let Some(credentials) = self.peer.credentials.clone() else {
            return Ok(request);
        };
        // Read for each request, so that a replaced file counts at once; its disk may not answer.
        let authorized = tokio::task::spawn_blocking(move || authorize(request, &credentials)).await;
        let authorized = authorized.unwrap_or_else(|error| Err(error.to_string()));
        authorized.map_err(|why| self.unanswered(why))
    }

    async fn read<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, PeerError> {
        let body = self.send(request).await?;
        serde_json::from_slice(&body).map_err(|error| self.unusable(error.to_string()))
    }

    /// Answers with the body; an error unless the status is 2xx.
    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, PeerError> {
        self.answered(request).await.map(|(_, body)| body)
    }

    async fn answered(&self, request: RequestBuilder) -> Result<(HeaderMap, Vec<u8>), PeerError> {
        let mut response = request.send().await.map_err(|error| self.failed(error))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let body = self.body(response).await?;
        if status.is_success() {
            return Ok((headers, body));
        }
        Err(PeerError::Refused {
            peer: self.peer.name.clone(),
            status: status.as_u16(),
            said: said(&body),
        })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, PeerError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failed(error))? {
            if body.len() + chunk.len() > MOST_BYTES {
                return Err(self.unusable(format!("more than {MOST_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn failed(&self, error: reqwest::Error) -> PeerError {
        if error.is_timeout() {
            return PeerError::TimedOut {
                peer: self.peer.name.clone(),
                why: told(error),
            };
        }
        self.unanswered(told(error))
    }
}

fn authorize(request: RequestBuilder, credentials: &Credentials) -> Result<RequestBuilder, String> {
    match credentials {
        Credentials::Bearer { file } => Ok(request.bearer_auth(secret::from_file(file, "the token")?)),
        Credentials::Basic {
            username,
            password_file,
        } => {
            let password = secret::from_file(password_file, "the password")?;
            Ok(request.basic_auth(username, Some(password)))
        }
    }
}

/// The sentence that is in the body of an error, which may be long: read first, cut then.
fn said(body: &[u8]) -> String {
    let text = match serde_json::from_slice(body) {
        Ok(
            Complaint::Prometheus { error: text } | Complaint::Alertmanager { message: text } | Complaint::Text(text),
        ) => text,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    text.trim().chars().take(SAID_CHARS).collect()
}
