//! Lines of those who must not wait for a disk, while the log of their app was not looked at since the start.

use std::fs::{self, OpenOptions};
use std::io::Write;

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use nix::sys::stat::Mode;

use super::*;
use crate::binary::in_time;

fn soon(kept: &Kept, messages: &[&str]) {
    kept.logs
        .append_soon(kept.app, Source::Heroku, "router", messages);
}

/// A log whose oldest file is read only when [`Slow::read`] says so.
struct Slow {
    kept: Kept,
    text: String,
    pipe: std::path::PathBuf,
}

impl Slow {
    fn new() -> Slow {
        let kept = Kept::within(small());
        let long = "x".repeat(1_000);
        for number in 0..6 {
            kept.say(&format!("{number} {long}"));
        }
        let segments = files(&kept.app_dir());
        assert_eq!(segments.len(), 2);
        let pipe = segments[0].clone();
        let text = fs::read_to_string(&pipe).unwrap();
        fs::remove_file(&pipe).unwrap();
        nix::unistd::mkfifo(&pipe, Mode::S_IRWXU).unwrap();
        Slow {
            kept: kept.reopened(),
            text,
            pipe,
        }
    }

    /// Waits until somebody reads it, and gives what there was.
    fn read(self) -> Kept {
        let (pipe, text) = (self.pipe.clone(), self.text.clone());
        in_time(move || {
            let mut pipe = OpenOptions::new().write(true).open(pipe).unwrap();
            pipe.write_all(text.as_bytes()).unwrap();
        });
        let whole = self.pipe.with_extension("whole");
        fs::write(&whole, self.text).unwrap();
        fs::rename(whole, self.pipe).unwrap();
        self.kept
    }
}

#[test]
fn nobody_waits_until_the_log_is_open_and_the_lines_come_in_order() {
    let slow = Slow::new();
    let (logs, app) = (slow.kept.logs.clone(), slow.kept.app);
    in_time(move || {
        for messages in [["one", "two"], ["three", "four"]] {
            logs.append_soon(app, Source::Heroku, "router", &messages);
        }
    });
    let kept = slow.read();
    kept.say("five");
    soon(&kept, &["six"]);
    let all = kept.messages();
    let said = ["one", "two", "three", "four", "five", "six"];
    assert_eq!(all[all.len() - 6..], said);
    assert_eq!(all.len(), 12, "{all:#?}");
    let stamps: Vec<_> = kept.all().iter().map(|line| stamp(line)).collect();
    assert!(stamps.is_sorted(), "{stamps:?}");
    let kept = kept.reopened();
    assert_eq!(kept.messages(), all);
}

fn stamp(line: &str) -> Timestamp {
    Line::parse(line).unwrap().timestamp().unwrap()
}

#[test]
fn they_are_kept_when_the_server_stops_right_after() {
    let kept = Kept::new();
    kept.say("before");
    let kept = kept.reopened();
    soon(&kept, &["said"]);
    kept.logs.flush();
    assert_eq!(kept.reopened().messages(), ["before", "said"]);
}

#[test]
fn who_reads_right_after_reads_them() {
    let kept = Kept::new();
    kept.say("before");
    let kept = kept.reopened();
    soon(&kept, &["said"]);
    assert_eq!(kept.messages(), ["before", "said"]);
}

#[test]
fn lines_that_cannot_be_kept_are_told_of() {
    let kept = Kept::new();
    kept.say("before");
    let kept = kept.reopened();
    // Nobody can read a folder in it. There is always one or the other, since an app without either has a new log.
    let other = kept.dir.path().join("other");
    fs::write(&other, "no folder").unwrap();
    let exchange = || {
        renameat2(
            AT_FDCWD,
            &kept.app_dir(),
            AT_FDCWD,
            &other,
            RenameFlags::RENAME_EXCHANGE,
        )
    };
    exchange().unwrap();
    soon(&kept, &["lost", "lost as well"]);
    kept.logs.flush();
    assert_eq!(kept.logs.counted(), (0, 2));
    exchange().unwrap();
    soon(&kept, &["after"]);
    let told = format!("Error L12: 2 messages dropped since {T0}.");
    assert_eq!(kept.messages(), ["before", &told, "after"]);
}

#[tokio::test]
async fn an_app_that_is_gone_takes_none() {
    let slow = Slow::new();
    soon(&slow.kept, &["said"]);
    let kept = slow.read();
    kept.logs.remove(kept.app).unwrap();
    soon(&kept, &["said again"]);
    assert!(!kept.app_dir().exists());
    assert_eq!(kept.messages(), [""; 0]);
}
