//! Style, scripts and pictures of the pages, as they are in `static/`. Their path has a digest of all of them in it, so a
//! browser may keep them for ever.

use std::io::Write;
use std::sync::LazyLock;

use actix_web::http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, VARY};
use actix_web::{HttpRequest, HttpResponse, web};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::http::problem::Problem;

/// A file of `static/`.
#[derive(Clone, Copy, Debug)]
struct Asset {
    name: &'static str,
    content_type: &'static str,
    bytes: &'static [u8],
}

const CSS: &str = "text/css; charset=utf-8";
const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

macro_rules! asset {
    ($name:literal, $content_type:ident) => {
        Asset {
            name: $name,
            content_type: $content_type,
            bytes: include_bytes!(concat!("../../../static/", $name)),
        }
    };
}

const ASSETS: &[Asset] = &[
    asset!("console.css", CSS),
    asset!("console.js", JAVASCRIPT),
    asset!("icon.svg", SVG),
    asset!("keys.js", JAVASCRIPT),
    asset!("live.js", JAVASCRIPT),
    asset!("log-ansi.js", JAVASCRIPT),
    asset!("log-choice.js", JAVASCRIPT),
    asset!("log-finding.js", JAVASCRIPT),
    asset!("log-folds.js", JAVASCRIPT),
    asset!("log-kept.js", JAVASCRIPT),
    asset!("log-lines.js", JAVASCRIPT),
    asset!("log-range.js", JAVASCRIPT),
    asset!("log-rows.js", JAVASCRIPT),
    asset!("log-search.js", JAVASCRIPT),
    asset!("log-selection.js", JAVASCRIPT),
    asset!("log-source.js", JAVASCRIPT),
    asset!("log-state.js", JAVASCRIPT),
    asset!("log-stream.js", JAVASCRIPT),
    asset!("log-times.js", JAVASCRIPT),
    asset!("log-view.js", JAVASCRIPT),
    asset!("log.css", CSS),
    asset!("log.js", JAVASCRIPT),
    asset!("once.js", JAVASCRIPT),
    asset!("seen.js", JAVASCRIPT),
    asset!("times.js", JAVASCRIPT),
];

/// The folder of this version's files.
static FOLDER: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    for asset in ASSETS {
        digest.update(asset.name);
        digest.update([0]);
        digest.update(asset.bytes);
    }
    format!("/static/{}", &hex::encode(digest.finalize())[..16])
});

/// The files as gzip, in the same order: on a phone at night a page is there with a third of the bytes. It is the one
/// encoding that browsers take from a server without TLS, too.
static COMPRESSED: LazyLock<Vec<Option<Vec<u8>>>> = LazyLock::new(|| {
    let compressed = ASSETS.iter().map(|asset| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(asset.bytes).and_then(|()| encoder.finish()).ok()
    });
    compressed.collect()
});

/// Where pages find the files; without a slash at its end.
pub(super) fn folder() -> &'static str {
    &FOLDER
}

/// Serves a file. Nobody needs to be signed in for that: the sign-in page has a style, too.
pub(super) async fn show(request: HttpRequest, path: web::Path<(String, String)>) -> Result<HttpResponse, Problem> {
    let (_, name) = path.into_inner();
    let index = ASSETS.iter().position(|asset| asset.name == name);
    let asset = index.and_then(|index| ASSETS.get(index));
    let asset = asset.ok_or_else(|| Problem::no_such_path(request.path()))?;
    // A page of another version, as it may be open while the gateway is upgraded, gets what there is, and may not keep it.
    let is_of_this_version = request.path().starts_with(folder());
    let keep = if is_of_this_version {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };
    let mut response = HttpResponse::Ok();
    response
        .content_type(asset.content_type)
        .insert_header((CACHE_CONTROL, keep))
        .insert_header((VARY, "Accept-Encoding"))
        .insert_header(("Cross-Origin-Resource-Policy", "same-origin"));
    let compressed = index
        .and_then(|index| COMPRESSED.get(index)?.as_deref())
        .filter(|_| takes_gzip(&request));
    Ok(match compressed {
        Some(bytes) => response.insert_header((CONTENT_ENCODING, "gzip")).body(bytes),
        None => response.body(asset.bytes),
    })
}

/// Whether the browser says so (RFC 9110 section 12.5.3).
fn takes_gzip(request: &HttpRequest) -> bool {
    let accepted = request
        .headers()
        .get(ACCEPT_ENCODING)
        .and_then(|names| names.to_str().ok());
    accepted.unwrap_or_default().split(',').any(|name| {
        let (name, quality) = name.split_once(';').unwrap_or((name, ""));
        let is_refused = matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000");
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn gzip_goes_to_those_who_take_it() {
        let takes = |names: &'static str| {
            takes_gzip(
                &TestRequest::default()
                    .insert_header((ACCEPT_ENCODING, names))
                    .to_http_request(),
            )
        };
        assert!(takes("gzip, deflate, br") && takes("br;q=1.0, GZIP;q=0.5"));
        assert!(!takes("gzip;q=0, br") && !takes("identity") && !takes_gzip(&TestRequest::default().to_http_request()));
        assert!(COMPRESSED.iter().all(Option::is_some));
    }

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("static");
        let files = folder
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let served = ASSETS.iter().map(|asset| asset.name.to_owned());
        assert_eq!(files.collect::<BTreeSet<_>>(), served.collect::<BTreeSet<_>>());
    }
}
