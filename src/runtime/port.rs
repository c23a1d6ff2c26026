//! Ports of web dynos: finding a free one.
//!
//! It knows the loopback address and no dynos.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use crate::error::{Error, ErrorId, Result};
use crate::secret;

/// Below the range that the kernel takes ports of outgoing connections from (32768 and up). In there a connection to a port
/// where nobody listens may meet itself, and a dyno may find its port in use.
const PORTS: Range<u16> = 20_000..32_000;

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
