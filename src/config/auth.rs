//! The section `auth`: who may do what. Holds hashes of tokens, never a token.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::diagnostic::Mark;
use crate::config::fields::keys::Below;
use crate::config::fields::{Fields, Key, Keys, Slot};
use crate::config::server::Server;
use crate::config::yaml::Kind;

pub(super) const KEYS: Keys = Keys::of(&[
    Key::of("allow_anonymous", "`false`", "everyone may post webhooks and read"),
    Key::of("public_metrics", "`false`", "`/metrics` needs no token"),
    Key::of(
        "tokens",
        "none",
        "who is let in. Without any, the gateway serves this machine only",
    )
    .with(Below::List(&TOKEN_KEYS)),
    Key::of(
        "grafana",
        "none",
        "Grafana's signatures. See [Configuration](../configuration.md#grafanas-signatures)",
    )
    .with(Below::Mapping(&GRAFANA_KEYS)),
]);
const GRAFANA_KEYS: Keys = Keys::of(&[
    Key::of(
        "secret_file",
        Key::REQUIRED,
        "what Grafana signs with; read at the start",
    ),
    Key::of(
        "header",
        "either of Grafana's",
        "where the signature is: `X-Grafana-Alerting-Signature` or `X-Grafana-Alert-Signature`, unless another one is named",
    ),
    Key::of(
        "timestamp_header",
        "Grafana's",
        "where the time of signing is: `X-Grafana-Alerting-Timestamp`, if it is there; name one, and it must be",
    ),
]);
const TOKEN_KEYS: Keys = Keys::of(&[
    Key::of("name", Key::REQUIRED, "who it is, in the history of what it changes"),
    Key::of(
        "role",
        Key::REQUIRED,
        "`sender`, `viewer`, `operator` or `admin`. See [Operations](../operations.md#who-may-do-what)",
    ),
    Key::of(
        "sha256",
        Key::REQUIRED,
        "of the token; `healgate token new` prints both",
    ),
]);

/// Who is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth {
    /// Everyone may post webhooks and read.
    pub allow_anonymous: bool,
    /// `/metrics` needs no token.
    pub public_metrics: bool,
    pub tokens: Vec<Token>,
    pub grafana: Option<GrafanaSignature>,
}

/// How Grafana signs its webhooks. Header names are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrafanaSignature {
    /// Holds the secret; absolute.
    pub secret_file: PathBuf,
    /// Where the signature is; the first one that a request has counts.
    pub headers: Vec<String>,
    /// Where the time of signing is, if it was signed too.
    pub timestamp_header: String,
    /// Whether the time must have been signed: where its header was given a name.
    pub needs_time: bool,
}

/// What Grafana calls its header where nothing else is set: now, and in the first versions that signed.
/// Source: `http/hmac.go` of grafana/alerting.
const SIGNATURE_HEADERS: [&str; 2] = ["x-grafana-alerting-signature", "x-grafana-alert-signature"];

/// Grafana has no name for it of its own: this is the one of its documentation's example.
const TIMESTAMP_HEADER: &str = "x-grafana-alerting-timestamp";

/// A token that is let in, known by its hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// Named in the events of what it changes.
    pub name: String,
    pub role: Role,
    /// Of the token's text.
    pub sha256: [u8; 32],
}

/// Without the hash: what is logged need not help anybody to guess.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// What a token may do. `Sender` posts webhooks, no more. `Viewer` reads, `Operator` also acts on jobs, `Admin` also
/// reloads and posts webhooks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Sender,
    Viewer,
    Operator,
    Admin,
}

