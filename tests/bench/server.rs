//! The release binary, as a child process on a data directory of its own.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::Client;
use crate::process::{self, Core, Process};
use crate::{Result, upstream};

pub struct Server {
    pub process: Process,
    pub api: SocketAddr,
    pub router: SocketAddr,
    pub token: String,
    _data: Option<TempDir>,
}

impl Server {
    /// Starts on a new directory, which goes with it.
    pub fn start() -> Result<Server> {
        let data = folder()?;
        let mut server = Server::start_in(data.path())?;
        server._data = Some(data);
        Ok(server)
    }

    /// Starts on a directory that may have been served before. Returns when it says that it is ready. Its dynos end with it, and
    /// the machine's forwarding is left alone.
    pub fn start_in(data: &Path) -> Result<Server> {
        let mut command = process::command(Core::Tested, &process::penstock());
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--router-listen", "127.0.0.1:0", "--rate-limit", "false"])
            .args(["--dynos-end-with-server", "--dyno-forwarding", "false"])
            .arg("--dyno-readable")
            .arg(upstream::folder()?)
            .arg("--data-dir")
            .arg(data);
        Server::started(command)
    }

    /// Starts it by this command.
    pub fn started(command: Command) -> Result<Server> {
        let mut process = Process::start(command)?;
        let ready: Value = serde_json::from_str(&process.line()?)?;
        let address = |name: &str| -> Result<SocketAddr> {
            let url = ready[name].as_str().ok_or("no URL")?;
            let (_, port) = url.rsplit_once(':').ok_or("no port")?;
            Ok(SocketAddr::from((
                [127, 0, 0, 1],
                port.trim_end_matches('/').parse()?,
            )))
        };
        Ok(Server {
            process,
            api: address("api_url")?,
            router: address("router_url")?,
            token: ready["api_key"].as_str().ok_or("no key")?.to_owned(),
            _data: None,
        })
    }

    pub fn client(&self) -> Result<Client> {
        Client::connect(self.api, &self.token)
    }

    /// Makes apps, named `bench-0` and so on.
    pub fn apps(&self, count: usize) -> Result<()> {
        let mut client = self.client()?;
        for number in 0..count {
            client.post("/apps", &json!({"name": format!("bench-{number}")}))?;
        }
        Ok(())
    }
}

/// A directory on the disk that the build is on, since `/tmp` may be memory, where nothing has to be durable.
pub fn folder() -> Result<TempDir> {
    Ok(tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?)
}

/// Deploys a slug with these process types and nothing in it but a note.
pub fn deploy(client: &mut Client, app: &str, process_types: &Value) -> Result<()> {
    let slug = client.post(
        &format!("/apps/{app}/slugs"),
        &json!({"process_types": process_types}),
    )?;
    let url = slug["blob"]["url"].as_str().ok_or("the slug has no URL")?;
    let path = url
        .find("/blobs/")
        .and_then(|at| url.get(at..))
        .ok_or("the slug's URL has no path")?;
    client.put(path, &archive()?)?;
    client.post(
        &format!("/apps/{app}/releases"),
        &json!({"slug": slug["id"]}),
    )?;
    Ok(())
}

fn archive() -> Result<Vec<u8>> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut builder = tar::Builder::new(encoder);
    let note = b"Nothing but a note.\n";
    let mut header = tar::Header::new_gnu();
    header.set_size(note.len() as u64);
    header.set_mode(0o644);
    builder.append_data(&mut header, "app/NOTE", note.as_slice())?;
    Ok(builder.into_inner()?.finish()?)
}
