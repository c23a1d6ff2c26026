//! What an app runs: its process types, by its Procfile and by what built it.
//!
//! The decision is a pure function, so that the API's check of an upload and the build come to the same answer in the same
//! words. It must not know where the files come from.

pub mod procfile;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::archive::RootFile;
use crate::error::{Error, Result};
use crate::name::ProcessType;
use procfile::Doubtful;

/// The files that the decision looks at. Whoever decides has to offer these, as far as they are there as regular files.
pub const FILES: &[&str] = &["Procfile"];

/// Bytes of one such file that are looked at.
pub const FILE_BYTES: u64 = 64 * 1024;

/// Where the process types come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Procfile,
    /// What built the app, and the Procfile where there is one.
    Built {
        /// As it calls itself.
        name: String,
        /// The types that are its own, since the Procfile does not declare them.
        defaults: Vec<String>,
    },
}

impl Origin {
    /// A slug's `buildpack_provided_description`.
    pub fn description(&self) -> &str {
        match self {
            Origin::Procfile => "Procfile",
            Origin::Built { name, .. } => name,
        }
    }
}

/// What has built an app says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Built {
    /// Such as `Node.js`.
    pub name: String,
    /// Commands by process type, for those that the Procfile does not declare.
    pub defaults: BTreeMap<String, String>,
    /// Where neither it nor the Procfile has anything to run, that is a fault: of a built-in builder it is known what it makes.
    pub must_run: bool,
}

/// What an app runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub origin: Origin,
    /// Commands by process type. Empty only where a buildpack has left nothing to run, as Heroku lets it.
    pub commands: BTreeMap<String, String>,
    /// Lines of the Procfile that their author should hear of.
    pub doubtful: Vec<Doubtful>,
}

/// Decides what an app runs that nothing has built: what its Procfile declares. 422 when nothing is declared, or what is declared
/// cannot be read.
pub fn decide(root: &BTreeMap<String, RootFile>) -> Result<Decision> {
    let (commands, doubtful) = declared(root)?;
    if commands.is_empty() {
        return Err(nothing_to_run(root, &doubtful, None));
    }
    Ok(Decision {
        origin: Origin::Procfile,
        commands,
        doubtful,
    })
}

/// Decides what an app runs that was built: what its Procfile declares, and beside it what its builder's defaults are. 422 for a
/// Procfile or a default that cannot be read, and where there is nothing though there must be.
pub fn merge(root: &BTreeMap<String, RootFile>, built: Built) -> Result<Decision> {
    let (mut commands, doubtful) = declared(root)?;
    let mut defaults = Vec::new();
    for (name, command) in built.defaults {
        ProcessType::parse(&name)?;
        if let Entry::Vacant(vacant) = commands.entry(name) {
            defaults.push(vacant.key().clone());
            vacant.insert(command);
        }
    }
    if built.must_run && commands.is_empty() {
        return Err(nothing_to_run(root, &doubtful, Some(&built.name)));
    }
    Ok(Decision {
        origin: Origin::Built {
            name: built.name,
            defaults,
        },
        commands,
        doubtful,
    })
}

/// What the Procfile declares, and which of its lines are not what they seem. 422 where it cannot be read.
pub fn declared(
    root: &BTreeMap<String, RootFile>,
) -> Result<(BTreeMap<String, String>, Vec<Doubtful>)> {
    let Some(file) = root.get("Procfile") else {
        return Ok((BTreeMap::new(), Vec::new()));
    };
    let text = text("Procfile", file)?;
    let commands = procfile::parse(text)?
        .into_iter()
        .map(|(name, command)| (name.to_string(), command))
        .collect();
    Ok((commands, procfile::doubtful(text)))
}

fn nothing_to_run(
    root: &BTreeMap<String, RootFile>,
    doubtful: &[Doubtful],
    built: Option<&str>,
) -> Error {
    const REMEDY: &str = "a line such as \"web: python3 app.py\", with a blank after the colon";
    if let Some(line) = doubtful.first() {
        return Error::invalid(format!("The Procfile declares no process type. {line}"));
    }
    if root.contains_key("Procfile") {
        return Error::invalid(format!(
            "The Procfile declares no process type. Give it {REMEDY}."
        ));
    }
    match built {
        Some("Node.js") => Error::invalid(
            "There is no Procfile, and the package.json has no start script. Add a file named Procfile with a line such as \
             \"web: node app.js\", or a start script.",
        ),
        Some(name) => Error::invalid(format!(
            "There is no Procfile at the root of the source, and nothing in a {name} app says what it runs. Add a file named Procfile \
             with {REMEDY}."
        )),
        None => Error::invalid(
            "There is no Procfile at the root of the source, and nothing else that says what to run. Add a file named Procfile \
             with a line such as \"web: python3 app.py\".",
        ),
    }
}

fn text<'a>(name: &str, file: &'a RootFile) -> Result<&'a str> {
    if file.size > file.bytes.len() as u64 {
        return Err(Error::invalid(format!(
            "The {name} is {} bytes long, and at most {} are read. Shorten it.",
            file.size,
            file.bytes.len()
        )));
    }
    std::str::from_utf8(&file.bytes).map_err(|_| {
        Error::invalid(format!(
            "The {name} is not UTF-8 text. Save it as plain text."
        ))
    })
}
