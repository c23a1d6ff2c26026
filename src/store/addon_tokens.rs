//! The tokens with which a provider comes to us about one add-on: exchanged for the code that it was sent when it was asked to make
//! the add-on, and gone with it.
//!
//! Only digests are kept, and digests are compared, so that the time it takes tells nothing of a secret.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::accounts::Account;
use super::oauth_authorizations::{Authorization, Hinted};
use super::oauth_tokens::{Credential, Fresh, Held};
use super::row::optional;
use super::scopes::Scopes;
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::secret;
use crate::time::Timestamp;

/// How long an access token is good: Heroku's eight hours. A refresh token is as long as its add-on is there.
const LIFETIME: Duration = Duration::from_secs(8 * 60 * 60);
/// Access tokens that one add-on may have at once.
const AT_ONCE: u32 = 16;

/// What a code or a refresh token belongs to.
struct Known {
    addon: Id,
    name: String,
    service: String,
    /// The digest of it.
    client_secret: Vec<u8>,
    /// Not expired.
    good: bool,
}

/// Exchanges what a provider holds for an access token; `None` when it is nothing that a provider was given. 401, in one and the
/// same words, for a code that has expired or a secret that is not the provider's.
pub fn exchange(
    connection: &Connection,
    held: &Held<'_>,
    client_secret: &str,
    fresh: &Fresh<'_>,
    now: Timestamp,
) -> Result<Option<Authorization>> {
    let (sql, digest) = match held {
        Held::Code(code) => (
            "SELECT addon.id, addon.name, addon_service.name, addon_service.client_secret, addon.grant_expires_at > ?2
             FROM addon JOIN addon_service ON addon_service.id = addon.addon_service_id WHERE addon.grant_digest = ?1",
            secret::digest(code),
        ),
        Held::Refresh(token) => (
            "SELECT addon.id, addon.name, addon_service.name, addon_service.client_secret, ?2 IS NOT NULL
             FROM addon_token JOIN addon ON addon.id = addon_token.addon_id
             JOIN addon_service ON addon_service.id = addon.addon_service_id
             WHERE addon_token.digest = ?1 AND addon_token.kind = 'refresh'",
            secret::digest(token),
        ),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let known = statement.query_row(params![digest, now], |row| {
        Ok(Known {
            addon: row.get(0)?,
            name: row.get(1)?,
            service: row.get(2)?,
            client_secret: row.get(3)?,
            good: row.get(4)?,
        })
    });
    let Some(known) = optional(known)? else {
        return Ok(None);
    };
    if !known.good || known.client_secret != secret::digest(client_secret) {
        return Err(refused());
    }
    let addon = known.addon;
    let refresh = match held {
        Held::Code(_) => {
            connection
                .prepare_cached(
                    "UPDATE addon SET grant_digest = NULL, grant_expires_at = NULL WHERE id = ?1",
                )?
                .execute([addon])?;
            connection
                .prepare_cached("DELETE FROM addon_token WHERE addon_id = ?1 AND kind = 'refresh'")?
                .execute([addon])?;
            add(connection, addon, "refresh", fresh.refresh, None, now)?
        }
        Held::Refresh(_) => addon,
    };
    let expires_at = now.plus(LIFETIME);
    let access = add(
        connection,
        addon,
        "access",
        fresh.access,
        Some(expires_at),
        now,
    )?;
    trim(connection, addon)?;
    let hinted = |id, expires_at| Hinted {
        id,
        hint: String::new(),
        expires_at,
    };
    Ok(Some(Authorization {
        id: addon,
        account_id: addon,
        account_email: address(&known.service),
        account_name: None,
        client: None,
        description: known.name,
        scopes: Scopes::GLOBAL,
        grant: None,
        access_token: Some(hinted(access, Some(expires_at))),
        refresh_token: Some(hinted(refresh, None)),
        created_at: now,
        updated_at: now,
    }))
}

fn add(
    connection: &Connection,
    addon: Id,
    kind: &str,
    token: &str,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<Id> {
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO addon_token (id, addon_id, kind, digest, expires_at, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![id, addon, kind, secret::digest(token), expires_at, now])?;
    Ok(id)
}

/// Ends the oldest access tokens of an add-on that has too many.
fn trim(connection: &Connection, addon: Id) -> Result<()> {
    connection
        .prepare_cached(
            "DELETE FROM addon_token WHERE addon_id = ?1 AND kind = 'access' AND id NOT IN
             (SELECT id FROM addon_token WHERE addon_id = ?1 AND kind = 'access' ORDER BY id DESC LIMIT ?2)",
        )?
        .execute(params![addon, AT_ONCE])?;
    Ok(())
}

fn refused() -> Error {
    Error::new(
        ErrorId::Unauthorized,
        "The code is used or expired, or the secret is not that of the add-on's provider.",
    )
}

/// As what a provider is known where an account would be.
fn address(service: &str) -> String {
    format!("{service}@addons.invalid")
}

/// What an access token with this digest opens, if it has not expired: one add-on, and no account. The account that stands in its
/// place is nobody's: it has the add-on's id, so that whatever is looked up through it is not found.
pub fn credential(
    connection: &Connection,
    digest: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Credential>> {
    let mut statement = connection.prepare_cached(
        "SELECT addon.id, addon_service.name, addon.created_at FROM addon_token JOIN addon ON addon.id = addon_token.addon_id
         JOIN addon_service ON addon_service.id = addon.addon_service_id
         WHERE addon_token.digest = ?1 AND addon_token.kind = 'access' AND addon_token.expires_at > ?2",
    )?;
    optional(statement.query_row(params![digest, now], |row| {
        let (addon, service): (Id, String) = (row.get(0)?, row.get(1)?);
        let created_at = row.get(2)?;
        Ok(Credential {
            account: Account::nobody(addon, address(&service), created_at),
            token: addon,
            authorization: addon,
            scopes: Scopes::GLOBAL,
            addon: Some(addon),
        })
    }))
}

/// Deletes what has expired.
pub fn delete_expired(connection: &Connection, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM addon_token WHERE expires_at <= ?1")?
        .execute([now])?;
    Ok(())
}
