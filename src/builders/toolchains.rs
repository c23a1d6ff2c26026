//! The programs of this machine that builds use, by name and version.

use std::collections::BTreeMap;

use super::version::Version;
use crate::error::{Error, Result};

/// A program to be asked for its version, from where the build will run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub program: String,
    pub arguments: Vec<String>,
}

impl Probe {
    pub fn of(program: &str, arguments: &[&str]) -> Probe {
        Probe {
            program: program.to_owned(),
            arguments: arguments.iter().map(|&text| text.to_owned()).collect(),
        }
    }

    /// All of the command.
    pub fn argv(&self) -> Vec<String> {
        let program = std::iter::once(&self.program);
        program.chain(&self.arguments).cloned().collect()
    }
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Toolchains(BTreeMap<String, Version>);

impl Toolchains {
    /// Notes what a probe that ended well has said. Without a number in it, it says nothing.
    pub fn add(&mut self, probe: &Probe, said: &str) {
        if let Some(version) = Version::find(said) {
            self.0.insert(probe.program.clone(), version);
        }
    }

    pub(super) fn version(&self, program: &str) -> Option<&Version> {
        self.0.get(program)
    }

    /// 422 where there is no such program, with how to get it. `called` is what a person calls it.
    pub(super) fn required(
        &self,
        program: &str,
        called: &str,
        install: &Install<'_>,
    ) -> Result<&Version> {
        self.version(program).ok_or_else(|| {
            Error::invalid(format!(
                "This app needs {called}, and builds on this server find no `{program}`. {} `penstock doctor` says what it takes on that \
                 machine.",
                install.remedy()
            ))
        })
    }
}

/// How a program gets to where builds see it.
#[derive(Clone, Copy)]
pub(super) struct Install<'a> {
    /// What puts it there for everybody.
    pub by: &'a str,
    /// What is shown to builds where it is in a home directory, as whoever types it would.
    pub readable: Option<&'a str>,
}

impl Install<'_> {
    pub fn remedy(&self) -> String {
        let readable = match self.readable {
            Some(folders) => format!("{folders}, or wherever it is"),
            None => "--dyno-readable and its folder".to_owned(),
        };
        format!(
            "Whoever runs the server can install it ({}); if it is there, but in a home directory, the server has to be started with \
             {readable}.",
            self.by
        )
    }
}
