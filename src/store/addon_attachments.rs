//! Attachments: where an add-on's config vars appear. The first is made with the add-on; others bring it to more apps, or to the
//! same app under another name.

use std::collections::BTreeSet;

use rusqlite::{Connection, Row, ToSql, params};

use super::access::{self, Permission, Permissions};
use super::accounts::Account;
use super::addon_vars;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{json, optional};
use crate::error::{Error, ErrorId, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

#[derive(Clone, Debug)]
pub struct Attachment {
    pub id: Id,
    /// `CACHE`, with which the names of its config vars begin.
    pub name: String,
    pub namespace: Option<String>,
    pub app_id: Id,
    pub app_name: String,
    pub addon_id: Id,
    pub addon_name: String,
    /// The app that the add-on was made for.
    pub addon_app_id: Id,
    pub addon_app_name: String,
    pub plan_id: Id,
    pub plan_name: String,
    /// Whether its provider has pages that can be opened.
    pub has_pages: bool,
    /// The names of what it sets in its app.
    pub config_vars: Vec<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "shown.id", Kind::Id),
    Field::new("name", "shown.name", Kind::SharedText),
    Field::new("created_at", "shown.created_at", Kind::Time),
];

const COLUMNS: &str = "addon_attachment.id, addon_attachment.name, addon_attachment.namespace, addon_attachment.app_id, app.name,
    addon.id, addon.name, addon.app_id, owner.name, plan.id, plan.name, addon_service.config_vars_prefix,
    iif(addon.state = 'provisioned', (SELECT json_group_array(key) FROM json_each(unseal(addon.id || '/config', addon.config))), '[]'),
    addon_attachment.created_at, addon_attachment.updated_at, addon.state = 'provisioned' AND addon_service.sso_salt IS NOT NULL";
const FROM: &str = "addon_attachment JOIN app ON app.id = addon_attachment.app_id
    JOIN addon ON addon.id = addon_attachment.addon_id JOIN app AS owner ON owner.id = addon.app_id
    JOIN plan ON plan.id = addon.plan_id JOIN addon_service ON addon_service.id = addon.addon_service_id";
/// The view `addon_attachment_seen` says who sees an attachment.
const VISIBLE: &str = "EXISTS (SELECT 1 FROM addon_attachment_viewer AS viewer
    WHERE viewer.attachment_id = addon_attachment.id AND viewer.account_id = ?1)";

fn attachment(row: &Row<'_>) -> rusqlite::Result<Attachment> {
    let (name, prefix): (String, String) = (row.get(1)?, row.get(11)?);
    let vars: Vec<String> = json(row, 12)?;
    Ok(Attachment {
        id: row.get(0)?,
        config_vars: addon_vars::names(&prefix, &name, &vars),
        name,
        namespace: row.get(2)?,
        app_id: row.get(3)?,
        app_name: row.get(4)?,
        addon_id: row.get(5)?,
        addon_name: row.get(6)?,
        addon_app_id: row.get(7)?,
        addon_app_name: row.get(8)?,
        plan_id: row.get(9)?,
        plan_name: row.get(10)?,
        created_at: row.get(13)?,
        updated_at: row.get(14)?,
        has_pages: row.get(15)?,
    })
}

/// 404, under the name that the official CLI looks for.
pub fn missing() -> Error {
    Error {
        resource: Some("add_on attachment"),
        ..Error::new(ErrorId::NotFound, "Couldn't find that add-on attachment.")
    }
}

