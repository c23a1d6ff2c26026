//! Classic buildpacks: a folder with `bin/detect` and `bin/compile`, and what its host owes it.
//!
//! The contract is Heroku's, and its details decide whether real buildpacks work: the working directory is the buildpack's own
//! folder, the tree is not `/app`, config vars are files and no environment, and what one buildpack exports the next ones have.
//! It must not know where a buildpack is from.

pub(super) mod ground;
mod release;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::output::Writer;
use crate::process_types::Built;
use crate::store::builds::Build;

use super::halt::Halt;
use super::workshop::{Step, Workshop};

pub(super) const SHELL: &str = "/bin/bash";
/// Sources what earlier buildpacks export, and becomes what is named behind the `--`. All is data: nothing is put into the text.
pub(super) const WITH_EXPORTS: &str = concat!(
    "penstock=(\"$@\")\n",
    "while [ \"${penstock[0]}\" != -- ]; do\n",
    "  if [ -f \"${penstock[0]}\" ]; then . \"${penstock[0]}\"; fi\n",
    "  penstock=(\"${penstock[@]:1}\")\n",
    "done\n",
    "exec \"${penstock[@]:1}\"\n",
);
/// Without what a script says beside its answer.
const QUIETLY: &str = "exec \"$@\" 2>/dev/null";
/// What is run as it is, for scripts without a first line that names their interpreter.
const PLAINLY: &str = "exec \"$@\"";
/// Bytes that are looked at of what bin/detect prints, and characters of the name in it.
const NAME_BYTES: usize = 4 * 1024;
const NAME_CHARS: usize = 100;
/// Bytes that are shown of why bin/detect refused.
const REFUSAL_BYTES: usize = 16 * 1024;
/// As a shell counts SIGKILL.
const KILLED: i32 = 137;

/// Buildpacks at work on one build.
pub(super) struct Classic<'a> {
    pub(super) build: &'a Build,
    pub(super) workshop: &'a Workshop,
    pub(super) output: &'a Writer,
    pub(super) halt: &'a Halt,
    /// As seen from inside.
    pub(super) cache: PathBuf,
}

/// One that lies ready.
pub(super) struct Pack {
    /// As its user names it.
    pub(super) shown: String,
    /// Its folder, as seen from inside.
    pub(super) folder: PathBuf,
}

impl Classic<'_> {
    /// Runs all of them, in order. What the last one says of the app.
    pub(super) async fn run(&self, packs: &[Pack]) -> Result<Built> {
        let mut built = Built::default();
        let mut exports = Vec::new();
        for (at, pack) in packs.iter().enumerate() {
            let is_last = at + 1 == packs.len();
            built = self.run_one(pack, &mut exports, is_last).await?;
        }
        Ok(built)
    }

    /// Runs one, with what those before it export, to which it may add. What it says of the app, if it is the last one.
    pub(super) async fn run_one(
        &self,
        pack: &Pack,
        exports: &mut Vec<String>,
        is_last: bool,
    ) -> Result<Built> {
        let name = self.detect(pack).await?;
        self.output.step(&format!("{name} app detected"));
        let compiled = self.compile(pack, &name, exports).await;
        self.report(pack).await;
        compiled?;
        exports.push(text(&pack.folder.join("export")));
        let defaults = match is_last {
            true => self.release(pack).await?,
            false => BTreeMap::new(),
        };
        Ok(Built {
            name,
            defaults,
            ..Built::default()
        })
    }

    /// What the buildpack calls an app that it can build.
    async fn detect(&self, pack: &Pack) -> Result<String> {
        let arguments = [text(&self.workshop.tree())];
        let step = self.script(pack, "detect", QUIETLY, &arguments);
        let (status, said) = self.workshop.capture(step, NAME_BYTES, self.halt).await?;
        if status == 0 {
            return Ok(name(&said));
        }
        // Once more, for all that it says: what is wrong stands on standard error.
        let step = self.script(pack, "detect", PLAINLY, &arguments);
        let (_, said) = self
            .workshop
            .capture(step, REFUSAL_BYTES, self.halt)
            .await?;
        self.output.step(&format!(
            "App not compatible with buildpack: {}",
            pack.shown
        ));
        for line in String::from_utf8_lossy(&said).lines() {
            self.output.detail(line);
        }
        self.output.detail(
            "More info: https://devcenter.heroku.com/articles/buildpacks#buildpack-auto-detection",
        );
        Err(Error::invalid(format!(
            "The buildpack {} cannot build this app: see above.",
            pack.shown
        )))
    }

    async fn compile(&self, pack: &Pack, name: &str, exports: &[String]) -> Result<()> {
        let mut arguments = exports.to_vec();
        arguments.push("--".to_owned());
        arguments.push(text(&pack.folder.join("bin/compile")));
        arguments.extend(self.folders());
        let step = self.step(pack, WITH_EXPORTS, arguments);
        let status = self.workshop.run(step, self.output, self.halt).await?;
        if status == KILLED {
            self.output
                .warning("bin/compile was killed. It may have used too much memory.");
        }
        match status {
            0 => Ok(()),
            _ => Err(Error::invalid(format!(
                "Push rejected, failed to compile {name} app."
            ))),
        }
    }

    /// Lets the buildpack count what it did. What it says is nothing to anybody here, and it cannot fail a build.
    async fn report(&self, pack: &Pack) {
        let step = self.script(pack, "report", REPORT, &self.folders());
        if let Err(error) = self.workshop.capture(step, 0, self.halt).await {
            tracing::debug!(build = %self.build.id, %error, "a buildpack's report was cut off");
        }
    }

    async fn release(&self, pack: &Pack) -> Result<BTreeMap<String, String>> {
        let arguments = [text(&self.workshop.tree())];
        let step = self.script(pack, "release", RELEASE, &arguments);
        let (status, said) = self
            .workshop
            .capture(step, release::MAX_BYTES, self.halt)
            .await?;
        match status {
            0 => release::parse(&said),
            _ => Err(Error::invalid(format!(
                "The buildpack {} ended its bin/release with status {status}.",
                pack.shown
            ))),
        }
    }

    fn folders(&self) -> [String; 3] {
        let workshop = self.workshop;
        [workshop.tree(), self.cache.clone(), workshop.vars_dir()].map(|folder| text(&folder))
    }

    fn script(&self, pack: &Pack, name: &str, how: &str, arguments: &[String]) -> Step {
        let mut all = vec![text(&pack.folder.join("bin").join(name))];
        all.extend_from_slice(arguments);
        self.step(pack, how, all)
    }

    fn step(&self, pack: &Pack, how: &str, arguments: Vec<String>) -> Step {
        let mut argv = [SHELL, "-c", how, SHELL].map(str::to_owned).to_vec();
        argv.extend(arguments);
        Step {
            argv,
            env: self.environment(),
            cwd: pack.folder.clone(),
        }
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let mut env = self.workshop.environment(self.build);
        env.insert("BUILDPACK_LOG_FILE".to_owned(), "/dev/null".to_owned());
        env
    }
}

/// Both are a buildpack's own choice to have. What cannot be run counts as not there.
const REPORT: &str = "if [ -x \"$1\" ]; then exec \"$@\" 2>/dev/null; fi";
const RELEASE: &str = REPORT;

/// The name in what bin/detect prints.
fn name(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty());
    let shown = line.unwrap_or_default().chars();
    shown
        .filter(|shown| !shown.is_control())
        .take(NAME_CHARS)
        .collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
