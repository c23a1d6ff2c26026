//! Patterns of paths: `*` is anything within one part of a path, `**` anything at all.

/// Bytes of a pattern at most. A match costs at most this times the length of a path.
pub const MAX_BYTES: usize = 200;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    pub fn new(text: &str) -> Pattern {
        Pattern(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether all of a path matches. Each byte of the pattern moves the set of places in the path that it can have come to.
    pub fn matches(&self, path: &str) -> bool {
        let (pattern, path) = (self.0.as_bytes(), path.as_bytes());
        let mut reached = vec![false; path.len() + 1];
        reached[0] = true;
        let mut at = 0;
        while at < pattern.len() {
            if pattern[at] != b'*' {
                for place in (0..path.len()).rev() {
                    reached[place + 1] = reached[place] && path[place] == pattern[at];
                }
                reached[0] = false;
                at += 1;
                continue;
            }
            let deep = pattern[at..].starts_with(b"**");
            for place in 0..path.len() {
                if reached[place] && (deep || path[place] != b'/') {
                    reached[place + 1] = true;
                }
            }
            at += if deep { 2 } else { 1 };
        }
        reached[path.len()]
    }
}
