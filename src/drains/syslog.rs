//! A syslog connection: frames are written to it, and nothing is ever answered.
//!
//! So all that can be learned of the other side is that it has hung up. It must not know what a frame holds.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::timeout;

use crate::outbound::Failure;
use crate::transport;

pub struct Connection {
    reading: ReadHalf<transport::Connection>,
    writing: WriteHalf<transport::Connection>,
}

impl Connection {
    pub fn new(stream: transport::Connection) -> Connection {
        let (reading, writing) = tokio::io::split(stream);
        Connection { reading, writing }
    }

    /// Writes all of it `within` so long.
    pub async fn write(&mut self, framed: &[u8], within: Duration) -> Result<(), Failure> {
        let write = async {
            self.writing.write_all(framed).await?;
            self.writing.flush().await
        };
        match timeout(within, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Failure::NotConnected),
            Err(_) => Err(Failure::Silent),
        }
    }

    /// Resolves when the other side has hung up. What it says is not looked at.
    pub async fn ended(&mut self) {
        let mut said = [0; 512];
        while matches!(self.reading.read(&mut said).await, Ok(1..)) {}
    }
}
