//! What providers still have to be asked, and what came of it. A row that waits is the queue; each outcome is written on condition
//! that nothing else has become of the add-on meanwhile, so one that comes late, or twice, changes nothing.

use rusqlite::{Connection, params};

use super::addons::{self, AddOn, State, Task};
use super::config_vars::ConfigVars;
use super::releases::{AddOnEvent, Release};
use super::row::{found, optional};
use super::{addon_attaching, addon_attachments, addon_services, addon_vars, log_drains};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// An add-on that its provider has still to be told of as removed.
#[derive(Clone, Debug)]
pub struct Removal {
    pub id: Id,
    pub addon_id: Id,
    pub addon_service_id: Id,
    pub attempts: u32,
    pub created_at: Timestamp,
}

/// Where a provider is, and what opens it.
#[derive(Clone)]
pub struct Provider {
    pub service: String,
    pub base_url: String,
    pub password: String,
}

/// The add-ons about which something is due, oldest first, of those that are `wanted`: asked with an add-on and its service.
pub fn due(
    connection: &Connection,
    now: Timestamp,
    mut wanted: impl FnMut(Id, Id) -> bool,
) -> Result<Vec<AddOn>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, addon_service_id FROM addon WHERE task IS NOT NULL AND due_at <= ?1 ORDER BY due_at",
    )?;
    let mut rows = statement.query([now])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let addon = row.get(0)?;
        if wanted(addon, row.get(1)?) {
            due.extend(addons::by_id(connection, addon)?);
        }
    }
    Ok(due)
}

/// The removals that are due, likewise.
pub fn removals_due(
    connection: &Connection,
    now: Timestamp,
    mut wanted: impl FnMut(Id, Id) -> bool,
) -> Result<Vec<Removal>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, addon_id, addon_service_id, attempts, created_at FROM addon_removal WHERE due_at <= ?1 ORDER BY due_at",
    )?;
    let mut rows = statement.query([now])?;
    let mut due = Vec::new();
    while let Some(row) = rows.next()? {
        let removal = Removal {
            id: row.get(0)?,
            addon_id: row.get(1)?,
            addon_service_id: row.get(2)?,
            attempts: row.get(3)?,
            created_at: row.get(4)?,
        };
        if wanted(removal.addon_id, removal.addon_service_id) {
            due.push(removal);
        }
    }
    Ok(due)
}

/// When something is due next.
pub fn next_due(connection: &Connection) -> Result<Option<Timestamp>> {
    let earliest = |sql: &str| -> Result<Option<Timestamp>> {
        optional(
            connection
                .prepare_cached(sql)?
                .query_row([], |row| row.get(0)),
        )
    };
    let addon =
        earliest("SELECT due_at FROM addon WHERE task IS NOT NULL ORDER BY due_at LIMIT 1")?;
    let removal = earliest("SELECT due_at FROM addon_removal ORDER BY due_at LIMIT 1")?;
    Ok(addon.into_iter().chain(removal).min())
}

pub fn provider(connection: &Connection, service: Id) -> Result<Provider> {
    let found = addon_services::by_id(connection, service)?;
    Ok(Provider {
        password: addon_services::password(connection, service)?,
        service: found.offer.name,
        base_url: found.offer.base_url,
    })
}

/// What the customer asked the provider for, as a JSON object.
pub fn options(connection: &Connection, addon: Id) -> Result<String> {
    let mut statement = connection
        .prepare_cached("SELECT unseal(id || '/options', options) FROM addon WHERE id = ?1")?;
    found(statement.query_row([addon], |row| row.get(0)), "add-on")
}

/// Notes that the provider is about to be asked, and under which code it may come back for a token. False when that is no longer
/// what is to be done.
pub fn begin_provision(
    connection: &Connection,
    addon: Id,
    grant: (&[u8; 32], Timestamp),
) -> Result<bool> {
    let begun = connection
        .prepare_cached(
            "UPDATE addon SET attempts = attempts + 1, grant_digest = ?2, grant_expires_at = ?3
             WHERE id = ?1 AND task = 'provision'",
        )?
        .execute(params![addon, grant.0, grant.1])?;
    Ok(begun == 1)
}

