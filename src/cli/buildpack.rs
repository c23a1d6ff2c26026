//! `penstock buildpack`: the buildpacks that are kept on this machine, for builds that name them.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::print::{self, Json, Row};
use crate::build::{Kept, Registry};
use crate::config::DataDirArg;
use crate::error::{Error, ErrorId, Result};

#[derive(Subcommand)]
pub enum Buildpack {
    /// Keep a buildpack under a name; a running server uses it from its next build on
    Import(Import),
    /// List the buildpacks that are kept
    List(List),
    /// Remove a buildpack; builds that name it fail from then on
    Remove(Remove),
}

#[derive(Args)]
#[command(after_help = "Examples:
  penstock buildpack import heroku/nodejs ./nodejs.tgz
  penstock buildpack import mine/pack ./my-buildpack")]
pub struct Import {
    #[command(flatten)]
    data_dir: DataDirArg,

    /// The name that apps use, such as heroku/nodejs
    #[arg(value_name = "NAME")]
    name: String,

    /// A tar.gz or a folder with bin/detect and bin/compile
    #[arg(value_name = "PATH")]
    from: PathBuf,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    form: Json,

    #[command(flatten)]
    data_dir: DataDirArg,
}

#[derive(Args)]
pub struct Remove {
    #[command(flatten)]
    data_dir: DataDirArg,

    /// The name under which it is kept
    #[arg(value_name = "NAME")]
    name: String,
}

impl Row for Kept {
    const HEADS: &'static [&'static str] = &["name", "bytes"];

    fn values(&self) -> Vec<String> {
        vec![self.name.clone(), self.size.to_string()]
    }
}

impl Buildpack {
    pub fn run(self) -> Result<()> {
        match self {
            Buildpack::Import(import) => {
                let kept = registry(&import.data_dir)?.import(&import.name, &import.from)?;
                print::line(&format!("{} is kept: {} bytes\n", kept.name, kept.size))?;
            }
            Buildpack::List(list) => {
                print::list(&registry(&list.data_dir)?.list()?, list.form)?;
            }
            Buildpack::Remove(remove) => {
                let removed = registry(&remove.data_dir)?.remove(&remove.name);
                removed.map_err(|error| match error.id {
                    ErrorId::NotFound => Error::new(
                        ErrorId::NotFound,
                        format!(
                            "There is no buildpack {}. `penstock buildpack list` shows those there are.",
                            remove.name
                        ),
                    ),
                    _ => error,
                })?;
                print::line(&format!("{} is removed\n", remove.name))?;
            }
        }
        Ok(())
    }
}

fn registry(data_dir: &DataDirArg) -> Result<Registry> {
    let data = super::data_dir(data_dir)?;
    Ok(Registry::new(data.path("buildpacks")))
}
