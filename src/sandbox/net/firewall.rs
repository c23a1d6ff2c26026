//! Who may use the cables: one table of packet rules for all dynos of this machine.
//!
//! - Nothing from a dyno is let in to this machine, but answers to what this machine began.
//! - A dyno reaches no other dyno and none of the addresses where clouds answer who a machine is and what its secrets are. Private
//!   networks that this machine is in it does reach, since an app's database may be there, unless its server closes them.
//! - Nobody but root on this machine, and nobody outside of it, begins to talk to a dyno.
//! - What a dyno sends out leaves under this machine's address.
//!
//! `nft list table inet penstock-dynos` shows it. The numbers are those of linux/netfilter/nf_tables.h. Each rule has a comment that
//! is made of what it says, by which a table is known to be whole: the kernel does not show rules just as they were given to it.

use std::collections::BTreeMap;
use std::io;

use sha2::{Digest, Sha256};

use super::CLOSED;
use super::expression::{
    Becomes, answers, cable, expression, goes_into, goes_to, in_group, not_for_names, of_neither,
    of_others, verdict,
};
use super::message::{APPEND, Attributes, CREATE, DUMP, EXCLUSIVE, Message, Netlink};

pub const TABLE: &str = "penstock-dynos";

const NF_TABLES: u16 = 10 << 8;
const NEW_TABLE: u16 = NF_TABLES;
const GET_TABLE: u16 = NF_TABLES | 1;
const DELETE_TABLE: u16 = NF_TABLES | 2;
const NEW_CHAIN: u16 = NF_TABLES | 3;
const NEW_RULE: u16 = NF_TABLES | 6;
const GET_RULE: u16 = NF_TABLES | 7;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;

/// Of a table, and in every message that names one.
const NAME: u16 = 1;
const LIST_ELEMENT: u16 = 1;
/// Of a table: zero, unless it is asleep or somebody else's.
const FLAGS: u16 = 2;
/// Of a rule: its chain, what it says, and what only its owner understands.
const CHAIN: u16 = 2;
const EXPRESSIONS: u16 = 4;
const USERDATA: u16 = 7;
/// What `nft` shows of that is a comment: a text that ends with a zero.
const COMMENT: u8 = 0;

/// Private networks, that of carriers and of overlays such as Tailscale's among them.
const PRIVATE: [([u8; 4], u32); 4] = [
    ([10, 0, 0, 0], 8),
    ([172, 16, 0, 0], 12),
    ([192, 168, 0, 0], 16),
    ([100, 64, 0, 0], 10),
];

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

/// The comments of a table's rules, by their chains.
type Comments = BTreeMap<String, Vec<String>>;

/// Sees to it that the table is there, with these rules and no others: somebody may have emptied it, and an earlier version of this
/// program had other ones. It is never gone in between.
pub fn ensure() -> io::Result<()> {
    let kernel = Netlink::filter()?;
    let rules = rules();
    let table = Message::new(GET_TABLE, 0, &family(0)).text(NAME, TABLE);
    let is_there = match kernel.ask(&table) {
        Ok(found) if is_awake(&found) && comments_of(&kernel)? == comments(&rules) => return Ok(()),
        Ok(_) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let mut messages = Vec::new();
    if is_there {
        messages.push(delete());
    }
    messages.push(Message::new(NEW_TABLE, CREATE | EXCLUSIVE, &family(0)).text(NAME, TABLE));
    messages.extend(CHAINS.iter().map(chain));
    messages.extend(rules.iter().map(Rule::message));
    kernel.say(batch(messages))
}

fn is_awake(found: &[Attributes]) -> bool {
    found.iter().all(|table| {
        table
            .get(FLAGS)
            .is_none_or(|flags| flags.iter().all(|byte| *byte == 0))
    })
}

fn comments(rules: &[Rule]) -> Comments {
    let mut comments = Comments::new();
    for rule in rules {
        let of_chain = comments.entry(rule.chain.to_owned()).or_default();
        of_chain.push(rule.comment());
    }
    comments
}

/// Those of the rules that are there. A rule without one has an empty one.
fn comments_of(kernel: &Netlink) -> io::Result<Comments> {
    let rules = Message::silent(GET_RULE, DUMP, &family(0)).text(NAME, TABLE);
    let mut comments = Comments::new();
    for rule in kernel.ask(&rules)? {
        let text = |bytes: &[u8]| {
            let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
            String::from_utf8_lossy(bytes).into_owned()
        };
        let chain = rule.get(CHAIN).map(text).unwrap_or_default();
        let comment = match rule.get(USERDATA) {
            Some([COMMENT, _length, comment @ ..]) => text(comment),
            _ => String::new(),
        };
        comments.entry(chain).or_default().push(comment);
    }
    Ok(comments)
}

fn delete() -> Message {
    Message::new(DELETE_TABLE, 0, &family(0)).text(NAME, TABLE)
}

/// Removes the table. For when no dyno is left.
pub fn remove() -> io::Result<()> {
    match Netlink::filter()?.say(batch(vec![delete()])) {
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

fn rules() -> Vec<Rule> {
    let from = || cable(6);
    let to = || cable(7);
    let mut rules = vec![
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
                of_neither(),
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
    ];
    // Whoever answers for names is often in such a network.
    rules.extend(PRIVATE.into_iter().flat_map(|(network, bits)| {
        [of_neither(), not_for_names()].map(|which| {
            let closed = [from(), in_group(CLOSED), goes_into(network, bits)].concat();
            rule("through", [closed, which, vec![verdict(Becomes::Dropped)]])
        })
    }));
    rules
}

/// What a chain does with some packets.
struct Rule {
    chain: &'static str,
    expressions: Attributes,
}

fn rule<const N: usize>(chain: &'static str, expressions: [Vec<Attributes>; N]) -> Rule {
    let mut list = Attributes::new();
    for expression in expressions.into_iter().flatten() {
        list = list.nest(LIST_ELEMENT, &expression);
    }
    Rule {
        chain,
        expressions: list,
    }
}

impl Rule {
    /// Another one for each other rule.
    fn comment(&self) -> String {
        let digest = Sha256::digest(self.expressions.bytes());
        format!("penstock {}", hex::encode(&digest[..8]))
    }

    fn message(&self) -> Message {
        let mut comment = self.comment().into_bytes();
        comment.push(0);
        let length = u8::try_from(comment.len()).unwrap_or(u8::MAX);
        let userdata = [vec![COMMENT, length], comment].concat();
        Message::new(NEW_RULE, CREATE | APPEND, &family(0))
            .text(NAME, TABLE)
            .text(CHAIN, self.chain)
            .nest(EXPRESSIONS, &self.expressions)
            .put(USERDATA, &userdata)
    }
}
