//! `penstock account`: accounts and their tokens, made by the operator. Works beside a running server.

use clap::{Args, Subcommand};

use crate::config::DataDirArg;
use crate::data_dir::DataDir;
use crate::error::{Error, Result};
use crate::sandbox::probe::Ground;
use crate::sandbox::{Level, Settings};
use crate::secret;
use crate::serve::Ready;
use crate::store::{Store, accounts, oauth_authorizations};
use crate::time::Clock;

#[derive(Subcommand)]
pub enum Account {
    /// Make an account and print its API token
    Create(Named),
    /// Print a new API token for an account
    Token(Named),
}

#[derive(Args)]
pub struct Named {
    /// E-mail address of the account
    email: String,

    #[command(flatten)]
    data_dir: DataDirArg,
}

impl Account {
    /// Prints the token alone, for a script to take; it is stored as a digest and cannot be shown again.
    pub fn run(self) -> Result<()> {
        let (named, create) = match self {
            Account::Create(named) => (named, true),
            Account::Token(named) => (named, false),
        };
        let data = DataDir::open(&named.data_dir.data_dir)?;
        let store = Store::open(&data.path("penstock.db"), data.sealing_key()?)?;
        let isolation = match create {
            true => isolation(&data)?,
            false => Level::Full,
        };
        let (token, now) = (secret::token()?, Clock::System.now());
        let written = token.clone();
        store.write_blocking(move |connection| {
            let account = match create {
                true => {
                    isolation.admit_another_person(accounts::count(connection)?)?;
                    accounts::create(connection, &named.email, now)?
                }
                false => accounts::by_email(connection, &named.email)?.ok_or_else(|| {
                    Error::invalid(format!(
                        "There is no account {}. Make it with `penstock account create`.",
                        named.email
                    ))
                })?,
            };
            oauth_authorizations::add_key(connection, account.id, &written, "penstock account", now)
        })?;
        println!("{token}");
        Ok(())
    }
}

/// That of the last server on this directory; where there was none, that which one would have that was started now.
fn isolation(data: &DataDir) -> Result<Level> {
    if let Some(level) = Ready::read(data)?.and_then(|ready| ready.isolation) {
        return Ok(level);
    }
    let named = std::env::var("PENSTOCK_ISOLATION").ok();
    let settings = Settings {
        isolation: named
            .map(|level| level.parse())
            .transpose()
            .map_err(|error: String| Error::invalid(error))?,
        ..Settings::default()
    };
    let ground = Ground {
        penstock: &std::env::current_exe()?,
        data: data.root(),
        settings: &settings,
    };
    ground.choose()
}
