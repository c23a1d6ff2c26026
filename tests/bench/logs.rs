//! A dyno that prints as fast as it can, with three sessions that tail its log: how many lines each of them gets a second, and
//! whether what it does not get is told.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Result;
use crate::server::{Server, deploy};

const LINES: u64 = 4_000_000;
const TAILS: usize = 3;
/// Lines a second.
const AIM: f64 = 500_000.0;
/// A line of this length is what an app prints on average.
const BYTES: usize = 100;

pub fn run() -> Result<()> {
    println!("logs: {LINES} lines of {BYTES} bytes through one dyno, {TAILS} sessions tail");
    let server = Server::start()?;
    let mut client = server.client()?;
    server.apps(1)?;
    let line = "x".repeat(BYTES - 1);
    let command = format!("yes {line} | head -n {LINES}; echo over; exec sleep 600");
    deploy(&mut client, "bench-0", &json!({ "worker": command }))?;
    let tails: Vec<_> = (0..TAILS)
        .map(|_| {
            let body = json!({"lines": 0, "tail": true, "dyno": "worker"});
            let session = client.post("/apps/bench-0/log-sessions", &body)?;
            let url = session["logplex_url"].as_str().ok_or("no URL")?;
            let path = url.find("/streams").and_then(|at| url.get(at..));
            let (api, path) = (server.api, path.ok_or("no path")?.to_owned());
            Ok(std::thread::spawn(move || tail(api, &path)))
        })
        .collect::<Result<_>>()?;
    let cpu = server.process.cpu()?;
    client.patch("/apps/bench-0/formation/worker", &json!({"quantity": 1}))?;
    for tail in tails {
        let seen = tail.join().map_err(|_| "a session panicked")??;
        let rate = seen.lines as f64 / seen.took.as_secs_f64();
        let verdict = if rate >= AIM { "reached" } else { "missed" };
        println!(
            "  {rate:>9.0} lines/s (aim {AIM:.0}: {verdict}), {} lines, {} told as lost, {} unaccounted for",
            seen.lines,
            seen.lost,
            i128::from(LINES) - i128::from(seen.lines) - i128::from(seen.lost),
        );
    }
    let cpu = server.process.cpu()? - cpu;
    println!(
        "  {:.2} us of the server's CPU a line, {:.0} MB resident",
        cpu * 1e6 / LINES as f64,
        server.process.resident()?
    );
    Ok(())
}

/// What one session saw, from the first line that the app printed to its last.
struct Seen {
    lines: u64,
    /// By the platform's own count.
    lost: u64,
    took: Duration,
}

fn tail(api: SocketAddr, path: &str) -> Result<Seen> {
    let mut stream = TcpStream::connect(api)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n")?;
    let mut reader = BufReader::with_capacity(1 << 20, stream);
    let (mut lines, mut lost, mut begun) = (0, 0, None);
    let mut line = Vec::new();
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Err("a session ended early".into());
        }
        // Behind the timestamp. The heads of chunks are short, and never cut a line's beginning off, since batches are whole.
        let Some(said) = line.get(33..) else {
            continue;
        };
        if said.starts_with(b"app[worker.1]: x") {
            lines += 1;
            begun.get_or_insert_with(Instant::now);
        } else if said.starts_with(b"app[worker.1]: over") {
            let begun = begun.ok_or("nothing was printed")?;
            return Ok(Seen {
                lines,
                lost,
                took: begun.elapsed(),
            });
        } else if said.starts_with(b"heroku[logplex]: Error L1") {
            let said = String::from_utf8_lossy(said);
            let words: Vec<&str> = said.split(' ').collect();
            let at = words.iter().position(|word| *word == "messages");
            let count = at
                .and_then(|at| words.get(at - 1))
                .and_then(|n| n.parse().ok());
            lost += count.unwrap_or(0);
        }
    }
}
