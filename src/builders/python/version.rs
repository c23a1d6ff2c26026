//! Which Python an app asks for, and which the machine has.

use toml::Table;

use super::INSTALL;
use crate::builders::toolchains::Install;
use crate::builders::version::{Range, Version};
use crate::builders::{Toolchains, Tree};
use crate::error::{Error, Result};

pub const FILE: &str = ".python-version";

/// What an app says of it.
#[derive(Default)]
pub struct Wanted {
    /// `3.12`, and the file that says so.
    exact: Option<(String, &'static str)>,
    /// `>=3.10`, of the `pyproject.toml`.
    range: Option<String>,
}

impl Wanted {
    pub fn read(tree: &dyn Tree) -> Result<Wanted> {
        Ok(Wanted {
            exact: exact(tree)?,
            range: range(tree)?,
        })
    }

    /// The programs that might be it, the best first.
    pub fn programs(&self) -> Vec<String> {
        let exact = self.exact.iter();
        exact
            .map(|(version, _)| format!("python{version}"))
            .chain(["python3".to_owned()])
            .collect()
    }

    /// The program to use, and its version.
    pub fn choose<'a>(&self, toolchains: &'a Toolchains) -> Result<(String, &'a Version)> {
        let programs = self.programs();
        let mut found = programs
            .into_iter()
            .filter_map(|program| {
                toolchains
                    .version(&program)
                    .map(|version| (program, version))
            })
            .peekable();
        if found.peek().is_none() {
            toolchains.required("python3", "Python", &INSTALL)?;
        }
        let mut all: Vec<(String, &Version)> = found.collect();
        if let Some(at) = all.iter().position(|(_, version)| self.suits(version)) {
            return Ok(all.swap_remove(at));
        }
        let newer = all.iter().position(|(_, version)| !self.is_beyond(version));
        match newer {
            Some(at) => Ok(all.swap_remove(at)),
            None => {
                let versions: Vec<String> =
                    all.iter().map(|(_, version)| version.to_string()).collect();
                Err(self.refuse(&versions.join(" and ")))
            }
        }
    }

    /// Whether a version is what the app asks for.
    pub fn suits(&self, version: &Version) -> bool {
        let exact = self.exact.as_ref();
        exact.is_none_or(|(wanted, _)| version.minor() == *wanted)
            && self.ranges().is_none_or(|range| range.allows(version))
    }

    /// Whether a version is too old for the app. A newer one than it names is worth a try.
    fn is_beyond(&self, version: &Version) -> bool {
        let exact = self.exact.as_ref();
        let exact = exact.and_then(|(wanted, _)| Version::find(wanted));
        exact.is_some_and(|wanted| wanted.minor() != version.minor() && wanted > *version)
            || self
                .ranges()
                .is_some_and(|range| !range.allows(version) && range.is_beyond(version))
    }

    fn ranges(&self) -> Option<Range> {
        Range::python(self.range.as_deref()?)
    }

    /// Where the choice comes from, for a person.
    pub fn said(&self) -> Option<String> {
        match (&self.exact, &self.range) {
            (Some((version, file)), _) => Some(format!("{file} asks for {version}.")),
            (None, Some(range)) => Some(format!("pyproject.toml asks for {range}.")),
            (None, None) => None,
        }
    }

    fn refuse(&self, found: &str) -> Error {
        let (wanted, file) = match (&self.exact, &self.range) {
            (Some((version, file)), _) => (version.clone(), *file),
            (None, range) => (range.clone().unwrap_or_default(), "pyproject.toml"),
        };
        let by = format!("apt-get install python{wanted} python{wanted}-venv");
        let install = Install {
            by: if self.exact.is_some() {
                &by
            } else {
                INSTALL.by
            },
            ..INSTALL
        };
        Error::invalid(format!(
            "The {file} asks for Python {wanted}, and this server's machine has {found}. Ask for another version there, or have this one \
             installed. {}",
            install.remedy()
        ))
    }
}

/// `3.12` of `.python-version`, else of `runtime.txt`. The third number is not looked at: a machine has one of each.
fn exact(tree: &dyn Tree) -> Result<Option<(String, &'static str)>> {
    for file in [FILE, "runtime.txt"] {
        let Some(text) = tree.text(file)? else {
            continue;
        };
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#'));
        let Some(line) = line else {
            continue;
        };
        let version = line.strip_prefix("python-").unwrap_or(line);
        let parts: Vec<&str> = version.split('.').collect();
        let number = |part: &str| part.parse::<u32>().is_ok();
        return match parts[..] {
            [major, minor] | [major, minor, _] if number(major) && number(minor) => {
                Ok(Some((format!("{major}.{minor}"), file)))
            }
            // Any of 3.
            ["3"] => Ok(None),
            _ => Err(Error::invalid(format!(
                "The {file} says {line:?}, which is no version of Python that a build can look for. Write one such as 3.12."
            ))),
        };
    }
    Ok(None)
}

/// `requires-python` of the project, or `python` of Poetry's dependencies.
fn range(tree: &dyn Tree) -> Result<Option<String>> {
    let Some(project) = project(tree)? else {
        return Ok(None);
    };
    let standard = project
        .get("project")
        .and_then(|project| project.get("requires-python"));
    let poetry = project
        .get("tool")
        .and_then(|tool| tool.get("poetry")?.get("dependencies")?.get("python"));
    let range = standard.or(poetry).and_then(|range| range.as_str());
    Ok(range.map(str::to_owned))
}

/// The `pyproject.toml`, if there is one. 422 for one that cannot be read.
pub fn project(tree: &dyn Tree) -> Result<Option<Table>> {
    let Some(text) = tree.text("pyproject.toml")? else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|error: toml::de::Error| {
        Error::invalid(format!(
            "The pyproject.toml cannot be read: {}. Mend it, then build again.",
            error.message()
        ))
    })
}
