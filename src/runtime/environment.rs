//! What a dyno's first process is started with: its shell and its environment.
//!
//! Everything is built from nothing, so that what the server has in its own environment cannot get in. It starts no process
//! itself.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::Launch;
use crate::sandbox::{HOME, Isolation, PROGRAMS};
use crate::shim::Program;

/// Marks each process of a dyno with the dyno's id, for whoever looks for them later (see [`family`](super::family)).
pub const MARK: &str = "PENSTOCK_DYNO";

/// Where every dyno looks for programs, as on Heroku.
const PATH: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];
/// What most machines' own `PATH` has besides, and no app needs.
const NOT_FOR_APPS: [&str; 5] = [
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/usr/local/games",
    "/usr/games",
];
const LANG: &str = "C.UTF-8";

/// What precedes a command: `.profile.d/*.sh` and `.profile` are sourced as on Heroku. The command comes as data, and a shell of
/// its own runs it, which `exec`s a simple command, so that the app itself leads the process group. `$0` is that shell and `$1`
/// the command; a profile that changes the positional parameters is no matter, since both are kept.
const SCRIPT: &str = concat!(
    "penstock_shell=$0 penstock_command=$1\n",
    "for profile in .profile.d/*.sh; do if [ -f \"$profile\" ]; then . \"./$profile\"; fi; done\n",
    "unset profile\n",
    "if [ -f .profile ]; then . ./.profile; fi\n",
    "exec \"$penstock_shell\" -c \"$penstock_command\"\n",
);

/// The shell that runs Procfile lines.
#[derive(Clone, Debug)]
pub struct Shell {
    program: PathBuf,
    /// Where programs are looked for. Nothing of the server's environment reaches a dyno, but for folders with programs that it
    /// is shown: what an app was built with is to be found when it runs.
    path: OsString,
    /// Where this program is, which serves static files, for a dyno without a tree of its own.
    own: OsString,
}

impl Shell {
    /// bash, as on Heroku, where there is one; else sh. For dynos that are isolated so.
    pub fn find(isolation: &Isolation) -> Shell {
        let bash = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"]
            .into_iter()
            .find(|program| Path::new(program).exists());
        let of_server = std::env::var_os("PATH").unwrap_or_default();
        let path = search_path(&of_server, &|folder| isolation.shows(folder));
        let path = isolation.settings().search_path(&path);
        let own = std::env::current_exe().unwrap_or_default();
        Shell {
            program: bash.unwrap_or("/bin/sh").into(),
            path,
            own: own.parent().map(Into::into).unwrap_or_default(),
        }
    }

    /// Where programs are looked for, this one last.
    fn path(&self, home: &Path) -> OsString {
        let mut path = self.path.clone();
        path.push(":");
        match home == Path::new(HOME) {
            true => path.push(PROGRAMS),
            false => path.push(&self.own),
        }
        path
    }

    /// The command that becomes the dyno, in its folder `home`.
    pub fn program(&self, launch: &Launch, home: &Path) -> Program {
        let arguments = [
            "-c".into(),
            SCRIPT.into(),
            self.program.clone().into(),
            OsString::from(&launch.command),
        ];
        Program {
            path: self.program.clone(),
            arguments: arguments.to_vec(),
            environment: self.environment(launch, home).into_iter().collect(),
            folder: home.to_owned(),
            sandbox: None,
        }
    }

    /// Config vars may replace the defaults, but not what is the dyno's own.
    fn environment(&self, launch: &Launch, home: &Path) -> BTreeMap<OsString, OsString> {
        let mut environment = BTreeMap::new();
        let mut set = |name: &str, value: OsString| environment.insert(name.into(), value);
        set("PATH", self.path(home));
        set("LANG", LANG.into());
        for (name, value) in &launch.config_vars {
            set(name, value.into());
        }
        set("HOME", home.into());
        set("PWD", home.into());
        let (name, port) = match &launch.inside {
            Some(host) => (&host.name, host.port),
            None => (&launch.name, launch.port),
        };
        set("DYNO", name.into());
        set(MARK, launch.dyno.to_string().into());
        environment.remove(OsStr::new("PORT"));
        if let Some(port) = port {
            environment.insert("PORT".into(), port.to_string().into());
        }
        environment
    }
}

/// The folders in which dynos look for programs: those of the server that they are shown, in its order, which is that of builds too,
/// and then the usual ones.
fn search_path(of_server: &OsStr, shows: &dyn Fn(&Path) -> bool) -> OsString {
    let is_for_apps = |folder: &Path| {
        let not = NOT_FOR_APPS.iter().any(|other| folder == Path::new(other));
        folder.is_absolute() && !not && shows(folder)
    };
    let own = std::env::split_paths(of_server);
    let own = own.filter(|folder| is_for_apps(folder));
    let mut all: Vec<PathBuf> = Vec::new();
    for folder in own.chain(PATH.map(PathBuf::from)) {
        if !all.contains(&folder) {
            all.push(folder);
        }
    }
    // None has a colon in it, since each was between two.
    std::env::join_paths(all).unwrap_or_else(|_| PATH.join(":").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penstock_itself_is_looked_for_last() {
        let shell = Shell {
            program: "/bin/bash".into(),
            path: "/usr/bin:/bin".into(),
            own: "/srv/bin".into(),
        };
        assert_eq!(shell.path(Path::new(HOME)), "/usr/bin:/bin:/.penstock/bin");
        // Without a tree of its own it is where the server has it.
        assert_eq!(
            shell.path(Path::new("/srv/dynos/1")),
            "/usr/bin:/bin:/srv/bin"
        );
    }

    #[test]
    fn programs_are_looked_for_where_heroku_does_and_where_the_operator_shows_more() {
        let shows = |folder: &Path| !folder.starts_with("/root");
        let path = |of_server: &str| search_path(of_server.as_ref(), &shows);
        let usual = "/usr/local/bin:/usr/bin:/bin";
        for plain in [
            "",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/games",
            "/root/.cargo/bin:.::relative/bin",
        ] {
            assert_eq!(path(plain), usual, "{plain}");
        }
        assert_eq!(
            path("/usr/bin:/opt/node/bin:/root/bin:/usr/local/go/bin:/opt/node/bin"),
            "/usr/bin:/opt/node/bin:/usr/local/go/bin:/usr/local/bin:/bin"
        );
    }
}
