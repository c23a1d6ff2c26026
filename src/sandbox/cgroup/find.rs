//! Which control groups this machine gives the server.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Cgroup, Controller, Group, create, delegate, end, set};

/// Where the server's dynos get their groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// One for each hierarchy that is used, each the parent of the dynos' own.
    bases: Vec<Group>,
}

/// What the kernel says of this process; a test says something else.
pub struct Sources {
    /// `/proc/self/cgroup`.
    pub membership: String,
    /// `/proc/self/mountinfo`.
    pub mounts: String,
    pub pid: u32,
}

impl Sources {
    pub fn read() -> Sources {
        let read = |name: &str| fs::read_to_string(Path::new("/proc/self").join(name));
        Sources {
            membership: read("cgroup").unwrap_or_default(),
            mounts: read("mountinfo").unwrap_or_default(),
            pid: std::process::id(),
        }
    }
}

/// One mounted hierarchy, and where this process is in it.
struct Hierarchy {
    own: PathBuf,
    unified: bool,
    /// Of the first version: what it controls.
    controllers: Vec<String>,
}

impl Cgroups {
    /// Tries each controller in turn. `name` tells this server's groups from another's.
    pub fn find(name: &str, sources: &Sources) -> Cgroups {
        let hierarchies = hierarchies(sources);
        let mut bases: Vec<Group> = Vec::new();
        let mut left: Vec<Controller> = Controller::ALL.to_vec();
        for hierarchy in &hierarchies {
            // There is one of the second version, however often it is mounted, and a process is in one group of it.
            if hierarchy.unified && bases.iter().any(|base| base.unified) {
                continue;
            }
            let offered: Vec<Controller> = match hierarchy.unified {
                true => unified_controllers(&hierarchy.own),
                false => named(&hierarchy.controllers),
            };
            let wanted: Vec<Controller> = offered
                .into_iter()
                .filter(|controller| left.contains(controller))
                .collect();
            if wanted.is_empty() || claim(hierarchy, name, &wanted, sources.pid).is_err() {
                continue;
            }
            left.retain(|controller| !wanted.contains(controller));
            bases.push(Group {
                dir: hierarchy.own.join(name),
                controllers: wanted,
                unified: hierarchy.unified,
            });
        }
        Cgroups { bases }
    }

    /// What can be limited.
    pub fn controllers(&self) -> Vec<Controller> {
        let mut all: Vec<Controller> = self
            .bases
            .iter()
            .flat_map(|base| base.controllers.clone())
            .collect();
        all.sort();
        all
    }

    /// The groups of one dyno, whether they are there or not; `None` where there are no control groups to be had.
    pub fn of(&self, dyno: &str) -> Option<Cgroup> {
        let own = |base: &Group| Group {
            dir: base.dir.join(dyno),
            ..base.clone()
        };
        (!self.bases.is_empty()).then(|| Cgroup {
            groups: self.bases.iter().map(own).collect(),
        })
    }

    /// The dynos that have a group, whoever made it.
    pub fn dynos(&self) -> Vec<String> {
        let mut found: Vec<String> = self
            .bases
            .iter()
            .filter_map(|base| fs::read_dir(&base.dir).ok())
            .flatten()
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// Ends and removes the groups of all dynos but those that are known. Blocks.
    pub fn sweep(&self, known: impl Fn(&str) -> bool) {
        for dyno in self.dynos() {
            if !known(&dyno)
                && let Some(cgroup) = self.of(&dyno)
            {
                end(&cgroup);
            }
        }
        for base in &self.bases {
            let _ = fs::remove_dir(&base.dir);
        }
    }
}

/// Makes the server's group and removes it again, so that nothing is promised that cannot be kept.
fn claim(
    hierarchy: &Hierarchy,
    name: &str,
    controllers: &[Controller],
    pid: u32,
) -> io::Result<()> {
    if hierarchy.unified {
        share(&hierarchy.own, controllers, pid)?;
    }
    let base = hierarchy.own.join(name);
    create(&base)?;
    let tried = match hierarchy.unified {
        true => delegate(&base, controllers),
        false => set(&base.join("cgroup.procs"), "", false),
    };
    let _ = fs::remove_dir(&base);
    tried
}

/// In the second version a group has either processes or groups that are limited: the server steps aside into one of its own.
fn share(own: &Path, controllers: &[Controller], pid: u32) -> io::Result<()> {
    if delegate(own, controllers).is_ok() {
        return Ok(());
    }
    let aside = own.join("penstock-server");
    create(&aside)?;
    set(&aside.join("cgroup.procs"), &pid.to_string(), true)?;
    delegate(own, controllers)
}

fn unified_controllers(own: &Path) -> Vec<Controller> {
    let text = fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    named(&words)
}

fn named(words: &[String]) -> Vec<Controller> {
    Controller::ALL
        .into_iter()
        .filter(|controller| words.iter().any(|word| word == controller.as_str()))
        .collect()
}

/// A server that has stepped aside once is not to do so again one level further down.
fn hierarchies(sources: &Sources) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = sources
        .mounts
        .lines()
        .filter_map(|line| hierarchy(line, &sources.membership))
        .collect();
    // Where both have a controller, the kernel has given it to one of them only; the second version is asked first.
    found.sort_by_key(|hierarchy| !hierarchy.unified);
    found
}

/// From a line of mountinfo: `36 25 0:32 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu`.
fn hierarchy(line: &str, membership: &str) -> Option<Hierarchy> {
    let (mount, kind) = line.split_once(" - ")?;
    let mut kind = kind.split(' ');
    let unified = match kind.next()? {
        "cgroup2" => true,
        "cgroup" => false,
        _ => return None,
    };
    let options = kind.nth(1)?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (mount.next()?, mount.next()?);
    let controllers: Vec<String> = options.split(',').map(str::to_owned).collect();
    let path = membership.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next()?, parts.next()?);
        let its = match unified {
            true => names.is_empty(),
            false => names.split(',').any(|name| {
                !name.is_empty() && controllers.iter().any(|controller| controller == name)
            }),
        };
        its.then_some(path)
    })?;
    let below = Path::new(path).strip_prefix(root).ok()?;
    let own = Path::new(point).join(below);
    Some(Hierarchy {
        own: match own.ends_with("penstock-server") {
            true => own.parent()?.to_owned(),
            false => own,
        },
        unified,
        controllers,
    })
}
