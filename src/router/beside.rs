//! The server beside the apps: its host leads through the router's ports to a listener of its own.
//!
//! Which host is asked for stands in the first message of a TLS handshake, so the connection is handed over as a whole once the
//! handshake is done: no limit of requests to dynos is one of its own. It must not know what is said on it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncWriteExt, copy, split};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::transport::Connection;

/// It listens on this very machine.
const CONNECT: Duration = Duration::from_secs(5);
/// For a visitor to end what the server has ended.
const LAST: Duration = Duration::from_secs(5);

/// Where its connections go.
#[derive(Clone, Debug)]
pub struct Beside {
    /// In lower case and without port.
    pub host: String,
    /// With its certificate, and the protocols that it speaks.
    pub tls: Arc<ServerConfig>,
    /// An address of this machine.
    pub at: SocketAddr,
    pub handed: Handed,
}

/// Who the visitors are whose connections were handed over, by the addresses that these come from now.
#[derive(Clone, Debug, Default)]
pub struct Handed(Arc<Mutex<HashMap<SocketAddr, Note>>>);

/// A visitor, and whoever waits until it is known that he is one.
type Note = (SocketAddr, oneshot::Sender<()>);

impl Handed {
    /// The visitor whose connection comes from this address. Told once: the next connection from there is another's.
    pub fn visitor(&self, from: SocketAddr) -> Option<SocketAddr> {
        let (visitor, read) = self.all().remove(&from)?;
        // Where nobody waits any more, the connection is over.
        let _ = read.send(());
        Some(visitor)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SocketAddr, Note>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a visitor whose connection nobody took.
struct Noted<'a>(&'a Handed, SocketAddr);

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.0.all().remove(&self.1);
    }
}

impl Beside {
    pub(super) fn has(&self, host: &str) -> bool {
        host.eq_ignore_ascii_case(&self.host)
    }

    /// Carries a connection until both sides have ended it, or one of them a while ago. Whoever breaks off knows it.
    pub(super) async fn carry(&self, visitor: Connection, peer: SocketAddr) {
        let connecting = timeout(CONNECT, self.connect(peer));
        // The note goes before the connection does, whose address may be another's then.
        if let Ok(Ok((server, _noted))) = connecting.await {
            carried(visitor, server).await;
        }
    }

    /// From an address that is noted as the visitor's before the server can see it, and that nobody else can have meanwhile. Not a
    /// byte is carried before the note was read, since a visitor who has gone by then would be taken for this machine.
    async fn connect(&self, peer: SocketAddr) -> std::io::Result<(TcpStream, Noted<'_>)> {
        let socket = match self.at {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.bind(SocketAddr::new(self.at.ip(), 0))?;
        let from = socket.local_addr()?;
        let visitor = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let (read, reading) = oneshot::channel();
        self.handed.all().insert(from, (visitor, read));
        let noted = Noted(&self.handed, from);
        let server = socket.connect(self.at).await?;
        server.set_nodelay(true)?;
        reading
            .await
            .map_err(|_| std::io::Error::from(std::io::ErrorKind::ConnectionAborted))?;
        Ok((server, noted))
    }
}

/// Both directions. What the one still has to say when the other is over is heard, unless it comes to no end.
async fn carried(visitor: Connection, server: TcpStream) {
    let (mut from_visitor, mut to_visitor) = split(visitor);
    let (mut from_server, mut to_server) = server.into_split();
    let inwards = async {
        let _ = copy(&mut from_visitor, &mut to_server).await;
        let _ = to_server.shutdown().await;
    };
    let outwards = async {
        let _ = copy(&mut from_server, &mut to_visitor).await;
        let _ = to_visitor.shutdown().await;
    };
    let (mut inwards, mut outwards) = (pin!(inwards), pin!(outwards));
    tokio::select! {
        // A client may say that it has nothing more to ask, and wait for an answer that takes its time.
        () = &mut inwards => outwards.await,
        () = &mut outwards => {
            let _ = timeout(LAST, inwards).await;
        }
    }
}
