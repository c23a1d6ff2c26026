//! What the documentation says of the official CLI's commands: `make test-cli` writes it, from what it has seen of each.

use penstock::docs;

/// Of each command, what was seen of it and its name.
fn seen() -> Vec<(&'static str, &'static str)> {
    let lines = include_str!("../../cli/commands.txt").lines();
    lines.map(|line| (line[..8].trim(), &line[8..])).collect()
}

fn marked(text: &str) -> &str {
    let (_, rest) = text.split_once("<!-- cli -->\n").unwrap();
    rest.split_once("<!-- end cli -->").unwrap().0
}

fn named<'a>(text: &'a str, line: &str) -> Vec<&'a str> {
    let line = text.lines().find(|one| one.starts_with(line));
    let line = line.unwrap_or_else(|| panic!("{line:?} begins no line"));
    line.split('`').skip(1).step_by(2).collect()
}

#[test]
fn the_page_on_compatibility_names_every_command_that_works() {
    let table = marked(docs::markdown("compatibility").unwrap());
    let mut named_there = 0;
    for (_, name) in seen().iter().filter(|(state, _)| *state == "works") {
        let (topic, rest) = name.split_once(':').unwrap_or((name, ""));
        let row = named(table, &format!("| `{topic}` |"));
        let command = match rest {
            "" => topic.to_owned(),
            rest => format!(":{rest}"),
        };
        assert!(row[1..].contains(&command.as_str()), "{name}");
        named_there += 1;
    }
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let in_all: usize = rows.map(|row| row.split('`').count() / 2 - 1).sum();
    assert_eq!(in_all, named_there, "what does not work is named too");
}

#[test]
fn the_readme_counts_the_commands_and_names_those_that_are_refused() {
    let readme = marked(include_str!("../../../README.md"));
    let works = seen().iter().filter(|(state, _)| *state == "works").count();
    let all = seen().len();
    assert!(readme.starts_with(&format!("Of the {all} commands of `heroku`")));
    assert!(readme.contains(&format!("runs {works} against a server")));
    let refused: Vec<&str> = seen()
        .into_iter()
        .filter(|(state, _)| *state == "refused")
        .map(|(_, name)| name)
        .collect();
    assert_eq!(named(readme, "| refused, in a sentence |"), refused);
}
