//! `penstock account`: accounts and their tokens, made by the operator. Works beside a running server.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::print::{self, Json, Row};
use crate::config::DataDirArg;
use crate::data_dir::DataDir;
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::sandbox::probe::Ground;
use crate::sandbox::{Level, Settings};
use crate::secret;
use crate::serve::Ready;
use crate::store::{accounts, oauth_authorizations};
use crate::time::{Clock, Timestamp};

#[derive(Subcommand)]
pub enum Account {
    /// Make an account and print its API token
    Create(Named),
    /// Print a new API token for an account
    Token(Named),
    /// List the accounts
    List(List),
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    form: Json,

    #[command(flatten)]
    data_dir: DataDirArg,
}

/// An account, as it is listed.
#[derive(Serialize)]
struct View {
    id: Id,
    email: String,
    name: Option<String>,
    admin: bool,
    created_at: Timestamp,
}

impl From<accounts::Account> for View {
    fn from(account: accounts::Account) -> View {
        View {
            id: account.id,
            email: account.email,
            name: account.name,
            admin: account.admin,
            created_at: account.created_at,
        }
    }
}

impl Row for View {
    const HEADS: &'static [&'static str] = &["email", "role", "since", "id"];

    fn values(&self) -> Vec<String> {
        let role = if self.admin { "admin" } else { "user" };
        vec![
            self.email.clone(),
            role.to_owned(),
            self.created_at.to_seconds(),
            self.id.to_string(),
        ]
    }
}

#[derive(Args)]
#[command(after_help = "Examples:
  penstock account create ann@example.com
  HEROKU_API_KEY=$(penstock account token ann@example.com) heroku apps")]
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
            Account::List(list) => {
                let all = super::store(&list.data_dir)?.read(accounts::all)?;
                let views: Vec<View> = all.into_iter().map(View::from).collect();
                return print::list(&views, list.form);
            }
        };
        let data = super::data_dir(&named.data_dir)?;
        let store = super::store(&named.data_dir)?;
        let isolation = match create {
            true => isolation(&data)?,
            false => Level::Full,
        };
        let (token, now) = (secret::token()?, Clock::System.now());
        let written = token.clone();
        store.write_blocking(move |connection| {
            let account = match create {
                true => {
                    // Not what the API says of it: no argument could be put right, so a script is told so by its status.
                    let wanted = named.email.trim().to_lowercase();
                    if accounts::by_email(connection, &wanted)?.is_some() {
                        return Err(Error::conflict(format!(
                            "There is an account for {wanted} already. `penstock account token {wanted}` makes another token for it."
                        )));
                    }
                    isolation.admit_another_person(accounts::count(connection)?)?;
                    accounts::create(connection, &named.email, now)?
                }
                false => accounts::by_email(connection, &named.email)?.ok_or_else(|| {
                    Error::new(
                        ErrorId::NotFound,
                        format!(
                            "There is no account {}. Make it with `penstock account create`.",
                            named.email
                        ),
                    )
                })?,
            };
            oauth_authorizations::add_key(connection, account.id, &written, "penstock account", now)
        })?;
        print::line(&format!("{token}\n"))
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
    Ok(ground.choose()?.level)
}
