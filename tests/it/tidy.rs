//! What keeps the house in order: who may name whom, how long things are, and where they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Lines of a file at most.
const FILE_LINES: usize = 400;
/// Lines of a handler at most.
const HANDLER_LINES: usize = 30;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file under a folder, by its path from the root, with its text.
fn files(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.push((name, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(!found.is_empty(), "there is nothing under {folder}");
    found.sort();
    found
}

/// The code of a file: its lines, less those that are comments.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let numbered = text.lines().enumerate().map(|(at, line)| (at + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Fails with all that was found, a line each.
#[track_caller]
fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n{}", found.join("\n"));
}

#[test]
fn no_file_is_long() {
    let mut long = Vec::new();
    for (name, text) in files("src").into_iter().chain(files("tests")) {
        let lines = text.lines().count();
        if lines > FILE_LINES {
            long.push(format!("{name} has {lines} lines"));
        }
    }
    none("files of more than 400 lines", &long);
}

#[test]
fn every_module_says_what_it_is_for() {
    let all = files("src").into_iter().chain(files("tests/it"));
    let silent = all.filter(|(_, text)| !text.starts_with("//! "));
    let silent: Vec<String> = silent.map(|(name, _)| name).collect();
    none("modules without a //! at their top", &silent);
}

#[test]
fn sql_stands_in_the_store_alone() {
    const SQL: [&str; 8] = [
        "\"SELECT ",
        "\"INSERT ",
        "\"UPDATE ",
        "\"DELETE FROM",
        "\"PRAGMA",
        ".prepare",
        ".execute(",
        ".query_row(",
    ];
    let mut found = Vec::new();
    for (name, text) in files("src") {
        if name.starts_with("src/store/") {
            continue;
        }
        for (at, line) in code(&text) {
            if SQL.iter().any(|sql| line.contains(sql)) {
                found.push(format!("{name}:{at}: {}", line.trim()));
            }
        }
    }
    none("SQL outside src/store", &found);
}

#[test]
fn handlers_are_short() {
    let mut long = Vec::new();
    let mut handlers = 0;
    for (name, text) in files("src/api") {
        let mut begun = None;
        for (at, line) in text.lines().enumerate() {
            if line.starts_with("pub async fn ") {
                begun = Some((at, line));
                handlers += 1;
            }
            if line == "}"
                && let Some((from, head)) = begun.take()
                && at + 1 - from > HANDLER_LINES
            {
                long.push(format!(
                    "{name}:{}: {head} has {} lines",
                    from + 1,
                    at + 1 - from
                ));
            }
        }
    }
    assert!(handlers > 40, "only {handlers} handlers were found");
    none("handlers of more than 30 lines", &long);
}

#[test]
fn no_test_sleeps() {
    let sleep = concat!("sleep", "(");
    let mut found = Vec::new();
    for (name, text) in files("tests/it") {
        for (at, line) in code(&text) {
            if line.contains(sleep) {
                found.push(format!("{name}:{at}: {}", line.trim()));
            }
        }
    }
    none("tests that sleep", &found);
}

#[test]
fn nothing_is_unwrapped_or_left_to_do_in_the_program() {
    const REFUSED: [&str; 6] = [
        ".unwrap()",
        ".expect(",
        "panic!(",
        "todo!(",
        "unimplemented!(",
        "dbg!(",
    ];
    let mut found = Vec::new();
    for (name, text) in files("src") {
        for (at, line) in code(&text) {
            if REFUSED.iter().any(|word| line.contains(word)) {
                found.push(format!("{name}:{at}: {}", line.trim()));
            }
        }
    }
    none("unwraps and panics", &found);
}

/// Who may name whom: for each module, the modules it may name.
type Layers = BTreeMap<String, BTreeSet<String>>;

/// The table of src/lib.rs, so that what is enforced is what is written there.
fn layers() -> Layers {
    let map = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let rows: Vec<Vec<&str>> = map
        .lines()
        .filter_map(|line| line.strip_prefix("//! | "))
        .filter(|row| row.starts_with("[`"))
        .map(|row| {
            row.trim_end_matches('|')
                .split('|')
                .map(str::trim)
                .collect()
        })
        .collect();
    let all: BTreeSet<String> = rows.iter().flat_map(|row| words(row[0])).collect();
    let mut layers = Layers::new();
    let mut above = BTreeSet::new();
    for row in &rows {
        let own: BTreeSet<String> = words(row[0]).into_iter().collect();
        let may: BTreeSet<String> = match row[2] {
            "one another" => own.clone(),
            "the above" => above.clone(),
            "one another and the above" => own.union(&above).cloned().collect(),
            "everything" => all.clone(),
            other => {
                let but = words(other.strip_prefix("all but ").expect(other));
                all.iter()
                    .filter(|name| !but.contains(name))
                    .cloned()
                    .collect()
            }
        };
        above.extend(own.iter().cloned());
        for module in own {
            let mut may = may.clone();
            may.insert(module.clone());
            layers.insert(module, may);
        }
    }
    layers
}

/// The words in backticks.
fn words(text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// The modules of ours that a file names, by paths from `crate::`.
fn named(text: &str) -> BTreeSet<String> {
    let code: Vec<&str> = code(text).map(|(_, line)| line).collect();
    let code = code.join("\n");
    let mut named = BTreeSet::new();
    for (at, path) in code.match_indices("crate::") {
        let rest = &code[at + path.len()..];
        let group = rest
            .strip_prefix('{')
            .map(|rest| rest.split('}').next().unwrap());
        let firsts = group.unwrap_or(rest).split(',');
        let count = if group.is_some() { usize::MAX } else { 1 };
        for first in firsts.take(count) {
            let end = first
                .trim()
                .find(|c: char| !c.is_alphanumeric() && c != '_');
            let first = &first.trim()[..end.unwrap_or(first.trim().len())];
            named.insert(match first {
                "Platform" => "platform".to_owned(),
                first => first.to_owned(),
            });
        }
    }
    named.remove("");
    named
}

#[test]
fn every_module_names_only_what_the_map_allows_it() {
    let layers = layers();
    let mut wrong = Vec::new();
    for (name, text) in files("src") {
        let own = name.trim_start_matches("src/").trim_end_matches(".rs");
        let own = own.split('/').next().unwrap();
        if matches!(own, "lib" | "main") {
            continue;
        }
        let may = layers
            .get(own)
            .unwrap_or_else(|| panic!("{own} is not on the map"));
        for other in named(&text) {
            assert!(
                layers.contains_key(&other),
                "{name} names {other}, which is not on the map"
            );
            if !may.contains(&other) {
                wrong.push(format!("{name} names {other}"));
            }
        }
    }
    none("what the map in src/lib.rs does not allow", &wrong);
}
