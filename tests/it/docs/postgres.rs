//! A Postgres of a test's own, where Debian's package of it is installed.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::programs;

/// Whom it knows, and as whom root has to start it.
const USER: &str = "postgres";

pub struct Postgres {
    /// Its data, and the socket that it listens on.
    dir: TempDir,
    bin: PathBuf,
    user: Option<(u32, u32)>,
}

impl Postgres {
    pub fn start() -> Option<Postgres> {
        // There may be a link to it, without its companions.
        let program = programs::found("postgres")?.canonicalize().unwrap();
        let bin = program.parent()?.to_owned();
        let dir = tempfile::tempdir().unwrap();
        let user = match rustix::process::geteuid().is_root() {
            true => Some(user()?),
            false => None,
        };
        if let Some((uid, gid)) = user {
            chown(dir.path(), Some(uid), Some(gid)).unwrap();
        }
        let postgres = Postgres { dir, bin, user };
        let made = [
            "-U",
            USER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ];
        postgres.run("initdb", &made);
        let log = postgres.dir.path().join("log").display().to_string();
        let options = format!(
            "-k {} -c listen_addresses='' -c fsync=off",
            postgres.dir.path().display()
        );
        postgres.run("pg_ctl", &["-w", "-l", &log, "-o", &options, "start"]);
        Some(postgres)
    }

    /// What an app has kept in it.
    pub fn fill(&self) {
        let table = "CREATE TABLE moved AS SELECT 'from Heroku' AS origin";
        let mut psql = Command::new(self.bin.join("psql"));
        psql.args(["--quiet", "--command", table])
            .envs(self.variables());
        let ran = psql.output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    }

    /// Where the app has it.
    pub fn url(&self) -> String {
        let socket = self.dir.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://{USER}@{socket}/{USER}")
    }

    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let host = self.dir.path().display().to_string();
        vec![("PGHOST", host), ("PGUSER", USER.to_owned())]
    }

    /// A program that sees to its data.
    fn run(&self, program: &str, arguments: &[&str]) {
        let mut command = Command::new(self.bin.join(program));
        command.current_dir(self.dir.path()).arg("-D");
        command.arg(self.dir.path().join("data")).args(arguments);
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        let ran = command.stdout(std::process::Stdio::null()).status();
        assert!(ran.unwrap().success(), "{program} {arguments:?}");
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // One that did not start has nothing to stop, and its test is failing already.
        if self.dir.path().join("data/postmaster.pid").exists() {
            self.run("pg_ctl", &["-m", "immediate", "stop"]);
        }
    }
}

/// Its numbers, as Debian's package has made it.
fn user() -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:"))?;
    let mut fields = line.split(':').skip(2).map(str::parse);
    Some((fields.next()?.ok()?, fields.next()?.ok()?))
}
