//! One line of a log: its text form, and what is done to a message so that it stays one line.
//!
//! `2022-02-27T19:53:50.466499+00:00 app[web.1]: message` is the only form there is: on disk, in a session and in a drain's
//! input. This module works on text in memory and must not know of files, apps or sessions.

use std::borrow::Cow;

use crate::time::Timestamp;

/// The longest message of one line, in bytes, after escaping. Longer ones become several lines, as Heroku does it.
pub const LINE_BYTES: usize = 10_000;

/// Width of a timestamp in a line, in bytes. Being of one width, its text sorts as time does.
pub(super) const STAMP_BYTES: usize = 32;

/// The last microsecond of the year 9999: beyond it a timestamp would have another width.
const LAST_MICROS: i64 = 253_402_300_799_999_999;

/// Who speaks in a line: the app (and the API on its behalf), or the platform that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    App,
    Heroku,
}

impl Source {
    /// As it stands in a line, and in the `source` of a log session.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::App => "app",
            Source::Heroku => "heroku",
        }
    }

    /// From the `source` of a log session.
    pub fn parse(text: &str) -> Option<Source> {
        match text {
            "app" => Some(Source::App),
            "heroku" => Some(Source::Heroku),
            _ => None,
        }
    }
}

/// A line taken apart. All parts borrow from its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    /// 32 bytes of RFC 3339, to the microsecond. Unique in its app, and ordered as text.
    pub stamp: &'a str,
    pub source: Source,
    /// `web.1`, `api`, `router`.
    pub process: &'a str,
    /// Without the line's end.
    pub message: &'a str,
}

