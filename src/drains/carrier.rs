//! How a frame of lines gets to the end of a drain, whatever the protocol.
//!
//! It must not know what is done about a frame that is not taken.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::syslog::Connection;
use super::{Limits, Way, otlp};
use crate::log::syslog::{self, Form};
use crate::outbound::{self, Authorization, Failure, Method, Outbound, Request};

/// What came of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Taken,
    /// Whoever got it does not want it, and said so with this status. It is not sent again.
    Refused(u16),
    /// Sent again later.
    Failed(Fault),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Status(u16),
    Broken(Failure),
}

/// Takes frames where they are to go.
pub struct Carrier {
    outbound: Outbound,
    attempt: Duration,
    way: Way,
    connection: Option<Connection>,
}

impl Carrier {
    pub fn new(outbound: Outbound, limits: Limits, way: Way) -> Carrier {
        Carrier {
            outbound,
            attempt: limits.attempt,
            way,
            connection: None,
        }
    }

    /// Whether what was taken may still be lost on its way.
    pub fn is_unsure(&self) -> bool {
        matches!(self.way, Way::Syslog { .. })
    }

    /// Sends some lines as they stand in the log.
    pub async fn send(&mut self, text: &str) -> Outcome {
        match &self.way {
            Way::Syslog { url, token } => {
                let (framed, _) = syslog::frame(text, Form::Syslog { token });
                let url = url.clone();
                self.write(&url, &framed).await
            }
            Way::Logplex { url, token } => {
                let (framed, count) = syslog::frame(text, Form::Logplex);
                let headers = [
                    ("content-type", "application/logplex-1".to_owned()),
                    (
                        "user-agent",
                        concat!("Logplex/", env!("CARGO_PKG_VERSION"), " (Penstock)").to_owned(),
                    ),
                    ("logplex-msg-count", count.to_string()),
                    // The same for the same lines, so that whoever gets them twice can tell.
                    (
                        "logplex-frame-id",
                        hex::encode(&Sha256::digest(&framed)[..16]),
                    ),
                    ("logplex-drain-token", token.clone()),
                ];
                self.post(url, &headers, framed).await
            }
            Way::Otlp { exporter, app_name } => {
                let body = otlp::request(text, app_name);
                let given = exporter.headers.iter();
                let mut headers: Vec<(&str, String)> = given
                    .map(|(name, value)| (name.as_str(), value.clone()))
                    .collect();
                headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
                headers.push(("content-type", "application/json".to_owned()));
                self.post(&otlp::url(&exporter.endpoint), &headers, body)
                    .await
            }
        }
    }

    async fn post(&self, url: &str, headers: &[(&str, String)], body: Vec<u8>) -> Outcome {
        let request = Request {
            method: Method::POST,
            url,
            authorization: Authorization::OfUrl,
            headers,
            body: Some(body),
            timeout: self.attempt,
        };
        match self.outbound.tell(request).await {
            Ok(200..=299) => Outcome::Taken,
            // Too early, too slow or too often: it is taken later.
            Ok(status @ (408 | 425 | 429)) => Outcome::Failed(Fault::Status(status)),
            Ok(status @ 300..=499) => Outcome::Refused(status),
            Ok(status) => Outcome::Failed(Fault::Status(status)),
            Err(failure) => Outcome::Failed(Fault::Broken(failure)),
        }
    }

    async fn write(&mut self, url: &str, framed: &[u8]) -> Outcome {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => match self.outbound.connect(url).await {
                Ok(stream) => Connection::new(stream),
                Err(failure) => return Outcome::Failed(Fault::Broken(failure)),
            },
        };
        let written = connection.write(framed, self.attempt).await;
        // One that has taken but a part of it is asked once more what it has taken before, and cannot be used for anything else.
        if !matches!(written, Err(Failure::NotConnected)) {
            self.connection = Some(connection);
        }
        match written {
            Ok(()) => Outcome::Taken,
            Err(failure) => Outcome::Failed(Fault::Broken(failure)),
        }
    }

    /// Resolves when a connection that stands has broken, and never while there is none. Cancelling it loses nothing.
    pub async fn broken(&mut self) {
        match &mut self.connection {
            Some(connection) => connection.ended().await,
            None => std::future::pending().await,
        }
        self.hang_up();
    }

    /// How many bytes of what was taken have not got to the machine at the other end.
    pub fn unacknowledged(&self) -> usize {
        let connection = self.connection.as_ref();
        connection.map_or(usize::MAX, Connection::unacknowledged)
    }

    pub fn hang_up(&mut self) {
        self.connection = None;
    }

    /// Where it leads, without what may be secret.
    pub fn origin(&self) -> String {
        let url = match &self.way {
            Way::Syslog { url, .. } | Way::Logplex { url, .. } => url,
            Way::Otlp { exporter, .. } => &exporter.endpoint,
        };
        outbound::origin(url)
    }
}
