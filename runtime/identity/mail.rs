//! `Mailer`: sends links to users by a mail server of the operator's. What it needs is in a file of its own, since the password of
//! the mail server is in it.
//!
//! Knows no account and makes no link. No text of its errors has an address or a link in it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lettre::message::{Mailbox, header};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use serde::Deserialize;

/// How long a mail server may take over one answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why mail cannot be sent. The text is for the operator.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("the file {} of `auth.mail` cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: std::io::Error },
    #[error("the file {} of `auth.mail` is wrong: {fault}", path.display())]
    Wrong { path: PathBuf, fault: String },
    #[error("the address of the user is no mail address")]
    BadAddress,
    /// Without the answer of the mail server, which may repeat the address.
    #[error("the mail server did not take the mail ({0})")]
    NotTaken(&'static str),
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter<'a> {
    /// Sets the password of this user.
    Reset { name: &'a str, link: &'a str },
    /// Makes an account.
    Invitation { link: &'a str },
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MailFile {
    server: String,
    from: String,
    url: String,
    user: Option<String>,
    password: Option<String>,
}

/// See the module's text. Cheap to clone.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    url: String,
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mailer")
    }
}

impl Mailer {
    pub fn read(path: &Path) -> Result<Mailer, MailError> {
        let wrong = |fault: String| MailError::Wrong { path: path.to_owned(), fault };
        let text = std::fs::read_to_string(path)
            .map_err(|error| MailError::Unreadable { path: path.to_owned(), error })?;
        // The text of a fault would repeat the line, which may be the password's.
        let file: MailFile = toml::from_str(&text).map_err(|error| wrong(error.message().to_owned()))?;
        let from: Mailbox = file.from.parse().map_err(|_| {
            wrong("`from` must be a mail address, such as \"Tide <tide@example.org>\"".to_owned())
        })?;
        if !file.url.starts_with("http://") && !file.url.starts_with("https://") {
            return Err(wrong(
                "`url` must be the address of this server, such as \"https://tide.example\"".to_owned(),
            ));
        }
        let transport = transport(&file).map_err(wrong)?;
        Ok(Mailer { transport, from, url: file.url.trim_end_matches('/').to_owned() })
    }

    /// Where users reach the server: links begin so.
    pub fn url(&self) -> &str {
        &self.url
    }

    pub async fn send(&self, to: &str, letter: Letter<'_>) -> Result<(), MailError> {
        let to: Mailbox = to.parse().map_err(|_| MailError::BadAddress)?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject())
            .header(header::ContentType::TEXT_PLAIN)
            .body(letter.body())
            .map_err(|_| MailError::BadAddress)?;
        let sent = self.transport.send(message).await;
        sent.map(drop).map_err(|error| MailError::NotTaken(kind(&error)))
    }
}

impl Letter<'_> {
    fn subject(self) -> &'static str {
        match self {
            Letter::Reset { .. } => "Set your password",
            Letter::Invitation { .. } => "Your invitation",
        }
    }

    fn body(self) -> String {
        match self {
            Letter::Reset { name, link } => format!(
                "By this link you set the password of your account {name}. It works once, within an hour:\n\n{link}\n\n\
                 If you did not ask for it, ignore this mail: your password stays what it is.\n"
            ),
            Letter::Invitation { link } => {
                format!("By this link you make your account. It works once:\n\n{link}\n")
            }
        }
    }
}

/// `smtps://` is TLS from the first byte. `smtp://` must change to TLS before anything is said, unless the mail server is on this
/// machine.
fn transport(file: &MailFile) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    type Smtp = AsyncSmtpTransport<Tokio1Executor>;
    let (tls, rest) = match file.server.split_once("://") {
        Some(("smtps", rest)) => (true, rest),
        Some(("smtp", rest)) => (false, rest),
        Some(_) | None => {
            return Err("`server` must be smtps://HOST:PORT, or smtp://HOST:PORT for STARTTLS".to_owned());
        }
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => {
            (host, port.parse::<u16>().map_err(|_| "the port of `server` is no number".to_owned())?)
        }
        None => (rest, if tls { 465 } else { 587 }),
    };
    if host.is_empty() {
        return Err("`server` names no host".to_owned());
    }
    let here =
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    let builder = match (tls, here) {
        (true, _) => Smtp::relay(host).map_err(|error| error.to_string())?,
        (false, false) => Smtp::starttls_relay(host).map_err(|error| error.to_string())?,
        (false, true) => Smtp::builder_dangerous(host),
    };
    let builder = builder.port(port).timeout(Some(PATIENCE));
    match (&file.user, &file.password) {
        (Some(user), Some(password)) => {
            Ok(builder.credentials(Credentials::new(user.clone(), password.clone())).build())
        }
        (None, None) => Ok(builder.build()),
        _ => Err("`user` and `password` come together".to_owned()),
    }
}

/// What went wrong, without a word of the mail server.
fn kind(error: &lettre::transport::smtp::Error) -> &'static str {
    if error.is_timeout() {
        "it did not answer in time"
    } else if error.is_permanent() {
        "it refuses the mail for good"
    } else if error.is_transient() {
        "it refuses the mail for now"
    } else if error.is_tls() {
        "its certificate or TLS is no good"
    } else {
        "the connection failed"
    }
}
