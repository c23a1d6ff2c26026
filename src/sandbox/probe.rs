//! What this machine can keep of what the levels promise.
//!
//! Nothing is concluded from versions or settings of the kernel: a sandbox of each level is built, and a command run in it. Only
//! what to do about a failure is guessed from what the machine says of itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use nix::unistd::geteuid;
use serde::Serialize;

use super::cgroup::{Cgroups, Controller, Sources};
use super::{Ids, Level, Limits, Network, Settings, Spec, command, landlock, net};
use crate::error::{Error, ErrorId, Result};

/// Whether a level can be had, and if not, why and what to do.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    pub level: Level,
    pub available: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// Where levels are tried.
pub struct Ground<'a> {
    /// The program that can be the launcher.
    pub penstock: &'a Path,
    /// The data directory.
    pub data: &'a Path,
    pub settings: &'a Settings,
}

/// A level that a sandbox was just seen to reach. What is left of that goes when this is dropped, which blocks: the kernel takes
/// longer to remove a network than it did to make it.
pub struct Reached {
    pub level: Level,
    _left: Option<Left>,
}

/// What every program reads and writes, and another program that it starts. It says so when it has.
const COMMAND: &str = ": < /etc/passwd && : > /dev/null && rm old/file && echo done";
const DONE: &str = "done\n";
/// A folder of the app, with a file in it. That another can be put in its place shows that layers hide what lies below them; the command
/// then removes a file from that one.
const REPLACED: &str = "old";

