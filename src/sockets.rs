//! The listening sockets of a server: its own, or those that systemd holds for it, so that visitors who come while one server ends
//! and the next one starts wait and are not refused (socket activation, sd_listen_fds(3)).
//!
//! It must not know what is served on them.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{FromRawFd, OwnedFd};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::tunnel;
use crate::urls::Urls;

/// The names under which sockets are handed over.
pub const API: &str = "api";
pub const ROUTER: &str = "router";
pub const ROUTER_TLS: &str = "router-tls";
pub const RENDEZVOUS: &str = "rendezvous";

/// Where it listens.
pub struct Sockets {
    pub api: TcpListener,
    /// The one that visitors come by, and then the one that they come by in `https://` URLs, if that is another.
    pub routers: Vec<TcpListener>,
    pub rendezvous: TcpListener,
}

impl Sockets {
    /// Takes those that were handed over, and opens the others. 409 for an address that somebody else has, and for a socket that
    /// nobody knows.
    pub fn bind(config: &Config) -> Result<Sockets> {
        let mut handed = handed_over()?;
        let mut socket = |name: &str, address, argument| match handed.remove(name) {
            Some(socket) => Ok(socket),
            None => bind(address, argument),
        };
        let api = socket(API, config.listen, "--listen")?;
        let mut routers = vec![socket(ROUTER, config.router_listen, "--router-listen")?];
        let rendezvous = socket(RENDEZVOUS, config.rendezvous_listen, "--rendezvous-listen")?;
        match (handed.remove(ROUTER_TLS), config.router_tls_listen) {
            (Some(socket), _) => routers.push(socket),
            (None, Some(address)) => routers.push(bind(address, "--router-tls-listen")?),
            (None, None) => {}
        }
        if let Some(name) = handed.keys().next() {
            return Err(Error::conflict(format!(
                "A socket was handed over under the name {name:?}, which is none of {API}, {ROUTER}, {ROUTER_TLS} and {RENDEZVOUS}. \
                 Name it so: FileDescriptorName= in its unit."
            )));
        }
        Ok(Sockets {
            api,
            routers,
            rendezvous,
        })
    }

    /// The settings with the addresses that are listened on in truth: a socket that was handed over goes before what they say, and
    /// what may be done depends on who can come.
    pub fn as_bound(&self, config: Config) -> Result<Config> {
        Ok(Config {
            listen: self.api.local_addr()?,
            rendezvous_listen: self.rendezvous.local_addr()?,
            ..config
        })
    }

    /// The URLs under which clients find them.
    pub fn urls(&self, config: &Config) -> Result<Urls> {
        let mut routers = self.routers.iter().map(TcpListener::local_addr);
        let mut router_port = || routers.next().transpose();
        let api = config.api_url.clone();
        Ok(Urls {
            api: api.unwrap_or(format!("http://{}", tunnel::here(self.api.local_addr()?))),
            router_port: router_port()?.map_or(0, |address| address.port()),
            router_tls_port: router_port()?.map(|address| address.port()),
            base_domain: config.base_domain.clone(),
            rendezvous_at: self.rendezvous.local_addr()?,
        })
    }
}

/// What whoever started this server has opened for it, by name.
fn handed_over() -> Result<HashMap<String, TcpListener>> {
    let mut handed = HashMap::new();
    for (descriptor, name) in sd_notify::listen_fds_with_names()? {
        #[expect(
            unsafe_code,
            reason = "who started this process says that the descriptor is open and this process's; a server asks once"
        )]
        let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
        handed.insert(name, TcpListener::from(socket));
    }
    Ok(handed)
}

fn bind(address: SocketAddr, argument: &str) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|cause| {
        Error::conflict(format!("{address} cannot be listened on: {cause}. Name another address with {argument} (as in `make run ARGS=\"{argument} ADDRESS:PORT\"`), or port 0."))
    })
}
