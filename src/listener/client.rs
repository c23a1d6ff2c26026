//! A client's connection, which fails when the server is to stop and its client takes nothing of an answer any more: nobody waits for
//! him then.
//!
//! It must not know what is said on it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

use crate::transport::{Connection, Stall};

pub(super) struct Client {
    connection: Connection,
    leaving: Leaving,
    stall: Stall,
}

/// Whether the server is to stop.
enum Leaving {
    Unknown(watch::Receiver<bool>),
    Awaited(BoxFuture<'static, ()>),
    Sure,
}

impl Client {
    pub(super) fn new(connection: Connection, leaving: watch::Receiver<bool>) -> Client {
        Client {
            connection,
            leaving: Leaving::Unknown(leaving),
            stall: Stall::default(),
        }
    }

    fn poll_leaving(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut self.leaving {
                Leaving::Sure => return Poll::Ready(()),
                Leaving::Unknown(leaving) => {
                    let mut leaving = leaving.clone();
                    self.leaving = Leaving::Awaited(Box::pin(async move {
                        let _ = leaving.wait_for(|leaving| *leaving).await;
                    }));
                }
                Leaving::Awaited(leaving) => {
                    std::task::ready!(leaving.as_mut().poll(cx));
                    self.leaving = Leaving::Sure;
                }
            }
        }
    }

    /// What came of a write, unless it was waited for in vain.
    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.stall.is_over();
            return poll;
        }
        if self.poll_leaving(cx).is_ready() && self.stall.poll(cx, &self.connection).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncRead for Client {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Client {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.connection).poll_write(cx, data);
        self.watch(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.connection).poll_write_vectored(cx, slices);
        self.watch(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.connection).poll_flush(cx);
        self.watch(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.connection).poll_shutdown(cx);
        self.watch(cx, poll)
    }
}
