//! Takes what the comments of the API's handlers say over into its contract, so that it is written once.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

const HANDLERS: &str = "src/api";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={HANDLERS}");
    let mut files = Vec::new();
    for entry in fs::read_dir(HANDLERS)? {
        files.push(entry?.path());
    }
    files.sort();
    let mut table = String::from("&[\n");
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|kind| kind == "rs"))
    {
        let module = file.file_stem().unwrap_or_default().display();
        for (name, comment) in handlers(&fs::read_to_string(file)?) {
            table.push_str(&format!(
                "({:?}, {comment:?}),\n",
                format!("::{module}::{name}")
            ));
        }
    }
    table.push(']');
    let out = env::var_os("OUT_DIR").ok_or("cargo did not say where to write to")?;
    fs::write(Path::new(&out).join("handlers.rs"), table)?;
    Ok(())
}

/// Each function that a route may name and that has a comment, with it.
fn handlers(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut comment: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("///") {
            comment.push(words.trim());
        } else if let Some(function) = line.strip_prefix("pub async fn ") {
            let name = function.split(['(', '<']).next().unwrap_or_default();
            if !comment.is_empty() {
                found.push((name.to_owned(), comment.join(" ")));
            }
            comment.clear();
        } else if !line.starts_with("#[") {
            comment.clear();
        }
    }
    found
}
