//! Sessions: history, then what follows, with nothing lost or doubled, or the loss told.

use futures_util::{FutureExt, StreamExt};

use super::*;

#[tokio::test]
async fn a_session_without_tail_gets_the_last_lines_and_ends() {
    let kept = Kept::new();
    for number in 0..500 {
        kept.say(&number.to_string());
    }
    let mut session = kept.logs.session(kept.app, Filter::default(), 3, false);
    kept.say("after the session began");
    let lines = take(&mut session, usize::MAX).await;
    assert_eq!(messages(&lines), ["497", "498", "499"]);
    assert!(next(&mut session).await.is_empty());
}

#[tokio::test]
async fn a_session_gets_at_most_1500_lines_of_history() {
    let kept = Kept::new();
    for number in 0..2_000 {
        kept.say(&number.to_string());
    }
    let session = kept
        .logs
        .session(kept.app, Filter::default(), usize::MAX, false);
    let batches: Vec<_> = session.into_stream().collect().await;
    let lines: usize = batches
        .iter()
        .map(|batch| batch.text.split(|byte| *byte == b'\n').count() - 1)
        .sum();
    assert_eq!(lines, 1500);
}

#[tokio::test]
async fn a_session_over_several_segments_reads_them_all() {
    let kept = Kept::within(Limits {
        segments: 10,
        ..small()
    });
    for number in 0..300 {
        kept.say(&number.to_string());
    }
    assert!(files(&kept.app_dir()).len() > 3);
    let mut session = kept.logs.session(kept.app, Filter::default(), 250, false);
    let lines = take(&mut session, usize::MAX).await;
    let expected: Vec<_> = (50..300).map(|number| number.to_string()).collect();
    assert_eq!(messages(&lines), expected);
}

#[tokio::test]
async fn a_tail_shows_history_and_then_each_line_as_it_comes() {
    let kept = Kept::new();
    kept.say("old");
    let mut session = kept.tail(100);
    assert_eq!(messages(&next(&mut session).await), ["old"]);
    assert!(session.next().now_or_never().is_none());
    kept.say("new");
    assert_eq!(messages(&next(&mut session).await), ["new"]);
}

#[tokio::test]
async fn a_tail_of_an_app_that_has_said_nothing_yet_hears_its_first_line() {
    let kept = Kept::new();
    let mut session = kept.tail(100);
    assert!(session.next().now_or_never().is_none());
    kept.say("first");
    assert_eq!(messages(&next(&mut session).await), ["first"]);
}

#[tokio::test]
async fn lines_between_the_beginning_of_a_session_and_its_first_read_are_not_lost() {
    let kept = Kept::new();
    kept.say("before");
    let mut session = kept.tail(0);
    kept.say("between");
    assert_eq!(messages(&next(&mut session).await), ["between"]);
}

