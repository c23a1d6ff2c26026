//! What stays on disk, for how long, and through which accidents.

use std::fs;
use std::io::Write;

use super::*;
use crate::binary::HANG;

#[test]
fn history_is_there_after_a_restart() {
    let kept = Kept::new();
    kept.say("before");
    let kept = kept.reopened();
    assert_eq!(kept.messages(), ["before"]);
    kept.say("after");
    assert_eq!(kept.messages(), ["before", "after"]);
}

#[test]
fn every_line_is_in_its_file_as_soon_as_it_is_appended() {
    let kept = Kept::new();
    kept.say("hello");
    let stored = fs::read_to_string(kept.newest_segment()).unwrap();
    assert_eq!(stored, format!("{T0} app[web.1]: hello\n"));
}

#[test]
fn disk_space_is_bounded_and_the_newest_lines_are_kept() {
    let kept = Kept::within(small());
    for number in 0..2_000 {
        kept.say(&format!("line {number}"));
        let size: u64 = files(&kept.app_dir())
            .iter()
            .map(|file| file.metadata().unwrap().len())
            .sum();
        assert!(size <= 2 * 4096, "{size} bytes");
    }
    let messages = kept.messages();
    assert!(messages.len() * 60 > 4096, "{} lines", messages.len());
    let expected: Vec<_> = (2_000 - messages.len()..2_000)
        .map(|number| format!("line {number}"))
        .collect();
    assert_eq!(messages, expected);
}

/// More of these lines than an app's files hold, as fast as they can be taken in.
fn flood(kept: &Kept, source: Source, process: &str) {
    let mut lines = kept.logs.lines(kept.app, source, process);
    for number in 0..50_000 {
        lines.feed(format!("{number} {}\n", "x".repeat(100)).as_bytes());
    }
    // Large files are deleted by somebody else, soon after.
    let begun = std::time::Instant::now();
    let is_log = |file: &&std::path::PathBuf| file.extension().is_some_and(|name| name == "log");
    while files(&kept.app_dir()).iter().filter(is_log).count() > 2 {
        assert!(begun.elapsed() < HANG);
        std::thread::yield_now();
    }
}

fn seen(kept: &Kept, source: Option<Source>, process: Option<&str>) -> Vec<String> {
    let filter = Filter {
        source,
        process: process.map(str::to_owned),
        ..Filter::default()
    };
    messages(&kept.logs.read(kept.app, &filter, 100).unwrap())
}

#[tokio::test]
async fn a_dyno_that_prints_without_end_wipes_out_its_own_lines_alone() {
    let kept = Kept::new();
    let say = |source, process: &str, text: &str| kept.logs.append(kept.app, source, process, text);
    say(Source::App, "api", "Release v1 created");
    say(Source::Heroku, "web.1", "State changed from starting to up");
    say(Source::App, "web.1", "its own");
    say(Source::App, "worker.1", "one\ntwo");
    say(Source::Heroku, "router", "at=info");
    let last = kept.all().last().unwrap()[..32].to_owned();
    flood(&kept, Source::App, "web.1");
    let all = kept.all();
    assert!(all.is_sorted_by(|one, next| one[..32] < next[..32]));
    assert!(!messages(&all).contains(&"its own".to_owned()));
    let kept = kept.reopened();
    let state = "State changed from starting to up";
    assert_eq!(seen(&kept, Some(Source::Heroku), None), [state, "at=info"]);
    assert_eq!(seen(&kept, None, Some("router")), ["at=info"]);
    assert_eq!(seen(&kept, None, Some("api")), ["Release v1 created"]);
    assert_eq!(seen(&kept, None, Some("worker")), ["one", "two"]);
    // A session shows them, as many as it was asked for, and one that goes on after them does not.
    let filter = Filter {
        source: Some(Source::Heroku),
        ..Filter::default()
    };
    for (lines, expected) in [(1, 1), (2, 2), (100, 2)] {
        let mut session = kept.logs.session(kept.app, filter.clone(), lines, false);
        let batch = session.next().await.unwrap();
        let text = String::from_utf8(batch.text.to_vec()).unwrap();
        assert_eq!(text.lines().count(), expected, "{text}");
        assert!(text.ends_with("at=info\n"), "{text}");
        assert_eq!(batch.last.to_log(), last);
        assert!(session.next().await.is_none());
    }
    let after = Filter {
        after: Timestamp::parse(&last),
        ..filter
    };
    let mut session = kept.logs.session(kept.app, after, 100, false);
    assert!(session.next().await.is_none());
    // While somebody reads, more is kept.
    drop(session);
    // Another flood, of what is kept longest, has its bound as well.
    flood(&kept, Source::Heroku, "router");
    assert_eq!(seen(&kept, Some(Source::Heroku), Some("web")), [state]);
    // What is given up goes a little later.
    let begun = std::time::Instant::now();
    loop {
        let sizes = files(&kept.app_dir());
        let sizes = sizes.iter().filter_map(|file| file.metadata().ok());
        let size: u64 = sizes.map(|file| file.len()).sum();
        if size < (2 << 20) + 3 * (512 << 10) {
            break;
        }
        assert!(begun.elapsed() < HANG, "{size} bytes");
    }
    // What is set aside of it goes on where its files begin.
    let filter = Filter {
        process: Some("router".to_owned()),
        ..Filter::default()
    };
    let lines = kept.logs.read(kept.app, &filter, 20_000).unwrap();
    let size: usize = lines.iter().map(String::len).sum();
    assert!(size > (1 << 20) + (256 << 10), "{size} bytes");
    let numbers = messages(&lines).into_iter().map(|message| {
        let number = message.split(' ').next().unwrap();
        number.parse::<usize>().unwrap()
    });
    assert!(numbers.eq(50_000 - lines.len()..50_000));
    kept.logs.remove(kept.app).unwrap();
    assert!(!kept.app_dir().exists());
}

