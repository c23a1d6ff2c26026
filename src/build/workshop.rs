//! The one way in which a build runs a command: in the sandbox that dynos have, held by a shim that ends with this server.
//!
//! The tree lies at `/app`, as it will when the app runs ([`Site::InPlace`]), or in a folder beside it, as buildpacks expect
//! ([`Site::Apart`]). Commands of one workshop share `/app`, `/tmp` and nothing else: each has its own processes and network, and
//! whatever it leaves running is ended with it. It must not know what is run, nor what for.

mod cache;
mod vars;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::caches::{Caches, Generation};
use crate::catalog;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::output::Writer;
use crate::sandbox::{Isolation, Level, Spec, folders};
use crate::secret;
use crate::shim::client::{self, FromShim, Shim, ToShim};
use crate::shim::{self, Program, Streams};
use crate::store::builds::Build;
use crate::store::config_vars::ConfigVars;

use super::halt::Halt;
use super::limits::Limits;
use super::watch::Watch;
use super::workspace::Workspace;

/// Heroku's, for builds.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// For the processes of a command that was told to end, and for the shim after it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What all workshops of a server have.
#[derive(Clone)]
pub struct Bench {
    pub isolation: Isolation,
    /// The binary that is shim and launcher when it is told to be.
    pub penstock: PathBuf,
    /// What builds keep for the next one.
    pub caches: Caches,
}

/// Where the tree is while commands work on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Site {
    /// At `/app`, where it will be when the app runs.
    InPlace,
    /// In a folder below `/tmp`, with an `/app` beside it that is thrown away.
    Apart,
}

/// A build's, for as long as it runs commands.
pub(super) struct Workshop {
    build: Id,
    app: Id,
    bench: Bench,
    limits: Limits,
    place: Arc<Workspace>,
    /// Who owns the tree and runs the commands, if not the server's user.
    uid: Option<u32>,
    vars: ConfigVars,
    site: Site,
    /// The name of the tree's folder, apart.
    name: String,
    /// Of the cache that was laid ready.
    cache: OnceLock<Generation>,
}

/// A command.
#[derive(Clone, Debug, Default)]
pub(super) struct Step {
    /// The program, by its path, and its arguments.
    pub(super) argv: Vec<String>,
    /// All of its environment.
    pub(super) env: BTreeMap<String, String>,
    /// Where it starts, as seen from inside.
    pub(super) cwd: PathBuf,
}

impl Workshop {
    /// Lays the workspace's tree where commands can work on it. Blocks.
    pub(super) fn open(
        (build, app): (Id, Id),
        bench: &Bench,
        limits: &Limits,
        place: &Arc<Workspace>,
        site: Site,
        (uid, vars): (Option<u32>, ConfigVars),
    ) -> Result<Workshop> {
        let workshop = Workshop {
            build,
            app,
            bench: bench.clone(),
            limits: limits.clone(),
            place: place.clone(),
            uid,
            vars,
            site,
            name: format!("build_{}", hex::encode(secret::random::<4>()?)),
            cache: OnceLock::new(),
        };
        for folder in ["tmp", "step"] {
            DirBuilder::new()
                .mode(0o700)
                .create(place.path().join(folder))?;
        }
        if site == Site::Apart {
            workshop.make_folder(&workshop.outside_home())?;
        }
        fs::rename(place.tree(), workshop.outside_tree())?;
        if let Some(uid) = uid {
            folders::give(&workshop.outside_tree(), uid)?;
            folders::give(&place.path().join("tmp"), uid)?;
        }
        if !workshop.has_own_tree() {
            workshop.lay_vars()?;
        }
        Ok(workshop)
    }

    /// Gives the tree back to the workspace, and says whether the cache is kept, too. 422 when the commands have left no tree. Blocks.
    pub(super) fn close(self) -> Result<bool> {
        let tree = self.outside_tree();
        if !folders::is_folder(&tree) {
            return Err(Error::invalid(
                "The build has removed its own folder, so there is nothing to make a slug of.",
            ));
        }
        fs::rename(tree, self.place.tree())?;
        self.keep_cache()
    }

