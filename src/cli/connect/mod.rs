//! `penstock connect`: the tools of this machine, pointed at a server elsewhere.
//!
//! It logs in, keeps the login in `~/.netrc` as the official CLI does, and forwards a port of this machine to the server, for that
//! CLI sends its token nowhere else. `heroku run` goes through it too, so nothing of the server but its API has to be
//! reachable. What is read by URLs from answers (logs, outputs, uploads) and `git` go straight to the server, by the addresses that it
//! names.

mod forward;
mod login;
pub mod netrc;
mod server;
mod state;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use crate::authority::Authority;
use crate::config::DataDirArg;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};
use crate::fixed_hosts::HOSTS;
use crate::urls;
use forward::Upstream;
use netrc::Login;
use server::{Server, Trust};
use state::Held;
pub use state::{Connection, running};

/// Those whom the CLI is to believe, one after another.
const TRUSTED: &str = "cli.pem";

#[derive(Args)]
#[command(after_help = "Examples:
  penstock connect https://paas.example.com
  penstock connect https://paas.example.com:5000 --ca-file ca.pem --token-stdin < token-file
  penstock connect http://127.0.0.1:5000     # a server that another user of this machine runs
  eval \"$(penstock env https://paas.example.com)\"; heroku apps     # in another terminal

The server names itself in what it answers, so it has to be started with --api-url and the URL that you type here. The login stays in ~/.netrc for the next time; `heroku logout` ends it.")]
pub struct Connect {
    /// The URL of the server's API
    url: String,

    /// Where this machine's tools find the forward
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5010")]
    listen: SocketAddr,

    /// The server's own authority, if no other has signed its certificate: the file ca.pem of its data directory
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,

    /// The same authority, by the SHA-256 of its certificate, with colons or without
    #[arg(long, value_name = "HEX", conflicts_with = "ca_file")]
    ca_fingerprint: Option<String>,

    /// Read the token from standard input, instead of opening a browser
    #[arg(long)]
    token_stdin: bool,

    #[command(flatten)]
    data_dir: DataDirArg,
}

impl Connect {
    pub fn run(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.forward())
    }

    async fn forward(self) -> Result<()> {
        self.is_for_this_machine()?;
        let url = server::base(&self.url)?;
        let pinned = self.ca_file.is_some() || self.ca_fingerprint.is_some();
        if pinned && url.starts_with("http://") {
            return Err(Error::invalid(
                "By http:// no certificate is shown that could be checked. Give an https:// URL: the API's own port takes TLS, too.",
            ));
        }
        let data = DataDir::open(&self.data_dir.data_dir)?;
        let folder = state::folder(&data, &url)?;
        // Before anything is written for it.
        let held = Held::take(folder.clone())?;
        let fingerprint = self.ca_fingerprint.as_deref();
        let trust = Trust::of(self.ca_file.as_deref(), fingerprint, &folder)?;
        let server = Server::find(&url, trust, &folder).await?;
        let listener = self.listen().await?;
        let at = listener.local_addr()?;
        let netrc = netrc::path()?;
        let login = self.login(&server, &netrc).await?;
        netrc::keep(&netrc, &hosts(&server, at), &login)?;
        let (trusted, tls) = fixed_hosts(&folder, &server)?;
        held.announce(&server, trusted, at)?;
        // Before anybody is told that it is there: whoever reads that may end it at once.
        let ended = told_to_end()?;
        eprintln!(
            "You are {}. http://{at} leads to {url} until you press Ctrl-C. In another terminal:\n\n    eval \"$(penstock env {url})\"\n    heroku apps\n",
            login.login
        );
        let upstream = Upstream {
            client: server.client,
            url,
            at,
            fixed_hosts: tls,
        };
        forward::run(listener, upstream, ended).await;
        drop(held);
        Ok(())
    }

    /// 422 for an address that is not, or that the CLI does not take for it.
    fn is_for_this_machine(&self) -> Result<()> {
        match self.listen.ip() == Ipv4Addr::LOCALHOST {
            true => Ok(()),
            false => Err(Error::invalid(
                "The forward is for this machine alone, and the heroku CLI takes it at 127.0.0.1 only: --listen takes an address such as \
                 127.0.0.1:5010.",
            )),
        }
    }

    /// 409 for an address that somebody else has.
    async fn listen(&self) -> Result<TcpListener> {
        TcpListener::bind(self.listen).await.map_err(|cause| {
            Error::conflict(format!(
                "{} cannot be listened on: {cause}. Name another port of 127.0.0.1 with --listen.",
                self.listen
            ))
        })
    }

    /// The login that is kept, if it still opens the account; or a new one.
    async fn login(&self, server: &Server, netrc: &std::path::Path) -> Result<Login> {
        if self.token_stdin {
            let mut token = String::new();
            std::io::stdin().take(4096).read_to_string(&mut token)?;
            return login::by_token(server, token.trim()).await;
        }
        if let Some(kept) = netrc::find(netrc, &server.host)?
            && let Ok(login) = login::by_token(server, &kept.password).await
        {
            return Ok(login);
        }
        login::by_person(server).await
    }
}

/// In whose name the forward answers where the CLI asks for hosts that are written into it, and the file of those whom the CLI is to
/// believe for it. The authority is this user's own, and nobody but the CLI hears of it.
fn fixed_hosts(folder: &DataDir, server: &Server) -> Result<(PathBuf, TlsAcceptor)> {
    let authority = Authority::open(&DataDir::open(&folder.path("fixed-hosts"))?)?;
    let files = [&server.ca_file, &authority.certificate];
    let pems = files.map(std::fs::read_to_string);
    let pems = pems.into_iter().collect::<std::io::Result<String>>()?;
    folder.write_private(TRUSTED, pems.trim())?;
    let tls = authority.server(&HOSTS.map(str::to_owned))?;
    Ok((folder.path(TRUSTED), tls.into()))
}

/// Under which the tools look: the CLI by the forward's host with its port, and by git's; curl and git by the server's name alone.
/// One of this machine is not there without its port: whatever else listens here would be sent the token. There git asks the CLI.
fn hosts(server: &Server, at: SocketAddr) -> Vec<String> {
    let name = server
        .host
        .rsplit_once(':')
        .map_or(server.host.as_str(), |(name, _)| name);
    let mut hosts = vec![at.to_string(), server.host.clone(), name.to_owned()];
    hosts.dedup();
    hosts.retain(|host| !urls::is_this_machine(host));
    hosts
}

/// Listens for Ctrl-C, SIGTERM and the end of the terminal from now on. What is returned resolves at the first.
fn told_to_end() -> Result<impl Future<Output = ()>> {
    let signals = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let mut signals = signals
        .map(signal)
        .into_iter()
        .collect::<std::io::Result<Vec<_>>>()?;
    Ok(async move {
        let received = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures_util::future::select_all(received).await;
    })
}
