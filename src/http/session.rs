//! Whose session a request belongs to, by its cookie. Trusts no cookie with a change that another site's page may have
//! asked for.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{COOKIE, HOST, ORIGIN};
use sha2::{Digest, Sha256};

use crate::http::App;
use crate::http::auth::Caller;
use crate::http::problem::Problem;
use crate::store::SessionKey;

/// The cookie that holds a session's secret.
pub(crate) const NAME: &str = "healgate_session";

/// How long a session lasts: a shift.
pub(crate) const LASTS: Duration = Duration::from_secs(12 * 3_600);

/// The digest of a session's secret.
pub(crate) fn key(secret: &str) -> SessionKey {
    Sha256::digest(secret.as_bytes()).into()
}

/// The key of the session that the request names.
pub(super) fn presented(request: &HttpRequest) -> Option<SessionKey> {
    let headers = request.headers().get_all(COOKIE);
    let mut pairs = headers
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        (name.trim() == NAME).then(|| key(value.trim()))
    })
}

/// Whose session that is. It ends with its token: one that is gone from the settings, or was replaced, opens nothing.
pub(super) async fn caller(app: &App, key: SessionKey) -> Result<Option<(SessionKey, Caller)>, Problem> {
    let session = app.store.find_session(key, app.clock.now()).await?;
    let token = session.and_then(|session| {
        let mut tokens = app.access.tokens.iter();
        tokens.find(|token| token.name == session.token_name && token.sha256 == session.token_sha256)
    });
    Ok(token.map(|token| (key, Caller::from(token))))
}

/// Refuses a change that is asked for with a cookie alone, unless the gateway's own page asks.
pub(super) fn refuse_foreign(request: &HttpRequest, external_url: &str) -> Result<(), Problem> {
    if request.method().is_safe() {
        return Ok(());
    }
    if is_own(request, external_url) {
        return Ok(());
    }
    let detail = "changes with a session are taken from the gateway's own pages only: the request's Origin is missing, or \
                  another one. Programs use a token";
    Err(Problem::forbidden(detail))
}

/// Whether the request says that a page of this gateway has made it.
pub(crate) fn is_own(request: &HttpRequest, external_url: &str) -> bool {
    let mut origins = request.headers().get_all(ORIGIN).map(|origin| origin.to_str().ok());
    let (Some(Some(origin)), None) = (origins.next(), origins.next()) else {
        return false;
    };
    if origin_of(external_url).is_some_and(|own| own.eq_ignore_ascii_case(origin)) {
        return true;
    }
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    // Whether a proxy in front of us speaks TLS is not known here.
    let authority = origin
        .strip_prefix("http://")
        .or_else(|| origin.strip_prefix("https://"));
    host.zip(authority)
        .is_some_and(|(host, authority)| host.eq_ignore_ascii_case(authority))
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> Option<&str> {
    let begin = url.find("://")? + 3;
    let end = url[begin..].find('/').map_or(url.len(), |slash| begin + slash);
    Some(&url[..end])
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_session_is_read_from_among_other_cookies() {
        let of =
            |header: &'static str| presented(&TestRequest::default().insert_header((COOKIE, header)).to_http_request());
        assert_eq!(of("a=b; healgate_session=s3cret; c=d"), Some(key("s3cret")));
        assert_eq!(of("healgate_session=s3cret"), Some(key("s3cret")));
        assert_eq!(of("xhealgate_session=s3cret"), None);
        assert_eq!(of("healgate_session"), None);
    }

    #[test]
    fn only_the_gateways_own_pages_are_its_own() {
        let is_own = |origin: Option<&str>| {
            let mut request = TestRequest::post().insert_header((HOST, "10.0.0.7:8750"));
            if let Some(origin) = origin {
                request = request.insert_header((ORIGIN, origin));
            }
            is_own(&request.to_http_request(), "https://healgate.example.org/gate")
        };
        assert!(is_own(Some("https://healgate.example.org")));
        assert!(is_own(Some("http://10.0.0.7:8750")));
        for origin in [
            None,
            Some("null"),
            Some("https://evil.example.org"),
            Some("http://10.0.0.7"),
            Some("10.0.0.7:8750"),
        ] {
            assert!(!is_own(origin), "{origin:?}");
        }
    }
}
