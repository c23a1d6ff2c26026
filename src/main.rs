//! Parses the arguments, calls the library, and tells a person in one line what went wrong.

use std::process::ExitCode;

use clap::Parser;
use penstock::cli::{Cli, exit_code};

fn main() -> ExitCode {
    if let Some(code) = penstock::shim::run_if_asked().or_else(penstock::sandbox::run_if_asked) {
        return code;
    }
    if let Some(code) = penstock::git::hook::run_if_asked() {
        return code;
    }
    if let Some(code) = penstock::cli::official_cli::run_if_asked() {
        return code;
    }
    match Cli::parse().run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("penstock: {error}");
            ExitCode::from(exit_code(&error))
        }
    }
}
