//! What is built in: the one region, the stack, the sizes a dyno can have, and features. Their ids are the same on every server.

use crate::name::Id;
use crate::time::Timestamp;

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

/// This server, where Heroku names the enterprise account that an audit trail is kept for.
pub const SERVER: Entry = Entry {
    id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0004),
    name: "penstock",
};

/// Features by which clients know what an app or an account can do.
pub const PREBOOT: Entry = Entry {
    id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0301),
    name: "preboot",
};
pub const METADATA: Entry = Entry {
    id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0302),
    name: "runtime-dyno-metadata",
};
/// Ours alone: visitors without TLS are sent to come again within it.
pub const HTTPS_ONLY: Entry = Entry {
    id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0303),
    name: "https-only",
};
/// Samples of what dynos use, in the log.
pub const RUNTIME_METRICS: Entry = Entry {
    id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0304),
    name: "log-runtime-metrics",
};
pub const REPOSITORIES: Entry = Entry {
    id: Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0401),
    name: "dashboard-repositories-api",
};

/// When all of this came to be, as far as a client is concerned.
pub const SINCE: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// The size whose dynos sleep while nobody visits them.
pub const ECO: &str = "Eco";

/// A size that a dyno can have.
#[derive(Clone, Copy, Debug)]
pub struct DynoSize {
    pub entry: Entry,
    /// Heroku's share of a processor.
    pub compute: i64,
    /// In gigabytes.
    pub memory: f64,
}

/// The sizes of dynos, by Heroku's names and with Heroku's figures.
pub const DYNO_SIZES: &[DynoSize] = &[
    size(0x0101, ECO, 1, 0.5),
    size(0x0102, "Basic", 1, 0.5),
    size(0x0103, "Standard-1X", 1, 0.5),
    size(0x0104, "Standard-2X", 2, 1.0),
    size(0x0105, "Performance-M", 12, 2.5),
    size(0x0106, "Performance-L", 50, 14.0),
];

const fn size(number: u128, name: &'static str, compute: i64, memory: f64) -> DynoSize {
    let id = Id::fixed(0x59ac_cabd_0000_7000_8000_0000_0000_0000 + number);
    DynoSize {
        entry: Entry { id, name },
        compute,
        memory,
    }
}

/// The size that a client means: by id, or by name in any case.
pub fn dyno_size(text: &str) -> Option<&'static DynoSize> {
    let id = Id::parse(text);
    DYNO_SIZES
        .iter()
        .find(|size| size.entry.name.eq_ignore_ascii_case(text) || Some(size.entry.id) == id)
}