impl Role {
    /// The roles with their names in the configuration.
    pub const WORDS: [(&'static str, Self); 4] = [
        ("sender", Self::Sender),
        ("viewer", Self::Viewer),
        ("operator", Self::Operator),
        ("admin", Self::Admin),
    ];

    /// The role of that name.
    pub fn parse(word: &str) -> Option<Self> {
        Self::WORDS
            .into_iter()
            .find(|(name, _)| *name == word)
            .map(|(_, role)| role)
    }

    /// As in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Auth {
    /// `base` is where relative paths begin.
    pub(super) fn read(fields: &Fields<'_>, base: &Path) -> Self {
        let slots = fields.get("tokens").map_or_else(Vec::new, |slot| slot.items());
        let mut tokens: Vec<Token> = Vec::new();
        for slot in slots {
            if let Some(token) = read_token(&slot, &tokens) {
                tokens.push(token);
            }
        }
        Self {
            allow_anonymous: fields.flag("allow_anonymous", false),
            public_metrics: fields.flag("public_metrics", false),
            tokens,
            grafana: fields.get("grafana").and_then(|slot| read_grafana(&slot, base)),
        }
    }

    /// Others may only reach the gateway if it can tell who they are, or was told that it need not. `settings` are
    /// the fields of the whole file.
    pub(super) fn guard(&self, server: &Server, settings: &Fields<'_>) {
        let entry = |section: &str, key: &str| settings.get(section).and_then(|slot| slot.node.entry(key));
        // Tokens that could not be read have errors of their own.
        let no_tokens = entry("auth", "tokens").is_none_or(|entry| match &entry.value.kind {
            Kind::Sequence(items) => items.is_empty(),
            Kind::Scalar(_) | Kind::Mapping(_) => entry.value.is_null(),
        });
        if server.is_loopback() || !no_tokens || self.allow_anonymous {
            return;
        }
        let message = format!(
            "`server.listen` lets other machines reach {}, but `auth.tokens` is empty: make a token with `healgate \
             token new`, listen on 127.0.0.1, or set `auth.allow_anonymous: true`",
            server.listen
        );
        let at = entry("server", "listen").map_or(&Mark::START, |entry| &entry.value.at);
        settings.findings.error(at, message);
    }
}

fn read_grafana(slot: &Slot<'_>, base: &Path) -> Option<GrafanaSignature> {
    let fields = slot.fields(&GRAFANA_KEYS)?;
    let secret = fields.require("secret_file")?;
    let secret_file = base.join(secret.text()?);
    if !secret_file.is_file() {
        secret.error(&format!("names a file that does not exist: {}", secret_file.display()));
    }
    let header = fields.get("header").map(|slot| header_name(&slot));
    let timestamp_header = fields.get("timestamp_header").map(|slot| header_name(&slot));
    Some(GrafanaSignature {
        secret_file,
        headers: header.map_or_else(|| SIGNATURE_HEADERS.map(str::to_owned).to_vec(), |name| vec![name]),
        needs_time: timestamp_header.is_some(),
        timestamp_header: timestamp_header.unwrap_or_else(|| TIMESTAMP_HEADER.to_owned()),
    })
}

/// In lower case. Source of the characters: RFC 9110, 5.6.2.
fn header_name(slot: &Slot<'_>) -> String {
    let name = slot.text().unwrap_or_default();
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !name.bytes().all(is_token) || name.eq_ignore_ascii_case("authorization") {
        slot.error(&format!("must be the name of an HTTP header of its own, not {name:?}"));
    }
    name.to_ascii_lowercase()
}

fn read_token(slot: &Slot<'_>, others: &[Token]) -> Option<Token> {
    let fields = slot.fields(&TOKEN_KEYS)?;
    let name = fields.require("name");
    let role = fields.require("role").and_then(|slot| slot.word(&Role::WORDS));
    let sha256 = fields.require("sha256").and_then(|slot| read_sha256(&slot, others));
    let name = name.and_then(|slot| read_name(&slot, others));
    Some(Token {
        name: name?,
        role: role?,
        sha256: sha256?,
    })
}

/// Whether a token may have this name; the error says what is wrong with it.
pub(crate) fn check_token_name(name: &str) -> Result<(), String> {
    if matches!(name, "anonymous" | "healgate") {
        return Err(format!("must not be {name:?}, which events use for what no token did"));
    }
    if name.trim().is_empty() || name.contains(|c: char| c.is_control() || c == '"' || c == '\\') {
        return Err("must be a text without quotes, backslashes and control characters".to_owned());
    }
    Ok(())
}

fn read_name(slot: &Slot<'_>, others: &[Token]) -> Option<String> {
    let name = slot.text()?;
    if let Err(problem) = check_token_name(name) {
        slot.error(&problem);
        return None;
    }
    if others.iter().any(|other| other.name == name) {
        slot.error(&format!("must be a name of its own: there is another token {name:?}"));
        return None;
    }
    Some(name.to_owned())
}

/// Reads the characters as they stand: YAML takes some hashes for numbers.
fn read_sha256(slot: &Slot<'_>, others: &[Token]) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    let raw = slot.raw("the 64 hexadecimal digits of a SHA-256")?;
    if hex::decode_to_slice(raw.trim(), &mut hash).is_err() {
        slot.error("must be the 64 hexadecimal digits of a SHA-256; `healgate token new` prints them");
        return None;
    }
    if let Some(other) = others.iter().find(|other| other.sha256 == hash) {
        slot.error(&format!(
            "is that of the token {:?} too; each token needs its own",
            other.name
        ));
        return None;
    }
    Some(hash)
}
