//! Add-on services and their plans, as the operator has registered them from manifests. Every account sees the same ones.

use rusqlite::{Connection, Row, params};

use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, json, optional, text_enum};
use crate::error::{Error, ErrorId, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

text_enum! {
    /// How far a service has come.
    State { Alpha = "alpha", Beta = "beta", Ga = "ga", Shutdown = "shutdown" }
}

/// What a provider offers, as its manifest says. Whoever makes one has checked it.
#[derive(Clone, Debug)]
pub struct Offer {
    pub name: String,
    pub human_name: String,
    pub cli_plugin_name: Option<String>,
    pub state: State,
    pub supports_multiple_installations: bool,
    pub supports_sharing: bool,
    /// Whether its add-ons are sent the log of their app.
    pub wants_log: bool,
    /// `ACME`, with which the names of its config vars begin.
    pub config_vars_prefix: String,
    /// The names that the provider may set.
    pub config_vars: Vec<String>,
    pub base_url: String,
    pub sso_url: String,
}

/// A whole manifest: with what opens the provider to us, and us to it.
#[derive(Clone)]
pub struct Manifest {
    pub offer: Offer,
    pub password: String,
    pub sso_salt: Option<String>,
    /// Of the secret with which the provider exchanges grants; `None` leaves the one there is.
    pub client_secret: Option<[u8; 32]>,
    pub plans: Vec<ManifestPlan>,
}

#[derive(Clone)]
pub struct ManifestPlan {
    /// `acme:basic`.
    pub name: String,
    pub human_name: String,
    pub description: String,
    pub default: bool,
}

#[derive(Clone, Debug)]
pub struct AddOnService {
    pub id: Id,
    pub offer: Offer,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub id: Id,
    pub addon_service_id: Id,
    pub addon_service_name: String,
    /// `acme:basic`.
    pub name: String,
    pub human_name: String,
    pub description: String,
    pub default: bool,
    /// Whether it stands in the manifest still.
    pub visible: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "addon_service.id", Kind::Id),
    Field::new("name", "addon_service.name", Kind::Text),
    Field::new("created_at", "addon_service.created_at", Kind::Time),
];
pub const PLAN_FIELDS: &[Field] = &[
    Field::new("id", "plan.id", Kind::Id),
    Field::new("name", "plan.name", Kind::Text),
    Field::new("created_at", "plan.created_at", Kind::Time),
];

const COLUMNS: &str = "addon_service.id, addon_service.name, addon_service.human_name, addon_service.cli_plugin_name,
    addon_service.state, addon_service.supports_multiple_installations, addon_service.supports_sharing,
    addon_service.config_vars_prefix, addon_service.config_vars, addon_service.base_url, addon_service.sso_url,
    addon_service.created_at, addon_service.updated_at, addon_service.wants_log";
const PLAN_COLUMNS: &str = "plan.id, plan.addon_service_id, addon_service.name, plan.name, plan.human_name, plan.description,
    plan.is_default, plan.visible, plan.created_at, plan.updated_at";
const PLAN_FROM: &str = "plan JOIN addon_service ON addon_service.id = plan.addon_service_id";

fn service(row: &Row<'_>) -> rusqlite::Result<AddOnService> {
    Ok(AddOnService {
        id: row.get(0)?,
        offer: Offer {
            name: row.get(1)?,
            human_name: row.get(2)?,
            cli_plugin_name: row.get(3)?,
            state: row.get(4)?,
            supports_multiple_installations: row.get(5)?,
            supports_sharing: row.get(6)?,
            config_vars_prefix: row.get(7)?,
            config_vars: json(row, 8)?,
            base_url: row.get(9)?,
            sso_url: row.get(10)?,
            wants_log: row.get(13)?,
        },
        created_at: row.get(11)?,
        updated_at: row.get(12)?,
    })
}