/// What a provider says of an add-on it has made, or is making.
#[derive(Clone, Debug, Default)]
pub struct Made {
    pub provider_id: Option<String>,
    pub message: String,
    pub config: Option<ConfigVars>,
    /// Where it wants its app's log sent, which was checked.
    pub log_drain_url: Option<String>,
}

/// The provider has made it, or (`done` false) is making it and will say when it is done by `deadline`. Nothing when something else
/// has become of the add-on. The provider may have said that it is done before it has answered.
pub fn made(
    connection: &Connection,
    addon: Id,
    made: &Made,
    done: bool,
    deadline: Timestamp,
    now: Timestamp,
) -> Result<Vec<Release>> {
    let Some(before) = addons::by_id(connection, addon)? else {
        return Ok(Vec::new());
    };
    connection
        .prepare_cached(
            "UPDATE addon SET provider_id = coalesce(?2, provider_id), provision_message = ?3, updated_at = ?4 WHERE id = ?1",
        )?
        .execute(params![addon, made.provider_id, made.message, now])?;
    if before.state != State::Provisioning || before.task != Some(Task::Provision) {
        return Ok(Vec::new());
    }
    if let Some(config) = &made.config {
        let mut merged = before.config.clone();
        merged.extend(config.clone());
        addon_vars::store(connection, addon, &merged, now)?;
    }
    if let Some(url) = made.log_drain_url.as_deref()
        && before.log_drain_token.is_some()
    {
        log_drains::put(connection, &before, url, now)?;
    }
    if done {
        settle(connection, addon, State::Provisioned, now)?;
    } else {
        connection
            .prepare_cached(
                "UPDATE addon SET task = 'wait', due_at = ?2, attempts = 0 WHERE id = ?1",
            )?
            .execute(params![addon, deadline])?;
    }
    announce(connection, addon, now)
}

/// Nothing is left to do about it.
pub(super) fn settle(
    connection: &Connection,
    addon: Id,
    state: State,
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE addon SET state = ?2, task = NULL, due_at = NULL, attempts = 0, wanted_plan_id = NULL, updated_at = ?3
             WHERE id = ?1",
        )?
        .execute(params![addon, state, now])?;
    Ok(())
}

/// The releases that tell of the attachments of a new add-on.
fn announce(connection: &Connection, addon: Id, now: Timestamp) -> Result<Vec<Release>> {
    let first = connection
        .prepare_cached("UPDATE addon SET announced = 1 WHERE id = ?1 AND announced = 0")?
        .execute([addon])?;
    if first == 0 {
        return Ok(Vec::new());
    }
    each(connection, addon, now, |attachment, addon| {
        AddOnEvent::Attached {
            attachment: attachment.name.clone(),
            addon: addon.name.clone(),
        }
    })
}

/// One release for each attachment.
fn each(
    connection: &Connection,
    addon: Id,
    now: Timestamp,
    event: impl Fn(&addon_attachments::Attachment, &AddOn) -> AddOnEvent,
) -> Result<Vec<Release>> {
    let addon = addons::by_id(connection, addon)?.ok_or_else(addons::missing)?;
    let mut releases = Vec::new();
    for attachment in addon_attachments::of_addon(connection, addon.id)? {
        let by = addons::owner(connection, attachment.app_id)?;
        let (app, event) = (attachment.app_id, event(&attachment, &addon));
        releases.push(addon_vars::release(connection, app, event, &by, now)?);
    }
    Ok(releases)
}

/// The provider says that what it was making is done. Saying so again changes nothing; 422 for one that has been given up.
pub fn provisioned(connection: &Connection, addon: &AddOn, now: Timestamp) -> Result<Vec<Release>> {
    match addon.state {
        State::Provisioned => return Ok(Vec::new()),
        State::Deprovisioned => {
            return Err(Error::invalid(format!(
                "{} is deprovisioned, and cannot be brought back.",
                addon.name
            )));
        }
        State::Provisioning => {}
    }
    let mut releases = announce(connection, addon.id, now)?;
    settle(connection, addon.id, State::Provisioned, now)?;
    releases.extend(each(connection, addon.id, now, |attachment, addon| {
        AddOnEvent::Provisioned {
            addon: addon.name.clone(),
            vars: attachment.config_vars.clone(),
        }
    })?);
    Ok(releases)
}

