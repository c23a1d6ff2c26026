//! `penstock dyno-shim`: one small process a dyno, which outlives the server.
//!
//! A shim is the parent of a dyno's first process, so whatever becomes of the server, somebody is there who reads what the dyno
//! prints, and who learns how it ends. It has a session of its own and holds as little memory as it can: one thread, one
//! `poll`, and none of the server's parts.
//!
//! # How it is started, and found again
//!
//! The server listens on `shim.sock` in the dyno's folder, which is for its user alone, and starts the shim with the listening
//! socket as standard input and one end of a pair of sockets as standard output. The pair is the first connection: what to run
//! comes over it, and so the config vars are never in an argument or a file. What is to be open for as long as the shim runs, if
//! anything is, takes the place of standard error. Whoever can connect to `shim.sock` later has found
//! the shim; if nobody can, there is none, since the kernel closes the socket with its last holder. A caller that runs as
//! another user is turned away. One server is connected at a time, and a newer connection takes the place of the older one.
//!
//! # What is said
//!
//! Frames, as [`wire`] has them. On each connection the shim begins with a [`Hello`], then sends all output that no server has
//! acknowledged, and then what comes. A server acknowledges output when it is in the log, up to the end of the last whole line,
//! so that the next server gets a line that was cut off from its beginning. When nothing of the dyno is left, and all of its
//! output is sent, comes the exit; when the server has that on disk it sends a release, and the shim goes.
//!
//! # What is kept
//!
//! While a server is connected, a dyno that prints faster than its lines are taken waits, as with any pipe. While none is, it
//! must go on serving: then the oldest lines beyond [`KEPT`] bytes are dropped, and the next server is told how many.
//!
//! # How a dyno ends
//!
//! All processes of the dyno are the shim's descendants, however they detach themselves, since it is a subreaper. When the
//! first one has ended by itself, the rest is killed. When the dyno is stopped all get SIGTERM, and SIGKILL after the grace,
//! which the shim counts itself. Should the shim be killed, the kernel kills the first process.
//!
//! It must not know what an app is, nor what the server does with anything it says.

mod buffer;
mod child;
pub mod client;
mod connection;
mod ending;
mod holder;
mod input;
pub mod memory;
pub mod processes;
mod start;
mod terminal;
mod wire;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::sandbox;

/// The subcommand. It is no part of the command line that a person sees.
pub const SUBCOMMAND: &str = "dyno-shim";
/// The name of the socket in a dyno's folder.
pub const SOCKET: &str = "shim.sock";
/// Bytes of output kept while no server is connected.
pub const KEPT: usize = 1 << 20;

/// What a shim is to run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// For the server's own use: given back in each [`Hello`].
    pub note: String,
    pub program: Program,
    pub streams: Streams,
    /// End the dyno as soon as no server is connected.
    pub tied: bool,
}

/// A command, whole: nothing of the shim's own environment reaches it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    pub path: PathBuf,
    /// Without the name of the program itself.
    pub arguments: Vec<OsString>,
    pub environment: Vec<(OsString, OsString)>,
    /// Where it is run.
    pub folder: PathBuf,
    /// What it is run in. This has all that the command is then, and of the above only environment and folder count:
    /// they are the launcher's own.
    pub sandbox: Option<Box<sandbox::Spec>>,
}

/// What the first process of a dyno has as its standard input and output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Streams {
    /// Nothing to read. Standard output and standard error are one pipe.
    Output,
    /// The same, with a pipe as standard input.
    Pipes,
    /// A terminal of its own, for all three.
    Terminal(Size),
}

/// Of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub rows: u16,
    pub columns: u16,
}

/// What a shim says of itself and its dyno.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Of the package that the shim is of.
    pub version: String,
    /// The shim's own process.
    pub shim: i32,
    /// The dyno's first process, which leads a process group. It may have ended.
    pub pid: i32,
    /// Since that was started, on a clock that nobody can set.
    pub age_ms: u64,
    /// That process has ended.
    pub ended: bool,
    pub note: String,
}

/// Runs a shim if this process was started as one. Asked first of all, since even the parsing of arguments leaves memory behind.
pub fn run_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != SUBCOMMAND {
        return None;
    }
    let folder = arguments.next().map(PathBuf::from);
    Some(match start::run(&folder.unwrap_or_default()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("penstock {SUBCOMMAND}: {error}");
            ExitCode::FAILURE
        }
    })
}
