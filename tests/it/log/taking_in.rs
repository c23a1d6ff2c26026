//! How messages and raw output become lines.

use super::*;

#[test]
fn a_line_has_the_form_that_heroku_prints() {
    let kept = Kept::new();
    kept.say("hello");
    kept.clock.advance(Duration::from_secs(1));
    kept.logs
        .append(kept.app, Source::Heroku, "router", "at=info");
    assert_eq!(
        kept.all(),
        [
            "2022-02-27T19:53:50.466499+00:00 app[web.1]: hello",
            "2022-02-27T19:53:51.466499+00:00 heroku[router]: at=info",
        ]
    );
}

#[test]
fn lines_of_one_moment_are_a_microsecond_apart_in_the_order_they_came() {
    let kept = Kept::new();
    for number in 0..3 {
        kept.say(&number.to_string());
    }
    assert_eq!(
        kept.all(),
        [
            "2022-02-27T19:53:50.466499+00:00 app[web.1]: 0",
            "2022-02-27T19:53:50.466500+00:00 app[web.1]: 1",
            "2022-02-27T19:53:50.466501+00:00 app[web.1]: 2",
        ]
    );
}

#[test]
fn timestamps_grow_even_over_the_end_of_a_second_and_a_clock_that_goes_back() {
    let mut kept = Kept::new();
    kept.clock = Clock::held(Timestamp::parse("2022-02-27T19:53:59.999999Z").unwrap());
    let mut kept = kept.reopened();
    kept.say("last of the minute");
    kept.say("first of the next");
    kept.clock = Clock::held(Timestamp::parse(T0).unwrap());
    let kept = kept.reopened();
    kept.say("the clock was set back");
    assert_eq!(
        kept.all(),
        [
            "2022-02-27T19:53:59.999999+00:00 app[web.1]: last of the minute",
            "2022-02-27T19:54:00.000000+00:00 app[web.1]: first of the next",
            "2022-02-27T19:54:00.000001+00:00 app[web.1]: the clock was set back",
        ]
    );
}

#[test]
fn a_message_of_several_lines_becomes_several_lines() {
    let kept = Kept::new();
    kept.say("one\r\n\ntwo  \t \n");
    kept.say("");
    kept.say("\n");
    assert_eq!(kept.messages(), ["one", "", "two  \t ", ""]);
}

#[test]
fn an_app_may_colour_its_lines_and_nothing_else() {
    let kept = Kept::new();
    kept.say("\x1b[1;31mred\x1b[0m plain \x1b[2J \x1b[31 \x1b]0;title\x07 \x1b");
    assert_eq!(
        kept.messages(),
        ["\x1b[1;31mred\x1b[0m plain \\u{1b}[2J \\u{1b}[31 \\u{1b}]0;title\\u{7} \\u{1b}"]
    );
}

#[test]
fn no_message_can_look_like_another_line() {
    let forged = "2022-02-27T19:53:50.466499+00:00 heroku[api]: forged";
    for separator in [
        "\r",
        "\r\r",
        "\0",
        "\x0b",
        "\x0c",
        "\x1b[1A\x1b[2K",
        "\x08",
        "\x1c",
        "\x1e",
        "\x7f",
        "\u{85}",
        "\u{9b}1A",
        "\u{2028}",
        "\u{2029}",
    ] {
        let kept = Kept::new();
        kept.say(&format!("honest{separator}{forged}"));
        let lines = kept.all();
        assert_eq!(lines.len(), 1, "{separator:?}");
        let spoils = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
        assert!(!lines[0].contains(spoils), "{:?}", lines[0]);
        assert!(message(&lines[0]).starts_with("honest\\"));
        assert!(message(&lines[0]).ends_with(forged));
    }
}

#[test]
fn a_newline_brings_the_senders_own_label_with_it() {
    let kept = Kept::new();
    kept.say("a\n2022-02-27T19:53:50.466499+00:00 heroku[api]: forged");
    for line in kept.all() {
        let line = Line::parse(&line).unwrap();
        assert_eq!((line.source, line.process), (Source::App, "web.1"));
    }
}

#[test]
fn a_process_cannot_pose_as_another() {
    let kept = Kept::new();
    kept.logs.append(
        kept.app,
        Source::App,
        "web.1]: x\nheroku[api",
        "posing as somebody",
    );
    let lines = kept.all();
    assert_eq!(lines.len(), 1);
    let line = Line::parse(&lines[0]).unwrap();
    assert_eq!(line.process, "web.1___x_heroku_api");
    assert_eq!(line.message, "posing as somebody");
}

