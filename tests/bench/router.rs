//! The router to a dyno, against nginx to the same program and against that program itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::load::Load;
use crate::nginx::{self, Nginx};
use crate::process::Process;
use crate::ratio::{Side, TURN, compare, pairs};
use crate::server::{Server, deploy};
use crate::{Result, upstream};

/// How many connections for each of the upstream's sizes, and what the ratio to nginx shall be.
const LOADS: &[(&str, usize, f64)] = &[("/", 50, 0.9), ("/64k", 20, 1.3), ("/10m", 4, 1.3)];
const BOOT: Duration = Duration::from_secs(20);

pub fn run() -> Result<()> {
    let server = Server::start()?;
    server.apps(1)?;
    let mut client = server.client()?;
    deploy(
        &mut client,
        "bench-0",
        &json!({"web": upstream::procfile_line()?}),
    )?;
    let booting = Instant::now();
    while client.get("/apps/bench-0/dynos")?[0]["state"] != "up" {
        if booting.elapsed() > BOOT {
            return Err("the app's dyno does not come up".into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let (app, direct) = upstream::start()?;
    let nginx = nginx::start(direct)?;
    if nginx.is_none() {
        println!("nginx is not installed, so the router is compared with direct connections only.");
    }
    for (path, connections, aim) in LOADS {
        println!(
            "router: GET {path}, {connections} connections, {} pairs",
            pairs()
        );
        measure(
            &server,
            nginx.as_ref(),
            (&app, direct),
            (path, *connections, *aim),
        )?;
    }
    Ok(())
}

fn measure(
    server: &Server,
    nginx: Option<&Nginx>,
    (app, direct): (&Process, SocketAddr),
    (path, connections, aim): (&str, usize, f64),
) -> Result<()> {
    let text = format!(
        "GET {path} HTTP/1.1\r\nHost: bench-0.localhost\r\nUser-Agent: penstock-bench\r\nAccept: */*\r\n\r\n"
    );
    let load = |address: SocketAddr| {
        let text = text.clone();
        Load {
            address,
            connections,
            time: TURN,
            alone: false,
            request: Arc::new(move |_, _, request| request.extend_from_slice(text.as_bytes())),
        }
    };
    let side = |name, address, process| Side {
        name,
        load: load(address),
        process,
    };
    let mut ceilings = Vec::new();
    if let Some(nginx) = nginx {
        ceilings.push((side("nginx", nginx.logging, &nginx.process), Some(aim)));
        ceilings.push((
            side("nginx without log", nginx.silent, &nginx.process),
            None,
        ));
    }
    ceilings.push((side("direct connections", direct, app), None));
    compare(&side("penstock", server.router, &server.process), &ceilings)
}
