//! The commands and settings that a page only names, in its running text: they are not typed, but they are there.

use penstock::docs::PAGES;

use crate::binary::penstock;

const MAKEFILE: &str = include_str!("../../../Makefile");
const CI: &str = include_str!("../../../.ci/run");
/// Of each of the official CLI's commands, what `make test-cli` has seen of it, and its name.
const CLI: &str = include_str!("../../cli/commands.txt");
/// Other names of these, which the CLI gives no help on.
const ALIASES: [(&str, &str); 2] = [("create", "apps:create"), ("login", "auth:login")];
/// Settings of other programs.
const OTHERS: [&str; 6] = [
    "--retry",
    "--source",
    "--dyno",
    "--to",
    "--expires-in",
    "--exit-code",
];

/// What stands between backticks in the running text of a page.
struct Named {
    page: &'static str,
    text: String,
    /// What the line goes on with.
    then: String,
}

fn named() -> Vec<Named> {
    let readme = ("README", include_str!("../../../README.md"));
    let pages = PAGES.iter().map(|page| (page.name, page.markdown));
    let mut named = Vec::new();
    for (page, markdown) in pages.chain([readme]) {
        let mut running = String::new();
        // What stands between fences is typed, or printed.
        for text in markdown.split("\n```").step_by(2) {
            running.push_str(text.split_once('\n').map_or("", |(_, text)| text));
            running.push('\n');
        }
        let parts: Vec<&str> = running.split('`').collect();
        named.extend(parts[1..].chunks_exact(2).map(|part| Named {
            page,
            text: part[0].replace('\n', " "),
            then: part[1].lines().next().unwrap_or_default().to_owned(),
        }));
    }
    named
}

/// Those that begin with a word, without it.
fn after(word: &str) -> Vec<Named> {
    let named = named().into_iter().filter_map(|named| {
        let text = named.text.strip_prefix(word)?.strip_prefix(' ')?.to_owned();
        Some(Named { text, ..named })
    });
    let named: Vec<Named> = named.collect();
    assert!(named.len() > 5, "only {} begin with {word}", named.len());
    named
}

/// What `--help` says of a command; nothing where there is none.
fn help(words: &[&str]) -> Option<String> {
    let output = penstock(words).arg("--help").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    Some(said).filter(|_| output.status.success())
}

fn flags(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split([' ', '=']);
    words.filter(|word| word.len() > 2 && word.starts_with("--"))
}

fn has_flag(help: &str, flag: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
    let mut found = help.split(flag).skip(1);
    found.any(ends)
}

#[test]
fn a_command_of_the_official_cli_that_is_named_is_one_that_was_seen() {
    for Named { page, text, then } in after("heroku") {
        let name = text.split(' ').next().unwrap();
        let alias = ALIASES.iter().find(|(alias, _)| *alias == name);
        let name = alias.map_or(name, |(_, name)| *name);
        let seen = CLI.lines().find(|line| line[8..].trim() == name);
        let seen = seen.unwrap_or_else(|| panic!("{page}: `heroku {text}` is unknown"));
        let is_there = !seen.starts_with("never") || then.contains("none");
        assert!(is_there, "{page}: {seen}");
    }
}

#[test]
fn a_command_of_penstock_that_is_named_is_there_with_its_settings() {
    for Named { page, text, .. } in after("penstock") {
        let words = text.split(' ').take_while(|word| !word.starts_with('-'));
        let words: Vec<&str> = words.collect();
        let help = help(&words);
        let help = help.unwrap_or_else(|| panic!("{page}: `penstock {text}` is unknown"));
        for flag in flags(&text) {
            assert!(has_flag(&help, flag), "{page}: {flag} is unknown: {text}");
        }
    }
}

#[test]
fn a_setting_that_is_named_is_there() {
    const COMMANDS: [&str; 6] = ["serve", "connect", "backup", "restore", "doctor", "static"];
    let help: String = COMMANDS.iter().filter_map(|name| help(&[name])).collect();
    let mut seen = 0;
    for Named { page, text, .. } in named() {
        let is_setting = text.starts_with("--");
        let settings = flags(&text).filter(|flag| is_setting && !OTHERS.contains(flag));
        for flag in settings {
            assert!(has_flag(&help, flag), "{page}: {flag} is unknown");
            seen += 1;
        }
    }
    assert!(seen > 40, "only {seen} settings were found");
}

#[test]
fn a_target_of_make_that_is_named_is_there_and_what_ci_runs_is_too() {
    let in_ci = CI
        .lines()
        .filter_map(|line| line.trim().strip_prefix("make "));
    let in_ci: Vec<String> = in_ci.map(str::to_owned).collect();
    for target in ["lint", "test"] {
        assert!(in_ci.iter().any(|one| one == target), "CI runs {in_ci:?}");
    }
    let named = after("make").into_iter().map(|named| named.text);
    for command in named.chain(in_ci) {
        let target = command.split(' ').next().unwrap();
        let head = format!("\n{target}:");
        assert!(MAKEFILE.contains(&head), "there is no `make {target}`");
    }
}
