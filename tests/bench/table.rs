//! How soon visitors meet a change, and what it costs the server, as apps grow in number: the router's table is made anew for each.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Result;
use crate::ratio::{below, median, spread};
use crate::server::Server;

const APPS: &[usize] = &[1, 1_000];
const CHANGES: usize = 40;
const PATIENCE: Duration = Duration::from_secs(10);
const AIM_MS: f64 = 50.0;

pub fn run() -> Result<()> {
    for apps in APPS {
        println!("table: {CHANGES} changes of one app among {apps}, until visitors meet them");
        let server = Server::start()?;
        server.apps(*apps)?;
        let mut client = server.client()?;
        let (mut taken, mut cost) = (Vec::new(), Vec::new());
        for number in 0..CHANGES {
            let on = number % 2 == 0;
            let before = server.process.cpu()?;
            let begun = Instant::now();
            client.patch("/apps/bench-0", &json!({"maintenance": on}))?;
            // Nothing was deployed to it, which is told in another way.
            let wanted = if on { b"503" } else { b"502" };
            while status(server.router)? != *wanted {
                if begun.elapsed() > PATIENCE {
                    return Err("visitors do not meet a change".into());
                }
            }
            taken.push(begun.elapsed().as_secs_f64() * 1e3);
            cost.push((server.process.cpu()? - before) * 1e3);
        }
        let of_all: f64 = cost.iter().sum::<f64>() / cost.len() as f64;
        println!(
            "  until it is met   {} ms   {}",
            spread(&taken),
            below(median(taken.clone()), AIM_MS, "ms")
        );
        println!("  CPU of a change   {of_all:.1} ms, with its visitors");
    }
    Ok(())
}

fn status(address: SocketAddr) -> Result<[u8; 3]> {
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(b"GET / HTTP/1.1\r\nHost: bench-0.localhost\r\nConnection: close\r\n\r\n")?;
    let mut start = [0; 12];
    socket.read_exact(&mut start)?;
    Ok([start[9], start[10], start[11]])
}
