//! A connection: plain, or within TLS. Of a client's, whichever the client begins with.
//!
//! No request of HTTP begins with the first byte of a TLS handshake, so one port can take both: whoever follows an app's redirect
//! from `http://host:port` to `https://host:port` finds somebody there, and so does the official CLI, whose git remotes are
//! always `https://`. It must not know what is said on the connection.

mod slices;
mod stall;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use nix::errno::Errno;
use nix::libc;
use rustix::net::sockopt::set_tcp_congestion;
use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, TlsStream};

pub use stall::{LONGEST as LONGEST_STALL, Stall};

/// What a TLS handshake begins with (RFC 8446, 5.1).
pub const HANDSHAKE: u8 = 0x16;

/// The rules of a connection that never leaves its machine, and so meets no crowd that it would have to make way for: those that every
/// kernel has, and that hold nothing back. `bbr`, which many machines are set to, sends no faster than it has seen itself send, and
/// long answers take twice as long by it. A dyno without a network of its own sends by the machine's rules.
pub const UNCROWDED: &str = "reno";

/// Sets those rules for a socket that is to connect, or for a listener and all that it will accept. They come too late for one that is
/// connected already: what `bbr` has begun, it keeps up. One that cannot be set works all the same.
pub fn set_uncrowded(socket: impl AsFd) {
    let _ = set_tcp_congestion(socket, UNCROWDED);
}

/// Connects to somebody on this machine, by those rules.
pub async fn connect_uncrowded(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    set_uncrowded(&socket);
    socket.connect(address).await
}

/// What is connected by, from either side.
pub enum Connection {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Waits for the first byte, and then for the handshake that it may begin. It takes as long as the client does, so the caller
    /// says for how long. Fails when the client goes away or the handshake comes to nothing.
    pub async fn accept(stream: TcpStream, tls: Option<&TlsAcceptor>) -> io::Result<Connection> {
        let Some(tls) = tls else {
            return Ok(Connection::Plain(stream));
        };
        match begins_handshake(&stream).await? {
            true => Ok(Connection::Tls(Box::new(tls.accept(stream).await?.into()))),
            false => Ok(Connection::Plain(stream)),
        }
    }

    /// The same, as it is chosen by the host that the client says it wants, if it does.
    pub async fn accept_for(
        stream: TcpStream,
        tls: impl FnOnce(Option<&str>) -> Arc<ServerConfig>,
    ) -> io::Result<Connection> {
        if !begins_handshake(&stream).await? {
            return Ok(Connection::Plain(stream));
        }
        let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        let chosen = tls(begun.client_hello().server_name());
        let stream = begun.into_stream(chosen).await?;
        Ok(Connection::Tls(Box::new(stream.into())))
    }

    /// The host that the client said it wants.
    pub fn server_name(&self) -> Option<&str> {
        match self {
            Connection::Tls(stream) => match &**stream {
                TlsStream::Server(stream) => stream.get_ref().1.server_name(),
                TlsStream::Client(_) => None,
            },
            Connection::Plain(_) => None,
        }
    }

    /// The protocol that both sides have agreed on (RFC 7301), if they have.
    pub fn protocol(&self) -> Option<&[u8]> {
        match self {
            Connection::Plain(_) => None,
            Connection::Tls(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }

    pub fn is_encrypted(&self) -> bool {
        matches!(self, Connection::Tls(_))
    }

    /// How many of the bytes that were written the machine at the other end has not acknowledged: they are in this one's buffers, or
    /// on their way. It says nothing of whether somebody there has read the others (tcp(7), `SIOCOUTQ`).
    pub fn unacknowledged(&self) -> io::Result<usize> {
        let socket = match self {
            Connection::Plain(stream) => stream,
            Connection::Tls(stream) => stream.get_ref().0,
        };
        let mut bytes: libc::c_int = 0;
        #[expect(
            unsafe_code,
            reason = "the kernel answers one number, for which there is room"
        )]
        let asked = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
        Errno::result(asked)?;
        Ok(usize::try_from(bytes).unwrap_or(0))
    }
}

async fn begins_handshake(stream: &TcpStream) -> io::Result<bool> {
    let mut first = [0];
    stream.peek(&mut first).await?;
    Ok(first == [HANDSHAKE])
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Connection::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Connection::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Connection::Plain(stream) => slices::write(Pin::new(stream), context, slices),
            Connection::Tls(stream) => Pin::new(stream).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_flush(context),
            Connection::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Connection::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Connection::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt::tcp_congestion;
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn connections_that_stay_here_go_by_their_rules_from_either_side() -> io::Result<()> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_io().build()?.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            // Whatever the machine is set to, these are others.
            set_tcp_congestion(&listener, "cubic")?;
            set_uncrowded(&listener);
            let connected = connect_uncrowded(listener.local_addr()?).await?;
            let (accepted, _) = listener.accept().await?;
            assert_eq!(tcp_congestion(&connected)?, UNCROWDED);
            assert_eq!(tcp_congestion(&accepted)?, UNCROWDED);
            Ok(())
        })
    }
}
