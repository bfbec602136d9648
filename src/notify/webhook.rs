//! The webhook of other programs: JSON with a signature, as the contract has it.

use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use sha2::Sha256;

use crate::config::Webhook;
use crate::domain::timestamp::Timestamp;
use crate::http::views::JobView;
use crate::notify::http::Request;
use crate::notify::letter::Letter;
use crate::notify::sender::Unsent;
use crate::notify::template::{Markup, render};
use crate::outbound::secret;

const MESSAGE: HeaderName = HeaderName::from_static("x-healgate-message");
const TIMESTAMP: HeaderName = HeaderName::from_static("x-healgate-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("x-healgate-signature");

/// The version of this shape.
const VERSION: &str = "1";

#[derive(Serialize)]
struct Body<'a> {
    version: &'static str,
    event: &'static str,
    text: String,
    url: &'a str,
    job: Option<&'a JobView>,
    log_tail: &'a str,
}

/// The request that posts the letter. Each try is signed anew, as its receiver may refuse old ones.
pub(super) fn request(
    webhook: &Webhook,
    own: Option<&Path>,
    letter: &Letter,
    now: Timestamp,
) -> Result<Request, Unsent> {
    let url = secret::read(&webhook.url, "the URL").map_err(Unsent::new)?;
    let body = Body {
        version: VERSION,
        event: letter.event,
        text: render(Markup::None, own, &letter.told),
        url: &letter.url,
        job: letter.job.as_ref(),
        log_tail: &letter.log_tail,
    };
    let body = serde_json::to_vec(&body).map_err(Unsent::new)?;
    let mut headers = HeaderMap::new();
    headers.insert(MESSAGE, HeaderValue::from_str(&letter.name()).map_err(Unsent::new)?);
    if let Some(secret) = &webhook.secret {
        let secret = secret::read(secret, "the secret").map_err(Unsent::new)?;
        let timestamp = now.as_micros().div_euclid(1_000_000).to_string();
        let signature = format!("sha256={}", signature(&secret, &timestamp, &body).map_err(Unsent::new)?);
        headers.insert(TIMESTAMP, HeaderValue::from_str(&timestamp).map_err(Unsent::new)?);
        headers.insert(SIGNATURE, HeaderValue::from_str(&signature).map_err(Unsent::new)?);
    }
    Ok(Request { url, body, headers })
}

/// HMAC-SHA256 of `timestamp.body`, in hexadecimal.
fn signature(secret: &str, timestamp: &str, body: &[u8]) -> Result<String, hmac::digest::InvalidLength> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    Ok(hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::Secret;

    fn webhook(secret: Option<&str>) -> Webhook {
        Webhook {
            url: Secret::Inline("http://receiver/hook".to_owned()),
            secret: secret.map(|secret| Secret::Inline(secret.to_owned())),
            ca_file: None,
        }
    }

    fn sent(secret: Option<&str>) -> Request {
        let letter = Letter::test("1".to_owned(), "ops", "http://h");
        request(
            &webhook(secret),
            None,
            &letter,
            Timestamp::from_micros(1_790_000_000_999_999),
        )
        .unwrap()
    }

    /// As `printf %s '1790000000.{"a":1}' | openssl dgst -sha256 -hmac s3cret` says.
    #[test]
    fn the_signature_is_that_of_timestamp_dot_body() {
        assert_eq!(
            signature("s3cret", "1790000000", br#"{"a":1}"#).unwrap(),
            "b3e592eceaf8e8b6c5101a58c2678f5ff4e74c21bed3a56a3130ecc5c7f6ed82"
        );
    }

    #[test]
    fn the_body_is_the_contracts_and_signed_where_there_is_a_secret() {
        let request = sent(Some("s3cret"));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        insta::assert_json_snapshot!(body, @r#"
        {
          "version": "1",
          "event": "test",
          "text": "a test of the notifier ops\n\nThis is a test. If you can read it, messages of this gateway reach you.\n\nMore: http://h/jobs",
          "url": "http://h/jobs",
          "job": null,
          "log_tail": ""
        }
        "#);
        assert_eq!(request.headers[TIMESTAMP], "1790000000");
        let expected = format!("sha256={}", signature("s3cret", "1790000000", &request.body).unwrap());
        assert_eq!(request.headers[SIGNATURE], expected);
        assert_eq!(request.headers[MESSAGE], "1.test");
        assert_eq!(sent(None).headers.len(), 1);
    }

    #[test]
    fn a_secret_that_cannot_be_read_is_told_and_nothing_is_sent_unsigned() {
        let mut webhook = webhook(None);
        webhook.secret = Some(Secret::File("/no/such/secret".into()));
        let letter = Letter::test("1".to_owned(), "ops", "http://h");
        let unsent = request(&webhook, None, &letter, Timestamp::from_micros(0)).unwrap_err();
        assert_eq!(
            unsent.to_string(),
            "cannot read the secret from /no/such/secret: No such file or directory (os error 2)"
        );
    }
}