#[test]
fn tabs_and_letters_of_all_the_world_stay_as_they_are() {
    let kept = Kept::new();
    let message = "\tgrün – 漢字 ☃ 🚀 é «â» \\n";
    kept.say(message);
    assert_eq!(kept.messages(), [message]);
}

#[test]
fn a_long_line_is_cut_every_10_000_bytes() {
    let kept = Kept::new();
    kept.say(&"x".repeat(10_000));
    kept.say(&"y".repeat(20_001));
    let lengths: Vec<usize> = kept.messages().iter().map(String::len).collect();
    assert_eq!(lengths, [10_000, 10_000, 10_000, 1]);
}

#[test]
fn a_cut_never_goes_through_a_character() {
    for before in 9_995..=10_001 {
        let kept = Kept::new();
        let message = format!("{}🚀{}", "x".repeat(before), "y".repeat(30));
        kept.say(&message);
        let pieces = kept.messages();
        assert_eq!(pieces.concat(), message, "rocket at {before}");
        assert!(pieces.iter().all(|piece| piece.len() <= 10_000));
    }
}

#[test]
fn escaping_does_not_make_a_line_longer_than_allowed() {
    let kept = Kept::new();
    kept.say(&"\0".repeat(9_000));
    let pieces = kept.messages();
    assert!(pieces.iter().all(|piece| piece.len() <= 10_000));
    assert_eq!(pieces.concat(), "\\u{0}".repeat(9_000));
}

/// Everything that makes cutting up hard, in one output.
fn awkward() -> Vec<u8> {
    let mut output = b"short\n\n\r\nwith a return\r\nbad \xff\xfe utf-8 \xe2\x82\n".to_vec();
    output.extend("ü".repeat(7_000).bytes());
    output.extend(b"\r\n");
    output.extend(vec![b'x'; 10_000]);
    output.extend(b"\r\n");
    output.extend(vec![0x80; 10_005]);
    output.extend(b"\n");
    output.extend(vec![b'z'; 30_001]);
    output.extend(b"\nunfinished");
    output
}

#[test]
fn how_output_is_chunked_makes_no_difference() {
    let output = awkward();
    let taken_in = |size: usize| {
        let kept = Kept::new();
        let mut lines = kept.logs.lines(kept.app, Source::App, "web.1");
        for chunk in output.chunks(size) {
            lines.feed(chunk);
        }
        lines.finish();
        kept.messages()
    };
    let whole = taken_in(output.len());
    assert_eq!(
        whole[..5],
        [
            "short",
            "",
            "",
            "with a return",
            "bad \u{fffd}\u{fffd} utf-8 \u{fffd}"
        ]
    );
    assert_eq!(whole.last().unwrap(), "unfinished");
    for size in [1, 2, 7, 1000, 9_999, 10_000, 10_001, 10_002, 20_000] {
        assert_eq!(taken_in(size), whole, "chunks of {size}");
    }
}

#[test]
fn an_unfinished_line_waits_for_its_end() {
    let kept = Kept::new();
    let mut lines = kept.logs.lines(kept.app, Source::App, "web.1");
    lines.feed(b"first\nsec");
    assert_eq!(kept.messages(), ["first"]);
    lines.feed(b"ond\n");
    assert_eq!(kept.messages(), ["first", "second"]);
}

#[test]
fn an_unfinished_line_is_kept_when_its_process_has_ended_and_left_to_the_next_reader_else() {
    let kept = Kept::new();
    let mut lines = kept.logs.lines(kept.app, Source::App, "web.1");
    lines.feed(b"first\nlast words");
    assert_eq!(lines.unfinished(), 10);
    drop(lines);
    assert_eq!(kept.messages(), ["first"]);
    let mut lines = kept.logs.lines(kept.app, Source::App, "web.1");
    lines.feed(b"last words");
    lines.finish();
    assert_eq!(kept.messages(), ["first", "last words"]);
}

#[test]
fn lines_that_were_said_earlier_have_the_time_at_which_they_were_said_unless_later_ones_came_first()
{
    let kept = Kept::new();
    let mut lines = kept.logs.lines(kept.app, Source::App, "web.1");
    let now = kept.clock.now();
    let earlier = Timestamp::from_micros(now.micros() - 5_000_000);
    lines.feed_at(b"earlier\n", earlier);
    lines.feed_at(b"ahead\n", now.plus(Duration::from_secs(60)));
    lines.feed_at(b"late\n", earlier);
    assert_eq!(
        kept.all(),
        [
            "2022-02-27T19:53:45.466499+00:00 app[web.1]: earlier",
            "2022-02-27T19:53:50.466499+00:00 app[web.1]: ahead",
            "2022-02-27T19:53:50.466500+00:00 app[web.1]: late",
        ]
    );
}
