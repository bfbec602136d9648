//! Signing in with a token, and out. Keeps the digest of what the cookie says, and nothing of the token but its own digest.

use actix_web::http::header::{HeaderName, HeaderValue, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use askama::Template;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::Token;
use crate::http::App;
use crate::http::auth::{self, Caller};
use crate::http::console::access::Reader;
use crate::http::console::failure::Failure;
use crate::http::console::form::Form;
use crate::http::console::reply::{page, page_with, see};
use crate::http::console::shell::{Place, Shell};
use crate::http::input::Query;
use crate::http::problem::Problem;
use crate::http::session;
use crate::store::Session;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    shell: Shell,
    to: String,
    hours: u64,
    error: Option<String>,
}

/// Comes back by itself, with the cookie that a link from elsewhere did not bring.
#[derive(Template)]
#[template(path = "again.html")]
struct AgainPage {
    shell: Shell,
    to: String,
}

impl SignInPage {
    fn new(to: String, error: Option<String>) -> Self {
        Self {
            shell: Shell::bare(Place::Nowhere),
            to,
            hours: session::LASTS.as_secs() / 3_600,
            error,
        }
    }
}

/// The form.
pub(super) async fn form(request: HttpRequest, query: Query) -> Result<HttpResponse, Failure> {
    let asked = query.only(&["to"])?.one("to", |text| Ok(text.to_owned()))?;
    let to = own_path(asked.as_deref());
    if auth::admit_reader(&request).is_ok() && auth::is_signed_in(&request) {
        return Ok(see(&to));
    }
    if came_from_elsewhere(&request) {
        let shell = Shell::bare(Place::Nowhere);
        return Ok(page(&AgainPage { shell, to }));
    }
    Ok(page(&SignInPage::new(to, None)))
}

/// A cookie with `SameSite=Strict` is not sent with what another site's page links to: whoever follows such a link seems
/// not to be signed in.
fn came_from_elsewhere(request: &HttpRequest) -> bool {
    request
        .headers()
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site")
}

/// Begins a session.
pub(super) async fn sign_in(app: web::Data<App>, request: HttpRequest, form: Form) -> Result<HttpResponse, Failure> {
    // So that nobody is signed in as somebody else by a page that they happen to look at.
    if !session::is_own(&request, &app.access.external_url) {
        return Err(Problem::forbidden("this form was sent from another page than the gateway's own").into());
    }
    let to = own_path(form.get("to"));
    let given = form.get("token").unwrap_or_default().trim();
    let refused = |status, why: &str| {
        let page = SignInPage::new(to.clone(), Some(why.to_owned()));
        Ok(page_with(status, &page))
    };
    let status = actix_web::http::StatusCode::UNAUTHORIZED;
    let Some(token) = app.access.token_of(given) else {
        tracing::warn!("a sign-in with a wrong token");
        return refused(status, "This is no token of this gateway. It may have been replaced.");
    };
    if !Caller::from(token).may_read() {
        let status = actix_web::http::StatusCode::FORBIDDEN;
        let why = "This token may only post webhooks: its role is sender. The console needs a viewer's, an operator's or an \
                   admin's.";
        return refused(status, why);
    }
    let cookie = open(&app, token).await?;
    tracing::info!(token = token.name, "signed in");
    let mut response = see(&to);
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

async fn open(app: &App, token: &Token) -> Result<HeaderValue, Failure> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| {
        tracing::error!(%error, "failed to get random bytes from the system");
        Problem::internal()
    })?;
    let secret = URL_SAFE_NO_PAD.encode(random);
    let now = app.clock.now();
    let session = Session {
        token_name: token.name.clone(),
        token_sha256: token.sha256,
        created_at: now,
        expires_at: now + session::LASTS,
    };
    app.store.open_session(session::key(&secret), session).await?;
    cookie(app, &secret, session::LASTS.as_secs())
}

/// The cookie, for so many seconds; with none it is gone.
fn cookie(app: &App, secret: &str, seconds: u64) -> Result<HeaderValue, Failure> {
    let secure = if app.access.external_url.starts_with("https://") {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{}={secret}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}",
        session::NAME
    );
    HeaderValue::try_from(cookie).map_err(|_| Problem::internal().into())
}

/// Ends the session, here and in the browser. Needs no token of a form, which may be from before a restart: that a page of
/// ours asks, with the session's cookie, is known already.
pub(super) async fn sign_out(reader: Reader, app: web::Data<App>) -> Result<HttpResponse, Failure> {
    if let Some(signed_in) = reader.0.session {
        app.store.end_session(signed_in.0).await?;
        tracing::info!(token = reader.0.caller.name, "signed out");
    }
    let mut response = see("/signin");
    response.headers_mut().insert(SET_COOKIE, cookie(&app, "", 0)?);
    let clear = HeaderName::from_static("clear-site-data");
    response
        .headers_mut()
        .insert(clear, HeaderValue::from_static("\"cache\""));
    Ok(response)
}

/// A path of ours; `/` in place of all else, so that no link of the sign-in leads elsewhere.
fn own_path(asked: Option<&str>) -> String {
    let is_own = |path: &&str| {
        let mut bytes = path.bytes();
        // `//host` and `/\host` are other machines to browsers, which also drop tabs and line breaks.
        bytes.next() == Some(b'/')
            && !matches!(bytes.next(), Some(b'/' | b'\\'))
            && path.bytes().all(|byte| byte.is_ascii_graphic())
    };
    asked.filter(is_own).unwrap_or("/").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_never_leads_elsewhere() {
        for path in ["/", "/jobs?status=failed&q=a%20b", "/alerts/%2F"] {
            assert_eq!(own_path(Some(path)), path);
        }
        for path in [
            "",
            "//evil",
            "/\\evil",
            "https://evil",
            "evil",
            "/\t/evil",
            "/a b",
            "javascript:alert(1)",
        ] {
            assert_eq!(own_path(Some(path)), "/", "{path:?}");
        }
        assert_eq!(own_path(None), "/");
    }
}
