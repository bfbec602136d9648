//! Server-sent events, and the text in them.

use actix_web::HttpResponse;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::Bytes;
use futures_util::Stream;
use serde::Serialize;

use crate::store::StoreError;

/// A line that readers ignore and that keeps the connection alive.
pub(super) const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// An answer of events, which no proxy is to keep back.
pub(super) fn answer(events: impl Stream<Item = Result<Bytes, StoreError>> + 'static) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(Box::pin(events))
}

/// One event. JSON has no line breaks, so its data is one line.
pub(super) fn event(name: &str, id: Option<u64>, data: &impl Serialize) -> serde_json::Result<Bytes> {
    let data = serde_json::to_string(data)?;
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Ok(Bytes::from(format!("event: {name}\n{id}data: {data}\n\n")))
}

/// As much of `bytes` as is text: a code point that may go on is left for later, unless these are the `last` bytes.
/// Answers with the text and how many bytes it took.
pub(super) fn text(bytes: &[u8], last: bool) -> (String, usize) {
    let unfinished = if last { 0 } else { unfinished(bytes) };
    let taken = bytes.len() - unfinished;
    (String::from_utf8_lossy(&bytes[..taken]).into_owned(), taken)
}

/// How many bytes at the end are the beginning of a code point.
fn unfinished(bytes: &[u8]) -> usize {
    let rest = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    match std::str::from_utf8(rest) {
        Err(error) if error.error_len().is_none() => rest.len(),
        Ok(_) | Err(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn an_event_is_written_as_browsers_read_it() {
        let event = event("log", Some(7), &"a\nb\r\"").unwrap();
        assert_eq!(event, "event: log\nid: 7\ndata: \"a\\nb\\r\\\"\"\n\n");
    }

    #[test]
    fn a_code_point_is_never_split() {
        let bytes = "ab€".as_bytes();
        assert_eq!(text(&bytes[..3], false), ("ab".to_owned(), 2));
        assert_eq!(text(&bytes[..4], false), ("ab".to_owned(), 2));
        assert_eq!(text(bytes, false), ("ab€".to_owned(), 5));
        assert_eq!(text(&bytes[..4], true), ("ab\u{fffd}".to_owned(), 4));
        assert_eq!(text(b"a\xffb\xc3", false), ("a\u{fffd}b".to_owned(), 3));
        assert_eq!(text(b"", true), (String::new(), 0));
    }

    proptest! {
        #[test]
        fn how_bytes_are_cut_into_pieces_does_not_matter(bytes in any::<Vec<u8>>(), size in 1..9_usize) {
            check(&bytes, size);
        }

        #[test]
        fn how_a_text_is_cut_into_pieces_does_not_matter(whole in any::<String>(), size in 1..9_usize) {
            check(whole.as_bytes(), size);
        }
    }

    fn check(bytes: &[u8], size: usize) {
        let (mut all, mut carry) = (String::new(), Vec::new());
        for piece in bytes.chunks(size) {
            carry.extend_from_slice(piece);
            let (decoded, taken) = text(&carry, false);
            carry.drain(..taken);
            assert!(carry.len() < 4, "more is held back than one code point");
            all.push_str(&decoded);
        }
        all.push_str(&text(&carry, true).0);
        assert_eq!(all, String::from_utf8_lossy(bytes));
    }
}
