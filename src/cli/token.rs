//! `penstock token`: the tokens of all accounts, seen, made and ended by the operator. Works beside a running server.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::print::{self, Json, Row};
use crate::config::{self, DataDirArg};
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::secret;
use crate::store::oauth_authorizations::{self, Authorization, New};
use crate::store::scopes::{Scope, Scopes};
use crate::store::{accounts, oauth_tokens};
use crate::time::{Clock, Timestamp};

#[derive(Subcommand)]
pub enum Token {
    /// List the tokens that open accounts, by their first and last letters
    List(List),
    /// Make a token for an account and print it
    Create(Create),
    /// End a token, at once
    Revoke(Revoke),
}

#[derive(Args)]
#[command(after_help = "Examples:
  penstock token list
  penstock token list ann@example.com --json")]
pub struct List {
    /// E-mail address of one account [default: all]
    email: Option<String>,

    #[command(flatten)]
    form: Json,

    #[command(flatten)]
    data_dir: DataDirArg,
}

#[derive(Args)]
#[command(after_help = "Examples:
  penstock token create ann@example.com
  penstock token create ci@example.com --description \"GitHub Actions\" \\
      --expires-in 90d --scope write
  heroku login -i                            # the token is the password")]
pub struct Create {
    /// E-mail address of the account
    email: String,

    /// What it is for, to know it again by
    #[arg(long, value_name = "TEXT", default_value = "penstock token")]
    description: String,

    /// How long it is good, such as 90s, 30m, 12h or 30d [default: until it is revoked]
    #[arg(long, value_name = "TIME", value_parser = config::lifetime)]
    expires_in: Option<Duration>,

    /// What it may be used for: global, identity, read, write, read-protected, write-protected
    #[arg(
        long = "scope",
        value_name = "SCOPE",
        default_value = "global",
        value_delimiter = ','
    )]
    scopes: Vec<String>,

    #[command(flatten)]
    data_dir: DataDirArg,
}

#[derive(Args)]
#[command(after_help = "Examples:
  penstock token list
  penstock token revoke 01a14a3e-5d31-7a05-b4f6-0c5d3c7d8e21")]
pub struct Revoke {
    /// As `penstock token list` shows it
    id: String,

    #[command(flatten)]
    data_dir: DataDirArg,
}

/// A token, as it is listed.
#[derive(Serialize)]
struct View {
    id: Id,
    email: String,
    token: Option<String>,
    scope: Vec<Scope>,
    description: String,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
}

impl From<Authorization> for View {
    fn from(authorization: Authorization) -> View {
        let token = authorization.access_token;
        View {
            id: authorization.id,
            email: authorization.account_email,
            expires_at: token.as_ref().and_then(|token| token.expires_at),
            token: token.map(|token| token.hint),
            scope: authorization.scopes.list(),
            description: authorization.description,
            created_at: authorization.created_at,
        }
    }
}

impl Row for View {
    const HEADS: &'static [&'static str] =
        &["id", "account", "token", "scopes", "expires", "description"];

    fn values(&self) -> Vec<String> {
        let expires = self.expires_at.map(|at| at.to_seconds());
        let scopes: Vec<&str> = self.scope.iter().map(|scope| scope.as_str()).collect();
        vec![
            self.id.to_string(),
            self.email.clone(),
            self.token.clone().unwrap_or_default(),
            scopes.join(","),
            expires.unwrap_or_else(|| "never".to_owned()),
            self.description.clone(),
        ]
    }
}

impl Token {
    pub fn run(self) -> Result<()> {
        match self {
            Token::List(list) => list.run(),
            Token::Create(create) => create.run(),
            Token::Revoke(revoke) => revoke.run(),
        }
    }
}

impl List {
    fn run(self) -> Result<()> {
        let store = super::store(&self.data_dir)?;
        let listed = store.read(|connection| {
            let account = match &self.email {
                Some(email) => Some(account(connection, email)?),
                None => None,
            };
            oauth_authorizations::of_all(connection, account)
        })?;
        let views: Vec<View> = listed.into_iter().map(View::from).collect();
        print::list(&views, self.form)
    }
}

impl Create {
    /// Prints the token alone, for a script to take; it is stored as a digest and cannot be shown again.
    fn run(self) -> Result<()> {
        let scopes = Scopes::parse(&self.scopes)?;
        let lifetime = self.expires_in.map(|time| time.as_secs());
        let lifetime = lifetime.and_then(|seconds| u32::try_from(seconds).ok());
        let (token, now) = (secret::token()?, Clock::System.now());
        let written = token.clone();
        super::store(&self.data_dir)?.write_blocking(move |connection| {
            let new = New {
                account: account(connection, &self.email)?,
                client: None,
                description: &self.description,
                scopes,
                lifetime,
            };
            let id = oauth_authorizations::create(connection, &new, now)?;
            oauth_tokens::add_access_token(connection, id, &written, now)
        })?;
        print::line(&format!("{token}\n"))
    }
}

impl Revoke {
    fn run(self) -> Result<()> {
        let unknown = || {
            Error::new(
                ErrorId::NotFound,
                format!(
                    "There is no token {}. `penstock token list` shows the ids of those that there are.",
                    self.id
                ),
            )
        };
        let id = Id::parse(&self.id).ok_or_else(unknown)?;
        let revoked = super::store(&self.data_dir)?.write_blocking(move |connection| {
            let authorization = oauth_authorizations::by_id(connection, id)?;
            oauth_authorizations::delete(connection, id)?;
            Ok(authorization)
        });
        let revoked = revoked.map_err(|error| match error.id {
            ErrorId::NotFound => unknown(),
            _ => error,
        })?;
        eprintln!(
            "The token {:?} of {} opens nothing any more.",
            revoked.description, revoked.account_email
        );
        Ok(())
    }
}

/// 404 for an address that nobody here has.
fn account(connection: &rusqlite::Connection, email: &str) -> Result<Id> {
    let found = accounts::by_email(connection, email)?;
    found.map(|account| account.id).ok_or_else(|| {
        Error::new(
            ErrorId::NotFound,
            format!("There is no account {email}. Make it with `penstock account create {email}`, or see `penstock account list`."),
        )
    })
}
