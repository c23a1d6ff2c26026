//! Ports of web dynos: finding a free one, and waiting until somebody listens there.
//!
//! It knows the loopback address and no dynos.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::error::{Error, ErrorId, Result};
use crate::secret;

/// Below the range that the kernel takes ports of outgoing connections from (32768 and up). In there a connection to a port
/// where nobody listens may meet itself, and a dyno may find its port in use.
const PORTS: Range<u16> = 20_000..32_000;

const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(100);

/// A port that nobody listens on and that is none of `taken`. It is looked for from a random place, so that a port is not used
/// again right away by another app, and several servers on one machine seldom want the same.
pub fn free(taken: &HashSet<u16>) -> Result<u16> {
    let count = PORTS.end - PORTS.start;
    let offset = u16::from_le_bytes(secret::random()?) % count;
    (0..count)
        .map(|step| PORTS.start + (offset + step) % count)
        .find(|port| {
            !taken.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
        })
        .ok_or_else(|| {
            Error::new(
                ErrorId::Unavailable,
                "All ports for web dynos are in use. Scale some apps down.",
            )
        })
}

/// Resolves once the port takes a connection. `found` is told what came of each look before that.
pub async fn listening(port: u16, found: impl Fn(String)) {
    let mut wait = FIRST_WAIT;
    while let Err(cause) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
        found(match cause.kind() {
            ErrorKind::ConnectionRefused => format!("nobody listens on port {port}"),
            _ => format!("port {port} cannot be connected to: {cause}"),
        });
        sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
