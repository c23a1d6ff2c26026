//! How much memory dynos take, as the kernel counts it.
//!
//! It must not know what is done about a dyno that takes too much.

use rustix::param::page_size;

use super::processes::{self, Process};
use crate::name::Id;
use crate::sandbox::cgroup::Cgroup;

/// A dyno whose memory is measured.
pub struct Measured {
    pub dyno: Id,
    /// All of the dyno's processes descend from this one, which is none of them.
    pub shim: i32,
    /// Which counts for itself, where there is one.
    pub cgroup: Option<Cgroup>,
    /// In bytes.
    pub quota: u64,
}

/// What a dyno uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// In bytes: the programs' own, files that are kept in memory for it, and what is swapped out.
    pub memory: u64,
    pub cache: u64,
    pub swap: u64,
    /// Processes that run or could.
    pub runnable: usize,
}

/// What each of them uses. Blocks as [`over`] does.
pub fn used(dynos: Vec<Measured>) -> Vec<(Id, Usage)> {
    let all = processes::all();
    let used = dynos.into_iter().map(|dyno| {
        let members = processes::descendants(&all, dyno.shim);
        let runnable = members.iter().filter(|process| process.runnable).count();
        let counted = dyno.cgroup.as_ref().and_then(Cgroup::usage);
        let usage = match counted.and_then(|usage| Some((usage.memory?, usage))) {
            Some((memory, counted)) => Usage {
                memory,
                cache: counted.cache,
                swap: counted.swap,
                runnable,
            },
            None => Usage {
                memory: members.iter().map(proportional).sum(),
                runnable,
                ..Usage::default()
            },
        };
        (dyno.dyno, usage)
    });
    used.collect()
}

/// Those that take more than their quota, and how much they take, in bytes. Blocks: where there are dynos without control groups it
/// reads all of `/proc`, which takes milliseconds.
pub fn over(dynos: Vec<Measured>) -> Vec<(Id, u64)> {
    let mut over = Vec::new();
    let mut others = Vec::new();
    for dyno in dynos {
        let usage = dyno.cgroup.as_ref().and_then(Cgroup::usage);
        match usage.and_then(|usage| usage.memory) {
            Some(used) if used > dyno.quota => over.push((dyno.dyno, used)),
            Some(_) => {}
            None => others.push(dyno),
        }
    }
    if !others.is_empty() {
        over.extend(over_by_processes(&others));
    }
    over
}

fn over_by_processes(dynos: &[Measured]) -> Vec<(Id, u64)> {
    let all = processes::all();
    let mut over = Vec::new();
    for dyno in dynos {
        let members = processes::descendants(&all, dyno.shim);
        // What processes share counts for each of them here, so this is never too little, and it costs nothing more.
        let resident: u64 = members.iter().map(resident).sum();
        if resident <= dyno.quota {
            continue;
        }
        let used = members.iter().map(proportional).sum();
        if used > dyno.quota {
            over.push((dyno.dyno, used));
        }
    }
    over
}

fn resident(process: &Process) -> u64 {
    process.resident * page_size() as u64
}

/// With each shared page counted in equal parts for all who share it, and with what is swapped out.
fn proportional(process: &Process) -> u64 {
    let path = format!("/proc/{}/smaps_rollup", process.pid);
    let Ok(text) = std::fs::read_to_string(path) else {
        return resident(process);
    };
    let kilobytes = |name: &str| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.split_ascii_whitespace().next());
        number.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    (kilobytes("Pss:") + kilobytes("SwapPss:")) * 1024
}
