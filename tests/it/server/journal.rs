//! A server whose standard output systemd has go to its journal, which more people read than may get in.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;

use rustix::process::{Pid, Signal, kill_process};

use crate::binary::{Place, TIED, in_time};

/// Starts a server that writes to a file, says to it that the journal is this device and inode, and tells what is in the file once
/// it serves.
fn written(journal: impl Fn(&File) -> String) -> String {
    let place = Place::new();
    let (output, notify) = (place.path("output"), place.path("notify"));
    let file = File::create(&output).unwrap();
    let ready = UnixDatagram::bind(&notify).unwrap();
    let mut command = place.command(&[TIED]);
    command
        .env("JOURNAL_STREAM", journal(&file))
        .env("NOTIFY_SOCKET", &notify)
        .stdout(file);
    let mut server = command.spawn().unwrap();
    let told = in_time(move || {
        let mut told = [0; 256];
        let length = ready.recv(&mut told).unwrap();
        String::from_utf8_lossy(&told[..length]).into_owned()
    });
    assert!(told.contains("READY=1"), "{told}");
    kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
    in_time(move || assert!(server.wait().unwrap().success()));
    std::fs::read_to_string(output).unwrap()
}

#[test]
fn no_token_is_written_to_the_journal() {
    let of = |file: &File| {
        let file = file.metadata().unwrap();
        format!("{}:{}", file.dev(), file.ino())
    };
    assert_eq!(written(of), "");
    // What a service starts has the variable too, and writes elsewhere.
    assert!(written(|_| "0:0".to_owned()).contains("api_key"));
}
