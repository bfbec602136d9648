//! Speaks to a gateway over HTTP, for commands that ask one. Never touches its database.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::tls;

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The most that a page of a list holds.
const MOST_ITEMS: u32 = 500;

/// Where a gateway listens that was told nothing else.
const USUAL: &str = "http://127.0.0.1:8750";

/// A gateway that can be asked.
#[derive(Debug)]
pub(super) struct Client {
    /// Without a slash at its end.
    url: String,
    token: Option<String>,
}

impl Client {
    /// The gateway that the environment names: `HEALGATE_URL`, and `HEALGATE_TOKEN` where it asks for one.
    pub(super) fn named_by(environment: &BTreeMap<String, String>) -> Option<Self> {
        let url = filled(environment, "HEALGATE_URL")?.trim_end_matches('/').to_owned();
        let token = filled(environment, "HEALGATE_TOKEN");
        Some(Self { url, token })
    }

    /// The same; one on this machine with its usual port where nothing is named.
    pub(super) fn at(environment: &BTreeMap<String, String>) -> Self {
        let usual = || Self {
            url: USUAL.to_owned(),
            token: filled(environment, "HEALGATE_TOKEN"),
        };
        Self::named_by(environment).unwrap_or_else(usual)
    }

    /// Posts a body and answers with the JSON that came back. The error is a sentence for people.
    pub(super) fn post(&self, path: &str, body: Vec<u8>) -> Result<Value, String> {
        self.call(Method::POST, path, body)
    }

    /// Asks for all of a list, as far as one page goes.
    pub(super) fn list(&self, path: &str) -> Result<Value, String> {
        self.call(Method::GET, &format!("{path}?limit={MOST_ITEMS}"), Vec::new())
    }

    /// Any call; nothing that came back is `null`. The error is a sentence for people.
    pub(super) fn call(&self, method: Method, path: &str, body: Vec<u8>) -> Result<Value, String> {
        let url = format!("{}{path}", self.url);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("failed to start the runtime: {error}"))?;
        let answer = runtime.block_on(self.send(method, &url, body));
        let (status, text) = answer.map_err(|error| format!("failed to ask {url}: {}", chain(&error)))?;
        if status.is_success() && text.is_empty() {
            return Ok(Value::Null);
        }
        let value = serde_json::from_str(&text);
        match (status.is_success(), value) {
            (true, Ok(value)) => Ok(value),
            (true, Err(error)) => Err(format!("{url} answered with something that is not JSON: {error}")),
            (false, value) => Err(format!("{url} answered {status}{}", detail(&value.unwrap_or_default()))),
        }
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        body: Vec<u8>,
    ) -> Result<(reqwest::StatusCode, String), reqwest::Error> {
        tls::use_ring();
        // Not through a proxy of the environment: it would see the token.
        let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
        let mut request = client
            .request(method, url)
            .header("Content-Type", "application/json")
            .body(body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await?;
        Ok((answer.status(), answer.text().await?))
    }
}

/// A variable that says something.
fn filled(environment: &BTreeMap<String, String>, name: &str) -> Option<String> {
    let text = environment.get(name)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// What a problem document says, one line for each thing that is wrong.
fn detail(problem: &Value) -> String {
    let mut text = problem["detail"]
        .as_str()
        .map_or_else(String::new, |detail| format!(": {detail}"));
    for error in problem["errors"].as_array().into_iter().flatten() {
        let (field, message) = (error["field"].as_str(), error["message"].as_str());
        text.push_str(&format!(
            "\n  {}: {}",
            field.unwrap_or_default(),
            message.unwrap_or_default()
        ));
    }
    text
}

/// The error with its causes: the outermost one says little more than that there was one.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_environment_names_the_gateway() {
        let named = |pairs: &[(&str, &str)]| {
            let environment = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Client::named_by(&environment.collect()).map(|client| (client.url, client.token))
        };
        assert_eq!(named(&[]), None);
        assert_eq!(named(&[("HEALGATE_URL", " ")]), None);
        assert_eq!(named(&[("HEALGATE_TOKEN", "t")]), None);
        let url = ("HEALGATE_URL", "http://localhost:8750/");
        assert_eq!(named(&[url]), Some(("http://localhost:8750".to_owned(), None)));
        let token = ("HEALGATE_TOKEN", "t\n");
        assert_eq!(named(&[url, token]).unwrap().1.as_deref(), Some("t"));
    }

    #[test]
    fn a_problem_is_told_with_all_that_is_wrong() {
        let problem = json!({ "detail": "2 parts", "errors": [{ "field": "a", "message": "is missing" }] });
        assert_eq!(detail(&problem), ": 2 parts\n  a: is missing");
        assert_eq!(detail(&Value::Null), "");
    }
}
