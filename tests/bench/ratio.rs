//! Two things in turn, and how they compare.

use std::time::Duration;

use crate::Result;
use crate::load::{Load, Outcome};
use crate::process::Process;

/// How long each turn takes.
pub const TURN: Duration = Duration::from_secs(1);
const PAIRS: usize = 7;

/// How many pairs are measured.
pub fn pairs() -> usize {
    std::env::var("REPEAT")
        .ok()
        .and_then(|repeat| repeat.parse().ok())
        .filter(|repeat| *repeat > 0)
        .unwrap_or(PAIRS)
}

/// A server under load.
pub struct Side<'a> {
    pub name: &'a str,
    pub load: Load,
    /// Whose CPU time is counted, if it is one of ours.
    pub process: Option<&'a Process>,
}

struct Turn {
    outcome: Outcome,
    /// Seconds of CPU a request.
    cpu: f64,
}

impl Side<'_> {
    fn turn(&self) -> Result<Turn> {
        let cpu = || self.process.map_or(Ok(0.0), Process::cpu);
        let before = cpu()?;
        let outcome = self.load.run()?;
        let cpu = (cpu()? - before) / outcome.answered.max(1) as f64;
        if outcome.refused > 0 {
            let (refused, all) = (outcome.refused, outcome.answered);
            return Err(format!("{}: {refused} of {all} answers were refusals", self.name).into());
        }
        Ok(Turn { outcome, cpu })
    }

    fn describe(&self, turns: &[Turn]) {
        let of = |figure: fn(&Turn) -> f64| median(turns.iter().map(figure).collect());
        let cost = self.process.map_or_else(String::new, |process| {
            let resident = process.resident().unwrap_or_default();
            let cpu = of(|turn| turn.cpu) * 1e6;
            format!("   {cpu:>7.1} us of CPU a request   {resident:>5.1} MB")
        });
        println!(
            "  {:<28} {:>9.0}/s   p50 {:>7.2} ms   p99 {:>7.2} ms{cost}",
            self.name,
            of(|turn| turn.outcome.rate()),
            of(|turn| turn.outcome.quantile(0.5)),
            of(|turn| turn.outcome.quantile(0.99)),
        );
    }
}

/// Measures them in turn and prints the ratio of the first's rate to each of the others'.
pub fn compare(tested: &Side<'_>, ceilings: &[(Side<'_>, Option<f64>)]) -> Result<()> {
    // One turn of each that does not count: caches are cold, and connections to upstreams not there yet.
    tested.turn()?;
    for (ceiling, _) in ceilings {
        ceiling.turn()?;
    }
    let mut of_tested = Vec::new();
    let mut of_ceilings: Vec<Vec<Turn>> = ceilings.iter().map(|_| Vec::new()).collect();
    for _ in 0..pairs() {
        of_tested.push(tested.turn()?);
        for ((ceiling, _), turns) in ceilings.iter().zip(&mut of_ceilings) {
            turns.push(ceiling.turn()?);
        }
    }
    tested.describe(&of_tested);
    for ((ceiling, _), turns) in ceilings.iter().zip(&of_ceilings) {
        ceiling.describe(turns);
    }
    for ((ceiling, aim), turns) in ceilings.iter().zip(&of_ceilings) {
        print_ratio(ceiling.name, &of_tested, turns, *aim);
    }
    Ok(())
}

fn print_ratio(name: &str, tested: &[Turn], ceiling: &[Turn], aim: Option<f64>) {
    let pairs = || tested.iter().zip(ceiling);
    let rates: Vec<f64> = pairs()
        .map(|(tested, ceiling)| tested.outcome.rate() / ceiling.outcome.rate())
        .collect();
    let cpu: Vec<f64> = pairs()
        .filter(|(_, ceiling)| ceiling.cpu > 0.0)
        .map(|(tested, ceiling)| ceiling.cpu / tested.cpu)
        .collect();
    let by_cpu = match cpu.is_empty() {
        true => String::new(),
        false => format!("   by CPU {}", spread(&cpu)),
    };
    let late = pairs()
        .map(|(tested, ceiling)| tested.outcome.quantile(0.99) / ceiling.outcome.quantile(0.99))
        .collect();
    println!(
        "  ratio to {name:<19} {}{}{by_cpu}   of p99 {:.2}",
        spread(&rates),
        aim.map_or_else(String::new, |aim| verdict(median(rates.clone()), aim)),
        median(late)
    );
}

/// The median with the least and the greatest.
pub fn spread(figures: &[f64]) -> String {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = figures.iter().copied().fold(0.0, f64::max);
    format!(
        "{:.2} ({least:.2} to {greatest:.2})",
        median(figures.to_vec())
    )
}

pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn verdict(ratio: f64, aim: f64) -> String {
    format!("   aim >= {aim:.2}: {}", said(ratio >= aim))
}

/// For an aim that is a limit.
pub fn below(figure: f64, aim: f64, unit: &str) -> String {
    format!("aim <= {aim:.0} {unit}: {}", said(figure <= aim))
}

fn said(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}
