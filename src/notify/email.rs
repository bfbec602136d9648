//! E-mail over SMTP. What must be secret is said on encrypted connections only; the settings hold that.

use std::path::Path;
use std::time::SystemTime;

use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use crate::config::{Email, Encryption};
use crate::domain::timestamp::Timestamp;
use crate::notify::letter::Letter;
use crate::notify::sender::{Taken, Unsent};
use crate::notify::smtp::{Layer, Server};
use crate::notify::template::{Markup, render};
use crate::outbound::{read_certificates, secret};
use crate::tls;

/// So many tries wait for those whom a server refuses for now; that is eight minutes, and greylisting takes five. Then
/// the others get the mail without them.
const WAITING_TRIES: u32 = 9;

/// A message with the way to its server.
pub(super) struct Mail {
    server: Server,
    message: Message,
    waits: bool,
}

impl Mail {
    /// Reads the password and the certificates. `hostname` is how this machine calls itself.
    pub(super) fn prepare(
        email: &Email,
        own: Option<&Path>,
        letter: &Letter,
        (hostname, now): (&str, Timestamp),
    ) -> Result<Self, Unsent> {
        Ok(Self {
            server: server(email, hostname)?,
            message: message(email, own, letter, (hostname, now))?,
            waits: letter.tries < WAITING_TRIES,
        })
    }

    /// Answers with what the server said.
    pub(super) async fn send(self) -> Result<Taken, Unsent> {
        let Self { server, message, waits } = self;
        server.send(message.envelope(), &message.formatted(), waits).await
    }
}

fn server(email: &Email, hostname: &str) -> Result<Server, Unsent> {
    let layer = match email.encryption {
        Encryption::StartTls => Layer::StartTls(parameters(email)?),
        Encryption::Tls => Layer::Tls(parameters(email)?),
        Encryption::None => Layer::None,
    };
    let login = email.login.as_ref().map(|login| {
        let password = secret::read(&login.password, "the password").map_err(Unsent::new)?;
        Ok(Credentials::new(login.username.clone(), password))
    });
    Ok(Server {
        host: email.host.clone(),
        port: email.port,
        layer,
        hello: client_id(hostname),
        login: login.transpose()?,
    })
}

fn parameters(email: &Email) -> Result<TlsParameters, Unsent> {
    tls::use_ring();
    let mut builder = TlsParameters::builder(email.host.clone());
    if let Some(path) = &email.ca_file {
        let pem = read_certificates(path).map_err(Unsent::new)?;
        let certificate = Certificate::from_pem(&pem)
            .map_err(|error| Unsent::new(format!("cannot use {}: {error}", path.display())))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(Unsent::new)
}

/// A name that a server may look at; otherwise lettre's own address.
fn client_id(hostname: &str) -> ClientId {
    let is_name = hostname
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if is_name && !hostname.is_empty() {
        ClientId::Domain(hostname.to_owned())
    } else {
        ClientId::default()
    }
}

/// Sent twice, it has the same Message-ID twice, so that mailboxes can tell. It says that no person wrote it, so that
/// nobody's absence answers it (RFC 3834).
fn message(
    email: &Email,
    own: Option<&Path>,
    letter: &Letter,
    (hostname, now): (&str, Timestamp),
) -> Result<Message, Unsent> {
    let header = |name, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
    let builder = Message::builder()
        .from(email.from.clone())
        .date(SystemTime::UNIX_EPOCH + now.since(Timestamp::from_micros(0)))
        .message_id(Some(format!("<{}@{hostname}>", letter.name())))
        .subject(format!("[healgate] {}", letter.title))
        .raw_header(header("Auto-Submitted", "auto-generated"))
        .raw_header(header("X-Healgate-Event", letter.event))
        .header(ContentType::TEXT_PLAIN);
    let to = |builder: lettre::message::MessageBuilder, mailbox: &Mailbox| builder.to(mailbox.clone());
    email
        .to
        .iter()
        .fold(builder, to)
        .body(render(Markup::None, own, &letter.told))
        .map_err(Unsent::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Login, Secret};

    fn email() -> Email {
        Email {
            host: "localhost".to_owned(),
            port: 25,
            encryption: Encryption::None,
            from: "healgate <healgate@example.org>".parse().unwrap(),
            to: vec![
                "Ops <ops@example.org>".parse().unwrap(),
                "ada@example.org".parse().unwrap(),
            ],
            login: None,
            ca_file: None,
        }
    }

    fn written(letter: &Letter) -> String {
        let message = message(
            &email(),
            None,
            letter,
            ("gate1", Timestamp::from_micros(1_790_000_000_000_000)),
        );
        String::from_utf8(message.unwrap().formatted()).unwrap()
    }

    #[test]
    fn a_mail_is_plain_text_with_honest_headers() {
        let letter = Letter::test("0190b6a2".to_owned(), "ops", "http://h");
        insta::assert_snapshot!(written(&letter).replace("\r\n", "\n"), @"
        From: healgate <healgate@example.org>
        Date: Mon, 21 Sep 2026 14:13:20 +0000
        Message-ID: <0190b6a2.test@gate1>
        Subject: [healgate] a test of the notifier ops
        Auto-Submitted: auto-generated
        X-Healgate-Event: test
        Content-Type: text/plain; charset=utf-8
        To: Ops <ops@example.org>, ada@example.org
        Content-Transfer-Encoding: 7bit

        a test of the notifier ops

        This is a test. If you can read it, messages of this gateway reach you.

        More: http://h/jobs
        ");
    }

    #[test]
    fn no_title_can_add_a_header() {
        for evil in [
            "x\r\nBcc: evil@example.org",
            "x\nBcc: evil@example.org",
            "x\rBcc: y",
            "ü\r\nBcc: evil@example.org",
        ] {
            let mut letter = Letter::test("1".to_owned(), "ops", "http://h");
            evil.clone_into(&mut letter.title);
            let written = written(&letter);
            let (headers, _) = written.split_once("\r\n\r\n").unwrap();
            assert!(!headers.lines().any(|line| line.starts_with("Bcc")), "{headers}");
        }
    }

    #[test]
    fn a_password_that_cannot_be_read_is_told() {
        let email = Email {
            login: Some(Login {
                username: "healgate".to_owned(),
                password: Secret::File("/no/such/password".into()),
            }),
            ..email()
        };
        let error = server(&email, "gate1").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot read the password from /no/such/password: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn certificates_that_cannot_be_used_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let email = Email {
            encryption: Encryption::Tls,
            ca_file: Some(path.clone()),
            ..email()
        };
        assert!(
            server(&email, "gate1")
                .unwrap_err()
                .to_string()
                .starts_with("cannot read ")
        );
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n").unwrap();
        assert!(server(&email, "gate1").is_err());
    }
}
