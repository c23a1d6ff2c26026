//! How a list is printed: for a person, for a script, and for a program.
//!
//! On a terminal it has a head and columns; elsewhere each row is a line with tabs between its values, as `cut` takes them; with
//! `--json` it is an array of objects. It must not know what is listed.

use std::io::{IsTerminal, Write, stdout};

use clap::Args;
use serde::Serialize;

use crate::error::{Error, Result};

#[derive(Args, Clone, Copy)]
pub struct Json {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Something that is listed.
pub trait Row: Serialize {
    /// The heads of its columns.
    const HEADS: &'static [&'static str];

    fn values(&self) -> Vec<String>;
}

/// Prints a list in the form that is asked for.
pub fn list<R: Row>(rows: &[R], form: Json) -> Result<()> {
    if form.json {
        return json(&rows);
    }
    let values: Vec<Vec<String>> = rows.iter().map(R::values).collect();
    match stdout().is_terminal() {
        true => line(&columns(R::HEADS, &values)),
        false => values.iter().try_for_each(|row| {
            let row: Vec<String> = row.iter().map(|value| clean(value)).collect();
            line(&format!("{}\n", row.join("\t")))
        }),
    }
}

/// Prints one value as JSON.
pub fn json<T: Serialize>(value: &T) -> Result<()> {
    let json = serde_json::to_string_pretty(value).map_err(Error::internal)?;
    line(&format!("{json}\n"))
}

/// Whoever reads may have seen enough (`| head`), which is no failure.
pub fn line(text: &str) -> Result<()> {
    match stdout().write_all(text.as_bytes()) {
        Err(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

fn columns(heads: &[&str], rows: &[Vec<String>]) -> String {
    let heads: Vec<String> = heads.iter().map(|head| head.to_uppercase()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(&heads)
        .chain(rows)
        .map(|row| row.iter().map(|value| clean(value)).collect())
        .collect();
    let width = |at: usize| {
        let widths = rows.iter().filter_map(|row| row.get(at));
        widths.map(|value| value.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(value, width)| format!("{value:<width$}"))
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// What a stranger has named stays on its line, and moves no cursor.
fn clean(value: &str) -> String {
    value.replace(char::is_control, " ")
}
