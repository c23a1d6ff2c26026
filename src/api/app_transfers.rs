//! App transfers: an app offered to another account.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params::{self, Reference};
use super::reply::{Created, Reply};
use super::view::{Named, User};
use crate::error::{Error, Result};
use crate::name::Id;
use crate::store::access::Permission;
use crate::store::app_transfers::{self, FIELDS, State, Transfer};
use crate::store::{accounts, apps, ownership};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppTransfer")]
pub struct View {
    app: Named,
    created_at: Timestamp,
    id: Id,
    owner: User,
    recipient: User,
    state: State,
    updated_at: Timestamp,
}

fn view(transfer: Transfer) -> View {
    View {
        app: Named {
            id: transfer.app_id,
            name: transfer.app_name,
        },
        created_at: transfer.created_at,
        id: transfer.id,
        owner: User {
            email: transfer.owner_email,
            id: transfer.owner_id,
        },
        recipient: User {
            email: transfer.recipient_email,
            id: transfer.recipient_id,
        },
        state: transfer.state,
        updated_at: transfer.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            app_transfers::list(connection, &caller.account, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let transfer = call.read(find)?;
    Reply::of(&view(transfer))
}

fn find(connection: &Connection, caller: &Caller) -> Result<Transfer> {
    let identity = caller.params.identity("transfer");
    app_transfers::find(connection, &caller.account, &identity)
}

/// `silent` is read over: nobody is written to in any case.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AppTransferNewTransfer")]
pub struct NewTransfer {
    #[schemars(required)]
    app: Option<Reference>,
    #[schemars(required)]
    recipient: Option<Reference>,
}

pub async fn create(call: Call, new: NewTransfer) -> Result<Created<View>> {
    let Reference(app) = params::required(new.app, "app")?;
    let Reference(recipient) = params::required(new.recipient, "recipient")?;
    let transfer = call
        .write(move |connection, caller| {
            let by = &caller.account;
            let app = apps::find(connection, by, &app, Permission::View)?;
            ownership::may_give(connection, by, &app)?;
            let recipient = accounts::named(connection, by, &recipient)?;
            app_transfers::create(connection, &app, &recipient, by, caller.now)
        })
        .await?;
    let warning = format!(
        "No mail is sent by this server. Tell {} to accept: curl -X PATCH {}/account/app-transfers/{} \
         -H \"Authorization: Bearer $(heroku auth:token)\" -d '{{\"state\": \"accepted\"}}'",
        transfer.recipient_email, call.platform.urls.api, transfer.app_name
    );
    let reply = Reply::of(&view(transfer.clone()))?;
    Ok(match transfer.state {
        State::Pending => reply.warning(&warning),
        _ => reply,
    })
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "AppTransferChange")]
pub struct Change {
    #[schemars(required)]
    state: Option<String>,
}

pub async fn update(call: Call, change: Change) -> Result<Reply<View>> {
    let state = params::required(change.state, "state")?;
    let state = State::parse(&state)
        .ok_or_else(|| Error::invalid("A transfer is pending, accepted or declined."))?;
    let transfer = call
        .write(move |connection, caller| {
            let transfer = find(connection, caller)?;
            app_transfers::update(connection, &transfer, state, &caller.account, caller.now)
        })
        .await?;
    Reply::of(&view(transfer))
}

pub async fn delete(call: Call) -> Result<Reply<View>> {
    let transfer = call
        .write(|connection, caller| {
            let transfer = find(connection, caller)?;
            app_transfers::delete(connection, &transfer, &caller.account)?;
            Ok(transfer)
        })
        .await?;
    Reply::of(&view(transfer))
}
