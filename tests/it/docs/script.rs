//! The commands of a page, as one script, and what they are said to print.
//!
//! In the source of a page a block of `sh` is run. One of `sh needs: PROGRAM` is where there is such a program, of which the server is told if it is
//! in a home, and one of `sh no-run: REASON` never, since no test can have what it needs. A block
//! of `text` right after one that was run is what it printed: each line in that order, where `…` stands for whatever was there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::binary::{Place, Server, TIED};

/// In seconds: only a hang takes so long. A page has some thirty commands of the official CLI, and a busy machine takes its time.
const HANG: &str = "900";
/// Printed before the output of each block.
const MARK: &str = "@@ block";

/// Names the official CLI, as `make test-docs` does. Each of its commands takes seconds, so `make test` goes without.
const CLI: &str = "PENSTOCK_HEROKU";

pub struct Script {
    page: &'static str,
    blocks: Vec<Block>,
    /// What the server is told to let builds read, so that they find what the page needs.
    readable: Vec<PathBuf>,
}

#[derive(Default)]
struct Block {
    /// In the page, for who looks for it.
    line: usize,
    commands: String,
    printed: Vec<&'static str>,
}

impl Script {
    /// Panics where a block is of a kind that nobody knows, or not run for no reason.
    pub fn read(page: &'static str, markdown: &'static str) -> Script {
        let mut blocks: Vec<Block> = Vec::new();
        let mut lines = markdown.lines().enumerate();
        let mut after_commands = false;
        let mut readable = Vec::new();
        while let Some((at, line)) = lines.next() {
            let Some(kind) = line.strip_prefix("```") else {
                continue;
            };
            let text = lines.by_ref().map(|(_, line)| line);
            let text: Vec<&str> = text.take_while(|line| *line != "```").collect();
            let was_after_commands = std::mem::replace(&mut after_commands, false);
            match kind.split_once(' ').unwrap_or((kind, "")) {
                ("sh", "") => {
                    after_commands = true;
                    blocks.push(block(at, &text));
                }
                ("sh", needs) if needs.starts_with("needs: ") => {
                    let program = needs.trim_start_matches("needs: ");
                    let Some(found) = found(program) else {
                        eprintln!("skipped: {page}:{} needs {program}", at + 1);
                        continue;
                    };
                    readable.extend(to_be_read(program, &found));
                    after_commands = true;
                    blocks.push(block(at, &text));
                }
                ("sh", why) => {
                    let reason = why.strip_prefix("no-run: ").unwrap_or_default();
                    assert!(reason.len() > 10, "{page}:{}: no reason is given", at + 1);
                }
                ("text", "") if was_after_commands => {
                    let block = blocks.last_mut().unwrap();
                    block.printed = text;
                }
                ("text" | "json" | "yaml" | "toml" | "ini" | "rust", "") => {}
                _ => panic!("{page}:{}: what is a block of {kind:?}?", at + 1),
            }
        }
        Script {
            page,
            blocks,
            readable,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    fn needs_the_cli(&self) -> bool {
        let mut lines = self.blocks.iter().flat_map(|block| block.commands.lines());
        lines.any(|line| line.trim_start().starts_with("heroku ") || line.contains("$(heroku "))
    }

    /// Types the commands in an empty directory of an empty home, beside a server of its own.
    pub fn run(&self) {
        let cli = std::env::var_os(CLI).map(PathBuf::from);
        if self.needs_the_cli() && cli.is_none() {
            eprintln!(
                "skipped: {} is for the official CLI; {CLI} names it",
                self.page
            );
            return;
        }
        let place = Place::new();
        let mut arguments = vec![TIED];
        for folder in &self.readable {
            arguments.extend(["--dyno-readable", folder.to_str().unwrap()]);
        }
        let server = Server::start(place.command(&arguments), &place.log());
        let programs = programs(&place, cli.as_deref());
        let home = place.path("home");
        let empty = home.join("work");
        std::fs::create_dir_all(&empty).unwrap();
        let path = std::env::var("PATH").unwrap();
        let ran = Command::new("timeout")
            .args([HANG, "bash", "-euo", "pipefail", "-c"])
            .arg(with_ports(&self.typed(), &server))
            .current_dir(&empty)
            .env_clear()
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HOME", &home)
            .env("PENSTOCK_DATA_DIR", server.data())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(
            ran.status.success(),
            "{}: a command of the last block failed with {}:\n{said}",
            self.page,
            ran.status
        );
        self.check(&said, &server);
    }

    fn typed(&self) -> String {
        let mut typed = "exec 2>&1\n".to_owned();
        for block in &self.blocks {
            let (line, commands) = (block.line, &block.commands);
            typed.push_str(&format!(
                "printf '\\n{MARK} at line {line}\\n'\n{commands}\n"
            ));
        }
        typed
    }

    fn check(&self, said: &str, server: &Server) {
        let parts = said.split(MARK).skip(1);
        for (block, said) in self.blocks.iter().zip(parts) {
            let mut lines = said.lines();
            for expected in &block.printed {
                let expected = with_ports(expected.trim_end(), server);
                assert!(
                    lines.any(|line| is_like(line.trim_end(), &expected)),
                    "{}:{}: {expected:?} is not in what was printed, or not in this order:\n{said}",
                    self.page,
                    block.line
                );
            }
        }
    }
}

fn block(at: usize, text: &[&str]) -> Block {
    Block {
        line: at + 1,
        commands: text.join("\n"),
        printed: Vec::new(),
    }
}

/// A folder for the PATH: the program under test, where README's reader has it too, and the official CLI.
fn programs(place: &Place, cli: Option<&Path>) -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_penstock"));
    let programs = place.path("home/penstock/target/release");
    std::fs::create_dir_all(&programs).unwrap();
    std::os::unix::fs::symlink(program, programs.join("penstock")).unwrap();
    if let Some(cli) = cli {
        std::os::unix::fs::symlink(cli, programs.join("heroku")).unwrap();
    }
    programs
}

/// Tests are run side by side, so no server has the usual ports.
fn with_ports(text: &str, server: &Server) -> String {
    let (_, api) = server.ready.api_url.rsplit_once(':').unwrap();
    text.replace(
        "localhost:8080",
        &format!("localhost:{}", server.router_port()),
    )
    .replace("127.0.0.1:5000", &format!("127.0.0.1:{api}"))
    .replace("localhost:5000", &format!("localhost:{api}"))
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

/// Where a program is, be it in a PATH or where its installer puts it.
fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let usual = home.map(|home| home.join(".cargo/bin"));
    let mut folders = std::env::split_paths(&path).chain(usual);
    folders.find_map(|folder| Some(folder.join(program)).filter(|found| found.is_file()))
}

/// What the page says has to be read for it to be found, where it is in somebody's home.
fn to_be_read(program: &str, found: &Path) -> Vec<PathBuf> {
    let bin = found.parent().unwrap();
    if ["/usr", "/bin", "/opt"]
        .iter()
        .any(|usual| bin.starts_with(usual))
    {
        return Vec::new();
    }
    match program {
        "cargo" => vec![
            bin.to_owned(),
            bin.ancestors().nth(2).unwrap().join(".rustup"),
        ],
        _ => vec![bin.parent().unwrap().to_owned()],
    }
}
