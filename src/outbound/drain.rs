//! The URLs that log and telemetry drains may have. It must not know what is sent there.

use reqwest::Url;

use super::Outbound;
use crate::error::{Error, Result};

impl Outbound {
    /// Whether a log may be sent to this URL, as far as its text tells: syslog, syslog+tls, http or https, with a host, and no
    /// address that may not be reached. 422 otherwise; the message does not hold the URL, which may have credentials in it.
    pub fn check_drain(&self, url: &str) -> Result<()> {
        if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(Error::invalid(
                "The URL of the drain has a space or a control character in it. Write it percent-encoded.",
            ));
        }
        let unreadable = || {
            Error::invalid(
                "The URL of the drain cannot be read. Give a whole one, such as syslog+tls://logs.example.com:6514.",
            )
        };
        let parsed = Url::parse(url).map_err(|_| unreadable())?;
        let rest = url.get(parsed.scheme().len()..).unwrap_or_default();
        if !rest.starts_with("://") {
            return Err(unreadable());
        }
        match parsed.scheme() {
            "http" | "https" => drop(self.check_end(url)?),
            "syslog" | "syslog+tls" => {
                if !parsed.username().is_empty() || parsed.password().is_some() {
                    return Err(Error::invalid(
                        "Syslog has no credentials: leave the user and the password out of the URL, or use https.",
                    ));
                }
                // Only an http URL's host is read as a host: its names are checked, and odd spellings of an address are undone.
                self.check_end(&format!("http{rest}"))?;
            }
            scheme => {
                return Err(Error::invalid(format!(
                    "The scheme of the drain's URL is {scheme}. Logs are sent to syslog, syslog+tls, http and https."
                )));
            }
        }
        match parsed.port() {
            Some(0) => Err(unreadable()),
            _ => Ok(()),
        }
    }
}
