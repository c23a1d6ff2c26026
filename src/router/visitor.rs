//! A visitor's connection: where it comes from, and a stream that does not wait for ever.

use std::any::Any;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::forward::Origin;
use super::idle::{Activity, Silence, Since};
use super::listener::Open;
use super::options::Options;
use crate::transport::{Connection, Stall};

/// How long, and for how many bytes, a visitor may go on sending a body that nobody reads.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 1024 * 1024;

/// Between two looks at what a visitor does who was told to go, at least.
const LOOK: Duration = Duration::from_millis(100);

/// Why nothing came of waiting.
pub(super) enum Lost {
    /// There is no time left.
    Cut,
    /// What was waited for has panicked.
    Panicked(Box<dyn Any + Send>),
}

/// What the requests of one connection have in common.
pub(super) struct Visitor {
    pub origin: Origin,
    /// The visitor stopped taking what was sent to it.
    pub stalled: AtomicBool,
    /// Some of a request was left unread, so closing at once would destroy the answer on its way.
    pub linger: AtomicBool,
    /// When bytes last came or went: by HTTP/1.1, once the router takes its leave.
    pub activity: Activity,
    /// When a request last began or ended, and how many are under way.
    requests: Activity,
    under_way: AtomicUsize,
    /// How many requests have come of which it is not known for whom they are.
    looked_after: AtomicUsize,
    /// The head of a request is on its way: noted once the router takes its leave.
    head: Since,
    /// The visitor has not made room for what there is for it.
    owed: AtomicBool,
    /// The visitor has said something, and who waits for that.
    heard: AtomicBool,
    word: Notify,
    /// The last request is one that may be answered for ever.
    pub endless: AtomicBool,
    pub is_http2: bool,
    /// The thread's, which knows whether it is about to end.
    pub open: Arc<Open>,
}

impl Visitor {
    pub(super) fn new(origin: Origin, is_http2: bool, open: Arc<Open>) -> Visitor {
        Visitor {
            origin,
            stalled: AtomicBool::new(false),
            linger: AtomicBool::new(false),
            activity: Activity::new(),
            requests: Activity::new(),
            under_way: AtomicUsize::new(0),
            looked_after: AtomicUsize::new(0),
            head: Since::new(),
            owed: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            word: Notify::new(),
            endless: AtomicBool::new(false),
            is_http2,
            open,
        }
    }

    /// Resolves when no request has been under way for so long.
    pub(super) async fn unused(&self, limit: Duration) {
        loop {
            self.requests.silence(limit).await;
            if self.under_way.load(Ordering::Relaxed) == 0 {
                return;
            }
            tokio::time::sleep(limit).await;
        }
    }

    /// Resolves when the connection can be closed without a loss, as far as anybody can tell: once the router lets nobody in any
    /// more. Who has only just come may still say what for.
    pub(super) async fn last_call(&self, options: &Options) {
        let word = self.word.notified();
        if !self.heard.load(Ordering::SeqCst) {
            let _ = timeout(options.first_word, word).await;
        } else if !self.is_http2 && !self.open.is_hurried() {
            tokio::select! {
                () = self.rest(options.last_call) => {}
                () = self.overdue(options.last_call) => {}
            }
        }
    }

    /// Resolves when a head that began so long ago has not come to its end. Whoever drips one never rests, and nothing of it was
    /// taken in.
    async fn overdue(&self, limit: Duration) {
        loop {
            let begun = self.head.get().filter(|_| self.asks_nothing());
            let due = begun.map_or(Instant::now() + LOOK, |begun| begun + limit);
            if begun.is_some() && Instant::now() >= due {
                return;
            }
            sleep_until(due).await;
        }
    }

