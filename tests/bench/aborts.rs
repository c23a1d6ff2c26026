//! Visitors who leave in the midst of what they asked for, again and again: what the server keeps of them.

use std::net::SocketAddr;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ratio::median;
use crate::server::{Server, deploy};
use crate::{Result, deploys, upstream};

const ABORTS: usize = 100_000;
/// Until then buffers are still being made that are used again later.
const WARM_UP: usize = 50_000;
const AT_ONCE: usize = 32;
/// Looks at memory on the way, which goes up and down with what is under way just then.
const LOOKS: usize = 20;
/// What memory may grow by from the first third of the looks to the last, in parts of a hundred.
const AIM_PERCENT: f64 = 5.0;

pub fn run() -> Result<()> {
    println!("aborts: {ABORTS} requests that are broken off, {AT_ONCE} at once");
    let server = Server::start()?;
    server.apps(1)?;
    let mut client = server.client()?;
    deploy(
        &mut client,
        "bench-0",
        &json!({"web": upstream::procfile_line()?}),
    )?;
    deploys::up(&mut client, "bench-0")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(all(server.router, WARM_UP))?;
    let mut looks = vec![look(&server, WARM_UP)?];
    for part in 1..=LOOKS {
        runtime.block_on(all(server.router, ABORTS / LOOKS))?;
        let count = WARM_UP + part * ABORTS / LOOKS;
        looks.push(match part % 5 {
            0 => look(&server, count)?,
            _ => server.process.resident()?,
        });
    }
    let third = looks.len() / 3;
    let (first, last) = (&looks[..third], &looks[looks.len() - third..]);
    let grown = (median(last.to_vec()) / median(first.to_vec()) - 1.0) * 100.0;
    println!(
        "  grown by {grown:.1} %   {}",
        crate::ratio::below(grown, AIM_PERCENT, "%")
    );
    Ok(())
}

/// The memory that the server holds after so many, in MB.
fn look(server: &Server, count: usize) -> Result<f64> {
    let resident = server.process.resident()?;
    let open = descriptors(server)?;
    println!("  after {count:>7}: {resident:.1} MB, {open} descriptors");
    Ok(resident)
}

fn descriptors(server: &Server) -> Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{}/fd", server.process.pid()))?.count())
}

async fn all(address: SocketAddr, count: usize) -> Result<()> {
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|task| {
            tokio::spawn(async move {
                for number in (task..count).step_by(AT_ONCE) {
                    one(address, number).await?;
                }
                Result::Ok(())
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// Leaves at once, in the midst of the answer, or in the midst of an upload.
async fn one(address: SocketAddr, number: usize) -> Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    // Leaving so is a reset, and the port is free again at once.
    socket.set_zero_linger()?;
    let host = "Host: bench-0.localhost\r\n";
    let request = match number % 4 {
        0 => format!("GET / HTTP/1.1\r\n{host}\r\n"),
        1 => format!("GET /10m HTTP/1.1\r\n{host}\r\n"),
        2 => format!("GET /10m HTTP/1.1\r\n{host}"),
        _ => format!("POST / HTTP/1.1\r\n{host}Content-Length: 100000\r\n\r\nhalf"),
    };
    socket.write_all(request.as_bytes()).await?;
    if number % 4 == 1 {
        let mut some = [0; 4096];
        // It may have been broken off from the other side, which is no matter here.
        let _ = socket.read(&mut some).await;
    }
    Ok(())
}
