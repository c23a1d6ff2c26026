//! On which addresses a dyno listens, as `/proc` shows it.
//!
//! It must not know where it should.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};

use crate::shim::processes;

/// The kernel's word for a socket that listens (TCP_LISTEN of include/net/tcp_states.h).
const LISTENS: &str = "0A";
const TABLES: [&str; 2] = ["tcp", "tcp6"];
/// So many processes are looked at, and addresses found: a dyno may have any number of them.
const MOST: usize = 16;

/// Of a dyno, by its first process. None, too, where it does not let itself be looked at.
pub fn of(first: i32) -> BTreeSet<SocketAddr> {
    let all = processes::all();
    let family = processes::descendants(&all, first);
    let pids = [first]
        .into_iter()
        .chain(family.iter().map(|process| process.pid));
    pids.take(MOST).flat_map(of_process).take(MOST).collect()
}

fn of_process(pid: i32) -> Vec<SocketAddr> {
    let held = sockets(pid);
    if held.is_empty() {
        return Vec::new();
    }
    // A table is that of the process's own network, and tells of whoever is in it.
    let tables = TABLES.map(|table| fs::read_to_string(format!("/proc/{pid}/net/{table}")));
    let tables = tables.into_iter().flatten().collect::<String>();
    let lines = tables.lines();
    lines.filter_map(|line| listening(line, &held)).collect()
}

/// The numbers of the sockets that a process holds.
fn sockets(pid: i32) -> HashSet<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return HashSet::new();
    };
    let links = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    let numbers = links.filter_map(|link| {
        let number = link.to_str()?.strip_prefix("socket:[")?;
        Some(number.strip_suffix(']')?.to_owned())
    });
    numbers.collect()
}

/// The address in a line of a table, if one of these sockets listens there (proc_pid_net(5)).
fn listening(line: &str, held: &HashSet<String>) -> Option<SocketAddr> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (address, state, number) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    (*state == LISTENS && held.contains(*number)).then(|| read(address))?
}

/// `0100007F:1F90` is 127.0.0.1:8080 where numbers begin with their smallest byte: the kernel prints words of four bytes as numbers.
fn read(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = hex::decode(address).ok()?;
    for word in bytes.chunks_exact_mut(4) {
        let number = u32::from_be_bytes(<[u8; 4]>::try_from(&*word).ok()?);
        word.copy_from_slice(&number.to_ne_bytes());
    }
    let address = match <[u8; 16]>::try_from(&bytes[..]) {
        Ok(bytes) => IpAddr::from(bytes),
        Err(_) => IpAddr::from(<[u8; 4]>::try_from(&bytes[..]).ok()?),
    };
    Some(SocketAddr::new(address, port))
}
