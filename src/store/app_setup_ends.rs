//! How app setups end, and for whom they go on: only while the app is still its maker's. An app that was given away meanwhile, or
//! whose maker was shown out of its team, is no more touched by its setup, and not deleted with it.

use rusqlite::{Connection, params};

use super::access::{self, Permission};
use super::accounts::{self, Account};
use super::addons;
use super::app_setups::{Setup, Status};
use super::apps;
use super::ownership::Owner;
use crate::error::{Error, ErrorId, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// Who made a setup, while the app is still his to make, as it was when he asked. 403 once it was given away or he was shown out.
pub fn maker(connection: &Connection, setup: &Setup) -> Result<Account> {
    let lost = || {
        Error::forbidden(
            "Whoever asked for this setup does not own the app any more, so it was not gone on with. The app was left as it is.",
        )
    };
    let maker = accounts::by_id(connection, setup.account_id)?.ok_or_else(lost)?;
    let held = access::permissions(connection, &maker, setup.app_id)?;
    if !held.is_some_and(|held| held.has(Permission::Own)) {
        return Err(lost());
    }
    // An admin may do everything with every app, and yet has given this one away.
    match apps::by_id(connection, setup.app_id)?.owner() {
        Owner::Account(owner) if owner != maker.id => Err(lost()),
        _ => Ok(maker),
    }
}

/// Ends a setup whose app is ready; whether this call was the one that ended it.
pub fn succeed(
    connection: &Connection,
    setup: &Setup,
    output: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let output = kept(connection, setup, output)?;
    end(
        connection,
        setup.id,
        Status::Succeeded,
        None,
        &[],
        output,
        now,
    )
}

/// What [`fail`] did.
#[derive(Clone, Copy, Debug)]
pub struct Failed {
    /// It was this call that ended the setup.
    pub ended: bool,
    pub deleted_app: bool,
}

/// Ends a setup that came to nothing, and deletes its app, unless that is not its maker's any more.
pub fn fail(
    connection: &Connection,
    setup: &Setup,
    message: &str,
    manifest_errors: &[String],
    output: Option<&str>,
    now: Timestamp,
) -> Result<Failed> {
    let output = kept(connection, setup, output)?;
    let (status, message) = (Status::Failed, Some(message));
    let ended = end(
        connection,
        setup.id,
        status,
        message,
        manifest_errors,
        output,
        now,
    )?;
    let deleted_app =
        ended && apps::name(connection, setup.app_id)?.is_some() && is_makers(connection, setup)?;
    if deleted_app {
        let app = apps::by_id(connection, setup.app_id)?;
        let owner = addons::owner(connection, app.id)?;
        apps::delete(connection, &app, &owner, now)?;
    }
    Ok(Failed { ended, deleted_app })
}

/// Whether the app is still its maker's, as [`maker`] says.
fn is_makers(connection: &Connection, setup: &Setup) -> Result<bool> {
    match maker(connection, setup) {
        Ok(_) => Ok(true),
        Err(error) if error.id == ErrorId::Forbidden => Ok(false),
        Err(error) => Err(error),
    }
}

/// Output that may hold config vars is kept only while its maker may see the app: he reads it when the app is gone.
fn kept<'a>(
    connection: &Connection,
    setup: &Setup,
    output: Option<&'a str>,
) -> Result<Option<&'a str>> {
    let Some(maker) = accounts::by_id(connection, setup.account_id)? else {
        return Ok(None);
    };
    let held = access::permissions(connection, &maker, setup.app_id)?;
    Ok(output.filter(|_| held.is_some_and(|held| held.has(Permission::View))))
}

/// Ends the setups of an account that is deleted. Their apps are those of others and stay.
pub(super) fn abandon_all_of(connection: &Connection, account: Id, now: Timestamp) -> Result<()> {
    let ids: Vec<Id> = connection
        .prepare_cached("SELECT id FROM app_setup WHERE account_id = ?1 AND status = 'pending'")?
        .query_map([account], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let message = "The account that asked for this setup was deleted. The app was left as it is.";
    for id in ids {
        end(
            connection,
            id,
            Status::Failed,
            Some(message),
            &[],
            None,
            now,
        )?;
    }
    Ok(())
}

fn end(
    connection: &Connection,
    id: Id,
    status: Status,
    message: Option<&str>,
    manifest_errors: &[String],
    output: Option<&str>,
    now: Timestamp,
) -> Result<bool> {
    let errors = serde_json::to_string(manifest_errors).map_err(Error::internal)?;
    Ok(connection
        .prepare_cached(
            "UPDATE app_setup SET status = ?2, failure_message = ?3, manifest_errors = ?4, updated_at = ?6,
                 postdeploy_output = CASE WHEN ?5 IS NOT NULL THEN seal(id, ?5) END,
                 build_status = coalesce((SELECT CASE status WHEN 'pending' THEN 'failed' ELSE status END FROM build
                                          WHERE build.id = app_setup.build_id), CASE WHEN build_id IS NULL THEN NULL ELSE 'failed' END)
             WHERE id = ?1 AND status = 'pending'",
        )?
        .execute(params![id, status, message, errors, output, now])?
        == 1)
}
