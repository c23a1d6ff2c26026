//! A connection whose short messages go by its thread's outbox, in order with the long ones, which do not.
//!
//! What is in the outbox is as good as sent to whoever wrote it: he is told only of what the system had no room for, and when his
//! connection has failed. It must not know what is said.

use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::poll_proceed;

use super::outbox::{Outbox, SHORT, Way};
use crate::transport::Connection;

/// Bytes that the system has room for, as good as certainly, once the other side has taken all that was written before. Who says
/// something has, unless he does not listen.
const CREDIT: usize = 8 * 1024;

/// A connection whose short messages go by an outbox. Within TLS, none do.
pub(super) struct Posting {
    connection: Connection,
    way: Option<Arc<Way>>,
    outbox: Arc<Outbox>,
    /// Bytes that may go by the outbox until something comes from the other side, which shows that it goes on. There may be no room for
    /// more, nor for anything behind a long message, and whoever writes has to know when there is none.
    credit: usize,
}

impl Posting {
    pub(super) fn new(connection: Connection, outbox: Arc<Outbox>) -> Posting {
        let way = match &connection {
            Connection::Plain(socket) => Some(Arc::new(Way::new(socket.as_raw_fd()))),
            Connection::Tls(_) => None,
        };
        Posting {
            connection,
            way,
            outbox,
            credit: CREDIT,
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// How its short messages go.
    pub(super) fn way(&self) -> Option<Arc<Way>> {
        self.way.clone()
    }

    fn inner(&mut self) -> Pin<&mut Connection> {
        Pin::new(&mut self.connection)
    }

    /// Ready when the system has all that was written.
    fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.way.as_ref().is_some_and(|way| way.has_waiting()) {
            self.outbox.send();
        }
        self.poll_rest(cx)
    }

    /// The same for all but what is in the outbox.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(way) = &self.way else {
            return Poll::Ready(Ok(()));
        };
        let mut connection = Pin::new(&mut self.connection);
        way.poll_rest(|rest| connection.as_mut().poll_write(cx, rest))
    }

    /// Whether the message is in the outbox now.
    fn is_posted(&mut self, cx: &Context<'_>, length: usize, message: &[IoSlice<'_>]) -> bool {
        let is_short = length <= SHORT.min(self.credit);
        self.credit = if is_short { self.credit - length } else { 0 };
        let way = self.way.as_ref().filter(|_| is_short);
        let way = way.filter(|way| way.is_open(cx.waker()));
        if let Some(way) = way {
            self.outbox.put(way, message);
        }
        way.is_some()
    }
}

impl AsyncRead for Posting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = self.inner().poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.outbox.hear();
            self.credit = CREDIT;
        }
        polled
    }
}

impl AsyncWrite for Posting {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        // As any other write, it counts among what a task may do in one turn.
        let turn = ready!(poll_proceed(cx));
        if self.is_posted(cx, length, slices) {
            turn.made_progress();
            return Poll::Ready(Ok(length));
        }
        drop(turn);
        if length > SHORT {
            // The system takes a while to take it over, and those whose messages are short need not wait for that.
            self.outbox.send();
        }
        ready!(self.poll_sent(cx))?;
        self.inner().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        self.inner().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_sent(cx))?;
        self.inner().poll_shutdown(cx)
    }
}

