//! The output of builds and release commands: what they print, kept for ever and replayed to whoever asks, as it comes or long after.
//!
//! Each output is one append-only file, named by the id of the deed that made it. A reader gets it from the start whenever it
//! connects, then follows it, and is woken by each write. An output is over when two things are true: whoever reads says that
//! the deed has ended, which only the deed's row knows, and nobody in this process is writing any more, since the last lines
//! are written after the row. So a reader may come before the first line, and a deed that a restart cut off goes on in the same
//! file under the same readers.
//!
//! It must not know what a build is, nor HTTP. Nothing is synced: a killed server loses nothing that was written, and a power
//! cut may take the last seconds of it.

mod mask;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::future::Future;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{Stream, try_unfold};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::watch;

use crate::error::Result;
use crate::name::Id;

pub use mask::Mask;

/// What a reader gets when nothing was printed for a while. Heroku's clients drop it.
pub const HEARTBEAT: &[u8] = b"\0";

/// Bytes that a reader is given at once at most.
const CHUNK: usize = 64 * 1024;

/// Why a reader gets no more than what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The deed has ended, or is about to: what those who write still have to say is waited for.
    Deed,
    /// The deed goes on, and whoever wants the rest asks again.
    Reading,
}

/// All outputs. Cheap to clone; clones are the same outputs, with settings of their own.
#[derive(Clone)]
pub struct Outputs {
    /// How long a reader hears nothing before it gets a [`HEARTBEAT`]. Routers between it and us cut silent connections.
    pub heartbeat: Duration,
    /// Bytes kept of one output as they come. A line then says so, and of what comes after only the end is kept.
    pub max_bytes: u64,
    /// Bytes of that end. It is written when the output's writer is done, so that what is there never changes its place.
    pub tail_bytes: usize,
    dir: Arc<Path>,
    live: Arc<Mutex<HashMap<Id, watch::Sender<Live>>>>,
}

/// What readers wait for.
#[derive(Default)]
struct Live {
    writers: usize,
}

impl Outputs {
    /// Opens the outputs in `dir`, which is made if it is not there, readable by this user alone.
    pub fn open(dir: &Path) -> Result<Outputs> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(Outputs {
            heartbeat: Duration::from_secs(15),
            max_bytes: 16 << 20,
            tail_bytes: 1 << 20,
            dir: dir.into(),
            live: Arc::default(),
        })
    }

    /// Writes to an output, after whatever an earlier writer left in it. Readers follow it until it is dropped.
    pub fn writer(&self, id: Id) -> Result<Writer> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(self.path(id))?;
        let length = file.metadata()?.len();
        let live = self.live(id, |sender| {
            sender.send_modify(|live| live.writers += 1);
            sender.clone()
        });
        Ok(Writer {
            kept: Mutex::new(Kept {
                file,
                length,
                max_bytes: self.max_bytes,
                tail: VecDeque::new(),
                tail_bytes: self.tail_bytes,
                left_out: 0,
                cut_within_line: false,
                failed: false,
                mask: Mask::default(),
            }),
            live,
        })
    }

    /// The output from its start. After what is there comes what is written later, at once, and [`HEARTBEAT`]s while there is
    /// nothing; the end comes when `ended` has, everything was read and no [`Writer`] is left. `ended` resolves when the deed's
    /// row says so or is gone, and may have done so long ago.
    pub fn read(
        &self,
        id: Id,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        self.read_from(id, 0, async {
            ended.await;
            Over::Deed
        })
    }

    /// The same, from an offset in bytes on, and with why it is over.
    pub fn read_from(
        &self,
        id: Id,
        from: u64,
        ended: impl Future<Output = Over> + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes>> + Send + 'static {
        let reader = Reader {
            path: self.path(id),
            from,
            file: None,
            live: self.live(id, watch::Sender::subscribe),
            heartbeat: self.heartbeat,
            ended: Box::pin(ended),
            over: None,
        };
        try_unfold(reader, |mut reader| async move {
            let chunk = reader.next().await?;
            Ok(chunk.map(|chunk| (chunk, reader)))
        })
    }

    /// How many bytes an output has that nobody in this process writes; `None` while somebody does. Whether its deed has ended only
    /// the deed's row knows, and is to be asked first.
    pub fn length(&self, id: Id) -> Result<Option<u64>> {
        let all = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&id).is_some_and(|live| live.borrow().writers > 0) {
            return Ok(None);
        }
        match fs::metadata(self.path(id)) {
            Ok(file) => Ok(Some(file.len())),
            Err(cause) if cause.kind() == ErrorKind::NotFound => Ok(Some(0)),
            Err(cause) => Err(cause.into()),
        }
    }

    /// Deletes an output, if there is one. Who is reading it may read on.
    pub fn remove(&self, id: Id) -> Result<()> {
        match fs::remove_file(self.path(id)) {
            Err(cause) if cause.kind() != ErrorKind::NotFound => Err(cause.into()),
            _ => Ok(()),
        }
    }

    /// The outputs that have files here. Some may be of what was deleted long after it had ended.
    pub fn stored(&self) -> Result<Vec<Id>> {
        let mut stored = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".log"));
            stored.extend(id.and_then(Id::parse));
        }
        stored.sort_unstable();
        Ok(stored)
    }

    fn path(&self, id: Id) -> PathBuf {
        self.dir.join(format!("{id}.log"))
    }

    /// The channel of one output; those that nobody writes or waits for are let go on the way.
    fn live<T>(&self, id: Id, take: impl FnOnce(&watch::Sender<Live>) -> T) -> T {
        let mut all = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|known, sender| {
            *known == id || sender.receiver_count() > 0 || sender.borrow().writers > 0
        });
        take(all.entry(id).or_default())
    }
}

