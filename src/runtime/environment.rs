//! What a dyno's first process is started with: its shell, its environment, its descriptors.
//!
//! Everything is built from nothing, so that what the server has in its own environment cannot get in. It starts no process
//! itself.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Launch;

/// Marks each process of a dyno with the dyno's id, for whoever looks for them later (see [`family`](super::family)).
pub const MARK: &str = "PENSTOCK_DYNO";

/// For a server that was started without one.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
const LANG: &str = "C.UTF-8";

/// What precedes a command: descriptors that the server itself inherited from its parent are closed, then `.profile.d/*.sh` and
/// `.profile` are sourced as on Heroku. The command comes as data, and a shell of its own runs it, which `exec`s a simple
/// command, so that the app itself leads the process group. `$0` is that shell and `$1` the command; a profile that changes the
/// positional parameters is no matter, since both are kept.
macro_rules! script {
    ($descriptors:literal) => {
        concat!(
            "penstock_shell=$0 penstock_command=$1\n",
            "for descriptor in /proc/$$/fd/*; do\n",
            "  descriptor=${descriptor##*/}\n",
            "  case $descriptor in ",
            $descriptors,
            ") eval \"exec $descriptor>&-\" ;; esac\n",
            "done\n",
            "unset descriptor\n",
            "for profile in .profile.d/*.sh; do if [ -f \"$profile\" ]; then . \"./$profile\"; fi; done\n",
            "unset profile\n",
            "if [ -f .profile ]; then . ./.profile; fi\n",
            "exec \"$penstock_shell\" -c \"$penstock_command\"\n",
        )
    };
}

/// 255 is where bash keeps what it reads from.
const BASH: &str = script!("0|1|2|255|*[!0-9]*) ;; *");
/// A plain sh takes a descriptor of two digits for a command.
const SH: &str = script!("[3-9]");

/// The shell that runs Procfile lines.
#[derive(Clone, Debug)]
pub struct Shell {
    program: PathBuf,
    script: &'static str,
    /// Where programs are looked for: where the server itself was told to, so that a dyno finds the same python3 or node as the
    /// person who started the server. Nothing else of the server's environment reaches a dyno.
    path: OsString,
}

impl Shell {
    /// bash, as on Heroku, where there is one; else sh.
    pub fn find() -> Shell {
        let bash = ["/bin/bash", "/usr/bin/bash", "/usr/local/bin/bash"]
            .into_iter()
            .find(|program| Path::new(program).exists());
        let path = std::env::var_os("PATH").unwrap_or_else(|| PATH.into());
        match bash {
            Some(program) => Shell {
                program: program.into(),
                script: BASH,
                path,
            },
            None => Shell {
                program: "/bin/sh".into(),
                script: SH,
                path,
            },
        }
    }

    /// The command that becomes the dyno, in its folder `home`. Its output is still to be connected.
    pub fn command(&self, launch: &Launch, home: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["-c", self.script])
            .arg(&self.program)
            .arg(&launch.command)
            .current_dir(home)
            .stdin(Stdio::null());
        command.env_clear().env("PATH", &self.path);
        set_environment(&mut command, launch, home);
        command
    }
}

/// Config vars may replace the defaults, but not what is the dyno's own.
fn set_environment(command: &mut Command, launch: &Launch, home: &Path) {
    command
        .env("LANG", LANG)
        .envs(&launch.config_vars)
        .env_remove("PORT")
        .env("HOME", home)
        .env("PWD", home)
        .env("DYNO", &launch.name)
        .env(MARK, launch.dyno.to_string());
    if let Some(port) = launch.port {
        command.env("PORT", port.to_string());
    }
}
