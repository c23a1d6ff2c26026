//! A promotion to ten apps, from the request until all ten releases are on disk, against single durable writes.
//!
//! The slug has no web process, so no dyno starts.

use std::time::Instant;

use serde_json::{Value, json};

use crate::Result;
use crate::client::Client;
use crate::ratio::{below, median, spread};
use crate::server::{Server, deploy};

const TARGETS: usize = 10;
const PROMOTIONS: usize = 25;
const AIM: f64 = 20.0;

pub fn run() -> Result<()> {
    let server = Server::start()?;
    server.apps(TARGETS + 1)?;
    let mut client = server.client()?;
    let pipeline = client.post("/pipelines", &json!({"name": "bench"}))?["id"].clone();
    for number in 0..=TARGETS {
        let stage = if number == 0 { "staging" } else { "production" };
        let coupling =
            json!({"app": format!("bench-{number}"), "pipeline": pipeline, "stage": stage});
        client.post("/pipeline-couplings", &coupling)?;
    }
    deploy(&mut client, "bench-0", &json!({"worker": "sleep 1000"}))?;
    println!("promotion: to {TARGETS} apps until all are durable, {PROMOTIONS} times");
    let mut promotions = Vec::new();
    let mut writes = Vec::new();
    for number in 0..PROMOTIONS {
        promotions.push(promote(&mut client, &pipeline)?);
        let begun = Instant::now();
        let value = json!({"VALUE": number.to_string()});
        client.patch("/apps/bench-0/config-vars", &value)?;
        writes.push(milliseconds(begun));
    }
    let ratios: Vec<f64> = promotions
        .iter()
        .zip(&writes)
        .map(|(all, one)| all / one)
        .collect();
    println!(
        "  promotion   {} ms   {}",
        spread(&promotions),
        below(median(promotions.clone()), AIM, "ms")
    );
    println!("  one write   {} ms", spread(&writes));
    println!("  ratio       {}", spread(&ratios));
    Ok(())
}

fn promote(client: &mut Client, pipeline: &Value) -> Result<f64> {
    let targets: Vec<Value> = (1..=TARGETS)
        .map(|number| json!({"app": {"id": format!("bench-{number}")}}))
        .collect();
    let body = json!({"pipeline": {"id": pipeline}, "source": {"app": {"id": "bench-0"}}, "targets": targets});
    let begun = Instant::now();
    let promotion = client.post("/pipeline-promotions", &body)?;
    let path = format!(
        "/pipeline-promotions/{}",
        promotion["id"].as_str().ok_or("the promotion has no id")?
    );
    while client.get(&path)?["status"] != "completed" {}
    let taken = milliseconds(begun);
    let ended = client.get(&format!("{path}/promotion-targets"))?;
    let succeeded = |target: &&Value| target["status"] == "succeeded";
    if ended
        .as_array()
        .map_or(0, |targets| targets.iter().filter(succeeded).count())
        != TARGETS
    {
        return Err(format!("a promotion did not succeed everywhere: {ended}").into());
    }
    Ok(taken)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
