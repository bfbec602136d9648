//! Ansible's `--limit`, as narrow as a remediation needs it. A limit that parses can only name hosts or groups.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Comma-separated host or group names. Ansible's pattern language (`all`, `*`, `~regex`, `@file`, `!`, `&`, `:`) is
/// left out on purpose: no label may ever widen a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limit(String);

/// Why a text is no limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLimit {
    #[error("the limit is empty, which Ansible would take for all hosts")]
    Empty,
    #[error("the limit {0:?} has an empty part")]
    EmptyPart(String),
    #[error("the limit names {0:?}, which would mean every host")]
    EveryHost(String),
    #[error(
        "the limit has the part {0:?}; allowed are names of letters, digits, `_`, `.` and `-` that start with a \
         letter, a digit or `_`, and IPv6 addresses, separated by commas"
    )]
    Part(String),
}

impl Limit {
    /// Accepts nothing but a list of names and IPv6 addresses.
    pub fn parse(raw: &str) -> Result<Self, InvalidLimit> {
        if raw.is_empty() {
            return Err(InvalidLimit::Empty);
        }
        for part in raw.split(',') {
            check_part(raw, part)?;
        }
        Ok(Self(raw.to_owned()))
    }

    /// Of hosts that Ansible itself named in a recap.
    pub fn of_hosts(hosts: &[&str]) -> Result<Self, InvalidLimit> {
        Self::parse(&hosts.join(","))
    }

    /// The text for the command line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_part(raw: &str, part: &str) -> Result<(), InvalidLimit> {
    if part.is_empty() {
        return Err(InvalidLimit::EmptyPart(raw.to_owned()));
    }
    if part.eq_ignore_ascii_case("all") || part.eq_ignore_ascii_case("ungrouped") {
        return Err(InvalidLimit::EveryHost(part.to_owned()));
    }
    if is_name(part) || part.parse::<Ipv6Addr>().is_ok() {
        return Ok(());
    }
    Err(InvalidLimit::Part(part.to_owned()))
}

fn is_name(part: &str) -> bool {
    let mut bytes = part.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
    first && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Limit {
    type Err = InvalidLimit;

    fn from_str(raw: &str) -> Result<Self, Self::Err> {
        Self::parse(raw)
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_groups_and_addresses_are_limits() {
        for raw in [
            "web1",
            "web1,web2.example.org",
            "_edge",
            "10.0.0.7",
            "2001:db8::1",
            "::1,web1",
            "web-1",
            "allow",
        ] {
            assert_eq!(Limit::parse(raw).unwrap().as_str(), raw);
        }
    }

    #[test]
    fn nothing_that_could_widen_a_run_is_a_limit() {
        for raw in [
            "",
            " ",
            ",",
            "web1,",
            ",web1",
            "web1,,web2",
            "all",
            "ALL",
            "web1,All",
            "ungrouped",
            "UnGrouped",
            "*",
            "web*",
            "~web",
            "@/etc/passwd",
            "!web1",
            "&web",
            "web1:web2",
            "web1;web2",
            "-e",
            "--list",
            "web1 ",
            "web[1:3]",
            "web1\n",
            "wéb",
            ".web",
            "{{ x }}",
            "<no value>",
            "fe80::1%eth0",
            "[::1]",
        ] {
            assert!(Limit::parse(raw).is_err(), "{raw:?} was accepted");
        }
    }

    #[test]
    fn the_error_says_what_is_allowed() {
        let error = Limit::parse("web1,we b").unwrap_err().to_string();
        assert!(
            error.contains("\"we b\"") && error.contains("letters, digits"),
            "{error}"
        );
    }
}
