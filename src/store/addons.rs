//! Add-ons: what a provider has made for an app. Each belongs to the app it was made for, and is seen from every app that it is
//! attached to. What its provider still has to be asked stands in [`super::addon_tasks`].

use rusqlite::{Connection, Row, ToSql};

use super::access::{self, Permission};
use super::accounts::{self, Account};
use super::addon_attachments;
use super::addon_vars;
use super::config_vars::ConfigVars;
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, json, text_enum};
use crate::error::{Error, ErrorId, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

text_enum! {
    /// A deprovisioned add-on is one that its provider could not make, or has given up.
    State { Provisioning = "provisioning", Provisioned = "provisioned", Deprovisioned = "deprovisioned" }
}

text_enum! {
    /// What is to be done about it, by the loop.
    Task { Provision = "provision", Wait = "wait", Plan = "plan" }
}

#[derive(Clone, Debug)]
pub struct AddOn {
    pub id: Id,
    pub name: String,
    /// The app that it was made for.
    pub app_id: Id,
    pub app_name: String,
    pub addon_service_id: Id,
    pub addon_service_name: String,
    pub config_vars_prefix: String,
    /// What the manifest lets the provider set.
    pub declared_vars: Vec<String>,
    pub has_sso: bool,
    /// Of the drain through which it is sent its app's log; none for one that is not.
    pub log_drain_token: Option<String>,
    pub plan_id: Id,
    pub plan_name: String,
    pub state: State,
    /// The provider's own name for it.
    pub provider_id: Option<String>,
    /// What the provider said of it last, for its owner to read.
    pub provision_message: String,
    /// What the provider set, under the names of the manifest.
    pub config: ConfigVars,
    pub task: Option<Task>,
    pub due_at: Option<Timestamp>,
    pub attempts: u32,
    pub wanted_plan_id: Option<Id>,
    pub plan_error: Option<String>,
    /// Whether a release has told of its first attachment.
    pub announced: bool,
    /// Its oldest attachment to its own app.
    pub first_attachment: Option<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl AddOn {
    /// What its provider may set, as it would be called in an attachment of this name.
    pub fn names_in(&self, attachment: &str) -> Vec<String> {
        addon_vars::names(&self.config_vars_prefix, attachment, &self.declared_vars)
    }

    /// The names of what it sets, or will, in its own app.
    pub fn config_vars(&self) -> Vec<String> {
        let attachment = self
            .first_attachment
            .as_deref()
            .unwrap_or(&self.config_vars_prefix);
        match self.state {
            State::Provisioning => self.names_in(attachment),
            State::Provisioned => {
                addon_vars::names(&self.config_vars_prefix, attachment, self.config.keys())
            }
            State::Deprovisioned => Vec::new(),
        }
    }
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "shown.id", Kind::Id),
    Field::new("name", "shown.name", Kind::Text),
    Field::new("created_at", "shown.created_at", Kind::Time),
    Field::new("updated_at", "shown.updated_at", Kind::Time),
];

const COLUMNS: &str = "addon.id, addon.name, addon.app_id, app.name, addon.addon_service_id, addon_service.name,
    addon_service.config_vars_prefix, addon_service.config_vars, addon_service.sso_salt IS NOT NULL, addon.plan_id, plan.name,
    addon.state, addon.provider_id, addon.provision_message, unseal(addon.id || '/config', addon.config), addon.task,
    addon.due_at, addon.attempts, addon.wanted_plan_id, addon.plan_error, addon.announced,
    (SELECT name FROM addon_attachment WHERE addon_id = addon.id AND app_id = addon.app_id ORDER BY id LIMIT 1),
    addon.created_at, addon.updated_at, addon.log_drain_token";
const FROM: &str = "addon JOIN app ON app.id = addon.app_id JOIN addon_service ON addon_service.id = addon.addon_service_id
    JOIN plan ON plan.id = addon.plan_id";
const OF_APP: &str = "addon.id IN (SELECT id FROM addon WHERE app_id = ?1
    UNION SELECT addon_id FROM addon_attachment WHERE app_id = ?1)";
const OF_ACCOUNT: &str = "addon.id IN (SELECT addon_id FROM addon_viewer WHERE account_id = ?1)";

