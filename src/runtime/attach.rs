//! The streams of a dyno that somebody sits in front of: what it prints, what is typed, the size of its terminal, signals.
//!
//! It must not know who that is, nor how the bytes get there.

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::Ended;
use crate::shim::Size;
use crate::shim::client::{Speaking, ToShim};

/// Chunks of output that wait for whoever is attached. The dyno waits when there are more.
const CHUNKS: usize = 4;
/// Input on its way into a dyno at once, in bytes. Whoever sends more waits.
const WINDOW: u64 = 64 * 1024;
/// Of those, sent at once.
const PIECE: usize = 16 * 1024;

/// Somebody's hold on a dyno that was launched with streams of its own. There is one a dyno.
pub struct Attached {
    /// What the dyno prints, from its first byte on. Ends when the dyno has ended and everything was read. When this is dropped,
    /// the dyno goes on, and what it prints goes nowhere.
    pub output: mpsc::Receiver<Bytes>,
    pub controls: Controls,
}

/// What can be done to a dyno from outside. Cheap to clone.
#[derive(Clone)]
pub struct Controls {
    speaking: Speaking,
    /// Bytes of input: sent, and taken by the dyno.
    sent: watch::Sender<u64>,
    taken: watch::Receiver<u64>,
    ended: watch::Receiver<Option<Ended>>,
}

/// A signal for every process of a dyno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Whoever sat in front of it has gone.
    Hangup,
    /// Ctrl-C, for a dyno without a terminal; a terminal makes its own of the character.
    Interrupt,
    Terminate,
    Quit,
}

impl Signal {
    fn number(self) -> i32 {
        let signal = match self {
            Signal::Hangup => rustix::process::Signal::HUP,
            Signal::Interrupt => rustix::process::Signal::INT,
            Signal::Terminate => rustix::process::Signal::TERM,
            Signal::Quit => rustix::process::Signal::QUIT,
        };
        signal.as_raw()
    }
}

impl Controls {
    /// Gives the dyno input. Resolves when it may be given more, at once as long as it reads: what it does not read is not piled
    /// up. What an ended dyno is given goes nowhere.
    pub async fn write(&self, bytes: &[u8]) {
        for piece in bytes.chunks(PIECE) {
            self.write_piece(piece).await;
        }
    }

    async fn write_piece(&self, bytes: &[u8]) {
        let mut sent = 0;
        self.sent.send_modify(|all| {
            *all += bytes.len() as u64;
            sent = *all;
        });
        self.speaking.say(&ToShim::Input(bytes.to_vec()));
        let mut taken = self.taken.clone();
        let enough = taken.wait_for(|taken| sent.saturating_sub(*taken) <= WINDOW);
        let mut ended = self.ended.clone();
        tokio::select! {
            _ = enough => {}
            _ = ended.wait_for(Option::is_some) => {}
        }
    }

    /// Nothing more is typed: the end of standard input, or Ctrl-D at a terminal.
    pub fn end_input(&self) {
        self.speaking.say(&ToShim::InputEnd);
    }

    /// Gives the terminal another size. Nothing for a dyno without one.
    pub fn resize(&self, size: Size) {
        self.speaking.say(&ToShim::Resize(size));
    }

    pub fn signal(&self, signal: Signal) {
        self.speaking.say(&ToShim::Signal(signal.number()));
    }

    /// Resolves when nothing of the dyno is left; its status, if anybody knows it.
    pub async fn ended(&self) -> Option<i32> {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(Option::is_some).await.ok()?;
        ended.and_then(|ended| ended.status)
    }
}

/// The runtime's side of an [`Attached`].
pub struct Ends {
    pub output: mpsc::Sender<Bytes>,
    pub taken: watch::Sender<u64>,
}

/// Both sides, for a dyno that this can be said to.
pub fn pair(speaking: Speaking, ended: watch::Receiver<Option<Ended>>) -> (Attached, Ends) {
    let (output, receiver) = mpsc::channel(CHUNKS);
    let (taken, taken_receiver) = watch::channel(0);
    let controls = Controls {
        speaking,
        sent: watch::Sender::new(0),
        taken: taken_receiver,
        ended,
    };
    let attached = Attached {
        output: receiver,
        controls,
    };
    (attached, Ends { output, taken })
}
