//! What was written to a connection on which nothing is answered, until it may be taken for delivered.
//!
//! It may be once the machine at the other end has acknowledged it and the connection has lived on for a while: whoever was about
//! to hang up has done so by then. Pure decisions on moments and numbers. It must not know of connections, nor what a frame is.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// Between two looks at whether more was acknowledged.
const AGAIN: Duration = Duration::from_millis(50);

/// Frames that were written, the oldest first.
pub struct Unsure<T> {
    frames: VecDeque<Frame<T>>,
    /// How long a connection has to live on.
    settle: Duration,
    /// How long the other machine may take to acknowledge one byte more.
    patience: Duration,
    /// There is something that should have been acknowledged by now.
    stuck: Option<Stuck>,
}

struct Frame<T> {
    sent: T,
    /// No more than were written for it.
    bytes: usize,
    at: Instant,
    acknowledged: bool,
}

struct Stuck {
    bytes: usize,
    /// When it was first found to be as much.
    since: Instant,
    looked_at: Instant,
}

/// What is known of the oldest frames.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<T> {
    /// These are delivered. There may be none.
    Delivered(Vec<T>),
    /// For too long nothing more was acknowledged.
    Dead,
}

impl<T> Unsure<T> {
    pub fn new(settle: Duration, patience: Duration) -> Unsure<T> {
        Unsure {
            frames: VecDeque::new(),
            settle,
            patience,
            stuck: None,
        }
    }

    /// Something was written, in so many bytes at least.
    pub fn push(&mut self, sent: T, bytes: usize, now: Instant) {
        self.frames.push_back(Frame {
            sent,
            bytes,
            at: now,
            acknowledged: false,
        });
    }

    pub fn oldest(&self) -> Option<&T> {
        self.frames.front().map(|frame| &frame.sent)
    }

    /// Nothing more is to be written until it is not: as long as something is, there is always some of it that nobody has acknowledged.
    pub fn is_stuck(&self) -> bool {
        self.stuck.is_some()
    }

    /// When to look.
    pub fn due(&self) -> Option<Instant> {
        let oldest = self.frames.front()?;
        let stuck = self.stuck.as_ref();
        Some(stuck.map_or(oldest.at + self.settle, |stuck| stuck.looked_at + AGAIN))
    }

    /// Looks at the frames once the oldest is due, when so many bytes of all of them are not acknowledged: they are the last ones.
    pub fn look(&mut self, unacknowledged: usize, now: Instant) -> Verdict<T> {
        let mut after = 0;
        for frame in self.frames.iter_mut().rev() {
            frame.acknowledged |= unacknowledged <= after;
            after += frame.bytes;
        }
        let is_open = |frame: &Frame<T>| !frame.acknowledged;
        if self.frames.front().is_some_and(is_open) {
            return self.wait(unacknowledged, now);
        }
        self.stuck = None;
        let settle = self.settle;
        let settled = |frame: &&Frame<T>| frame.acknowledged && now - frame.at >= settle;
        let count = self.frames.iter().take_while(settled).count();
        let delivered = self.frames.drain(..count).map(|frame| frame.sent);
        Verdict::Delivered(delivered.collect())
    }

    fn wait(&mut self, bytes: usize, now: Instant) -> Verdict<T> {
        let before = self.stuck.as_ref().filter(|stuck| stuck.bytes == bytes);
        let since = before.map_or(now, |stuck| stuck.since);
        if now - since >= self.patience {
            return Verdict::Dead;
        }
        self.stuck = Some(Stuck {
            bytes,
            since,
            looked_at: now,
        });
        Verdict::Delivered(Vec::new())
    }

    /// Forgets all of it, which is to be sent again, and gives back the oldest.
    pub fn give_up(&mut self) -> Option<T> {
        self.stuck = None;
        let oldest = self.frames.drain(..).next();
        oldest.map(|frame| frame.sent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(2);
    const PATIENCE: Duration = Duration::from_secs(5);
    /// Of each frame.
    const BYTES: usize = 100;

    /// Frames that were written one second after the other, and when the first was.
    fn written(frames: &[&'static str]) -> (Unsure<&'static str>, Instant) {
        let (mut unsure, begun) = (Unsure::new(SETTLE, PATIENCE), Instant::now());
        for (second, frame) in (0..).zip(frames) {
            unsure.push(*frame, BYTES, begun + Duration::from_secs(second));
        }
        (unsure, begun)
    }

    #[test]
    fn what_is_acknowledged_is_delivered_once_it_has_settled() {
        let (mut unsure, begun) = written(&["one", "two"]);
        assert_eq!(unsure.due(), Some(begun + SETTLE));
        let first = unsure.look(0, begun + SETTLE);
        assert_eq!(first, Verdict::Delivered(vec!["one"]));
        // It was acknowledged when the first was looked at, whatever was written since.
        let due = begun + SETTLE + Duration::from_secs(1);
        assert_eq!(unsure.due(), Some(due));
        assert_eq!(unsure.look(99, due), Verdict::Delivered(vec!["two"]));
        assert_eq!((unsure.due(), unsure.is_stuck()), (None, false));
    }

    #[test]
    fn what_nobody_acknowledges_is_never_delivered_and_given_up() {
        let (mut unsure, begun) = written(&["one", "two"]);
        let mut now = begun + SETTLE;
        while now < begun + SETTLE + PATIENCE {
            assert_eq!(unsure.look(2 * BYTES, now), Verdict::Delivered(vec![]));
            assert!(unsure.is_stuck());
            assert_eq!(unsure.due(), Some(now + AGAIN));
            now += AGAIN;
        }
        assert_eq!(unsure.look(2 * BYTES, now), Verdict::Dead);
        assert_eq!(unsure.give_up(), Some("one"));
        assert_eq!((unsure.oldest(), unsure.is_stuck()), (None, false));
    }

    /// Else whoever takes some of it and then rests would get the same again, for ever.
    #[test]
    fn what_is_acknowledged_in_part_is_delivered_in_part() {
        let (mut unsure, begun) = written(&["one", "two", "three"]);
        let now = begun + Duration::from_secs(2) + SETTLE;
        let left = 2 * BYTES;
        assert_eq!(
            unsure.look(left + 1, now - AGAIN),
            Verdict::Delivered(vec![])
        );
        assert_eq!(unsure.look(left, now), Verdict::Delivered(vec!["one"]));
        assert_eq!(unsure.look(left, now), Verdict::Delivered(vec![]));
        assert_eq!(unsure.look(left, now + PATIENCE), Verdict::Dead);
        assert_eq!(unsure.give_up(), Some("two"));
    }

    #[test]
    fn who_takes_little_by_little_is_waited_for() {
        let (mut unsure, mut now) = written(&["one"]);
        for left in (1..10).rev() {
            now += PATIENCE - AGAIN;
            assert_eq!(unsure.look(left, now), Verdict::Delivered(vec![]));
        }
        assert_eq!(unsure.look(0, now), Verdict::Delivered(vec!["one"]));
        assert!(!unsure.is_stuck());
    }
}
