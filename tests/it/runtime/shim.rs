//! A shim by itself, spoken to as a server speaks to it.

use std::io::Write;
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use penstock::name::Id;
use penstock::shim::client::ToShim;
use penstock::shim::{Program, SOCKET, SUBCOMMAND, Spec, Streams};

use super::processes_of;
use crate::binary::in_time;

#[test]
fn a_dyno_of_which_its_server_never_heard_does_not_run_on() {
    let folder = tempfile::tempdir().unwrap();
    let dyno = Id::new();
    let spec = Spec {
        note: String::new(),
        program: Program {
            path: "/bin/sleep".into(),
            arguments: vec!["1000".into()],
            environment: vec![("PENSTOCK_DYNO".into(), dyno.to_string().into())],
            folder: folder.path().into(),
            sandbox: None,
        },
        streams: Streams::Output,
        tied: false,
    };
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
