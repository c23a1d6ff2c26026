//! A network of two for each dyno: a virtual cable between its namespace and this machine, and rules about who may use it.
//!
//! Through it the router reaches the dyno, and the dyno reaches out under this machine's address. It reaches nothing that listens
//! on this machine, no other dyno, and no address that clouds keep secrets behind. Everything is said to the kernel by netlink:
//! no program is needed.

mod claims;
mod expression;
mod firewall;
mod link;
mod message;

use std::fs::{self, File, Permissions};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::{Network, Pool};

pub use claims::{Claims, mark_for_holder};
pub use firewall::{TABLE, remove as remove_rules};

/// Every cable's end on this machine begins like this, so that one set of rules is right for all of them.
pub const PREFIX: &str = "dyno-";
/// The group of interfaces that the ends of dynos are in which reach no private network: a number that nobody else has a use for.
const CLOSED: u32 = 0x7065_6e73;
/// The dyno's own end.
const INSIDE: &str = "eth0";
/// Where the kernel shows all interfaces, by their names.
const CABLES: &str = "/sys/class/net";
/// Held while cables and rules come and go, by whoever isolates dynos on this machine. Each byte of it stands for an address, too.
const LOCK: &str = "/run/penstock.lock";

/// The cable's name. There is one for each address, so the kernel refuses the same one twice.
pub fn name(address: Ipv4Addr) -> String {
    format!("{PREFIX}{:08x}", address.to_bits())
}

/// Connects the namespace of the process `pid` with this one.
pub fn connect(network: &Network, pid: i32) -> io::Result<()> {
    let _held = lock()?;
    firewall::ensure()?;
    link::connect(network, pid)
}

/// Takes the cable of this network's owner away, and the rules with the last one. Harmless when it is gone, though somebody else may
/// have one for that address by now.
pub fn disconnect(network: &Network) {
    // It goes with the namespace, but not at once. The kernel takes some twenty milliseconds, for which nobody else is to wait: the
    // rules stay until it is gone.
    let _ = link::remove(network);
    if let Ok(_held) = lock()
        && cables().is_empty()
    {
        let _ = firewall::remove();
    }
}

/// Keeps what is meant for a dyno on this machine, even before its cable is there and after: else a connection to it would go
/// wherever the machine's other packets go, and a stranger might answer. For as long as dynos may come.
pub fn fence(pool: Pool) -> io::Result<()> {
    let _held = lock()?;
    link::fence(pool.first(), pool.bits())
}

/// Sees to it that the fence and all rules are there, if there are cables: a firewall that is loaded anew takes the rules of all others
/// with it, and nothing else would bring them back as long as no dyno comes.
pub fn guard(pool: Pool) -> io::Result<()> {
    // One that was only tried goes by itself, with all that came with it.
    let are_some = || cables().iter().any(|name| !link::is_trial(name));
    if !are_some() {
        return Ok(());
    }
    let _held = lock()?;
    // The last one may have gone meanwhile.
    if !are_some() {
        return Ok(());
    }
    link::fence(pool.first(), pool.bits())?;
    firewall::ensure()
}

/// No more dynos are to come from whoever says so.
pub fn unfence(pool: Pool) -> io::Result<()> {
    let _held = lock()?;
    match cables().is_empty() {
        true => link::unfence(pool.first(), pool.bits()),
        false => Ok(()),
    }
}

/// What the names of those begin with who have a cable only to try it.
pub const TRIAL: &str = "probe-";

/// The names of all cables on this machine.
pub fn cables() -> Vec<String> {
    let Ok(entries) = fs::read_dir(CABLES) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| is_cable(name))
        .collect()
}

fn is_cable(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == 8 && u32::from_str_radix(rest, 16).is_ok())
}

/// In a new namespace, before its cable is there: it speaks IPv4 alone, for which the rules are.
pub fn prepare() -> io::Result<()> {
    switch("ipv6", "default", "disable_ipv6", true)
}

/// In its own namespace, once the cable is there.
pub fn configure(network: &Network) -> io::Result<()> {
    link::configure(network)
}

/// Waits until packets go through a cable that was configured at both ends.
pub fn settle(cable: &str) {
    link::settle(cable);
}

/// Sets one of the kernel's switches for an interface. What the kernel does not have needs no switching.
fn switch(family: &str, interface: &str, name: &str, on: bool) -> io::Result<()> {
    let path = Path::new("/proc/sys/net")
        .join(family)
        .join("conf")
        .join(interface)
        .join(name);
    match fs::write(path, if on { "1" } else { "0" }) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether this machine passes packets on, without which dynos reach the router and nothing else.
pub fn forwards() -> bool {
    fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
}

/// Makes this machine pass packets on.
pub fn forward() -> io::Result<()> {
    fs::write("/proc/sys/net/ipv4/ip_forward", "1")
}

/// Bytes of a packet on the way out of this machine; those of Ethernet if there is none.
pub fn mtu() -> u32 {
    const ETHERNET: u32 = 1500;
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    routes
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (interface, destination) = (fields.next()?, fields.next()?);
            (destination == "00000000").then_some(interface)
        })
        .find_map(|interface| {
            let path = Path::new(CABLES).join(interface).join("mtu");
            fs::read_to_string(path).ok()?.trim().parse().ok()
        })
        .unwrap_or(ETHERNET)
        .clamp(576, 9_000)
}

fn lock() -> io::Result<File> {
    let file = open()?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

fn open() -> io::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(LOCK)?;
    // Whoever may open it may also hold it, and keep every dyno from starting.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}
