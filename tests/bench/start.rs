//! From the exec of the release binary to its first 200, and the memory that it holds when nothing happens, against the static
//! handler's.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::ratio::{below, median, spread};
use crate::server::{Server, folder};
use crate::{Result, ceiling};

const STARTS: usize = 15;
const AIM_MS: f64 = 25.0;
const AIM_MB: f64 = 25.0;
/// What is done once after a start has ended by then.
const IDLE: Duration = Duration::from_secs(2);

pub fn run() -> Result<()> {
    println!(
        "start: from exec to the first 200, {STARTS} times each; then the memory after {IDLE:?}"
    );
    let (mut first, mut again, mut fixed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let data = folder()?;
        first.push(timed(|| penstock(data.path()))?);
        again.push(timed(|| penstock(data.path()))?);
        fixed.push(timed(handler)?);
    }
    let ratios: Vec<f64> = again
        .iter()
        .zip(&fixed)
        .map(|(ours, fixed)| ours / fixed)
        .collect();
    println!("  first start       {} ms", spread(&first));
    println!(
        "  later starts      {} ms   {}",
        spread(&again),
        below(median(again.clone()), AIM_MS, "ms")
    );
    println!("  static handler    {} ms", spread(&fixed));
    println!("  ratio             {}", spread(&ratios));
    memory()
}

fn timed<T>(start: impl FnOnce() -> Result<T>) -> Result<f64> {
    let begun = Instant::now();
    let started = start()?;
    let taken = begun.elapsed().as_secs_f64() * 1e3;
    drop(started);
    Ok(taken)
}

fn penstock(data: &std::path::Path) -> Result<Server> {
    let server = Server::start_in(data)?;
    server.client()?.get("/account")?;
    Ok(server)
}

fn handler() -> Result<crate::process::Process> {
    let (process, address) = ceiling::start()?;
    Client::connect(address, "none")?.get("/account")?;
    Ok(process)
}

fn memory() -> Result<()> {
    let data = folder()?;
    let server = penstock(data.path())?;
    let fixed = handler()?;
    std::thread::sleep(IDLE);
    let (ours, fixed) = (server.process.resident()?, fixed.resident()?);
    println!(
        "  memory            {ours:.1} MB   {}",
        below(ours, AIM_MB, "MB")
    );
    println!("  static handler    {fixed:.1} MB");
    Ok(())
}
