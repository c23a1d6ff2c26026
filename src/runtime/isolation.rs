//! How a dyno is put into its sandbox: where it is at home, and how much of the machine its size gives it.
//!
//! It must not know what should run, nor how a sandbox is built.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::environment::MARK;
use super::{Inside, Launch};
use crate::catalog;
use crate::error::Result;
use crate::sandbox::{Host, Isolation, Level, Limits, Spec};
use crate::shim::{Program, Streams};

/// A process may have so many files open, as on Heroku.
const FILES: u64 = 10_000;
/// Bytes of the quota for which a dyno may make one file.
const BYTES_A_FILE: u64 = 8 << 10;

/// Where a dyno is at home, as it sees it. `folder` is its own.
pub fn home(isolation: &Isolation, folder: &Path) -> PathBuf {
    match isolation.has_own_tree() {
        true => "/app".into(),
        false => folder.join("app"),
    }
}

/// What a dyno may use for its temporary files and for the root of its tree, within its own folder.
pub fn scratch(folder: &Path) -> PathBuf {
    folder.join("scratch")
}

/// Puts the program into a sandbox. `app` has the app's files. The address at which the dyno will be, if it is its own.
pub fn enclose(
    isolation: &Isolation,
    program: &mut Program,
    launch: &Launch,
    folder: &Path,
    app: PathBuf,
) -> Result<Option<Ipv4Addr>> {
    if isolation.level() == Level::None {
        return Ok(None);
    }
    let limits = limits(isolation, &launch.size);
    let bare = isolation.spec(launch.dyno, launch.uid, app, scratch(folder), limits)?;
    let address = bare.network.as_ref().map(|network| network.address);
    let port = launch.port;
    furnish(isolation, program, launch, folder, Spec { port, ..bare });
    // There it can be found from outside, and no dyno sees it.
    program.folder = folder.to_owned();
    Ok(address)
}

/// Puts the program into the sandbox of a dyno that runs, whose folder is `around`. `own` is that of the new one.
pub fn enter(
    isolation: &Isolation,
    program: &mut Program,
    launch: &Launch,
    (host, held): (&Inside, Host),
    (around, own): (&Path, &Path),
) {
    if isolation.level() == Level::None {
        return;
    }
    let limits = limits(isolation, &launch.size);
    let folders = (home(isolation, around), scratch(around));
    let bare = isolation.spec_inside(host.dyno, held, launch.uid, folders, limits);
    let port = host.port;
    furnish(isolation, program, launch, around, Spec { port, ..bare });
    program.folder = own.to_owned();
}

/// Gives the launcher the program's command and its environment.
fn furnish(
    isolation: &Isolation,
    program: &mut Program,
    launch: &Launch,
    folder: &Path,
    bare: Spec,
) {
    let text = |text: &std::ffi::OsStr| text.to_string_lossy().into_owned();
    // All that is left to the launcher is what a dyno's processes are known by, should the shim be gone.
    let marked = program
        .environment
        .iter()
        .filter(|(name, _)| name == MARK)
        .cloned();
    let marked = marked.collect();
    let mut env: BTreeMap<String, String> = std::mem::replace(&mut program.environment, marked)
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect();
    if !isolation.has_own_tree() {
        env.insert("TMPDIR".to_owned(), text(scratch(folder).as_os_str()));
    }
    let arguments = program.arguments.iter().map(|argument| text(argument));
    program.sandbox = Some(Box::new(Spec {
        argv: std::iter::once(text(program.path.as_os_str()))
            .chain(arguments)
            .collect(),
        env,
        tty: matches!(launch.streams, Streams::Terminal(_)),
        ..bare
    }));
}

fn limits(isolation: &Isolation, size: &str) -> Limits {
    let size = catalog::dyno_size(size).unwrap_or(&catalog::DYNO_SIZES[0]);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sizes are built in: a few gigabytes"
    )]
    let memory = (size.memory * f64::from(1 << 30)) as u64;
    let disk = isolation.settings().dyno_disk << 20;
    Limits {
        memory,
        // R15, which Heroku sets at twice the quota; its files are in memory too, and are not what that is about.
        memory_max: 2 * memory + disk,
        cpu_weight: size.compute.unsigned_abs() * 100,
        // Heroku's.
        pids: match size.compute {
            ..2 => 256,
            2..12 => 512,
            12..50 => 16_384,
            _ => 32_768,
        },
        disk,
        inodes: (disk / BYTES_A_FILE).max(1_000),
        files: FILES,
    }
}
