//! The listening sockets of a server.
//!
//! It must not know what is served on them.

use std::net::{SocketAddr, TcpListener};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::urls::Urls;

/// Where it listens.
pub struct Sockets {
    pub api: TcpListener,
    /// The one that visitors come by, and then the one that they come by in `https://` URLs, if that is another.
    pub routers: Vec<TcpListener>,
    pub rendezvous: TcpListener,
}

impl Sockets {
    /// Opens them all. 409 for an address that somebody else has.
    pub fn bind(config: &Config) -> Result<Sockets> {
        let mut routers = vec![bind(config.router_listen, "--router-listen")?];
        if let Some(address) = config.router_tls_listen {
            routers.push(bind(address, "--router-tls-listen")?);
        }
        Ok(Sockets {
            api: bind(config.listen, "--listen")?,
            routers,
            rendezvous: bind(config.rendezvous_listen, "--rendezvous-listen")?,
        })
    }

    /// The URLs under which clients find them.
    pub fn urls(&self, config: &Config) -> Result<Urls> {
        let mut routers = self.routers.iter().map(TcpListener::local_addr);
        let mut router_port = || routers.next().transpose();
        let api = config.api_url.clone();
        Ok(Urls {
            api: api.unwrap_or(format!("http://{}", self.api.local_addr()?)),
            router_port: router_port()?.map_or(0, |address| address.port()),
            router_tls_port: router_port()?.map(|address| address.port()),
            base_domain: config.base_domain.clone(),
            rendezvous_port: self.rendezvous.local_addr()?.port(),
        })
    }
}

fn bind(address: SocketAddr, argument: &str) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|cause| {
        Error::conflict(format!("{address} cannot be listened on: {cause}. Name another address with {argument}, or port 0."))
    })
}
