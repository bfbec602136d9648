//! Speaks to a gateway over HTTP, for commands that ask one. Never touches its database.

mod answer;
pub(super) mod events;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, Url};
use serde_json::Value;

use crate::cli::client::answer::Asked;
use crate::cli::environment;
use crate::cli::failure::{Failure, Kind, conclude};
use crate::outbound::{secret, told};
use crate::tls;

/// How long it may take to reach the gateway.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long it may be silent. A stream of events says something every 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);

/// The most that a page of a list holds.
const MOST_ITEMS: u32 = 500;

/// Where a gateway listens that was told nothing else.
const USUAL: &str = "http://127.0.0.1:8750";

/// Which gateway to ask. A token is never on the command line, which everyone on the machine can read.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Gateway")]
pub(super) struct Access {
    /// The gateway's address; otherwise HEALGATE_URL, and http://127.0.0.1:8750 without one
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A file with the token; otherwise it is HEALGATE_TOKEN
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A gateway that can be asked.
#[derive(Debug)]
pub(super) struct Client {
    url: Url,
    token: Option<String>,
    http: reqwest::Client,
}

/// Runs a command that asks a gateway.
pub(super) fn run<F, Fut>(access: &Access, command: F) -> ExitCode
where
    F: FnOnce(Client) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    conclude(Client::at(access, &environment()).and_then(|client| block_on(command(client))?))
}

/// Waits for it on this thread.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("failed to start the runtime: {error}"))?;
    let done = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(done)
}

impl Access {
    /// That address, without a token.
    pub(super) fn to(url: &str) -> Self {
        Self {
            url: Some(url.to_owned()),
            token_file: None,
        }
    }

    /// Whether anything names a gateway.
    pub(super) fn is_named(&self, environment: &BTreeMap<String, String>) -> bool {
        self.url.is_some() || filled(environment, "HEALGATE_URL").is_some()
    }
}

impl Client {
    /// The gateway that the options or the environment name; one on this machine with its usual port where nothing does.
    pub(super) fn at(access: &Access, environment: &BTreeMap<String, String>) -> Result<Self, Failure> {
        let (source, text) = match (&access.url, filled(environment, "HEALGATE_URL")) {
            (Some(url), _) => ("--url", url.clone()),
            (None, Some(url)) => ("HEALGATE_URL", url),
            (None, None) => ("the default", USUAL.to_owned()),
        };
        let token = match &access.token_file {
            Some(file) => Some(secret::from_file_or_pipe(file, "the token")?),
            None => filled(environment, "HEALGATE_TOKEN"),
        };
        if token.as_ref().is_some_and(|token| token.chars().any(char::is_control)) {
            return Err(Failure::usage("the token is more than one line: it cannot be sent"));
        }
        Ok(Self {
            url: parse(&text).map_err(|why| Failure::usage(format!("{source} is no address of a gateway: {why}")))?,
            token,
            http: http_client()?,
        })
    }

    /// Where the gateway is.
    pub(super) const fn url(&self) -> &Url {
        &self.url
    }

    /// The address of a resource: the path's parts are escaped, whatever they are.
    pub(super) fn address(&self, path: &[&str], query: &[(&str, String)]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// Reads something as JSON.
    pub(super) async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value, Failure> {
        self.call(Method::GET, self.address(path, query), None).await
    }

    /// Posts a body, if there is one, and answers with the JSON that came back.
    pub(super) async fn post(&self, path: &[&str], body: Option<Vec<u8>>) -> Result<Value, Failure> {
        self.call(Method::POST, self.address(path, &[]), body).await
    }

    /// All of a list, page by page, up to `most` items. `next_cursor` is that of the last page.
    pub(super) async fn list(&self, path: &[&str], query: &[(&str, String)], most: usize) -> Result<Value, Failure> {
        let (mut items, mut cursor) = (Vec::new(), Value::Null);
        loop {
            let left = most.saturating_sub(items.len());
            let mut query = query.to_vec();
            let limit = u32::try_from(left).unwrap_or(MOST_ITEMS).clamp(1, MOST_ITEMS);
            query.push(("limit", limit.to_string()));
            if let Some(cursor) = cursor.as_str() {
                query.push(("cursor", cursor.to_owned()));
            }
            let mut page = self.get(path, &query).await?;
            if let Value::Array(more) = page["items"].take() {
                items.extend(more);
            }
            cursor = page["next_cursor"].take();
            if cursor.is_null() || items.len() >= most {
                return Ok(serde_json::json!({ "items": items, "next_cursor": cursor }));
            }
        }
    }

    /// Any call; nothing that came back is `null`.
    pub(super) async fn call(&self, method: Method, url: Url, body: Option<Vec<u8>>) -> Result<Value, Failure> {
        let asked = Asked::new(&method, &url, self.token.is_some());
        let mut request = self.request(method, url.clone());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let response = self.send(request, &asked).await?;
        let body = response.bytes().await.map_err(|error| asked.unanswered(error))?;
        if body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&body).map_err(|error| asked.not_json(&error))
    }

