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

/// No answer came.
pub(super) fn refused(cause: reqwest::Error, host: &str) -> Error {
    if find::<Private>(&cause).is_some() {
        return private(host);
    }
    let refused = find::<std::io::Error>(&cause)
        .is_some_and(|cause| cause.kind() == std::io::ErrorKind::ConnectionRefused);
    let message = if cause.is_timeout() && cause.is_connect() {
        format!("{host} could not be reached in time. Check the URL, then try again.")
    } else if cause.is_timeout() {
        return silent(cause, host);
    } else if cause.is_dns() {
        format!("There is no host named {host}. Check the URL.")
    } else if let Some(tls) = find::<rustls::Error>(&cause) {
        match tls {
            rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
                format!(
                    "{host} could not prove who it is: its certificate is not one that this server trusts."
                )
            }
            _ => format!(
                "{host} does not speak TLS as this server does. Check whether the URL should begin with http:// or name another port."
            ),
        }
    } else if refused {
        format!("{host} refused the connection. Check the URL, and whether the server there runs.")
    } else if cause.is_connect() {
        format!("{host} could not be connected to. Check the URL, then try again.")
    } else {
        format!("{host} gave no answer that could be read. Check the URL, then try again.")
    };
    because(message, cause)
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
