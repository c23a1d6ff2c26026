//! A working copy, and stock git on it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::binary::{Client, HANG, in_time};

pub struct Repository(TempDir);

/// How a push ended, and what git showed.
pub struct Pushed {
    pub succeeded: bool,
    pub said: String,
}

/// A push that is under way.
pub struct Pushing(Child);

impl Pushing {
    /// What comes of it.
    pub fn ended(self) -> Pushed {
        let output = in_time(move || self.0.wait_with_output().unwrap());
        Pushed {
            succeeded: output.status.success(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The client is gone, in the middle of it.
    pub fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Repository {
    pub fn new() -> Repository {
        let repository = Repository(tempfile::tempdir().unwrap());
        fs::create_dir(repository.work()).unwrap();
        repository.git(&["init", "-q", "-b", "main"]);
        repository
    }

    fn work(&self) -> PathBuf {
        self.0.path().join("work")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.0.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .envs([("GIT_AUTHOR_NAME", "ann"), ("GIT_COMMITTER_NAME", "ann")])
            .envs([("GIT_AUTHOR_EMAIL", "a@b"), ("GIT_COMMITTER_EMAIL", "a@b")])
            .current_dir(self.work())
            .stdin(Stdio::null());
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().unwrap()
    }

    /// What git prints; it must succeed.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes files, commits them as they are, and returns the commit.
    pub fn commit(&self, files: &[(&str, &str)]) -> String {
        for (name, text) in files {
            let path = self.work().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        self.git(&["-c", "filter.lfs.clean=cat", "add", "-A"]);
        self.git(&["commit", "-qm", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.work().join(name)).unwrap();
    }

    pub fn reset(&self, commit: &str) {
        self.git(&["reset", "-q", "--hard", commit]);
    }

    /// Where the app is pushed to, with the client's token.
    pub fn url(&self, client: &Client, app: &str) -> String {
        let (scheme, host) = client.api.split_once("://").unwrap();
        format!("{scheme}://heroku:{}@{host}/{app}.git", client.token)
    }

    /// A tree of these entries, as `git ls-tree` prints them.
    pub fn tree(&self, entries: &str) -> String {
        let mut command = self.command();
        command.arg("mktree").stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(entries.as_bytes()).unwrap();
        drop(stdin);
        let made = child.wait_with_output().unwrap();
        String::from_utf8(made.stdout).unwrap().trim().to_owned()
    }

    pub fn push(&self, url: &str, refspec: &str) -> Pushed {
        self.pushed(&["push", url, refspec])
    }

    /// What comes of a push with these arguments.
    pub fn pushed(&self, arguments: &[&str]) -> Pushed {
        let output = self.output(arguments);
        Pushed {
            succeeded: output.status.success(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The same, with what it shows.
    pub fn begin_shown(&self, url: &str, refspec: &str) -> Pushing {
        let mut command = self.command();
        command.args(["push", url, refspec]);
        Pushing(command.stderr(Stdio::piped()).spawn().unwrap())
    }

    pub fn begin_push(&self, url: &str, refspec: &str) -> Pushing {
        let mut command = self.command();
        command.args(["push", "-q", url, refspec]);
        Pushing(command.stderr(Stdio::null()).spawn().unwrap())
    }

    pub fn cloned(&self, url: &str) -> PathBuf {
        let copy = self.0.path().join("copy");
        self.git(&["clone", "-q", url, copy.to_str().unwrap()]);
        copy
    }

    /// A checkout of the newest commit alone, as CI makes it.
    pub fn shallow(&self) -> Repository {
        let shallow = Repository(tempfile::tempdir().unwrap());
        let from = format!("file://{}", self.work().display());
        let to = shallow.work();
        self.git(&["clone", "-q", "--depth", "1", &from, to.to_str().unwrap()]);
        shallow
    }

    /// What the refs of the remote point at.
    pub fn remote_refs(&self, url: &str) -> BTreeMap<String, String> {
        let listed = self.git(&["ls-remote", url]);
        let refs = listed.lines().filter_map(|line| line.split_once('\t'));
        refs.map(|(at, name)| (name.to_owned(), at.to_owned()))
            .collect()
    }

    pub fn until_remote(&self, url: &str, name: &str, at: &str) {
        let begun = Instant::now();
        while self.remote_refs(url).get(name).map(String::as_str) != Some(at) {
            assert!(begun.elapsed() < HANG, "{name} does not come to {at}");
        }
    }
}
