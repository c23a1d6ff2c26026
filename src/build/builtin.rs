//! A built-in builder at work: its plan, carried out in a workshop around the tree at `/app`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::builders::{Command, Folder, Kind, Places, Plan, Probe, Source, Step, Toolchains};
use crate::error::{Error, Result};
use crate::output::Writer;
use crate::process_types::Built;
use crate::store::buildpacks::Buildpack;
use crate::store::builds::Build;

use super::classic::{self, WITH_EXPORTS, ground};
use super::halt::Halt;
use super::make::{blocking, close};
use super::steps::Work;
use super::workshop::{self, Workshop};

/// Finds programs by their names.
const ENV: &str = "/usr/bin/env";
const SHELL: &str = "/bin/sh";
/// Each argument is a command that prints a version; its words and the first line that it prints come on a line.
const PROBE: &str = concat!(
    "for probe in \"$@\"; do\n",
    "  printf '%s\\t%s\\n' \"$probe\" \"$($probe 2>/dev/null </dev/null | head -n 1)\"\n",
    "done\n",
);
/// Bytes of all their answers.
const PROBE_BYTES: usize = 16 * 1024;
/// Writes its second argument to the file that its first one names.
const LEAVE: &str = "mkdir -p .profile.d && printf %s \"$2\" > \".profile.d/$1\"";
/// Writes a file that makes its second argument the beginning of `PATH`. Without it the buildpacks have the machine's own programs.
const EXPORT: &str = "printf \"export PATH='%s':\\$PATH\\n\" \"$2\" > \"$1\"";
/// Config vars that are not for builds: they decide where programs, the app and the build's own things are.
const KEPT_BACK: [&str; 10] = [
    "CPATH",
    "CPPATH",
    "GIT_DIR",
    "HOME",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "LIBRARY_PATH",
    "PATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
];
/// Bytes that are looked at of what a condition prints.
const CONDITION_BYTES: usize = 1024;
/// As a shell counts SIGKILL.
const KILLED: i32 = 137;

/// Which builders are to build.
pub(super) enum Choice {
    /// The first of these, all of which could.
    First(Vec<Kind>),
    /// All of these, in order, as the buildpacks of these names.
    Named(Vec<(String, Kind)>),
}

impl Work {
    /// Which builders stand in for buildpacks, each of them for itself: for those that are only names, of which nothing is to be had.
    pub(super) async fn stand_ins(&self, named: &[Buildpack]) -> Result<Vec<Option<Kind>>> {
        if self.settings.shelves.registry.is_some() {
            return Ok(vec![None; named.len()]);
        }
        let names: Vec<String> = named.iter().map(|known| known.name.clone()).collect();
        let registry = self.settings.registry.clone();
        blocking(move || {
            let kept = registry.list()?;
            let stand_in = |name: &String| {
                let is_kept = kept.iter().any(|kept| kept.name == *name);
                Kind::named(name).filter(|_| !is_kept)
            };
            Ok(names.iter().map(stand_in).collect())
        })
        .await
    }

    /// Builds the tree of a workshop that has it in place.
    pub(super) async fn builtin(
        &self,
        build: &Build,
        workshop: Workshop,
        choice: Choice,
        output: &Writer,
        halt: &Halt,
    ) -> Result<Built> {
        let stop = halt.clone();
        let prepared = move || ground::prepare(&workshop, &stop).map(|()| workshop);
        let workshop = blocking(prepared).await?;
        let builtin = Builtin {
            build,
            workshop: &workshop,
            output,
            halt,
            cache: ground::cache(&workshop),
            path: &self.settings.path,
            exports: &[],
        };
        let built = builtin.run_all(&choice).await;
        close(workshop, built, output).await
    }
}

/// Built-in builders at work on one build.
pub(super) struct Builtin<'a> {
    pub(super) build: &'a Build,
    pub(super) workshop: &'a Workshop,
    pub(super) output: &'a Writer,
    pub(super) halt: &'a Halt,
    /// As seen from inside.
    pub(super) cache: PathBuf,
    /// Where dynos look for programs, and so builds, too.
    pub(super) path: &'a str,
    /// What buildpacks before it export, as files.
    pub(super) exports: &'a [String],
}

