//! The marker of an exit status, which the CLI takes only when it comes whole in one record.
//!
//! With `--exit-code` the CLI has the dyno's shell print `\uFFFF heroku-command-exit-status: N` and a line's end, and looks for that
//! in each record alone. Output comes in pieces that end anywhere, so the beginning of a marker is held back until its end is there.

/// How a marker begins. Its first three bytes are U+FFFF, which no text has.
const BEGINNING: &[u8] = "\u{FFFF} heroku-command-exit-status: ".as_bytes();
/// Digits and a line's end, at most.
const REST: usize = 8;

/// Whether a command's shell is to print a marker at its end.
pub fn is_asked_for(command: &str) -> bool {
    let bytes = command.as_bytes();
    bytes.windows(BEGINNING.len()).any(|part| part == BEGINNING)
}

/// That of a status.
pub fn of(status: i32) -> Vec<u8> {
    let mut marker = BEGINNING.to_vec();
    marker.extend(format!("{status}\n").bytes());
    marker
}

/// Output on its way to a client.
#[derive(Default)]
pub struct Markers {
    held: Vec<u8>,
    seen: bool,
}

impl Markers {
    /// Takes a piece of output. What is to be sent now: each of these in a record of its own, and none of them empty.
    pub fn feed(&mut self, piece: &[u8]) -> Vec<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.held);
        bytes.extend_from_slice(piece);
        let Some(at) = last_beginning(&bytes) else {
            return some([bytes]);
        };
        let marker = bytes.split_off(at);
        if is_whole(&marker) {
            self.seen = true;
            return some([bytes, marker]);
        }
        self.held = marker;
        some([bytes])
    }

    /// What is still held back, when nothing more comes.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Whether one has passed.
    pub fn seen(&self) -> bool {
        self.seen
    }

    pub fn holds(&self) -> bool {
        !self.held.is_empty()
    }
}

fn some<const N: usize>(pieces: [Vec<u8>; N]) -> Vec<Vec<u8>> {
    pieces
        .into_iter()
        .filter(|piece| !piece.is_empty())
        .collect()
}

/// Where the last thing begins that is a marker, or may become one.
fn last_beginning(bytes: &[u8]) -> Option<usize> {
    let from = bytes.len().saturating_sub(BEGINNING.len() + REST);
    (from..bytes.len()).rev().find(|at| {
        let here = &bytes[*at..];
        let length = here.len().min(BEGINNING.len());
        here[..length] == BEGINNING[..length]
    })
}

/// Whether a marker has its end, or cannot be one after all.
fn is_whole(marker: &[u8]) -> bool {
    marker.len() >= BEGINNING.len() + REST || marker.contains(&b'\n')
}

#[cfg(test)]
mod tests {
    use super::Markers;

    const MARKER: &str = "\u{FFFF} heroku-command-exit-status: 17\r\n";

    #[test]
    fn a_marker_comes_in_one_piece_however_it_was_cut() {
        let text = format!("some output\n{MARKER}");
        for first in 0..text.len() {
            for second in first..text.len() {
                let mut markers = Markers::default();
                let mut sent = markers.feed(&text.as_bytes()[..first]);
                sent.extend(markers.feed(&text.as_bytes()[first..second]));
                sent.extend(markers.feed(&text.as_bytes()[second..]));
                assert!(!markers.holds() && markers.seen());
                assert_eq!(sent.concat(), text.as_bytes());
                assert_eq!(sent.last().map(Vec::as_slice), Some(MARKER.as_bytes()));
            }
        }
    }

    #[test]
    fn what_only_looks_like_one_is_passed_on() {
        let mut markers = Markers::default();
        assert_eq!(
            markers.feed("caf\u{e9} \u{FFFF}".as_bytes()),
            ["caf\u{e9} ".as_bytes()]
        );
        assert!(markers.holds());
        assert_eq!(markers.feed(b" heroes"), ["\u{FFFF} heroes".as_bytes()]);
        assert!(markers.feed(b"\xEF\xBF").is_empty());
        assert_eq!(markers.rest(), b"\xEF\xBF");
        assert!(!markers.seen());
    }

    #[test]
    fn one_that_the_shell_owes_is_as_the_shells_own() {
        assert!(super::is_asked_for(
            "exit 3 ; echo \"\u{FFFF} heroku-command-exit-status: $?\""
        ));
        assert!(!super::is_asked_for("echo heroku-command-exit-status: $?"));
        assert_eq!(
            super::of(3),
            "\u{FFFF} heroku-command-exit-status: 3\n".as_bytes()
        );
    }
}
