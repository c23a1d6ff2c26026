//! Dynos: seen, and asked to be replaced. Who replaces them reads it from the store.

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::{Accepted, Reply};
use super::view::Named;
use crate::error::Result;
use crate::name::Id;
use crate::store::apps::App;
use crate::store::dynos::{self, Dyno, FIELDS, Which};
use crate::store::formation;
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DynoReleaseRef")]
pub struct ReleaseRef {
    id: Id,
    version: i64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Dyno")]
pub struct View {
    app: Named,
    attach_url: Option<String>,
    command: String,
    created_at: Timestamp,
    id: Id,
    name: String,
    release: ReleaseRef,
    size: String,
    state: dynos::State,
    r#type: String,
    updated_at: Timestamp,
}

fn view(dyno: Dyno, app: &App) -> View {
    View {
        app: Named {
            id: app.id,
            name: app.name.clone(),
        },
        attach_url: None,
        name: dyno.name(),
        command: dyno.command,
        created_at: dyno.created_at,
        id: dyno.id,
        release: ReleaseRef {
            id: dyno.release_id,
            version: dyno.release_version,
        },
        size: dyno.size,
        state: dyno.state,
        r#type: dyno.r#type,
        updated_at: dyno.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let app = call.read(|connection, caller| caller.app(connection))?;
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            dynos::list(connection, caller.app_id(connection)?, page)
        })
        .await?;
    paged.reply(|dyno| view(dyno, &app))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let (app, dyno) = call.read(|connection, caller| {
        let app = caller.app(connection)?;
        let dyno = dynos::find(connection, app.id, &caller.params.exact_identity("dyno"))?;
        Ok((app, dyno))
    })?;
    Reply::of(&view(dyno, &app))
}

/// Restarting a dyno and stopping one are the same for a dyno of the formation: another takes its place.
pub async fn restart(call: Call) -> Result<Accepted> {
    call.write(|connection, caller| {
        let app = caller.app(connection)?;
        let dyno = dynos::find(connection, app.id, &caller.params.exact_identity("dyno"))?;
        dynos::restart(connection, app.id, Which::One(dyno.id), caller.now)
    })
    .await?;
    Accepted::accepted()
}

pub async fn restart_type(call: Call) -> Result<Accepted> {
    call.write(|connection, caller| {
        let app = caller.app(connection)?;
        let entry = formation::find(connection, app.id, &caller.params.exact_identity("type"))?;
        dynos::restart(connection, app.id, Which::Type(&entry.r#type), caller.now)
    })
    .await?;
    Accepted::accepted()
}

pub async fn restart_all(call: Call) -> Result<Accepted> {
    call.write(|connection, caller| {
        let app = caller.app(connection)?;
        dynos::restart(connection, app.id, Which::All, caller.now)
    })
    .await?;
    Accepted::accepted()
}
