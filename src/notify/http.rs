//! Posts requests over HTTP. Follows no redirects, and shows no URL: it may be the secret itself.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, Url};
use tokio::sync::OnceCell;

use crate::notify::sender::Unsent;
use crate::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of an answer is read.
const ANSWER_BYTES: usize = 2 << 10;

/// What is posted.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) url: String,
    /// JSON.
    pub(super) body: Vec<u8>,
    pub(super) headers: HeaderMap,
}

/// A client that is made when it is first needed: reading the system's certificates takes a while.
#[derive(Debug)]
pub(super) struct HttpClient {
    ca_file: Option<PathBuf>,
    client: OnceCell<Client>,
}

impl HttpClient {
    pub(super) fn new(ca_file: Option<PathBuf>) -> Self {
        Self {
            ca_file,
            client: OnceCell::new(),
        }
    }

    /// Answers with what the other side said; an error unless it was 2xx.
    pub(super) async fn post(&self, request: Request) -> Result<String, Unsent> {
        let client = self.client.get_or_try_init(|| self.make()).await?;
        let url = Url::parse(request.url.trim()).map_err(|error| Unsent::new(format!("the URL is wrong: {error}")))?;
        let sent = client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .headers(request.headers)
            .body(request.body)
            .send()
            .await;
        answer(sent.map_err(failed)?).await
    }

    async fn make(&self) -> Result<Client, Unsent> {
        let ca_file = self.ca_file.clone();
        let made = tokio::task::spawn_blocking(move || build(ca_file));
        made.await.map_err(Unsent::new)?
    }
}

fn build(ca_file: Option<PathBuf>) -> Result<Client, Unsent> {
    tls::use_ring();
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        // Messages are rare: what is kept open would be closed by the other side when the next one comes.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("healgate/", env!("CARGO_PKG_VERSION")));
    if let Some(path) = ca_file {
        let unreadable = |error: &dyn Error| Unsent::new(format!("cannot use {}: {error}", path.display()));
        let pem = std::fs::read(&path).map_err(|error| unreadable(&error))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unreadable(&error))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(failed)
}

async fn answer(mut response: Response) -> Result<String, Unsent> {
    let status = response.status();
    let wait = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    let mut said = Vec::new();
    // A body that breaks off says what it said; the status is what counts.
    while let Ok(Some(chunk)) = response.chunk().await {
        said.extend_from_slice(&chunk);
        if said.len() >= ANSWER_BYTES {
            said.truncate(ANSWER_BYTES);
            break;
        }
    }
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

/// With all that led to it, as the error itself only says that there was one.
fn failed(error: reqwest::Error) -> Unsent {
    let error = error.without_url();
    let mut told = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        told.push_str(": ");
        told.push_str(&cause.to_string());
        source = cause.source();
    }
    Unsent::new(told)
}
