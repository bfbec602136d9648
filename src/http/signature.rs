//! Grafana's signatures: a webhook that has a right one counts as posted with a sender's token. Reads the secret once,
//! at the start, and never shows it.

use std::fmt;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::{GrafanaSignature, Role};
use crate::domain::timestamp::Timestamp;
use crate::http::App;
use crate::http::auth::{Caller, admit_sender};
use crate::http::input::WebhookBody;
use crate::http::problem::Problem;

/// The name under which signed notifications are kept.
pub const SIGNED_BY: &str = "grafana";

/// How far the time of signing may be from ours, into the past and, as clocks differ, into the future.
const MOST_APART: Duration = Duration::from_secs(5 * 60);

/// Of HMAC-SHA256; sent in hexadecimal.
const SIGNATURE_BYTES: usize = 32;

/// What signatures are checked with.
#[derive(Clone)]
pub struct Signature {
    key: Hmac<Sha256>,
    /// In lower case; the first one that a request has counts.
    headers: Vec<String>,
    timestamp_header: String,
    /// Whether a request without a time is refused.
    needs_time: bool,
}

/// Without the key.
impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signature")
            .field("headers", &self.headers)
            .finish_non_exhaustive()
    }
}

/// What a request says of its signature.
struct Claim {
    signature: [u8; SIGNATURE_BYTES],
    /// As sent, for it is a part of what is signed.
    timestamp: Option<String>,
}

impl Signature {
    /// `None` where the secret is empty: then everybody could sign.
    pub fn new(secret: &[u8], settings: &GrafanaSignature) -> Option<Self> {
        let key = Hmac::new_from_slice(secret).ok().filter(|_| !secret.is_empty())?;
        Some(Self {
            key,
            headers: settings.headers.clone(),
            timestamp_header: settings.timestamp_header.clone(),
            needs_time: settings.needs_time,
        })
    }

    /// What the request claims; nothing if it has no signature. The error is for one that cannot be right whatever the
    /// body is.
    fn claim(&self, headers: &HeaderMap, now: Timestamp) -> Result<Option<Claim>, Problem> {
        let Some(name) = self.headers.iter().find(|name| headers.contains_key(name.as_str())) else {
            return Ok(None);
        };
        let mut signature = [0; SIGNATURE_BYTES];
        let text = only(headers, name)?.unwrap_or_default();
        hex::decode_to_slice(text.trim(), &mut signature).map_err(|_| wrong())?;
        let timestamp = only(headers, &self.timestamp_header)?;
        if self.needs_time && timestamp.is_none() {
            let detail = format!("the signature has no time: {} is missing", self.timestamp_header);
            return Err(Problem::not_authenticated(&detail));
        }
        if timestamp.is_some_and(|text| !is_recent(text, now)) {
            return Err(Problem::not_authenticated(
                "the signature's time is more than 5 minutes from the gateway's",
            ));
        }
        let timestamp = timestamp.map(str::to_owned);
        Ok(Some(Claim { signature, timestamp }))
    }

    /// Takes the same time wherever a signature is wrong.
    fn check(&self, claim: &Claim, body: &[u8]) -> Result<(), Problem> {
        let mut mac = self.key.clone();
        if let Some(timestamp) = &claim.timestamp {
            mac.update(timestamp.as_bytes());
            mac.update(b":");
        }
        mac.update(body);
        mac.verify_slice(&claim.signature).map_err(|_| wrong())
    }
}

fn wrong() -> Problem {
    Problem::not_authenticated("the signature is wrong")
}

/// The one value of a header; two are an error, as it could not be told which one was meant.
fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name);
    let value = values.next().map(|value| value.to_str().map_err(|_| wrong()));
    if values.next().is_some() {
        return Err(wrong());
    }
    value.transpose()
}

/// Of seconds since 1970.
fn is_recent(timestamp: &str, now: Timestamp) -> bool {
    let micros = timestamp
        .parse::<i64>()
        .ok()
        .and_then(|seconds| seconds.checked_mul(1_000_000));
    micros
        .map(Timestamp::from_micros)
        .is_some_and(|signed_at| now.since(signed_at) <= MOST_APART && signed_at.since(now) <= MOST_APART)
}

/// A webhook of somebody who may post it: by a signature, or like any other sender.
#[derive(Debug)]
pub(crate) struct SignedWebhook {
    pub(crate) caller: Caller,
    pub(crate) body: Vec<u8>,
}

impl FromRequest for SignedWebhook {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        // Who cannot be let in is told before the body is read.
        let admitted = admit(request);
        let body = WebhookBody::from_request(request, payload);
        Box::pin(async move {
            let (caller, claimed) = admitted?;
            let body = body.await?.0;
            if let Some((signature, claim)) = claimed {
                signature.check(&claim, &body)?;
            }
            Ok(Self { caller, body })
        })
    }
}

type Claimed = Option<(Signature, Claim)>;

/// Who posts, and what is still to be checked when the body is there.
fn admit(request: &HttpRequest) -> Result<(Caller, Claimed), Problem> {
    let app = request.app_data::<web::Data<App>>().ok_or_else(Problem::internal)?;
    if let Some(signature) = &app.access.grafana
        && let Some(claim) = signature.claim(request.headers(), app.clock.now())?
    {
        let caller = Caller {
            name: SIGNED_BY.to_owned(),
            role: Role::Sender,
        };
        return Ok((caller, Some((signature.clone(), claim))));
    }
    Ok((admit_sender(request)?, None))
}

#[cfg(test)]
mod tests;
