//! What a connection says of itself in the data directory while it is there, so that `penstock env` can point tools at it.
//!
//! It is there for as long as its process holds a lock, which the kernel takes back however that ends. A number of a process says
//! nothing: by the next day, or after a reboot, it may be anybody's.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};
use serde::{Deserialize, Serialize};

use super::server::Server;
use crate::data_dir::{DataDir, unusable};
use crate::error::{Error, Result};

const FOLDER: &str = "connections";
const FILE: &str = "connection.json";
/// It stays when nobody holds it: were it removed, two could each hold one of that name.
const LOCK: &str = "connection.lock";

/// A forward that is there. It holds no credential.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Connection {
    /// The server.
    pub url: String,
    /// The forward.
    pub forward_url: String,
    /// Where git finds it.
    pub git_host: String,
    pub ca_file: PathBuf,
    /// Those whom the CLI is to believe: the server's authority, and the forward's own.
    pub trusted: PathBuf,
    /// Whether the server's own authority has signed the API's certificate.
    pub is_private: bool,
}

/// What is kept of a server, held for this process's connection to it.
pub struct Held {
    folder: DataDir,
    /// Of a process, not of a file that is open: it is asked about without being taken, so whoever asks is in nobody's way.
    _lock: File,
}

/// What is kept of a server that was connected to.
pub fn folder(data: &DataDir, url: &str) -> Result<DataDir> {
    let host = url.split_once("://").map_or(url, |(_, host)| host);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let name: String = host
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    DataDir::open(&data.path(FOLDER).join(name))
}

impl Held {
    /// 409 when there is a connection to this server already, which is to be used.
    pub fn take(folder: DataDir) -> Result<Held> {
        let path = folder.path(LOCK);
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|cause| unusable(&path, &cause))?;
        match fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(taken(&folder)),
            Err(cause) => return Err(unusable(&path, &cause.into())),
        }
        let held = Held {
            folder,
            _lock: lock,
        };
        // One that was killed has left it, and would be taken for this one.
        held.withdraw()?;
        Ok(held)
    }

    /// Says where the forward is.
    pub fn announce(&self, server: &Server, trusted: PathBuf, at: SocketAddr) -> Result<()> {
        let connection = Connection {
            url: server.url.clone(),
            forward_url: format!("http://{at}"),
            git_host: server.host.clone(),
            ca_file: server.ca_file.clone(),
            trusted,
            is_private: server.is_private,
        };
        let json = serde_json::to_string(&connection).map_err(Error::internal)?;
        self.folder.write_passing(FILE, &json)
    }

    fn withdraw(&self) -> Result<()> {
        let path = self.folder.path(FILE);
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(unusable(&path, &cause)),
            _ => Ok(()),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // What is left is seen to be nobody's.
        let _ = self.withdraw();
    }
}

impl Connection {
    /// What is kept of its server.
    pub fn folder(&self) -> Result<DataDir> {
        DataDir::open(self.trusted.parent().unwrap_or(&self.trusted))
    }
}

/// The connections of this data directory that are there.
pub fn running(data: &DataDir) -> Result<Vec<Connection>> {
    let mut running = Vec::new();
    let Ok(folders) = fs::read_dir(data.path(FOLDER)) else {
        return Ok(running);
    };
    for folder in folders {
        let folder = DataDir::open(&folder?.path())?;
        if holder(&folder.path(LOCK))?.is_some() {
            running.extend(read(&folder)?);
        }
    }
    running.sort_by(|one, other| one.url.cmp(&other.url));
    Ok(running)
}

/// Who holds a lock, if anybody does: a process, unless it is one that cannot be seen from here.
fn holder(lock: &Path) -> Result<Option<Option<Pid>>> {
    let file = match File::open(lock) {
        Ok(file) => file,
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(unusable(lock, &cause)),
    };
    let held = fcntl_getlk(&file, &Flock::from(FlockType::ReadLock))?;
    Ok(held.map(|held| held.pid))
}

fn taken(folder: &DataDir) -> Error {
    let pid = holder(&folder.path(LOCK)).ok().flatten().flatten();
    let who = match pid {
        Some(pid) => format!("Process {pid}"),
        None => "Another process".to_owned(),
    };
    Error::conflict(match read(folder) {
        Ok(Some(other)) => format!(
            "{who} is connected to {} already, by {}. Use that, or end it.",
            other.url, other.forward_url
        ),
        _ => format!("{who} is connecting to this server already. Log in there, or end it."),
    })
}

fn read(folder: &DataDir) -> Result<Option<Connection>> {
    let text = folder.read_private(FILE)?;
    Ok(text.and_then(|json| serde_json::from_str(&json).ok()))
}
