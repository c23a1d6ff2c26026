//! Child processes: where they run, what they cost, and that they end with the benchmark.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Result;

/// Set in the copy of this process that has been pinned.
const PINNED: &str = "PENSTOCK_BENCH_PINNED";
/// The kernel counts CPU time in hundredths of a second for everybody.
const TICK: f64 = 0.01;
const STOP_PATIENCE: Duration = Duration::from_secs(15);

/// On which of the two cores something runs.
#[derive(Clone, Copy)]
pub enum Core {
    /// With the load.
    Load,
    /// What is compared.
    Tested,
}

/// Whether there are two cores and a way to choose between them.
fn pinned() -> bool {
    static PINNED_ONCE: OnceLock<bool> = OnceLock::new();
    *PINNED_ONCE.get_or_init(|| std::env::var_os(PINNED).is_some())
}

/// Starts this process again on the first core; it comes back with [`PINNED`] set. Without `taskset` nothing happens.
pub fn pin_self() -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if pinned() {
        return Ok(());
    }
    if cores < 2 || !in_path("taskset") {
        println!(
            "Nothing is pinned to a core, so these ratios are less steady than they could be.\n"
        );
        return Ok(());
    }
    let failed = Command::new("taskset")
        .args(["-c", "0"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .env(PINNED, "1")
        .exec();
    Err(failed.into())
}

/// Whether a program of this name can be started.
pub fn in_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    })
}

/// The server that is measured: the one built with the benchmarks, or another that `PENSTOCK` names, to compare two of them.
pub fn penstock() -> PathBuf {
    std::env::var_os("PENSTOCK")
        .map_or_else(|| env!("CARGO_BIN_EXE_penstock").into(), PathBuf::from)
}

/// A command that will run on one core.
pub fn command(core: Core, program: &Path) -> Command {
    if !pinned() {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command
        .args([
            "-c",
            match core {
                Core::Load => "0",
                Core::Tested => "1",
            },
        ])
        .arg(program)
        .env_remove(PINNED);
    command
}

/// A process that ends when this is dropped.
pub struct Process {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
    /// What it says on standard error, which matters only when it does not get ready.
    said: File,
}

impl Process {
    pub fn start(mut command: Command) -> Result<Process> {
        let said = tempfile::tempfile()?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(said.try_clone()?)
            .spawn()
            .map_err(|error| format!("{command:?} cannot be started: {error}"))?;
        let output = child.stdout.take().map(BufReader::new);
        Ok(Process {
            child,
            output,
            said,
        })
    }

    /// The next line of its standard output.
    pub fn line(&mut self) -> Result<String> {
        let output = self.output.as_mut().ok_or("it has no standard output")?;
        let mut line = String::new();
        output.read_line(&mut line)?;
        if line.is_empty() {
            let mut said = String::new();
            self.said.rewind()?;
            self.said.read_to_string(&mut said)?;
            return Err(format!("a process ended before it was ready: {said}").into());
        }
        Ok(line)
    }

    /// `taskset` becomes the program, so this is the program's own.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap_or_default()
    }

    /// CPU time that it has used so far, in seconds.
    pub fn cpu(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in parentheses may hold anything, so what counts begins after the last of them.
        let (_, after) = stat.rsplit_once(')').ok_or("no such process")?;
        let ticks: f64 = after
            .split_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|ticks| ticks.parse::<f64>().ok())
            .sum();
        Ok(ticks * TICK)
    }

    /// Memory that it holds, in MB.
    pub fn resident(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|kilobytes| kilobytes.parse::<f64>().ok())
            .ok_or("the process has no memory")?;
        Ok(kilobytes / 1024.0)
    }

    fn stop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
        let deadline = Instant::now() + STOP_PATIENCE;
        while asked && Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}
