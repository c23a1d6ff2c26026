//! The bytes of an `app.json`, as a JSON object within bounds.
//!
//! It must not know what stands in it.

use serde_json::{Map, Value};

use crate::archive::RootFile;

/// Bytes of it at most.
const MAX_BYTES: u64 = 64 * 1024;
/// Objects and lists within one another at most. What has a meaning is at depth 5.
const MAX_DEPTH: usize = 12;
/// Entries of any one list or object.
const MAX_ENTRIES: usize = 200;

/// The file as a JSON object within bounds; else what it is instead.
pub fn read(file: &RootFile) -> Result<Map<String, Value>, String> {
    if file.size > MAX_BYTES {
        return Err(format!("app.json is larger than {MAX_BYTES} bytes"));
    }
    let value: Value = serde_json::from_slice(&file.bytes)
        .map_err(|cause| format!("app.json is not valid JSON: {cause}"))?;
    check_depth(&value, MAX_DEPTH)?;
    match value {
        Value::Object(root) => Ok(root),
        _ => Err("app.json must be a JSON object".to_owned()),
    }
}

/// The file as [`read`] has it, for who wants nothing of it but what stands under `key`. `None` when it cannot be read and has no
/// such word in it: Heroku reads the file where an app is made from it and nowhere else, so one that is no strict JSON, with
/// comments perhaps, is in nobody's way until then.
pub fn read_for(file: &RootFile, key: &str) -> Result<Option<Map<String, Value>>, String> {
    let word = format!("\"{key}\"");
    match read(file) {
        Ok(root) => Ok(Some(root)),
        Err(fault) if contains(&file.bytes, word.as_bytes()) => Err(fault),
        Err(_) => Ok(None),
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|part| part == word)
}

fn check_depth(value: &Value, left: usize) -> Result<(), String> {
    let inner: Vec<&Value> = match value {
        Value::Object(map) => map.values().collect(),
        Value::Array(list) => list.iter().collect(),
        _ => return Ok(()),
    };
    if left == 0 {
        return Err(format!("app.json is nested more than {MAX_DEPTH} deep"));
    }
    if inner.len() > MAX_ENTRIES {
        return Err(format!(
            "app.json has a list or an object of more than {MAX_ENTRIES} entries"
        ));
    }
    inner
        .into_iter()
        .try_for_each(|value| check_depth(value, left - 1))
}
