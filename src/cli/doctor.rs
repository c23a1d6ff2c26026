//! `penstock doctor`: what is missing on this machine, how well it can isolate dynos, and what to do about it.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::print::{self, Json};
use super::programs::{self, Program};
use crate::config::DataDirArg;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};
use crate::git;
use crate::git::fetch::OLDEST;
use crate::git::version::Version;
use crate::sandbox::Settings;
use crate::sandbox::probe::{Finding, Ground, Machine};
use crate::secret;

/// Sources, slugs and builds take gigabytes; below this a deploy may fail for want of space.
const LITTLE_SPACE: u64 = 2 << 30;

#[derive(Args)]
#[command(after_help = "Examples:
  penstock doctor
  penstock doctor --json | jq -r '.missing[]'

It ends with 0 if a server would start here, whatever else is missing.")]
pub struct Doctor {
    #[command(flatten)]
    data_dir: DataDirArg,

    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    form: Json,
}

/// All that there is to say.
#[derive(Serialize)]
struct Report {
    /// The level that a server started like this would have; none if it would not start.
    isolation: Option<String>,
    levels: Vec<Finding>,
    machine: Machine,
    /// The version of the git that pushes and buildpacks need, if there is one.
    git: Option<String>,
    programs: Vec<Program>,
    disk: Disk,
    missing: Vec<String>,
}

/// The disk that the data directory is on.
#[derive(Serialize)]
struct Disk {
    data_dir: PathBuf,
    free_bytes: u64,
}

impl Doctor {
    /// Tries all levels. An error, and so a status of its own, if a server would not start.
    pub fn run(&self) -> Result<()> {
        let place = Tried::at(&self.data_dir.data_dir)?;
        let data = &place.0;
        let program = std::env::current_exe()?;
        let ground = Ground {
            penstock: &program,
            data: data.root(),
            settings: &self.settings,
        };
        let chosen = ground.choose().map(|reached| reached.level);
        let machine = Machine::look("penstock-doctor");
        let level = chosen.as_ref().ok().copied();
        let programs = programs::look(&self.settings, level);
        let disk = Disk::of(data.root(), &self.data_dir.data_dir)?;
        let shortfalls = level.map(|level| machine.shortfalls(level));
        let mut missing = shortfalls.unwrap_or_default();
        let git = git::version::find().ok();
        missing.extend(shortfall_of(git.as_ref()).map(str::to_owned));
        missing.extend(programs.iter().filter_map(Program::missing));
        missing.extend(disk.missing());
        let report = Report {
            isolation: level.map(|level| level.to_string()),
            levels: ground.findings(),
            git: git.map(|git| git.text),
            missing,
            machine,
            programs,
            disk,
        };
        match self.form.json {
            true => print::json(&report)?,
            false => print::line(&report.text())?,
        }
        report.startable()?;
        chosen.map(drop)
    }
}

/// The folder in which it is tried what a server could do: its own, or one for the moment beside where that would be.
struct Tried(DataDir, Option<PathBuf>);

impl Tried {
    fn at(root: &Path) -> Result<Tried> {
        if root.is_dir() {
            return Ok(Tried(DataDir::open(root)?, None));
        }
        let there = root.ancestors().find(|above| above.is_dir());
        let name = format!(".penstock-doctor-{}", hex::encode(secret::random::<8>()?));
        let passing = there.unwrap_or(Path::new(".")).join(name);
        Ok(Tried(DataDir::open(&passing)?, Some(passing)))
    }
}

impl Drop for Tried {
    fn drop(&mut self) {
        if let Some(passing) = &self.1 {
            // Should it fail, an empty folder is left.
            let _ = std::fs::remove_dir(passing);
        }
    }
}

/// What does not work with this git, and what to do.
fn shortfall_of(git: Option<&Version>) -> Option<&'static str> {
    match git {
        None => Some(
            "git: nothing can be pushed, and no buildpack be fetched from a repository: apt-get install git",
        ),
        Some(git) if git.number.is_some_and(|number| number < OLDEST) => Some(
            "git 2.37: with an older one no buildpack is fetched from a repository, since it cannot be kept from private addresses",
        ),
        Some(_) => None,
    }
}

impl Disk {
    fn of(there: &Path, data_dir: &Path) -> Result<Disk> {
        let about = rustix::fs::statvfs(there)?;
        Ok(Disk {
            data_dir: data_dir.to_owned(),
            free_bytes: about.f_bavail.saturating_mul(about.f_frsize),
        })
    }

    fn missing(&self) -> Option<String> {
        (self.free_bytes < LITTLE_SPACE).then(|| {
            format!(
                "space: {} MiB are free at {}. Free some, or name another --data-dir.",
                self.free_bytes >> 20,
                self.data_dir.display()
            )
        })
    }
}

impl Report {
    /// 409 where no app could run.
    fn startable(&self) -> Result<()> {
        let required = |program: &&Program| program.required && program.path.is_none();
        match self.programs.iter().find(required) {
            Some(program) => Err(Error::conflict(format!(
                "{} is missing, without which no app runs: {}.",
                program.name, program.remedy
            ))),
            None => Ok(()),
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "isolation: {}\n",
            self.isolation.as_deref().unwrap_or("none can be had")
        );
        for finding in &self.levels {
            let state = match finding.available {
                true => "can be had".to_owned(),
                false => format!(
                    "{}. {}",
                    finding.reason.as_deref().unwrap_or("cannot be had"),
                    finding.remedy.as_deref().unwrap_or_default()
                ),
            };
            text.push_str(&format!(
                "  {:<9} {}\n",
                finding.level.as_str(),
                state.trim_end()
            ));
        }
        let groups: Vec<&str> = self
            .machine
            .control_groups
            .iter()
            .map(|controller| controller.as_str())
            .collect();
        let groups = if groups.is_empty() {
            "none".to_owned()
        } else {
            groups.join(", ")
        };
        text.push_str(&format!("limits by control groups: {groups}\n"));
        text.push_str(&format!("Landlock ABI: {}\n", self.machine.landlock));
        text.push_str(&format!("git: {}\n", self.git.as_deref().unwrap_or("none")));
        let there: Vec<&str> = self
            .programs
            .iter()
            .filter(|program| program.seen)
            .map(|program| program.name)
            .collect();
        text.push_str(&format!("programs: {}\n", there.join(", ")));
        text.push_str(&format!(
            "free space: {} MiB at {}\n",
            self.disk.free_bytes >> 20,
            self.disk.data_dir.display()
        ));
        for missing in &self.missing {
            text.push_str(&format!("missing: {missing}\n"));
        }
        text
    }
}
