//! Benchmarks: `cargo bench` runs all of them, `cargo bench -- NAME ..` those that are named.
//!
//! Each compares the release binary, as a child process over loopback, with a ceiling measured in the same run: A B A B, a
//! second each, and the median of the ratios. Absolute figures depend on the machine and on what else it does; the ratios hold
//! within a tenth or so. Beside the rates stands the CPU time that the server under test spent on a request, which tells what a
//! rate that was limited by something else cannot. `REPEAT=n` sets the number of pairs, and
//! `PENSTOCK=path` another binary to measure.
//!
//! With `taskset` and two cores, what is compared runs on the second core alone, and whatever asks it on the first.

mod aborts;
mod archives;
mod ceiling;
mod client;
mod deploys;
mod dyno_start;
mod dynos;
mod load;
mod logs;
mod nginx;
mod process;
mod promotion;
mod ratio;
mod reads;
mod restarts;
mod router;
mod server;
mod start;
mod steady;
mod table;
mod upstream;
mod writes;

use std::process::ExitCode;

/// What goes wrong is told to a person, so any error will do.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// A benchmark, and the name that picks it.
type Benchmark = (&'static str, fn() -> Result<()>);

const ALL: &[Benchmark] = &[
    ("start", start::run),
    ("reads", reads::run),
    ("writes", writes::run),
    ("promotion", promotion::run),
    ("router", router::run),
    ("bodies", router::bodies),
    ("deploys", deploys::run),
    ("restarts", restarts::run),
    ("aborts", aborts::run),
    ("table", table::run),
    ("dyno-start", dyno_start::run),
    ("dynos", dynos::run),
    ("logs", logs::run),
    ("archives", archives::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let run = match arguments.first().map(String::as_str) {
        Some(ceiling::ROLE) => ceiling::serve(),
        Some(upstream::ROLE) => upstream::serve(),
        Some(archives::ROLE) => archives::serve(),
        _ => run(&arguments),
    };
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    process::pin_self()?;
    let names: Vec<&String> = arguments
        .iter()
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| ALL.iter().all(|(known, _)| known != *name))
    {
        let known: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no {unknown}; there are {}", known.join(", ")).into());
    }
    for (name, bench) in ALL {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            bench()?;
            println!();
        }
    }
    Ok(())
}