fn addon(row: &Row<'_>) -> rusqlite::Result<AddOn> {
    Ok(AddOn {
        id: row.get(0)?,
        name: row.get(1)?,
        app_id: row.get(2)?,
        app_name: row.get(3)?,
        addon_service_id: row.get(4)?,
        addon_service_name: row.get(5)?,
        config_vars_prefix: row.get(6)?,
        declared_vars: json(row, 7)?,
        has_sso: row.get(8)?,
        plan_id: row.get(9)?,
        plan_name: row.get(10)?,
        state: row.get(11)?,
        provider_id: row.get(12)?,
        provision_message: row.get(13)?,
        config: json(row, 14)?,
        task: row.get(15)?,
        due_at: row.get(16)?,
        attempts: row.get(17)?,
        wanted_plan_id: row.get(18)?,
        plan_error: row.get(19)?,
        announced: row.get(20)?,
        first_attachment: row.get(21)?,
        created_at: row.get(22)?,
        updated_at: row.get(23)?,
        log_drain_token: row.get(24)?,
    })
}

/// 404, under the name that the official CLI looks for.
pub fn missing() -> Error {
    Error {
        resource: Some("add_on"),
        ..Error::new(ErrorId::NotFound, "Couldn't find that add-on.")
    }
}

pub(super) fn select_all(
    connection: &Connection,
    condition: &str,
    parameters: &[&dyn ToSql],
) -> Result<Vec<AddOn>> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE {condition} ORDER BY addon.id");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(parameters, addon)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// An add-on by its id, for who has been let through to it already; `None` when it is no more.
pub fn by_id(connection: &Connection, id: Id) -> Result<Option<AddOn>> {
    Ok(select_all(connection, "addon.id = ?1", &[&id])?.pop())
}

/// The add-on that `account` points at by id, by name or as `app::attachment`, if it may do this with the app it was made for.
/// 403 for who sees it from another app alone, and 404 for a stranger.
pub fn find(
    connection: &Connection,
    account: &Account,
    text: &str,
    permission: Permission,
) -> Result<AddOn> {
    let found = match (Id::parse(text), text.contains("::")) {
        (Some(id), _) => by_id(connection, id)?,
        (None, false) => select_all(connection, "addon.name = ?1", &[&text.to_lowercase()])?.pop(),
        (None, true) => {
            let attachments = addon_attachments::resolve(connection, account, None, text)?;
            match attachments.first() {
                Some(attachment) => by_id(connection, attachment.addon_id)?,
                None => None,
            }
        }
    };
    let found = found.ok_or_else(missing)?;
    if !is_visible(connection, account, &found)? {
        return Err(missing());
    }
    if permission != Permission::View
        || access::permissions(connection, account, found.app_id)?.is_some()
    {
        permit(connection, account, &found, permission)?;
    }
    Ok(found)
}

/// 403 unless `account` may do this with the app that the add-on was made for.
pub fn permit(
    connection: &Connection,
    account: &Account,
    addon: &AddOn,
    permission: Permission,
) -> Result<()> {
    let permitted = access::require(connection, account, addon.app_id, permission);
    permitted.map_err(|error| match error.id {
        ErrorId::NotFound => Error::forbidden(
            "The add-on belongs to another app. Ask the owner of that one to do this.",
        ),
        _ => error,
    })
}

