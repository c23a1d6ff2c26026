//! What a terminal says of its size while somebody types.
//!
//! Heroku's rendezvous has no word for a terminal that was resized: the CLI says once how large it is, when it asks for the dyno.
//! Terminals themselves have one since 2024: those that are asked to by a program (mode 2048) report each change among what is
//! typed, as `ESC [ 48 ; rows ; columns ; pixels ; pixels t`. Whoever asked for it gets it as it is.

use crate::shim::Size;

/// Of a report, at most. What is longer is none.
const LONGEST: usize = 48;
const ESCAPE: u8 = 0x1b;

/// What was typed so far, as far as it may be the beginning of a report.
#[derive(Default)]
pub struct Sizes {
    begun: Vec<u8>,
}

impl Sizes {
    /// Looks at what is typed. The size that it reports last, if it reports any.
    pub fn feed(&mut self, typed: &[u8]) -> Option<Size> {
        let mut last = None;
        for byte in typed {
            if *byte == ESCAPE {
                self.begun = vec![ESCAPE];
            } else if !self.begun.is_empty() {
                self.begun.push(*byte);
                last = self.size().or(last);
                if !self.may_go_on() {
                    self.begun.clear();
                }
            }
        }
        last
    }

    fn may_go_on(&self) -> bool {
        let in_report = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b';' | b':');
        let rest = self.begun.get(2..).unwrap_or_default();
        let begins = self.begun.get(1).is_none_or(|byte| *byte == b'[');
        begins && self.begun.len() < LONGEST && rest.iter().all(in_report)
    }

    /// Of a report that is whole.
    fn size(&self) -> Option<Size> {
        let report = self.begun.strip_prefix(b"\x1b[48;")?.strip_suffix(b"t")?;
        let mut fields = std::str::from_utf8(report).ok()?.split(';');
        let mut number = || {
            fields
                .next()?
                .parse::<u16>()
                .ok()
                .filter(|number| *number > 0)
        };
        let (rows, columns) = (number()?, number()?);
        Some(Size { rows, columns })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(chunks: &[&str]) -> Vec<Option<(u16, u16)>> {
        let mut sizes = Sizes::default();
        let feed = |chunk: &&str| sizes.feed(chunk.as_bytes());
        let all = chunks.iter().map(feed);
        all.map(|size| size.map(|size| (size.rows, size.columns)))
            .collect()
    }

    #[test]
    fn a_report_is_found_wherever_it_is_cut_and_nothing_else_is_one() {
        assert_eq!(sizes(&["ls\x1b[48;50;132;0;0tpwd"]), [Some((50, 132))]);
        assert_eq!(
            sizes(&["\x1b", "[48;5", "0;132;0;0", "t"]),
            [None, None, None, Some((50, 132))]
        );
        assert_eq!(sizes(&["\x1b[48;1;2;3;4t\x1b[48;5;6;7;8t"]), [Some((5, 6))]);
        for none in [
            "\x1b[A",
            "\x1b[8;50;132t",
            "\x1b[48;0;132;0;0t",
            "\x1b[48;70000;132;0;0t",
            "\x1b[48;50t",
            "\x1b\x1b[4 8;50;132t",
            "[48;50;132;0;0t",
            "\x1b[48;50;132;00000000000000000000000000000000000000000000000t",
        ] {
            assert_eq!(sizes(&[none]), [None], "{none:?}");
        }
    }
}
