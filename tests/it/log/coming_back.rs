//! Tails that are cut off, and come back to where they were.

use penstock::log::{Batch, Place};

use super::*;
use crate::binary::HANG;

/// A tail that comes back to the place that it was given last.
fn back(kept: &Kept, place: Place) -> Session {
    let filter = Filter {
        after: Some(place.at),
        ..Filter::default()
    };
    let session = kept.logs.session(kept.app, filter, 0, true);
    session.back_from(Some(place))
}

/// What a session says next, before it is cut off.
async fn once(mut session: Session) -> Batch {
    let next = tokio::time::timeout(HANG, session.next());
    next.await.expect("it has nothing more to say").unwrap()
}

/// One dyno says so much that all files go that are there. How many lines that took.
fn flood(kept: &Kept) -> u64 {
    let of_log = |file: &std::path::PathBuf| file.extension().is_some_and(|ext| ext == "log");
    let newest = files(&kept.app_dir()).into_iter().rfind(of_log).unwrap();
    let mut lines = 0;
    while newest.exists() {
        kept.say(&"x".repeat(400));
        lines += 1;
        assert!(lines < 10_000, "nothing is deleted");
    }
    lines
}

#[tokio::test]
async fn a_tail_that_is_cut_off_behind_every_word_gets_each_line_or_is_told_of_it() {
    let kept = Kept::within(small());
    kept.say("before");
    let mut place = once(kept.tail(1)).await.place;
    // Its time is the very next one, and it outlives the file that it is in.
    let routed = "at=info";
    kept.logs.append(kept.app, Source::Heroku, "router", routed);
    let mut said = 1 + flood(&kept);
    let told = once(back(&kept, place)).await;
    assert!(told.lost > 0, "{told:?}");
    (place, said) = (told.place, said + flood(&kept) + 1);
    kept.say("the end");
    let (mut lost, mut seen) = (told.lost, Vec::new());
    while seen.last().is_none_or(|last| last != "the end") {
        let batch = once(back(&kept, place)).await;
        place = batch.place;
        lost += batch.lost;
        if batch.lost == 0 {
            let text = std::str::from_utf8(&batch.text).unwrap();
            seen.extend(text.lines().map(message));
        }
    }
    assert_eq!(seen[0], routed);
    assert_eq!(lost + seen.len() as u64, said);
}
