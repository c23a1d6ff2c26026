//! What a request's failure is called to whoever asked for it.
//!
//! The client library's own words may hold the URL, and so a password; they are looked at here and go no further than the
//! server's log, without the URL.

use std::error::Error as StdError;
use std::fmt;

use crate::error::{Error, ErrorId};

/// A name led only to addresses that may not be reached.
#[derive(Debug)]
pub(super) struct Private;

impl fmt::Display for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a private address")
    }
}

impl StdError for Private {}

pub(super) fn private(host: &str) -> Error {
    Error::invalid(format!(
        "{host} is at a private address, and this server fetches from public ones only. Upload the source instead, or have the \
         operator allow private addresses."
    ))
}

/// The same, for what is to be sent there.
pub(super) fn private_end(host: &str) -> Error {
    Error::invalid(format!(
        "{host} is at a private address, and this server sends to public ones only. Give a public one, or have the operator allow \
         private addresses: penstock serve --allow-private-fetch"
    ))
}

/// Why no answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The host has only addresses that may not be reached.
    Private,
    NoSuchHost,
    /// No connection within the time for it.
    Unreachable,
    Refused,
    /// The other side's certificate is not trusted.
    Untrusted,
    /// The other side speaks no TLS, or another one.
    NoTls,
    NotConnected,
    /// Connected, and silent.
    Silent,
    /// Connected, and no answer that could be read.
    Unreadable,
}

impl Failure {
    pub(super) fn of(cause: &reqwest::Error) -> Failure {
        let refused = find::<std::io::Error>(cause)
            .is_some_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionRefused);
        if find::<Private>(cause).is_some() {
            Failure::Private
        } else if cause.is_timeout() && cause.is_connect() {
            Failure::Unreachable
        } else if cause.is_timeout() {
            Failure::Silent
        } else if cause.is_dns() {
            Failure::NoSuchHost
        } else if let Some(tls) = find::<rustls::Error>(cause) {
            Failure::of_tls(tls)
        } else if refused {
            Failure::Refused
        } else if cause.is_connect() {
            Failure::NotConnected
        } else {
            Failure::Unreadable
        }
    }

    pub(super) fn of_tls(cause: &rustls::Error) -> Failure {
        match cause {
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                Failure::Untrusted
            }
            _ => Failure::NoTls,
        }
    }

    /// A word for it, for who looks at a table of failures.
    pub fn class(self) -> &'static str {
        match self {
            Failure::Private => "PrivateAddress",
            Failure::NoSuchHost => "HostNotFound",
            Failure::Unreachable => "ConnectTimeout",
            Failure::Refused => "ConnectionRefused",
            Failure::Untrusted => "CertificateNotTrusted",
            Failure::NoTls => "TLSError",
            Failure::NotConnected => "ConnectionFailed",
            Failure::Silent => "Timeout",
            Failure::Unreadable => "ConnectionBroken",
        }
    }
}

/// No answer came.
pub(super) fn refused(cause: reqwest::Error, host: &str) -> Error {
    let message = match Failure::of(&cause) {
        Failure::Private => return private(host),
        Failure::Silent => return silent(cause, host),
        Failure::Unreachable => {
            format!("{host} could not be reached in time. Check the URL, then try again.")
        }
        Failure::NoSuchHost => format!("There is no host named {host}. Check the URL."),
        Failure::Untrusted => format!(
            "{host} could not prove who it is: its certificate is not one that this server trusts."
        ),
        Failure::NoTls => format!(
            "{host} does not speak TLS as this server does. Check whether the URL should begin with http:// or name another port."
        ),
        Failure::Refused => format!(
            "{host} refused the connection. Check the URL, and whether the server there runs."
        ),
        Failure::NotConnected => {
            format!("{host} could not be connected to. Check the URL, then try again.")
        }
        Failure::Unreadable => {
            format!("{host} gave no answer that could be read. Check the URL, then try again.")
        }
    };
    because(message, cause)
}

/// The same, where something was to be sent.
pub(super) fn unsent(cause: reqwest::Error, host: &str) -> Error {
    match Failure::of(&cause) {
        Failure::Private => private_end(host),
        _ => refused(cause, host),
    }
}

/// An answer came, and was no success.
pub(super) fn status(status: u16, host: &str) -> Error {
    let remedy = match status {
        401 | 403 => {
            "Check that the URL carries the right to read it, and that it has not expired."
        }
        404 | 410 => "Check the URL.",
        429 | 500..=599 => "Try again later.",
        _ => "Check that the URL leads to the file itself.",
    };
    Error::invalid(format!("{host} answered with status {status}. {remedy}"))
}

/// The answer's body broke off.
pub(super) fn broken_off(cause: reqwest::Error, host: &str) -> Error {
    if cause.is_timeout() {
        return silent(cause, host);
    }
    let message = format!("{host} broke off in the middle of the file. Try again.");
    because(message, cause)
}

fn silent(cause: reqwest::Error, host: &str) -> Error {
    let message = format!(
        "{host} sent nothing for {} seconds. Try again later.",
        super::IDLE_TIMEOUT.as_secs()
    );
    because(message, cause)
}

fn because(message: String, cause: reqwest::Error) -> Error {
    Error {
        cause: Some(chain(&cause.without_url()).into()),
        ..Error::new(ErrorId::InvalidParams, message)
    }
}

/// An error with all its causes, for the server's log: the outermost says no more than that a request failed.
fn chain(error: &dyn StdError) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", chain(cause)),
        None => error.to_string(),
    }
}

/// A cause of this type, however deep. An `io::Error` hides what it wraps from `source`, so it is opened.
fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    if let Some(found) = error.downcast_ref::<T>() {
        return Some(found);
    }
    if let Some(inner) = error
        .downcast_ref::<std::io::Error>()
        .and_then(|io| io.get_ref())
        && let Some(found) = find::<T>(inner)
    {
        return Some(found);
    }
    error.source().and_then(find::<T>)
}
