//! Posts requests over HTTP. Follows no redirects, and shows no URL: it may be the secret itself.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, Url};

use crate::notify::sender::{Unsent, within};
use crate::outbound::{LazyClient, Manner, told};

/// How much of an answer is read, and for how long: its status has said already what counts.
const ANSWER_BYTES: usize = 2 << 10;
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// What is posted.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) url: String,
    /// JSON.
    pub(super) body: Vec<u8>,
    pub(super) headers: HeaderMap,
}

#[derive(Debug)]
pub(super) struct HttpClient(LazyClient);

impl HttpClient {
    pub(super) fn new(ca_file: Option<PathBuf>) -> Self {
        Self(LazyClient::new(Manner::Receiver, ca_file))
    }

    /// Answers with what the other side said; an error unless it was 2xx. `patience` is for its status.
    pub(super) async fn post(&self, request: Request, patience: Duration) -> Result<String, Unsent> {
        let client = self.0.get().await.map_err(Unsent::new)?;
        let url = Url::parse(request.url.trim()).map_err(|error| Unsent::new(format!("the URL is wrong: {error}")))?;
        let sending = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .headers(request.headers)
            .body(request.body)
            .send();
        let sent = within(patience, async {
            sending.await.map_err(|error| Unsent::new(told(error)))
        });
        answer(sent.await?).await
    }
}

async fn answer(mut response: Response) -> Result<String, Unsent> {
    let status = response.status();
    let wait = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let mut said = Vec::new();
    // A body that breaks off, or does not end, says what it said.
    let _ = tokio::time::timeout(ANSWER_PATIENCE, listen(&mut response, &mut said)).await;
    let said = String::from_utf8_lossy(&said);
    let told = format!("answered {status}: {}", said.trim());
    let told = told.trim_end_matches([':', ' ']);
    if status.is_success() {
        return Ok(told.to_owned());
    }
    Err(Unsent {
        wait: wait.map(Duration::from_secs),
        ..Unsent::new(told)
    })
}

async fn listen(response: &mut Response, said: &mut Vec<u8>) {
    while let Ok(Some(chunk)) = response.chunk().await {
        said.extend_from_slice(&chunk);
        if said.len() >= ANSWER_BYTES {
            return said.truncate(ANSWER_BYTES);
        }
    }
}
