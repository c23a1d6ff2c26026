//! From the raw output of a process to lines of a log.
//!
//! Output arrives in chunks that end anywhere. Here they are put together and appended a batch at a time. It must not know
//! where the bytes come from.

use std::sync::Arc;

use super::Logs;
use super::app::AppLog;
use super::line;
use crate::output::Writer;
use crate::time::Timestamp;

/// Capacity that an idle process may keep, in bytes. A thousand silent dynos should not hold the buffers of their loudest moment.
const IDLE_BYTES: usize = 16 * 1024;

/// Takes the output of one process. Made by [`Logs::lines`]. When it is dropped an unfinished line is lost, unless
/// [`Lines::finish`] was called: somebody else may go on with it.
pub struct Lines {
    logs: Logs,
    log: Arc<AppLog>,
    label: String,
    /// The beginning of a line whose end has not come: at most [`line::LINE_BYTES`] and a `\r`.
    unfinished: Vec<u8>,
    copy: Option<Writer>,
}

impl Lines {
    pub(super) fn new(logs: Logs, log: Arc<AppLog>, label: String) -> Lines {
        Lines {
            logs,
            log,
            label,
            unfinished: Vec::new(),
            copy: None,
        }
    }

    /// From here on, what is fed goes to this output too, when it goes to the log: whoever goes on with an unfinished line
    /// after this gets it from its beginning.
    pub fn copy_to(&mut self, output: Writer) {
        self.copy = Some(output);
    }

    /// Appends every line that is complete with this chunk, in one batch. A line counts as complete at its newline or at
    /// [`line::LINE_BYTES`]. Large chunks (64 KiB) cost least per line.
    pub fn feed(&mut self, chunk: &[u8]) {
        self.take(chunk, None);
    }

    /// The same, for what was said at some earlier time.
    pub fn feed_at(&mut self, chunk: &[u8], said: Timestamp) {
        self.take(chunk, Some(said));
    }

    /// Bytes that were taken in and are in no line yet.
    pub fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    fn take(&mut self, chunk: &[u8], said: Option<Timestamp>) {
        let before = self.unfinished.len();
        self.unfinished.extend_from_slice(chunk);
        let whole = chunk
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| before + at + 1);
        let mut end = whole;
        while self.unfinished.len() - end > line::LINE_BYTES + 1 {
            end += line::cut_at(&self.unfinished[end..]);
        }
        if end == 0 {
            return;
        }
        let (complete, overlong) = self.unfinished[..end].split_at(whole);
        let overlong = (!overlong.is_empty()).then_some(overlong);
        self.logs.write(
            &self.log,
            &self.label,
            line::messages(complete).chain(overlong),
            said,
        );
        if let Some(copy) = &self.copy {
            copy.write(&self.unfinished[..end]);
        }
        self.unfinished.drain(..end);
        if self.unfinished.is_empty() && self.unfinished.capacity() > IDLE_BYTES {
            self.unfinished = Vec::new();
        }
    }

    /// Appends what came after the last newline: the process has ended, or will not go on with this line.
    pub fn finish(&mut self) {
        let rest = std::mem::take(&mut self.unfinished);
        self.logs
            .write(&self.log, &self.label, line::messages(&rest), None);
        if let Some(copy) = &self.copy {
            copy.write(&rest);
        }
    }
}
