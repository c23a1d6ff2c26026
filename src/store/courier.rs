//! Takes the answers of a whole group of writes back to a thread that asked, and wakes it once for all of them.
//!
//! The writer could wake each waiting task by itself. But a thread that sleeps is woken for the first of them, puts the writer off
//! its core, answers one request, and sleeps again: two switches for each write, which cost more than the write's own share of
//! the commit. It knows nothing of what is answered.

use std::cell::RefCell;

use tokio::sync::mpsc;

use super::writer::Reply;

thread_local! {
    static HERE: RefCell<Option<Address>> = const { RefCell::new(None) };
}

/// How the group that somebody's write was in has ended; then the writes of it that one thread waits for.
pub(super) struct Answers {
    pub committed: std::result::Result<(), String>,
    pub replies: Vec<Reply>,
}

impl Answers {
    fn give(self) {
        for reply in self.replies {
            reply(self.committed.clone());
        }
    }
}

/// Where the answers to what a thread asks are to be sent.
pub(super) type Address = mpsc::UnboundedSender<Answers>;

/// The courier of the thread that asks, if it has one.
pub(super) fn here() -> Option<Address> {
    HERE.with_borrow(Clone::clone)
}

/// Gives the answers to whoever waits for them; on their own thread, if that is still there to take them.
pub(super) fn deliver(to: Option<&Address>, answers: Answers) {
    let left = match to {
        Some(address) => address.send(answers).err().map(|unsent| unsent.0),
        None => Some(answers),
    };
    left.into_iter().for_each(Answers::give);
}

/// Serves one thread, as long as its future runs there.
pub struct Courier(mpsc::UnboundedReceiver<Answers>);

impl Courier {
    /// From here on, what is asked on this thread is answered by this courier.
    pub fn enlist() -> Courier {
        let (address, answers) = mpsc::unbounded_channel();
        HERE.with_borrow_mut(|here| *here = Some(address));
        Courier(answers)
    }

    /// To be run on the thread that enlisted it, beside the tasks that ask.
    pub async fn run(mut self) {
        while let Some(answers) = self.0.recv().await {
            answers.give();
        }
    }
}
