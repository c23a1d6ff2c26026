//! What an account may do with an app: Heroku's four permissions, and what only its owner may.
//!
//! Every request for an app asks this once, so it is one look-up by the key of one table, whoever has the app. What the members
//! of a team may do with its apps is therefore written down for each of them ([`super::team_access`]) in the transaction that
//! changes it: changes are rare, and every list that joins this table has a team's apps in it at no cost.

use rusqlite::Connection;
use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use super::accounts::Account;
use super::row::optional;
use crate::error::{Error, Result};
use crate::name::Id;

/// One thing that may be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// See the app, its releases, builds and log.
    View = 1,
    /// Build, release, promote, roll back.
    Deploy = 2,
    /// See and set config vars, scale, restart, run, switch maintenance.
    Operate = 4,
    /// Change what the app is: its name, domains, add-ons, collaborators, pipeline.
    Manage = 8,
    /// Delete the app or give it away.
    Own = 16,
}

impl Permission {
    /// Those that can be given to a collaborator.
    pub const GRANTABLE: [Permission; 4] = [
        Permission::View,
        Permission::Deploy,
        Permission::Operate,
        Permission::Manage,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Permission::View => "view",
            Permission::Deploy => "deploy",
            Permission::Operate => "operate",
            Permission::Manage => "manage",
            Permission::Own => "own",
        }
    }

    pub fn description(self) -> &'static str {
        match self {
            Permission::View => "Can view the app, its releases, builds and log.",
            Permission::Deploy => "Can build, release, promote and roll back.",
            Permission::Operate => "Can set config vars, scale, restart and run.",
            Permission::Manage => "Can manage collaborators, domains, add-ons and the name.",
            Permission::Own => "Can delete the app and give it away.",
        }
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub struct Permissions(u8);

impl Permissions {
    pub const ALL: Permissions = Permissions(31);
    pub const NONE: Permissions = Permissions(0);
    pub const VIEW: Permissions = Permissions(1);
    /// What a collaborator gets who is given nothing in particular.
    pub const COLLABORATOR: Permissions = Permissions(1 | 2 | 4);

    /// The given ones, and seeing, without which no other is of use.
    pub fn of(permissions: &[Permission]) -> Permissions {
        Permissions(
            permissions
                .iter()
                .fold(Permission::View as u8, |all, one| all | *one as u8),
        )
    }

    pub fn has(self, permission: Permission) -> bool {
        self.0 & permission as u8 != 0
    }

    /// Those of both.
    pub fn and(self, other: Permissions) -> Permissions {
        Permissions(self.0 | other.0)
    }

    /// Whether all of `other` are among these.
    pub fn include(self, other: Permissions) -> bool {
        self.0 & other.0 == other.0
    }
}

impl ToSql for Permissions {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Permissions {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Permissions> {
        u8::column_result(value).map(Permissions)
    }
}

/// What `account` may do with the app; `None` for a stranger.
pub fn permissions(
    connection: &Connection,
    account: &Account,
    app: Id,
) -> Result<Option<Permissions>> {
    if account.admin {
        return Ok(Some(Permissions::ALL));
    }
    let mut statement = connection.prepare_cached(
        "SELECT permissions FROM collaborator WHERE app_id = ?1 AND account_id = ?2",
    )?;
    optional(statement.query_row((app, account.id), |row| row.get(0)))
}

/// 404 on the app for a stranger, 403 for whoever may see it and not do this.
pub fn require(
    connection: &Connection,
    account: &Account,
    app: Id,
    permission: Permission,
) -> Result<()> {
    let permissions =
        permissions(connection, account, app)?.ok_or_else(|| Error::not_found("app"))?;
    if permissions.has(permission) {
        Ok(())
    } else {
        Err(refused(permission))
    }
}

fn refused(permission: Permission) -> Error {
    Error::forbidden(match permission {
        Permission::Own => "Only the owner of the app may do this.".to_owned(),
        permission => format!(
            "You do not have the permission to {} this app. Ask its owner for it.",
            permission.as_str()
        ),
    })
}
