//! Who calls, and what they may do. Keeps digests of tokens only; never stores or logs a header that carries one.

use std::future::{Ready, ready};

use actix_web::body::MessageBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderValue, WWW_AUTHENTICATE};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, ResponseError, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::{Role, Token};
use crate::http::App;
use crate::http::loopback;
use crate::http::problem::Problem;
use crate::http::session;
use crate::http::signature::Signature;
use crate::store::SessionKey;

/// The name of a caller without a token.
pub const ANONYMOUS: &str = "anonymous";

/// The settings that say who may do what.
#[derive(Clone, Debug, Default)]
pub struct Access {
    pub tokens: Vec<Token>,
    /// Everyone may post webhooks and read.
    pub allow_anonymous: bool,
    /// `/metrics` needs no credentials.
    pub public_metrics: bool,
    /// Whether the gateway listens on a loopback address only.
    pub listens_on_loopback: bool,
    /// How Grafana's webhooks are signed, if they are.
    pub grafana: Option<Signature>,
    /// How people reach the gateway; without a slash at its end.
    pub external_url: String,
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name, or [`ANONYMOUS`].
    pub name: String,
    pub role: Role,
}

impl Caller {
    /// Whether they may change jobs and hold back what would start.
    pub(crate) const fn may_operate(&self) -> bool {
        may(self.role, Need::Operate)
    }

    /// Whether they may read.
    pub(crate) const fn may_read(&self) -> bool {
        may(self.role, Need::Read)
    }
}

/// What is known of who sent a request whose credentials, if any, are right.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Known(Caller),
    /// May post webhooks and read. `could_authenticate`: there are tokens that would open more.
    Visitor {
        could_authenticate: bool,
    },
    /// There are tokens, and the request has none.
    Unauthenticated,
    /// There are no tokens, and the request does not come from this machine alone.
    Barred(&'static str),
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Post,
    Read,
    Operate,
    Administer,
}

/// What a role may do.
const fn may(role: Role, need: Need) -> bool {
    match need {
        Need::Post => matches!(role, Role::Sender | Role::Admin),
        Need::Read => matches!(role, Role::Viewer | Role::Operator | Role::Admin),
        Need::Operate => matches!(role, Role::Operator | Role::Admin),
        Need::Administer => matches!(role, Role::Admin),
    }
}

impl From<&Token> for Caller {
    fn from(token: &Token) -> Self {
        Self {
            name: token.name.clone(),
            role: token.role,
        }
    }
}

impl Need {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post webhooks",
            Self::Read => "read",
            Self::Operate => "change jobs",
            Self::Administer => "administer the gateway",
        }
    }
}

impl Access {
    /// The settings of that token. Takes the same time for every token, right or wrong.
    pub(crate) fn token_of(&self, token: &str) -> Option<&Token> {
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut bearer = None;
        for known in &self.tokens {
            if bool::from(known.sha256.ct_eq(&digest)) {
                bearer = Some(known);
            }
        }
        bearer
    }

    fn bearer_of(&self, token: &str) -> Option<Caller> {
        self.token_of(token).map(Caller::from)
    }

    /// `signed_in` is whom the request's session belongs to, if it has one.
    fn standing(&self, request: &HttpRequest, signed_in: Option<Caller>) -> Result<Standing, Problem> {
        if request.headers().contains_key(AUTHORIZATION) {
            let caller = presented_token(request).and_then(|token| self.bearer_of(&token));
            return caller
                .map(Standing::Known)
                .ok_or_else(|| Problem::not_authenticated("the credentials are wrong"));
        }
        if let Some(caller) = signed_in {
            session::refuse_foreign(request, &self.external_url)?;
            return Ok(Standing::Known(caller));
        }
        if !self.tokens.is_empty() {
            return Ok(if self.allow_anonymous {
                Standing::Visitor {
                    could_authenticate: true,
                }
            } else {
                Standing::Unauthenticated
            });
        }
        Ok(match self.refusal_without_tokens(request) {
            None => Standing::Known(Caller {
                name: ANONYMOUS.to_owned(),
                role: Role::Admin,
            }),
            Some(_) if self.allow_anonymous => Standing::Visitor {
                could_authenticate: false,
            },
            Some(why) => Standing::Barred(why),
        })
    }

    fn refusal_without_tokens(&self, request: &HttpRequest) -> Option<&'static str> {
        if self.listens_on_loopback {
            loopback::refusal(request)
        } else {
            Some("no tokens are configured, and the gateway does not listen on a loopback address")
        }
    }
}

/// The token of a well-formed `Authorization` header: Bearer, or Basic with any user name.
fn presented_token(request: &HttpRequest) -> Option<String> {
    let mut headers = request.headers().get_all(AUTHORIZATION);
    let header = headers.next()?.to_str().ok()?;
    if headers.next().is_some() {
        return None;
    }
    let (scheme, rest) = header.split_once(' ')?;
    let rest = rest.trim();
    if rest.is_empty() {
        return None;
    }
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
        return pair.split_once(':').map(|(_, password)| password.to_owned());
    }
    None
}

