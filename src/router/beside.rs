//! The server beside the apps: its host leads through the router's ports to a listener of its own.
//!
//! Which host is asked for stands in the first message of a TLS handshake, so the connection is handed over as a whole once the
//! handshake is done: no limit of requests to dynos is one of its own. It must not know what is said on it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::transport::Connection;

/// It listens on this very machine.
const CONNECT: Duration = Duration::from_secs(5);

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
pub struct Handed(Arc<Mutex<HashMap<SocketAddr, SocketAddr>>>);

impl Handed {
    /// The visitor whose connection comes from this address. Told once: the next connection from there is another's.
    pub fn visitor(&self, from: SocketAddr) -> Option<SocketAddr> {
        self.all().remove(&from)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<SocketAddr, SocketAddr>> {
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

    /// Carries a connection until both sides have ended it. Whoever breaks off knows it.
    pub(super) async fn carry(&self, mut visitor: Connection, peer: SocketAddr) {
        let connecting = timeout(CONNECT, self.connect(peer));
        // The note goes before the connection does, whose address may be another's then.
        if let Ok(Ok((mut server, _noted))) = connecting.await {
            let _ = copy_bidirectional(&mut visitor, &mut server).await;
        }
    }

    /// From an address that is noted as the visitor's before the server can see it, and that nobody else can have meanwhile.
    async fn connect(&self, peer: SocketAddr) -> std::io::Result<(TcpStream, Noted<'_>)> {
        let socket = match self.at {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        socket.bind(SocketAddr::new(self.at.ip(), 0))?;
        let from = socket.local_addr()?;
        let visitor = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        self.handed.all().insert(from, visitor);
        let noted = Noted(&self.handed, from);
        let server = socket.connect(self.at).await?;
        server.set_nodelay(true)?;
        Ok((server, noted))
    }
}
