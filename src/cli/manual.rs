//! `penstock completions` and `penstock man`: what a shell and `man` know of the command line, made from the same description that
//! reads it.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, print};
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
        let command = Cli::command();
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
