//! Stands in for a gateway where one must answer as none does on its own: breaks off, says nothing, is another program.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;

/// Answers each request by its first line, such as `GET /readyz HTTP/1.1`. See [`raw`].
pub(super) fn answering(mut answer: impl FnMut(&str) -> Option<String> + Send + 'static) -> String {
    raw(move |request| answer(request.lines().next().unwrap_or_default()))
}

/// Answers each request, as it comes over the connection, with all that goes back; `None` hangs up without a word. Answers with
/// its address.
pub(super) fn raw(mut answer: impl FnMut(&str) -> Option<String> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut bytes = vec![0; 16 << 10];
            let Ok(read) = stream.read(&mut bytes) else { continue };
            let request = String::from_utf8_lossy(&bytes[..read]).into_owned();
            if let Some(answer) = answer(&request) {
                // Whoever asked may be gone.
                let _ = stream.write_all(answer.as_bytes());
            }
        }
    });
    url
}

/// An answer of JSON.
pub(super) fn json(status: &str, body: &Value) -> String {
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The beginning of a stream of events, which ends with the connection.
pub(super) fn events(events: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{events}")
}
