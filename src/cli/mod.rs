//! The command line: one file a subcommand.

mod account;
pub mod addon;
mod buildpack;
mod doctor;
mod env;
mod install;
mod serve;
mod static_site;

use clap::{Parser, Subcommand};

use crate::error::Result;

/// A Heroku-compatible platform on one machine.
#[derive(Parser)]
#[command(name = "penstock", version, about, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    Serve(Box<serve::Serve>),
    /// Print what points the official heroku CLI and curl at the server: eval "$(penstock env)"
    Env(env::Env),
    /// Make accounts and tokens
    #[command(subcommand)]
    Account(account::Account),
    /// Say how well this machine can isolate dynos, what is missing, and what to do about it
    Doctor(doctor::Doctor),
    /// Write the systemd units that run the server, with sockets that stay open while it restarts
    Install(install::Install),
    /// Register the add-ons of providers
    #[command(subcommand)]
    Addon(addon::AddOn),
    /// Serve a static site, as its web process does
    Static(static_site::StaticSite),
    /// Keep buildpacks on this machine, for builds that name them
    #[command(subcommand)]
    Buildpack(buildpack::Buildpack),
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
        }
    }
}
