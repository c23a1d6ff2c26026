//! Access tokens, refresh tokens and grants: the secrets that open an account, each under its authorization.
//!
//! Only digests are kept, and a hint by which the owner knows a secret again. Whoever gives a secret out says it here once.

use std::sync::OnceLock;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::accounts::{self, Account};
use super::oauth_authorizations::Hinted;
use super::oauth_clients;
use super::row::{found, optional};
use super::scopes::Scopes;
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::secret;
use crate::time::Timestamp;

/// Access tokens that one authorization may have at once: a refresh leaves the earlier ones good until they expire.
const AT_ONCE: u32 = 16;

/// Whom a token lets in, and how far.
#[derive(Clone, Debug)]
pub struct Credential {
    pub account: Account,
    /// The token itself; the add-on's id where it is a provider's.
    pub token: Id,
    pub authorization: Id,
    pub scopes: Scopes,
    /// The one add-on that a provider's token is about; such a token opens no account.
    pub addon: Option<Id>,
}

impl Credential {
    /// For what may be asked without a token: it opens nothing, and nothing is found through it.
    pub fn of_nobody(now: Timestamp) -> Credential {
        let none = Id::fixed(0);
        Credential {
            account: Account::nobody(none, String::new(), now),
            token: none,
            authorization: none,
            scopes: Scopes::of([]),
            addon: None,
        }
    }
}

/// What the token with this digest opens, if it has not expired. One look-up by an index, as each request makes it.
pub fn credential(
    connection: &Connection,
    digest: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Credential>> {
    static SQL: OnceLock<String> = OnceLock::new();
    let sql = SQL.get_or_init(|| {
        format!(
            "SELECT {}, access_token.authorization_id, access_token.scopes, access_token.id
             FROM access_token JOIN account ON account.id = access_token.account_id
             WHERE access_token.digest = ?1 AND (access_token.expires_at IS NULL OR access_token.expires_at > ?2)",
            accounts::COLUMNS
        )
    });
    let mut statement = connection.prepare_cached(sql)?;
    optional(statement.query_row(params![digest, now], |row| {
        Ok(Credential {
            account: accounts::account(row)?,
            authorization: row.get(accounts::COUNT)?,
            scopes: row.get(accounts::COUNT + 1)?,
            token: row.get(accounts::COUNT + 2)?,
            addon: None,
        })
    }))
}

/// Whose account a token still opens: `None` once it was revoked or has expired.
pub fn opens(connection: &Connection, token: Id, now: Timestamp) -> Result<Option<Account>> {
    let sql = format!(
        "SELECT {} FROM access_token JOIN account ON account.id = access_token.account_id
         WHERE access_token.id = ?1 AND (access_token.expires_at IS NULL OR access_token.expires_at > ?2)",
        accounts::COLUMNS
    );
    let mut statement = connection.prepare_cached(&sql)?;
    optional(statement.query_row(params![token, now], accounts::account))
}

/// When a token expires; `None` for one that does not, or is no more.
pub fn expires_at(connection: &Connection, token: Id) -> Result<Option<Timestamp>> {
    let mut statement =
        connection.prepare_cached("SELECT expires_at FROM access_token WHERE id = ?1")?;
    Ok(optional(statement.query_row([token], |row| row.get(0)))?.flatten())
}

/// Adds an access token to an authorization. A secret that is known already stays what it is.
pub fn add_access_token(
    connection: &Connection,
    authorization: Id,
    token: &str,
    now: Timestamp,
) -> Result<()> {
    let lifetime: Option<u32> = connection
        .prepare_cached("SELECT lifetime FROM oauth_authorization WHERE id = ?1")?
        .query_row([authorization], |row| row.get(0))?;
    connection
        .prepare_cached(
            "INSERT INTO access_token (id, authorization_id, account_id, scopes, digest, hint, expires_at, created_at)
             SELECT ?1, id, account_id, scopes, ?3, ?4, ?5, ?6 FROM oauth_authorization WHERE id = ?2",
        )?
        .execute(params![
            Id::new(),
            authorization,
            secret::digest(token),
            secret::hint(token),
            lifetime.map(|seconds| now.plus(Duration::from_secs(seconds.into()))),
            now
        ])?;
    connection
        .prepare_cached(
            "DELETE FROM access_token WHERE authorization_id = ?1 AND id NOT IN
             (SELECT id FROM access_token WHERE authorization_id = ?1 ORDER BY id DESC LIMIT ?2)",
        )?
        .execute(params![authorization, AT_ONCE])?;
    Ok(())
}

/// Gives an authorization the refresh token that it has from now on.
pub fn set_refresh_token(
    connection: &Connection,
    authorization: Id,
    token: &str,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM refresh_token WHERE authorization_id = ?1")?
        .execute([authorization])?;
    connection
        .prepare_cached(
            "INSERT INTO refresh_token (id, authorization_id, digest, hint, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            Id::new(),
            authorization,
            secret::digest(token),
            secret::hint(token),
            now
        ])?;
    Ok(())
}

