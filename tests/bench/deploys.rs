//! Deploys, one after another, while visitors come at a steady rate; and from a release to the first answer of its dyno.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::Client;
use crate::ratio::{below, median, spread};
use crate::server::{Server, deploy};
use crate::steady::Visitors;
use crate::{Result, upstream};

const DEPLOYS: usize = 50;
const RATE: usize = 2_000;
/// No more than one dyno may have requests at once.
const CONNECTIONS: usize = 48;
const PATIENCE: Duration = Duration::from_secs(60);
const ROUNDS: usize = 15;
/// Beyond the app's own boot.
const AIM_MS: f64 = 100.0;

fn count(most: usize) -> usize {
    let repeat = std::env::var("REPEAT")
        .ok()
        .and_then(|repeat| repeat.parse().ok());
    repeat.unwrap_or(most)
}

pub fn run() -> Result<()> {
    let server = Server::start()?;
    server.apps(1)?;
    let mut client = server.client()?;
    let process_types = json!({"web": upstream::procfile_line()?});
    let deploys = count(DEPLOYS);
    println!("deploys: {deploys} under {RATE} requests/s over {CONNECTIONS} connections");
    deploy(&mut client, "bench-0", &process_types)?;
    up(&mut client, "bench-0")?;
    let visitors = Visitors {
        address: server.router,
        host: "bench-0.localhost",
        rate: RATE,
        connections: CONNECTIONS,
    };
    let visiting = visitors.start();
    let begun = Instant::now();
    for _ in 0..deploys {
        deploy(&mut client, "bench-0", &process_types)?;
        up(&mut client, "bench-0")?;
    }
    println!(
        "  {:.2} s a deploy",
        begun.elapsed().as_secs_f64() / deploys as f64
    );
    visiting.end()?.print();
    first_answers(&server, &mut client, &process_types)
}

/// Waits until the newest release's dyno is up, and is the only one.
pub fn up(client: &mut Client, app: &str) -> Result<()> {
    let version = client.get(&format!("/apps/{app}/releases"))?;
    let versions = version.as_array().into_iter().flatten();
    let newest = versions
        .filter_map(|release| release["version"].as_i64())
        .max();
    let begun = Instant::now();
    loop {
        let dynos = client.get(&format!("/apps/{app}/dynos"))?;
        let dynos = dynos.as_array().map_or(&[][..], Vec::as_slice);
        let is_new =
            |dyno: &Value| dyno["state"] == "up" && dyno["release"]["version"].as_i64() == newest;
        if dynos.len() == 1 && dynos.iter().all(is_new) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("the dyno of v{newest:?} does not come up: {dynos:?}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a visitor waits who comes with the release, over what the program takes until its first answer where nobody is between.
fn first_answers(server: &Server, client: &mut Client, process_types: &Value) -> Result<()> {
    let rounds = count(ROUNDS);
    println!("first-answer: from a release to the first answer of its dyno, {rounds} times");
    let (mut own, mut whole) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let begun = Instant::now();
        let (app, address) = upstream::start()?;
        ask(address, "localhost")?;
        own.push(begun.elapsed().as_secs_f64() * 1e3);
        drop(app);
        let name = format!("first-{round}");
        client.post("/apps", &json!({"name": name}))?;
        let begun = Instant::now();
        deploy(client, &name, process_types)?;
        let released = begun.elapsed();
        ask(server.router, &format!("{name}.localhost"))?;
        whole.push((begun.elapsed() - released).as_secs_f64() * 1e3);
        client.patch(
            &format!("/apps/{name}/formation/web"),
            &json!({"quantity": 0}),
        )?;
    }
    println!("  the program's own boot    {} ms", spread(&own));
    println!("  from release to answer    {} ms", spread(&whole));
    let over = median(whole) - median(own);
    println!(
        "  over its own boot         {over:.1} ms   {}",
        below(over, AIM_MS, "ms")
    );
    Ok(())
}

/// One request on a connection of its own, which has to be answered with 200.
fn ask(address: SocketAddr, host: &str) -> Result<()> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    write!(socket, "GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")?;
    let mut start = [0; 12];
    socket.read_exact(&mut start)?;
    match &start {
        b"HTTP/1.1 200" => Ok(()),
        other => Err(String::from_utf8_lossy(other).into_owned().into()),
    }
}