fn is_visible(connection: &Connection, account: &Account, addon: &AddOn) -> Result<bool> {
    if access::permissions(connection, account, addon.app_id)?.is_some() {
        return Ok(true);
    }
    for attachment in addon_attachments::of_addon(connection, addon.id)? {
        if access::permissions(connection, account, attachment.app_id)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An add-on of an app, or attached to it: by id, by name, or by the name of the attachment.
pub fn of_app(connection: &Connection, app: Id, identity: &Identity) -> Result<AddOn> {
    let found = match identity {
        Identity::Id(id) => select_all(
            connection,
            &format!("addon.id = ?2 AND {OF_APP}"),
            &[&app, id],
        )?,
        Identity::Name(name) => select_all(
            connection,
            &format!("addon.name = ?2 AND {OF_APP}"),
            &[&app, name],
        )?,
    };
    if let [found] = found.as_slice() {
        return Ok(found.clone());
    }
    match addon_attachments::of_app(connection, app, identity) {
        Ok(attachment) => by_id(connection, attachment.addon_id)?.ok_or_else(missing),
        Err(_) => Err(missing()),
    }
}

/// Every add-on of an app, and those attached to it.
pub fn all_of_app(connection: &Connection, app: Id) -> Result<Vec<AddOn>> {
    select_all(connection, OF_APP, &[&app])
}

/// The add-ons that the words of a person may mean: a name, an id, an attachment, a service or a plan, on one app or on all that
/// `account` may see; of one service, if that is named.
pub fn resolve(
    connection: &Connection,
    account: &Account,
    app: Option<Id>,
    text: &str,
    service: Option<&str>,
) -> Result<Vec<AddOn>> {
    let exact = match app {
        Some(app) => of_app(connection, app, &Identity::parse(text)),
        None => find(connection, account, text, Permission::View),
    };
    let candidates = match exact {
        Ok(found) => vec![found],
        Err(error) if error.id != ErrorId::NotFound => return Err(error),
        Err(_) => {
            let (among, parameter): (&str, &dyn ToSql) = match &app {
                Some(app) => (OF_APP, app),
                None => (OF_ACCOUNT, &account.id),
            };
            let condition = format!("{among} AND (addon_service.name = ?2 OR plan.name = ?2)");
            let mut found = select_all(connection, &condition, &[parameter, &text.to_lowercase()])?;
            if found.is_empty() && app.is_none() {
                for attachment in addon_attachments::resolve(connection, account, None, text)? {
                    found.extend(by_id(connection, attachment.addon_id)?);
                }
                found.dedup_by_key(|found| found.id);
            }
            found
        }
    };
    let of_service =
        |found: &AddOn| service.is_none_or(|service| service == found.addon_service_name);
    Ok(candidates.into_iter().filter(of_service).collect())
}

pub fn list_of_app(connection: &Connection, app: Id, page: &Page) -> Result<Listing<AddOn>> {
    let shown = format!("SELECT id, name, created_at, updated_at FROM addon WHERE {OF_APP}");
    listing(connection, &shown, &[&app], page)
}

/// The add-ons of those apps of a team that `account` may see.
pub fn list_of_team(
    connection: &Connection,
    account: &Account,
    team: Id,
    page: &Page,
) -> Result<Listing<AddOn>> {
    if account.admin {
        let all = "SELECT addon.id, addon.name, addon.created_at, addon.updated_at
            FROM app JOIN addon ON addon.app_id = app.id WHERE app.team_id = ?1";
        return listing(connection, all, &[&team], page);
    }
    // One that is seen from another app alone, to which it is attached, is among his and not among the team's.
    let seen = "SELECT addon_id AS id, name, created_at, updated_at FROM addon_viewer
        WHERE account_id = ?1 AND team_id = ?2 AND EXISTS (SELECT 1 FROM addon JOIN collaborator ON collaborator.app_id = addon.app_id
            WHERE addon.id = addon_viewer.addon_id AND collaborator.account_id = ?1)";
    listing(connection, seen, &[&account.id, &team], page)
}

/// The add-ons of the apps that `account` is a collaborator of, and those attached to them.
pub fn list(connection: &Connection, account: &Account, page: &Page) -> Result<Listing<AddOn>> {
    let seen = "SELECT addon_id AS id, name, created_at, updated_at FROM addon_viewer WHERE account_id = ?1";
    listing(connection, seen, &[&account.id], page)
}

/// One page of the add-ons that are `shown`, each by its id and what else they can be ordered by.
fn listing(
    connection: &Connection,
    shown: &str,
    parameters: &[&dyn ToSql],
    page: &Page,
) -> Result<Listing<AddOn>> {
    let query = page::Query {
        columns: COLUMNS,
        from: &format!("({shown}) AS shown CROSS JOIN {FROM} WHERE addon.id = shown.id"),
        id: "shown.id",
        parameters,
    };
    page::select(connection, &query, page, addon)
}

/// In whose name is done to an app what no person asked for: its owner's or, of a team's app, of whoever released it last.
pub fn owner(connection: &Connection, app: Id) -> Result<Account> {
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(owner_id, (SELECT account_id FROM release WHERE app_id = app.id ORDER BY version DESC LIMIT 1))
         FROM app WHERE id = ?1",
    )?;
    let owner = found(statement.query_row([app], |row| row.get(0)), "app")?;
    accounts::by_id(connection, owner)?.ok_or_else(|| Error::not_found("account"))
}