impl<'a> Line<'a> {
    /// Takes a stored line apart, with or without its newline. `None` for what no platform wrote, such as the remains of a
    /// damaged disk.
    pub fn parse(text: &'a str) -> Option<Line<'a>> {
        let stamp = text.get(..STAMP_BYTES)?;
        let rest = text.get(STAMP_BYTES..)?.strip_prefix(' ')?;
        let well_formed = stamp.starts_with(|first: char| first.is_ascii_digit())
            && stamp.as_bytes().get(10) == Some(&b'T')
            && stamp.ends_with("+00:00");
        if !well_formed {
            return None;
        }
        let (source, rest) = rest.split_once('[')?;
        let (process, message) = rest.split_once("]: ")?;
        Some(Line {
            stamp,
            source: Source::parse(source)?,
            process,
            message: message.strip_suffix('\n').unwrap_or(message),
        })
    }

    /// When the line was written.
    pub fn timestamp(&self) -> Option<Timestamp> {
        Timestamp::parse(self.stamp)
    }
}

/// `app[web.1]: `, the part between timestamp and message. Characters that could end the brackets early are replaced, so that
/// a process cannot pose as another.
pub(super) fn label(source: Source, process: &str) -> String {
    let process: String = process
        .chars()
        .take(160)
        .map(|c| match c {
            '.' | '-' | '_' => c,
            _ if c.is_ascii_alphanumeric() => c,
            _ => '_',
        })
        .collect();
    format!("{}[{process}]: ", source.as_str())
}

/// The messages in a text: split at newlines, a last newline ending the last message rather than starting another.
/// The `\r` of a `\r\n` belongs to the line's end.
pub(super) fn messages(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let whole = text.strip_suffix(b"\n").unwrap_or(text);
    let some = !text.is_empty();
    some.then(|| whole.split(|byte| *byte == b'\n'))
        .into_iter()
        .flatten()
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

/// Where a message of raw bytes is cut: at [`LINE_BYTES`], or up to three bytes before it so that no character is broken.
/// The cut depends on nothing that comes after it, so a line is cut alike however its bytes arrive.
pub(super) fn cut_at(message: &[u8]) -> usize {
    if message.len() <= LINE_BYTES {
        return message.len();
    }
    (LINE_BYTES - 3..=LINE_BYTES)
        .rev()
        .find(|at| message.get(*at).is_some_and(|byte| byte & 0xc0 != 0x80))
        .unwrap_or(LINE_BYTES)
}

/// The pieces of at most [`LINE_BYTES`] that a message is cut into. An empty message is one empty piece.
pub(super) fn pieces(message: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(message);
    std::iter::from_fn(move || {
        let message = rest?;
        let (piece, more) = message.split_at(cut_at(message));
        rest = (!more.is_empty()).then_some(more);
        Some(piece)
    })
}

/// Makes raw bytes printable on one line: invalid UTF-8 becomes U+FFFD, and characters that a terminal or a reader could
/// take for a new line or a command (C0 but tab, DEL, C1, the Unicode line and paragraph separators) are escaped. Colours stay.
pub(super) fn printable(message: &[u8]) -> Cow<'_, str> {
    // Most are well-formed, which is known sooner than what would have to be replaced.
    let text = match std::str::from_utf8(message) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(message),
    };
    // Folded without an early exit, so that the compiler can look at many bytes at once; 0xc2 and 0xe2 begin C1 and U+2028.
    let suspicious = text.bytes().fold(false, |found, byte| {
        found | ((byte < 0x20) & (byte != b'\t')) | matches!(byte, 0x7f | 0xc2 | 0xe2)
    });
    if !suspicious {
        return text;
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    let mut rest = text.as_ref();
    while let Some(c) = rest.chars().next() {
        let harmless = c == '\t' || !(c.is_control() || matches!(c, '\u{2028}' | '\u{2029}'));
        let kept = if harmless { c.len_utf8() } else { colour(rest) };
        match kept {
            0 => escaped.extend(c.escape_default()),
            kept => escaped.push_str(&rest[..kept]),
        }
        rest = &rest[kept.max(c.len_utf8())..];
    }
    Cow::Owned(escaped)
}

/// The length of the terminal's command for a colour or weight that the text begins with, `ESC [ 1 ; 31 m`; 0 if it begins with
/// none. These move nothing and overwrite nothing, and apps colour their logs with them.
fn colour(text: &str) -> usize {
    const LONGEST: usize = 24;
    let Some(parameters) = text.strip_prefix("\u{1b}[") else {
        return 0;
    };
    match parameters.find(|c: char| !c.is_ascii_digit() && c != ';') {
        Some(end) if end <= LONGEST && parameters[end..].starts_with('m') => 2 + end + 1,
        _ => 0,
    }
}

/// The timestamps of one app's lines: strictly increasing, whatever the clock does.
///
/// A line's timestamp is also its name (a session resumes after it), so two lines never share one. When lines come faster than
/// the clock ticks, or the clock goes back, each is a microsecond after the last.
pub(super) struct Stamps {
    last: i64,
    second: i64,
    /// `2022-02-27T19:53:50.` of `second`: formatting a date for every line would cost more than all the rest.
    prefix: String,
}

impl Stamps {
    /// Goes on after `last`, the newest line that is stored.
    pub(super) fn after(last: Option<Timestamp>) -> Stamps {
        Stamps {
            last: last.map_or(-1, Timestamp::micros),
            second: -1,
            prefix: String::new(),
        }
    }

    /// Writes the next timestamp, which is `now` if that is later than the last one.
    pub(super) fn put(&mut self, now: Timestamp, out: &mut Vec<u8>) {
        self.last = now.micros().max(self.last + 1).clamp(0, LAST_MICROS);
        let second = self.last / 1_000_000;
        if second != self.second {
            self.second = second;
            self.prefix = Timestamp::from_micros(self.last).to_log();
            self.prefix.truncate(20);
        }
        out.extend_from_slice(self.prefix.as_bytes());
        let mut micros = self.last % 1_000_000;
        let mut digits = *b"000000+00:00 ";
        for digit in digits[..6].iter_mut().rev() {
            *digit += (micros % 10) as u8;
            micros /= 10;
        }
        out.extend_from_slice(&digits);
    }
}
