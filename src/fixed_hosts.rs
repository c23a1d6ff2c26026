//! The hosts that the official CLI asks wherever it is pointed, in whose place the API answers: no variable names them.
//!
//! A client that takes the API's port for its proxy (`CONNECT`, RFC 9110, 9.3.6) is led from there to the API itself, as if it had
//! reached one of them, and nowhere else. `penstock env` has the CLI do so for the few commands that need it, so that they work, and
//! neither wait for a host that is far away nor show it this server's token. It must not know what is asked.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Favorites; notifications; errors and autoscaling; what concerns GitHub.
pub const HOSTS: [&str; 6] = [
    "particleboard.heroku.com",
    "telex.heroku.com",
    "api.metrics.herokai.com",
    "api.metrics.heroku.com",
    "kolkrabbi.heroku.com",
    "api.github.com",
];

const METHOD: &[u8] = b"CONNECT ";
/// Bytes of a request for a tunnel at most.
const MOST: usize = 4_096;
const END: &[u8] = b"\r\n\r\n";
const OPEN: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
const REFUSAL: &str =
    "This server answers in the place of the heroku CLI's own hosts; it is no proxy to others.\n";

/// Whether a client begins with asking for a tunnel. Waits for its first bytes, and takes none.
pub async fn are_asked_for(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0; METHOD.len()];
    let seen = stream.peek(&mut first).await?;
    Ok(first[..seen] == *METHOD)
}

/// Opens the tunnel, to ourselves, who have these names too: a client asks its proxy for all hosts alike. Fails, when the client was
/// told so, for any other host.
pub async fn open(stream: &mut TcpStream, own: &[String]) -> io::Result<()> {
    let head = head(stream).await?;
    let target = String::from_utf8_lossy(&head[METHOD.len()..]);
    let target = target.split(' ').next().unwrap_or_default();
    let host = target.rsplit_once(':').map_or(target, |(host, _)| host);
    let host = host.trim_matches(['[', ']']);
    let known = HOSTS.contains(&host) || own.iter().any(|own| own == host);
    if known {
        return stream.write_all(OPEN).await;
    }
    let refusal = format!(
        "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{REFUSAL}",
        REFUSAL.len()
    );
    stream.write_all(refusal.as_bytes()).await?;
    Err(io::ErrorKind::PermissionDenied.into())
}

/// All of the request. What is meant for the other end comes only after our answer.
async fn head(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(END) {
        if head.len() >= MOST || stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(head)
}
