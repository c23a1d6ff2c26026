//! Attaching and detaching: under which name an add-on's config vars appear in an app, and what has to make way for them.

use rusqlite::{Connection, params};

use super::accounts::Account;
use super::addon_attachments::{Attachment, of_addon, of_app};
use super::addons::AddOn;
use super::releases::{AddOnEvent, Release};
use super::{addon_vars, addons};
use crate::error::{Error, ErrorId, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

/// Attachments that one add-on can have.
const MAX_OF_ADDON: i64 = 100;

/// What a new attachment is to be called.
pub struct Wanted<'a> {
    /// None leaves the choice to us.
    pub name: Option<&'a str>,
    pub namespace: Option<&'a str>,
    /// The app's name, from a caller who agrees that what is there is replaced.
    pub confirm: Option<&'a str>,
}

/// Attaches an add-on to an app. What has its name goes, and config vars of its names that were set by hand are set by it from
/// then on, if the caller has agreed to that: 423 otherwise. The releases are those of what went; its own is the caller's to make.
pub fn create(
    connection: &Connection,
    addon: &AddOn,
    app: (Id, &str),
    wanted: &Wanted<'_>,
    by: &Account,
    now: Timestamp,
) -> Result<(Attachment, Vec<Release>)> {
    let existing = of_addon(connection, addon.id)?;
    if existing.len() as i64 >= MAX_OF_ADDON {
        return Err(Error::invalid(format!(
            "An add-on can have {MAX_OF_ADDON} attachments at most."
        )));
    }
    let confirmed = wanted.confirm == Some(app.1);
    let (name, replaced) = match wanted.name {
        Some(name) => chosen(connection, addon, app, &checked(name)?, confirmed)?,
        None => (free(connection, addon, app.0)?, None),
    };
    let releases = match &replaced {
        Some(replaced) => vec![detach(connection, replaced, by, now)?],
        None => Vec::new(),
    };
    let (by_hand, by_addons) = addon_vars::taken(connection, app.0, &addon.names_in(&name))?;
    if !by_addons.is_empty() {
        return Err(Error::invalid(format!(
            "{} would be set by two add-ons of {}. Choose another name for the attachment.",
            by_addons.join(", "),
            app.1
        )));
    }
    if !by_hand.is_empty() && !confirmed {
        return Err(confirmation(format!(
            "{} is set on {} already, and would be overwritten by {}.",
            by_hand.join(", "),
            app.1,
            addon.name
        )));
    }
    let id = Id::new();
    connection
        .prepare_cached(
            "INSERT INTO addon_attachment (id, addon_id, app_id, name, namespace, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)",
        )?
        .execute(params![id, addon.id, app.0, name, wanted.namespace, now])?;
    Ok((of_app(connection, app.0, &Identity::Id(id))?, releases))
}

/// 423: the caller has to repeat the request with the app's name as `confirm`.
pub fn confirmation(message: String) -> Error {
    Error::new(ErrorId::ConfirmationRequired, message)
}

/// The beginning of config vars' names: in capitals, whatever it was given in.
fn checked(name: &str) -> Result<String> {
    let name = name.to_ascii_uppercase();
    let fits = (1..=64).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_uppercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    match fits {
        true => Ok(name),
        false => Err(Error::invalid(
            "The name of an attachment must be 1 to 64 letters, digits and underscores, and begin with a letter, such as DATABASE.",
        )),
    }
}

/// The name that a caller chose, and the attachment that has it.
fn chosen(
    connection: &Connection,
    addon: &AddOn,
    app: (Id, &str),
    name: &str,
    confirmed: bool,
) -> Result<(String, Option<Attachment>)> {
    let replaced = match of_app(connection, app.0, &Identity::Name(name.to_owned())) {
        Ok(there) => Some(there),
        Err(error) if error.id == ErrorId::NotFound => None,
        Err(error) => return Err(error),
    };
    if let Some(there) = &replaced {
        if there.addon_id == addon.id {
            return Err(Error::invalid(format!(
                "{} is attached to {} as {name} already.",
                addon.name, app.1
            )));
        }
        if !confirmed {
            return Err(confirmation(format!(
                "{name} is the attachment of {} to {}, and would be detached.",
                there.addon_name, app.1
            )));
        }
    }
    Ok((name.to_owned(), replaced))
}

