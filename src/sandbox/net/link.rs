//! The cable itself: a pair of virtual Ethernet devices, an address and a route at each end.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use nix::libc;
use nix::net::if_::if_nametoindex;

use super::message::{Attributes, CREATE, EXCLUSIVE, Message, Netlink, REPLACE};
use super::{CABLES, CLOSED, INSIDE, TRIAL, name, switch};
use crate::sandbox::Network;
use crate::transport::UNCROWDED;

const INFO_KIND: u16 = libc::IFLA_INFO_KIND;
const INFO_DATA: u16 = libc::IFLA_INFO_DATA;
/// `VETH_INFO_PEER` of linux/veth.h.
const PEER: u16 = 1;
/// The link is set by no routing program.
const STATIC: u8 = 4;
/// `RTAX_CC_ALGO` of linux/rtnetlink.h: by which rules whoever goes this way avoids crowding it.
const CONGESTION: u16 = 16;
const LOOPBACK: u32 = 1;
/// How often, and how long between, an end is looked at that does not let packets through yet. After that it will do so later.
const SETTLING: u32 = 200;
const MOMENT: Duration = Duration::from_millis(1);

pub fn connect(network: &Network, pid: i32) -> io::Result<()> {
    let kernel = Netlink::route()?;
    let outside = name(network.address);
    kernel.say(vec![pair(&outside, network, pid)])?;
    let index = if_nametoindex(outside.as_str())?;
    let connected = kernel
        .say(vec![owned(index, &network.owner)])
        .and_then(|()| switch("ipv6", &outside, "disable_ipv6", true))
        .and_then(|()| switch("ipv4", &outside, "forwarding", true))
        .and_then(|()| {
            kernel.say(vec![
                address(index, network.gateway, network.address),
                up(index),
            ])
        });
    if connected.is_err() {
        let _ = kernel.say(vec![gone(index)]);
    }
    connected
}

/// Waits until this machine's end of a cable lets packets through, of which both ends are up. It does so only once the kernel has
/// taken note of that, and what is sent before is lost: TCP tries again after a second. Whoever reads its carrier makes the kernel
/// take note (since Linux 6.8, `linkwatch_sync_dev`).
pub fn settle(outside: &str) {
    let folder = Path::new(CABLES).join(outside);
    for _ in 0..SETTLING {
        let _ = fs::read(folder.join("carrier"));
        match fs::read_to_string(folder.join("operstate")) {
            Ok(state) if state.trim() != "up" => std::thread::sleep(MOMENT),
            _ => return,
        }
    }
}

pub fn configure(network: &Network) -> io::Result<()> {
    let index = if_nametoindex(INSIDE)?;
    let kernel = Netlink::route()?;
    kernel.say(vec![
        up(LOOPBACK),
        address(index, network.address, network.gateway),
        up(index),
        way_out(index, network.gateway),
    ])?;
    // Without it all works, only more slowly.
    let _ = kernel.say(vec![way_back(index, network.gateway)]);
    Ok(())
}

/// Removes the cable for this address if it is this owner's. What is not there is removed already.
pub fn remove(network: &Network) -> io::Result<()> {
    let name = name(network.address);
    // The kernel gives no number twice. It is asked for first: a cable that came meanwhile has another one, and stays.
    let Ok(index) = if_nametoindex(name.as_str()) else {
        return Ok(());
    };
    if owner(&name).is_none_or(|owner| owner != network.owner) {
        return Ok(());
    }
    match Netlink::route()?.say(vec![gone(index)]) {
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
        removed => removed,
    }
}

/// Whether a cable is there only to be tried.
pub fn is_trial(name: &str) -> bool {
    owner(name).is_some_and(|owner| owner.starts_with(TRIAL))
}

fn owner(name: &str) -> Option<String> {
    let owner = fs::read_to_string(Path::new(CABLES).join(name).join("ifalias"));
    Some(owner.ok()?.trim_end().to_owned())
}

