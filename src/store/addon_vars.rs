//! The config vars that add-ons set in the apps they are attached to, and the releases that follow when they change.
//!
//! An add-on keeps what its provider set under the names of the manifest (`ACME_URL`). In an app they appear under the names of
//! its attachments (`CACHE_URL`). It must not know how a provider comes to set them.

use std::collections::BTreeSet;

use rusqlite::{Connection, params};

use super::accounts::Account;
use super::config_vars::{self, ConfigVars};
use super::releases::{self, AddOnEvent, Change, Release};
use super::row::json;
use crate::error::Result;
use crate::name::Id;
use crate::time::Timestamp;

/// `ACME_URL` of the prefix `ACME` is `CACHE_URL` in the attachment `CACHE`.
pub fn name(prefix: &str, attachment: &str, var: &str) -> String {
    match var.strip_prefix(prefix) {
        Some(rest) => format!("{attachment}{rest}"),
        None => format!("{attachment}_{var}"),
    }
}

/// The names under which these vars appear in an attachment.
pub fn names<'a>(
    prefix: &str,
    attachment: &str,
    vars: impl IntoIterator<Item = &'a String>,
) -> Vec<String> {
    vars.into_iter()
        .map(|var| name(prefix, attachment, var))
        .collect()
}

/// All that the add-ons attached to an app set in it. One that is not made yet, or is no more, sets nothing.
fn of_app(connection: &Connection, app: Id) -> Result<ConfigVars> {
    let mut statement = connection.prepare_cached(
        "SELECT addon_attachment.name, addon_service.config_vars_prefix, unseal(addon.id || '/config', addon.config)
         FROM addon_attachment JOIN addon ON addon.id = addon_attachment.addon_id
         JOIN addon_service ON addon_service.id = addon.addon_service_id
         WHERE addon_attachment.app_id = ?1 AND addon.state = 'provisioned' ORDER BY addon_attachment.id",
    )?;
    let mut rows = statement.query([app])?;
    let mut all = ConfigVars::new();
    while let Some(row) = rows.next()? {
        let (attachment, prefix): (String, String) = (row.get(0)?, row.get(1)?);
        let vars: ConfigVars = json(row, 2)?;
        for (var, value) in vars {
            all.insert(name(&prefix, &attachment, &var), value);
        }
    }
    Ok(all)
}

/// The names among `wanted` that are config vars of the app already: those set by hand, and those set by add-ons.
pub fn taken(
    connection: &Connection,
    app: Id,
    wanted: &[String],
) -> Result<(Vec<String>, Vec<String>)> {
    let head = config_vars::head(connection, app)?;
    let mut declared: BTreeSet<String> = head.addon_vars.clone();
    // What an add-on that is still being made will set is its own already.
    let mut statement = connection.prepare_cached(
        "SELECT addon_attachment.name, addon_service.config_vars_prefix, addon_service.config_vars
         FROM addon_attachment JOIN addon ON addon.id = addon_attachment.addon_id
         JOIN addon_service ON addon_service.id = addon.addon_service_id
         WHERE addon_attachment.app_id = ?1",
    )?;
    let mut rows = statement.query([app])?;
    while let Some(row) = rows.next()? {
        let (attachment, prefix): (String, String) = (row.get(0)?, row.get(1)?);
        let vars: Vec<String> = json(row, 2)?;
        declared.extend(names(&prefix, &attachment, &vars));
    }
    let (mut by_hand, mut by_addons) = (Vec::new(), Vec::new());
    for name in wanted {
        if declared.contains(name) {
            by_addons.push(name.clone());
        } else if head.vars.contains_key(name) {
            by_hand.push(name.clone());
        }
    }
    Ok((by_hand, by_addons))
}

/// Makes the release that follows when something about an app's add-ons has changed, with what they set by now.
pub fn release(
    connection: &Connection,
    app: Id,
    event: AddOnEvent,
    by: &Account,
    now: Timestamp,
) -> Result<Release> {
    let set = config_vars::head(connection, app)?.with(of_app(connection, app)?);
    let config_set = config_vars::insert(connection, &set)?;
    releases::create(
        connection,
        app,
        by,
        Change::AddOns { event, config_set },
        now,
    )
}

/// Stores what a provider set, whole, under the names of its manifest.
pub(super) fn store(
    connection: &Connection,
    addon: Id,
    config: &ConfigVars,
    now: Timestamp,
) -> Result<()> {
    let config = serde_json::to_string(config).map_err(crate::error::Error::internal)?;
    connection
        .prepare_cached(
            "UPDATE addon SET config = seal(?1 || '/config', ?2), updated_at = ?3 WHERE id = ?1",
        )?
        .execute(params![addon, config, now])?;
    Ok(())
}
