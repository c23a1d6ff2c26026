//! One app's bare repository: made when it is first asked for, whole or not at all.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use tokio::process::Command;

use super::{AFTER, Git, HOOK, no_git};
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;

/// What is pushed is built as it is: no attribute in the tree leaves files out of the source or alters them.
const ATTRIBUTES: &str =
    "* -export-ignore -export-subst -text -eol -ident -filter -working-tree-encoding\n";
/// A pack of more bytes is refused: Heroku's limit for a checkout, and as many again for its history.
const MAX_PACK: u64 = 2 << 30;
/// What git runs as a hook. It is there whatever becomes of the server, so that a push whose server is gone fails: a link to a
/// program that is not there would be no hook to git, and the push taken unbuilt.
const SCRIPT: &str = "#!/bin/sh\nexec \"${0%/*}/self/${0##*/}\" \"$@\"\n";

impl Git {
    /// A git program that sees none of the settings of this machine or of whoever started the server.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("git");
        command.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let max_pack = MAX_PACK.to_string();
        let hooks = self.root.join("hooks");
        let settings: [(&str, &OsStr); _] = [
            ("safe.directory", "*".as_ref()),
            ("core.hooksPath", hooks.as_ref()),
            ("receive.autogc", "false".as_ref()),
            ("receive.fsckObjects", "true".as_ref()),
            // What old and honest histories have, and what does no harm.
            ("receive.fsck.badTimezone", "ignore".as_ref()),
            ("receive.fsck.missingSpaceBeforeDate", "ignore".as_ref()),
            ("receive.fsck.zeroPaddedFilemode", "ignore".as_ref()),
            ("receive.maxInputSize", max_pack.as_ref()),
            // Objects are inflated as a stream, and never whole in memory for their size alone.
            ("receive.unpackLimit", "1".as_ref()),
            ("core.bigFileThreshold", "32m".as_ref()),
            ("core.packedGitWindowSize", "64m".as_ref()),
            ("core.packedGitLimit", "512m".as_ref()),
            ("pack.threads", "1".as_ref()),
            ("pack.windowMemory", "256m".as_ref()),
            // A checkout of one commit, as CI makes it, can be pushed.
            ("receive.shallowUpdate", "true".as_ref()),
            ("receive.denyDeleteCurrent", "ignore".as_ref()),
            ("receive.denyNonFastForwards", "false".as_ref()),
            ("receive.advertisePushOptions", "false".as_ref()),
            ("uploadpack.allowFilter", "true".as_ref()),
            ("gc.autoDetach", "false".as_ref()),
            ("init.defaultBranch", "main".as_ref()),
        ];
        command
            .env("HOME", "/nonexistent")
            .env("LANG", "C.UTF-8")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_COUNT", settings.len().to_string());
        for (at, (key, value)) in settings.into_iter().enumerate() {
            command
                .env(format!("GIT_CONFIG_KEY_{at}"), key)
                .env(format!("GIT_CONFIG_VALUE_{at}"), value);
        }
        command
    }

    /// The app's repository, which is made if it is not there. It gets its name once it is whole, so that one that a crash cut
    /// off is never served; the next start clears it away.
    pub(super) async fn made(&self, app: Id) -> Result<PathBuf> {
        let place = self.repository(app);
        if tokio::fs::try_exists(&place).await? {
            return Ok(place);
        }
        let unfinished = self.root.join(format!("unfinished-{}", Id::new()));
        let made = self
            .command()
            .args(["init", "--quiet", "--bare", "--template="])
            .arg(&unfinished)
            .output()
            .await
            .map_err(spawn_failed)?;
        if !made.status.success() {
            return Err(Error::internal(format!(
                "git init: {}",
                String::from_utf8_lossy(&made.stderr)
            )));
        }
        let name = place.clone();
        tokio::task::spawn_blocking(move || {
            let info = unfinished.join("info");
            fs::create_dir_all(&info)?;
            fs::write(info.join("attributes"), ATTRIBUTES)?;
            let named = fs::rename(&unfinished, &name);
            // Another request was first.
            if named.is_err() {
                fs::remove_dir_all(&unfinished)?;
            }
            named.or_else(|cause| if name.is_dir() { Ok(()) } else { Err(cause) })
        })
        .await
        .map_err(Error::internal)??;
        Ok(place)
    }

    /// Git passes over a hook that it may not run, as on a file system without programs, and would take every push unbuilt.
    pub(super) fn check_hook(&self) -> Result<()> {
        access(self.root.join("hooks").join(HOOK), Access::EXEC_OK).map_err(|cause| {
            tracing::error!(%cause, hooks = %self.root.join("hooks").display(), "git's hook cannot be run");
            Error::new(
                ErrorId::Unavailable,
                "The server cannot run git's hook, so nothing can be pushed. Its data directory has to be on a file system that is \
                 not mounted noexec; start the server again after that.",
            )
        })
    }

    /// Lets a clone check out what is built: `master` where there is no `main`.
    pub(super) async fn point_head(&self, repository: &Path) -> Result<()> {
        let branches = self
            .command()
            .args(["for-each-ref", "--format=%(refname)"])
            .args(["refs/heads/main", "refs/heads/master"])
            .current_dir(repository)
            .output()
            .await
            .map_err(spawn_failed)?;
        let branches = String::from_utf8_lossy(&branches.stdout);
        let Some(branch) = branches.lines().next() else {
            return Ok(());
        };
        let pointed = self
            .command()
            .args(["symbolic-ref", "HEAD", branch])
            .current_dir(repository)
            .output()
            .await
            .map_err(spawn_failed)?;
        match pointed.status.success() {
            true => Ok(()),
            false => Err(Error::internal("git symbolic-ref failed")),
        }
    }

    /// Packs what many pushes have left loose, where there is much of it. For a quiet moment: a push may be under way meanwhile.
    pub async fn tidy(&self, app: Id) -> Result<()> {
        let tidied = self
            .command()
            .args(["gc", "--auto", "--quiet"])
            .current_dir(self.repository(app))
            .output()
            .await
            .map_err(spawn_failed)?;
        match tidied.status.success() {
            true => Ok(()),
            false => Err(Error::internal(format!(
                "git gc: {}",
                String::from_utf8_lossy(&tidied.stderr)
            ))),
        }
    }
}

