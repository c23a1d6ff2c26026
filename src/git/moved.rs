//! The `post-receive` hook: run by git when the refs have moved. It shows whoever pushes what becomes of the release, and decides
//! nothing: the push has succeeded, whatever comes.

use std::io::{self, BufRead};
use std::process::ExitCode;

use super::frame::{self, Kind};
use super::hook::{self, Update};

pub(super) fn run() -> ExitCode {
    if follow().is_err() {
        hook::say(
            " !     The server is gone. What was pushed is kept, and its release goes on when the server is back: see heroku releases.\n",
        );
    }
    ExitCode::SUCCESS
}

fn follow() -> io::Result<()> {
    let mut built = false;
    for line in io::stdin().lock().lines() {
        built |= Update::parse(&line?).is_some_and(|update| update.is_built());
    }
    if !built {
        return Ok(());
    }
    let mut server = hook::begin(Kind::Moved, None)?;
    loop {
        let (kind, text) = frame::receive(&mut server)?;
        hook::pass_on(&text);
        if kind != Kind::Text {
            return Ok(());
        }
    }
}