/// As Heroku tells several add-ons of one service apart.
const COLORS: [&str; 20] = [
    "AMBER", "AQUA", "BLACK", "BLUE", "BRONZE", "BROWN", "COBALT", "COPPER", "CRIMSON", "CYAN",
    "GOLD", "GRAY", "GREEN", "IVORY", "JADE", "OLIVE", "ORANGE", "PURPLE", "RED", "ROSE",
];

/// The prefix of the service, or the first of its colors that nobody has.
fn free(connection: &Connection, addon: &AddOn, app: Id) -> Result<String> {
    let plain = std::iter::once(addon.config_vars_prefix.clone());
    let colored = COLORS
        .iter()
        .map(|color| format!("{}_{color}", addon.config_vars_prefix));
    for name in plain.chain(colored) {
        let taken = match of_app(connection, app, &Identity::Name(name.clone())) {
            Ok(_) => true,
            Err(error) if error.id == ErrorId::NotFound => false,
            Err(error) => return Err(error),
        };
        let (_, by_addons) = addon_vars::taken(connection, app, &addon.names_in(&name))?;
        if !taken && by_addons.is_empty() {
            return Ok(name);
        }
    }
    Err(Error::invalid(
        "The app has so many add-ons of this service that the attachment needs a name of its own. Give one.",
    ))
}

/// Detaches, and makes the release that follows. 422 for the last attachment to the add-on's own app: there it is destroyed instead.
pub fn detach(
    connection: &Connection,
    attachment: &Attachment,
    by: &Account,
    now: Timestamp,
) -> Result<Release> {
    let others: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM addon_attachment WHERE addon_id = ?1 AND app_id = ?2 AND id <> ?3",
        )?
        .query_row(
            params![attachment.addon_id, attachment.addon_app_id, attachment.id],
            |row| row.get(0),
        )?;
    if attachment.app_id == attachment.addon_app_id && others == 0 {
        return Err(Error::invalid(format!(
            "Cannot destroy last attachment to billing app for resource {}. Destroy the add-on itself instead.",
            attachment.addon_name
        )));
    }
    delete(connection, attachment, by, now)
}

/// Removes an attachment, whatever it is the last of, and makes the release that follows.
fn delete(
    connection: &Connection,
    attachment: &Attachment,
    by: &Account,
    now: Timestamp,
) -> Result<Release> {
    remove(connection, attachment.id)?;
    let event = AddOnEvent::Detached {
        attachment: attachment.name.clone(),
        addon: attachment.addon_name.clone(),
    };
    addon_vars::release(connection, attachment.app_id, event, by, now)
}

fn remove(connection: &Connection, id: Id) -> Result<()> {
    connection
        .prepare_cached("DELETE FROM addon_attachment WHERE id = ?1")?
        .execute([id])?;
    Ok(())
}

/// Removes every attachment of an add-on, with a release each, but on `except`, which goes itself. Without releases for one that
/// no release has told of yet.
pub(super) fn delete_all(
    connection: &Connection,
    addon: &AddOn,
    except: Option<Id>,
    by: Option<&Account>,
    now: Timestamp,
) -> Result<Vec<Release>> {
    let mut releases = Vec::new();
    for attachment in of_addon(connection, addon.id)? {
        if except == Some(attachment.app_id) || !addon.announced {
            remove(connection, attachment.id)?;
            continue;
        }
        let owner;
        let by = match by {
            Some(by) => by,
            None => {
                owner = addons::owner(connection, attachment.app_id)?;
                &owner
            }
        };
        releases.push(delete(connection, &attachment, by, now)?);
    }
    Ok(releases)
}
