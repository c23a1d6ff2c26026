//! The app behind the proxies: as small an HTTP server as there can be, with answers of a few sizes.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::Result;
use crate::process::{self, Core, Process};

/// The argument under which the benchmark starts itself as the app.
pub const ROLE: &str = "as-upstream";
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
            println!("{}", listener.local_addr()?);
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
    let address = process.line()?.trim().parse()?;
    Ok((process, address))
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