/// Gives an authorization a code that its client may exchange for tokens until `expires_at`.
pub fn add_grant(
    connection: &Connection,
    authorization: Id,
    code: &str,
    expires_at: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO oauth_grant (id, authorization_id, digest, hint, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            Id::new(),
            authorization,
            secret::digest(code),
            secret::hint(code),
            expires_at
        ])?;
    Ok(())
}

/// What a client has, and wants an access token for.
pub enum Held<'a> {
    /// A grant's code. It is good once.
    Code(&'a str),
    /// A refresh token. It stays good.
    Refresh(&'a str),
}

/// New secrets, not given out yet.
pub struct Fresh<'a> {
    pub access: &'a str,
    /// For a code; a refresh token that is held stays the one.
    pub refresh: &'a str,
}

/// Exchanges what a client holds for an access token, and says of which authorization. 401, in one and the same words, for a code
/// or token that is unknown, used or expired, and for a secret that is not the client's.
pub fn exchange(
    connection: &Connection,
    held: &Held<'_>,
    client_secret: &str,
    fresh: &Fresh<'_>,
    now: Timestamp,
) -> Result<Id> {
    let (sql, digest) = match held {
        Held::Code(code) => (
            "SELECT authorization_id FROM oauth_grant WHERE digest = ?1 AND expires_at > ?2",
            secret::digest(code),
        ),
        Held::Refresh(token) => (
            "SELECT authorization_id FROM refresh_token WHERE digest = ?1 AND ?2 IS NOT NULL",
            secret::digest(token),
        ),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let authorization = optional(statement.query_row(params![digest, now], |row| row.get(0)))?;
    let authorization: Id = authorization.ok_or_else(refused)?;
    let expected = oauth_clients::secret_of(connection, authorization)?.ok_or_else(refused)?;
    // Digests are compared, so that the time it takes tells nothing of the secret.
    if secret::digest(&expected) != secret::digest(client_secret) {
        return Err(refused());
    }
    if matches!(held, Held::Code(_)) {
        connection
            .prepare_cached("DELETE FROM oauth_grant WHERE authorization_id = ?1")?
            .execute([authorization])?;
        set_refresh_token(connection, authorization, fresh.refresh, now)?;
    }
    add_access_token(connection, authorization, fresh.access, now)?;
    Ok(authorization)
}

fn refused() -> Error {
    Error::new(
        ErrorId::Unauthorized,
        "The code or token is unknown, used or expired, or the secret is not that of its client. Ask the user to authorize the client again.",
    )
}

/// An access token of the account, and the id of its authorization.
pub fn find(connection: &Connection, account: Id, token: Id) -> Result<(Id, Hinted)> {
    let mut statement = connection.prepare_cached(
        "SELECT authorization_id, id, hint, expires_at FROM access_token WHERE id = ?1 AND account_id = ?2",
    )?;
    let row = statement.query_row(params![token, account], |row| {
        let hinted = Hinted {
            id: row.get(1)?,
            hint: row.get(2)?,
            expires_at: row.get(3)?,
        };
        Ok((row.get(0)?, hinted))
    });
    found(row, "token")
}

/// Ends one access token.
pub fn revoke(connection: &Connection, token: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM access_token WHERE id = ?1")?
        .execute([token])?;
    Ok(())
}

/// Ends every access token of an authorization.
pub fn revoke_all(connection: &Connection, authorization: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM access_token WHERE authorization_id = ?1")?
        .execute([authorization])?;
    Ok(())
}

/// Deletes what has expired, and the authorizations under which nothing is left.
pub fn delete_expired(connection: &Connection, now: Timestamp) -> Result<()> {
    connection.execute("DELETE FROM access_token WHERE expires_at <= ?1", [now])?;
    connection.execute("DELETE FROM oauth_grant WHERE expires_at <= ?1", [now])?;
    connection.execute(
        "DELETE FROM oauth_authorization WHERE
         NOT EXISTS (SELECT 1 FROM access_token WHERE authorization_id = oauth_authorization.id)
         AND NOT EXISTS (SELECT 1 FROM refresh_token WHERE authorization_id = oauth_authorization.id)
         AND NOT EXISTS (SELECT 1 FROM oauth_grant WHERE authorization_id = oauth_authorization.id)",
        [],
    )?;
    Ok(())
}
