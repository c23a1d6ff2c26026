//! The `post-receive` hook: run by git when the refs have moved. The server hears of it, and whoever pushes sees what becomes of the
//! release. It decides nothing: the push has succeeded, whatever comes.

use std::io::{self, BufRead};
use std::process::ExitCode;

use super::frame::{self, Kind};
use super::hook::{self, Update};

pub(super) fn run() -> ExitCode {
    let lines = io::stdin().lock().lines().map_while(Result::ok);
    let updates = lines.filter_map(|line| Update::parse(&line));
    // All that git says is read.
    let built = updates.filter(Update::is_built).count() > 0;
    if follow().is_err() && built {
        hook::say(
            " !     The server is gone. What was pushed is kept, and its release goes on when the server is back: see heroku releases.\n",
        );
    }
    ExitCode::SUCCESS
}

fn follow() -> io::Result<()> {
    let mut server = hook::begin(Kind::Moved, None)?;
    loop {
        let (kind, text) = frame::receive(&mut server)?;
        hook::pass_on(&text);
        if kind != Kind::Text {
            return Ok(());
        }
    }
}
