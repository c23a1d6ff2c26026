//! A visitor's connection: where it comes from, what its requests have in common, and when it is waited for no longer.
//!
//! It must not know how bytes come and go (see `stream`).

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::forward::Origin;
use super::idle::{Activity, SharedAlarm, Since};
use super::listener::Open;
use super::options::Options;
use super::outbox::Way;
use crate::transport::LONGEST_STALL;

/// How long a visitor by HTTP/2 who is told to go may take to do so.
pub(super) const FAREWELL: Duration = Duration::from_secs(2);

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
    /// For whatever is waited for by HTTP/1.1: the head of a request, or that of an answer.
    pub alarm: SharedAlarm,
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
    pub owed: AtomicBool,
    /// Hardly anything is on the line, or the visitor's machine takes none of it, so it is not the line that is slow: known by HTTP/2, once
    /// the router takes its leave.
    pub line_rests: AtomicBool,
    /// It was waited for in vain to make room for an answer, which was given up.
    has_left: AtomicBool,
    /// The visitor has said something, and who waits for that.
    heard: AtomicBool,
    word: Notify,
    /// The last request is one that may be answered for ever.
    pub endless: AtomicBool,
    pub is_http2: bool,
    /// The thread's, which knows whether it is about to end.
    pub open: Arc<Open>,
    /// How what is short is sent to it.
    pub way: Option<Arc<Way>>,
}

impl Visitor {
    pub(super) fn new(
        origin: Origin,
        is_http2: bool,
        open: Arc<Open>,
        way: Option<Arc<Way>>,
    ) -> Visitor {
        Visitor {
            origin,
            stalled: AtomicBool::new(false),
            linger: AtomicBool::new(false),
            alarm: SharedAlarm::default(),
            activity: Activity::new(),
            requests: Activity::new(),
            under_way: AtomicUsize::new(0),
            looked_after: AtomicUsize::new(0),
            head: Since::new(),
            owed: AtomicBool::new(false),
            line_rests: AtomicBool::new(false),
            has_left: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            word: Notify::new(),
            endless: AtomicBool::new(false),
            is_http2,
            open,
            way,
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
    /// nothing that it has asked is under way, and nothing waits for it to be taken.
    pub(super) async fn falls_silent(&self, options: &Options) {
        let patience = match self.is_http2 {
            true => FAREWELL,
            false => options.first_word.max(LOOK),
        };
        let told = Instant::now();
        loop {
            sleep(patience).await;
            if self.asks_nothing() && !self.is_owed(told) {
                return;
            }
        }
    }

    /// Something may be on its way to it, or to the router from whoever was told to go at that moment.
    fn is_owed(&self, told: Instant) -> bool {
        if !self.is_http2 {
            return self.owed.load(Ordering::Relaxed);
        }
        // It says itself when it goes, unless it sleeps, or has nothing in mind but to say that it is there. What was given up never
        // comes to its end on the connection.
        let is_heard_of = told.elapsed() < LONGEST_STALL && !self.activity.is_silent(FAREWELL);
        // The end of an answer is known before its last piece is on its way.
        let has_just_ended = !self.requests.is_silent(LOOK);
        is_heard_of && !self.has_left.load(Ordering::Relaxed)
            || has_just_ended
            || !self.line_rests.load(Ordering::Relaxed)
    }

    /// Resolves when nothing of an answer by HTTP/2 has moved for so long that a router which takes its leave waits for it no longer: the
    /// visitor has made no room for it, and that is not because the line is slow.
    pub(super) async fn leaves_it(&self, moved: &Activity) {
        self.open.left().await;
        let begun = Instant::now();
        loop {
            moved.silence_since(Some(begun), LONGEST_STALL).await;
            if self.line_rests.load(Ordering::Relaxed) {
                break;
            }
            sleep(LOOK).await;
        }
        self.has_left.store(true, Ordering::Relaxed);
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
    pub(super) fn came(&self) {
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
    pub(super) fn stamp(&self, activity: &Activity) {
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
