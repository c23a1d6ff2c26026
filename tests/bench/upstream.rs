//! The app behind the proxies: as small an HTTP server as there can be, with answers of a few sizes.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Result;
use crate::client::Client;
use crate::process::{self, Core, Process};
use crate::server::Server;

/// The argument under which the benchmark starts itself as the app.
pub const ROLE: &str = "as-upstream";
/// What it prints before its address.
const READY: &str = "listens on ";
/// The paths, and how long the answers are.
pub const SIZES: &[(&str, usize)] = &[("/", 13), ("/64k", 64 * 1024), ("/10m", 10 * 1024 * 1024)];

/// What the child does: listens on PORT, says where, and answers until it is killed.
pub fn serve() -> Result<()> {
    let port: u16 = std::env::var("PORT").map_or(Ok(0), |port| port.parse())?;
    let answers: Arc<Vec<(&str, Vec<u8>)>> = Arc::new(
        SIZES
            .iter()
            .map(|(path, size)| (*path, answer(*size)))
            .collect(),
    );
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            // A dyno may have a network of its own, where the router comes from elsewhere.
            let address = if port == 0 { [127, 0, 0, 1] } else { [0; 4] };
            let listener = TcpListener::bind((IpAddr::from(address), port)).await?;
            println!(
                "{READY}{}",
                SocketAddr::from((own(address)?, listener.local_addr()?.port()))
            );
            loop {
                let (socket, _) = listener.accept().await?;
                let answers = answers.clone();
                tokio::spawn(async move {
                    // A connection that breaks is over; whoever held it counts what it missed.
                    let _ = converse(socket, &answers).await;
                });
            }
        })
}

/// Where others reach a program that listens on this address: in a network of its own, that is another one than it sees.
fn own(address: [u8; 4]) -> Result<IpAddr> {
    if address != [0; 4] {
        return Ok(address.into());
    }
    // Nothing is sent: this only asks which address would be sent from.
    let socket = UdpSocket::bind("0.0.0.0:0")?;
    Ok(match socket.connect("192.0.2.1:9") {
        Ok(()) => socket.local_addr()?.ip(),
        Err(_) => [127, 0, 0, 1].into(),
    })
}

fn answer(size: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: upstream\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + size, b'x');
    answer
}

/// Requests without bodies, one after another.
async fn converse(mut socket: TcpStream, answers: &[(&str, Vec<u8>)]) -> Result<()> {
    socket.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    let mut filled = 0;
    loop {
        let read = socket.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        if !buffer[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        let path = buffer[..filled].split(|byte| *byte == b' ').nth(1);
        let (_, answer) = answers
            .iter()
            .find(|(known, _)| Some(known.as_bytes()) == path)
            .ok_or("no such path")?;
        socket.write_all(answer).await?;
        filled = 0;
    }
}

/// On the load's core, for nginx and for the direct connections.
pub fn start() -> Result<(Process, SocketAddr)> {
    let mut command = process::command(Core::Load, Path::new(&std::env::current_exe()?));
    command.arg(ROLE);
    let mut process = Process::start(command)?;
    let line = process.line()?;
    let address = line.trim().strip_prefix(READY).ok_or("it says nothing")?;
    let address = address.parse()?;
    Ok((process, address))
}

/// Where the app's one dyno listens, by what it printed.
pub fn of_dyno(server: &Server, client: &mut Client, app: &str) -> Result<SocketAddr> {
    let body = json!({"lines": 100, "source": "app", "dyno": "web.1"});
    let session = client.post(&format!("/apps/{app}/log-sessions"), &body)?;
    let url = session["logplex_url"].as_str().ok_or("no URL")?;
    let path = url.find("/streams").and_then(|at| url.get(at..));
    let mut stream = std::net::TcpStream::connect(server.api)?;
    let path = path.ok_or("no path")?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: bench\r\n\r\n")?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    let address = said
        .rsplit_once(READY)
        .and_then(|(_, rest)| rest.lines().next());
    Ok(address
        .ok_or("the dyno has not said where it listens")?
        .trim()
        .parse()?)
}

/// The folder that dynos have to see for it.
pub fn folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().ok_or("the benchmark has no folder")?;
    Ok(folder.to_owned())
}

/// The line of a Procfile that does the same.
pub fn procfile_line() -> Result<String> {
    let command = process::command(Core::Load, Path::new(&std::env::current_exe()?));
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy()))
        .collect();
    Ok(format!("exec {} {ROLE}", words.join(" ")))
}
