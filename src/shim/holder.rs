//! The shim itself: one loop around one `poll`, from the start of the dyno to the release.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::signal::Signal as Caught;
use nix::sys::signalfd::SignalFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpid};

use super::buffer::Buffer;
use super::child::Child;
use super::connection::Connection;
use super::ending::Ending;
use super::input::Input;
use super::wire::{FromShim, ToShim};
use super::{Hello, KEPT, Spec, terminal};
use crate::error::Result;

/// Read of the dyno's output at once, in bytes.
const CHUNK: usize = 32 * 1024;
/// Output that a server has and has not acknowledged yet, in bytes. With more than that the dyno waits.
const WINDOW: usize = 256 * 1024;
/// How long the output of an ended dyno is listened to. Everybody who could write is gone by then.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// From SIGTERM to SIGKILL when it is the shim that is told to end, as by a machine that shuts down.
const OWN_GRACE: Duration = Duration::from_secs(30);
/// How long a shim that was told to end waits for a server to take how its dyno ended. A machine that shuts down waits for it.
const LINGER: Duration = Duration::from_secs(2);

/// Holds one dyno.
pub struct Holder {
    listener: UnixListener,
    signals: SignalFd,
    server: Option<Connection>,
    note: String,
    tied: bool,
    socket: PathBuf,
    pid: i32,
    started: Instant,
    /// None when no more can come.
    output: Option<OwnedFd>,
    input: Input,
    is_terminal: bool,
    buffer: Buffer,
    ending: Ending,
    /// When nothing of the dyno is left, its output is listened to until then.
    last_words: Option<Instant>,
    /// It was told to end, with its dyno.
    is_dismissed: bool,
    /// A shim that was told to end waits until then for a server, once its dyno has ended.
    leave: Option<Instant>,
    /// The server that is connected knows of the exit.
    exit_is_told: bool,
    taken_told: u64,
    /// The shim's work is done.
    over: bool,
}

impl Holder {
    pub fn new(
        listener: UnixListener,
        signals: SignalFd,
        spec: Spec,
        child: Child,
        socket: PathBuf,
    ) -> Result<Holder> {
        rustix::io::ioctl_fionbio(&child.output, true)?;
        Ok(Holder {
            listener,
            signals,
            server: None,
            note: spec.note,
            tied: spec.tied,
            socket,
            pid: child.pid.as_raw_nonzero().get(),
            started: Instant::now(),
            output: Some(child.output),
            input: Input::new(child.input, child.is_terminal)?,
            is_terminal: child.is_terminal,
            buffer: Buffer::default(),
            ending: Ending::new(child.pid, child.passes_signals_on),
            last_words: None,
            is_dismissed: false,
            leave: None,
            exit_is_told: false,
            taken_told: 0,
            over: false,
        })
    }

    /// Holds the dyno until a server has taken all there was to take.
    pub fn hold(&mut self) -> Result<()> {
        while !self.over {
            let ready = self.wait()?;
            if ready.signals {
                self.take_signals();
            }
            self.ending.continue_at(Instant::now());
            self.ending.reap();
            if ready.input {
                self.input.write();
            }
            if ready.output {
                self.read_output();
            }
            if ready.server {
                self.hear();
            }
            if ready.caller {
                self.accept();
            }
            self.note_end();
            self.tell();
            self.untie();
            self.take_leave();
        }
        // Nobody else may find it.
        let _ = std::fs::remove_file(&self.socket);
        Ok(())
    }

