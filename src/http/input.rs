//! Reads what requests carry besides their method: path, query and body.

use std::future::{Ready, ready};
use std::str::FromStr;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_LENGTH;
use actix_web::{FromRequest, HttpRequest, web};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::http::problem::{FieldError, Problem};
use crate::store::read::PageRequest;

/// The largest webhook: groups of ten thousand alerts and more do come.
pub(crate) const WEBHOOK_BYTES: usize = 32 * 1024 * 1024;

/// The largest body of other requests.
pub(crate) const SMALL_BYTES: usize = 64 * 1024;

/// How long a body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

const DEFAULT_LIMIT: u32 = 50;
const MOST_ITEMS: u32 = 500;

/// How much of a cursor's digest it carries.
const CURSOR_CHECK: usize = 6;

/// The body, whatever its content type says, up to a limit.
#[derive(Debug)]
pub(crate) struct Body<const LIMIT: usize>(pub(crate) Vec<u8>);

/// The body of a webhook, and of what is asked about one.
pub(crate) type WebhookBody = Body<WEBHOOK_BYTES>;

/// The body of everything else.
pub(crate) type SmallBody = Body<SMALL_BYTES>;

impl<const LIMIT: usize> FromRequest for Body<LIMIT> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let announced = request
            .headers()
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
            .unwrap_or(0);
        let payload = payload.take();
        Box::pin(async move {
            if announced > LIMIT {
                return Err(Problem::too_large(LIMIT));
            }
            tokio::time::timeout(BODY_TIMEOUT, collect(payload, announced, LIMIT))
                .await
                .unwrap_or_else(|_| Err(Problem::too_slow()))
                .map(Self)
        })
    }
}

async fn collect(mut payload: Payload, announced: usize, limit: usize) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::with_capacity(announced.min(limit));
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Problem::invalid("", format!("the body could not be read: {error}")))?;
        if body.len() + chunk.len() > limit {
            return Err(Problem::too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Reads a body that may be absent.
pub(crate) fn optional_json<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Problem> {
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    json(body)
}

/// Reads a body, which must be a JSON object.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let body = body.trim_ascii();
    // Else an array of the fields in order would do.
    if !body.starts_with(b"{") {
        return Err(Problem::invalid("", "the body must be a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let field = match error.path().to_string().as_str() {
            // The whole, or a place that the reader did not get to.
            "." | "?" => String::new(),
            path => path.to_owned(),
        };
        Problem::invalid(&field, error.inner().to_string())
    })?;
    reader.end().map_err(|error| Problem::invalid("", error.to_string()))?;
    Ok(value)
}

/// The variable part of the path, parsed.
#[derive(Debug)]
pub(crate) struct PathId<T>(pub(crate) T);

impl<T> FromRequest for PathId<T>
where
    T: FromStr + 'static,
    T::Err: std::fmt::Display,
{
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let raw = web::Path::<String>::from_request(request, payload).into_inner();
        let parsed = raw
            .map_err(|error| error.to_string())
            .and_then(|raw| raw.parse::<T>().map_err(|error| error.to_string()));
        ready(parsed.map(Self).map_err(|message| Problem::invalid("id", message)))
    }
}

/// The query's parameters, in order.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl FromRequest for Query {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(
            web::Query::<Vec<(String, String)>>::from_query(request.query_string())
                .map(|pairs| Self(pairs.into_inner()))
                .map_err(|error| Problem::invalid("", format!("the query cannot be read: {error}"))),
        )
    }
}

impl Query {
    /// Refuses parameters that the call does not have: a misspelt filter must not list everything.
    pub(crate) fn only(&self, allowed: &[&str]) -> Result<&Self, Problem> {
        let known = match allowed {
            [] => "this call takes no parameters".to_owned(),
            names => format!("the parameters are {}", names.join(", ")),
        };
        let unknown = self.0.iter().filter(|(name, _)| !allowed.contains(&name.as_str()));
        let errors: Vec<FieldError> = unknown
            .map(|(name, _)| FieldError {
                field: name.clone(),
                message: format!("is not a parameter; {known}"),
            })
            .collect();
        if errors.is_empty() {
            Ok(self)
        } else {
            Err(Problem::invalid_fields(errors))
        }
    }

    /// Every parameter with its value.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Every value of a parameter.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter, parsed.
    pub(crate) fn each<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, Problem> {
        self.all(name)
            .map(|value| parse(value).map_err(|message| Problem::invalid(name, message)))
            .collect()
    }

    /// The only value of a parameter, parsed.
    pub(crate) fn one<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, Problem> {
        let mut values = self.each(name, parse)?;
        if values.len() > 1 {
            return Err(Problem::invalid(name, "may be given only once"));
        }
        Ok(values.pop())
    }

    /// Which part of the list is asked for; `list` names it.
    pub(crate) fn page(&self, list: &'static str) -> Result<PageRequest, Problem> {
        let limit = self.one("limit", |text| {
            text.parse::<u32>()
                .ok()
                .filter(|limit| (1..=MOST_ITEMS).contains(limit))
                .ok_or_else(|| format!("{text:?} is not a number from 1 to {MOST_ITEMS}"))
        })?;
        let after = self.one("cursor", |text| {
            read_cursor(list, text).ok_or_else(|| format!("{text:?} is not a cursor of this list"))
        })?;
        Ok(PageRequest {
            limit: limit.unwrap_or(DEFAULT_LIMIT),
            after,
        })
    }

    /// The attempt that is asked for.
    pub(crate) fn attempt(&self) -> Result<Option<u32>, Problem> {
        self.one("attempt", |text| {
            text.parse::<u32>()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| format!("{text:?} is not the number of an attempt; they count from 1"))
        })
    }
}

/// A list's sort key as clients carry it: opaque, and of no use for another list.
pub(crate) fn cursor(list: &str, key: &str) -> String {
    let mut bytes = cursor_check(list, key).to_vec();
    bytes.extend_from_slice(key.as_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

fn read_cursor(list: &str, text: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (check, key) = bytes.split_at_checked(CURSOR_CHECK)?;
    let key = std::str::from_utf8(key).ok()?;
    (check == cursor_check(list, key)).then(|| key.to_owned())
}

/// Not a secret: it only tells a cursor of ours from a text that happens to be one.
fn cursor_check(list: &str, key: &str) -> [u8; CURSOR_CHECK] {
    let digest = Sha256::new()
        .chain_update(list)
        .chain_update([0])
        .chain_update(key)
        .finalize();
    let mut check = [0; CURSOR_CHECK];
    check.copy_from_slice(&digest[..CURSOR_CHECK]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_opaque_and_belongs_to_its_list() {
        let made = cursor("jobs", "0190b6a2/é?");
        assert!(
            made.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
        assert_eq!(read_cursor("jobs", &made).as_deref(), Some("0190b6a2/é?"));
        assert_eq!(read_cursor("alerts", &made), None);
        for garbage in ["", "x", "AAAA", "Zm9vYmFy", "Zm9vYmFyYmF6", "a b", "%", "====", "é"] {
            assert_eq!(read_cursor("jobs", garbage), None, "{garbage:?}");
        }
    }
}
