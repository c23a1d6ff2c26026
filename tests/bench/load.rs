//! The load: keep-alive connections on a thread of their own, each with one request under way at a time.
//!
//! It reads as little of an answer as it can: the status, the length, and where the body ends. What of a body does not fit in with that is
//! thrown away unread: visitors of megabytes are elsewhere, and to copy what they get would take the core from the app behind the router.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

use crate::Result;

/// Read, or thrown away, at once, in bytes.
const BUFFER: usize = 256 * 1024;

/// Appends the bytes of a request.
pub type WriteRequest = Arc<dyn Fn(usize, usize, &mut Vec<u8>) + Send + Sync>;

/// What is asked, of whom, and for how long.
#[derive(Clone)]
pub struct Load {
    pub address: SocketAddr,
    pub connections: usize,
    pub time: Duration,
    /// The load has a core to itself, and does not let it rest: to wake it would cost the server more than the answer does.
    pub alone: bool,
    /// Writes the n-th request of a connection: `(connection, n, request)`.
    pub request: WriteRequest,
}

/// What came of it.
#[derive(Default)]
pub struct Outcome {
    pub answered: usize,
    /// Answers with another status than 2xx.
    pub refused: usize,
    pub seconds: f64,
    /// Of each answer, in seconds, ascending.
    pub latencies: Vec<f32>,
}

impl Outcome {
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.seconds
    }

    /// The latency that this part of the answers did not exceed, in milliseconds.
    pub fn quantile(&self, part: f64) -> f64 {
        let at = (self.latencies.len() as f64 * part) as usize;
        self.latencies
            .get(at.min(self.latencies.len().saturating_sub(1)))
            .map_or(0.0, |seconds| f64::from(*seconds) * 1e3)
    }
}

impl Load {
    pub fn run(&self) -> Result<Outcome> {
        let load = self.clone();
        std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(load.drive())
        })
        .join()
        .map_err(|_| "the load panicked")?
    }

    async fn drive(self) -> Result<Outcome> {
        if self.alone {
            tokio::spawn(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
        }
        let ready = Arc::new(Barrier::new(self.connections));
        let tasks: Vec<_> = (0..self.connections)
            .map(|number| tokio::spawn(self.clone().converse(number, ready.clone())))
            .collect();
        let mut all = Outcome::default();
        for task in tasks {
            let one = task.await??;
            all.answered += one.answered;
            all.refused += one.refused;
            all.seconds = all.seconds.max(one.seconds);
            all.latencies.extend(one.latencies);
        }
        all.latencies.sort_unstable_by(f32::total_cmp);
        Ok(all)
    }

    async fn converse(self, number: usize, ready: Arc<Barrier>) -> Result<Outcome> {
        let mut connection = Connection::open(self.address).await?;
        let mut request = Vec::new();
        let mut outcome = Outcome::default();
        ready.wait().await;
        let begun = Instant::now();
        let mut last = Duration::ZERO;
        while last < self.time {
            request.clear();
            (self.request)(number, outcome.answered, &mut request);
            let status = connection.ask(&request).await?;
            let now = begun.elapsed();
            outcome.latencies.push((now - last).as_secs_f32());
            outcome.answered += 1;
            outcome.refused += usize::from(!(200..300).contains(&status));
            last = now;
        }
        outcome.seconds = last.as_secs_f64();
        Ok(outcome)
    }
}

struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Connection> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Connection {
            socket,
            buffer: vec![0; BUFFER],
        })
    }

    /// Sends a request, reads its answer to the end, and returns the status.
    async fn ask(&mut self, request: &[u8]) -> Result<u16> {
        self.socket.write_all(request).await?;
        let mut filled = 0;
        let (head, status, length) = loop {
            let read = self.socket.read(&mut self.buffer[filled..]).await?;
            if read == 0 {
                return Err("a server closed its connection".into());
            }
            filled += read;
            if let Some(head) = head(&self.buffer[..filled])? {
                break head;
            }
        };
        let mut rest = (head + length).saturating_sub(filled);
        while rest > 0 {
            let read = self.waste(rest.min(BUFFER)).await?;
            if read == 0 {
                return Err("a server closed its connection within an answer".into());
            }
            rest -= read;
        }
        Ok(status)
    }

    /// Throws away at most so many bytes, and returns how many there were. With this flag, TCP on Linux writes nothing to the buffer
    /// (tcp(7)).
    async fn waste(&mut self, most: usize) -> Result<usize> {
        let (socket, room) = (&self.socket, &mut self.buffer[..most]);
        let read = socket.async_io(Interest::READABLE, || {
            let (_, read) = recv(socket, &mut *room, RecvFlags::TRUNC)?;
            Ok(read)
        });
        Ok(read.await?)
    }
}

/// The length of the head, the status and the length of the body, once the head is there.
fn head(bytes: &[u8]) -> Result<Option<(usize, u16, usize)>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end])?;
    let status = text.get(9..12).ok_or("no status")?.parse()?;
    const LENGTH: &str = "content-length:";
    let length = text
        .split("\r\n")
        .find_map(|line| {
            let (name, value) = line.split_at_checked(LENGTH.len())?;
            name.eq_ignore_ascii_case(LENGTH).then_some(value)
        })
        .ok_or("an answer has no length")?
        .trim()
        .parse()?;
    Ok(Some((end + 4, status, length)))
}
