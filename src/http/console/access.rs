//! Who looks at a page. Where nobody is known, the way leads to the sign-in; where the role is not enough, the page says so.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage, HttpRequest};

use crate::http::auth::{self, Caller, SignedIn};
use crate::http::console::failure::Failure;

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
        let caller = auth::admit_reader(request);
        ready(
            caller
                .map(|caller| Self(who(request, caller)))
                .map_err(|problem| Failure::of(request, problem)),
        )
    }
}

impl FromRequest for Operator {
    type Error = Failure;
    type Future = Ready<Result<Self, Failure>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = auth::admit_operator(request);
        ready(
            caller
                .map(|caller| Self(who(request, caller)))
                .map_err(|problem| Failure::of(request, problem)),
        )
    }
}

fn who(request: &HttpRequest, caller: Caller) -> Who {
    Who {
        caller,
        session: request.extensions().get::<SignedIn>().copied(),
    }
}