fn plan(row: &Row<'_>) -> rusqlite::Result<Plan> {
    Ok(Plan {
        id: row.get(0)?,
        addon_service_id: row.get(1)?,
        addon_service_name: row.get(2)?,
        name: row.get(3)?,
        human_name: row.get(4)?,
        description: row.get(5)?,
        default: row.get(6)?,
        visible: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

/// Makes a service of a manifest, or brings the one of this name in line with it. Plans that it no longer names are removed, or
/// hidden while add-ons are on them. A new service needs a client secret. 409 when the prefix of config vars that exist would change.
pub fn register(
    connection: &Connection,
    manifest: &Manifest,
    now: Timestamp,
) -> Result<AddOnService> {
    let offer = &manifest.offer;
    let before = by_name(connection, &offer.name)?;
    if let Some(before) = &before
        && before.offer.config_vars_prefix != offer.config_vars_prefix
        && let Some(addon) = any_addon(connection, before.id)?
    {
        return Err(Error::conflict(format!(
            "The config vars of {} begin with {} and are in use, by {addon} for one. The prefix cannot change while there are add-ons.",
            offer.name, before.offer.config_vars_prefix
        )));
    }
    let id = before.as_ref().map_or_else(Id::new, |before| before.id);
    let config_vars = serde_json::to_string(&offer.config_vars).map_err(Error::internal)?;
    connection
        .prepare_cached(
            "INSERT INTO addon_service (id, name, human_name, cli_plugin_name, state, supports_multiple_installations,
                 supports_sharing, config_vars_prefix, config_vars, base_url, sso_url, password, sso_salt, client_secret, wants_log, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, seal(?1 || '/password', ?12),
                 iif(?13 IS NULL, NULL, seal(?1 || '/sso_salt', coalesce(?13, ''))), coalesce(?14, x''), ?16, ?15, ?15)
             ON CONFLICT (name) DO UPDATE SET human_name = excluded.human_name, cli_plugin_name = excluded.cli_plugin_name,
                 state = excluded.state, supports_multiple_installations = excluded.supports_multiple_installations,
                 supports_sharing = excluded.supports_sharing, wants_log = excluded.wants_log,
                 config_vars_prefix = excluded.config_vars_prefix,
                 config_vars = excluded.config_vars, base_url = excluded.base_url, sso_url = excluded.sso_url,
                 password = excluded.password, sso_salt = excluded.sso_salt,
                 client_secret = coalesce(?14, addon_service.client_secret), updated_at = excluded.updated_at",
        )?
        .execute(params![
            id,
            offer.name,
            offer.human_name,
            offer.cli_plugin_name,
            offer.state,
            offer.supports_multiple_installations,
            offer.supports_sharing,
            offer.config_vars_prefix,
            config_vars,
            offer.base_url,
            offer.sso_url,
            manifest.password,
            manifest.sso_salt,
            manifest.client_secret,
            now,
            offer.wants_log
        ])?;
    register_plans(connection, id, &manifest.plans, now)?;
    by_id(connection, id)
}

fn register_plans(
    connection: &Connection,
    service: Id,
    plans: &[ManifestPlan],
    now: Timestamp,
) -> Result<()> {
    connection
        .prepare_cached("UPDATE plan SET visible = 0, is_default = 0 WHERE addon_service_id = ?1")?
        .execute([service])?;
    let mut upsert = connection.prepare_cached(
        "INSERT INTO plan (id, addon_service_id, name, human_name, description, is_default, visible, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?7)
         ON CONFLICT (name) DO UPDATE SET human_name = excluded.human_name, description = excluded.description,
             is_default = excluded.is_default, visible = 1, updated_at = excluded.updated_at",
    )?;
    for plan in plans {
        upsert.execute(params![
            Id::new(),
            service,
            plan.name,
            plan.human_name,
            plan.description,
            plan.default,
            now
        ])?;
    }
    connection
        .prepare_cached(
            "DELETE FROM plan WHERE addon_service_id = ?1 AND visible = 0
             AND NOT EXISTS (SELECT 1 FROM addon WHERE addon.plan_id = plan.id)
             AND NOT EXISTS (SELECT 1 FROM addon WHERE addon.wanted_plan_id = plan.id)",
        )?
        .execute([service])?;
    Ok(())
}

/// Removes a service and its plans, and returns how many deprovisionings are given up with it. 409 while it has add-ons.
pub fn remove(connection: &Connection, name: &str) -> Result<usize> {
    let service = by_name(connection, name)?.ok_or_else(|| {
        Error::new(
            ErrorId::NotFound,
            format!(
                "There is no add-on service {name}. `penstock addon list` shows those there are."
            ),
        )
    })?;
    if let Some(addon) = any_addon(connection, service.id)? {
        return Err(Error::conflict(format!(
            "{name} has add-ons, {addon} for one. Destroy them first, so that their provider is told."
        )));
    }
    let given_up = connection
        .prepare_cached("DELETE FROM addon_removal WHERE addon_service_id = ?1")?
        .execute([service.id])?;
    connection
        .prepare_cached("DELETE FROM addon_service WHERE id = ?1")?
        .execute([service.id])?;
    Ok(given_up)
}

fn any_addon(connection: &Connection, service: Id) -> Result<Option<String>> {
    let mut statement = connection
        .prepare_cached("SELECT name FROM addon WHERE addon_service_id = ?1 ORDER BY id LIMIT 1")?;
    optional(statement.query_row([service], |row| row.get(0)))
}

/// Whether a service of this name is known.
pub fn is_registered(connection: &Connection, name: &str) -> Result<bool> {
    Ok(by_name(connection, name)?.is_some())
}

fn by_name(connection: &Connection, name: &str) -> Result<Option<AddOnService>> {
    let sql = format!("SELECT {COLUMNS} FROM addon_service WHERE name = ?1");
    optional(connection.prepare_cached(&sql)?.query_row([name], service))
}

pub fn by_id(connection: &Connection, id: Id) -> Result<AddOnService> {
    let sql = format!("SELECT {COLUMNS} FROM addon_service WHERE id = ?1");
    found(
        connection.prepare_cached(&sql)?.query_row([id], service),
        "add-on service",
    )
}

/// A service, by id or name.
pub fn find(connection: &Connection, identity: &Identity) -> Result<AddOnService> {
    match identity {
        Identity::Id(id) => by_id(connection, *id),
        Identity::Name(name) => {
            by_name(connection, name)?.ok_or_else(|| Error::not_found("add-on service"))
        }
    }
}

pub fn list(connection: &Connection, page: &Page) -> Result<Listing<AddOnService>> {
    let query = page::Query {
        columns: COLUMNS,
        // Whichever column the list goes by, its index is entered at the start and left at the end of the page.
        from: "addon_service WHERE addon_service.id > '' AND addon_service.name > '' AND addon_service.created_at > ''",
        id: "addon_service.id",
        parameters: &[],
    };
    page::select(connection, &query, page, service)
}

/// Every service, by name, for the operator.
pub fn all(connection: &Connection) -> Result<Vec<AddOnService>> {
    let sql = format!("SELECT {COLUMNS} FROM addon_service ORDER BY name");
    let mut statement = connection.prepare_cached(&sql)?;
    let services = statement.query_map([], service)?;
    Ok(services.collect::<rusqlite::Result<_>>()?)
}

/// A plan by its id or its whole name, of this service if one is named; then its own part of the name is enough.
pub fn find_plan(
    connection: &Connection,
    service: Option<&AddOnService>,
    identity: &Identity,
) -> Result<Option<Plan>> {
    let select = |column: &str, value: &dyn rusqlite::ToSql| {
        let sql = format!("SELECT {PLAN_COLUMNS} FROM {PLAN_FROM} WHERE plan.{column} = ?1");
        optional(connection.prepare_cached(&sql)?.query_row([value], plan))
    };
    let found = match (identity, service) {
        (Identity::Id(id), _) => select("id", id)?,
        (Identity::Name(name), Some(service)) if !name.contains(':') => {
            select("name", &format!("{}:{name}", service.offer.name))?
        }
        (Identity::Name(name), _) => select("name", name)?,
    };
    Ok(found.filter(|plan| service.is_none_or(|service| service.id == plan.addon_service_id)))
}

/// The plan that a customer asks for: as [`find_plan`], or the default one of the service that is named. `None` for one that has
/// left the manifest too.
pub fn plan_on_offer(connection: &Connection, identity: &Identity) -> Result<Option<Plan>> {
    if let Identity::Name(name) = identity
        && !name.contains(':')
    {
        let sql = format!(
            "SELECT {PLAN_COLUMNS} FROM {PLAN_FROM} WHERE addon_service.name = ?1 AND plan.is_default"
        );
        return optional(connection.prepare_cached(&sql)?.query_row([name], plan));
    }
    Ok(find_plan(connection, None, identity)?.filter(|plan| plan.visible))
}

/// The plans of a service that are on offer.
pub fn plans(connection: &Connection, service: Id, page: &Page) -> Result<Listing<Plan>> {
    let query = page::Query {
        columns: PLAN_COLUMNS,
        from: &format!("{PLAN_FROM} WHERE plan.addon_service_id = ?1 AND plan.visible"),
        id: "plan.id",
        parameters: &[&service],
    };
    page::select(connection, &query, page, plan)
}

/// What opens the provider's own API: the password that goes with the service's name.
pub fn password(connection: &Connection, service: Id) -> Result<String> {
    let mut statement = connection.prepare_cached(
        "SELECT unseal(id || '/password', password) FROM addon_service WHERE id = ?1",
    )?;
    found(
        statement.query_row([service], |row| row.get(0)),
        "add-on service",
    )
}

/// With which a single sign-on is signed; `None` when the provider has none.
pub fn sso_salt(connection: &Connection, service: Id) -> Result<Option<String>> {
    let mut statement = connection.prepare_cached(
        "SELECT unseal(id || '/sso_salt', sso_salt) FROM addon_service WHERE id = ?1 AND sso_salt IS NOT NULL",
    )?;
    optional(statement.query_row([service], |row| row.get(0)))
}

/// The whole name of a plan.
pub fn plan_name(connection: &Connection, id: Id) -> Result<String> {
    let mut statement = connection.prepare_cached("SELECT name FROM plan WHERE id = ?1")?;
    found(statement.query_row([id], |row| row.get(0)), "plan")
}
