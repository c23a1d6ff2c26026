//! `penstock doctor`: how well this machine can isolate dynos, what is missing, and what to do about it.

use clap::Args;
use serde::Serialize;

use crate::config::DataDirArg;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};
use crate::git;
use crate::git::fetch::OLDEST;
use crate::git::version::Version;
use crate::sandbox::Settings;
use crate::sandbox::probe::{Finding, Ground, Machine};

#[derive(Args)]
pub struct Doctor {
    #[command(flatten)]
    data_dir: DataDirArg,

    #[command(flatten)]
    settings: Settings,

    /// Print JSON
    #[arg(long)]
    json: bool,
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
    missing: Vec<String>,
}

impl Doctor {
    /// Tries all levels. An error, and so a status of its own, if a server would not start.
    pub fn run(&self) -> Result<()> {
        let data = DataDir::open(&self.data_dir.data_dir)?;
        let program = std::env::current_exe()?;
        let ground = Ground {
            penstock: &program,
            data: data.root(),
            settings: &self.settings,
        };
        let chosen = ground.choose();
        let machine = Machine::look("penstock-doctor");
        let level = chosen.as_ref().ok().copied();
        let mut missing = level
            .map(|level| machine.shortfalls(level))
            .unwrap_or_default();
        let git = git::version::find().ok();
        missing.extend(shortfall_of(git.as_ref()).map(str::to_owned));
        let report = Report {
            isolation: level.map(|level| level.to_string()),
            levels: ground.findings(),
            git: git.map(|git| git.text),
            missing,
            machine,
        };
        match self.json {
            true => println!(
                "{}",
                serde_json::to_string_pretty(&report).map_err(Error::internal)?
            ),
            false => print!("{}", report.text()),
        }
        chosen.map(drop)
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

impl Report {
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
        for missing in &self.missing {
            text.push_str(&format!("missing: {missing}\n"));
        }
        text
    }
}