/// Middleware: answers wrong credentials with 401, whatever was asked for, and notes who calls for the extractors.
pub(crate) async fn authenticate<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<impl MessageBody + use<B>>, Error> {
    let is_script = is_of_a_script(&request);
    let mut response = match standing(request.request()).await {
        Ok(standing) => {
            request.extensions_mut().insert(standing);
            next.call(request).await.map(ServiceResponse::map_into_left_body)?
        }
        Err(problem) => request.into_response(problem.error_response()).map_into_right_body(),
    };
    if is_script && response.status() == StatusCode::UNAUTHORIZED {
        // At the name of Basic a browser would ask for a password, in the middle of a page.
        let bearer = HeaderValue::from_static("Bearer realm=\"healgate\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, bearer);
    }
    Ok(response)
}

async fn standing(request: &HttpRequest) -> Result<Standing, Problem> {
    let app = request.app_data::<web::Data<App>>().ok_or_else(Problem::internal)?;
    let has_token = request.headers().contains_key(AUTHORIZATION);
    let signed_in = match session::presented(request).filter(|_| !has_token) {
        Some(key) => session::caller(app, key).await?,
        None => None,
    };
    if let Some((key, _)) = &signed_in {
        request.extensions_mut().insert(SignedIn(*key));
    }
    app.access.standing(request, signed_in.map(|(_, caller)| caller))
}

/// Whether a page's script asks. Source: <https://www.w3.org/TR/fetch-metadata/#sec-fetch-dest-header>.
fn is_of_a_script(request: &ServiceRequest) -> bool {
    request
        .headers()
        .get("sec-fetch-dest")
        .is_some_and(|what| what == "empty")
}

/// The session that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SignedIn(pub(crate) SessionKey);

/// Whether the request says who asks, by a token or by a session, or everybody here is an admin.
pub(crate) fn is_signed_in(request: &HttpRequest) -> bool {
    matches!(request.extensions().get::<Standing>(), Some(Standing::Known(_)))
}

/// Who may read, as an extractor would find.
pub(crate) fn admit_reader(request: &HttpRequest) -> Result<Caller, Problem> {
    admit(request, Need::Read)
}

/// Who may change jobs, as an extractor would find.
pub(crate) fn admit_operator(request: &HttpRequest) -> Result<Caller, Problem> {
    admit(request, Need::Operate)
}

fn admit(request: &HttpRequest, need: Need) -> Result<Caller, Problem> {
    let standing = request.extensions().get::<Standing>().cloned();
    match standing {
        Some(Standing::Known(caller)) if may(caller.role, need) => Ok(caller),
        Some(Standing::Known(caller)) => Err(Problem::forbidden(format!(
            "a token with the role {} may not {}",
            caller.role.as_str(),
            need.as_str()
        ))),
        Some(Standing::Visitor { .. }) if matches!(need, Need::Post | Need::Read) => Ok(Caller {
            name: ANONYMOUS.to_owned(),
            role: if need == Need::Post { Role::Sender } else { Role::Viewer },
        }),
        Some(Standing::Visitor {
            could_authenticate: false,
        }) => Err(Problem::forbidden(format!(
            "without tokens in the configuration nobody may {} from here",
            need.as_str()
        ))),
        Some(Standing::Barred(why)) => Err(Problem::forbidden(why)),
        Some(
            Standing::Unauthenticated
            | Standing::Visitor {
                could_authenticate: true,
            },
        )
        | None => Err(Problem::not_authenticated(
            "this needs a token, as Bearer or as Basic password",
        )),
    }
}

macro_rules! access {
    ($(#[$doc:meta])* $name:ident, $need:expr) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(crate) struct $name(pub(crate) Caller);

        impl FromRequest for $name {
            type Error = Problem;
            type Future = Ready<Result<Self, Problem>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                ready(admit(request, $need).map(Self))
            }
        }
    };
}

/// Who may post webhooks without a signature.
pub(super) fn admit_sender(request: &HttpRequest) -> Result<Caller, Problem> {
    admit(request, Need::Post)
}

access!(
    /// Admits who may post webhooks.
    SenderAccess,
    Need::Post
);
access!(
    /// Admits who may read.
    ViewerAccess,
    Need::Read
);
access!(
    /// Admits who may change jobs.
    OperatorAccess,
    Need::Operate
);
access!(
    /// Admits who may change the gateway.
    AdminAccess,
    Need::Administer
);

/// Admits who may see the metrics: readers, or everyone if they are public.
#[derive(Debug)]
pub(crate) struct MetricsAccess;

impl FromRequest for MetricsAccess {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let public = request
            .app_data::<web::Data<App>>()
            .is_some_and(|app| app.access.public_metrics);
        if public {
            return ready(Ok(Self));
        }
        ready(admit(request, Need::Read).map(|_| Self))
    }
}

#[cfg(test)]
mod tests;
