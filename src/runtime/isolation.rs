//! How this server's dynos are isolated: what a launcher is told of each, and what is cleaned up behind it.
//!
//! It must not know what should run, nor how a sandbox is built.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::Digest as _;

use super::Launch;
use super::environment::MARK;
use crate::catalog;
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::sandbox::cgroup::{self, Cgroups, Sources};
use crate::sandbox::{Ids, Level, Limits, Network, Settings, Spec, net};
use crate::secret;
use crate::shim::Program;

/// A process may have so many files open, as on Heroku.
const FILES: u64 = 10_000;
/// Bytes of the quota for which a dyno may make one file.
const BYTES_A_FILE: u64 = 8 << 10;
/// How often another address is tried.
const ATTEMPTS: usize = 100;

/// One of it a server.
pub struct Isolation {
    level: Level,
    settings: Settings,
    /// The server's own folder.
    data: PathBuf,
    root: bool,
    cgroups: Cgroups,
    mtu: u32,
    /// Of dynos that run, or are about to.
    addresses: Mutex<HashMap<Id, Ipv4Addr>>,
}

impl Isolation {
    /// At a level that was tried on this machine. `data` tells this server's control groups from another's.
    pub fn new(level: Level, settings: Settings, data: &Path) -> Isolation {
        let name = hex::encode(&sha2::Sha256::digest(data.as_os_str().as_bytes())[..4]);
        Isolation {
            level,
            settings,
            data: data.to_owned(),
            root: nix::unistd::geteuid().is_root(),
            cgroups: match level {
                Level::None => Cgroups::default(),
                _ => Cgroups::find(&format!("penstock-{name}"), &Sources::read()),
            },
            mtu: net::mtu(),
            addresses: Mutex::default(),
        }
    }

    /// Dynos are the server's own processes.
    pub fn none() -> Isolation {
        Isolation::new(Level::None, Settings::default(), Path::new(""))
    }

    pub fn has_own_tree(&self) -> bool {
        self.level.has_own_tree()
    }

    /// The range from which each app has a user of its own, if dynos run as others than the server.
    pub fn uids(&self) -> Option<RangeInclusive<u32>> {
        (self.root && self.has_own_tree()).then(|| self.settings.dyno_uids.0.clone())
    }

    /// Where a dyno is at home, as it sees it. `folder` is its own.
    pub fn home(&self, folder: &Path) -> PathBuf {
        match self.has_own_tree() {
            true => "/app".into(),
            false => folder.join("app"),
        }
    }

    /// What a dyno may use for its temporary files and for the root of its tree, within its own folder.
    pub fn scratch(&self, folder: &Path) -> PathBuf {
        folder.join("scratch")
    }

    /// Puts the program into a sandbox. `app` has the app's files. The address at which the dyno will be, if it is its own.
    pub fn enclose(
        &self,
        program: &mut Program,
        launch: &Launch,
        folder: &Path,
        app: PathBuf,
    ) -> Result<Option<Ipv4Addr>> {
        if self.level == Level::None {
            return Ok(None);
        }
        let network = self.network(launch.dyno)?;
        let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
        // All that is left to the launcher is what a dyno's processes are known by, should the shim be gone.
        let marked = program
            .environment
            .iter()
            .filter(|(name, _)| name == MARK)
            .cloned();
        let marked = marked.collect();
        let mut env: BTreeMap<String, String> = std::mem::replace(&mut program.environment, marked)
            .iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect();
        if !self.has_own_tree() {
            env.insert("TMPDIR".to_owned(), text(self.scratch(folder).as_os_str()));
        }
        // There it can be found from outside, and no dyno sees it.
        program.folder = folder.to_owned();
        let arguments = program.arguments.iter().map(|argument| text(argument));
        let address = network.as_ref().map(|network| network.address);
        program.sandbox = Some(Box::new(Spec {
            level: self.level,
            argv: std::iter::once(text(program.path.as_os_str()))
                .chain(arguments)
                .collect(),
            env,
            app,
            folder: self.scratch(folder),
            writes_through: false,
            ids: launch.uid.map(|uid| Ids { uid, gid: uid }),
            hostname: launch.dyno.to_string(),
            limits: self.limits(&launch.size),
            cgroup: self.cgroups.of(&launch.dyno.to_string()),
            network,
            port: launch.port,
            tty: matches!(launch.streams, crate::shim::Streams::Terminal(_)),
            hidden: self.data.clone(),
            readable: self.settings.dyno_readable.clone(),
        }));
        Ok(address)
    }

    fn limits(&self, size: &str) -> Limits {
        let size = catalog::dyno_size(size).unwrap_or(&catalog::DYNO_SIZES[0]);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "sizes are built in: a few gigabytes"
        )]
        let memory = (size.memory * f64::from(1 << 30)) as u64;
        let disk = self.settings.dyno_disk << 20;
        Limits {
            memory,
            // R15, which Heroku sets at twice the quota; its files are in memory too, and are not what that is about.
            memory_max: 2 * memory + disk,
            cpu_weight: size.compute.unsigned_abs() * 100,
            // Heroku's.
            pids: match size.compute {
                ..2 => 256,
                2..12 => 512,
                12..50 => 16_384,
                _ => 32_768,
            },
            disk,
            inodes: (disk / BYTES_A_FILE).max(1_000),
            files: FILES,
        }
    }

    /// An address that nobody has. The kernel refuses it should another server take it first.
    fn network(&self, dyno: Id) -> Result<Option<Network>> {
        if self.level != Level::Full {
            return Ok(None);
        }
        let pool = self.settings.dyno_network;
        net::fence(pool)?;
        let cables: HashSet<String> = net::cables().into_iter().collect();
        let mut addresses = self.addresses();
        let taken: HashSet<Ipv4Addr> = addresses.values().copied().collect();
        for _ in 0..ATTEMPTS {
            let address = pool.address(u32::from_ne_bytes(secret::random()?));
            if !taken.contains(&address) && !cables.contains(&net::name(address)) {
                addresses.insert(dyno, address);
                return Ok(Some(Network {
                    address,
                    gateway: pool.gateway(),
                    mtu: self.mtu,
                }));
            }
        }
        Err(Error::new(
            ErrorId::Unavailable,
            "All addresses for dynos are in use. Give the server a larger --dyno-network, or scale some apps down.",
        ))
    }

    /// Goes on with a dyno that an earlier run of the server started.
    pub fn take_up(&self, dyno: Id, address: Option<Ipv4Addr>) {
        if let Some(address) = address {
            // It is missing only if somebody has removed it by hand.
            let _ = net::fence(self.settings.dyno_network);
            self.addresses().insert(dyno, address);
        }
    }

    /// Removes what a dyno that has ended may have left with the kernel. Blocks.
    pub fn clean(&self, dyno: Id) {
        if let Some(cgroup) = self.cgroups.of(&dyno.to_string()) {
            cgroup::end(&cgroup);
        }
        let address = self.addresses().remove(&dyno);
        if let Some(address) = address {
            net::disconnect(&net::name(address));
        }
    }

    /// Removes what dynos have left that are not among these. Blocks.
    pub fn sweep(&self, held: &HashSet<Id>) {
        self.cgroups
            .sweep(|name| Id::parse(name).is_some_and(|dyno| held.contains(&dyno)));
    }

    /// No more dynos come. Blocks.
    pub fn close(&self) {
        if self.level == Level::Full {
            let _ = net::unfence(self.settings.dyno_network);
        }
    }

    fn addresses(&self) -> MutexGuard<'_, HashMap<Id, Ipv4Addr>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
