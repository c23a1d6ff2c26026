//! Whether a web dyno is up: its port takes connections, and whatever else its app asks for is so.
//!
//! It must not know what follows from that.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1::handshake;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::Event;
use super::following::Running;
use super::listeners;
use crate::health_checks::HealthCheck;
use crate::name::Id;

const FIRST_WAIT: Duration = Duration::from_millis(5);
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// Between two questions to an app that has answered: it is up, and busy with itself.
const WAIT_FOR_HEALTH: Duration = Duration::from_secs(1);
/// A connection to this machine that takes so long is none.
const CONNECT: Duration = Duration::from_secs(5);

/// How it is seen that a web dyno is up, and for how long at most it is waited for.
pub(super) struct Probe {
    /// Its own, if it has one.
    pub address: Option<Ipv4Addr>,
    pub port: u16,
    pub boot: Duration,
    pub checks: Vec<HealthCheck>,
}

impl Probe {
    /// Waits until the dyno is up, and says so, or that it took too long.
    pub async fn report(
        self,
        events: mpsc::UnboundedSender<Event>,
        running: Arc<Running>,
        dyno: Id,
    ) {
        let address = SocketAddr::from((self.address.unwrap_or(Ipv4Addr::LOCALHOST), self.port));
        let up = up(address, &self.checks, |found| running.note_probe(found));
        let event = match timeout(self.boot, up).await {
            Ok(()) => Event::Listening { dyno },
            Err(_) => {
                if let Some(found) = unheard(address, running.pid).await {
                    running.note_probe(found);
                }
                Event::BootTimeout { dyno }
            }
        };
        // Nobody listens when the server is stopping.
        let _ = events.send(event);
    }
}

/// Resolves once everything is as it should be. `found` is told what came of each look before that, in words for a person.
pub async fn up(address: SocketAddr, checks: &[HealthCheck], found: impl Fn(String)) {
    let mut wait = FIRST_WAIT;
    loop {
        match look(address, checks).await {
            Ok(()) => return,
            Err(Fault::Port(fault)) => {
                found(fault);
                sleep(wait).await;
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            Err(Fault::Health(fault)) => {
                found(fault);
                sleep(WAIT_FOR_HEALTH).await;
            }
        }
    }
}

/// Of a dyno whose time is over: where it listens instead, and what to do, unless its port takes connections.
async fn unheard(address: SocketAddr, first: i32) -> Option<String> {
    let Err(Fault::Port(fault)) = connect(address).await else {
        return None;
    };
    let listeners = tokio::task::spawn_blocking(move || listeners::of(first));
    let listeners = listeners.await.unwrap_or_default();
    let listeners: Vec<String> = listeners.iter().map(SocketAddr::to_string).collect();
    let instead = match listeners.is_empty() {
        true => String::new(),
        false => format!(", but the app listens on {}", listeners.join(" and ")),
    };
    Some(format!("{fault}{instead}. Have it listen on 0.0.0.0:$PORT"))
}

/// Why a dyno is not up yet.
enum Fault {
    Port(String),
    Health(String),
}

async fn look(address: SocketAddr, checks: &[HealthCheck]) -> Result<(), Fault> {
    if checks.is_empty() {
        return connect(address).await.map(drop);
    }
    for check in checks {
        // Connected first, so that who does not listen yet is asked again soon.
        let stream = connect(address).await?;
        let path = &check.path;
        let limit = Duration::from_secs(check.timeout);
        let fault = match timeout(limit, ask(stream, path)).await {
            Ok(Ok(status)) if is_good(status, check.status) => continue,
            Ok(Ok(status)) => {
                let wanted = wanted(check.status);
                format!("GET {path} is answered with {status}{wanted}")
            }
            Ok(Err(cause)) => format!("GET {path} is not answered: {cause}"),
            Err(_) => format!("GET {path} is not answered within {} s", limit.as_secs()),
        };
        return Err(Fault::Health(fault));
    }
    Ok(())
}

async fn connect(address: SocketAddr) -> Result<TcpStream, Fault> {
    let port = address.port();
    match timeout(CONNECT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        // Its network may be gone with it.
        Ok(Err(cause))
            if matches!(
                cause.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::HostUnreachable
            ) =>
        {
            Err(Fault::Port(format!("nobody listens on port {port}")))
        }
        Ok(Err(cause)) => Err(Fault::Port(format!(
            "port {port} cannot be connected to: {cause}"
        ))),
        Err(_) => Err(Fault::Port(format!("port {port} takes no connection"))),
    }
}

/// The status of a GET.
async fn ask(
    stream: TcpStream,
    path: &str,
) -> Result<StatusCode, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header(HOST, "localhost")
        .header(USER_AGENT, "Penstock health check")
        .header(CONNECTION, "close")
        .body(String::new())?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await;
    // The rest of the answer is of no interest.
    connection.abort();
    Ok(answer?.status())
}

fn is_good(status: StatusCode, wanted: Option<u16>) -> bool {
    match wanted {
        Some(wanted) => status.as_u16() == wanted,
        None => status.is_success() || status.is_redirection(),
    }
}

fn wanted(status: Option<u16>) -> String {
    match status {
        Some(status) => format!(", and should be with {status}"),
        None => String::new(),
    }
}
