//! The commands of a page, as one script, and what they are said to print.
//!
//! In the source of a page a block of `sh` is run. One of `sh needs: PROGRAM` is where there is such a program, of which the server is
//! told if it is in a home; one of `sh asks: PROGRAM` likewise, at a terminal, where what the program asks is answered. There is no
//! other reason for which a command would not be run. One of `sh stays` goes on in a terminal of its own, and is ready for the next
//! when it has printed what it is said to; `in the clone` says where a block is typed. A block of `text` right after one that was run
//! is what it printed: each line in that order, where `…` stands for whatever was there.

use std::path::PathBuf;
use std::process::Output;

use penstock::docs::{PAGES, Page};

use super::{beside, machine, programs};

/// Printed before the output of each block.
const MARK: &str = "@@ block";
/// How a page puts the official CLI on the machine.
const INSTALLS: &str = "sudo npm install ";
const README: Page = Page {
    name: "README",
    part: "",
    markdown: include_str!("../../../README.md"),
};
/// Types at a terminal.
const TERMINAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cli/bin/terminal");
/// What somebody answers whom the official CLI asks who he is: his address, and the token that was handed to him.
const ANSWERS: &str = r#"'Email => bob@example.com' "Password => $(cat bob-token)""#;
/// What a page's reader has done before, by the page that says how.
const BEFORE: [(&str, &str); 1] = [("operating", "installing")];

pub struct Script {
    pub page: &'static str,
    blocks: Vec<Block>,
    /// What the server is told to let builds read, so that they find what the page needs.
    pub readable: Vec<PathBuf>,
}

#[derive(Default)]
struct Block {
    /// Its page and line, for who looks for it.
    place: String,
    commands: String,
    printed: Vec<&'static str>,
    stays: bool,
    asks: bool,
    in_the_clone: bool,
}

impl Script {
    /// Of what is typed for a page, with what its reader has typed before.
    pub fn of(page: &Page) -> Script {
        let own = Script::read(page);
        let before = BEFORE.iter().find(|(name, _)| *name == page.name);
        let Some((_, before)) = before else {
            return own;
        };
        let before = PAGES.iter().find(|page| page.name == *before).unwrap();
        let mut whole = Script::read(before);
        whole.page = own.page;
        whole.blocks.extend(own.blocks);
        whole.readable.extend(own.readable);
        whole
    }

    pub fn of_the_readme() -> Script {
        Script::read(&README)
    }

    /// Panics where a block is of a kind that nobody knows, or not run for no reason.
    pub fn read(page: &Page) -> Script {
        let mut script = Script {
            page: page.name,
            blocks: Vec::new(),
            readable: Vec::new(),
        };
        let mut lines = page.markdown.lines().enumerate();
        let mut after_commands = false;
        while let Some((at, line)) = lines.next() {
            let Some(kind) = line.strip_prefix("```") else {
                continue;
            };
            let text = lines.by_ref().map(|(_, line)| line);
            let text: Vec<&str> = text.take_while(|line| *line != "```").collect();
            let place = format!("{}:{}", page.name, at + 1);
            let was_after_commands = std::mem::replace(&mut after_commands, false);
            match kind.split_once(' ').unwrap_or((kind, "")) {
                ("sh", how) => after_commands = script.take(place, how, &text),
                ("text", "") if was_after_commands => {
                    script.blocks.last_mut().unwrap().printed = text;
                }
                ("text" | "json" | "yaml" | "toml" | "ini" | "rust", "") => {}
                _ => panic!("{place}: what is a block of {kind:?}?"),
            }
        }
        script
    }