impl Drop for Posting {
    fn drop(&mut self) {
        let Some(way) = &self.way else {
            return;
        };
        if way.has_waiting() {
            self.outbox.send();
        }
        way.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpSocket, TcpStream};
    use tokio::task::yield_now;
    use tokio::time::{Duration, timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    /// Of the system's buffers, so that they are full soon.
    const ROOM: u32 = 4 * 1024;

    fn runs(test: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build()?;
        let in_time = runtime.block_on(async { timeout(PATIENCE, test).await });
        assert!(in_time.is_ok(), "nobody was woken");
        in_time?
    }

    /// A connection whose messages go by the outbox, and its other end.
    async fn pair(outbox: &Arc<Outbox>) -> io::Result<(Posting, TcpStream)> {
        let listening = TcpSocket::new_v4()?;
        listening.set_recv_buffer_size(ROOM)?;
        listening.bind(([127, 0, 0, 1], 0).into())?;
        let listener = listening.listen(1)?;
        let connecting = TcpSocket::new_v4()?;
        connecting.set_send_buffer_size(ROOM)?;
        let connected = connecting.connect(listener.local_addr()?).await?;
        let (other, _) = listener.accept().await?;
        let connected = Connection::Plain(connected);
        let posting = Posting::new(connected, outbox.clone());
        Ok((posting, other))
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Woken>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_was_written_arrives_whole_and_in_order_whoever_reads_late() -> io::Result<()> {
        runs(async {
            let outbox = Arc::<Outbox>::default();
            tokio::spawn(outbox.clone().run());
            let (mut posting, mut other) = pair(&outbox).await?;
            let mut all = Vec::new();
            let mut messages: Vec<Vec<u8>> = Vec::new();
            for number in 0..500_usize {
                // Every seventh is too long for the outbox.
                let length = if number % 7 == 0 { 3 * SHORT } else { 100 };
                messages.push(vec![u8::try_from(number % 251).unwrap_or(0); length]);
                all.extend_from_slice(messages.last().map_or(&[][..], Vec::as_slice));
            }
            let writing = tokio::spawn(async move {
                for message in messages {
                    posting.write_all(&message).await?;
                    posting.flush().await?;
                }
                posting.shutdown().await
            });
            for _ in 0..100 {
                yield_now().await;
            }
            assert!(!writing.is_finished(), "the buffers are not full");
            let mut arrived = Vec::new();
            other.read_to_end(&mut arrived).await?;
            assert!(arrived == all);
            writing.await?
        })
    }

    #[test]
    fn no_more_is_as_good_as_sent_than_there_is_room_for_until_something_comes() -> io::Result<()> {
        runs(async {
            let outbox = Arc::<Outbox>::default();
            let (mut posting, other) = pair(&outbox).await?;
            let (mut from, mut to) = other.into_split();
            tokio::spawn(async move { tokio::io::copy(&mut from, &mut tokio::io::sink()).await });
            let short = [0; CREDIT / 8];
            let waits =
                |posting: &Posting| posting.way.as_ref().is_some_and(|way| way.has_waiting());
            for _ in 0..8 {
                posting.write_all(&short).await?;
                assert!(waits(&posting));
            }
            posting.write_all(&short).await?;
            assert!(!waits(&posting));
            to.write_all(b"?").await?;
            posting.read_exact(&mut [0]).await?;
            posting.write_all(&short).await?;
            assert!(waits(&posting));
            Ok(())
        })
    }

    #[test]
    fn who_has_left_the_outbox_waits_until_there_is_room() -> io::Result<()> {
        runs(async {
            let outbox = Arc::<Outbox>::default();
            let (mut posting, mut other) = pair(&outbox).await?;
            posting.write_all(b"first").await?;
            posting.way().ok_or(io::ErrorKind::NotFound)?.leave();
            let cx = &mut Context::from_waker(std::task::Waker::noop());
            let mut written = b"first".len();
            while let Poll::Ready(taken) = Pin::new(&mut posting).poll_write(cx, &[0; 100]) {
                written += taken?;
                other.write_all(b"?").await?;
                posting.read_exact(&mut [0]).await?;
            }
            let mut arrived = vec![0; written];
            other.read_exact(&mut arrived).await?;
            assert!(arrived.starts_with(b"first\0"));
            Ok(())
        })
    }

    #[test]
    fn a_connection_that_is_dropped_has_sent_what_it_put_into_the_outbox() -> io::Result<()> {
        runs(async {
            let outbox = Arc::<Outbox>::default();
            let (mut posting, mut other) = pair(&outbox).await?;
            posting.write_all(b"good").await?;
            posting.write_all(b"bye").await?;
            drop(posting);
            let mut arrived = Vec::new();
            other.read_to_end(&mut arrived).await?;
            assert_eq!(arrived, b"goodbye");
            Ok(())
        })
    }

    #[test]
    fn who_was_told_that_it_is_sent_is_woken_when_it_is_not() -> io::Result<()> {
        runs(async {
            let outbox = Arc::<Outbox>::default();
            let (mut posting, mut other) = pair(&outbox).await?;
            let woken = Arc::<Woken>::default();
            let waker = woken.clone().into();
            let cx = &mut Context::from_waker(&waker);
            let short = [b's'; SHORT];
            let mut written = 0;
            loop {
                // Something comes from there, so one may think that all has arrived.
                other.write_all(b"?").await?;
                posting.read_exact(&mut [0]).await?;
                assert!(Pin::new(&mut posting).poll_write(cx, &short).is_ready());
                written += SHORT;
                assert!(Pin::new(&mut posting).poll_flush(cx).is_ready());
                outbox.send();
                let is_woken = woken.0.swap(false, Ordering::Relaxed);
                let has_rest = Pin::new(&mut posting).poll_flush(cx).is_pending();
                // It may have found room since.
                assert!(is_woken || !has_rest);
                if has_rest {
                    break;
                }
            }
            let arriving = tokio::spawn(async move {
                let mut arrived = vec![0; written];
                other.read_exact(&mut arrived).await.map(|_| arrived)
            });
            posting.flush().await?;
            assert!(arriving.await??.iter().all(|byte| *byte == b's'));
            Ok(())
        })
    }

    #[test]
    fn who_writes_to_somebody_who_has_gone_is_told() -> io::Result<()> {
        runs(async {
            let outbox = Arc::<Outbox>::default();
            tokio::spawn(outbox.clone().run());
            let (mut posting, other) = pair(&outbox).await?;
            drop(other);
            let written = async {
                loop {
                    posting.write_all(b"anybody?").await?;
                    posting.flush().await?;
                    yield_now().await;
                }
            };
            let told: io::Result<()> = written.await;
            assert!(told.is_err());
            Ok(())
        })
    }
}
