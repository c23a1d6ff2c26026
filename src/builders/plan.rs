//! What a builder wants done, as data.

use std::collections::BTreeMap;

/// Where a build's commands see themselves.
#[derive(Clone, Debug)]
pub struct Places {
    /// The app's own folder, which commands start in and which becomes the slug. `/app` where a build has a tree of its own.
    pub home: String,
    /// A folder that is kept for the app's next build.
    pub cache: String,
    /// Where programs are looked for.
    pub path: String,
}

impl Places {
    /// Something in the home.
    pub fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.home)
    }

    /// Something in the cache.
    pub fn cached(&self, path: &str) -> String {
        format!("{}/{path}", self.cache)
    }

    /// `PATH`, with these folders of the home before all others.
    pub fn path_with(&self, folders: &[&str]) -> String {
        let own = folders.iter().map(|folder| self.at(folder));
        let mut all: Vec<String> = own.collect();
        all.push(self.path.clone());
        all.join(":")
    }
}

/// A build, step by step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Of every command. The config vars come on top, but for those that decide where programs and the build itself are.
    pub env: BTreeMap<String, String>,
    pub steps: Vec<Step>,
    /// Written to `.profile.d` before the first step, by name: what the app's dynos set up before they run anything.
    pub profile: BTreeMap<String, String>,
    /// What the app runs where its Procfile does not say, by process type.
    pub defaults: BTreeMap<String, String>,
}

/// One of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `-----> text`.
    Topic(String),
    /// Text below it.
    Note(String),
    /// What a person should look at.
    Warning(String),
    Run(Command),
}

/// A command, which is shown, and whose output is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Command {
    pub argv: Vec<String>,
    /// Beyond the plan's.
    pub env: BTreeMap<String, String>,
    /// It is passed over unless this one ends well.
    pub only_if: Option<Vec<String>>,
    /// What is said if it is passed over.
    pub else_note: Option<String>,
    /// Its command line is no news to anybody.
    pub unshown: bool,
    /// What a person can do should it fail.
    pub remedy: Option<String>,
}

impl Command {
    pub fn new<T: Into<String>>(argv: impl IntoIterator<Item = T>) -> Command {
        Command {
            argv: argv.into_iter().map(Into::into).collect(),
            ..Command::default()
        }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Command {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// With a note for when it is passed over.
    pub fn only_if<T: Into<String>>(
        mut self,
        argv: impl IntoIterator<Item = T>,
        else_note: &str,
    ) -> Command {
        self.only_if = Some(argv.into_iter().map(Into::into).collect());
        self.else_note = Some(else_note.to_owned());
        self
    }

    pub fn unshown(mut self) -> Command {
        self.unshown = true;
        self
    }

    pub fn remedy(mut self, text: impl Into<String>) -> Command {
        self.remedy = Some(text.into());
        self
    }
}

impl Plan {
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.insert(name.to_owned(), value.into());
    }

    pub fn topic(&mut self, text: impl Into<String>) {
        self.steps.push(Step::Topic(text.into()));
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.steps.push(Step::Note(text.into()));
    }

    pub fn warn(&mut self, text: impl Into<String>) {
        self.steps.push(Step::Warning(text.into()));
    }

    pub fn run(&mut self, command: Command) {
        self.steps.push(Step::Run(command));
    }

    /// A script of the app's own, if it is there: its place in the build is its name.
    pub fn hook(&mut self, tree: &dyn super::Tree, path: &str) {
        if tree.has(path) {
            self.topic(format!("Running {path}"));
            // An archive that was made on another system may have lost the bit.
            self.run(Command::new(["chmod", "755", path]).unshown());
            self.run(Command::new([format!("./{path}")]).unshown());
        }
    }
}