/// Appends to an output, in Heroku's manner. A failing disk stops no build: what cannot be kept is lost, and the server's log
/// says so.
pub struct Writer {
    kept: Mutex<Kept>,
    live: watch::Sender<Live>,
}

struct Kept {
    file: File,
    length: u64,
    max_bytes: u64,
    /// The end of what did not fit.
    tail: VecDeque<u8>,
    tail_bytes: usize,
    /// Bytes between what was kept and the tail.
    left_out: u64,
    /// Whether the tail begins within a line.
    cut_within_line: bool,
    failed: bool,
    mask: Mask,
}

impl Writer {
    /// Hides what these config vars hold in all that is written from now on.
    pub fn hide(&self, vars: &BTreeMap<String, String>) {
        let mut kept = self.kept();
        let held = kept.mask.finish();
        kept.append(&held);
        kept.mask = Mask::new(vars);
    }

    /// Appends raw text, as a buildpack prints it. NUL bytes are left out, since they would pass for heartbeats.
    pub fn write(&self, text: &[u8]) {
        let text: Vec<u8> = text.iter().copied().filter(|byte| *byte != 0).collect();
        let mut kept = self.kept();
        let shown = kept.mask.take(&text);
        kept.append(&shown);
        drop(kept);
        self.wake();
    }

    /// `-----> text`: a step begins.
    pub fn step(&self, text: &str) {
        self.write(format!("-----> {text}\n").as_bytes());
    }

    /// `       text`: more about the step.
    pub fn detail(&self, text: &str) {
        self.write(format!("       {text}\n").as_bytes());
    }

    /// ` !     text`, for each line of it: what a person should look at.
    pub fn warning(&self, text: &str) {
        self.write(marked(text).as_bytes());
    }

    /// As [`Writer::warning`], and kept even when the output was cut, after the end of what was printed. For the one text that says how it all ended.
    pub fn last(&self, text: &str) {
        let mut kept = self.kept();
        let held = kept.mask.finish();
        kept.append(&held);
        kept.store_tail();
        let mut shown = kept.mask.take(marked(text).as_bytes());
        shown.extend(kept.mask.finish());
        kept.store(&shown);
        drop(kept);
        self.wake();
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.live.send_modify(|_| {});
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let mut kept = self.kept();
        let held = kept.mask.finish();
        kept.append(&held);
        kept.store_tail();
        drop(kept);
        self.live
            .send_modify(|live| live.writers = live.writers.saturating_sub(1));
    }
}

