//! Where clients meet the dynos that they run a command in: a TLS listener, and Heroku's rendezvous on it.
//!
//! The client sends the secret of its dyno and a line's end, is greeted, and from there on bytes go both ways, with no frames. The
//! facts are those that the official CLI was seen to rely on: it checks the certificate and asks for no name, it throws away the first
//! record whole, it wants the marker of an exit status in one record, and it breaks when the connection closes right after the
//! greeting. It must not know how a dyno is run.

mod marker;
mod session;
mod sizes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::Platform;
use crate::authority::Authority;
use crate::error::Result;
use crate::runtime::Reception;
use crate::store::one_offs;

/// Clients at once, those who have not said yet who they are among them.
const CLIENTS: usize = 512;
const HANDSHAKE: Duration = Duration::from_secs(10);
/// After a connection that could not be accepted: descriptors are not freed by asking again at once.
const AFTER_FAILURE: Duration = Duration::from_millis(100);

/// How long a session waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Without a byte either way it ends.
    pub idle: Duration,
    /// From the greeting to the end at least: a client that has not written its own end by then breaks.
    pub floor: Duration,
    /// A marker that does not get its end within this time is none.
    pub marker: Duration,
}

impl Default for Limits {
    /// The first is Heroku's.
    fn default() -> Limits {
        Limits {
            idle: Duration::from_secs(60 * 60),
            floor: Duration::from_millis(250),
            marker: Duration::from_millis(500),
        }
    }
}

/// The listener, ready to be run.
pub struct Rendezvous {
    listener: TcpListener,
    tls: TlsAcceptor,
    host: Arc<Host>,
}

/// What each session works with.
struct Host {
    platform: Arc<Platform>,
    reception: Reception,
    limits: Limits,
}

impl Rendezvous {
    /// Over a bound socket. The authority says that it is who it is.
    pub fn new(
        platform: Arc<Platform>,
        reception: Reception,
        listener: std::net::TcpListener,
        authority: &Authority,
        limits: Limits,
    ) -> Result<Rendezvous> {
        listener.set_nonblocking(true)?;
        Ok(Rendezvous {
            listener: TcpListener::from_std(listener)?,
            tls: TlsAcceptor::from(authority.server(&platform.names())?),
            host: Arc::new(Host {
                platform,
                reception,
                limits,
            }),
        })
    }

    /// Serves until it is dropped. Dynos whose clients went with an earlier server are stopped first.
    pub async fn run(self) {
        let (store, now) = (&self.host.platform.store, self.host.platform.clock.now());
        if let Err(error) = store
            .write(move |connection| one_offs::hang_up_all(connection, now))
            .await
        {
            tracing::error!(%error, "dynos without their clients were left running");
        }
        let room = Arc::new(Semaphore::new(CLIENTS));
        let mut sessions = JoinSet::new();
        loop {
            while sessions.try_join_next().is_some() {}
            let Ok(place) = room.clone().acquire_owned().await else {
                return;
            };
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let (tls, host) = (self.tls.clone(), self.host.clone());
                    sessions.spawn(async move {
                        greet(tls, host, stream, peer).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a rendezvous connection could not be accepted");
                    tokio::time::sleep(AFTER_FAILURE).await;
                }
            }
        }
    }
}

async fn greet(tls: TlsAcceptor, host: Arc<Host>, stream: TcpStream, peer: SocketAddr) {
    // What is typed is answered key by key.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => session::serve(&host, stream).await,
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a rendezvous client and this server have no TLS in common");
        }
        Err(_) => tracing::debug!(%peer, "a rendezvous client did not shake hands in time"),
    }
}