fn select_all(
    connection: &Connection,
    condition: &str,
    parameters: &[&dyn ToSql],
) -> Result<Vec<Attachment>> {
    let sql =
        format!("SELECT {COLUMNS} FROM {FROM} WHERE {condition} ORDER BY addon_attachment.id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(parameters, attachment)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// An attachment of an app, by id or name.
pub fn of_app(connection: &Connection, app: Id, identity: &Identity) -> Result<Attachment> {
    let found = match identity {
        Identity::Id(id) => select_all(
            connection,
            "addon_attachment.app_id = ?1 AND addon_attachment.id = ?2",
            &[&app, id],
        ),
        Identity::Name(name) => select_all(
            connection,
            "addon_attachment.app_id = ?1 AND addon_attachment.name = ?2",
            &[&app, &name.to_uppercase()],
        ),
    };
    found?.pop().ok_or_else(missing)
}

/// Every attachment of an add-on.
pub fn of_addon(connection: &Connection, addon: Id) -> Result<Vec<Attachment>> {
    select_all(connection, "addon_attachment.addon_id = ?1", &[&addon])
}

/// An attachment that `account` may see: on an app that it sees, or of an add-on of an app that it manages.
pub fn find(connection: &Connection, account: &Account, id: Id) -> Result<Attachment> {
    let found = select_all(connection, "addon_attachment.id = ?1", &[&id])?.pop();
    let found = found.ok_or_else(missing)?;
    match is_visible(connection, account, &found)? {
        true => Ok(found),
        false => Err(missing()),
    }
}

fn is_visible(connection: &Connection, account: &Account, found: &Attachment) -> Result<bool> {
    let of = |app| access::permissions(connection, account, app);
    let manages = |own: Permissions| own.has(Permission::Manage);
    Ok(of(found.app_id)?.is_some() || of(found.addon_app_id)?.is_some_and(manages))
}

/// The attachments that an identity may mean to `account`: an id, a name, or `app::name`; on one app, if that is named.
pub fn resolve(
    connection: &Connection,
    account: &Account,
    app: Option<Id>,
    text: &str,
) -> Result<Vec<Attachment>> {
    if let Some(app) = app {
        return match of_app(connection, app, &Identity::parse(text)) {
            Ok(found) => Ok(vec![found]),
            Err(error) if error.id == ErrorId::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
    }
    let found = match (Id::parse(text), text.split_once("::")) {
        (Some(id), _) => select_all(connection, "addon_attachment.id = ?1", &[&id])?,
        (None, Some((app, name))) => select_all(
            connection,
            "app.name = ?1 AND addon_attachment.app_id = app.id AND addon_attachment.name = ?2",
            &[&app.to_lowercase(), &name.to_uppercase()],
        )?,
        // A name alone is looked for among what is the account's own, since many apps have a DATABASE.
        (None, None) => select_all(
            connection,
            "addon_attachment.id IN (SELECT attachment_id FROM addon_attachment_viewer WHERE account_id = ?1 AND name = ?2)",
            &[&account.id, &text.to_uppercase()],
        )?,
    };
    let mut visible = Vec::new();
    for found in found {
        if is_visible(connection, account, &found)? {
            visible.push(found);
        }
    }
    Ok(visible)
}

pub fn list_of_app(connection: &Connection, app: Id, page: &Page) -> Result<Listing<Attachment>> {
    let shown = "SELECT id, name, created_at FROM addon_attachment WHERE app_id = ?1";
    listing(connection, shown, &[&app], page)
}

/// The attachments of an add-on that `account` may see; for an admin of the server all of them.
pub fn list_of_addon(
    connection: &Connection,
    account: &Account,
    addon: Id,
    page: &Page,
) -> Result<Listing<Attachment>> {
    let shown = format!(
        "SELECT id, name, created_at FROM addon_attachment WHERE addon_id = ?2 AND (?3 OR {VISIBLE})"
    );
    listing(
        connection,
        &shown,
        &[&account.id, &addon, &account.admin],
        page,
    )
}

pub fn list(
    connection: &Connection,
    account: &Account,
    page: &Page,
) -> Result<Listing<Attachment>> {
    let shown = "SELECT attachment_id AS id, name, created_at FROM addon_attachment_viewer WHERE account_id = ?1";
    listing(connection, shown, &[&account.id], page)
}

/// One page of the attachments that are `shown`, each by its id and what else they can be ordered by.
fn listing(
    connection: &Connection,
    shown: &str,
    parameters: &[&dyn ToSql],
    page: &Page,
) -> Result<Listing<Attachment>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("({shown}) AS shown CROSS JOIN {FROM} WHERE addon_attachment.id = shown.id"),
        id: "shown.id",
        parameters,
    };
    page::select(connection, &query, page, attachment)
}

/// The plans of the add-ons that are attached to an app, for its next release.
pub(super) fn plan_names(connection: &Connection, app: Id) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT plan.name FROM addon_attachment JOIN addon ON addon.id = addon_attachment.addon_id
         JOIN plan ON plan.id = addon.plan_id WHERE addon_attachment.app_id = ?1 ORDER BY plan.name",
    )?;
    let names = statement.query_map([app], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// The services of which an app has an add-on attached, by name.
pub(super) fn service_names(connection: &Connection, app: Id) -> Result<BTreeSet<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT addon_service.name FROM addon_attachment JOIN addon ON addon.id = addon_attachment.addon_id
         JOIN addon_service ON addon_service.id = addon.addon_service_id WHERE addon_attachment.app_id = ?1",
    )?;
    let names = statement.query_map([app], |row| row.get(0))?;
    Ok(names.collect::<rusqlite::Result<_>>()?)
}

/// Whether an app has an add-on of this service attached.
pub fn has_service(connection: &Connection, app: Id, service: Id) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "SELECT 1 FROM addon_attachment JOIN addon ON addon.id = addon_attachment.addon_id
         WHERE addon_attachment.app_id = ?1 AND addon.addon_service_id = ?2 LIMIT 1",
    )?;
    Ok(optional(statement.query_row(params![app, service], |_| Ok(())))?.is_some())
}