    /// Whether `/app` is the tree's or the home's own path. Without, both are somewhere else, which some buildpacks cannot cope with.
    pub(super) fn has_own_tree(&self) -> bool {
        self.bench.isolation.has_own_tree()
    }

    fn outside_home(&self) -> PathBuf {
        self.place.path().join("app")
    }

    /// Where the tree is for the server.
    pub(super) fn outside_tree(&self) -> PathBuf {
        match self.site {
            Site::InPlace => self.outside_home(),
            Site::Apart => self.outside_tmp().join(&self.name),
        }
    }

    /// Where `/tmp` is for the server, which may trust no name below it.
    pub(super) fn outside_tmp(&self) -> PathBuf {
        self.place.path().join("tmp")
    }

    /// `/app`.
    pub(super) fn home(&self) -> PathBuf {
        match self.has_own_tree() {
            true => "/app".into(),
            false => self.outside_home(),
        }
    }

    /// `/tmp`.
    pub(super) fn tmp(&self) -> PathBuf {
        match self.has_own_tree() {
            true => "/tmp".into(),
            false => self.outside_tmp(),
        }
    }

    /// The tree, as commands see it.
    pub(super) fn tree(&self) -> PathBuf {
        match self.site {
            Site::InPlace => self.home(),
            Site::Apart => self.tmp().join(&self.name),
        }
    }

    /// Makes a folder of the commands' own. Blocks.
    pub(super) fn make_folder(&self, outside: &Path) -> Result<()> {
        DirBuilder::new().mode(0o755).create(outside)?;
        if let Some(uid) = self.uid {
            folders::give(outside, uid)?;
        }
        Ok(())
    }

    /// Bytes of disk that the build may use.
    pub(super) fn disk_bytes(&self) -> u64 {
        self.limits.disk_bytes()
    }

    /// The app's config vars.
    pub(super) fn vars(&self) -> &ConfigVars {
        &self.vars
    }

    /// Who owns what the commands write, if not the server's user.
    pub(super) fn uid(&self) -> Option<u32> {
        self.uid
    }

    /// What every command of a build has in its environment: exactly what Heroku's have, as its buildpacks' own tests record it.
    pub(super) fn environment(&self, build: &Build) -> BTreeMap<String, String> {
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let mut env: BTreeMap<String, String> = self.limits.env.iter().cloned().collect();
        env.insert("PATH".to_owned(), PATH.to_owned());
        env.insert("HOME".to_owned(), shown(&self.home()));
        env.insert("STACK".to_owned(), catalog::STACK.name.to_owned());
        env.insert("DYNO".to_owned(), "build".to_owned());
        env.insert("REQUEST_ID".to_owned(), build.id.to_string());
        if let Some(version) = &build.version {
            env.insert("SOURCE_VERSION".to_owned(), version.clone());
        }
        if !self.has_own_tree() {
            env.insert("TMPDIR".to_owned(), shown(&self.tmp()));
        }
        env
    }

    /// Runs a command to its end, and shows what it prints. Its status, as a shell counts it.
    pub(super) async fn run(&self, step: Step, output: &Writer, halt: &Halt) -> Result<i32> {
        self.attend(step, halt, |bytes| output.write(bytes)).await
    }

    /// The same, and keeps what it prints, up to so many bytes, instead of showing it.
    pub(super) async fn capture(
        &self,
        step: Step,
        limit: usize,
        halt: &Halt,
    ) -> Result<(i32, Vec<u8>)> {
        let mut printed = Vec::new();
        let keep = |bytes: &[u8]| {
            let room = limit.saturating_sub(printed.len());
            printed.extend_from_slice(&bytes[..bytes.len().min(room)]);
        };
        let status = self.attend(step, halt, keep).await?;
        Ok((status, printed))
    }

