//! The command line: one file a subcommand.

mod account;
pub mod addon;
mod backup;
mod believed;
mod buildpack;
mod connect;
mod doctor;
mod env;
mod install;
mod manual;
pub mod official_cli;
mod print;
mod programs;
mod serve;
mod static_site;
mod token;
mod version;

use clap::{Parser, Subcommand};

use crate::config::DataDirArg;
use crate::data_dir::{DATABASE, DataDir};
use crate::error::{Error, ErrorId, Result};
use crate::store::Store;

/// A Heroku-compatible platform on one machine.
#[derive(Parser)]
#[command(name = "penstock", version, about, arg_required_else_help = true, after_help = FIRST_STEPS)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const FIRST_STEPS: &str = r#"Examples:
  penstock serve                             # on this machine, for yourself
  eval "$(penstock env)"; heroku apps        # point the heroku CLI at it
  penstock account create ann@example.com    # let somebody else in
  penstock connect https://paas.example.com  # use a server elsewhere
  penstock backup /backups/monday.tar        # while it serves

Exit status:
  0  done
  1  it failed
  2  the arguments make no sense
  3  what they name is not there
  4  it cannot be done as things are
  5  somebody is busy or cannot be reached

`penstock COMMAND --help` has examples of each; the documentation is at /docs of a running server."#;

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::Serve>),
    /// Print what points the official heroku CLI and curl at the server: eval "$(penstock env)"
    Env(env::Env),
    /// Point the tools of this machine at a server elsewhere, and log in to it
    Connect(connect::Connect),
    /// Make and list accounts
    #[command(
        subcommand,
        after_help = "Examples:
  penstock account create ann@example.com       # prints her token, once
  penstock account list --json"
    )]
    Account(account::Account),
    /// List, make and revoke the tokens that open accounts
    #[command(
        subcommand,
        after_help = "Examples:
  penstock token list ann@example.com
  penstock token create ann@example.com --description laptop
  penstock token revoke ID                      # as list shows it"
    )]
    Token(token::Token),
    /// Say what is missing on this machine, how well it can isolate dynos, and what to do about it
    Doctor(doctor::Doctor),
    /// Write the systemd units that run the server, with sockets that stay open while it restarts
    Install(install::Install),
    /// Register the add-ons of providers
    #[command(
        subcommand,
        after_help = "Examples:
  penstock addon register addon-manifest.json
  penstock addon list
  heroku addons:create SLUG:PLAN                # what an app does with it"
    )]
    Addon(addon::AddOn),
    /// Make one file of a server, while it runs
    Backup(backup::Backup),
    /// Make a server of a backup
    Restore(backup::Restore),
    /// Serve a static site, as its web process does
    Static(static_site::StaticSite),
    /// Keep buildpacks on this machine, for builds that name them
    #[command(
        subcommand,
        after_help = "Examples:
  penstock buildpack import heroku/php ./php.tgz
  penstock buildpack list
  heroku buildpacks:set heroku/php              # what an app does with it"
    )]
    Buildpack(buildpack::Buildpack),
    /// Print the completions of a shell
    Completions(manual::Completions),
    /// Print the manual page
    Man(manual::Man),
    /// Print which version this is
    Version(version::Version),
}

impl Cli {
    /// Runs the command. An error is for the person at the terminal.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Serve(serve) => serve.run(),
            Command::Env(env) => env.run(),
            Command::Account(account) => account.run(),
            Command::Doctor(doctor) => doctor.run(),
            Command::Install(install) => install.run(),
            Command::Addon(addon) => addon.run(),
            Command::Static(site) => site.run(),
            Command::Buildpack(buildpack) => buildpack.run(),
            Command::Connect(connect) => connect.run(),
            Command::Backup(backup) => backup.run(),
            Command::Restore(restore) => restore.run(),
            Command::Token(token) => token.run(),
            Command::Completions(completions) => completions.run(),
            Command::Man(man) => man.run(),
            Command::Version(version) => version.run(),
        }
    }
}

/// What a script learns from how a command ended. clap's own complaints end with 2, too.
pub fn exit_code(error: &Error) -> u8 {
    match error.id {
        ErrorId::Internal | ErrorId::OutOfSpace => 1,
        ErrorId::NotFound => 3,
        ErrorId::Conflict
        | ErrorId::ConfirmationRequired
        | ErrorId::Forbidden
        | ErrorId::PreconditionFailed
        | ErrorId::Unauthorized => 4,
        ErrorId::RateLimit | ErrorId::Unavailable => 5,
        _ => 2,
    }
}

/// The data directory of a server that has run in it, running now or not. 404 where none has, and nothing is made there.
fn data_dir(argument: &DataDirArg) -> Result<DataDir> {
    let root = &argument.data_dir;
    let nowhere = || {
        Error::new(
            ErrorId::NotFound,
            format!(
                "No server has been started on {}. Start one with `penstock serve`, or name its --data-dir.",
                root.display()
            ),
        )
    };
    if !root.is_dir() {
        return Err(nowhere());
    }
    let data = DataDir::open(root)?;
    match data.has_database() {
        true => Ok(data),
        false => Err(nowhere()),
    }
}

/// Its state.
fn store(argument: &DataDirArg) -> Result<Store> {
    let data = data_dir(argument)?;
    Store::open(&data.path(DATABASE), data.sealing_key()?)
}
