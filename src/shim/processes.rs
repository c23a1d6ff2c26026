//! Processes as `/proc` shows them: who descends from whom, and signals that reach no stranger.
//!
//! It knows no dynos.

use std::collections::{HashMap, HashSet};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// A process, or what is left of one until its parent asks for its status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub group: i32,
    /// In ticks since the machine started. Tells a process from a later one with the same number.
    pub started: u64,
    /// Resident memory, in pages. What is shared counts in full.
    pub resident: u64,
    /// It has ended, and only its status is left.
    pub ended: bool,
    /// It runs, or could if it had a processor.
    pub runnable: bool,
}

impl Process {
    /// `None` when there is none with this number.
    pub fn read(pid: i32) -> Option<Process> {
        let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let text = String::from_utf8_lossy(&text);
        // The name in front of the fields is the process's to choose, and ends at the last parenthesis.
        let (_, fields) = text.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        Some(Process {
            pid,
            ended: matches!(*fields.first()?, "Z" | "X" | "x"),
            runnable: *fields.first()? == "R",
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
            resident: fields.get(21)?.parse().unwrap_or(0),
        })
    }

    /// Sends a signal through a descriptor of the process that was looked at, so that a stranger with the same number is safe.
    pub fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else {
            return;
        };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else {
            return;
        };
        if Process::read(self.pid).is_some_and(|now| now.started == self.started) {
            // It may have ended by itself just now.
            let _ = pidfd_send_signal(descriptor, signal);
        }
    }
}

/// Every process but this one.
pub fn all() -> Vec<Process> {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| *pid != own)
        .filter_map(Process::read)
        .collect()
}

/// Those of `all` that descend from a process, without itself.
pub fn descendants(all: &[Process], ancestor: i32) -> Vec<Process> {
    let mut children: HashMap<i32, Vec<Process>> = HashMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(*process);
    }
    let mut found = Vec::new();
    let (mut seen, mut next) = (HashSet::from([ancestor]), vec![ancestor]);
    while let Some(parent) = next.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            if seen.insert(child.pid) {
                next.push(child.pid);
                found.push(child);
            }
        }
    }
    found
}