#[test]
fn at_least_1500_lines_are_kept_by_default() {
    let kept = Kept::new();
    let mut lines = kept.logs.lines(kept.app, Source::App, "web.1");
    for number in 0..10_000 {
        lines.feed(format!("{number} {}\n", "x".repeat(600)).as_bytes());
        if number >= 1500 && number % 500 == 0 {
            let found = kept.logs.read(kept.app, &Filter::default(), 1500).unwrap();
            assert_eq!(found.len(), 1500);
            assert!(message(&found[0]).starts_with(&format!("{} ", number - 1499)));
        }
    }
    // Large files are deleted by somebody else, soon after.
    let begun = std::time::Instant::now();
    while files(&kept.app_dir()).len() > 2 {
        assert!(begun.elapsed() < HANG);
        std::thread::yield_now();
    }
}

#[test]
fn a_torn_last_line_is_forgotten_and_the_next_one_is_whole() {
    let kept = Kept::new();
    kept.say("whole");
    fs::OpenOptions::new()
        .append(true)
        .open(kept.newest_segment())
        .unwrap()
        .write_all(b"2022-02-27T19:53:50.4665")
        .unwrap();
    let kept = kept.reopened();
    assert_eq!(kept.messages(), ["whole"]);
    kept.say("next");
    assert_eq!(kept.messages(), ["whole", "next"]);
    assert_eq!(kept.reopened().messages(), ["whole", "next"]);
}

#[test]
fn what_a_failed_write_left_is_cut_off_before_the_next() {
    let kept = Kept::within(Limits {
        open_files: 0,
        ..Limits::default()
    });
    kept.say("whole");
    fs::OpenOptions::new()
        .append(true)
        .open(kept.newest_segment())
        .unwrap()
        .write_all(b"2022-02-27T19:53:50.4665")
        .unwrap();
    kept.say("next");
    assert_eq!(kept.messages(), ["whole", "next"]);
}

#[test]
fn damaged_bytes_cost_only_the_lines_they_hit() {
    let kept = Kept::new();
    for message in ["one", "two", "three"] {
        kept.say(message);
    }
    let mut bytes = fs::read(kept.newest_segment()).unwrap();
    let line = bytes.len() / 3;
    bytes[line..line + 20].fill(0xff);
    fs::write(kept.newest_segment(), bytes).unwrap();
    let kept = kept.reopened();
    assert_eq!(kept.messages(), ["one", "three"]);
    kept.say("four");
    assert_eq!(kept.messages(), ["one", "three", "four"]);
}

#[test]
fn lines_that_cannot_be_stored_are_counted_and_told_of() {
    let kept = Kept::new();
    fs::write(kept.app_dir(), "in the way").unwrap();
    kept.say("lost");
    kept.clock.advance(Duration::from_secs(60));
    kept.say("lost\nlost");
    fs::remove_file(kept.app_dir()).unwrap();
    kept.say("kept");
    assert_eq!(
        kept.messages(),
        [
            &format!("Error L12: 3 messages dropped since {T0}."),
            "kept"
        ]
    );
    let lines = kept.all();
    let told = Line::parse(&lines[0]).unwrap();
    assert_eq!((told.source, told.process), (Source::Heroku, "logplex"));
    kept.say("more");
    assert_eq!(kept.messages().len(), 3);
}

