//! What a packet rule looks at, and what it says: expressions, as the kernel takes them.
//!
//! The numbers are those of linux/netfilter/nf_tables.h. It must not know which rules there are.

use nix::libc;

use super::PREFIX;
use super::message::Attributes;

const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
/// The register that values go through, and the one for what becomes of a packet.
const REGISTER: u32 = 1;
const VERDICT: u32 = 0;
/// Of a packet, and where an address of version 4 lies in it.
const NETWORK_HEADER: u32 = 1;
const DESTINATION: u32 = 16;

pub fn expression(name: &str, data: &Attributes) -> Attributes {
    Attributes::new().text(1, name).nest(2, data)
}

/// The interface is a dyno's: its name, under this key, begins as all of ours.
pub fn cable(key: u32) -> Vec<Attributes> {
    vec![meta(key), compare(0, PREFIX.as_bytes())]
}

/// The cable is in this group of interfaces.
pub fn in_group(group: u32) -> Vec<Attributes> {
    vec![meta(21), compare(0, &group.to_ne_bytes())]
}

/// What begins here and is not root's. Packets of no process, such as the kernel's own, have no owner and go no further here.
pub fn of_others() -> Vec<Attributes> {
    vec![meta(10), compare(1, &0_u32.to_ne_bytes())]
}

/// Belongs to a connection that is there, or is news of one.
pub fn answers() -> Vec<Attributes> {
    const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
    let load = Attributes::new()
        .put(1, &REGISTER.to_be_bytes())
        .put(2, &0_u32.to_be_bytes());
    vec![
        expression("ct", &load),
        masked(&ESTABLISHED_OR_RELATED.to_ne_bytes()),
        compare(1, &0_u32.to_ne_bytes()),
    ]
}

/// Goes to addresses that begin like this. Only version 4 leaves a dyno.
pub fn goes_to(address: &[u8]) -> Vec<Attributes> {
    vec![
        meta(15),
        compare(0, &[version()]),
        payload(NETWORK_HEADER, DESTINATION, address.len()),
        compare(0, address),
    ]
}

/// Goes to the network of this many bits.
pub fn goes_into(network: [u8; 4], bits: u32) -> Vec<Attributes> {
    let mask = u32::MAX << (32 - bits);
    vec![
        meta(15),
        compare(0, &[version()]),
        payload(NETWORK_HEADER, DESTINATION, network.len()),
        masked(&mask.to_be_bytes()),
        compare(0, &network),
    ]
}

/// Is no question for a name: those go to this port, of TCP and UDP alike.
pub fn not_for_names() -> Vec<Attributes> {
    const TRANSPORT_HEADER: u32 = 2;
    const PORT: u32 = 2;
    vec![
        payload(TRANSPORT_HEADER, PORT, 2),
        compare(1, &53_u16.to_be_bytes()),
    ]
}

/// Is of a protocol that has no ports where those two have them.
pub fn of_neither() -> Vec<Attributes> {
    const PROTOCOL: u32 = 16;
    let unequal = |protocol: libc::c_int| compare(1, &[u8::try_from(protocol).unwrap_or_default()]);
    vec![
        meta(PROTOCOL),
        unequal(libc::IPPROTO_TCP),
        unequal(libc::IPPROTO_UDP),
    ]
}

fn version() -> u8 {
    u8::try_from(libc::NFPROTO_IPV4).unwrap_or_default()
}

/// Loads bytes of a header.
fn payload(header: u32, offset: u32, length: usize) -> Attributes {
    let length = u32::try_from(length).unwrap_or_default();
    let load = Attributes::new()
        .put(1, &REGISTER.to_be_bytes())
        .put(2, &header.to_be_bytes())
        .put(3, &offset.to_be_bytes())
        .put(4, &length.to_be_bytes());
    expression("payload", &load)
}

fn meta(key: u32) -> Attributes {
    let load = Attributes::new()
        .put(1, &REGISTER.to_be_bytes())
        .put(2, &key.to_be_bytes());
    expression("meta", &load)
}

/// Whether the register is equal (0) or unequal (1) to a value, as far as that goes.
fn compare(operator: u32, value: &[u8]) -> Attributes {
    let data = Attributes::new()
        .put(1, &REGISTER.to_be_bytes())
        .put(2, &operator.to_be_bytes())
        .nest(3, &Attributes::new().put(DATA_VALUE, value));
    expression("cmp", &data)
}

/// Keeps these bits of the register alone.
fn masked(mask: &[u8; 4]) -> Attributes {
    let data = Attributes::new()
        .put(1, &REGISTER.to_be_bytes())
        .put(2, &REGISTER.to_be_bytes())
        .put(3, &4_u32.to_be_bytes())
        .nest(4, &Attributes::new().put(DATA_VALUE, mask))
        .nest(5, &Attributes::new().put(DATA_VALUE, &[0; 4]));
    expression("bitwise", &data)
}

/// What becomes of a packet.
pub enum Becomes {
    Dropped,
    Accepted,
}

pub fn verdict(becomes: Becomes) -> Attributes {
    let code: u32 = match becomes {
        Becomes::Dropped => 0,
        Becomes::Accepted => 1,
    };
    let verdict = Attributes::new().put(1, &code.to_be_bytes());
    let data = Attributes::new()
        .put(1, &VERDICT.to_be_bytes())
        .nest(2, &Attributes::new().nest(DATA_VERDICT, &verdict));
    expression("immediate", &data)
}
