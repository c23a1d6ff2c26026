//! How this server isolates what it runs: what a launcher is told of each, and what is cleaned up behind it.
//!
//! It must not know what should run, nor how a sandbox is built.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::Digest as _;

use super::cgroup::{self, Cgroup, Cgroups, Sources};
use super::{Host, Ids, Level, Limits, Network, Settings, Spec, net};
use crate::error::Result;
use crate::name::Id;

/// One of it a server; clones are the same.
#[derive(Clone)]
pub struct Isolation {
    level: Level,
    settings: Settings,
    /// The server's own folder.
    data: PathBuf,
    root: bool,
    cgroups: Cgroups,
    mtu: u32,
    addresses: Arc<Mutex<Addresses>>,
}

/// Of what runs, or is about to.
#[derive(Default)]
struct Addresses {
    of: HashMap<Id, Ipv4Addr>,
    claims: net::Claims,
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
            addresses: Arc::default(),
        }
    }

    /// What runs are the server's own processes.
    pub fn none() -> Isolation {
        Isolation::new(Level::None, Settings::default(), Path::new(""))
    }

    pub fn level(&self) -> Level {
        self.level
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn has_own_tree(&self) -> bool {
        self.level.has_own_tree()
    }

    /// Whether what runs can read this folder of the machine and what is in it.
    pub fn shows(&self, folder: &Path) -> bool {
        self.level == Level::None || self.settings.shows(folder)
    }

    /// The range from which each app has a user of its own, if what runs does so as others than the server.
    pub fn uids(&self) -> Option<RangeInclusive<u32>> {
        (self.root && self.has_own_tree()).then(|| self.settings.dyno_uids.0.clone())
    }

    /// A sandbox in which nothing runs yet: its command, its environment and what else is its own are for the caller to say.
    /// `app` has the app's files, and `folder` is an empty one of its own.
    pub fn spec(
        &self,
        id: Id,
        uid: Option<u32>,
        app: PathBuf,
        folder: PathBuf,
        limits: Limits,
    ) -> Result<Spec> {
        Ok(Spec {
            hostname: id.to_string(),
            cgroup: self.cgroup(id),
            network: self.network(id)?,
            ..self.bare(uid, app, folder, limits)
        })
    }

    /// The sandbox that something has which runs, for a command that is to run in it too. `app` and `folder` are that one's.
    pub fn spec_inside(
        &self,
        id: Id,
        host: Host,
        uid: Option<u32>,
        (app, folder): (PathBuf, PathBuf),
        limits: Limits,
    ) -> Spec {
        let address = self.addresses().of.get(&id).copied();
        Spec {
            cgroup: self.cgroup(id),
            network: address.map(|address| self.network_at(id, address)),
            host: Some(host),
            ..self.bare(uid, app, folder, limits)
        }
    }

    fn bare(&self, uid: Option<u32>, app: PathBuf, folder: PathBuf, limits: Limits) -> Spec {
        Spec {
            level: self.level,
            argv: Vec::new(),
            env: BTreeMap::new(),
            app,
            folder,
            writes_through: false,
            temporary: None,
            vars: None,
            cwd: None,
            packages: false,
            replaces: None,
            background: false,
            ids: uid.map(|uid| Ids { uid, gid: uid }),
            hostname: String::new(),
            limits,
            cgroup: None,
            network: None,
            port: None,
            host: None,
            tty: false,
            hidden: self.data.clone(),
            readable: self.settings.dyno_readable.clone(),
        }
    }

    /// The control groups of what has this id, whether they are there or not; `None` where there are none to be had.
    pub fn cgroup(&self, id: Id) -> Option<Cgroup> {
        self.cgroups.of(&id.to_string())
    }

    /// At an address that nobody on this machine has, which is kept for it until it is cleaned up.
    fn network(&self, id: Id) -> Result<Option<Network>> {
        if self.level != Level::Full {
            return Ok(None);
        }
        let pool = self.settings.dyno_network;
        net::fence(pool)?;
        let mut addresses = self.addresses();
        let address = match addresses.of.get(&id) {
            Some(address) => *address,
            None => addresses.claims.draw(pool)?,
        };
        addresses.of.insert(id, address);
        Ok(Some(self.network_at(id, address)))
    }

    fn network_at(&self, id: Id, address: Ipv4Addr) -> Network {
        Network {
            owner: id.to_string(),
            address,
            gateway: self.settings.dyno_network.gateway(),
            mtu: self.mtu,
            private: self.settings.dyno_private_networks,
        }
    }

    /// Goes on with what an earlier run of the server started.
    pub fn take_up(&self, id: Id, address: Option<Ipv4Addr>) {
        let Some(address) = address else {
            return;
        };
        let mut addresses = self.addresses();
        addresses.of.insert(id, address);
        // Of one that has ended meanwhile somebody else may have it, and its cable tells whose that is.
        if let Err(cause) = addresses.claims.share(address) {
            tracing::warn!(%id, %cause, "the address of a dyno is not kept for it");
        }
    }

    /// What keeps the address of something that is to run for whoever holds that, even when this server ends. `None` where it has none.
    pub fn claim(&self, id: Id) -> io::Result<Option<File>> {
        let address = self.addresses().of.get(&id).copied();
        address.map(net::mark_for_holder).transpose()
    }

    /// Restores what somebody may have removed by hand, or with all rules that were the kernel's. Blocks.
    pub fn guard(&self) -> io::Result<()> {
        match self.level {
            Level::Full => net::guard(self.settings.dyno_network),
            _ => Ok(()),
        }
    }

    /// Removes what something that has ended may have left with the kernel. Blocks.
    pub fn clean(&self, id: Id) {
        if let Some(cgroup) = self.cgroup(id) {
            cgroup::end(&cgroup);
        }
        let address = self.addresses().of.remove(&id);
        if let Some(address) = address {
            net::disconnect(&self.network_at(id, address));
            self.addresses().claims.give_back(address);
        }
    }

    /// Removes what is left of all but these. For the time before anything is started. Blocks.
    pub fn sweep(&self, held: &HashSet<Id>) {
        self.cgroups
            .sweep(|name| Id::parse(name).is_some_and(|id| held.contains(&id)));
    }

    /// Nothing more is started. Blocks.
    pub fn close(&self) {
        if self.level == Level::Full {
            let _ = net::unfence(self.settings.dyno_network);
        }
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
