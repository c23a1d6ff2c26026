//! The real binary, run as a person would run it: a process with a data directory, talked to over its sockets.
//!
//! Dynos end with their server, unless it was started so that they survive it. One that is dropped is stopped with SIGTERM, and
//! must then have left nothing running; what survived the last server of a place ends with the place.

mod client;
mod deploy;
pub mod ports;
pub mod processes;
pub mod program;
pub mod sample;
mod tail;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use penstock::serve::Ready;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub use client::{Answer, Client, Lost};
pub use tail::Tail;

/// Long enough that only a hang takes so long.
pub const HANG: Duration = Duration::from_secs(40);

/// Dynos end with their server.
pub const TIED: &str = "--dynos-end-with-server";

/// A server process.
pub struct Server {
    pub ready: Ready,
    child: Option<Child>,
    stdout: BufReader<ChildStdout>,
    /// Where its standard error goes.
    log: PathBuf,
    /// Its dynos outlive it.
    pub is_survived: bool,
}

/// A folder for a test, in which servers are started one after another.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    /// Made by the server.
    pub fn data(&self) -> PathBuf {
        self.0.path().join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.0.path().join("server.log")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `penstock serve` on free ports, with whatever else is given.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = penstock(&["serve", "--data-dir"]);
        // What a test changes of the machine, it has to change back.
        command
            .arg(self.data())
            .env("PENSTOCK_DYNO_FORWARDING", "false");
        for listen in ["--listen", "--router-listen"] {
            if !arguments.contains(&listen) {
                command.args([listen, "127.0.0.1:0"]);
            }
        }
        command.args(arguments);
        command
    }

    pub fn start(&self) -> Server {
        Server::start(self.command(&[TIED]), &self.log())
    }

    /// A server whose dynos outlive it.
    pub fn start_survived(&self) -> Server {
        let mut server = Server::start(self.command(&[]), &self.log());
        server.is_survived = true;
        server
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        processes::kill_all(&self.data());
    }
}

/// The binary, with nothing of the caller's environment that could change what it does.
pub fn penstock(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_penstock"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .args(arguments)
        .stdin(Stdio::null());
    command
}

impl Server {
    /// Starts it, and waits for the line that says that it is ready. `log` gets what it says on standard error.
    pub fn start(command: Command, log: &Path) -> Server {
        Server::try_start(command, log).unwrap_or_else(|status| {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            panic!("the server ended with {status} before it was ready:\n{said}")
        })
    }

    /// As [`Server::start`]; the status if it ends before it is ready.
    pub fn try_start(mut command: Command, log: &Path) -> Result<Server, ExitStatus> {
        let stderr = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let reading = move || {
            let mut line = String::new();
            // The test runner's own lines come first where the server is run by one.
            while !line.starts_with('{') {
                line.clear();
                if stdout.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
            }
            (line, stdout)
        };
        let (line, stdout) = in_time(reading);
        match serde_json::from_str(&line) {
            Ok(ready) => Ok(Server {
                ready,
                child: Some(child),
                stdout,
                log: log.to_owned(),
                is_survived: false,
            }),
            Err(_) => {
                let status = in_time(move || child.wait().unwrap());
                Err(status)
            }
        }
    }

    /// A client with the owner's token.
    pub fn client(&self) -> Client {
        Client::new(&self.ready.api_url, self.router_port(), &self.ready.api_key)
    }

    pub fn router_port(&self) -> u16 {
        let (_, port) = self.ready.router_url.rsplit_once(':').unwrap();
        port.parse().unwrap()
    }

    pub fn data(&self) -> &Path {
        Path::new(&self.ready.data_dir)
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.ready.pid).unwrap()
    }

    /// SIGTERM, and its end: the status, and what it had still printed on standard output.
    pub fn stop(mut self) -> (ExitStatus, String) {
        let status = self.end(Signal::TERM);
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        self.nothing_is_left();
        (status, rest)
    }

    /// SIGTERM, and its end. Only where it was a good one must nothing be left.
    pub fn terminated(mut self) -> ExitStatus {
        let status = self.end(Signal::TERM);
        if status.success() {
            self.nothing_is_left();
        }
        status
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.end(Signal::KILL);
    }

    /// Waits for a server that ends by itself.
    pub fn ended(mut self) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        in_time(move || child.wait().unwrap())
    }

    fn end(&mut self, signal: Signal) -> ExitStatus {
        let mut child = self.child.take().unwrap();
        kill_process(Pid::from_child(&child), signal).ok();
        in_time(move || child.wait().unwrap())
    }

    fn nothing_is_left(&self) {
        if self.is_survived {
            return;
        }
        let mut left = processes::of(self.data());
        left.extend(processes::shims(self.data()));
        processes::kill_all(self.data());
        let left: Vec<&str> = left.iter().map(|left| left.command.as_str()).collect();
        assert!(left.is_empty(), "the server left {left:?} running");
    }

    fn tell_log(&self) {
        if std::thread::panicking() {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            eprintln!("the server said:\n{said}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.tell_log();
        if self.child.is_none() {
            return;
        }
        if std::thread::panicking() {
            self.end(Signal::KILL);
            processes::kill_all(self.data());
            return;
        }
        let status = self.end(Signal::TERM);
        self.nothing_is_left();
        assert!(status.success(), "the server ended with {status}");
    }
}

/// What a thread comes to that may take long, but not forever.
pub fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = mpsc::channel();
    std::thread::spawn(move || done.send(work()));
    result.recv_timeout(HANG).expect("it hangs")
}