pub(super) fn spawn_failed(cause: std::io::Error) -> Error {
    match cause.kind() {
        ErrorKind::NotFound => no_git(),
        _ => cause.into(),
    }
}

/// Makes this program the hooks, by way of a script. The program is named by way of this process: its file may be replaced or removed
/// while the server runs.
pub(super) fn install_hooks(hooks: &Path) -> Result<()> {
    let own = hooks.join("self");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&own)?;
    let program = format!("/proc/{}/exe", std::process::id());
    for hook in [HOOK, AFTER] {
        replace(&own.join(hook), |fresh| symlink(&program, fresh))?;
        let script = hooks.join(hook);
        if is_script(&script) {
            continue;
        }
        replace(&script, |fresh| {
            fs::write(fresh, SCRIPT)?;
            fs::set_permissions(fresh, fs::Permissions::from_mode(0o700))
        })?;
    }
    Ok(())
}

/// To replace a file by its like would only have the disk write, which each start would wait for.
fn is_script(path: &Path) -> bool {
    let is_there = fs::read(path).is_ok_and(|there| there == SCRIPT.as_bytes());
    is_there && fs::metadata(path).is_ok_and(|file| file.permissions().mode() & 0o777 == 0o700)
}

/// There is always the old one or the new one: a push of an earlier run may be under way.
fn replace(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> Result<()> {
    let fresh = path.with_file_name("fresh");
    match fs::remove_file(&fresh) {
        Err(cause) if cause.kind() != ErrorKind::NotFound => return Err(cause.into()),
        _ => {}
    }
    make(&fresh)?;
    Ok(fs::rename(&fresh, path)?)
}

/// Removes what an earlier run left unfinished.
pub(super) fn remove_unfinished(root: &Path) -> Result<()> {
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("unfinished-")
        {
            fs::remove_dir_all(entry.path())?;
        } else if let Ok(objects) = fs::read_dir(entry.path().join("objects")) {
            remove_quarantine(objects)?;
        }
    }
    Ok(())
}

/// What was pushed when the server or the machine was stopped, and that nothing refers to.
fn remove_quarantine(objects: fs::ReadDir) -> Result<()> {
    for entry in objects {
        let entry = entry?;
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("tmp_objdir-")
        {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
