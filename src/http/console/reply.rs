//! What the console answers with: pages that run no script but ours, and ways to other pages.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION};
use askama::Template;

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
    let html = match page.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "failed to make a page");
            return HttpResponse::InternalServerError().body("the page could not be made");
        }
    };
    let mut response = HttpResponse::build(status);
    for header in HEADERS {
        response.insert_header(header);
    }
    response
        .content_type("text/html; charset=utf-8")
        // Who signs out must not find the pages again by going back.
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(html)
}

/// Go there, with GET.
pub(super) fn see(path: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, path))
        .insert_header((CACHE_CONTROL, "no-store"))
        .finish()
}

/// A text as one segment of a path or one value of a query (RFC 3986).
pub(super) fn encoded(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::with_capacity(text.len()), |mut path, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Nothing keeps a text from growing.
            let _ = write!(path, "%{byte:02X}");
        }
        path
    })
}
