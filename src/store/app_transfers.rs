//! App transfers: an app offered by its owner to another account, which accepts or declines. A collaborator of the app gets it at
//! once.

use rusqlite::{Connection, Row, params};

use super::accounts::Account;
use super::apps::{self, App};
use super::ownership::{self, Owner};
use super::page::{self, Field, Kind, Listing, Page};
use super::row::{found, text_enum};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::time::Timestamp;

text_enum! {
    State { Pending = "pending", Accepted = "accepted", Declined = "declined" }
}

#[derive(Clone, Debug)]
pub struct Transfer {
    pub id: Id,
    pub app_id: Id,
    pub app_name: String,
    pub owner_id: Id,
    pub owner_email: String,
    pub recipient_id: Id,
    pub recipient_email: String,
    pub state: State,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

pub const FIELDS: &[Field] = &[
    Field::new("id", "app_transfer.id", Kind::Id),
    Field::new("name", "app.name", Kind::Text),
    Field::new("created_at", "app_transfer.created_at", Kind::Time),
];

const COLUMNS: &str = "app_transfer.id, app_transfer.app_id, app.name, app_transfer.owner_id, owner.email, app_transfer.recipient_id,
    recipient.email, app_transfer.state, app_transfer.created_at, app_transfer.updated_at";
const FROM: &str = "app_transfer JOIN app ON app.id = app_transfer.app_id
    JOIN account AS owner ON owner.id = app_transfer.owner_id
    JOIN account AS recipient ON recipient.id = app_transfer.recipient_id";

fn transfer(row: &Row<'_>) -> rusqlite::Result<Transfer> {
    Ok(Transfer {
        id: row.get(0)?,
        app_id: row.get(1)?,
        app_name: row.get(2)?,
        owner_id: row.get(3)?,
        owner_email: row.get(4)?,
        recipient_id: row.get(5)?,
        recipient_email: row.get(6)?,
        state: row.get(7)?,
        created_at: row.get(8)?,
        updated_at: row.get(9)?,
    })
}

/// Offers an app of an account to another, or gives it at once to a collaborator. 422 while it is offered to somebody.
pub fn create(
    connection: &Connection,
    app: &App,
    recipient: &Account,
    by: &Account,
    now: Timestamp,
) -> Result<Transfer> {
    let Owner::Account(owner) = app.owner() else {
        return Err(Error::invalid(format!(
            "This app belongs to a team. `heroku apps:transfer {} --app {}` transfers it, by PATCH /teams/apps/{{app}} with the new owner.",
            recipient.email, app.name
        )));
    };
    if owner == recipient.id {
        return Err(Error::invalid(format!(
            "The app {} belongs to {} already.",
            app.name, recipient.email
        )));
    }
    connection
        .prepare_cached("DELETE FROM app_transfer WHERE app_id = ?1 AND state <> 'pending'")?
        .execute([app.id])?;
    let id = Id::new();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO app_transfer (id, app_id, owner_id, recipient_id, state, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?5) ON CONFLICT (app_id) DO NOTHING",
        )?
        .execute(params![id, app.id, owner, recipient.id, now])?;
    if inserted == 0 {
        return Err(Error::invalid(format!(
            "The app {} is offered to somebody already. Delete that transfer first.",
            app.name
        )));
    }
    if ownership::is_collaborator(connection, app.id, recipient.id)? {
        settle(connection, id, State::Accepted, now)?;
        ownership::give_app(connection, app, Owner::Account(recipient.id), by, now)?;
    }
    by_id(connection, id)
}

fn by_id(connection: &Connection, id: Id) -> Result<Transfer> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE app_transfer.id = ?1");
    found(
        connection.prepare_cached(&sql)?.query_row([id], transfer),
        "app transfer",
    )
}

/// A transfer that `account` offered or was offered, by its id or the name of its app.
pub fn find(connection: &Connection, account: &Account, identity: &Identity) -> Result<Transfer> {
    let (column, value): (&str, &dyn rusqlite::ToSql) = match identity {
        Identity::Id(id) => ("app_transfer.id", id),
        Identity::Name(name) => ("app.name", name),
    };
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM}
         WHERE {column} = ?2 AND (?3 OR app_transfer.owner_id = ?1 OR app_transfer.recipient_id = ?1)
         ORDER BY app_transfer.state = 'pending' DESC, app_transfer.id DESC LIMIT 1"
    );
    found(
        connection
            .prepare_cached(&sql)?
            .query_row(params![account.id, value, account.admin], transfer),
        "app transfer",
    )
}

/// The transfers that `account` offered or was offered.
pub fn list(connection: &Connection, account: &Account, page: &Page) -> Result<Listing<Transfer>> {
    let from = format!(
        "{FROM} WHERE app_transfer.id IN (
             SELECT id FROM app_transfer WHERE owner_id = ?1 UNION SELECT id FROM app_transfer WHERE recipient_id = ?1)"
    );
    let query = page::Query {
        columns: COLUMNS,
        from: &from,
        id: "app_transfer.id",
        parameters: &[&account.id],
    };
    page::select(connection, &query, page, transfer)
}

/// Accepts or declines, for the account that the app is offered to. 422 when the transfer is settled otherwise.
pub fn update(
    connection: &Connection,
    transfer: &Transfer,
    state: State,
    by: &Account,
    now: Timestamp,
) -> Result<Transfer> {
    if transfer.recipient_id != by.id {
        return Err(Error::forbidden(
            "Only the account that the app is offered to accepts or declines it.",
        ));
    }
    match (transfer.state, state) {
        (before, after) if before == after => {}
        (State::Pending, State::Accepted) => {
            settle(connection, transfer.id, state, now)?;
            let app = apps::by_id(connection, transfer.app_id)?;
            ownership::give_app(connection, &app, Owner::Account(by.id), by, now)?;
        }
        (State::Pending, _) => settle(connection, transfer.id, state, now)?,
        (before, _) => {
            return Err(Error::invalid(format!(
                "This transfer is {} already. Ask for another one.",
                before.as_str()
            )));
        }
    }
    by_id(connection, transfer.id)
}

fn settle(connection: &Connection, id: Id, state: State, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE app_transfer SET state = ?2, updated_at = ?3 WHERE id = ?1 AND state = 'pending'",
        )?
        .execute(params![id, state, now])?;
    Ok(())
}

/// Takes an offer back, or forgets one that is settled. 403 for who was offered the app, who declines instead.
pub fn delete(connection: &Connection, transfer: &Transfer, by: &Account) -> Result<()> {
    if transfer.owner_id != by.id && !by.admin {
        return Err(Error::forbidden(
            "Only who offered the app can delete the transfer. Decline it instead.",
        ));
    }
    connection
        .prepare_cached("DELETE FROM app_transfer WHERE id = ?1")?
        .execute([transfer.id])?;
    Ok(())
}
