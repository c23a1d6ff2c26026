//! Ports for programs that must be told theirs.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the ports of web dynos begin, which other tests' servers give to dynos.
const OF_DYNOS: u32 = 20_000;

/// A port that stays free until somebody listens on it who was told which it is: the system gives those of this range to nobody who
/// does not name one, be it to listen on or to speak from, and neither does a server to a dyno.
pub fn port() -> u16 {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let first_of_system: u32 = range.split_whitespace().next().unwrap().parse().unwrap();
    let lowest = first_of_system.min(OF_DYNOS) * 4 / 5;
    let ports = first_of_system.min(OF_DYNOS) - lowest;
    loop {
        // Two runs of the tests at the same time begin at different ones.
        let turn = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = lowest + (std::process::id() * 16 + turn) % ports;
        let address = ("127.0.0.1", u16::try_from(port).unwrap());
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address.1;
        }
    }
}
