//! Add-ons made, renamed, attached to more apps, and destroyed: what a customer does, in one transaction each. What that asks of
//! providers is left for [`super::addon_tasks`].

use rusqlite::{Connection, params};

use super::accounts::Account;
use super::addon_attaching::{self, Wanted};
use super::addon_attachments::{self, Attachment};
use super::addon_services::{self, AddOnService, Plan};
use super::addons::{AddOn, State, by_id, missing, select_all};
use super::apps::App;
use super::releases::{AddOnEvent, Release};
use super::row::unique;
use super::{addon_tasks, addon_vars, log_drains};
use crate::error::{Error, Result};
use crate::name::{self, Id, Identity};
use crate::time::Timestamp;

/// Add-ons that one app can have.
const MAX_OF_APP: i64 = 100;

/// What a customer asks for.
pub struct NewAddOn<'a> {
    /// Its globally unique name; none leaves the choice to us.
    pub name: Option<&'a str>,
    pub service: &'a AddOnService,
    pub plan: &'a Plan,
    /// For the provider, as JSON.
    pub options: &'a str,
    pub attachment: Wanted<'a>,
}

/// Writes down that a provider is to be asked for an add-on. The releases are those of attachments that made way for it.
pub fn create(
    connection: &Connection,
    app: &App,
    new: &NewAddOn<'_>,
    by: &Account,
    now: Timestamp,
) -> Result<(AddOn, Vec<Release>)> {
    check_room(connection, app, new.service)?;
    let id = Id::new();
    let chosen = new.name.map(checked_name).transpose()?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO addon (id, name, app_id, addon_service_id, plan_id, state, config, options, log_drain_token, task, due_at,
             created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 'provisioning', seal(?1 || '/config', '{}'), seal(?1 || '/options', ?6), ?8, 'provision', ?7, ?7, ?7)
         ON CONFLICT (name) DO NOTHING",
    )?;
    let log_drain_token = new.service.offer.wants_log.then(log_drains::token);
    loop {
        let name = match &chosen {
            Some(name) => name.clone(),
            None => name::generated_after(&new.service.offer.name)?,
        };
        let service = new.service.id;
        let inserted = insert.execute(params![
            id,
            name,
            app.id,
            service,
            new.plan.id,
            new.options,
            now,
            log_drain_token
        ])?;
        match (inserted, &chosen) {
            (0, Some(_)) => return Err(Error::invalid("Name is already taken")),
            (0, None) => {}
            _ => break,
        }
    }
    let made = by_id(connection, id)?.ok_or_else(missing)?;
    let place = (app.id, app.name.as_str());
    let (_, releases) =
        addon_attaching::create(connection, &made, place, &new.attachment, by, now)?;
    Ok((by_id(connection, id)?.ok_or_else(missing)?, releases))
}

fn check_room(connection: &Connection, app: &App, service: &AddOnService) -> Result<()> {
    let count: i64 = connection
        .prepare_cached("SELECT count(*) FROM addon WHERE app_id = ?1")?
        .query_row([app.id], |row| row.get(0))?;
    if count >= MAX_OF_APP {
        return Err(Error::invalid(format!(
            "An app can have {MAX_OF_APP} add-ons at most."
        )));
    }
    if service.offer.state == addon_services::State::Shutdown {
        return Err(Error::invalid(format!(
            "{} is being shut down, so it makes no new add-ons.",
            service.offer.name
        )));
    }
    if !service.offer.supports_multiple_installations
        && addon_attachments::has_service(connection, app.id, service.id)?
    {
        return Err(Error::invalid(format!(
            "{} has an add-on of {} already, and the service allows one for an app.",
            app.name, service.offer.name
        )));
    }
    Ok(())
}

/// `^[a-z][a-z0-9_-]+$`, in lower case whatever it was given in.
fn checked_name(name: &str) -> Result<String> {
    let name = name.to_ascii_lowercase();
    let fits = (2..=256).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
        && Id::parse(&name).is_none();
    match fits {
        true => Ok(name),
        false => Err(Error::invalid(
            "The name of an add-on must begin with a letter and have 2 to 256 letters, digits, dashes and underscores.",
        )),
    }
}

/// Renames an add-on. 422 when the name is taken.
pub fn rename(connection: &Connection, addon: &AddOn, name: &str, now: Timestamp) -> Result<()> {
    let updated = connection
        .prepare_cached("UPDATE addon SET name = ?2, updated_at = ?3 WHERE id = ?1 AND name <> ?2")?
        .execute(params![addon.id, checked_name(name)?, now]);
    // An attachment shows what its add-on is called.
    if unique(updated, || Error::invalid("Name is already taken"))? > 0 {
        connection
            .prepare_cached("UPDATE addon_attachment SET updated_at = ?2 WHERE addon_id = ?1")?
            .execute(params![addon.id, now])?;
    }
    Ok(())
}

/// Attaches an add-on to one more app, or under one more name, and makes the releases that follow.
pub fn attach(
    connection: &Connection,
    addon: &AddOn,
    app: &App,
    wanted: &Wanted<'_>,
    by: &Account,
    now: Timestamp,
) -> Result<(Attachment, Vec<Release>)> {
    if addon.state == State::Deprovisioned {
        return Err(Error::invalid(format!(
            "{} is deprovisioned, so there is nothing to attach.",
            addon.name
        )));
    }
    let place = (app.id, app.name.as_str());
    let (attachment, mut releases) =
        addon_attaching::create(connection, addon, place, wanted, by, now)?;
    if addon.announced {
        let event = AddOnEvent::Attached {
            attachment: attachment.name.clone(),
            addon: addon.name.clone(),
        };
        releases.push(addon_vars::release(connection, app.id, event, by, now)?);
    }
    let attachment = addon_attachments::of_app(connection, app.id, &Identity::Id(attachment.id))?;
    Ok((attachment, releases))
}

/// Destroys an add-on: its attachments go with a release each, and its provider will be told. No release for the app that is itself
/// about to go.
pub fn destroy(
    connection: &Connection,
    addon: &AddOn,
    dying: Option<Id>,
    by: &Account,
    now: Timestamp,
) -> Result<Vec<Release>> {
    let releases = addon_attaching::delete_all(connection, addon, dying, Some(by), now)?;
    if addon.state != State::Deprovisioned {
        addon_tasks::queue_removal(connection, addon, now)?;
    }
    forget(connection, addon.id)?;
    Ok(releases)
}

/// Deletes the row alone, of an add-on whose provider knows already.
pub fn forget(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM addon WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Destroys what belongs to an app that is about to be deleted.
pub fn destroy_all_of(
    connection: &Connection,
    app: Id,
    by: &Account,
    now: Timestamp,
) -> Result<Vec<Release>> {
    let mut releases = Vec::new();
    for addon in select_all(connection, "addon.app_id = ?1", &[&app])? {
        releases.extend(destroy(connection, &addon, Some(app), by, now)?);
    }
    Ok(releases)
}
