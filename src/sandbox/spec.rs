//! What the launcher is told of a dyno.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::net::Ipv4Addr;
use std::os::fd::{FromRawFd, RawFd};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Level, cgroup, net};

/// The descriptor that the launcher reads its spec from, to the end. Not the environment and not the arguments, since a dyno can
/// read those of its first process.
pub const SPEC_FD: RawFd = 3;

/// The descriptor that is open until the command runs, or cannot be run.
pub const BEGUN_FD: RawFd = 4;

/// Where [`Spec::vars`] are.
pub const VARS: &str = "/run/vars";

/// A dyno's home in a tree of its own.
pub const HOME: &str = "/app";

/// Far more than any spec has; a command is one line of a Procfile.
const MAX_BYTES: u64 = 4 << 20;

/// One dyno's sandbox and what runs in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    pub level: Level,
    /// The program and its arguments. The program is a path.
    pub argv: Vec<String>,
    /// All of the command's environment. It comes here and not as the launcher's own: a variable such as `LD_PRELOAD` would be
    /// heeded by the launcher too, which has rights that the dyno has not.
    pub env: BTreeMap<String, String>,
    /// The app's files. At a level with a tree of its own they are the lower layer of `/app` and stay as they are; else this is
    /// the dyno's home, and its own.
    pub app: PathBuf,
    /// An empty folder of this dyno's alone. The root of its tree is mounted there, out of sight of everybody else; a dyno
    /// without one has its temporary files there.
    pub folder: PathBuf,
    /// Builds write where their caller reads it afterwards: `app` itself is `/app` then, with no layer between.
    #[serde(default)]
    pub writes_through: bool,
    /// Where its temporary files lie, if they are to outlast the command and not to be in memory: `/tmp` and `/var/tmp` are this
    /// folder then. How much is written to it and to an `app` that is written through is for the caller to watch.
    #[serde(default)]
    pub temporary: Option<PathBuf>,
    /// Further variables, for who must not have them in its environment: in a tree of its own each is a file in [`VARS`], in
    /// memory, by its name.
    #[serde(default)]
    pub vars: Option<BTreeMap<String, String>>,
    /// Where the command starts, if not at home.
    #[serde(default)]
    pub cwd: Option<PathBuf>,
    /// It sees what the system's package manager needs to fetch packages.
    #[serde(default)]
    pub packages: bool,
    /// A folder in its home, with a file in it, in whose place it puts another one before the command runs. Of a sandbox that is only
    /// tried.
    #[serde(default)]
    pub replaces: Option<String>,
    /// It makes way for whoever else wants the processor or a disk.
    #[serde(default)]
    pub background: bool,
    /// Whom the dyno runs as, if the server is root; else it runs as the server's user.
    pub ids: Option<Ids>,
    pub hostname: String,
    pub limits: Limits,
    pub cgroup: Option<cgroup::Cgroup>,
    /// Its own network; without, it has the machine's.
    pub network: Option<Network>,
    /// The one TCP port that it may listen on where the network is the machine's, besides those that the kernel picks. `None`
    /// leaves it only those.
    pub port: Option<u16>,
    /// The dyno whose sandbox this one enters. It has no network, group or tree of its own then, and what is said of them here is
    /// what that has.
    #[serde(default)]
    pub host: Option<Host>,
    /// Its standard input is a terminal, which shall be its controlling one.
    #[serde(default)]
    pub tty: bool,
    /// The server's own folder, which no dyno may read even where it lies below one that dynos do read.
    pub hidden: PathBuf,
    /// Further folders of the machine that it may read, at the same place: where a person keeps programs outside of `/usr`.
    #[serde(default)]
    pub readable: Vec<PathBuf>,
}

/// A dyno that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its launcher's outer half.
    pub launcher: i32,
    /// That one's parent, by which it is told from a stranger who got its number.
    pub shim: i32,
}

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    pub uid: u32,
    pub gid: u32,
}

/// How much a dyno may use. What is enforced depends on the level and on what the machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes that the size promises. Programs that ask how much there is are told this.
    pub memory: u64,
    /// Bytes at which the kernel ends it, the files that it has written included: they are kept in memory.
    pub memory_max: u64,
    /// Against other dynos, when they all want the processor; 100 is that of the smallest size.
    pub cpu_weight: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes that it may write to `/app`, `/tmp` and `/dev/shm` together.
    pub disk: u64,
    /// Files that it may make there.
    pub inodes: u64,
    /// Descriptors that a process may have, as far as the server's own limit lets it.
    pub files: u64,
}

/// A network of two: the dyno and this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Whose it is, by a name that nobody else has had.
    pub owner: String,
    /// The dyno's address, of which there is one on this machine.
    pub address: Ipv4Addr,
    /// This machine's address, as the dyno sees it.
    pub gateway: Ipv4Addr,
    /// Bytes of a packet, that of the way out.
    pub mtu: u32,
    /// Through it the dyno reaches private networks, too.
    pub private: bool,
}

impl Spec {
    /// Takes it from [`SPEC_FD`], which is closed with that.
    pub fn receive() -> io::Result<Spec> {
        #[expect(
            unsafe_code,
            reason = "the descriptor is named by number between two programs, and nothing else here has it"
        )]
        let file = unsafe { File::from_raw_fd(SPEC_FD) };
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text)?;
        serde_json::from_slice(&text).map_err(io::Error::other)
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// What may be left with the kernel when a launcher was killed.
    pub fn leavings(&self) -> Leavings {
        if self.host.is_some() {
            return Leavings {
                cgroup: None,
                network: None,
            };
        }
        Leavings {
            cgroup: self.cgroup.clone(),
            network: self.network.clone(),
        }
    }

    /// Its home, where the command starts unless it is to start elsewhere.
    pub fn home(&self) -> PathBuf {
        match self.level.has_own_tree() {
            true => PathBuf::from(HOME),
            false => self.app.clone(),
        }
    }
}

/// The control groups and the cable of a dyno.
pub struct Leavings {
    cgroup: Option<cgroup::Cgroup>,
    network: Option<Network>,
}

impl Leavings {
    /// Removes them, if nobody has yet. For when nothing of the dyno is left.
    pub fn remove(&self) {
        self.cgroup.iter().for_each(cgroup::end);
        self.network.iter().for_each(net::disconnect);
    }
}
