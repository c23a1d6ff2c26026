//! What is built in: the one region, the stack, and the sizes a dyno can have. Their ids are the same on every server.

use crate::name::Id;

/// Something built in, under an id and a name.
#[derive(Clone, Copy, Debug, serde::Serialize, schemars::JsonSchema)]
pub struct Entry {
    pub id: Id,
    pub name: &'static str,
}

/// This machine, under the name that Heroku's clients take for granted.
pub const REGION: Entry = Entry {
    id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0001),
    name: "us",
};

/// The machine's own system, under the name of Heroku's current stack, since clients and buildpacks ask for one.
pub const STACK: Entry = Entry {
    id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0002),
    name: "heroku-24",
};

/// The generation of the platform whose habits these are.
pub const GENERATION: Entry = Entry {
    id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0003),
    name: "cedar",
};

/// The sizes of dynos, by Heroku's names.
pub const DYNO_SIZES: &[Entry] = &[
    Entry {
        id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0101),
        name: "Eco",
    },
    Entry {
        id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0102),
        name: "Basic",
    },
    Entry {
        id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0103),
        name: "Standard-1X",
    },
    Entry {
        id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0104),
        name: "Standard-2X",
    },
    Entry {
        id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0105),
        name: "Performance-M",
    },
    Entry {
        id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0106),
        name: "Performance-L",
    },
];

/// The size that a client means: by id, or by name in any case.
pub fn dyno_size(text: &str) -> Option<Entry> {
    let id = Id::parse(text);
    DYNO_SIZES
        .iter()
        .copied()
        .find(|size| size.name.eq_ignore_ascii_case(text) || Some(size.id) == id)
}