/// There is no such add-on, and there will be none: the provider refused, gave up, or was given up. It stays to be seen, with what
/// was said of it, until it is destroyed. `tell` when the provider may have something that it should remove.
pub fn failed(
    connection: &Connection,
    addon: Id,
    message: &str,
    tell: bool,
    now: Timestamp,
) -> Result<Vec<Release>> {
    let Some(addon) = addons::by_id(connection, addon)? else {
        return Ok(Vec::new());
    };
    if addon.state == State::Deprovisioned {
        return Ok(Vec::new());
    }
    settle(connection, addon.id, State::Deprovisioned, now)?;
    addon_vars::store(connection, addon.id, &ConfigVars::new(), now)?;
    log_drains::delete_of_addon(connection, addon.id)?;
    connection
        .prepare_cached(
            "UPDATE addon SET provision_message = ?2, grant_digest = NULL, grant_expires_at = NULL WHERE id = ?1",
        )?
        .execute(params![addon.id, message])?;
    if tell {
        queue_removal(connection, &addon, now)?;
    }
    addon_attaching::delete_all(connection, &addon, None, None, now)
}

/// The provider could not be asked, or did not answer: it is asked again at `due`. `message` is for the owner to read.
pub fn again(connection: &Connection, addon: Id, message: &str, due: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE addon SET due_at = ?2, provision_message = ?3 WHERE id = ?1 AND task = 'provision'",
        )?
        .execute(params![addon, due, message])?;
    Ok(())
}

/// Sets some of the vars of an add-on and deletes others (`None`), as its provider says, and makes the releases that follow; none
/// while it is being made, or when nothing has changed.
pub fn configure(
    connection: &Connection,
    addon: &AddOn,
    changes: Vec<(String, Option<String>)>,
    now: Timestamp,
) -> Result<Vec<Release>> {
    if addon.state == State::Deprovisioned {
        return Err(Error::invalid(format!("{} is deprovisioned.", addon.name)));
    }
    let mut config = addon.config.clone();
    for (name, value) in changes {
        match value {
            Some(value) => drop(config.insert(name, value)),
            None => drop(config.remove(&name)),
        }
    }
    if config == addon.config {
        return Ok(Vec::new());
    }
    addon_vars::store(connection, addon.id, &config, now)?;
    match addon.state {
        State::Provisioned => updated(connection, addon.id, now),
        _ => Ok(Vec::new()),
    }
}

/// One release for each app that the add-on is attached to.
pub(super) fn updated(connection: &Connection, addon: Id, now: Timestamp) -> Result<Vec<Release>> {
    let addon = addons::by_id(connection, addon)?.ok_or_else(addons::missing)?;
    let attachments = addon_attachments::of_addon(connection, addon.id)?;
    let mut apps: Vec<Id> = attachments
        .iter()
        .map(|attachment| attachment.app_id)
        .collect();
    apps.sort();
    apps.dedup();
    let mut releases = Vec::new();
    for app in apps {
        let here = attachments
            .iter()
            .filter(|attachment| attachment.app_id == app);
        let event = AddOnEvent::Updated {
            attachments: here.map(|attachment| attachment.name.clone()).collect(),
            service: addon.addon_service_name.clone(),
        };
        let by = addons::owner(connection, app)?;
        releases.push(addon_vars::release(connection, app, event, &by, now)?);
    }
    Ok(releases)
}

/// Writes down that the provider is to be told.
pub(super) fn queue_removal(connection: &Connection, addon: &AddOn, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO addon_removal (id, addon_id, addon_service_id, due_at, created_at) VALUES (?1, ?2, ?3, ?4, ?4)
             ON CONFLICT (addon_id) DO NOTHING",
        )?
        .execute(params![Id::new(), addon.id, addon.addon_service_id, now])?;
    Ok(())
}

/// The provider has removed it, or is given up.
pub fn removed(connection: &Connection, removal: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM addon_removal WHERE id = ?1")?
        .execute([removal])?;
    Ok(())
}

/// The provider is told again at `due`.
pub fn remove_again(connection: &Connection, removal: Id, due: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE addon_removal SET attempts = attempts + 1, due_at = ?2 WHERE id = ?1",
        )?
        .execute(params![removal, due])?;
    Ok(())
}
