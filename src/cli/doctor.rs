//! `penstock doctor`: how well this machine can isolate dynos, what is missing, and what to do about it.

use clap::Args;
use serde::Serialize;

use crate::config::DataDirArg;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};
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
        let report = Report {
            isolation: level.map(|level| level.to_string()),
            levels: ground.findings(),
            missing: level
                .map(|level| machine.shortfalls(level))
                .unwrap_or_default(),
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
        for missing in &self.missing {
            text.push_str(&format!("missing: {missing}\n"));
        }
        text
    }
}
