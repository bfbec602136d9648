//! Pages that say why something is not shown or not done.

use std::fmt;

use actix_web::http::header::REFERER;
use actix_web::http::{StatusCode, Uri};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use askama::Template;

use crate::http::console::reply::{page_with, see};
use crate::http::console::shell::{Place, Shell};
use crate::http::problem::{FieldError, Problem};
use crate::ingest::InvalidPayload;
use crate::percent::encoded;
use crate::store::StoreError;

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody is signed in: the way to the sign-in, and from there to what was asked for.
    SignIn {
        to: String,
    },
    Problem(Problem),
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    shell: Shell,
    title: &'static str,
    status: u16,
    detail: String,
    errors: &'a [FieldError],
}

impl Failure {
    /// What a request without the right to it is answered with.
    pub(super) fn of(request: &HttpRequest, problem: Problem) -> Self {
        if !problem.asks_for_credentials() {
            return Self::Problem(problem);
        }
        let to = if request.method().is_safe() {
            request.uri().path_and_query().map(ToString::to_string)
        } else {
            page_of_form(request)
        };
        Self::SignIn {
            to: to.unwrap_or_else(|| "/".to_owned()),
        }
    }
}

/// The page whose form was sent, with what it asked: nobody shall change something by signing in, nor be asked another
/// question than before. None where it is not known, or was another page.
fn page_of_form(request: &HttpRequest) -> Option<String> {
    let referer: Uri = request.headers().get(REFERER)?.to_str().ok()?.parse().ok()?;
    let page = referer.path_and_query()?;
    (page.path() == request.path()).then(|| page.to_string())
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SignIn { to } => write!(f, "nobody is signed in who could see {to}"),
            Self::Problem(problem) => problem.fmt(f),
        }
    }
}

impl ResponseError for Failure {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignIn { .. } => StatusCode::SEE_OTHER,
            Self::Problem(problem) => problem.status_code(),
        }
    }

    fn error_response(&self) -> HttpResponse {
        let problem = match self {
            Self::SignIn { to } if to == "/" => return see("/signin"),
            Self::SignIn { to } => return see(&format!("/signin?to={}", encoded(to))),
            Self::Problem(problem) => problem,
        };
        let page = FailurePage {
            shell: Shell::bare(Place::Nowhere),
            title: problem.title(),
            status: self.status_code().as_u16(),
            detail: problem.to_string(),
            errors: problem.errors(),
        };
        page_with(self.status_code(), &page)
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Problem(error.into())
    }
}

impl From<InvalidPayload> for Failure {
    fn from(invalid: InvalidPayload) -> Self {
        Self::Problem(invalid.into())
    }
}
