//! What a connection says of itself in the data directory while it is there, so that `penstock env` can point tools at it.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use super::server::Server;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};

const FOLDER: &str = "connections";
const FILE: &str = "connection.json";

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
    pid: u32,
    #[serde(skip)]
    file: PathBuf,
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

impl Connection {
    /// 409 when there is one to the same server already.
    pub fn begin(
        folder: &DataDir,
        server: &Server,
        trusted: PathBuf,
        at: SocketAddr,
    ) -> Result<Connection> {
        is_free(folder)?;
        let connection = Connection {
            url: server.url.clone(),
            forward_url: format!("http://{at}"),
            git_host: server.host.clone(),
            ca_file: server.ca_file.clone(),
            trusted,
            is_private: server.is_private,
            pid: std::process::id(),
            file: folder.path(FILE),
        };
        let json = serde_json::to_string(&connection).map_err(Error::internal)?;
        folder.write_passing(FILE, &json)?;
        Ok(connection)
    }

    /// Takes it back. What is left by one that was killed is seen to be nobody's.
    pub fn end(self) {
        let _ = fs::remove_file(self.file);
    }

    /// What is kept of its server.
    pub fn folder(&self) -> Result<DataDir> {
        DataDir::open(self.trusted.parent().unwrap_or(&self.trusted))
    }

    fn is_there(&self) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        pid.is_some_and(|pid| test_kill_process(pid).is_ok())
    }
}

/// 409 when there is a connection to this server already, which is to be used.
pub fn is_free(folder: &DataDir) -> Result<()> {
    match read(folder)?.filter(Connection::is_there) {
        Some(other) => Err(Error::conflict(format!(
            "Process {} is connected to {} already, by {}. Use that, or end it.",
            other.pid, other.url, other.forward_url
        ))),
        None => Ok(()),
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
        running.extend(read(&folder)?.filter(Connection::is_there));
    }
    running.sort_by(|one, other| one.url.cmp(&other.url));
    Ok(running)
}

fn read(folder: &DataDir) -> Result<Option<Connection>> {
    let text = folder.read_private(FILE)?;
    Ok(text.and_then(|json| serde_json::from_str(&json).ok()))
}
