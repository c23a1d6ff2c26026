//! What a commit names and a push does not bring: submodules, which are other repositories, and the files that Git LFS keeps elsewhere.
//!
//! It is looked for in the hook, where the pushed objects can be read.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::Stdio;

use super::hook::{MAX_FILES, ended, git};

/// How a pointer begins that git stores in the place of a file: the specification of Git LFS, version 1.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
/// Bytes of a pointer: the specification's three lines. Extensions, which make it longer, are hardly ever used.
const POINTER_BYTES: std::ops::RangeInclusive<u64> = 100..=200;
/// Files of such a size that are looked into.
const MAX_LOOKED_INTO: usize = 2_000;
/// Characters of the name that a warning shows.
const MAX_SHOWN: usize = 200;

#[derive(Default)]
pub(super) struct LeftOut {
    submodules: usize,
    pointers: usize,
    /// The first of them, as git shows its name.
    pointer: Option<String>,
}

impl LeftOut {
    /// `None` when the commit has more files and folders than any build would unpack, which few bytes can make.
    pub(super) fn of(commit: &str) -> io::Result<Option<LeftOut>> {
        let mut listing = git(&["ls-tree", "-r", "-t", "-l", "--full-tree", commit])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let (mut files, mut left_out, mut small) = (0, LeftOut::default(), Vec::new());
        if let Some(out) = listing.stdout.take() {
            for line in BufReader::new(out).split(b'\n') {
                let line = line?;
                left_out.submodules += usize::from(line.starts_with(b"160000 "));
                let line = String::from_utf8_lossy(&line);
                small.extend(may_be_pointer(&line).filter(|_| small.len() < MAX_LOOKED_INTO));
                files += 1;
                if files > MAX_FILES {
                    listing.kill()?;
                    listing.wait()?;
                    return Ok(None);
                }
            }
        }
        ended(&mut listing)?;
        left_out.look_into(small)?;
        Ok(Some(left_out))
    }

    fn look_into(&mut self, files: Vec<(String, String)>) -> io::Result<()> {
        if files.is_empty() {
            return Ok(());
        }
        let mut reading = git(&["cat-file", "--batch"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        if let (Some(mut ask), Some(out)) = (reading.stdin.take(), reading.stdout.take()) {
            let mut out = BufReader::new(out);
            for (object, name) in files {
                writeln!(ask, "{object}")?;
                let mut head = String::new();
                out.read_line(&mut head)?;
                let size = head.trim_end().rsplit(' ').next();
                let size: u64 = size.and_then(|size| size.parse().ok()).unwrap_or(0);
                let mut body = Vec::new();
                out.by_ref().take(size + 1).read_to_end(&mut body)?;
                if body.starts_with(POINTER) {
                    self.pointers += 1;
                    self.pointer.get_or_insert(name);
                }
            }
        }
        ended(&mut reading)
    }

    /// For whoever pushes; nothing where nothing is missing.
    pub(super) fn warning(&self) -> String {
        let mut warning = String::new();
        if self.submodules > 0 {
            warning.push_str(&format!(
                " !     Warning: {} git submodules are not part of the push, and their folders are empty in the build.\n \
                 !     Add their files to this repository to have them built.\n",
                self.submodules
            ));
        }
        if let Some(pointer) = &self.pointer {
            warning.push_str(&format!(
                " !     Warning: Git LFS is not served here: files that it tracks are built as the small pointers that git stores\n \
                 !     ({} of them, such as {pointer}).\n",
                self.pointers
            ));
        }
        warning
    }
}

/// The object and the name of a file of a pointer's size, in a line such as `100644 blob 8e147cd     131\tbig.bin`.
fn may_be_pointer(line: &str) -> Option<(String, String)> {
    let (entry, name) = line.split_once('\t')?;
    let mut words = entry.split_whitespace();
    let (kind, object, size) = (words.nth(1)?, words.next()?, words.next()?);
    let size: u64 = size.parse().ok()?;
    // Enough to know it by; git lets a name be of any length.
    let name = || name.chars().take(MAX_SHOWN).collect();
    (kind == "blob" && POINTER_BYTES.contains(&size)).then(|| (object.to_owned(), name()))
}
