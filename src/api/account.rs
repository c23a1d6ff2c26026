//! Accounts: the caller's own, those of others for an admin, and the rate limit.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params;
use super::reply::Reply;
use super::view::Named;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::store::accounts::{self, Account, Flags, Update};
use crate::time::Timestamp;

/// Of a person's name, in bytes.
pub const LONGEST_NAME: usize = 200;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Account")]
pub struct View {
    allow_tracking: bool,
    beta: bool,
    country_of_residence: Option<String>,
    created_at: Timestamp,
    /// Heroku's older word for the default team.
    default_organization: Option<Named>,
    /// That has the account's new team apps when none is named.
    default_team: Option<Named>,
    delinquent_at: Option<Timestamp>,
    email: String,
    federated: bool,
    id: Id,
    identity_provider: Option<String>,
    last_login: Option<Timestamp>,
    name: Option<String>,
    sms_number: Option<String>,
    suspended_at: Option<Timestamp>,
    two_factor_authentication: bool,
    updated_at: Timestamp,
    verified: bool,
}

pub fn view(account: Account, flags: Flags) -> View {
    let team = flags.default_team.map(|(id, name)| Named { id, name });
    View {
        allow_tracking: flags.allow_tracking,
        beta: flags.beta,
        country_of_residence: None,
        created_at: account.created_at,
        default_organization: team.clone(),
        default_team: team,
        delinquent_at: None,
        email: account.email,
        federated: false,
        id: account.id,
        identity_provider: None,
        last_login: None,
        name: account.name,
        sms_number: None,
        suspended_at: None,
        two_factor_authentication: false,
        updated_at: account.updated_at,
        verified: true,
    }
}

/// The account that the path means: the caller's own, or, for an admin, anybody's. Those of others are not there.
pub fn meant(connection: &Connection, caller: &Caller) -> Result<Account> {
    let own = &caller.account;
    if matches!(caller.params.text("account"), "" | "~") {
        return Ok(own.clone());
    }
    let named = accounts::named(connection, own, &caller.params.identity("account"))?;
    match named.id == own.id || own.admin {
        true => Ok(named),
        false => Err(Error::not_found("account")),
    }
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let (account, flags) = call.read(|connection, caller| {
        let account = meant(connection, caller)?;
        let flags = accounts::flags(connection, account.id)?;
        Ok((account, flags))
    })?;
    Reply::of(&view(account, flags))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AccountBody")]
pub struct Body {
    /// Only an admin may say who is one.
    admin: Option<bool>,
    allow_tracking: Option<bool>,
    beta: Option<bool>,
    #[serde(default, deserialize_with = "params::nullable")]
    name: Option<Option<String>>,
}

impl Body {
    fn checked(self) -> Result<Update> {
        let name = match self.name {
            Some(name) => Some(params::text(name, "name", LONGEST_NAME)?),
            None => None,
        };
        Ok(Update {
            name,
            admin: self.admin,
            allow_tracking: self.allow_tracking,
            beta: self.beta,
        })
    }
}

pub async fn update(call: Call, body: Body) -> Result<Reply<View>> {
    let update = body.checked()?;
    if update.admin.is_some() && !call.caller.account.admin {
        return Err(Error::forbidden(
            "Only an admin of the server may say who is one.",
        ));
    }
    let (account, flags) = call
        .write(move |connection, caller| {
            let account = meant(connection, caller)?;
            let account = accounts::update(connection, &account, &update, caller.now)?;
            let flags = accounts::flags(connection, account.id)?;
            Ok((account, flags))
        })
        .await?;
    Reply::of(&view(account, flags))
}

/// Ends all that opens the account at once. What it did with the apps of others stays there.
pub async fn delete(call: Call) -> Result<Reply<View>> {
    let (account, flags) = call
        .write(|connection, caller| {
            let account = meant(connection, caller)?;
            let flags = accounts::flags(connection, account.id)?;
            accounts::delete(connection, &account, caller.now)?;
            Ok((account, flags))
        })
        .await?;
    Reply::of(&view(account, flags))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RateLimit")]
pub struct RateLimit {
    remaining: u32,
}

pub async fn rate_limits(call: Call) -> Result<Reply<RateLimit>> {
    Reply::of(&RateLimit {
        remaining: call.remaining.unwrap_or_default(),
    })
}
