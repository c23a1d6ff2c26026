//! Who is let in: no more visitors than there is room for, and of one address no more than its share.
//!
//! It must not know what visitors come for.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::guests::{Guest, Guests};
use super::stream::linger;
use super::{Options, RequestLog, code};
use crate::transport::{self, Connection};

/// Visitors at one time who are told why they are turned away. More of them are turned away without a word.
const FAREWELLS: usize = 64;

/// Whoever turns visitors away does so to many, and the server's own log hears of it so often.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(60);

/// Shared by all listeners.
pub(super) struct Door {
    options: Arc<Options>,
    log: Arc<dyn RequestLog>,
    guests: Guests,
    farewells: Arc<Semaphore>,
    warned: Mutex<Option<Instant>>,
}

impl Door {
    pub(super) fn new(options: Arc<Options>, log: Arc<dyn RequestLog>) -> Door {
        Door {
            options,
            log,
            guests: Guests::default(),
            farewells: Arc::new(Semaphore::new(FAREWELLS)),
            warned: Mutex::default(),
        }
    }

    /// `None` where there is no room for another one, with so many who are inside.
    pub(super) fn admit(&self, peer: SocketAddr, inside: usize) -> Option<Guest> {
        let most = self.options.max_connections_of_one;
        let guest = self.guests.admit(peer.ip(), most);
        guest.filter(|_| inside < self.options.max_connections)
    }

    /// Says why, to the visitor and to whoever runs the server.
    pub(super) fn turn_away(&self, socket: TcpStream, (peer, port): (SocketAddr, u16)) {
        self.log.unrouted(code::H22.status, Some(code::H22.name));
        self.warn(peer, port);
        let patience = self.options.first_word;
        if let Ok(place) = self.farewells.clone().try_acquire_owned() {
            tokio::spawn(async move {
                bid_farewell(socket, patience).await;
                drop(place);
            });
        }
    }

    fn warn(&self, peer: SocketAddr, port: u16) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_some_and(|last| last.elapsed() < BETWEEN_WARNINGS) {
            return;
        }
        *warned = Some(Instant::now());
        let Options {
            max_connections,
            max_connections_of_one,
            ..
        } = *self.options;
        tracing::warn!(
            address = %peer.ip(),
            port,
            max_connections,
            max_connections_of_one,
            "visitors are turned away (H22), of whom this is the first within a minute"
        );
    }
}

/// The page, for whoever can read it. Who begins a handshake could not: for that it would take a place among those who are inside.
async fn bid_farewell(mut socket: TcpStream, patience: Duration) {
    let mut first = [0];
    let spoken = timeout(patience, socket.peek(&mut first)).await;
    if matches!(spoken, Ok(Ok(0) | Err(_))) || first == [transport::HANDSHAKE] {
        return;
    }
    let html = code::H22.page.html();
    let mut answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n\
         Cache-Control: no-cache, no-store\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        html.len()
    )
    .into_bytes();
    answer.extend_from_slice(&html);
    // Closed at once, it would be destroyed on its way to those who are still sending what they came for.
    if let Ok(Ok(())) = timeout(patience, socket.write_all(&answer)).await {
        linger(Connection::Plain(socket)).await;
    }
}
