//! Where the tools of this machine reach the server that was started on a data directory, and that it is that server.
//!
//! The official CLI takes a `HEROKU_HOST` that is `http://127.0.0.1:PORT` or `http://localhost:PORT`. Any other that is not Heroku's
//! own it drops with a warning, and then sends the token to Heroku. So no other is named here, whatever the server listens on and
//! whatever URL it tells its clients.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use reqwest::{Certificate, Client};
use rustix::process::{Pid, test_kill_process};

use crate::error::{Error, ErrorId, Result};
use crate::serve::Ready;

/// For a server of this very machine.
const PATIENCE: Duration = Duration::from_secs(5);
const V4: &str = "127.0.0.1";
/// The CLI takes no `[::1]`.
const NAME: &str = "localhost";

/// `127.0.0.1:5000`. 404 where the server does not run, 409 where it runs and the CLI can be led to it by no such name.
pub fn host(ready: &Ready) -> Result<String> {
    let lives = is_there(ready.pid);
    let Some(listen) = ready.listen else {
        return match lives {
            true => Err(Error::conflict(
                "The server that runs here is of an older version. Start it anew: then it says where it listens.",
            )),
            false => Err(gone(ready)),
        };
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let client = client(ready)?;
    for name in names(listen.ip()) {
        let host = format!("{name}:{}", listen.port());
        if is_ours_alone(name, listen) && runtime.block_on(answers(&client, &host)) {
            return Ok(host);
        }
    }
    match lives {
        true => Err(unreachable(ready, listen)),
        false => Err(gone(ready)),
    }
}

/// By which of the names that the CLI takes this address may be reached.
fn names(ip: IpAddr) -> &'static [&'static str] {
    match ip.to_canonical() {
        IpAddr::V4(ip) if ip == Ipv4Addr::LOCALHOST || ip.is_unspecified() => &[V4],
        IpAddr::V6(ip) if ip.is_loopback() => &[NAME],
        IpAddr::V6(ip) if ip.is_unspecified() => &[V4, NAME],
        _ => &[],
    }
}

/// Whoever asks for `localhost` may come to 127.0.0.1, where somebody else may listen.
fn is_ours_alone(name: &str, listen: SocketAddr) -> bool {
    let other = SocketAddr::from((Ipv4Addr::LOCALHOST, listen.port()));
    name != NAME || TcpStream::connect_timeout(&other, PATIENCE).is_err()
}

/// It believes the authority of this data directory and no other, so that nobody else can answer it.
fn client(ready: &Ready) -> Result<Client> {
    let pem = std::fs::read(&ready.ca_file)
        .map_err(|cause| Error::conflict(format!("{} cannot be read: {cause}.", ready.ca_file)))?;
    // One that is set already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let certificates = Certificate::from_pem_bundle(&pem).map_err(Error::internal)?;
    Client::builder()
        .tls_certs_only(certificates)
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .map_err(Error::internal)
}

/// No token is shown for it.
async fn answers(client: &Client, host: &str) -> bool {
    client
        .get(format!("https://{host}/health"))
        .send()
        .await
        .is_ok()
}

fn is_there(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid).is_ok())
}

fn gone(ready: &Ready) -> Error {
    Error::new(
        ErrorId::NotFound,
        format!(
            "The server on {} does not run. Start it with `penstock serve`, or name another --data-dir.",
            ready.data_dir
        ),
    )
}

fn unreachable(ready: &Ready, listen: SocketAddr) -> Error {
    if names(listen.ip()).contains(&V4) {
        return Error::new(
            ErrorId::Unavailable,
            format!(
                "Nobody who answers on {listen} is the server on {}, which process {} should be. Look whether it runs, and start it anew.",
                ready.data_dir, ready.pid
            ),
        );
    }
    Error::conflict(format!(
        "The server listens on {listen}, where the heroku CLI does not find it: of this machine it takes 127.0.0.1 and localhost alone, \
         and would send your token to Heroku instead. Start the server with --listen 127.0.0.1:{port}, 0.0.0.0:{port} or [::]:{port}, \
         or lead to it with `penstock connect`.",
        port = listen.port()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_the_cli_takes_are_tried() {
        let of = |ip: &str| ip.parse().map_or(&["no address"][..], names);
        assert_eq!(of("127.0.0.1"), [V4]);
        assert_eq!(of("0.0.0.0"), [V4]);
        assert_eq!(of("::ffff:127.0.0.1"), [V4]);
        assert_eq!(of("::1"), [NAME]);
        assert_eq!(of("::"), [V4, NAME]);
        for elsewhere in ["127.0.0.2", "192.0.2.2", "2001:db8::1"] {
            assert!(of(elsewhere).is_empty());
        }
    }
}