#[test]
fn a_flush_tells_of_lines_lost_when_no_other_line_comes() {
    let kept = Kept::within(small());
    kept.say(&"x".repeat(4000));
    fs::create_dir(kept.app_dir().join("0000000002.log")).unwrap();
    kept.say(&"y".repeat(4000));
    fs::remove_dir(kept.app_dir().join("0000000002.log")).unwrap();
    kept.logs.flush();
    let messages = kept.messages();
    assert_eq!(messages.len(), 2);
    assert_eq!(
        messages[1],
        format!("Error L12: 1 messages dropped since {T0}.")
    );
    kept.logs.flush();
    assert_eq!(kept.messages().len(), 2);
}

#[test]
fn few_files_are_open_however_many_apps_speak() {
    let kept = Kept::within(Limits {
        open_files: 3,
        ..Limits::default()
    });
    let apps: Vec<Id> = (0..50).map(|_| Id::new()).collect();
    for round in ["one", "two"] {
        for app in &apps {
            kept.logs.append(*app, Source::App, "web.1", round);
        }
    }
    let open = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|fd| fs::read_link(fd.unwrap().path()).ok())
        .filter(|file| file.starts_with(kept.dir.path()))
        .count();
    assert!(open <= 3, "{open} files are open");
    for app in apps {
        let lines = kept.logs.read(app, &Filter::default(), 9).unwrap();
        assert_eq!(messages(&lines), ["one", "two"]);
    }
}

#[test]
fn an_app_that_says_nothing_has_no_files() {
    let kept = Kept::new();
    assert_eq!(kept.all(), [""; 0]);
    drop(kept.tail(100));
    assert_eq!(files(kept.dir.path()).len(), 0);
    assert_eq!(kept.logs.stored().unwrap(), []);
}

#[test]
fn a_removed_app_leaves_nothing_and_late_lines_bring_nothing_back() {
    let kept = Kept::new();
    let other = Id::new();
    kept.say("hello");
    kept.logs.append(other, Source::App, "web.1", "other");
    let mut lines = kept.logs.lines(kept.app, Source::App, "web.2");
    assert_eq!(kept.logs.stored().unwrap(), [kept.app, other]);
    kept.logs.remove(kept.app).unwrap();
    kept.say("late");
    lines.feed(b"late\n");
    drop(lines);
    assert_eq!(kept.logs.stored().unwrap(), [other]);
    assert_eq!(kept.all(), [""; 0]);
    kept.logs.remove(kept.app).unwrap();
}

#[test]
fn an_app_that_was_never_looked_at_can_be_removed() {
    let kept = Kept::new();
    kept.say("from an earlier run");
    let kept = kept.reopened();
    kept.logs.remove(kept.app).unwrap();
    assert_eq!(kept.logs.stored().unwrap(), []);
}

#[test]
fn a_filter_chooses_by_source_and_process() {
    let kept = Kept::new();
    for (source, process) in [
        (Source::App, "web"),
        (Source::App, "web.1"),
        (Source::App, "web.12"),
        (Source::App, "web-admin.1"),
        (Source::App, "api"),
        (Source::Heroku, "web.1"),
        (Source::Heroku, "router"),
    ] {
        kept.logs.append(
            kept.app,
            source,
            process,
            &format!("{}/{process}", source.as_str()),
        );
    }
    let chosen = |source: Option<Source>, process: Option<&str>| {
        let filter = Filter {
            source,
            process: process.map(str::to_owned),
            ..Filter::default()
        };
        messages(&kept.logs.read(kept.app, &filter, 100).unwrap())
    };
    assert_eq!(
        chosen(None, Some("web")),
        ["app/web", "app/web.1", "app/web.12", "heroku/web.1"]
    );
    assert_eq!(chosen(None, Some("web.1")), ["app/web.1", "heroku/web.1"]);
    assert_eq!(
        chosen(Some(Source::Heroku), None),
        ["heroku/web.1", "heroku/router"]
    );
    assert_eq!(chosen(Some(Source::App), Some("web.1")), ["app/web.1"]);
}

#[test]
fn a_filter_looks_as_far_back_as_it_takes() {
    let kept = Kept::new();
    kept.logs
        .append(kept.app, Source::App, "api", "rare but wanted");
    for number in 0..5_000 {
        kept.say(&format!("line {number}"));
    }
    let filter = Filter {
        process: Some("api".to_owned()),
        ..Filter::default()
    };
    let found = kept.logs.read(kept.app, &filter, 1).unwrap();
    assert_eq!(messages(&found), ["rare but wanted"]);
}
