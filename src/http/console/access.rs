//! Who looks at a page. Where nobody is known, the way leads to the sign-in; where the role is not enough, the page says so.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use crate::http::auth::{self, Caller, SignedIn};
use crate::http::console::failure::Failure;
use crate::http::problem::Problem;

/// Somebody, and the session that they are signed in with, if that is how they are known.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) caller: Caller,
    pub(crate) session: Option<SignedIn>,
}

/// Admits who may read.
#[derive(Debug)]
pub(crate) struct Reader(pub(crate) Who);

/// Admits who may change jobs.
#[derive(Debug)]
pub(crate) struct Operator(pub(crate) Who);

impl FromRequest for Reader {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(who(request, auth::admit_reader(request)).map(Self))
    }
}

impl FromRequest for Operator {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(who(request, auth::admit_operator(request)).map(Self))
    }
}

fn who(request: &HttpRequest, admitted: Result<Caller, Problem>) -> Result<Who, Failure> {
    Ok(Who {
        caller: admitted.map_err(|problem| Failure::of(request, problem))?,
        session: request.extensions().get::<SignedIn>().copied(),
    })
}