    /// Sees a command through to the end of its last process, whatever comes.
    pub(super) async fn attend(
        &self,
        step: Step,
        halt: &Halt,
        mut take: impl FnMut(&[u8]),
    ) -> Result<i32> {
        halt.check()?;
        let spec = shim::Spec {
            note: String::new(),
            program: self.program(step).await?,
            streams: Streams::Output,
            tied: true,
        };
        let folder = self.place.path().join("step");
        let claim = self.bench.isolation.claim(self.build)?;
        let Shim {
            hello,
            mut hearing,
            speaking,
        } = client::start(&self.bench.penstock, &folder, spec, claim).await?;
        let watch = self.watch(hello.shim);
        let end = async {
            tokio::select! {
                why = watch.overuse() => why,
                why = halt.called() => why,
            }
        };
        let mut end = std::pin::pin!(end);
        let (mut why, mut status) = (None, None);
        let mut patience = std::pin::pin!(tokio::time::sleep(PATIENCE));
        loop {
            tokio::select! {
                said = hearing.next() => match said? {
                    Some(FromShim::Output { offset, bytes, .. }) => {
                        take(&bytes);
                        speaking.say(&ToShim::Ack(offset + bytes.len() as u64));
                    }
                    Some(FromShim::Exited { status: ended, .. }) => {
                        status = Some(ended);
                        speaking.say(&ToShim::Release);
                    }
                    Some(_) => {}
                    None => break,
                },
                reason = &mut end, if why.is_none() => {
                    why = Some(reason);
                    speaking.say(&ToShim::Stop(Duration::ZERO));
                    patience.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
                }
                // A process that hangs in the kernel must not hold up the queue. The next start removes what is left.
                () = &mut patience, if why.is_some() => break,
            }
        }
        if let Some(why) = why {
            return Err(why);
        }
        status.ok_or_else(|| Error::internal("the shim of a build's command was killed"))
    }

    fn watch(&self, shim: i32) -> Watch {
        Watch {
            build: self.build,
            shim,
            cgroup: self.bench.isolation.cgroup(self.build),
            folder: self.place.path().to_owned(),
            limits: self.limits.clone(),
        }
    }

    /// The command in its sandbox.
    async fn program(&self, step: Step) -> Result<Program> {
        let folder = self.place.path().join("step");
        let [program, arguments @ ..] = step.argv.as_slice() else {
            return Err(Error::internal("a build was to run no command at all"));
        };
        let bare = Program {
            path: program.into(),
            arguments: arguments.iter().map(Into::into).collect(),
            environment: Vec::new(),
            folder: step.cwd.clone(),
            sandbox: None,
        };
        if self.bench.isolation.level() == Level::None {
            let environment = step.env.into_iter();
            return Ok(Program {
                environment: environment
                    .map(|(name, value)| (name.into(), value.into()))
                    .collect(),
                ..bare
            });
        }
        let (isolation, build, uid) = (self.bench.isolation.clone(), self.build, self.uid);
        let (home, limits) = (self.outside_home(), self.limits.of_sandbox());
        let on_disk = (!self.has_own_tree()).then(|| self.outside_vars());
        let scratch = folder.join("scratch");
        // It asks the kernel for much.
        let making = move || {
            folders::remove(&scratch)?;
            DirBuilder::new().mode(0o700).create(&scratch)?;
            isolation.spec(build, uid, home, scratch, limits)
        };
        let mut spec = tokio::task::spawn_blocking(making)
            .await
            .map_err(Error::internal)??;
        spec.readable.extend(on_disk);
        Ok(Program {
            folder,
            sandbox: Some(Box::new(Spec {
                argv: step.argv,
                env: step.env,
                cwd: Some(step.cwd),
                writes_through: true,
                temporary: Some(self.outside_tmp()),
                vars: Some(self.vars.clone()),
                packages: true,
                background: true,
                hostname: "build".to_owned(),
                ..spec
            })),
            ..bare
        })
    }
}

impl Drop for Workshop {
    /// Nothing of the build's stays with the kernel, and no secret of the app's on the disk. Blocks.
    fn drop(&mut self) {
        self.bench.isolation.clean(self.build);
        self.wipe_vars();
    }
}
