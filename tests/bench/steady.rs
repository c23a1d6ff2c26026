//! Visitors at a steady rate, while something goes on behind the router: whether any of them notices.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Result;

/// A request that is not answered by then has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked, how often a second, and over how many connections that are kept alive.
#[derive(Clone)]
pub struct Visitors {
    pub address: SocketAddr,
    pub host: &'static str,
    pub rate: usize,
    pub connections: usize,
}

/// What they met.
#[derive(Default)]
pub struct Tally {
    pub answered: usize,
    /// Why requests failed.
    pub failed: Vec<String>,
    latencies: Vec<f32>,
    pub seconds: f64,
}

/// Visitors under way.
pub struct Visiting {
    over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Tally>>,
}

impl Visitors {
    pub fn start(self) -> Visiting {
        let over = Arc::new(AtomicBool::new(false));
        let until = over.clone();
        let thread = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?
                .block_on(self.visit(until))
        });
        Visiting { over, thread }
    }

    async fn visit(self, over: Arc<AtomicBool>) -> Result<Tally> {
        let begun = Instant::now();
        let tasks: Vec<_> = (0..self.connections)
            .map(|number| tokio::spawn(self.clone().one(number, over.clone())))
            .collect();
        let mut all = Tally::default();
        for task in tasks {
            let one = task.await?;
            all.answered += one.answered;
            all.failed.extend(one.failed);
            all.latencies.extend(one.latencies);
        }
        all.seconds = begun.elapsed().as_secs_f64();
        all.latencies.sort_unstable_by(f32::total_cmp);
        Ok(all)
    }

    /// One connection's part, spread evenly over each second.
    async fn one(self, number: usize, over: Arc<AtomicBool>) -> Tally {
        let pause = Duration::from_secs_f64(self.connections as f64 / self.rate as f64);
        let first = pause.mul_f64(number as f64 / self.connections as f64);
        let mut due = tokio::time::Instant::now() + first;
        let mut tally = Tally::default();
        let mut kept = None;
        while !over.load(Ordering::Relaxed) {
            tokio::time::sleep_until(due).await;
            // Who is late goes on from there: the rate is what is wanted, not a crowd.
            due = (due + pause).max(tokio::time::Instant::now());
            let begun = Instant::now();
            let asked = tokio::time::timeout(PATIENCE, self.ask(&mut kept)).await;
            match asked.unwrap_or_else(|_| Err("no answer in time".into())) {
                Ok(()) => {
                    tally.answered += 1;
                    tally.latencies.push(begun.elapsed().as_secs_f32());
                }
                Err(error) => {
                    kept = None;
                    tally.failed.push(error.to_string());
                }
            }
        }
        tally
    }

    async fn ask(&self, kept: &mut Option<TcpStream>) -> Result<()> {
        // One that was closed while nothing was asked is no loss, and anybody looks before asking. One that is closed afterwards is:
        // no client knows whether such a request was read, and few send it again.
        let socket = match kept.take().filter(is_open) {
            Some(socket) => socket,
            None => {
                let socket = TcpStream::connect(self.address).await?;
                socket.set_nodelay(true)?;
                socket
            }
        };
        *kept = self.ask_on(socket).await?;
        Ok(())
    }

    /// The connection, if it is good for more.
    async fn ask_on(&self, mut socket: TcpStream) -> Result<Option<TcpStream>> {
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", self.host);
        socket.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::with_capacity(1024);
        let head = loop {
            match socket.read_buf(&mut bytes).await {
                Ok(0) if bytes.is_empty() => return Err("closed without an answer".into()),
                Ok(0) => return Err("an answer broke off".into()),
                Err(error) => return Err(error.into()),
                Ok(_) => {}
            }
            if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        if !text.starts_with("http/1.1 200 ") {
            return Err(text.lines().next().unwrap_or_default().into());
        }
        let length = text.split("\r\ncontent-length: ").nth(1);
        let length = length.and_then(|rest| rest.split('\r').next());
        let length: usize = length.ok_or("no length")?.parse()?;
        while bytes.len() < head + length {
            if socket.read_buf(&mut bytes).await? == 0 {
                return Err("an answer broke off".into());
            }
        }
        let closes = text.contains("\r\nconnection: close\r\n");
        Ok((!closes).then_some(socket))
    }
}

fn is_open(socket: &TcpStream) -> bool {
    let nothing = socket.try_read(&mut [0]);
    nothing.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

impl Visiting {
    pub fn end(self) -> Result<Tally> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the visitors panicked")?
    }
}

impl Tally {
    pub fn print(&self) {
        let quantile = |part: f64| {
            let at = (self.latencies.len() as f64 * part) as usize;
            let at = at.min(self.latencies.len().saturating_sub(1));
            self.latencies
                .get(at)
                .map_or(0.0, |seconds| f64::from(*seconds) * 1e3)
        };
        println!(
            "  {} answers, {:.0}/s   p50 {:.2} ms   p99 {:.2} ms   longest {:.0} ms",
            self.answered,
            self.answered as f64 / self.seconds,
            quantile(0.5),
            quantile(0.99),
            quantile(1.0)
        );
        let verdict = if self.failed.is_empty() {
            "met"
        } else {
            "MISSED"
        };
        println!("  {} failed   aim 0: {verdict}", self.failed.len());
        for failed in self.failed.iter().take(5) {
            println!("    {failed}");
        }
    }
}
