//! One mail over one connection to one server, told recipient by recipient. Writes no mail, and reads no settings.
//!
//! Source: RFC 5321; what it calls 4.5.3.2 are the limits of time.

use std::fmt;
use std::time::Duration;

use lettre::Address;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;

use crate::notify::sender::{Taken, Unsent, within};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// For all that comes before the mail itself. What is cut off here was not delivered.
const BEFORE: Duration = Duration::from_secs(2 * 60);

/// For the answer to the mail's end: a server may look through it first, and delivers it also if nobody waits for that.
/// The ten minutes of 4.5.3.2.6, and a little more.
const DELIVERY: Duration = Duration::from_secs(11 * 60);

/// For the leave-taking, whose answer means nothing.
const BYE: Duration = Duration::from_secs(1);

/// The server, and how it is spoken to.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) layer: Layer,
    pub(super) hello: ClientId,
    pub(super) login: Option<Credentials>,
}

/// What is around the conversation.
pub(super) enum Layer {
    None,
    StartTls(TlsParameters),
    Tls(TlsParameters),
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

/// A recipient whom the server does not take.
struct Refused {
    to: Address,
    why: Error,
}

impl Server {
    /// Sends one mail. Those whom the server refuses for good are left out as long as anybody is left. For those whom it
    /// refuses for now, nobody gets it yet where `waits`: whoever has got it would get it again.
    pub(super) async fn send(self, envelope: &Envelope, mail: &[u8], waits: bool) -> Result<Taken, Unsent> {
        let opening = async {
            let mut connection = self.connect().await.map_err(Unsent::new)?;
            match address(&mut connection, envelope, mail.is_ascii(), waits).await {
                Ok(refused) => Ok((connection, refused)),
                Err(unsent) => {
                    leave(connection).await;
                    Err(unsent)
                }
            }
        };
        let (mut connection, refused) = within(BEFORE, opening).await?;
        let delivering = async { connection.message(mail).await.map_err(Unsent::new) };
        let answer = within(DELIVERY, delivering).await;
        leave(connection).await;
        Ok(Taken {
            left_out: (!refused.is_empty()).then(|| told(&refused)),
            ..Taken::by_all(&said(&answer?))
        })
    }

    async fn connect(self) -> Result<AsyncSmtpConnection, Error> {
        let Self {
            host,
            port,
            layer,
            hello,
            login,
        } = self;
        let (implicit, upgrade) = match layer {
            Layer::None => (None, None),
            Layer::StartTls(parameters) => (None, Some(parameters)),
            Layer::Tls(parameters) => (Some(parameters), None),
        };
        let server = (host.as_str(), port);
        let connecting = AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT_TIMEOUT), &hello, implicit, None);
        let mut connection = connecting.await?;
        if let Some(parameters) = upgrade {
            connection.starttls(parameters, &hello).await?;
        }
        if let Some(login) = login {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], &login).await?;
        }
        Ok(connection)
    }
}

/// Says from whom and to whom. Answers with those whom the server refuses.
async fn address(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    is_ascii: bool,
    waits: bool,
) -> Result<Vec<Refused>, Unsent> {
    let parameters = parameters(connection, envelope, is_ascii)?;
    let from = Mail::new(envelope.from().cloned(), parameters);
    connection.command(from).await.map_err(Unsent::new)?;
    let mut refused = Vec::new();
    for to in envelope.to() {
        match connection.command(Rcpt::new(to.clone(), Vec::new())).await {
            Ok(_) => {}
            Err(why) if why.is_permanent() || why.is_transient() => refused.push(Refused { to: to.clone(), why }),
            Err(error) => return Err(Unsent::new(error)),
        }
    }
    let nobody = refused.len() == envelope.to().len();
    let for_now = waits && refused.iter().any(|refused| refused.why.is_transient());
    if nobody || for_now {
        return Err(Unsent::new(format!("not taken for {}", told(&refused))));
    }
    connection.command(Data).await.map_err(Unsent::new)?;
    Ok(refused)
}

/// What a server must know of addresses and texts that are not ASCII (RFC 6531, RFC 6152).
fn parameters(
    connection: &AsyncSmtpConnection,
    envelope: &Envelope,
    is_ascii: bool,
) -> Result<Vec<MailParameter>, Unsent> {
    let mut addresses = envelope.from().into_iter().chain(envelope.to());
    let is_plain = addresses.all(|address| AsRef::<str>::as_ref(address).is_ascii());
    let needed = [
        (!is_plain, Extension::SmtpUtfEight, MailParameter::SmtpUtfEight),
        (
            !is_ascii,
            Extension::EightBitMime,
            MailParameter::Body(MailBodyParameter::EightBitMime),
        ),
    ];
    let mut parameters = Vec::new();
    for (_, extension, parameter) in needed.into_iter().filter(|(is_needed, ..)| *is_needed) {
        if !connection.server_info().supports_feature(extension) {
            return Err(Unsent::new(format!(
                "the server does not support {extension}, which this mail needs"
            )));
        }
        parameters.push(parameter);
    }
    Ok(parameters)
}

async fn leave(mut connection: AsyncSmtpConnection) {
    let _ = tokio::time::timeout(BYE, connection.quit()).await;
}

fn told(refused: &[Refused]) -> String {
    let each = refused.iter().map(|Refused { to, why }| format!("{to} ({why})"));
    each.collect::<Vec<_>>().join(", ")
}

fn said(response: &Response) -> String {
    let said: Vec<&str> = response.message().collect();
    format!("answered {}: {}", response.code(), said.join(" "))
}
