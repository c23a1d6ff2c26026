//! A syslog connection: frames are written to it, and nothing is ever answered.
//!
//! So all that can be learned of the other side is how much of what was written its machine has acknowledged, and that it has hung
//! up. It must not know what a frame holds.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::outbound::Failure;
use crate::transport;

pub struct Connection {
    stream: transport::Connection,
}

impl Connection {
    pub fn new(stream: transport::Connection) -> Connection {
        Connection { stream }
    }

    /// Writes all of it `within` so long.
    pub async fn write(&mut self, framed: &[u8], within: Duration) -> Result<(), Failure> {
        let write = async {
            self.stream.write_all(framed).await?;
            self.stream.flush().await
        };
        match timeout(within, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Failure::NotConnected),
            Err(_) => Err(Failure::Silent),
        }
    }

    /// Bytes that were written and may never get to the other machine.
    pub fn unacknowledged(&self) -> usize {
        // A connection can always be asked. If one could not, nothing on it would be known to have come.
        self.stream.unacknowledged().unwrap_or(usize::MAX)
    }

    /// Resolves when the other side has hung up. What it says is not looked at.
    pub async fn ended(&mut self) {
        let mut said = [0; 512];
        while matches!(self.stream.read(&mut said).await, Ok(1..)) {}
    }
}
