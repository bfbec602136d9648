//! Tells what came of a request that was not done: what was asked, what the gateway said, what to try. Asks nothing.

use std::fmt::Write;

use reqwest::header::LOCATION;
use reqwest::{Method, Response, StatusCode, Url};
use serde_json::Value;

use crate::cli::failure::{Failure, Kind};
use crate::cli::table::{items, printable};
use crate::outbound::told;

/// How much of an answer that is no problem document is shown.
const SAID_CHARS: usize = 300;

/// How rustls 0.23 says that it trusts a certificate not.
const DISTRUSTED: &str = "invalid peer certificate";

/// A request, as it is told of.
#[derive(Debug)]
pub(in crate::cli) struct Asked {
    what: String,
    base: String,
    with_token: bool,
}

impl Asked {
    pub(super) fn new(method: &Method, url: &Url, with_token: bool) -> Self {
        Self {
            what: format!("{method} {url}"),
            base: url.origin().ascii_serialization(),
            with_token,
        }
    }

    /// Nobody answered, or not to the end.
    pub(in crate::cli) fn unanswered(&self, error: reqwest::Error) -> Failure {
        let (is_timeout, is_connect) = (error.is_timeout(), error.is_connect());
        let told = told(error);
        let advice = match (is_timeout, is_connect) {
            (true, _) => "It takes too long to answer; is it busy, or is something on the way silent?".to_owned(),
            (false, true) if told.contains(DISTRUSTED) => {
                "SSL_CERT_FILE names a file of the certificates to trust, such as those of a private authority."
                    .to_owned()
            }
            (false, true) => format!(
                "Does healgate run at {}? --url or HEALGATE_URL says where it is; `healgate serve` starts one.",
                self.base
            ),
            (false, false) => format!("Is it healgate that listens at {}?", self.base),
        };
        let text = format!("failed to {}: {told}\n{advice}", self.what);
        Failure::new(Kind::Unreachable, text)
    }

    /// The answer is none that a gateway gives.
    pub(super) fn not_json(&self, error: &serde_json::Error) -> Failure {
        let text = format!(
            "failed to {}: the answer is no JSON: {error}\nIs it healgate that listens at {}?",
            self.what, self.base
        );
        Failure::new(Kind::Unreachable, text).after(StatusCode::OK.as_u16(), "")
    }

    /// The gateway said no.
    pub(super) async fn refused(&self, response: Response) -> Failure {
        let status = response.status();
        let to = response
            .headers()
            .get(LOCATION)
            .and_then(|to| to.to_str().ok())
            .map(str::to_owned);
        let body = response.bytes().await.unwrap_or_default();
        let problem: Value = serde_json::from_slice(&body).unwrap_or_default();
        let said = match problem["detail"].as_str() {
            Some(detail) => detail.to_owned(),
            None => String::from_utf8_lossy(&body).trim().chars().take(SAID_CHARS).collect(),
        };
        let mut text = format!("failed to {}: {status}", self.what);
        if !said.is_empty() {
            let _ = write!(text, ": {}", printable(&said));
        }
        text.push_str(&fields(&problem));
        // A gateway says what it has not got; others are asked by mistake.
        let is_elsewhere = status == StatusCode::NOT_FOUND && !problem["title"].is_string();
        let advice = match is_elsewhere {
            true => Some(format!("Is it healgate that listens at {}?", self.base)),
            false => self.advice(status, to.as_deref()),
        };
        if let Some(advice) = advice {
            let _ = write!(text, "\n{advice}");
        }
        let kind = if is_elsewhere { Kind::Unreachable } else { kind(status) };
        Failure::new(kind, text).after(status.as_u16(), printable(&said))
    }

    /// What to try.
    fn advice(&self, status: StatusCode, to: Option<&str>) -> Option<String> {
        match status {
            StatusCode::UNAUTHORIZED if self.with_token => {
                Some("The token is none of this gateway's: see auth.tokens in its healgate.yml.".to_owned())
            }
            StatusCode::UNAUTHORIZED => Some(
                "Set HEALGATE_TOKEN, or name a file with --token-file; `healgate token new` makes a token.".to_owned(),
            ),
            StatusCode::FORBIDDEN if !self.with_token => {
                Some("Set HEALGATE_TOKEN, or name a file with --token-file.".to_owned())
            }
            StatusCode::FORBIDDEN => {
                Some("A token with another role may: see `Who may do what` in the docs.".to_owned())
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
                Some("Try again in a moment.".to_owned())
            }
            status if status.is_redirection() => {
                to.map(|to| format!("It is elsewhere: {}. Set --url or HEALGATE_URL to that.", printable(to)))
            }
            _ => None,
        }
    }
}

/// What is wrong with the input, a line for each thing.
fn fields(problem: &Value) -> String {
    let errors = items(problem, "errors");
    // One error alone is all that the detail says.
    if errors.len() == 1 && problem["detail"].is_string() {
        return String::new();
    }
    let line = |error: &Value| {
        let text = |name: &str| printable(error[name].as_str().unwrap_or_default());
        match text("field").as_str() {
            "" => format!("\n  {}", text("message")),
            field => format!("\n  {field}: {}", text("message")),
        }
    };
    errors.iter().map(line).collect()
}

/// Which exit code a status is.
fn kind(status: StatusCode) -> Kind {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Kind::Refused,
        StatusCode::NOT_FOUND | StatusCode::GONE => Kind::NotFound,
        StatusCode::CONFLICT => Kind::Conflict,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Kind::Unreachable,
        status if status.is_client_error() => Kind::Usage,
        status if status.is_redirection() => Kind::Unreachable,
        _ => Kind::Failed,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_status_has_its_exit_code() {
        for (status, code) in [
            (301, 3),
            (400, 2),
            (401, 4),
            (403, 4),
            (404, 5),
            (409, 6),
            (413, 2),
            (422, 2),
            (500, 1),
            (502, 3),
            (503, 3),
        ] {
            assert_eq!(kind(StatusCode::from_u16(status).unwrap()) as u8, code, "{status}");
        }
    }

    #[test]
    fn a_problem_is_told_with_all_that_is_wrong() {
        let error = |field: &str| json!({ "field": field, "message": "is \u{1b}missing" });
        let problem = json!({ "detail": "2 parts", "errors": [error("a"), error("")] });
        assert_eq!(fields(&problem), "\n  a: is \\u{1b}missing\n  is \\u{1b}missing");
        assert_eq!(
            fields(&json!({ "detail": "a: is missing", "errors": [error("a")] })),
            ""
        );
        assert_eq!(fields(&Value::Null), "");
    }
}
