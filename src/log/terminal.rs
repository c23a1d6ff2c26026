//! Lines as a terminal is to see them: what an app has coloured, or hidden, ends with its line, whatever it left on.
//!
//! A function on bytes, which must not know who reads. What is stored, and what drains get, stays as the app printed it.

use bytes::Bytes;

const ESCAPE: u8 = 0x1b;
const RESET: &[u8] = b"\x1b[0m";

/// Whole lines, each of which leaves a terminal as it found it. The only commands in a stored line are those for colours and weights.
pub fn reset(text: Bytes) -> Bytes {
    if !text.contains(&ESCAPE) {
        return text;
    }
    let mut shown = Vec::with_capacity(text.len() + text.len() / 8);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let (said, end) = match line.strip_suffix(b"\n") {
            Some(said) => (said, "\n"),
            None => (line, ""),
        };
        shown.extend_from_slice(said);
        if leaves_on(said) {
            shown.extend_from_slice(RESET);
        }
        shown.extend_from_slice(end.as_bytes());
    }
    shown.into()
}

/// Whether the last command in a line is another one than to take all back.
fn leaves_on(line: &[u8]) -> bool {
    let Some(last) = line.iter().rposition(|byte| *byte == ESCAPE) else {
        return false;
    };
    let command = line[last + 1..].strip_prefix(b"[").unwrap_or_default();
    let end = command.iter().position(|byte| *byte == b'm').unwrap_or(0);
    !command[..end]
        .iter()
        .all(|byte| matches!(byte, b'0' | b';'))
}
