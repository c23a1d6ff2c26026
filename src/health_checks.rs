//! What an `app.json` says of how it is seen that a dyno is up: `healthchecks`, by process type.
//!
//! A list from the file, or a sentence for what in it cannot be. Only a `startup` check of `web` with a path
//! is looked at, since no other type has a port and a running dyno is not asked again; the rest of what other platforms know of
//! (`liveness`, `command` and the like) is let be. It must not know who asks a dyno, or when.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::app_json;
use crate::archive::RootFile;
use crate::error::{self, Error};

/// Of the file, in bytes. A longer one is refused.
const MAX_BYTES: u64 = 64 * 1024;
/// Checks of one process type at most: each takes time from the dyno's start.
const MAX_CHECKS: usize = 5;
/// Of a path, in bytes.
const MAX_PATH: usize = 1_000;
/// How long one answer may take, in seconds, unless the check says otherwise.
const TIMEOUT: u64 = 5;
const MAX_TIMEOUT: u64 = 60;

/// A question to a dyno, and the answer that says that it is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is asked for with GET.
    pub path: String,
    /// Any 2xx or 3xx will do, where there is none.
    pub status: Option<u16>,
    /// For one answer, in seconds.
    pub timeout: u64,
}

/// 422 when the `app.json` among these files asks for checks that cannot be.
pub fn check(root: &BTreeMap<String, RootFile>) -> error::Result<()> {
    let read = root.get(app_json::NAME).map(read);
    match read {
        Some(Err(fault)) => Err(Error::invalid(format!(
            "{fault}. Mend it, then build again."
        ))),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// The checks of the web dynos of an app whose files are in this folder: none, where there is no `app.json`. Links are not
/// followed.
pub fn of_folder(folder: &Path) -> Result<Vec<HealthCheck>, String> {
    let path = folder.join(app_json::NAME);
    let unreadable = |cause: std::io::Error| format!("app.json cannot be read: {cause}");
    let size = match fs::symlink_metadata(&path) {
        Ok(found) if found.is_file() => found.len(),
        Ok(_) => return Ok(Vec::new()),
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(unreadable(cause)),
    };
    let mut bytes = Vec::new();
    let file = File::open(&path).map_err(unreadable)?;
    file.take(MAX_BYTES)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    read(&RootFile { bytes, size })
}

/// The checks of web dynos, none where the file cannot be read and says nothing of them; else what in the file cannot be.
pub fn read(file: &RootFile) -> Result<Vec<HealthCheck>, String> {
    match app_json::read_for(file, "healthchecks")? {
        Some(root) => checks(&root),
        None => Ok(Vec::new()),
    }
}

fn checks(root: &Map<String, Value>) -> Result<Vec<HealthCheck>, String> {
    let by_type = match root.get("healthchecks") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(by_type)) => by_type,
        Some(_) => {
            return Err("healthchecks in app.json must be an object of process types".to_owned());
        }
    };
    let web = match by_type.get("web") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(web)) => web,
        Some(_) => return Err("healthchecks.web in app.json must be a list".to_owned()),
    };
    let mut checks = Vec::new();
    for (at, entry) in web.iter().enumerate() {
        let place = format!("healthchecks.web[{at}]");
        let Value::Object(entry) = entry else {
            return Err(format!("{place} in app.json must be an object"));
        };
        checks.extend(one(&place, entry)?);
    }
    match checks.len() {
        0..=MAX_CHECKS => Ok(checks),
        _ => Err(format!(
            "healthchecks.web in app.json has more than {MAX_CHECKS} checks"
        )),
    }
}

/// None for a check that is not for the start of a dyno, or that only asks for its port.
fn one(place: &str, entry: &Map<String, Value>) -> Result<Option<HealthCheck>, String> {
    let kind = entry
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("startup");
    let path = match entry.get("path") {
        None | Some(Value::Null) => return Ok(None),
        Some(path) => path.as_str().filter(|path| is_path(path)),
    };
    let path = path.ok_or_else(|| {
        format!(
            "{place}.path in app.json must be a path such as /health, of {MAX_PATH} bytes at most"
        )
    })?;
    let status = number(entry, "status", 100..=599)
        .map_err(|()| format!("{place}.status in app.json must be a status from 100 to 599"))?;
    let timeout = number(entry, "timeout", 1..=MAX_TIMEOUT).map_err(|()| {
        format!("{place}.timeout in app.json must be from 1 to {MAX_TIMEOUT} seconds")
    })?;
    let check = HealthCheck {
        path: path.to_owned(),
        status: status.and_then(|status| u16::try_from(status).ok()),
        timeout: timeout.unwrap_or(TIMEOUT),
    };
    Ok((kind == "startup").then_some(check))
}

/// What can stand in a request's first line as it is.
fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= MAX_PATH
        && path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
}

fn number(
    entry: &Map<String, Value>,
    name: &str,
    range: std::ops::RangeInclusive<u64>,
) -> Result<Option<u64>, ()> {
    match entry.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64().filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(()),
        },
    }
}
