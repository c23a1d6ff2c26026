//! Restarts of the server on sockets that outlive it, as systemd holds them, while visitors come at a steady rate.

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::json;

use crate::process::{self, Core};
use crate::ratio::spread;
use crate::server::{Server, deploy, folder};
use crate::steady::Visitors;
use crate::{Result, deploys, upstream};

const RESTARTS: usize = 20;
const RATE: usize = 500;
/// As many requests as one dyno may have at once, and some to spare: all come at once when the next server starts.
const CONNECTIONS: usize = 40;
/// Between one restart and the next.
const BETWEEN: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);

pub fn run() -> Result<()> {
    println!("restarts: {RESTARTS} under {RATE} requests/s over {CONNECTIONS} connections");
    let data = folder()?;
    let (api, router) = (
        TcpListener::bind("127.0.0.1:0")?,
        TcpListener::bind("127.0.0.1:0")?,
    );
    for socket in [&api, &router] {
        // The servers inherit it.
        fcntl_setfd(socket, FdFlags::empty())?;
    }
    let readable = upstream::folder()?;
    let start = || Server::started(command(data.path(), &readable, &api, &router));
    let mut server = start()?;
    server.apps(1)?;
    let mut client = server.client()?;
    deploy(
        &mut client,
        "bench-0",
        &json!({"web": upstream::procfile_line()?}),
    )?;
    deploys::up(&mut client, "bench-0")?;
    let visitors = Visitors {
        address: router.local_addr()?,
        host: "bench-0.localhost",
        rate: RATE,
        connections: CONNECTIONS,
    };
    let visiting = visitors.start();
    let mut taken = Vec::new();
    for _ in 0..RESTARTS {
        std::thread::sleep(BETWEEN);
        let begun = Instant::now();
        drop(server);
        server = start()?;
        taken.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    std::thread::sleep(BETWEEN);
    let tally = visiting.end()?;
    println!(
        "  from the end of one to the next one's being ready   {} ms",
        spread(&taken)
    );
    tally.print();
    // Its dynos outlive a server, so they are ended here.
    let mut client = server.client()?;
    client.patch("/apps/bench-0/formation/web", &json!({"quantity": 0}))?;
    let begun = Instant::now();
    while client.get("/apps/bench-0/dynos")? != json!([]) {
        if begun.elapsed() > PATIENCE {
            return Err("a dyno does not end".into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The server with the sockets under the numbers that systemd gives them.
fn command(data: &Path, readable: &Path, api: &TcpListener, router: &TcpListener) -> Command {
    let mut server = process::command(Core::Tested, &process::penstock());
    server
        .args([
            "serve",
            "--rate-limit",
            "false",
            "--dyno-forwarding",
            "false",
        ])
        .arg("--dyno-readable")
        .arg(readable)
        .arg("--data-dir")
        .arg(data);
    let script = format!(
        "exec 50<&{} 51<&{}; exec 3<&50 4<&51; export LISTEN_PID=$$; exec \"$@\"",
        api.as_raw_fd(),
        router.as_raw_fd()
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script, "bash"]);
    command.arg(server.get_program()).args(server.get_args());
    command
        .env("LISTEN_FDS", "2")
        .env("LISTEN_FDNAMES", "api:router");
    command
}