    /// Whether the block is run.
    fn take(&mut self, place: String, how: &str, text: &[&str]) -> bool {
        let mut block = Block {
            commands: text.join("\n"),
            ..Block::default()
        };
        match how.split_once(": ").unwrap_or((how, "")) {
            ("", "") => {}
            ("stays", "") => block.stays = true,
            ("in the clone", "") => block.in_the_clone = true,
            ("stays in the clone", "") => (block.stays, block.in_the_clone) = (true, true),
            (kind @ ("needs" | "asks"), program) => {
                block.asks = kind == "asks";
                let Some(found) = programs::found(program) else {
                    programs::may_be_missing(program);
                    eprintln!("skipped: {place} needs {program}");
                    return false;
                };
                let readable = programs::to_be_read(program, &found);
                self.readable.extend(readable);
            }
            _ => panic!("{place}: what is {how:?}?"),
        }
        block.place = place;
        self.blocks.push(block);
        true
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Whether a line of it begins with these words.
    pub fn types(&self, words: &str) -> bool {
        let mut lines = self.blocks.iter().flat_map(|block| block.commands.lines());
        lines.any(|line| line.trim_start().starts_with(words))
    }

    pub fn installs_the_cli(&self) -> bool {
        self.types(INSTALLS)
    }

    fn needs_the_cli(&self) -> bool {
        let mut blocks = self.blocks.iter();
        self.types("heroku ") || blocks.any(|block| block.commands.contains("$(heroku "))
    }

    /// Whether it is about a whole machine: the services that it runs, or what goes on in another terminal.
    fn needs_a_machine(&self) -> bool {
        self.types("systemctl ") || self.blocks.iter().any(|block| block.stays)
    }

    /// Where there is no machine for it, it is run beside a server that is there, without what is about the machine.
    pub fn run(self) {
        let cli = programs::cli();
        if self.needs_the_cli() && cli.is_none() {
            eprintln!(
                "skipped: {} is for the official CLI; {} names it",
                self.page,
                programs::CLI
            );
            return;
        }
        if self.needs_a_machine() && machine::run(&self, cli.as_deref()) {
            return;
        }
        if !self.types("systemctl ") {
            beside::run(&self.without_a_machine(), cli.as_deref());
        }
    }

    fn without_a_machine(mut self) -> Script {
        let installs = |block: &Block| block.commands.starts_with(INSTALLS);
        let blocks = &mut self.blocks;
        blocks.retain(|block| !block.stays && !block.in_the_clone && !installs(block));
        self
    }

    /// What is typed into bash.
    pub fn typed(&self) -> String {
        let mut typed = "exec 2>&1\n".to_owned();
        for block in &self.blocks {
            let (place, commands) = (&block.place, block.typed());
            typed.push_str(&format!("printf '\\n{MARK} at {place}\\n'\n{commands}\n"));
        }
        typed
    }

    /// Holds what was printed to what the page says, as it is with the ports that were used.
    #[track_caller]
    pub fn check(&self, ran: &Output, with_ports: impl Fn(&str) -> String) {
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(
            ran.status.success(),
            "{}: a command of the last block failed with {}:\n{said}{}",
            self.page,
            ran.status,
            String::from_utf8_lossy(&ran.stderr)
        );
        let parts: Vec<&str> = said.split(MARK).skip(1).collect();
        assert!(parts.len() >= self.blocks.len(), "{said}");
        for (block, said) in self.blocks.iter().zip(parts) {
            let mut lines = said.lines();
            for expected in &block.printed {
                let expected = with_ports(expected.trim_end());
                assert!(
                    lines.any(|line| is_like(line.trim_end(), &expected)),
                    "{}: {expected:?} is not in what was printed, or not in this order:\n{said}",
                    block.place
                );
            }
        }
    }
}

impl Block {
    fn typed(&self) -> String {
        let mut commands = self.commands.clone();
        if self.asks {
            let quoted = commands.replace('\'', r"'\''");
            commands = format!("'{TERMINAL}' {ANSWERS} -- bash -euc '{quoted}'");
        }
        if self.stays {
            assert!(
                !self.printed.is_empty(),
                "{}: by what is it seen that it is ready?",
                self.place
            );
            let quoted = commands.replace('\'', r"'\''");
            let printed = self.printed.join("\n");
            commands = format!("terminal '{quoted}' <<'@@'\n{printed}\n@@");
        }
        match self.in_the_clone {
            true => format!("(\ncd ~/penstock\n{commands}\n)"),
            false => commands,
        }
    }
}

/// Whether a line is what was expected, where `…` stands for anything.
fn is_like(line: &str, expected: &str) -> bool {
    let mut rest = line;
    for (at, part) in expected.split('…').enumerate() {
        match rest.find(part) {
            Some(found) if at > 0 || found == 0 => rest = &rest[found + part.len()..],
            _ => return false,
        }
    }
    rest.is_empty() || expected.ends_with('…')
}
