//! Which file of a group gets which limit.

use super::{Controller, Group};
use crate::sandbox::Limits;

/// A file of a group.
pub struct Name {
    pub file: &'static str,
    /// Without it the limit is not what was promised; others are there on some kernels only.
    pub must: bool,
}

/// In the order in which they are written.
pub fn limits(group: &Group, limits: &Limits) -> Vec<(Name, String)> {
    let controllers = group.controllers.iter();
    controllers
        .flat_map(|controller| match group.unified {
            true => second(*controller, limits),
            false => first(*controller, limits),
        })
        .collect()
}

fn first(controller: Controller, limits: &Limits) -> Vec<(Name, String)> {
    match controller {
        Controller::Memory => vec![
            must("memory.limit_in_bytes", limits.memory_max),
            // With what is swapped out, where that is counted.
            may("memory.memsw.limit_in_bytes", limits.memory_max),
        ],
        // 1024 is the weight of who has no group.
        Controller::Cpu => vec![must("cpu.shares", (limits.cpu_weight * 1024 / 100).max(2))],
        Controller::Pids => vec![must("pids.max", limits.pids)],
    }
}

fn second(controller: Controller, limits: &Limits) -> Vec<(Name, String)> {
    match controller {
        Controller::Memory => vec![
            must("memory.max", limits.memory_max),
            may("memory.swap.max", 0),
        ],
        Controller::Cpu => vec![must("cpu.weight", limits.cpu_weight.clamp(1, 10_000))],
        Controller::Pids => vec![must("pids.max", limits.pids)],
    }
}

fn must(file: &'static str, value: u64) -> (Name, String) {
    (Name { file, must: true }, value.to_string())
}

fn may(file: &'static str, value: u64) -> (Name, String) {
    (Name { file, must: false }, value.to_string())
}