impl Kept {
    /// Within the limit. What is cut makes the file longer than the limit, so that a later writer knows it was cut.
    fn append(&mut self, text: &[u8]) {
        let Some(room) = self.max_bytes.checked_sub(self.length) else {
            return self.put_off(text);
        };
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        if text.len() <= room {
            return self.store(text);
        }
        self.store(&text[..room]);
        let notice = format!(
            "\n !     The output is longer than {} bytes. Of what comes now the last {} are kept, and shown when it is over.\n",
            self.max_bytes, self.tail_bytes
        );
        self.store(notice.as_bytes());
        self.put_off(&text[room..]);
    }

    fn put_off(&mut self, text: &[u8]) {
        self.tail.extend(text);
        let over = self.tail.len().saturating_sub(self.tail_bytes);
        if let Some(last) = self.tail.drain(..over).next_back() {
            self.cut_within_line = last != b'\n';
        }
        self.left_out += over as u64;
    }

    /// Writes what was put off, from the beginning of a line on.
    fn store_tail(&mut self) {
        let mut tail = Vec::from(std::mem::take(&mut self.tail));
        if self.left_out > 0 {
            let newline = tail.iter().position(|byte| *byte == b'\n');
            // A line that is most of it is better than nothing.
            let newline = newline.filter(|at| self.cut_within_line && *at < tail.len() / 2);
            let begun = tail.drain(..newline.map_or(0, |at| at + 1)).count();
            let left_out = std::mem::take(&mut self.left_out) + begun as u64;
            self.store(format!(" !     {left_out} bytes are left out here.\n").as_bytes());
        }
        if tail.last().is_some_and(|byte| *byte != b'\n') {
            tail.push(b'\n');
        }
        self.store(&tail);
    }

    fn store(&mut self, text: &[u8]) {
        match self.file.write_all(text) {
            Ok(()) => self.length += text.len() as u64,
            Err(cause) if !self.failed => {
                self.failed = true;
                tracing::warn!(%cause, "some output of a build or a release could not be kept");
            }
            Err(_) => {}
        }
    }
}

/// ` !     ` before each line.
fn marked(text: &str) -> String {
    text.lines()
        .map(|line| format!(" !     {line}\n"))
        .collect()
}

struct Reader {
    path: PathBuf,
    /// Where in the file it begins.
    from: u64,
    /// `None` until there is one.
    file: Option<tokio::fs::File>,
    live: watch::Receiver<Live>,
    heartbeat: Duration,
    ended: Pin<Box<dyn Future<Output = Over> + Send>>,
    /// What `ended` has resolved to; it may not be polled again then.
    over: Option<Over>,
}

impl Reader {
    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            // Looked at before the file is read, so that nothing which was written until then is missed.
            let is_written = self.live.borrow_and_update().writers > 0;
            let is_last = |over| over == Over::Reading || !is_written;
            let last = self.over.is_some_and(is_last);
            if let Some(chunk) = self.chunk().await? {
                return Ok(Some(chunk));
            }
            if last {
                return Ok(None);
            }
            tokio::select! {
                // The sender lives as long as a receiver does, so there is always something to wait for.
                _ = self.live.changed() => {}
                over = &mut self.ended, if self.over.is_none() => self.over = Some(over),
                () = tokio::time::sleep(self.heartbeat) => return Ok(Some(Bytes::from_static(HEARTBEAT))),
            }
        }
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let file = match &mut self.file {
            Some(file) => file,
            none => match tokio::fs::File::open(&self.path).await {
                Ok(mut file) => {
                    file.seek(std::io::SeekFrom::Start(self.from)).await?;
                    none.insert(file)
                }
                Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
                Err(cause) => return Err(cause.into()),
            },
        };
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let length = file.read_buf(&mut chunk).await?;
        Ok((length > 0).then(|| chunk.freeze()))
    }
}