    /// Something that comes piece by piece, as it is asked for with `headers`.
    pub(super) async fn open(&self, url: Url, headers: HeaderMap) -> Result<(Response, Asked), Failure> {
        let asked = Asked::new(&Method::GET, &url, self.token.is_some());
        let request = self.request(Method::GET, url).headers(headers);
        Ok((self.send(request, &asked).await?, asked))
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// The answer, if it is a good one.
    async fn send(&self, request: RequestBuilder, asked: &Asked) -> Result<Response, Failure> {
        let response = request.send().await.map_err(|error| asked.unanswered(error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(asked.refused(response).await)
    }
}

/// Not through a proxy of the environment, which would see the token; and to nobody else than the gateway.
fn http_client() -> Result<reqwest::Client, Failure> {
    tls::use_ring();
    let client = reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .user_agent(concat!("healgate/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(SILENCE)
        .build();
    client.map_err(|error| Failure::new(Kind::Failed, format!("failed to prepare for HTTP: {}", told(error))))
}

fn parse(text: &str) -> Result<Url, String> {
    let mut url: Url = text.trim().parse().map_err(|error| format!("{text:?}: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
        return Err(format!("{text:?} does not begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "it has a user name or a password in it; a token goes into HEALGATE_TOKEN or --token-file".to_owned(),
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} goes on after its path"));
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// A variable that says something.
fn filled(environment: &BTreeMap<String, String>, name: &str) -> Option<String> {
    let text = environment.get(name)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(access: &Access, pairs: &[(&str, &str)]) -> Result<Client, Failure> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Client::at(access, &pairs.collect())
    }

    #[test]
    fn options_go_before_the_environment_and_that_before_the_usual_place() {
        let named = |access: &Access, pairs: &[(&str, &str)]| {
            let client = client(access, pairs).unwrap();
            (client.url.to_string(), client.token)
        };
        let nothing = Access::default();
        assert_eq!(named(&nothing, &[]), ("http://127.0.0.1:8750/".to_owned(), None));
        let (url, token) = (
            ("HEALGATE_URL", "https://gate.example/below/"),
            ("HEALGATE_TOKEN", "t\n"),
        );
        let from_environment = ("https://gate.example/below".to_owned(), Some("t".to_owned()));
        assert_eq!(named(&nothing, &[url, token]), from_environment);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "other\n").unwrap();
        let access = Access {
            url: Some("http://[::1]:1".to_owned()),
            token_file: Some(file.path().to_owned()),
        };
        assert_eq!(
            named(&access, &[url, token]),
            ("http://[::1]:1/".to_owned(), Some("other".to_owned()))
        );
    }

    #[test]
    fn an_address_that_cannot_be_asked_is_a_wrong_command_line() {
        for url in [
            "localhost:8750",
            "ftp://a",
            "http://",
            "http://me:secret@host",
            "nonsense",
            "http://host/?jobs",
            "http://host/#jobs",
        ] {
            let access = Access {
                url: Some(url.to_owned()),
                token_file: None,
            };
            let failure = client(&access, &[]).unwrap_err();
            assert_eq!(failure.kind(), Kind::Usage, "{url}: {failure}");
            assert!(!failure.to_string().contains("secret"), "{failure}");
        }
        let failure = client(&Access::default(), &[("HEALGATE_TOKEN", "a\nb")]).unwrap_err();
        assert_eq!(failure.kind(), Kind::Usage);
    }

    #[test]
    fn what_is_in_a_path_or_a_query_stays_there() {
        for (base, below) in [
            ("http://[::1]:1", ""),
            ("http://a///", ""),
            ("http://a/below//", "/below"),
        ] {
            let url = client(&Access::default(), &[("HEALGATE_URL", base)])
                .unwrap()
                .address(&["readyz"], &[]);
            assert_eq!(url.path(), format!("{below}/readyz"), "{base}");
        }
        let client = client(&Access::default(), &[("HEALGATE_URL", "http://a/below/")]).unwrap();
        let url = client.address(&["api", "v1", "alerts", "../a?b#c"], &[("q", "x&y=z".to_owned())]);
        assert_eq!(url.as_str(), "http://a/below/api/v1/alerts/..%2Fa%3Fb%23c?q=x%26y%3Dz");
    }
}