    /// Resolves when there is nothing to be heard of the visitor any more, who was told to go, or of whom nobody knows what it wants:
    /// nothing that it has asked is under way, and nothing waits for it to be taken. By HTTP/2 it says itself when it goes.
    pub(super) async fn falls_silent(&self, options: &Options) {
        if self.is_http2 {
            pending().await
        }
        loop {
            sleep(options.first_word.max(LOOK)).await;
            if self.asks_nothing() && !self.owed.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// Nothing that was asked is under way.
    fn asks_nothing(&self) -> bool {
        let all = [&self.under_way, &self.looked_after];
        all.iter().all(|count| count.load(Ordering::Relaxed) == 0)
    }

    /// A request has come that may be for no app, until what this returns is dropped.
    pub(super) fn looked_after(self: &Arc<Visitor>) -> impl Drop + Send + use<> {
        struct Look(Arc<Visitor>);
        impl Drop for Look {
            fn drop(&mut self) {
                self.0.looked_after.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.looked_after.fetch_add(1, Ordering::Relaxed);
        self.head.end();
        Look(self.clone())
    }

    /// Bytes have come.
    fn came(&self) {
        self.stamp(&self.activity);
        self.hear();
        if self.open.leaving().is_some() && self.asks_nothing() {
            self.head.begin();
        }
    }

    /// Resolves when the connection has rested for so long, at the earliest since the router took its leave.
    ///
    /// A request that meets the end of its connection on its way is lost, and none but the harmless ones are sent again (RFC 9112,
    /// 9.3.1). HTTP/2 says which were not looked at; HTTP/1.1 knows no such word, only that an answer is the last one. Whoever asks
    /// often is told so before this begins, while others are still let in, and then it keeps nobody waiting: here, visitors who come
    /// wait for the next server. Who has not asked for so long will hardly do so in the very moment of the end.
    async fn rest(&self, limit: Duration) {
        let told = self.open.leaving();
        // The reader of a stream of events that ends comes again after a while, by another connection.
        while !self.endless.load(Ordering::Relaxed) {
            self.activity.silence_since(told, limit).await;
            if self.under_way.load(Ordering::Relaxed) == 0 {
                return;
            }
            tokio::time::sleep(limit / 4).await;
        }
    }

    /// Whether an answer is the last one of its connection, because the router takes its leave. By HTTP/2 that is told otherwise.
    pub(super) fn is_parting(&self) -> bool {
        !self.is_http2 && self.open.leaving().is_some()
    }

    /// A request has begun.
    pub(super) fn begun(&self) {
        self.under_way.fetch_add(1, Ordering::Relaxed);
        self.head.end();
        self.stamp(&self.requests);
    }

    /// A request has ended.
    pub(super) fn ended(&self) {
        self.stamp(&self.requests);
        // One that the router ends stays what it was: its reader is not waited for.
        if self.endless.load(Ordering::Relaxed) && !self.open.is_closing() {
            self.endless.store(false, Ordering::Relaxed);
        }
        self.under_way.fetch_sub(1, Ordering::Relaxed);
    }

    /// Nobody asks for the time of it but the connection by HTTP/2, whose requests come and go at once, and a router that takes its
    /// leave.
    fn stamp(&self, activity: &Activity) {
        if self.is_http2 || self.open.leaving().is_some() {
            activity.stamp();
        }
    }

    fn hear(&self) {
        if !self.heard.load(Ordering::Relaxed) {
            self.heard.store(true, Ordering::SeqCst);
            self.word.notify_waiters();
        }
    }

    /// What comes of waiting, unless the router's time is over first. A panic meanwhile is no reason to leave the visitor without an
    /// answer.
    pub(super) async fn unless_lost<F: Future>(&self, waiting: F) -> Result<F::Output, Lost> {
        let mut waiting = pin!(waiting);
        // By HTTP/1.1 a request is asked again with its connection, which is told; by HTTP/2 it has a task of its own.
        let mut cut = pin!(self.is_http2.then(|| self.open.cut()));
        poll_fn(|cx| {
            // What has panicked is not asked again, so it does not matter in which state it is left.
            match catch_unwind(AssertUnwindSafe(|| waiting.as_mut().poll(cx))) {
                Ok(Poll::Ready(output)) => return Poll::Ready(Ok(output)),
                Ok(Poll::Pending) => {}
                Err(panic) => return Poll::Ready(Err(Lost::Panicked(panic))),
            }
            let told = match cut.as_mut().as_pin_mut() {
                Some(cut) => cut.poll(cx).is_ready(),
                None => self.open.is_cut_off(),
            };
            match told {
                true => Poll::Ready(Err(Lost::Cut)),
                false => Poll::Pending,
            }
        })
        .await
    }
}

/// The socket, which fails when the visitor takes nothing for too long.
pub(super) struct VisitorStream {
    socket: Option<Connection>,
    visitor: Arc<Visitor>,
    silence: Silence,
    stall: Stall,
}

impl VisitorStream {
    pub(super) fn new(socket: Connection, visitor: Arc<Visitor>, idle: Duration) -> VisitorStream {
        VisitorStream {
            socket: Some(socket),
            visitor,
            silence: Silence::new(idle),
            stall: Stall::default(),
        }
    }

    fn socket(&mut self) -> io::Result<Pin<&mut Connection>> {
        match &mut self.socket {
            Some(socket) => Ok(Pin::new(socket)),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn watch_write(
        &mut self,
        cx: &mut Context<'_>,
        poll: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if poll.is_ready() {
            self.visitor.stamp(&self.visitor.activity);
        }
        self.watch(cx, poll)
    }

    /// A router that takes its leave does not wait as long for who takes nothing.
    fn is_given_up(&mut self, cx: &mut Context<'_>) -> bool {
        let leaving = self.visitor.open.leaving().is_some();
        let socket = self.socket.as_ref().filter(|_| leaving);
        socket.is_some_and(|socket| self.stall.poll(cx, socket).is_ready())
    }

    fn watch<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.visitor
            .owed
            .store(poll.is_pending(), Ordering::Relaxed);
        if poll.is_ready() {
            self.silence.broken();
            self.stall.is_over();
            return poll;
        }
        if self.silence.poll(cx, None).is_ready() || self.is_given_up(cx) {
            self.visitor.stalled.store(true, Ordering::Relaxed);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl AsyncRead for VisitorStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = self.socket()?.poll_read(cx, buffer);
        if poll.is_ready() {
            self.visitor.came();
        }
        poll
    }
}

impl AsyncWrite for VisitorStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = self.socket()?.poll_write(cx, data);
        self.watch_write(cx, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = self.socket()?.poll_write_vectored(cx, slices);
        self.watch_write(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = self.socket()?.poll_flush(cx);
        self.watch(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = self.socket()?.poll_shutdown(cx);
        self.watch(cx, poll)
    }
}

impl Drop for VisitorStream {
    fn drop(&mut self) {
        let Some(socket) = self.socket.take() else {
            return;
        };
        if self.visitor.linger.load(Ordering::Relaxed)
            && !self.visitor.stalled.load(Ordering::Relaxed)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(linger(socket));
        }
    }
}

/// Closes in two steps. The system answers unread bytes with a reset, which would take away the page that says what was wrong
/// before the visitor has read it.
pub(super) async fn linger(mut socket: Connection) {
    let reading = async {
        socket.shutdown().await?;
        let mut rest = socket.take(LINGER_BYTES);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
    };
    // Whatever comes of it, the connection ends now.
    let _ = tokio::time::timeout(LINGER, reading).await;
}
