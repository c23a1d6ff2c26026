//! The Procfile, by Heroku's rule.

use penstock::error::ErrorId;
use penstock::process_types::procfile::{doubtful, parse};

fn read(text: &str) -> Vec<(String, String)> {
    parse(text)
        .unwrap()
        .into_iter()
        .map(|(name, command)| (name.to_string(), command))
        .collect()
}

#[track_caller]
fn reads(text: &str, expected: &[(&str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(name, command)| ((*name).to_owned(), (*command).to_owned()))
        .collect();
    assert_eq!(read(text), expected);
}

#[test]
fn each_line_declares_a_process_type() {
    reads(
        "web: node app.js\nworker-2:\tpython -m work  \nMy_Clock:  tick",
        &[
            ("My_Clock", "tick"),
            ("web", "node app.js"),
            ("worker-2", "python -m work"),
        ],
    );
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_accepted() {
    reads(
        "\u{feff}web: a\r\nworker: b\r\n",
        &[("web", "a"), ("worker", "b")],
    );
}

#[test]
fn blank_and_comment_lines_are_skipped() {
    reads(
        "\n  \n# web: no\n#web: no\nweb: a # the shell's comment\n\n",
        &[("web", "a # the shell's comment")],
    );
    assert!(
        doubtful("\n  \r\n# web: no\n#web no\n  # nor this\nweb: a # the shell's\nworker:\tb")
            .is_empty()
    );
}

#[test]
fn the_colon_may_be_missing_but_not_the_blank() {
    reads("  web3 y z\nweb:python app.py\n", &[("web3", "y z")]);
}

#[test]
fn a_line_that_is_not_what_it_seems_is_named_with_what_it_should_be() {
    let said = |text: &str| -> Vec<String> {
        let found = doubtful(text);
        found.iter().map(ToString::to_string).collect()
    };
    let text = "ok: x\nweb:python app.py\nweb:\n<<<<<<< HEAD\nworker: \nclock tick 5\nrelease : ./migrate\n";
    let all = said(text);
    let should = |line: &str| format!("Write \"{line}\".");
    for (said, (line, words)) in all.iter().zip([
        (2, should("web: python app.py")),
        (3, "declares nothing".to_owned()),
        (4, "declares nothing".to_owned()),
        (5, "declares nothing".to_owned()),
        (6, "It is taken for \"clock: tick 5\"".to_owned()),
        (7, should("release: ./migrate")),
    ]) {
        let start = format!("Line {line} of the Procfile ");
        assert!(said.starts_with(&start) && said.contains(&words), "{said}");
    }
    assert_eq!(all.len(), 6);
    // A long line is known by its beginning.
    let long = &said(&format!("web {}", "é".repeat(60_000 / 2)))[0];
    assert!(
        long.chars().count() < 300 && long.contains("é…\""),
        "{long}"
    );
}

#[test]
fn the_last_of_two_lines_for_one_type_counts() {
    reads("web: a\nweb: b", &[("web", "b")]);
}

#[test]
fn a_command_is_kept_as_it_is() {
    reads(
        "web: $(curl x) && \"é: y\" ;\u{a0}",
        &[("web", "$(curl x) && \"é: y\" ;\u{a0}")],
    );
}

#[test]
fn an_unreadable_procfile_is_refused_by_its_line() {
    let refused = |text: &str| {
        let error = parse(text).unwrap_err();
        assert_eq!(error.id, ErrorId::InvalidParams);
        error.message.into_owned()
    };
    assert!(refused(&format!("web: a\n\n{}: b", "x".repeat(129))).contains("Line 3 "));
    assert!(refused("web: a\nworker: \0").contains("Line 2 "));
    let many: String = (0..1_001).map(|n| format!("p{n}: x\n")).collect();
    assert!(refused(&many).contains("Line 1001 "));
    assert!(refused(&format!("web: {}", "x".repeat(65_536))).contains("65541"));
    assert_eq!(read(&many[..many.len() - "p1000: x\n".len()]).len(), 1_000);
    reads(
        &format!("{}: b", "x".repeat(128)),
        &[("x".repeat(128).as_str(), "b")],
    );
}
