//! Programs that a test puts somewhere and that are run right after.
//!
//! A child of its own writes each of them. Where a thread of this process did, another thread's child could still hold the file open
//! for writing, between its fork and its exec, and whoever ran the program then would be told that it is busy (ETXTBSY).

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// A program that is a script, with its first line.
pub fn script(path: &Path, text: &str) {
    let mut writing = Command::new("sh")
        .args(["-c", "cat > \"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = writing.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    assert!(writing.wait().unwrap().success(), "{}", path.display());
}

/// The binary under another name, which takes the place of what is there.
pub fn penstock(path: &Path) {
    let copied = Command::new("cp")
        .args(["--force", "--link", env!("CARGO_BIN_EXE_penstock")])
        .arg(path)
        .stderr(Stdio::null())
        .status()
        .unwrap();
    if copied.success() {
        return;
    }
    // Another file system has no link to it.
    let copied = Command::new("cp")
        .args([
            "--force",
            "--remove-destination",
            env!("CARGO_BIN_EXE_penstock"),
        ])
        .arg(path)
        .status()
        .unwrap();
    assert!(copied.success(), "{}", path.display());
}
