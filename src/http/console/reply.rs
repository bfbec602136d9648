//! What the console answers with: pages that run no script but ours, and ways to other pages.

use std::convert::Infallible;
use std::fmt;
use std::future::ready;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, HttpResponseBuilder};
use askama::Template;
use askama::filters::HtmlSafe;
use futures_util::{FutureExt, StreamExt, stream};

/// What a page may do: load style, scripts and pictures from here, ask this gateway, and send its forms to it. Nothing
/// inline, nothing from elsewhere, and in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What every page carries. The referrer goes to ourselves alone; with none, browsers would not name the origin of a form.
const HEADERS: [(&str, &str); 5] = [
    ("Content-Security-Policy", POLICY),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
];

/// A page.
pub(super) fn page(page: &impl Template) -> HttpResponse {
    page_with(StatusCode::OK, page)
}

/// A page that says that something is not so.
pub(super) fn page_with(status: StatusCode, page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(html) => headed(status).body(html),
        Err(error) => unmade(&error),
    }
}

/// Where in a page stands what comes later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rest;

impl Rest {
    const MARK: &str = "<!-- rest -->";
}

impl fmt::Display for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::MARK)
    }
}

/// It is written above.
impl HtmlSafe for Rest {}

/// A page of which something takes a while: what stands before it is sent at once.
pub(super) fn page_in_parts(frame: &impl Template, rest: impl Future<Output = String> + 'static) -> HttpResponse {
    let html = match frame.render() {
        Ok(html) => html,
        Err(error) => return unmade(&error),
    };
    let (begin, end) = html.split_once(Rest::MARK).unwrap_or((&html, ""));
    let (begin, end) = (Bytes::from(begin.to_owned()), Bytes::from(end.to_owned()));
    let rest = rest.map(|rest| Ok::<_, Infallible>(Bytes::from(rest)));
    let later = stream::once(rest).chain(stream::once(ready(Ok(end))));
    headed(StatusCode::OK).streaming(stream::once(ready(Ok(begin))).chain(later))
}

fn unmade(error: &askama::Error) -> HttpResponse {
    tracing::error!(%error, "failed to make a page");
    HttpResponse::InternalServerError().body("the page could not be made")
}

fn headed(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    for header in HEADERS {
        response.insert_header(header);
    }
    response
        .content_type("text/html; charset=utf-8")
        // Who signs out must not find the pages again by going back.
        .insert_header((CACHE_CONTROL, "no-store"));
    response
}

/// Go there, with GET.
pub(super) fn see(path: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, path))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish()
}
