//! Changes of an add-on's plan: wanted, and what came of them. As in [`super::addon_tasks`], an outcome counts only while it is the
//! one that is waited for.

use rusqlite::{Connection, params};

use super::addon_tasks::{Made, settle, updated};
use super::addon_vars;
use super::addons::{self, AddOn, State};
use super::releases::Release;
use crate::error::{Error, Result};
use crate::name::Id;
use crate::time::Timestamp;

/// Writes down that the provider is to be asked for another plan. 409 while something is under way.
pub fn want(connection: &Connection, addon: &AddOn, plan: Id, now: Timestamp) -> Result<()> {
    if addon.state != State::Provisioned || addon.task.is_some() {
        return Err(Error::conflict(format!(
            "{} is {}, or another change of its plan is under way. Change the plan later.",
            addon.name,
            addon.state.as_str()
        )));
    }
    connection
        .prepare_cached(
            "UPDATE addon SET task = 'plan', wanted_plan_id = ?2, plan_error = NULL, due_at = ?3, attempts = 0 WHERE id = ?1",
        )?
        .execute(params![addon.id, plan, now])?;
    Ok(())
}

/// The provider has changed the plan.
pub fn changed(
    connection: &Connection,
    addon: &AddOn,
    made: &Made,
    now: Timestamp,
) -> Result<Vec<Release>> {
    let changed = connection
        .prepare_cached(
            "UPDATE addon SET plan_id = wanted_plan_id, provision_message = ?3, updated_at = ?4
             WHERE id = ?1 AND task = 'plan' AND wanted_plan_id = ?2",
        )?
        .execute(params![addon.id, addon.wanted_plan_id, made.message, now])?;
    if changed == 0 {
        return Ok(Vec::new());
    }
    settle(connection, addon.id, State::Provisioned, now)?;
    if let Some(config) = &made.config {
        let found = addons::by_id(connection, addon.id)?;
        let mut merged = found.map(|found| found.config).unwrap_or_default();
        merged.extend(config.clone());
        addon_vars::store(connection, addon.id, &merged, now)?;
    }
    // The provider was asked to go back to the plan it never left, as far as anybody was told.
    match addon.wanted_plan_id == Some(addon.plan_id) && made.config.is_none() {
        true => Ok(Vec::new()),
        false => updated(connection, addon.id, now),
    }
}

/// The provider refused: the plan stays.
pub fn refused(
    connection: &Connection,
    addon: &AddOn,
    message: &str,
    now: Timestamp,
) -> Result<()> {
    let refused = connection
        .prepare_cached(
            "UPDATE addon SET plan_error = ?3 WHERE id = ?1 AND task = 'plan' AND wanted_plan_id = ?2",
        )?
        .execute(params![addon.id, addon.wanted_plan_id, message])?;
    match refused {
        0 => Ok(()),
        _ => settle(connection, addon.id, State::Provisioned, now),
    }
}

/// Nobody knows whether the provider has changed the plan, and whoever asked is told that it was not. So from `due` on the provider
/// is asked for the plan that it had.
pub fn unknown(
    connection: &Connection,
    addon: &AddOn,
    message: &str,
    due: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE addon SET wanted_plan_id = plan_id, plan_error = ?3, due_at = ?4, attempts = attempts + 1
             WHERE id = ?1 AND task = 'plan' AND wanted_plan_id = ?2",
        )?
        .execute(params![addon.id, addon.wanted_plan_id, message, due])?;
    Ok(())
}