impl Ground<'_> {
    /// The level that is asked for, or else the best that can be had but none. An error says why it cannot be had.
    pub fn choose(&self) -> Result<Reached> {
        if let Some(asked) = self.settings.isolation {
            return self.reach(asked).map_err(|finding| {
                refused(&format!("--isolation={asked} cannot be had here"), &finding)
            });
        }
        let mut last = None;
        for level in Level::ALL.into_iter().filter(|level| *level != Level::None) {
            match self.reach(level) {
                Ok(reached) => return Ok(reached),
                Err(finding) => last = Some(finding),
            }
        }
        let finding = last.ok_or_else(|| Error::internal("there are no levels"))?;
        Err(refused(
            "Dynos cannot be isolated on this machine. To run them without, for code that you trust as you do your own, name that: --isolation=none. At the last level that was tried",
            &finding,
        ))
    }

    /// All levels, for a person who wants to know.
    pub fn findings(&self) -> Vec<Finding> {
        Level::ALL
            .into_iter()
            .map(|level| self.try_level(level))
            .collect()
    }

    /// Builds such a sandbox, and runs a command in it.
    pub fn try_level(&self, level: Level) -> Finding {
        match self.reach(level) {
            Ok(_) => Finding {
                level,
                available: true,
                reason: None,
                remedy: None,
            },
            Err(finding) => *finding,
        }
    }

    fn reach(&self, level: Level) -> std::result::Result<Reached, Box<Finding>> {
        let left = match level {
            Level::None => Ok(None),
            Level::Full if !geteuid().is_root() => Err("it takes root".to_owned()),
            _ => self.run(level).map(Some).map_err(|error| error.to_string()),
        };
        match left {
            Ok(left) => Ok(Reached { level, _left: left }),
            Err(reason) => Err(Box::new(Finding {
                level,
                available: false,
                reason: Some(reason),
                remedy: remedy(level),
            })),
        }
    }

    /// Until the command has said that all went well, or has ended otherwise.
    fn run(&self, level: Level) -> io::Result<Left> {
        let place = Place::new(self.data)?;
        let mut claims = net::Claims::default();
        let spec = Spec {
            network: self.network(level, &place, &mut claims)?,
            ..self.spec(level, &place)?
        };
        let (mut launcher, _begun) = command(self.penstock, &spec)?;
        let streams = launcher.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut launcher = streams.stderr(Stdio::piped()).spawn()?;
        let mut said = String::new();
        let stdout = launcher.stdout.take().map(BufReader::new);
        let heard = stdout.map(|mut stdout| stdout.read_line(&mut said));
        if matches!(heard, Some(Ok(_))) && said == DONE {
            return Ok(Left {
                launcher,
                _claims: claims,
            });
        }
        let ended = launcher.wait_with_output()?;
        let said = String::from_utf8_lossy(&ended.stderr);
        let said = said.lines().last().unwrap_or_default();
        Err(io::Error::other(match said.is_empty() {
            true => format!("a command in it ended with {}", ended.status),
            false => said.trim_start_matches("penstock: ").to_owned(),
        }))
    }

    fn spec(&self, level: Level, place: &Place) -> io::Result<Spec> {
        let ids = (geteuid().is_root() && level.has_own_tree()).then(|| {
            let uid = *self.settings.dyno_uids.0.end();
            Ids { uid, gid: uid }
        });
        place.fill(ids)?;
        Ok(Spec {
            level,
            argv: ["/bin/sh", "-c", COMMAND].map(str::to_owned).to_vec(),
            env: BTreeMap::from([("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())]),
            app: place.app(),
            folder: place.folder(),
            writes_through: false,
            temporary: None,
            vars: None,
            cwd: None,
            packages: false,
            replaces: Some(REPLACED.to_owned()),
            background: false,
            ids,
            hostname: "probe".to_owned(),
            limits: LIMITS,
            cgroup: None,
            network: None,
            port: None,
            host: None,
            tty: false,
            hidden: self.data.to_owned(),
            readable: self.settings.dyno_readable.clone(),
        })
    }

    fn network(
        &self,
        level: Level,
        place: &Place,
        claims: &mut net::Claims,
    ) -> io::Result<Option<Network>> {
        if level != Level::Full {
            return Ok(None);
        }
        let pool = self.settings.dyno_network;
        Ok(Some(Network {
            owner: place.name(),
            address: claims.draw(pool).map_err(io::Error::other)?,
            gateway: pool.gateway(),
            mtu: net::mtu(),
            private: true,
        }))
    }
}

const LIMITS: Limits = Limits {
    memory: 512 << 20,
    memory_max: 512 << 20,
    cpu_weight: 100,
    pids: 64,
    disk: 1 << 20,
    inodes: 100,
    files: 1_000,
};

/// What is left of a sandbox whose command is done.
struct Left {
    launcher: Child,
    /// Of the address, for as long as its cable may be there.
    _claims: net::Claims,
}

impl Drop for Left {
    fn drop(&mut self) {
        // It removes what it has made. Why it might end otherwise is nothing that a level depends on.
        let _ = self.launcher.wait();
    }
}

/// Two folders that go when this does.
struct Place(PathBuf);

impl Place {
    fn new(data: &Path) -> io::Result<Place> {
        let name = crate::secret::random::<4>().map_err(io::Error::other)?;
        let place = Place(data.join(format!("{}{}", net::TRIAL, hex::encode(name))));
        for folder in [
            place.0.clone(),
            place.app(),
            place.folder(),
            place.app().join(REPLACED),
        ] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o755)
                .create(folder)?;
        }
        fs::write(place.app().join(REPLACED).join("file"), "")?;
        Ok(place)
    }

    fn name(&self) -> String {
        let name = self.0.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    fn app(&self) -> PathBuf {
        self.0.join("app")
    }

    fn folder(&self) -> PathBuf {
        self.0.join("dyno")
    }

    fn fill(&self, ids: Option<Ids>) -> io::Result<()> {
        let Some(Ids { uid, gid }) = ids else {
            return Ok(());
        };
        for path in [
            self.app(),
            self.app().join(REPLACED),
            self.app().join(REPLACED).join("file"),
        ] {
            chown(path, Some(uid), Some(gid))?;
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Nothing in it is anybody's.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn refused(what: &str, finding: &Finding) -> Error {
    let reason = finding.reason.as_deref().unwrap_or("unknown");
    let remedy = finding.remedy.as_deref().unwrap_or_default();
    Error::new(
        ErrorId::Unavailable,
        format!("{what}: {reason}. {remedy}").trim_end().to_owned(),
    )
}

/// What could help, from what the machine says of itself.
fn remedy(level: Level) -> Option<String> {
    let says =
        |path: &str, value: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == value);
    let remedy = match level {
        Level::Full if !geteuid().is_root() => {
            "Start the server as root. Dynos run as users of their own then, and never as root."
        }
        Level::Userns
            if says(
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1",
            ) =>
        {
            "AppArmor keeps programs from making user namespaces here, as Ubuntu does since 23.10. Start the server as root, or give penstock a profile with `userns,`, or set kernel.apparmor_restrict_unprivileged_userns=0 with sysctl."
        }
        Level::Userns if says("/proc/sys/kernel/unprivileged_userns_clone", "0") => {
            "Start the server as root, or set kernel.unprivileged_userns_clone=1 with sysctl."
        }
        Level::Userns if says("/proc/sys/user/max_user_namespaces", "0") => {
            "Start the server as root, or set user.max_user_namespaces=10000 with sysctl."
        }
        Level::Full | Level::Userns => {
            "It takes Linux 5.12 with namespaces and overlayfs. A container that the server itself runs in may keep it from both: run it outside of one."
        }
        Level::Landlock if landlock::abi() < landlock::USABLE => {
            "It takes Linux 5.19 with Landlock among its security modules: see lsm= in the kernel's command line."
        }
        Level::Landlock => "It takes Linux 5.19 with Landlock and seccomp.",
        Level::None => return None,
    };
    Some(remedy.to_owned())
}

/// What a machine has beside the levels, for a person who wants to know.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Whether the server runs as root.
    pub root: bool,
    /// What the kernel limits for each dyno.
    pub control_groups: Vec<Controller>,
    /// Landlock's ABI; 0 where there is none.
    pub landlock: i32,
    /// Packets are passed on from one network to another.
    pub forwards: bool,
}

impl Machine {
    pub fn look(name: &str) -> Machine {
        Machine {
            root: geteuid().is_root(),
            control_groups: Cgroups::find(name, &Sources::read()).controllers(),
            landlock: landlock::abi(),
            forwards: net::forwards(),
        }
    }

    /// What is missing though the level does not depend on it, each with what to do.
    pub fn shortfalls(&self, level: Level) -> Vec<String> {
        let mut all = Vec::new();
        let missing: Vec<&str> = Controller::ALL
            .into_iter()
            .filter(|controller| !self.control_groups.contains(controller))
            .map(Controller::as_str)
            .collect();
        if !missing.is_empty() && level != Level::None {
            all.push(format!(
                "No control group limits {}: {}",
                missing.join(", "),
                match self.root {
                    true => "mount a cgroup hierarchy with these controllers. What dynos use of memory is watched instead.",
                    false => "start the server as root, or in a group that systemd has delegated (Delegate=yes). What dynos use of memory is watched instead.",
                }
            ));
        }
        if self.landlock < landlock::USABLE && level.has_own_tree() {
            all.push("There is no Landlock to be a second wall: it takes Linux 5.19.".to_owned());
        }
        if self.landlock < landlock::PORTS && level != Level::Full && level != Level::None {
            all.push(
                "A dyno can take the port of another one: keeping it from that takes Linux 6.7."
                    .to_owned(),
            );
        }
        if self.landlock < landlock::SCOPES && level == Level::Landlock {
            all.push("Dynos can send signals to what else runs as this user: keeping them from that takes Linux 6.12.".to_owned());
        }
        if level == Level::Full && !self.forwards {
            all.push("This machine does not forward packets, so dynos reach nothing but the router: set net.ipv4.ip_forward=1 with sysctl. The server does so when it starts, unless it is told --dyno-forwarding=false.".to_owned());
        }
        all
    }
}
