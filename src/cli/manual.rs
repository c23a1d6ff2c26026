//! `penstock completions` and `penstock man`: what a shell and `man` know of the command line, made from the same description that
//! reads it.

use std::fs;
use std::path::PathBuf;

use clap::{Arg, Args, Command, CommandFactory};
use clap_complete::Shell;

use super::{Cli, print};
use crate::config::default_data_dir;
use crate::error::{Error, Result};

#[derive(Args)]
#[command(after_help = "Examples:
  source <(penstock completions bash)
  penstock completions zsh > \"${fpath[1]}/_penstock\"
  penstock completions fish > ~/.config/fish/completions/penstock.fish")]
pub struct Completions {
    /// The shell that completes
    shell: Shell,
}

#[derive(Args)]
#[command(after_help = "Examples:
  penstock man | man -l -
  penstock man --dir /usr/local/share/man/man1")]
pub struct Man {
    /// Write a page for each command into this folder, instead of printing the first one
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Completions {
    pub fn run(&self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "penstock", &mut script);
        print::line(&String::from_utf8_lossy(&script))
    }
}

impl Man {
    /// 409 where a page cannot be written.
    pub fn run(&self) -> Result<()> {
        let command = for_everybody(Cli::command());
        let Some(dir) = &self.dir else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            return print::line(&String::from_utf8_lossy(&page));
        };
        fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(command, dir))
            .map_err(|cause| {
                Error::conflict(format!(
                    "The pages cannot be written to {}: {cause}. Name another folder with --dir.",
                    dir.display()
                ))
            })
    }
}

/// As it is for whoever reads the page, and not for who makes it: the default of a folder at home is not that of the maker's home. The
/// help of the help has no page.
fn for_everybody(command: Command) -> Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    let own = default_data_dir();
    let is_own = |argument: &Arg| {
        argument
            .get_default_values()
            .first()
            .is_some_and(|value| **value == *own)
    };
    let command =
        command
            .disable_help_subcommand(true)
            .mut_args(|argument| match is_own(&argument) {
                true => {
                    let help = argument
                        .get_help()
                        .map(ToString::to_string)
                        .unwrap_or_default();
                    argument
                        .hide_default_value(true)
                        .help(format!("{help} [default: ~/.local/share/penstock]"))
                }
                false => argument,
            });
    names.iter().fold(command, |command, name| {
        command.mut_subcommand(name, for_everybody)
    })
}