impl Builtin<'_> {
    async fn run_all(&self, choice: &Choice) -> Result<Built> {
        match choice {
            Choice::First(found) => self.run_first(found).await,
            Choice::Named(named) => {
                let mut built = Built::default();
                for (name, kind) in named {
                    built = self.run_named(name, *kind).await?.0;
                }
                Ok(built)
            }
        }
    }

    /// In place of a buildpack, which would refuse what is not for it. With it comes where its programs are, as a `PATH`.
    pub(super) async fn run_named(&self, name: &str, kind: Kind) -> Result<(Built, String)> {
        self.output.step(&format!(
            "Using buildpack: {name} (built in; `penstock buildpack import {name}` brings the official one)"
        ));
        if !kind.detects(&Folder::open(&self.workshop.outside_tree())?) {
            self.output
                .step(&format!("App not compatible with buildpack: {name}"));
            return Err(Error::invalid(format!(
                "It looks for {} at the root of the source, which is not there.",
                kind.sought()
            )));
        }
        self.run(kind).await
    }

    async fn run_first(&self, found: &[Kind]) -> Result<Built> {
        if let [_, _, ..] = found {
            let names: Vec<&str> = found.iter().map(|kind| kind.name()).collect();
            self.output.warning(&format!(
                "Warning: Multiple default buildpacks reported the ability to handle this app. The first buildpack in the list below will \
                 be used.\nDetected buildpacks: {}",
                names.join(",")
            ));
        }
        match found.first() {
            Some(kind) => Ok(self.run(*kind).await?.0),
            None => Ok(Built::default()),
        }
    }

    async fn run(&self, kind: Kind) -> Result<(Built, String)> {
        self.output.step(&format!("{} app detected", kind.name()));
        let tree = Folder::open(&self.workshop.outside_tree())?;
        let source = Source {
            tree: &tree,
            config: self.workshop.vars(),
        };
        let places = Places {
            home: text(&self.workshop.tree()),
            cache: text(&self.cache),
            path: self.path.to_owned(),
        };
        let toolchains = self.toolchains(kind.probes(&source)?).await?;
        let plan = kind
            .plan(&source, &toolchains, &places)?
            .unwrap_or_default();
        self.leave_profile(&plan).await?;
        for step in &plan.steps {
            match step {
                Step::Topic(text) => self.output.step(text),
                Step::Note(text) => self.output.detail(text),
                Step::Warning(text) => self.output.warning(text),
                Step::Run(command) => self.command(command, &plan, kind).await?,
            }
        }
        let path = plan.env.get("PATH").cloned().unwrap_or_default();
        let built = Built {
            name: kind.name().to_owned(),
            defaults: plan.defaults,
            must_run: true,
        };
        Ok((built, path))
    }

    /// Lets buildpacks after it find its programs: the file that they source, as seen from inside. None where all its programs are
    /// the machine's: those would go before what comes later brings along.
    pub(super) async fn export(&self, path: &str, at: usize) -> Result<Option<String>> {
        let Some(own) = path.strip_suffix(&format!(":{}", self.path)) else {
            return Ok(None);
        };
        let file = text(&self.workshop.tmp().join(format!("export-{at}")));
        let argv = [SHELL, "-c", EXPORT, SHELL, &file, own].map(str::to_owned);
        let step = self.step(argv.to_vec(), BTreeMap::new());
        self.workshop
            .capture(step, CONDITION_BYTES, self.halt)
            .await?;
        Ok(Some(file))
    }

    /// Asks programs for their versions, from inside: what is not seen there is of no use.
    async fn toolchains(&self, probes: Vec<Probe>) -> Result<Toolchains> {
        let mut toolchains = Toolchains::default();
        if probes.is_empty() {
            return Ok(toolchains);
        }
        let mut argv = [SHELL, "-c", PROBE, SHELL].map(str::to_owned).to_vec();
        argv.extend(probes.iter().map(|probe| probe.argv().join(" ")));
        // A go.mod may ask for another go, which go would fetch here and now.
        let env = [("PATH", self.path), ("GOTOOLCHAIN", "local")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let env = BTreeMap::from(env);
        let step = self.step(argv, env);
        let (_, said) = self.workshop.capture(step, PROBE_BYTES, self.halt).await?;
        for line in String::from_utf8_lossy(&said).lines() {
            let Some((asked, answer)) = line.split_once('\t') else {
                continue;
            };
            if let Some(probe) = probes.iter().find(|probe| probe.argv().join(" ") == asked) {
                toolchains.add(probe, answer);
            }
        }
        Ok(toolchains)
    }

    /// From inside, so that the files are the app's, and nothing in the tree can lead elsewhere.
    async fn leave_profile(&self, plan: &Plan) -> Result<()> {
        for (name, script) in &plan.profile {
            let argv = [SHELL, "-c", LEAVE, SHELL, name, script].map(str::to_owned);
            let step = self.step(argv.to_vec(), BTreeMap::new());
            let (status, said) = self
                .workshop
                .capture(step, CONDITION_BYTES, self.halt)
                .await?;
            if status != 0 {
                let said = String::from_utf8_lossy(&said).trim().to_owned();
                return Err(Error::invalid(format!(
                    "The build could not write .profile.d/{name}: {said}. Is .profile.d something else than a folder?"
                )));
            }
        }
        Ok(())
    }

    async fn command(&self, command: &Command, plan: &Plan, kind: Kind) -> Result<()> {
        let mut env = plan.env.clone();
        let passed = self.workshop.vars().iter();
        let passed = passed.filter(|(name, _)| !KEPT_BACK.contains(&name.as_str()));
        env.extend(passed.map(|(name, value)| (name.clone(), value.clone())));
        env.extend(command.env.clone());
        if let Some(condition) = &command.only_if {
            let step = self.step(found(condition), env.clone());
            let (status, _) = self
                .workshop
                .capture(step, CONDITION_BYTES, self.halt)
                .await?;
            if status != 0 {
                if let Some(note) = &command.else_note {
                    self.output.detail(note);
                }
                return Ok(());
            }
        }
        if !command.unshown {
            self.output.detail(&format!("$ {}", shown(&command.argv)));
        }
        let step = self.step(found(&command.argv), env);
        let mut indent = Indent::default();
        let show = |bytes: &[u8]| self.output.write(&indent.lines(bytes));
        let status = self.workshop.attend(step, self.halt, show).await?;
        self.output.write(indent.end());
        if status == 0 {
            return Ok(());
        }
        if status == KILLED {
            self.output
                .warning("It was killed. It may have used too much memory.");
        }
        if let Some(remedy) = &command.remedy {
            self.output.warning(remedy);
        }
        Err(Error::invalid(format!(
            "Push rejected, failed to compile {} app.",
            kind.name()
        )))
    }

    fn step(&self, argv: Vec<String>, env: BTreeMap<String, String>) -> workshop::Step {
        let mut whole = self.workshop.environment(self.build);
        whole.insert("LANG".to_owned(), "C.UTF-8".to_owned());
        whole.extend(env);
        let argv = match self.exports {
            [] => argv,
            exports => {
                let source = [classic::SHELL, "-c", WITH_EXPORTS, classic::SHELL];
                let mut all = source.map(str::to_owned).to_vec();
                all.extend_from_slice(exports);
                all.push("--".to_owned());
                all.extend(argv);
                all
            }
        };
        workshop::Step {
            argv,
            env: whole,
            cwd: self.workshop.tree(),
        }
    }
}

/// Looked for in the command's `PATH`.
fn found(argv: &[String]) -> Vec<String> {
    let env = std::iter::once(ENV.to_owned());
    env.chain(argv.iter().cloned()).collect()
}

/// As a person would type it, more or less.
fn shown(argv: &[String]) -> String {
    let words: Vec<String> = argv
        .iter()
        .map(|word| match word.contains(char::is_whitespace) {
            true => format!("{word:?}"),
            false => word.clone(),
        })
        .collect();
    words.join(" ")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Puts what a command prints below its step.
#[derive(Default)]
struct Indent {
    within_line: bool,
}

impl Indent {
    fn lines(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut lines = Vec::with_capacity(bytes.len() + bytes.len() / 4);
        for &byte in bytes {
            if !self.within_line && byte != b'\n' {
                lines.extend_from_slice(b"       ");
            }
            self.within_line = byte != b'\n';
            lines.push(byte);
        }
        lines
    }

    /// The end of a last line that has none.
    fn end(&self) -> &'static [u8] {
        if self.within_line { b"\n" } else { b"" }
    }
}
