//! The launcher `penstock dyno-init`, run directly: what a command inside can do, and how it ends.
//!
//! As root the tests run at level full, and as an ordinary user through `setpriv` at the levels below; an ordinary user runs all
//! but the first.

mod addresses;
mod api;
mod egress;
mod ends;
mod groups;
pub mod inside;
mod levels;
mod limits;
mod network;
mod shown;
mod trial;

use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::unistd::geteuid;
use penstock::sandbox::cgroup::{Cgroup, Cgroups, Sources};
use penstock::sandbox::{self, Ids, Level, Limits, Network, Spec};
use tempfile::TempDir;

use crate::binary::in_time;

/// Who runs the server, where the tests are run by root and it is not to be.
const PLAIN: u32 = 20_123;
/// Whom an app's dynos run as.
const APP: Ids = Ids {
    uid: 20_777,
    gid: 20_777,
};

pub fn root() -> bool {
    geteuid().is_root()
}

/// A level, and who runs the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Way {
    pub level: Level,
    /// The server is an ordinary user's.
    pub plain: bool,
}

impl Way {
    /// Those at which a dyno has its own tree, as far as this user can try them.
    pub fn own_tree() -> Vec<Way> {
        match root() {
            true => vec![
                Way {
                    level: Level::Full,
                    plain: false,
                },
                Way {
                    level: Level::Userns,
                    plain: false,
                },
                Way {
                    level: Level::Userns,
                    plain: true,
                },
            ],
            false => vec![Way {
                level: Level::Userns,
                plain: true,
            }],
        }
    }

    /// All that isolate.
    pub fn all() -> Vec<Way> {
        let mut all = Way::own_tree();
        all.push(Way {
            level: Level::Landlock,
            plain: true,
        });
        all
    }

    /// Without any isolation, by the same user.
    pub fn open(self) -> Way {
        Way {
            level: Level::None,
            ..self
        }
    }
}

/// A dyno to be: folders, a spec and an environment.
pub struct Bed {
    dir: TempDir,
    way: Way,
    pub spec: Spec,
}

/// What a dyno came to.
pub struct Outcome {
    pub status: i32,
    pub said: String,
}

impl Bed {
    /// A dyno that runs this under bash, in a home with one file, `hello`.
    pub fn new(way: Way, script: &str) -> Bed {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let ids = (!way.plain && way.level.has_own_tree()).then_some(APP);
        let spec = Spec {
            level: way.level,
            argv: ["/bin/bash", "-c", script].map(str::to_owned).to_vec(),
            env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into())]),
            app: dir.path().join("app"),
            folder: dir.path().join("dyno"),
            writes_through: false,
            temporary: None,
            vars: None,
            cwd: None,
            packages: false,
            replaces: None,
            background: false,
            ids,
            hostname: "shop-web-1".into(),
            limits: Limits {
                memory: 64 << 20,
                memory_max: 128 << 20,
                cpu_weight: 100,
                pids: 40,
                disk: 16 << 20,
                inodes: 500,
                files: 1_000,
            },
            cgroup: None,
            network: None,
            port: None,
            host: None,
            tty: false,
            hidden: dir.path().join("data"),
            readable: Vec::new(),
        };
        let bed = Bed { dir, way, spec };
        std::fs::create_dir(&bed.spec.app).unwrap();
        std::fs::create_dir(&bed.spec.folder).unwrap();
        bed.file("app/hello", "hello\n");
        bed.own(&bed.spec.app, ids.map_or(bed.server(), |ids| ids.uid));
        bed.own(
            &bed.spec.app.join("hello"),
            ids.map_or(bed.server(), |ids| ids.uid),
        );
        bed.own(&bed.spec.folder, bed.server());
        bed
    }

    /// The same with Python's words.
    pub fn python(way: Way, script: &str) -> Bed {
        let mut bed = Bed::new(way, "");
        bed.spec.argv = ["/usr/bin/python3", "-c", script]
            .map(str::to_owned)
            .to_vec();
        bed
    }

    pub fn with(mut self, name: &str, value: impl ToString) -> Bed {
        self.spec.env.insert(name.into(), value.to_string());
        self
    }

    /// As a server with control groups makes it; without where there are none.
    pub fn grouped(mut self) -> Bed {
        self.spec.cgroup = self.group();
        self
    }

    fn group(&self) -> Option<Cgroup> {
        Cgroups::find(&self.name(), &Sources::read()).of("one")
    }

    /// Of the group that its server would have.
    pub fn name(&self) -> String {
        let name = self.dir.path().file_name().unwrap().to_str().unwrap();
        format!("penstock-test{}", name.replace('.', "-"))
    }

    /// With a network of its own at level full.
    pub fn networked(mut self, number: u8) -> Bed {
        if self.way.level == Level::Full {
            self.spec.network = Some(network(number));
        }
        self
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The user that the server would run as.
    fn server(&self) -> u32 {
        match root() && self.way.plain {
            true => PLAIN,
            false => geteuid().as_raw(),
        }
    }

    fn own(&self, path: &Path, uid: u32) {
        if root() {
            chown(path, Some(uid), Some(uid)).unwrap();
        }
    }

    /// A file of the server's own, which nobody else may read.
    pub fn private(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name, text);
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        self.own(&path, self.server());
        path
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A command of the server's user, outside of every sandbox.
    pub fn outside(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        if root() && self.way.plain {
            command = Command::new("setpriv");
            let plain = PLAIN.to_string();
            command.args([
                "--reuid",
                &plain,
                "--regid",
                &plain,
                "--clear-groups",
                program,
            ]);
        }
        command.env_clear().stdin(Stdio::null());
        command
    }

    /// The launcher as a process, its output in a pipe.
    pub fn start(&self) -> Child {
        let mut command = self.outside(env!("CARGO_BIN_EXE_penstock"));
        command.arg(sandbox::SUBCOMMAND);
        drop(sandbox::hand_over(&mut command, &self.spec).unwrap());
        let (reader, writer) = std::io::pipe().unwrap();
        // A server's pipes are its own user's.
        std::os::unix::fs::fchown(&writer, Some(self.server()), None).unwrap();
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let mut child = command.spawn().unwrap();
        child.stdout = Some(std::os::fd::OwnedFd::from(reader).into());
        child
    }

    /// Runs it to its end.
    pub fn run(&self) -> Outcome {
        let mut child = self.start();
        in_time(move || {
            let mut said = String::new();
            child
                .stdout
                .take()
                .unwrap()
                .read_to_string(&mut said)
                .unwrap();
            let status = code(child.wait().unwrap());
            Outcome { status, said }
        })
    }
}

pub fn code(status: ExitStatus) -> i32 {
    status.code().expect("the launcher ends with a code")
}

/// One of the addresses that only these tests use, and those of one test run at that.
pub fn network(number: u8) -> Network {
    let run = u8::try_from(std::process::id() % 250).unwrap();
    Network {
        owner: format!("test-{number}"),
        address: [10, 214, run, number].into(),
        gateway: [10, 214, 0, 1].into(),
        mtu: 1500,
        private: true,
    }
}
