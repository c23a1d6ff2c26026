//! Collaborators of an app, and what each may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params::{self, Reference};
use super::reply::{Created, Reply};
use super::view::{Named, User};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::access::{self, Permission, Permissions};
use crate::store::accounts::{self, Account};
use crate::store::apps::App;
use crate::store::collaborators::{self, Collaborator, FIELDS, Role};
use crate::store::teams;
use crate::time::Timestamp;
use rusqlite::Connection;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CollaboratorPermission")]
pub struct PermissionView {
    description: &'static str,
    name: &'static str,
}

impl PermissionView {
    pub(super) fn of(permission: Permission) -> PermissionView {
        PermissionView {
            description: permission.description(),
            name: permission.as_str(),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CollaboratorUser")]
pub struct UserView {
    federated: bool,
    #[serde(flatten)]
    user: User,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Collaborator")]
pub struct View {
    app: Named,
    created_at: Timestamp,
    id: Id,
    permissions: Vec<PermissionView>,
    role: Role,
    updated_at: Timestamp,
    user: UserView,
}

pub(super) fn view(collaborator: Collaborator) -> View {
    let held = |permission: &Permission| collaborator.permissions.has(*permission);
    View {
        app: Named {
            id: collaborator.app_id,
            name: collaborator.app_name,
        },
        created_at: collaborator.created_at,
        id: collaborator.id,
        permissions: Permission::GRANTABLE
            .into_iter()
            .filter(held)
            .map(PermissionView::of)
            .collect(),
        role: collaborator.role,
        updated_at: collaborator.updated_at,
        user: UserView {
            federated: false,
            user: User {
                email: collaborator.account_email,
                id: collaborator.account_id,
            },
        },
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            collaborators::list(connection, caller.app(connection)?.id, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let collaborator = call.read(|connection, caller| {
        collaborators::find(
            connection,
            caller.app(connection)?.id,
            &caller.params.identity("collaborator"),
        )
    })?;
    Reply::of(&view(collaborator))
}

/// Permissions come as Heroku's objects or as bare names.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CollaboratorBody")]
pub struct Body {
    #[schemars(required)]
    user: Option<Reference>,
    permissions: Option<Vec<PermissionParam>>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CollaboratorChange")]
pub struct Change {
    #[schemars(required)]
    permissions: Option<Vec<PermissionParam>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "the name of a permission")]
enum PermissionParam {
    Name(String),
    Object { name: String },
}

fn permissions(given: Vec<PermissionParam>) -> Result<Permissions> {
    let named = given
        .into_iter()
        .map(|param| {
            let (PermissionParam::Name(name) | PermissionParam::Object { name }) = param;
            Permission::GRANTABLE
                .into_iter()
                .find(|known| known.as_str() == name)
                .ok_or_else(|| {
                    Error::invalid("The permissions are view, deploy, operate and manage.")
                })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Permissions::of(&named))
}

pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    let Reference(user) = params::required(body.user, "user")?;
    let granted = body
        .permissions
        .map_or(Ok(Permissions::COLLABORATOR), permissions)?;
    let collaborator = call
        .write(move |connection, caller| {
            let app = caller.app(connection)?;
            let found = accounts::named(connection, &caller.account, &user);
            let joins = match &found {
                Ok(account) => may_join(connection, caller, &app, account, granted)?,
                Err(_) => false,
            };
            // Asked before it is told whether there is such an account.
            if !joins {
                access::require(connection, &caller.account, app.id, Permission::Manage)?;
            }
            let account = found?;
            let role = Role::Collaborator;
            collaborators::create(connection, app.id, account.id, role, granted, caller.now)
        })
        .await?;
    Reply::of(&view(collaborator))
}

/// Members of the team join an app of its that is not locked, with what a collaborator gets.
fn may_join(
    connection: &Connection,
    caller: &Caller,
    app: &App,
    account: &Account,
    granted: Permissions,
) -> Result<bool> {
    let Some(team) = &app.team else {
        return Ok(false);
    };
    if account.id != caller.account.id || app.locked || !Permissions::COLLABORATOR.include(granted)
    {
        return Ok(false);
    }
    match teams::find(connection, account, &Identity::Id(team.id)) {
        Ok(team) => Ok(team.for_members().is_ok()),
        Err(error) if error.resource.is_some() => Ok(false),
        Err(error) => Err(error),
    }
}

pub async fn update(call: Call, change: Change) -> Result<Reply<View>> {
    let granted = permissions(params::required(change.permissions, "permissions")?)?;
    let collaborator = call
        .write(move |connection, caller| {
            let app = caller.app_id(connection)?;
            let before =
                collaborators::find(connection, app, &caller.params.identity("collaborator"))?;
            collaborators::permit(connection, &before, granted, caller.now)
        })
        .await?;
    Reply::of(&view(collaborator))
}

/// Whoever manages the app may show anybody out, and everybody may leave.
pub async fn delete(call: Call) -> Result<Reply<View>> {
    let collaborator = call
        .write(|connection, caller| {
            let app = caller.app(connection)?;
            let found =
                collaborators::find(connection, app.id, &caller.params.identity("collaborator"))?;
            if found.account_id != caller.account.id {
                access::require(connection, &caller.account, app.id, Permission::Manage)?;
            }
            collaborators::delete(connection, &found, caller.now)?;
            Ok(found)
        })
        .await?;
    Reply::of(&view(collaborator))
}