#[tokio::test]
async fn a_tail_sees_only_what_its_filter_wants() {
    let kept = Kept::new();
    let filter = Filter {
        source: Some(Source::Heroku),
        ..Filter::default()
    };
    let mut session = kept.logs.session(kept.app, filter, 100, true);
    kept.say("not this");
    assert!(session.next().now_or_never().is_none());
    kept.logs
        .append(kept.app, Source::Heroku, "router", "but this");
    assert_eq!(messages(&next(&mut session).await), ["but this"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_under_concurrent_appends_gets_every_line_once_and_in_order() {
    const WRITERS: usize = 4;
    const LINES: usize = 5_000;
    let kept = Kept::within(Limits {
        segment_bytes: 64 * 1024,
        tail_segments: 1000,
        ..Limits::default()
    });
    for number in 0..500 {
        kept.say(&format!("before {number}"));
    }
    let mut early = kept.tail(500);
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let mut lines = kept
                .logs
                .lines(kept.app, Source::App, &format!("w.{writer}"));
            std::thread::spawn(move || {
                for number in 0..LINES {
                    lines.feed(format!("{number}\n").as_bytes());
                }
            })
        })
        .collect();
    let mut late = kept.tail(10);
    let total = 500 + WRITERS * LINES;
    let seen = take(&mut early, total).await;
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(seen.len(), total);
    assert!(seen.is_sorted_by(|a, b| a[..32] < b[..32]));
    for writer in 0..WRITERS {
        let label = format!("app[w.{writer}]");
        let said = seen.iter().filter(|line| line.contains(&label));
        let expected = (0..LINES).map(|number| number.to_string());
        assert!(said.map(|line| message(line)).eq(expected));
    }
    assert!(early.next().now_or_never().is_none());

    kept.say("the end");
    let mut seen_late = Vec::new();
    while seen_late.last().map(|line: &String| message(line)) != Some("the end".to_owned()) {
        seen_late.extend(next(&mut late).await);
    }
    let mut whole = seen;
    whole.extend(next(&mut early).await);
    assert_eq!(seen_late, whole[whole.len() - seen_late.len()..]);
}

#[tokio::test]
async fn a_session_that_falls_behind_is_told_how_much_it_missed() {
    let kept = Kept::within(small());
    let mut session = kept.tail(0);
    for number in ["one", "two"] {
        kept.say(number);
        assert_eq!(messages(&next(&mut session).await), [number]);
    }
    let last = Timestamp::parse(T0).unwrap().micros() + 1;
    let last = Timestamp::from_micros(last).to_log();
    for number in 0..5_000 {
        kept.say(&number.to_string());
    }
    let told = next(&mut session).await;
    assert_eq!(told.len(), 1);
    let line = Line::parse(&told[0]).unwrap();
    assert_eq!((line.source, line.process), (Source::Heroku, "logplex"));
    let dropped: usize = line
        .message
        .strip_prefix("Error L11 (Tail buffer overflow) -> This tail session dropped ")
        .and_then(|rest| rest.strip_suffix(&format!(" messages since {last}.")))
        .expect(line.message)
        .parse()
        .unwrap();
    assert!((1..5_000).contains(&dropped));
    let rest = take(&mut session, 5_000 - dropped).await;
    let expected: Vec<_> = (dropped..5_000).map(|number| number.to_string()).collect();
    assert_eq!(messages(&rest), expected);
    assert!(told[0][..32] < rest[0][..32]);
    assert!(session.next().now_or_never().is_none());
}

/// Lines enough for three segments, and the files that hold them.
fn three_segments(kept: &Kept) -> Vec<std::path::PathBuf> {
    let mut said = 0;
    while !kept.app_dir().exists() || files(&kept.app_dir()).len() < 3 {
        kept.say(&said.to_string());
        said += 1;
    }
    files(&kept.app_dir())
}

#[tokio::test]
async fn a_session_whose_next_file_is_just_being_deleted_waits_to_hear_how_much_it_missed() {
    let kept = Kept::within(small());
    let mut session = kept.tail(0);
    let segments = three_segments(&kept);
    let gone = std::fs::read_to_string(&segments[0]).unwrap();
    let gone = gone.lines().count();
    std::fs::remove_file(&segments[0]).unwrap();
    assert!(session.next().now_or_never().is_none());
    // The writer goes on to give up that segment.
    while std::fs::read_dir(kept.app_dir()).unwrap().count() < 4 {
        kept.say("more");
    }
    let told = next(&mut session).await;
    let expected = format!("This tail session dropped {gone} messages since");
    assert!(told[0].contains(&expected), "{told:?}");
    assert_eq!(message(&next(&mut session).await[0]), gone.to_string());
}

#[tokio::test]
async fn a_session_goes_on_behind_a_file_that_somebody_took_away_and_says_that_lines_are_missing() {
    let kept = Kept::within(small());
    let mut session = kept.tail(0);
    let segments = three_segments(&kept);
    let gone = std::fs::read_to_string(&segments[0]).unwrap();
    let gone = gone.lines().count();
    std::fs::remove_file(&segments[0]).unwrap();
    assert!(session.next().now_or_never().is_none());
    kept.say("after");
    let told = next(&mut session).await;
    let expected = "Error L11 (Tail buffer overflow) -> This tail session dropped messages since";
    assert!(message(&told[0]).starts_with(expected), "{told:?}");
    let mut seen = Vec::new();
    while seen.last().map(|line: &String| message(line)) != Some("after".to_owned()) {
        seen.extend(next(&mut session).await);
    }
    let numbers = messages(&seen[..seen.len() - 1]);
    let expected: Vec<_> = (gone..gone + numbers.len())
        .map(|number| number.to_string())
        .collect();
    assert_eq!(numbers, expected);
    assert!(told[0][..32] < seen[0][..32]);
    // What is lost later is counted without those.
    for number in 0..5_000 {
        kept.say(&number.to_string());
    }
    let told = message(&next(&mut session).await[0]);
    let dropped = told.split(' ').find_map(|word| word.parse::<usize>().ok());
    assert!(dropped.expect(&told) < 5_000, "{told}");
}

#[tokio::test]
async fn a_slow_session_has_more_room_than_history_has() {
    let kept = Kept::within(small());
    let mut session = kept.tail(0);
    for number in 0..200 {
        kept.say(&number.to_string());
    }
    assert!(files(&kept.app_dir()).len() > 2);
    let seen = messages(&take(&mut session, 200).await);
    assert_eq!((seen[0].as_str(), seen.len()), ("0", 200));
    drop(session);
    for number in 0..200 {
        kept.say(&number.to_string());
    }
    assert_eq!(files(&kept.app_dir()).len(), 2);
}

#[tokio::test]
async fn removing_the_app_ends_its_sessions() {
    let kept = Kept::new();
    let mut waiting = kept.tail(100);
    let mut unread = kept.tail(100);
    let waiter = tokio::spawn(async move { waiting.next().await.is_none() });
    tokio::task::yield_now().await;
    kept.logs.remove(kept.app).unwrap();
    assert!(waiter.await.unwrap());
    assert!(next(&mut unread).await.is_empty());
    assert!(next(&mut kept.tail(100)).await.is_empty());
}

#[tokio::test]
async fn closing_ends_sessions_once_they_have_read_everything() {
    let kept = Kept::new();
    let mut waiting = kept.tail(100);
    let waiter = tokio::spawn(async move { waiting.next().await.is_none() });
    tokio::task::yield_now().await;
    let behind = Id::new();
    let mut unread = kept.logs.session(behind, Filter::default(), 100, true);
    kept.logs.append(behind, Source::App, "web.1", "last words");
    kept.logs.close();
    assert!(waiter.await.unwrap());
    assert_eq!(messages(&next(&mut unread).await), ["last words"]);
    assert!(next(&mut unread).await.is_empty());
    assert!(next(&mut kept.tail(100)).await.is_empty());
    kept.say("while stopping");
    assert_eq!(kept.reopened().messages(), ["while stopping"]);
}

#[tokio::test]
async fn a_broken_session_goes_on_after_the_last_line_it_got() {
    let kept = Kept::new();
    for number in 0..10 {
        kept.say(&number.to_string());
    }
    let mut session = kept.tail(5);
    let place = session.next().await.unwrap().place;
    drop(session);
    for number in 10..400 {
        kept.say(&number.to_string());
    }
    let filter = Filter {
        after: Some(place.at),
        ..Filter::default()
    };
    let session = kept.logs.session(kept.app, filter, 1, true);
    let mut session = session.back_from(Some(place));
    kept.say("400");
    let expected: Vec<_> = (10..=400).map(|number| number.to_string()).collect();
    assert_eq!(messages(&take(&mut session, 391).await), expected);
}

#[tokio::test]
async fn giving_up_a_wait_loses_nothing() {
    let kept = Kept::new();
    kept.say("one");
    let mut session = kept.tail(100);
    // Polled once and dropped, most likely while the start of the history is looked for. If that was quick, it has a line.
    let early = session.next().now_or_never().flatten();
    kept.say("two");
    let mut seen = early.map_or_else(Vec::new, |batch| {
        vec![String::from_utf8(batch.text.to_vec()).unwrap()]
    });
    let missing = 2 - seen.len();
    seen.extend(take(&mut session, missing).await);
    assert_eq!(messages(&seen), ["one", "two"]);
}
