//! A shim by itself, spoken to as a server speaks to it.

use std::io::Write;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use penstock::name::Id;
use penstock::shim::client::{self, FromShim, ToShim};
use penstock::shim::{Program, SOCKET, SUBCOMMAND, Spec, Streams};

use super::{processes_of, soon};
use crate::binary::in_time;

/// A dyno that sleeps for so many seconds.
fn sleeping(folder: &Path, dyno: Id, seconds: &str) -> Spec {
    Spec {
        note: String::new(),
        program: Program {
            path: "/bin/sleep".into(),
            arguments: vec![seconds.into()],
            environment: vec![("PENSTOCK_DYNO".into(), dyno.to_string().into())],
            folder: folder.into(),
            sandbox: None,
        },
        streams: Streams::Output,
        tied: false,
    }
}

#[tokio::test]
async fn a_shim_has_ended_when_its_connection_has() {
    // A server that stops goes as soon as its connections have ended, and a shim may not outlive it by a moment.
    for _ in 0..50 {
        let folder = tempfile::tempdir().unwrap();
        let program = Path::new(env!("CARGO_BIN_EXE_penstock"));
        let spec = sleeping(folder.path(), Id::new(), "0");
        let starting = client::start(program, folder.path(), spec, None);
        let mut shim = starting.await.unwrap();
        while let Some(said) = soon(shim.hearing.next()).await.unwrap() {
            if matches!(said, FromShim::Exited { .. }) {
                shim.speaking.say(&ToShim::Release);
            }
        }
        // Empty for one that waits to be reaped.
        let line = std::fs::read(format!("/proc/{}/cmdline", shim.hello.shim));
        assert_eq!(line.unwrap_or_default(), b"");
    }
}

#[test]
fn a_dyno_of_which_its_server_never_heard_does_not_run_on() {
    let folder = tempfile::tempdir().unwrap();
    let dyno = Id::new();
    let spec = sleeping(folder.path(), dyno, "1000");
    let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
    let (mut own, other) = UnixStream::pair().unwrap();
    let launch = ToShim::Launch(Box::new(spec)).encode().unwrap();
    own.write_all(&launch).unwrap();
    // A server that has given up hears nothing any more.
    own.shutdown(Shutdown::Read).unwrap();
    let mut shim = Command::new(env!("CARGO_BIN_EXE_penstock"))
        .arg(SUBCOMMAND)
        .arg(folder.path())
        .stdin(OwnedFd::from(listener))
        .stdout(OwnedFd::from(other))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = in_time(move || shim.wait().unwrap());
    assert!(status.success(), "{status}");
    assert!(processes_of(dyno).is_empty());
}
