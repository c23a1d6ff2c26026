//! Who may use the cables: one table of packet rules for all dynos of this machine.
//!
//! - Nothing from a dyno is let in to this machine, but answers to what this machine began.
//! - A dyno reaches no other dyno and none of the addresses where clouds answer who a machine is and what its secrets are. Private
//!   networks that this machine is in it does reach: an app's database may be there.
//! - Nobody but root on this machine, and nobody outside of it, begins to talk to a dyno.
//! - What a dyno sends out leaves under this machine's address.
//!
//! `nft list table inet penstock-dynos` shows it. The numbers are those of linux/netfilter/nf_tables.h.

use std::io;

use nix::libc;

use super::PREFIX;
use super::message::{APPEND, Attributes, CREATE, EXCLUSIVE, Message, Netlink};

pub const TABLE: &str = "penstock-dynos";

const NF_TABLES: u16 = 10 << 8;
const NEW_TABLE: u16 = NF_TABLES;
const GET_TABLE: u16 = NF_TABLES | 1;
const DELETE_TABLE: u16 = NF_TABLES | 2;
const NEW_CHAIN: u16 = NF_TABLES | 3;
const NEW_RULE: u16 = NF_TABLES | 6;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// Of a table, and in every message that names one.
const NAME: u16 = 1;
const LIST_ELEMENT: u16 = 1;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
/// The register that values go through, and the one for what becomes of a packet.
const REGISTER: u32 = 1;
const VERDICT: u32 = 0;

/// Where a chain looks at packets: at a hook, before or behind others.
struct Chain {
    name: &'static str,
    kind: &'static str,
    hook: u32,
    priority: i32,
}

const CHAINS: [Chain; 4] = [
    Chain {
        name: "in",
        kind: "filter",
        hook: 1,
        priority: -10,
    },
    Chain {
        name: "through",
        kind: "filter",
        hook: 2,
        priority: -10,
    },
    Chain {
        name: "out",
        kind: "filter",
        hook: 3,
        priority: -10,
    },
    Chain {
        name: "leaving",
        kind: "nat",
        hook: 4,
        priority: 100,
    },
];

/// Sees to it that the table is there.
pub fn ensure() -> io::Result<()> {
    let kernel = Netlink::filter()?;
    match kernel.say(vec![
        Message::new(GET_TABLE, 0, &family(0)).text(NAME, TABLE),
    ]) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut messages =
        vec![Message::new(NEW_TABLE, CREATE | EXCLUSIVE, &family(0)).text(NAME, TABLE)];
    messages.extend(CHAINS.iter().map(chain));
    messages.extend(rules());
    kernel.say(batch(messages))
}

/// Removes the table. For when no dyno is left.
pub fn remove() -> io::Result<()> {
    let delete = Message::new(DELETE_TABLE, 0, &family(0)).text(NAME, TABLE);
    match Netlink::filter()?.say(batch(vec![delete])) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// All of it holds, or nothing.
fn batch(messages: Vec<Message>) -> Vec<Message> {
    let mut all = vec![Message::silent(BATCH_BEGIN, 0, &family(10))];
    all.extend(messages);
    all.push(Message::silent(BATCH_END, 0, &family(10)));
    all
}

/// `struct nfgenmsg`. Both versions of IP; of messages about a batch, what it is for.
fn family(resource: u16) -> [u8; 4] {
    let family = match resource {
        0 => 1,
        _ => 0,
    };
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn chain(chain: &Chain) -> Message {
    let hook = Attributes::new()
        .put(1, &chain.hook.to_be_bytes())
        .put(2, &chain.priority.to_be_bytes());
    Message::new(NEW_CHAIN, CREATE, &family(0))
        .text(1, TABLE)
        .text(3, chain.name)
        .nest(4, &hook)
        .text(7, chain.kind)
}

fn rules() -> Vec<Message> {
    let from = || cable(6);
    let to = || cable(7);
    vec![
        rule("in", [from(), answers(), vec![verdict(Becomes::Accepted)]]),
        rule("in", [from(), vec![verdict(Becomes::Dropped)]]),
        rule(
            "through",
            [to(), answers(), vec![verdict(Becomes::Accepted)]],
        ),
        rule("through", [to(), vec![verdict(Becomes::Dropped)]]),
        // Amazon's and most others', Alibaba's and Oracle's. Azure's answers names as well.
        rule(
            "through",
            [
                from(),
                goes_to(&[169, 254]),
                vec![verdict(Becomes::Dropped)],
            ],
        ),
        rule(
            "through",
            [
                from(),
                goes_to(&[100, 100, 100, 200]),
                vec![verdict(Becomes::Dropped)],
            ],
        ),
        rule(
            "through",
            [
                from(),
                goes_to(&[192, 0, 0, 192]),
                vec![verdict(Becomes::Dropped)],
            ],
        ),
        rule(
            "through",
            [
                from(),
                goes_to(&[168, 63, 129, 16]),
                not_for_names(),
                vec![verdict(Becomes::Dropped)],
            ],
        ),
        rule("out", [to(), answers(), vec![verdict(Becomes::Accepted)]]),
        rule("out", [to(), of_others(), vec![verdict(Becomes::Dropped)]]),
        rule(
            "leaving",
            [from(), vec![expression("masq", &Attributes::new())]],
        ),
    ]
}

fn rule<const N: usize>(chain: &str, expressions: [Vec<Attributes>; N]) -> Message {
    let mut list = Attributes::new();
    for expression in expressions.into_iter().flatten() {
        list = list.nest(LIST_ELEMENT, &expression);
    }
    Message::new(NEW_RULE, CREATE | APPEND, &family(0))
        .text(1, TABLE)
        .text(2, chain)
        .nest(4, &list)
}

fn expression(name: &str, data: &Attributes) -> Attributes {
    Attributes::new().text(1, name).nest(2, data)
}

/// The interface is a dyno's: its name, under this key, begins as all of ours.
fn cable(key: u32) -> Vec<Attributes> {
    vec![meta(key), compare(0, PREFIX.as_bytes())]
}

/// What begins here and is not root's. Packets of no process, such as the kernel's own, have no owner and go no further here.
fn of_others() -> Vec<Attributes> {
    vec![meta(10), compare(1, &0_u32.to_ne_bytes())]
}

/// Belongs to a connection that is there, or is news of one.
fn answers() -> Vec<Attributes> {
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
fn goes_to(address: &[u8]) -> Vec<Attributes> {
    const NETWORK_HEADER: u32 = 1;
    const DESTINATION: u32 = 16;
    let version = u8::try_from(libc::NFPROTO_IPV4).unwrap_or_default();
    vec![
        meta(15),
        compare(0, &[version]),
        payload(NETWORK_HEADER, DESTINATION, address.len()),
        compare(0, address),
    ]
}

/// Is no question for a name: those go to this port, of TCP and UDP alike.
fn not_for_names() -> Vec<Attributes> {
    const TRANSPORT_HEADER: u32 = 2;
    const PORT: u32 = 2;
    vec![
        payload(TRANSPORT_HEADER, PORT, 2),
        compare(1, &53_u16.to_be_bytes()),
    ]
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
enum Becomes {
    Dropped,
    Accepted,
}

fn verdict(becomes: Becomes) -> Attributes {
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