    /// Waits until something can be done.
    fn wait(&self) -> Result<Ready> {
        let mut set = vec![
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.listener, PollFlags::IN),
        ];
        let server = add(&mut set, self.server.as_ref().map(Connection::wanted));
        let output = self.readable_output();
        let output = add(&mut set, output.map(|output| (output, PollFlags::IN)));
        let input = self.input.blocked();
        let input = add(&mut set, input.map(|input| (input, PollFlags::OUT)));
        let timeout = self.next_moment().map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            // Rounded up, so that it is not asked again and again in the last millisecond.
            Timespec::try_from(left + Duration::from_millis(1)).unwrap_or_default()
        });
        match poll(&mut set, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(cause) => return Err(cause.into()),
        }
        let ready = |at: Option<usize>| at.is_some_and(|at| !set[at].revents().is_empty());
        Ok(Ready {
            signals: ready(Some(0)),
            caller: ready(Some(1)),
            server: ready(server),
            output: ready(output),
            input: ready(input),
        })
    }

    fn next_moment(&self) -> Option<Instant> {
        let ending = self.ending.next_moment();
        let moments = ending.into_iter().chain(self.last_words);
        moments.chain(self.leave).min()
    }

    /// The output, unless the dyno has to wait until a server has taken what it printed before.
    fn readable_output(&self) -> Option<BorrowedFd<'_>> {
        let waits = self.server.is_some() && self.buffer.size() >= WINDOW;
        self.output
            .as_ref()
            .filter(|_| !waits)
            .map(|output| output.as_fd())
    }

    fn take_signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if i32::try_from(signal.ssi_signo) != Ok(Caught::SIGCHLD as i32) {
                self.is_dismissed = true;
                self.ending.stop(OWN_GRACE);
            }
        }
    }

    fn read_output(&mut self) {
        let Some(output) = &self.output else {
            return;
        };
        let mut chunk = [0; CHUNK];
        match rustix::io::read(output, &mut chunk[..]) {
            Ok(count) if count > 0 => self.buffer.push(&chunk[..count], now()),
            Err(Errno::AGAIN | Errno::INTR) => {}
            // A terminal that nobody has open any more says that it failed.
            Ok(_) | Err(_) => self.output = None,
        }
        if self.server.is_none() {
            self.buffer.trim(KEPT);
        }
    }

    /// Begins with the server that has launched it. One that has given up knows of no dyno, and nobody will ask for this one.
    pub fn begin(&mut self, launcher: Connection) {
        self.meet(launcher);
        self.tied |= self.server.is_none();
        // Else nothing would happen that could be waited for.
        self.untie();
    }

    /// Begins with a server that is there from now on.
    fn meet(&mut self, mut connection: Connection) {
        let hello = Hello {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            shim: getpid().as_raw_nonzero().get(),
            pid: self.pid,
            age_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            ended: self.ending.has_begun(),
            note: self.note.clone(),
        };
        self.buffer.rewind();
        self.exit_is_told = false;
        self.taken_told = 0;
        self.input.recount();
        let here = connection.say(&FromShim::Hello(hello));
        self.server = here.then_some(connection);
    }

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else {
            return;
        };
        if let Some(connection) = own(stream) {
            self.meet(connection);
        }
    }

    /// Takes in what the server says.
    fn hear(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let mut stays = server.receive();
        // What it said before it went counts.
        loop {
            match server.next() {
                Ok(Some(frame)) => stays &= self.obey(frame),
                Ok(None) => break,
                Err(_) => {
                    stays = false;
                    break;
                }
            }
        }
        if stays && server.flush() {
            self.server = Some(server);
        } else {
            self.buffer.trim(KEPT);
        }
    }

    /// False when the server is not one of ours.
    fn obey(&mut self, frame: ToShim) -> bool {
        match frame {
            ToShim::Launch(_) => return false,
            ToShim::Tie(tied) => self.tied = tied,
            ToShim::Ack(offset) => self.buffer.acknowledge(offset),
            ToShim::Stop(grace) => self.ending.stop(grace),
            ToShim::Signal(number) => {
                if let Some(signal) = Signal::from_named_raw(number) {
                    self.ending.signal(signal);
                }
            }
            ToShim::Input(bytes) => return self.input.push(&bytes),
            ToShim::InputEnd => self.input.end(),
            ToShim::Resize(size) => {
                if let Some(output) = self.output.as_ref().filter(|_| self.is_terminal) {
                    // It may have been closed just now.
                    let _ = terminal::resize(output, size);
                }
            }
            ToShim::Release => self.over = self.ending.outcome().is_some(),
        }
        true
    }

    /// Notes that nothing of the dyno is left, and after that, that nothing more can be printed.
    fn note_end(&mut self) {
        if self.ending.outcome().is_none() {
            return;
        }
        self.input.close();
        let now = Instant::now();
        let until = *self.last_words.get_or_insert(now + LAST_WORDS);
        if until <= now {
            self.output = None;
        }
        // While the server has to take what came before, nothing is listened to.
        if self.readable_output().is_none() {
            self.last_words = None;
        }
    }

    /// Says what there is to say, as far as the server takes it.
    fn tell(&mut self) {
        let Some(mut server) = self.server.take() else {
            return;
        };
        let mut here = server.flush();
        while here && server.is_clear() {
            match self.next_news() {
                Some(frame) => here = server.say(&frame),
                None => break,
            }
        }
        if here {
            self.server = Some(server);
        }
    }

    fn next_news(&mut self) -> Option<FromShim> {
        if self.taken_told < self.input.taken() {
            self.taken_told = self.input.taken();
            return Some(FromShim::Taken(self.taken_told));
        }
        if let Some(dropped) = self.buffer.take_dropped() {
            return Some(FromShim::Dropped {
                until: dropped.until,
                lines: dropped.lines,
                since: dropped.since,
            });
        }
        if let Some(chunk) = self.buffer.take_unsent(CHUNK) {
            return Some(FromShim::Output {
                offset: chunk.offset,
                time: chunk.time,
                bytes: chunk.bytes,
            });
        }
        let (status, killed) = self.ending.outcome()?;
        if self.output.is_some() || self.exit_is_told {
            return None;
        }
        self.exit_is_told = true;
        Some(FromShim::Exited { status, killed })
    }

    /// Goes, if it was told to and nobody comes for how its dyno ended. The next server starts the dyno again, as after a reboot.
    fn take_leave(&mut self) {
        let waits = self.is_dismissed && self.server.is_none() && self.ending.outcome().is_some();
        let now = Instant::now();
        self.leave = waits.then(|| self.leave.unwrap_or(now + LINGER));
        self.over |= self.leave.is_some_and(|at| at <= now);
    }

    /// Ends what must not outlive its server, and then itself: nobody will ask for the status.
    fn untie(&mut self) {
        if self.tied && self.server.is_none() {
            self.ending.stop(Duration::ZERO);
            self.over |= self.ending.outcome().is_some();
        }
    }
}

/// What `poll` has found.
struct Ready {
    signals: bool,
    caller: bool,
    server: bool,
    output: bool,
    input: bool,
}

/// Adds what is to be waited for, if there is anything, and says where it is.
fn add<'a>(
    set: &mut Vec<PollFd<'a>>,
    wanted: Option<(BorrowedFd<'a>, PollFlags)>,
) -> Option<usize> {
    let (descriptor, flags) = wanted?;
    set.push(PollFd::from_borrowed_fd(descriptor, flags));
    Some(set.len() - 1)
}

/// The connection of a caller who runs as this user. Anybody else is turned away.
fn own(stream: UnixStream) -> Option<Connection> {
    let connection = Connection::new(stream).ok()?;
    connection.is_of_own_user().then_some(connection)
}

/// In microseconds since 1970.
fn now() -> i64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_micros()).ok())
        .unwrap_or(0)
}
