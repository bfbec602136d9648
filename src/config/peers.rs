//! The sections `alertmanagers` and `prometheus`: whom the gateway asks, and how. Holds paths of secrets, never a secret.

use std::path::{Path, PathBuf};

use reqwest::Url;

use crate::config::fields::keys::Below;
use crate::config::fields::{Fields, Key, Keys, Slot};
use crate::domain::span::Span;

pub(super) const KEYS: Keys = Keys {
    known: &[
        Key::of(
            "url",
            Key::REQUIRED,
            "as in a browser, with a path if there is one, without `/api`",
        ),
        Key::of(
            "name",
            "host and port of `url`",
            "in the history of jobs and in the log",
        ),
        Key::of(
            "basic_auth",
            "none",
            "a user and a password; not beside `authorization`",
        )
        .with(Below::Mapping(&BASIC_AUTH)),
        Key::of("authorization", "none", "a bearer token").with(Below::Mapping(&AUTHORIZATION)),
        Key::of("tls_config", "the system's certificates", "whom to trust").with(Below::Mapping(&TLS_CONFIG)),
        Key::of(
            "timeout",
            "`3s`",
            "for one request with its answer, at most 30 s: a job waits for it in its slot",
        ),
    ],
    elsewhere: &[("bearer_token_file", "`authorization`, as `credentials_file`")],
};
const BASIC_AUTH: Keys = Keys {
    known: &[
        Key::of("username", Key::REQUIRED, "the user"),
        Key::of(
            "password_file",
            Key::REQUIRED,
            "a file that holds the password, read for each request",
        ),
    ],
    elsewhere: &[("password", "a file that `password_file` names")],
};
const AUTHORIZATION: Keys = Keys {
    known: &[Key::of(
        "credentials_file",
        Key::REQUIRED,
        "a file that holds the token, read for each request",
    )],
    elsewhere: &[("credentials", "a file that `credentials_file` names")],
};
const TLS_CONFIG: Keys = Keys::of(&[Key::of(
    "ca_file",
    "none",
    "certificates in PEM to trust beside the system's",
)]);

/// Short: a job that may start waits for the answer in its slot.
const DEFAULT_TIMEOUT: Span = Span::from_secs(3);
const LONGEST_TIMEOUT: Span = Span::from_secs(30);

/// An Alertmanager or a Prometheus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// In the history of jobs and in the log.
    pub name: String,
    /// Its API is below this; the path ends with a slash.
    pub url: Url,
    pub credentials: Option<Credentials>,
    /// PEM, in addition to what the system trusts. Absolute.
    pub ca_file: Option<PathBuf>,
    /// For one request with its answer.
    pub timeout: Span,
}

/// How the gateway shows who it is. Files are absolute, and read for every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    Basic { username: String, password_file: PathBuf },
    Bearer { file: PathBuf },
}

/// A list of them, each with a name of its own.
pub(super) fn read_all(slot: &Slot<'_>, base: &Path) -> Vec<Peer> {
    let mut peers: Vec<Peer> = Vec::new();
    for item in slot.items() {
        let Some(peer) = read(&item, base) else { continue };
        if peers.iter().any(|other| other.name == peer.name) {
            item.error(&format!(
                "is called {:?}, as another one is; give it a `name`",
                peer.name
            ));
        }
        peers.push(peer);
    }
    peers
}

/// One of them; nothing after an error.
pub(super) fn read(slot: &Slot<'_>, base: &Path) -> Option<Peer> {
    let fields = slot.fields(&KEYS)?;
    let url = fields.require("url").and_then(|slot| url(&slot));
    let name = fields.text("name");
    let credentials = credentials(&fields, base);
    let tls = fields.get("tls_config").and_then(|slot| slot.fields(&TLS_CONFIG));
    let ca_file = tls
        .and_then(|tls| tls.get("ca_file"))
        .and_then(|slot| file(&slot, base));
    let timeout = fields.get("timeout").and_then(|slot| timeout(&slot));
    let url = url?;
    Some(Peer {
        name: name.unwrap_or_else(|| authority(&url)),
        url,
        credentials,
        ca_file,
        timeout: timeout.unwrap_or(DEFAULT_TIMEOUT),
    })
}

fn url(slot: &Slot<'_>) -> Option<Url> {
    let raw = slot.text()?;
    let url = Url::parse(raw)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(mut url) = url else {
        slot.error(&format!(
            "must be a URL such as http://monitoring.example.org:9093, not {raw:?}"
        ));
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        slot.error("must not have credentials in it; write `basic_auth`");
        return None;
    }
    if url.query().is_some() || url.fragment().is_some() {
        slot.error("must end with its path: no ? and no #");
        return None;
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Some(url)
}

/// Host and port, as people name it.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn credentials(fields: &Fields<'_>, base: &Path) -> Option<Credentials> {
    let basic = fields.get("basic_auth");
    let bearer = fields.get("authorization");
    if let (Some(_), Some(slot)) = (&basic, &bearer) {
        slot.error("stands beside `basic_auth`; only one of them can be in force");
    }
    let bearer = bearer.and_then(|slot| slot.fields(&AUTHORIZATION));
    let bearer = bearer.map(|fields| fields.require("credentials_file").and_then(|slot| file(&slot, base)));
    let basic = basic.and_then(|slot| slot.fields(&BASIC_AUTH)).map(|fields| {
        let username = fields
            .require("username")
            .and_then(|slot| slot.text().map(str::to_owned));
        (
            username,
            fields.require("password_file").and_then(|slot| file(&slot, base)),
        )
    });
    match (bearer, basic) {
        (Some(file), _) => Some(Credentials::Bearer { file: file? }),
        (None, Some((username, password_file))) => Some(Credentials::Basic {
            username: username?,
            password_file: password_file?,
        }),
        (None, None) => None,
    }
}

fn file(slot: &Slot<'_>, base: &Path) -> Option<PathBuf> {
    let path = base.join(slot.text()?);
    if !path.is_file() {
        slot.error(&format!("names a file that does not exist: {}", path.display()));
    }
    Some(path)
}

fn timeout(slot: &Slot<'_>) -> Option<Span> {
    let timeout = slot.positive_span()?;
    if timeout > LONGEST_TIMEOUT {
        slot.error(&format!(
            "must be at most {LONGEST_TIMEOUT}: a job waits for the answer in its slot"
        ));
        return None;
    }
    Some(timeout)
}
