//! What dynos have with the kernel and on the disk, beside their processes: folders, control groups, and cables.

use std::collections::BTreeSet;
use std::path::Path;

use penstock::name::Id;
use penstock::sandbox::{Isolation, Level, Pool, Settings, net};

/// Addresses that only this soak gives to dynos, as `--dyno-network` takes them.
pub fn pool() -> String {
    format!("10.217.{}.0/24", std::process::id() % 256)
}

/// The dynos that have a folder.
pub fn folders(data: &Path) -> BTreeSet<String> {
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
