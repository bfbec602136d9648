//! Tells requests of programs on this machine from those that a web page or a proxy sends through it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, ORIGIN};

/// Why the request does not count as one from this machine; `None` if it does.
pub(crate) fn refusal(request: &HttpRequest) -> Option<&'static str> {
    let peer_is_near = request
        .peer_addr()
        .is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    if !peer_is_near {
        return Some("without tokens only programs on this machine are served");
    }
    let forwarded = request.headers().keys().any(|name| {
        let name = name.as_str();
        name == "forwarded" || name.starts_with("x-forwarded-")
    });
    if forwarded {
        return Some("without tokens nothing is served through a proxy (the request has a forwarding header)");
    }
    let mut hosts = request.headers().get_all(HOST).map(|host| host.to_str().ok());
    let (Some(Some(host)), None) = (hosts.next(), hosts.next()) else {
        return Some("without tokens the request needs one Host header");
    };
    if !names_loopback(host) {
        return Some("without tokens the Host header must name localhost or a loopback address");
    }
    let own = format!("http://{host}");
    let foreign = request
        .headers()
        .get_all(ORIGIN)
        .any(|origin| !origin.to_str().is_ok_and(|origin| origin.eq_ignore_ascii_case(&own)));
    foreign.then_some("without tokens no page of another origin is served")
}

/// Whether a `Host` header, with or without a port, names this machine.
fn names_loopback(host: &str) -> bool {
    if let Some(rest) = host.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return is_port && address.parse::<Ipv6Addr>().is_ok_and(|address| address.is_loopback());
    }
    let name = match host.split_once(':') {
        Some((name, port)) if is_port(port) => name,
        Some(_) => return false,
        None => host,
    };
    let address = name.parse::<Ipv4Addr>().map(IpAddr::V4);
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_and_addresses_name_this_machine() {
        for host in [
            "localhost",
            "LOCALHOST:8750",
            "127.0.0.1",
            "127.8.9.10:80",
            "[::1]",
            "[::1]:8750",
        ] {
            assert!(names_loopback(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "10.0.0.1",
            "[::2]",
            "[::1",
            "[::1]x",
            "localhost:",
            "localhost:80:90",
            "localhost:x",
            "127.1",
            "0.0.0.0",
        ] {
            assert!(!names_loopback(host), "{host}");
        }
    }
}
