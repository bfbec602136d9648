//! A notifier that sends e-mail: the server, and from whom to whom.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use lettre::message::Mailbox;

use super::{Secret, existing_file};
use crate::config::fields::{Fields, Key, Keys, Slot};
use crate::config::yaml::Kind;

pub(super) const KEYS: Keys = Keys::of(&[
    Key::of("host", Key::REQUIRED, "the mail server"),
    Key::of("port", "by `tls`", "587 for `starttls`, 465 for `tls`, 25 for `none`"),
    Key::of(
        "tls",
        "`starttls`",
        "`starttls`, `tls`, or `none` for a server on this machine",
    ),
    Key::of(
        "from",
        Key::REQUIRED,
        "an address such as `healgate <healgate@example.org>`",
    ),
    Key::of("to", Key::REQUIRED, "an address or a list of them"),
    Key::of("username", "none", "a login"),
    Key::of("password", "none", "its password; better in a file"),
    Key::of("password_file", "none", "a file that holds it"),
    Key::of("ca_file", "none", "certificates in PEM to trust beside the system's"),
]);

const ENCRYPTIONS: [(&str, Encryption); 3] = [
    ("starttls", Encryption::StartTls),
    ("tls", Encryption::Tls),
    ("none", Encryption::None),
];

/// Messages to mailboxes, by an SMTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    pub host: String,
    pub port: u16,
    pub encryption: Encryption,
    pub from: Mailbox,
    /// Not empty.
    pub to: Vec<Mailbox>,
    pub login: Option<Login>,
    /// Certificates to trust beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Who sends, to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    pub username: String,
    pub password: Secret,
}

/// How the way to the server is kept private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// The connection begins in the open and must be encrypted before anything is said on it.
    StartTls,
    /// It is encrypted from the start.
    Tls,
    /// Only to a server on this machine.
    None,
}

impl Encryption {
    /// Where such servers listen. Source: RFC 8314, section 3.3, and RFC 5321.
    const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

impl Email {
    pub(super) fn read(slot: &Slot<'_>, base: &Path) -> Option<Self> {
        let fields = slot.fields(&KEYS)?;
        let host = fields.require("host").and_then(|slot| host(&slot));
        let encryption = fields.word("tls", &ENCRYPTIONS, Encryption::StartTls);
        if let (Encryption::None, Some(host), Some(slot)) = (encryption, &host, fields.get("tls"))
            && !is_here(host)
        {
            slot.error("may be none only for a server on this machine: localhost or a loopback address");
        }
        let port = fields.get("port").and_then(|slot| slot.count(1..=65_535));
        let from = fields.require("from").and_then(|slot| mailbox(&slot));
        let to = fields.require("to").and_then(|slot| mailboxes(&slot));
        let login = login(&fields, base);
        Some(Self {
            port: port
                .and_then(|port| u16::try_from(port).ok())
                .unwrap_or(encryption.port()),
            ca_file: existing_file(&fields, "ca_file", base),
            host: host?,
            encryption,
            from: from?,
            to: to?,
            login,
        })
    }
}

fn host(slot: &Slot<'_>) -> Option<String> {
    let host = slot.text()?;
    let is_name = host
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if !is_name && host.parse::<IpAddr>().is_err() {
        slot.error(&format!("must be the name or the address of a server, not {host:?}"));
        return None;
    }
    Some(host.to_owned())
}

fn is_here(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// One, or a list of them.
fn mailboxes(slot: &Slot<'_>) -> Option<Vec<Mailbox>> {
    let slots = match &slot.node.kind {
        Kind::Scalar(_) => vec![slot.clone()],
        Kind::Sequence(_) | Kind::Mapping(_) => slot.items(),
    };
    if slots.is_empty() {
        slot.error("is empty: it must name at least one mailbox");
    }
    let mailboxes: Vec<Mailbox> = slots.iter().filter_map(mailbox).collect();
    (!mailboxes.is_empty()).then_some(mailboxes)
}

fn mailbox(slot: &Slot<'_>) -> Option<Mailbox> {
    let text = slot.text()?;
    let mailbox: Option<Mailbox> = text.parse().ok().filter(|_| !text.contains(char::is_control));
    if mailbox.is_none() {
        slot.error(&format!(
            "must be an address such as ops@example.org or Ops <ops@example.org>, not {text:?}"
        ));
    }
    mailbox
}

fn login(fields: &Fields<'_>, base: &Path) -> Option<Login> {
    let Some(username) = fields.get("username") else {
        if let Some(slot) = fields.get("password").or_else(|| fields.get("password_file")) {
            slot.error("needs a `username` beside it");
        }
        return None;
    };
    let password = Secret::require(fields, "password", base);
    Some(Login {
        username: username.text()?.to_owned(),
        password: password?,
    })
}
