//! What an `app.json` asks to be run at which times: its `cron`, a list of `{command, schedule, concurrency_policy, suspended}`.
//!
//! A pure function from the file to checked entries, with a sentence for each thing that cannot be. It must not know when or how
//! they are run.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::app_json;
use crate::archive::RootFile;
use crate::error::{Error, Result};
use crate::schedule::Schedule;
use crate::store::cron_jobs::{ConcurrencyPolicy, Entry};

/// Jobs of one app at most.
const MAX_JOBS: usize = 100;
/// Bytes of one command.
const MAX_COMMAND: usize = 8 * 1024;

/// The jobs that the `app.json` among these files asks for; none without one, or with one that cannot be read and says nothing of
/// cron. 422 with all that is wrong with them.
pub fn entries(root: &BTreeMap<String, RootFile>) -> Result<Vec<Entry>> {
    let Some(file) = root.get(app_json::NAME) else {
        return Ok(Vec::new());
    };
    let mut faults = Vec::new();
    let entries = match app_json::read_for(file, "cron") {
        Ok(Some(root)) => read(&root, &mut faults),
        Ok(None) => Vec::new(),
        Err(fault) => {
            faults.push(fault);
            Vec::new()
        }
    };
    match faults.is_empty() {
        true => Ok(entries),
        false => Err(Error::invalid(format!(
            "The app.json cannot be used, since it is where cron jobs stand: {}. Mend it, then build again.",
            faults.join("; ")
        ))),
    }
}

/// The jobs that the object asks for, less those at fault.
pub fn read(root: &Map<String, Value>, faults: &mut Vec<String>) -> Vec<Entry> {
    let list = match root.get("cron") {
        None | Some(Value::Null) => return Vec::new(),
        Some(Value::Array(list)) => list,
        Some(_) => {
            faults.push("cron must be a list".to_owned());
            return Vec::new();
        }
    };
    if list.len() > MAX_JOBS {
        faults.push(format!("cron has more than {MAX_JOBS} entries"));
        return Vec::new();
    }
    let mut entries: Vec<Entry> = Vec::new();
    for (at, value) in list.iter().enumerate() {
        let path = format!("cron[{at}]");
        let Some(about) = value.as_object() else {
            faults.push(format!("{path} must be an object"));
            continue;
        };
        let Some(entry) = entry(about, &path, faults) else {
            continue;
        };
        let same =
            |other: &Entry| other.command == entry.command && other.schedule == entry.schedule;
        if entries.iter().any(same) {
            faults.push(format!(
                "{path} has the command and the schedule of another entry"
            ));
        }
        entries.push(entry);
    }
    entries
}

fn entry(about: &Map<String, Value>, path: &str, faults: &mut Vec<String>) -> Option<Entry> {
    let before = faults.len();
    let command = text(about, "command", path, faults);
    if command.len() > MAX_COMMAND || command.contains('\0') {
        faults.push(format!(
            "{path}.command must be at most {MAX_COMMAND} bytes, and hold no NUL character"
        ));
    }
    let schedule = text(about, "schedule", path, faults);
    if !schedule.is_empty()
        && let Err(fault) = Schedule::parse(&schedule)
    {
        faults.push(format!("{path}.schedule: {fault}"));
    }
    let concurrency_policy = policy(about.get("concurrency_policy"), path, faults);
    let suspended = match about.get("suspended") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(suspended)) => *suspended,
        Some(_) => {
            faults.push(format!("{path}.suspended must be true or false"));
            false
        }
    };
    (faults.len() == before).then_some(Entry {
        command,
        schedule,
        concurrency_policy,
        suspended,
    })
}

/// A text that must be there. Blanks around it mean nothing.
fn text(about: &Map<String, Value>, key: &str, path: &str, faults: &mut Vec<String>) -> String {
    let text = about.get(key).and_then(Value::as_str).unwrap_or("").trim();
    if text.is_empty() {
        faults.push(format!("{path}.{key} must be a string that says something"));
    }
    text.to_owned()
}

/// In any case of its letters. Without one, no second run begins while one goes on.
fn policy(value: Option<&Value>, path: &str, faults: &mut Vec<String>) -> ConcurrencyPolicy {
    let text = match value {
        None | Some(Value::Null) => return ConcurrencyPolicy::Forbid,
        Some(value) => value.as_str().unwrap_or(""),
    };
    let all = [
        ConcurrencyPolicy::Allow,
        ConcurrencyPolicy::Forbid,
        ConcurrencyPolicy::Replace,
    ];
    let found = all
        .into_iter()
        .find(|policy| policy.as_str().eq_ignore_ascii_case(text));
    found.unwrap_or_else(|| {
        faults.push(format!(
            "{path}.concurrency_policy must be Allow, Forbid or Replace"
        ));
        ConcurrencyPolicy::Forbid
    })
}
