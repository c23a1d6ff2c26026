//! Whom the official CLI believes, where Node.js reads but one file: the shell's own authorities and the server's, put together.
//!
//! Each such file is named by what is in it, so that shells with authorities of their own keep out of each other's way. It must not know
//! what the CLI is started for.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::official_cli::{CA_FILE, FOLDER, NODE_CERTIFICATES, put, set};
use crate::data_dir::DataDir;
use crate::error::Result;
use crate::shim::processes;

/// How the names of such files begin and end.
const NAME: (&str, &str) = ("believed", ".pem");
/// So many stay, whoever reads them.
const KEPT: usize = 8;

/// Those whom Node.js believes by this shell's own word, such as a company's proxy, where `penstock env` has not set them.
pub fn own_certificates() -> Option<OsString> {
    set(NODE_CERTIFICATES).filter(|own| set(CA_FILE).as_ref() != Some(own))
}

/// The file for the CLI: ours, with what the shell's own has.
pub(super) fn by_cli(ours: OsString) -> OsString {
    let Some(own) = own_certificates() else {
        return ours;
    };
    match joined(Path::new(&ours), Path::new(&own)) {
        Ok(both) => both.into_os_string(),
        // One that is not there, or cannot be read, Node.js would do without, too.
        Err(_) => ours,
    }
}

fn joined(ours: &Path, own: &Path) -> Result<PathBuf> {
    let folder = DataDir::open(&ours.with_file_name(FOLDER))?;
    // What the CLI starts, such as git, may start it again.
    if own.parent() == Some(folder.root()) && own.file_name().is_some_and(is_joined) {
        return Ok(own.to_owned());
    }
    let mut pems = fs::read(own)?;
    pems.push(b'\n');
    pems.extend(fs::read(ours)?);
    let (begin, end) = NAME;
    let name = format!("{begin}-{}{end}", hex::encode(Sha256::digest(&pems)));
    // Lest one goes that another process has just found to be there.
    let held = File::open(folder.root())?;
    flock(&held, FlockOperation::LockExclusive)?;
    put(&folder, &name, &pems, 0o600)?;
    let both = folder.path(&name);
    File::open(&both)?.set_modified(SystemTime::now())?;
    // One that stays is in nobody's way.
    let _ = remove_old(folder.root());
    Ok(both)
}

fn is_joined(name: &OsStr) -> bool {
    let (begin, end) = NAME;
    let name = name.to_str();
    name.is_some_and(|name| name.starts_with(begin) && name.ends_with(end))
}

/// Removes those that were not asked for lately, but none that a process which runs was told to read.
fn remove_old(folder: &Path) -> io::Result<()> {
    let mut all: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if is_joined(&entry.file_name()) {
            all.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    if all.len() <= KEPT {
        return Ok(());
    }
    all.sort_unstable_by(|one, other| other.cmp(one));
    let read = read_by_processes();
    let old = all.into_iter().skip(KEPT).map(|(_, file)| file);
    for file in old.filter(|file| !read.contains(file.as_os_str())) {
        fs::remove_file(file)?;
    }
    Ok(())
}

/// The files that processes of this user were started to read.
fn read_by_processes() -> HashSet<OsString> {
    let environment = |pid: i32| fs::read(format!("/proc/{pid}/environ")).ok();
    let told = |environment: Vec<u8>| {
        let mut variables = environment.split(|byte| *byte == 0);
        let file = variables.find_map(|variable| {
            let value = variable.strip_prefix(NODE_CERTIFICATES.as_bytes())?;
            value.strip_prefix(b"=")
        });
        file.map(|file| OsStr::from_bytes(file).to_owned())
    };
    let processes = processes::all().into_iter();
    processes
        .filter_map(|process| told(environment(process.pid)?))
        .collect()
}
