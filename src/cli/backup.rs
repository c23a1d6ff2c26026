//! `penstock backup` and `penstock restore`: one file that has a whole server in it. A backup is made while the server runs.

use std::fs;
use std::io::{IsTerminal, Write, stderr};
use std::path::PathBuf;

use clap::Args;

use super::print::{self, Json};
use crate::backup::{self, Key};
use crate::config::DataDirArg;
use crate::error::{Error, Result};
use crate::secret::SEALING_KEY;
use crate::time::Clock;

#[derive(Args)]
#[command(after_help = "Examples:
  penstock backup /backups/penstock-$(date +%F).tar
  penstock backup --without-key /mnt/elsewhere/penstock.tar

The file has the database, slugs and sources, build outputs, repositories, kept buildpacks and the server's keys; not its logs, nor \
  the caches of builds. Its digests are checked before it gets its name. With the key in it, whoever reads the file has every \
  secret; without, config vars, tokens and private keys stay sealed, and a restore needs the file sealing_key of the data directory: \
  keep a copy of that somewhere else. It never changes.")]
pub struct Backup {
    /// The file that is written, for this user alone; an older one of that name is replaced when this one is whole
    file: PathBuf,

    /// Leave out the key that opens the secrets in it
    #[arg(long)]
    without_key: bool,

    #[command(flatten)]
    form: Json,

    #[command(flatten)]
    data_dir: DataDirArg,
}

#[derive(Args)]
#[command(after_help = "Examples:
  penstock restore /backups/penstock-2026-08-01.tar --data-dir /var/lib/penstock
  penstock restore penstock.tar --key sealing_key --data-dir /var/lib/penstock

Then start a server on it with the settings of the old one, and stop the old one first: two servers with the same apps would both \
  run their cron jobs and renew their certificates.")]
pub struct Restore {
    /// A file that `penstock backup` has written
    file: PathBuf,

    /// The key, for a backup that was made without: the file sealing_key of the data directory that was backed up
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,

    #[command(flatten)]
    form: Json,

    #[command(flatten)]
    data_dir: DataDirArg,
}

impl Backup {
    pub fn run(&self) -> Result<()> {
        let data = super::data_dir(&self.data_dir)?;
        let now = Clock::System.now();
        let mut shown = 0;
        let mut progress = |done: u64| {
            if done >> 24 != shown && stderr().is_terminal() {
                shown = done >> 24;
                eprint!("\r{} MiB", done >> 20);
                let _ = stderr().flush();
            }
        };
        let made = backup::make(&data, &self.file, !self.without_key, now, &mut progress);
        if shown > 0 {
            eprint!("\r\x1b[K");
        }
        let made = made?;
        if self.form.json {
            return print::json(&made);
        }
        eprintln!(
            "{} has {} files in {} bytes, and all were read once more.",
            made.file.display(),
            made.files,
            made.size
        );
        match made.has_key {
            true => eprintln!(
                "The key to its secrets is in it: keep it where nobody else reads it, or use --without-key."
            ),
            false => eprintln!(
                "The key to its secrets is not in it: a restore needs a copy of {}. Keep that somewhere else.",
                data.path(SEALING_KEY).display()
            ),
        }
        Ok(())
    }
}

impl Restore {
    pub fn run(&self) -> Result<()> {
        let key = self.key.as_ref().map(|file| {
            let text = fs::read_to_string(file).map_err(|cause| Error::unreadable(file, &cause))?;
            Key::parse(&text)
        });
        let to = &self.data_dir.data_dir;
        let restored = backup::restore(&self.file, to, key.transpose()?, Clock::System.now())?;
        if self.form.json {
            return print::json(&restored);
        }
        eprintln!(
            "{} is what the server was at {}. Start it, with its old settings: penstock serve --data-dir {}",
            restored.data_dir.display(),
            restored.created_at,
            restored.data_dir.display()
        );
        Ok(())
    }
}
