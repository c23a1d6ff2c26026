//! A hundred dynos that have nothing to do: how long it takes until all of them are up, what the server and what holds them keep
//! in memory, and what all of that costs while nothing happens.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use penstock::sandbox;
use penstock::shim::{self, processes};
use serde_json::{Value, json};

use crate::Result;
use crate::client::Client;
use crate::ratio::below;
use crate::server::{Server, deploy};

const DYNOS: usize = 100;
const PATIENCE: Duration = Duration::from_secs(300);
/// What is done once after a start has ended by then.
const SETTLED: Duration = Duration::from_secs(15);
const REST: Duration = Duration::from_secs(30);
const SERVER_MB: f64 = 40.0;
const SHIM_MB: f64 = 2.0;
/// Of one core.
const REST_PERCENT: f64 = 1.0;
const TICKS_A_SECOND: f64 = 100.0;

pub fn run() -> Result<()> {
    println!("dynos: {DYNOS} that sleep, of one app, behind one server");
    let server = Server::start()?;
    server.apps(1)?;
    let mut client = server.client()?;
    deploy(
        &mut client,
        "bench-0",
        &json!({"worker": "exec sleep 100000"}),
    )?;
    let one = scale(&mut client, 1)?;
    let all = scale(&mut client, DYNOS)?;
    println!("  the first is up after    {:>7.1} ms", one * 1e3);
    println!(
        "  all are up after         {:>7.1} ms   {:.1} ms each",
        all * 1e3,
        all * 1e3 / (DYNOS - 1) as f64
    );
    std::thread::sleep(SETTLED);
    memory(&server)?;
    rest(&server)
}

/// Scales the workers, and waits until all are up; seconds.
fn scale(client: &mut Client, count: usize) -> Result<f64> {
    let begun = Instant::now();
    let wanted = json!({"updates": [{"type": "worker", "quantity": count}]});
    client.patch("/apps/bench-0/formation", &wanted)?;
    loop {
        let dynos = client.get("/apps/bench-0/dynos")?;
        let up = |dyno: &&Value| dyno["state"] == "up";
        let count_up = dynos
            .as_array()
            .map_or(0, |all| all.iter().filter(up).count());
        if count_up == count {
            return Ok(begun.elapsed().as_secs_f64());
        }
        if begun.elapsed() > PATIENCE {
            return Err(format!("of {count} dynos {count_up} are up").into());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The processes below the server's, by what they are.
fn held(server: &Server) -> HashMap<&'static str, Vec<i32>> {
    let all = processes::all();
    let mut kinds: HashMap<&'static str, Vec<i32>> = HashMap::new();
    for process in processes::descendants(&all, server.process.pid()) {
        let line = std::fs::read(format!("/proc/{}/cmdline", process.pid)).unwrap_or_default();
        let word = String::from_utf8_lossy(line.split(|byte| *byte == 0).nth(1).unwrap_or(&[]))
            .into_owned();
        let kind = match word.as_str() {
            shim::SUBCOMMAND => "shim",
            sandbox::SUBCOMMAND => "launcher",
            _ => "command",
        };
        kinds.entry(kind).or_default().push(process.pid);
    }
    kinds
}

fn memory(server: &Server) -> Result<()> {
    let kinds = held(server);
    let resident = server.process.resident()?;
    let own = private(server.process.pid())?;
    println!(
        "  server                   {resident:>7.1} MB   of which its own {own:.1}   {}",
        below(resident, SERVER_MB, "MB")
    );
    for kind in ["shim", "launcher"] {
        let pids = kinds.get(kind).map_or(&[][..], Vec::as_slice);
        let mut own: Vec<f64> = pids.iter().filter_map(|pid| private(*pid).ok()).collect();
        own.sort_by(f64::total_cmp);
        let (Some(most), Some(middle)) = (own.last(), own.get(own.len() / 2)) else {
            return Err(format!("there is no {kind}").into());
        };
        let verdict = match kind {
            "shim" => below(*most, SHIM_MB, "MB"),
            _ => String::new(),
        };
        println!(
            "  {:<24} {middle:>7.2} MB   of their own, the largest {most:.2}   {verdict}",
            format!("{} processes: {kind}s", own.len())
        );
    }
    Ok(())
}

/// Memory that nobody else has, in MB: what the machine would get back with the end of this process.
fn private(pid: i32) -> Result<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let own = rollup.lines().filter(|line| line.starts_with("Private_"));
    let kilobytes = own.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok());
    Ok(kilobytes.sum::<f64>() / 1024.0)
}

/// What the server, the shims and the launchers take of a core while nothing happens.
fn rest(server: &Server) -> Result<()> {
    let mut pids = vec![server.process.pid()];
    let kinds = held(server);
    for kind in ["shim", "launcher"] {
        pids.extend(kinds.get(kind).into_iter().flatten());
    }
    let before = (server.process.cpu()?, ticks(&pids));
    let begun = Instant::now();
    std::thread::sleep(REST);
    let seconds = begun.elapsed().as_secs_f64();
    let own = (server.process.cpu()? - before.0) / seconds * 100.0;
    let all = (ticks(&pids) - before.1) / TICKS_A_SECOND / seconds * 100.0;
    println!(
        "  at rest                  {all:>7.2} % of a core, of which the server {own:.2}   {}",
        below(all, REST_PERCENT, "%")
    );
    Ok(())
}

/// Of CPU time that these have used.
fn ticks(pids: &[i32]) -> f64 {
    let of = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (_, after) = stat.rsplit_once(')')?;
        let ticks = after.split_whitespace().skip(11).take(2);
        Some(
            ticks
                .filter_map(|ticks| ticks.parse::<f64>().ok())
                .sum::<f64>(),
        )
    };
    pids.iter().filter_map(of).sum()
}
