//! What a page's form sends.

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest, web};
use futures_util::future::LocalBoxFuture;

use crate::domain::ids::JobId;
use crate::http::App;
use crate::http::console::access::Who;
use crate::http::console::failure::Failure;
use crate::http::console::forms::Stale;
use crate::http::input::Body;
use crate::http::problem::Problem;

/// The largest form: a notification may be pasted into one.
const MOST: usize = 4 * 1024 * 1024;

/// A page's form, as browsers send it.
#[derive(Debug)]
pub(super) struct Form(Vec<(String, String)>);

impl FromRequest for Form {
    type Error = Failure;
    type Future = LocalBoxFuture<'static, Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = Body::<MOST>::from_request(request, payload);
        Box::pin(async move {
            let body = body.await?.0;
            let pairs = web::Query::<Vec<(String, String)>>::from_query(&String::from_utf8_lossy(&body));
            let pairs = pairs.map_err(|error| Problem::invalid("", format!("the form cannot be read: {error}")))?;
            Ok(Self(pairs.into_inner()))
        })
    }
}

impl Form {
    /// As if a browser had sent that.
    #[cfg(test)]
    pub(super) fn of(pairs: &[(&str, &str)]) -> Self {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self(pairs.collect())
    }

    /// The first value of a field.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// What the person says about what they do.
    pub(super) fn comment(&self) -> Option<String> {
        let comment = self.get("comment").map(str::trim);
        comment.filter(|comment| !comment.is_empty()).map(str::to_owned)
    }

    /// Every field, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Refuses a form that was not made for whoever sends it. Answers with its nonce.
    pub(super) fn check(&self, app: &App, who: &Who) -> Result<JobId, Problem> {
        let given = (
            self.get("nonce").unwrap_or_default(),
            self.get("proof").unwrap_or_default(),
        );
        let checked = app.forms.check(who, given, app.clock.now());
        checked.map_err(|stale| match stale {
            Stale::NotOurs => Problem::forbidden(
                "this form was not made for you by this gateway as it runs now: go back, load the page again, and confirm anew",
            ),
            Stale::Old => Problem::forbidden("this form is too old: go back, load the page again, and confirm anew"),
        })
    }
}
