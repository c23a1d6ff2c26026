//! The router to a dyno, against nginx to the same program and against that program itself.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::load::Load;
use crate::nginx::{self, Nginx};
use crate::ratio::{Side, TURN, compare, pairs};
use crate::server::{Server, deploy};
use crate::{Result, upstream};

/// How many connections for each of the upstream's sizes, and what the ratio to nginx shall be.
const SHORT: &[(&str, usize, f64)] = &[("/", 50, 0.9)];
const LONG: &[(&str, usize, f64)] = &[("/64k", 20, 1.3), ("/10m", 4, 1.3)];
const BOOT: Duration = Duration::from_secs(20);

/// Answers of a few bytes.
pub fn run() -> Result<()> {
    compared(SHORT)
}

/// Answers that have to be streamed.
pub fn bodies() -> Result<()> {
    compared(LONG)
}

fn compared(loads: &[(&str, usize, f64)]) -> Result<()> {
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
    let direct = upstream::of_dyno(&server, &mut client, "bench-0")?;
    let nginx = nginx::start(direct)?;
    println!(
        "router: all go to the app's one dyno at {direct}, on the load's core; penstock and nginx have the other core. Both \
         keep connections to the dyno, add the same headers, and write the same line of each request to a file."
    );
    if nginx.is_none() {
        println!("nginx is not installed, so the router is compared with direct connections only.");
    }
    for (path, connections, aim) in loads {
        println!(
            "router: GET {path}, {connections} connections, {} pairs",
            pairs()
        );
        measure(&server, nginx.as_ref(), direct, (path, *connections, *aim))?;
    }
    Ok(())
}

fn measure(
    server: &Server,
    nginx: Option<&Nginx>,
    direct: SocketAddr,
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
        ceilings.push((
            side("nginx", nginx.logging, Some(&nginx.process)),
            Some(aim),
        ));
        ceilings.push((
            side("nginx without log", nginx.silent, Some(&nginx.process)),
            None,
        ));
    }
    ceilings.push((side("direct connections", direct, None), None));
    compare(
        &side("penstock", server.router, Some(&server.process)),
        &ceilings,
    )
}
