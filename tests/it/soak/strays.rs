//! What dynos and builds have with the kernel and on the disk: processes, folders, control groups, cables, mounts, sockets, rules.
//! None of it may outlive what it is for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use penstock::name::Id;
use penstock::sandbox::{Isolation, Level, Pool, Settings, net};
use penstock::shim::SOCKET;
use rusqlite::{Connection, OpenFlags};

use crate::binary::{Place, processes};

/// Descriptors that a server has open, at most: it serves two clients and a few dynos.
const OPEN: usize = 250;

/// Everything there is at one moment.
#[derive(Debug)]
pub struct Traces {
    /// The dynos that the server knows, each with its state.
    rows: BTreeMap<String, String>,
    running: BTreeSet<String>,
    /// One a shim.
    held: Vec<String>,
    folders: BTreeSet<String>,
    groups: BTreeSet<String>,
    cables: usize,
    mounts: usize,
    sockets: BTreeSet<String>,
    /// What should be there while somebody works on it, and no longer.
    litter: Vec<String>,
    descriptors: usize,
    /// Lines of the table of packet rules.
    rules: usize,
}

impl Traces {
    pub fn of(place: &Place, server: i32) -> Traces {
        let data = place.data();
        let litter = [
            "data/builds",
            "data/blobs/tmp",
            "data/trees/unfinished",
            "tmp",
        ];
        let litter = litter.iter().flat_map(|folder| {
            let entries = std::fs::read_dir(place.path(folder));
            let entries = entries.into_iter().flatten().flatten();
            entries.map(|entry| entry.path().display().to_string())
        });
        let shims = processes::shims(&data);
        let descriptors = std::fs::read_dir(format!("/proc/{server}/fd"));
        Traces {
            rows: rows(&data),
            running: processes::by_dyno(&data).into_keys().collect(),
            held: shims.into_iter().map(|shim| shim.dyno).collect(),
            folders: folders(&data),
            groups: groups(&data),
            cables: cables().len(),
            mounts: mounts(&place.path("")),
            sockets: sockets(&data),
            litter: litter.collect(),
            descriptors: descriptors.map_or(0, Iterator::count),
            rules: rules(),
        }
    }

    /// Each dyno that runs has a shim, processes, a folder and a socket, and nobody else has; nor has anybody else a control group,
    /// and there are no more cables than dynos. What is wrong, if that is not so.
    pub fn wrong(&self, disks: usize, rules: usize) -> Vec<&'static str> {
        let run = |state: &String| state == "up" || state == "starting";
        let runs = self.rows.iter().filter(|(_, state)| run(state));
        let runs: BTreeSet<String> = runs.map(|(dyno, _)| dyno.clone()).collect();
        let once: BTreeSet<String> = self.held.iter().cloned().collect();
        let ends = self.rows.values().any(|state| state == "down");
        [
            (ends, "a dyno is still ending"),
            (self.running != runs, "processes"),
            (once != runs || self.held.len() != once.len(), "shims"),
            (self.folders != runs, "folders of dynos"),
            (!self.groups.is_subset(&runs), "control groups"),
            (self.cables > runs.len(), "cables"),
            (self.mounts != disks, "mounts"),
            (self.sockets != runs, "sockets"),
            (!self.litter.is_empty(), "folders for work"),
            (self.descriptors > OPEN, "descriptors"),
            (self.rules > rules, "packet rules"),
        ]
        .into_iter()
        .filter_map(|(is_wrong, what)| is_wrong.then_some(what))
        .collect()
    }
}

/// As they are on the disk.
fn rows(data: &Path) -> BTreeMap<String, String> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(data.join("penstock.db"), flags).unwrap();
    let mut statement = database.prepare("SELECT id, state FROM dyno").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

/// Below a folder, as this process sees them.
fn mounts(folder: &Path) -> usize {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .filter(|point| Path::new(point).starts_with(folder))
        .count()
}

/// The dynos in whose folders there is a shim's socket.
fn sockets(data: &Path) -> BTreeSet<String> {
    let has_one = |dyno: &String| data.join("dynos").join(dyno).join(SOCKET).exists();
    folders(data).into_iter().filter(has_one).collect()
}

/// Lines of the table of packet rules for dynos, and of any other that could be one.
pub fn rules() -> usize {
    let mut nft = Command::new("nft");
    let Ok(listed) = nft.args(["list", "table", "inet", net::TABLE]).output() else {
        return 0;
    };
    String::from_utf8_lossy(&listed.stdout).lines().count()
}

/// Addresses that only this soak gives to dynos, as `--dyno-network` takes them.
pub fn pool() -> String {
    format!("10.217.{}.0/24", std::process::id() % 256)
}

/// The dynos that have a folder.
fn folders(data: &Path) -> BTreeSet<String> {
    names(&data.join("dynos"))
}

/// The dynos that have a control group of any kind.
pub fn groups(data: &Path) -> BTreeSet<String> {
    let isolation = Isolation::new(Level::Full, Settings::default(), data);
    let any = isolation.cgroup(Id::new()).into_iter();
    let all = any.flat_map(|cgroup| cgroup.groups);
    all.flat_map(|group| names(group.dir.parent().unwrap()))
        .collect()
}

/// The cables that lead to an address of the soak's.
pub fn cables() -> Vec<String> {
    let pool: Pool = pool().parse().unwrap();
    let own: BTreeSet<String> = (0..pool.size())
        .map(|number| net::name(pool.address(number)))
        .collect();
    let mut cables = net::cables();
    cables.retain(|name| own.contains(name));
    cables
}

/// The folders in one that may not be there.
fn names(folder: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    folders
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}