/// Both devices, the second one in the namespace of the process `pid`.
fn pair(outside: &str, network: &Network, pid: i32) -> Message {
    let mtu = network.mtu.to_ne_bytes();
    let group = if network.private { 0 } else { CLOSED };
    let inside = Attributes::after(&link(0, 0))
        .text(libc::IFLA_IFNAME, INSIDE)
        .put(libc::IFLA_MTU, &mtu)
        .put(libc::IFLA_NET_NS_PID, &pid.to_ne_bytes());
    let info = Attributes::new()
        .text(INFO_KIND, "veth")
        .nest(INFO_DATA, &Attributes::new().nest(PEER, &inside));
    Message::new(libc::RTM_NEWLINK, CREATE | EXCLUSIVE, &link(0, 0))
        .text(libc::IFLA_IFNAME, outside)
        .put(libc::IFLA_MTU, &mtu)
        .put(libc::IFLA_GROUP, &group.to_ne_bytes())
        .nest(libc::IFLA_LINKINFO, &info)
}

/// Notes whose it is, as `ip link` shows it.
fn owned(index: u32, owner: &str) -> Message {
    Message::new(libc::RTM_NEWLINK, 0, &link(index, 0)).put(libc::IFLA_IFALIAS, owner.as_bytes())
}

fn gone(index: u32) -> Message {
    Message::new(libc::RTM_DELLINK, 0, &link(index, 0))
}

fn up(index: u32) -> Message {
    Message::new(
        libc::RTM_NEWLINK,
        0,
        &link(index, libc::IFF_UP.unsigned_abs()),
    )
}

/// An address at this end, and with it the route to the one at the other.
fn address(index: u32, own: Ipv4Addr, other: Ipv4Addr) -> Message {
    let mut fixed = vec![family(), 32, 0, 0];
    fixed.extend_from_slice(&index.to_ne_bytes());
    Message::new(libc::RTM_NEWADDR, CREATE | EXCLUSIVE, &fixed)
        .put(libc::IFA_LOCAL, &own.octets())
        .put(libc::IFA_ADDRESS, &other.octets())
}

/// Addresses of a range that no cable leads to are nowhere, rather than somewhere beyond this machine.
fn nowhere(kind: u16, flags: u16, first: Ipv4Addr, bits: u8) -> Message {
    let fixed = route(bits, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNREACHABLE);
    Message::new(kind, flags, &fixed).put(libc::RTA_DST, &first.octets())
}

pub fn fence(first: Ipv4Addr, bits: u8) -> io::Result<()> {
    let message = nowhere(libc::RTM_NEWROUTE, CREATE | EXCLUSIVE, first, bits);
    match Netlink::route()?.say(vec![message]) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(()),
        made => made,
    }
}

/// What is not there is removed already.
pub fn unfence(first: Ipv4Addr, bits: u8) -> io::Result<()> {
    match Netlink::route()?.say(vec![nowhere(libc::RTM_DELROUTE, 0, first, bits)]) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
        removed => removed,
    }
}

/// Everything else goes through the other end.
fn way_out(index: u32, gateway: Ipv4Addr) -> Message {
    let fixed = route(0, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNICAST);
    Message::new(libc::RTM_NEWROUTE, CREATE, &fixed)
        .put(libc::RTA_GATEWAY, &gateway.octets())
        .put(libc::RTA_OIF, &index.to_ne_bytes())
}

/// What is for the router itself never leaves this machine, whatever rules the machine has for others: see [`UNCROWDED`].
fn way_back(index: u32, gateway: Ipv4Addr) -> Message {
    let fixed = route(32, libc::RT_SCOPE_LINK, libc::RTN_UNICAST);
    let metrics = Attributes::new().text(CONGESTION, UNCROWDED);
    Message::new(libc::RTM_NEWROUTE, CREATE | REPLACE, &fixed)
        .put(libc::RTA_DST, &gateway.octets())
        .put(libc::RTA_OIF, &index.to_ne_bytes())
        .nest(libc::RTA_METRICS, &metrics)
}

/// `struct rtmsg`: to addresses that begin with so many of the given bits.
fn route(bits: u8, scope: u8, kind: u8) -> [u8; 12] {
    let table = libc::RT_TABLE_MAIN;
    [family(), bits, 0, 0, table, STATIC, scope, kind, 0, 0, 0, 0]
}

/// `struct ifinfomsg`: which interface, and which of its flags are to be set.
fn link(index: u32, flags: u32) -> [u8; 16] {
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..16].copy_from_slice(&flags.to_ne_bytes());
    fixed
}

fn family() -> u8 {
    u8::try_from(libc::AF_INET).unwrap_or_default()
}
