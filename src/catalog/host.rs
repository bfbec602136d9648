//! The filter `host`: the host of an instance or a URL.

use std::net::Ipv6Addr;

/// Why a text names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} has no host; it must be a host, a host and a port, or a URL")]
pub(super) struct NoHost(String);

/// The host without scheme, user, port and path; an IPv6 address without its brackets.
pub(super) fn host(raw: &str) -> Result<&str, NoHost> {
    let no_host = || NoHost(raw.to_owned());
    let text = raw.trim();
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => rest,
        Some(_) => return Err(no_host()),
        None => text,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority.rsplit('@').next().unwrap_or_default();
    if address.parse::<Ipv6Addr>().is_ok() {
        return Ok(address);
    }
    let (host, port) = match address.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((inner, port)) if inner.parse::<Ipv6Addr>().is_ok() => (inner, port),
        Some(_) => return Err(no_host()),
        None => {
            let end = address.find(':').unwrap_or(address.len());
            if !is_name(&address[..end]) {
                return Err(no_host());
            }
            address.split_at(end)
        }
    };
    if port.is_empty() || port.strip_prefix(':').is_some_and(is_port) {
        Ok(host)
    } else {
        Err(no_host())
    }
}

/// As RFC 3986, section 3.1, has it.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_and_urls_give_their_host() {
        for (raw, expected) in [
            ("web1", "web1"),
            ("web1:9100", "web1"),
            ("web1.example.org:9100", "web1.example.org"),
            ("10.0.0.7:9100", "10.0.0.7"),
            ("http://web1:8080/metrics?x=y#z", "web1"),
            ("https://web1", "web1"),
            ("http://user:pass@web1:8080/", "web1"),
            ("user@web1", "web1"),
            ("http://web1?target=http://web2", "web1"),
            ("web1/metrics", "web1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:9100", "2001:db8::1"),
            ("https://[2001:db8::1]:9100/x", "2001:db8::1"),
            ("::1", "::1"),
            (" web1:9100 ", "web1"),
            ("postgresql+ssl://db_1:5432/x", "db_1"),
        ] {
            assert_eq!(host(raw), Ok(expected), "{raw}");
        }
    }

    #[test]
    fn what_cannot_be_a_host_is_refused() {
        for raw in [
            "",
            " ",
            ":9100",
            "http://",
            "http:///path",
            "http://:80",
            "web1:",
            "web1:http",
            "web1:99999",
            "web1:+80",
            "we b1",
            "wéb",
            "-web",
            "web*",
            "web1,web2",
            "[web1]:80",
            "[2001:db8::1",
            "[2001:db8::1]x",
            "fe80::1%eth0",
            "{{ x }}",
            "a:b:c",
            "://web1",
        ] {
            assert!(host(raw).is_err(), "{raw:?} was accepted");
        }
    }
}
