//! Dynos: seen, and asked to be replaced. Who replaces them reads it from the store.

use serde::Serialize;

use super::call::Call;
use super::reply::Reply;
use super::view::Named;
use crate::error::Result;
use crate::name::Id;
use crate::store::apps::App;
use crate::store::dynos::{self, Dyno, FIELDS, Which};
use crate::store::formation;
use crate::time::Timestamp;

#[derive(Serialize)]
struct ReleaseRef {
    id: Id,
    version: i64,
}

#[derive(Serialize)]
struct View<'a> {
    app: Named<'a>,
    attach_url: Option<String>,
    command: &'a str,
    created_at: Timestamp,
    id: Id,
    name: String,
    release: ReleaseRef,
    size: &'a str,
    state: &'static str,
    r#type: &'a str,
    updated_at: Timestamp,
}

fn view<'a>(dyno: &'a Dyno, app: &'a App) -> View<'a> {
    View {
        app: Named {
            id: app.id,
            name: &app.name,
        },
        attach_url: None,
        command: &dyno.command,
        created_at: dyno.created_at,
        id: dyno.id,
        name: dyno.name(),
        release: ReleaseRef {
            id: dyno.release_id,
            version: dyno.release_version,
        },
        size: &dyno.size,
        state: dyno.state.as_str(),
        r#type: &dyno.r#type,
        updated_at: dyno.updated_at,
    }
}

pub async fn list(call: Call) -> Result<Reply> {
    let app = call.read(|connection, caller| caller.app(connection))?;
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            dynos::list(connection, caller.app_id(connection)?, page)
        })
        .await?;
    Reply::page(&paged, &paged.views(|dyno| view(dyno, &app)))
}

pub async fn info(call: Call) -> Result<Reply> {
    let (app, dyno) = call.read(|connection, caller| {
        let app = caller.app(connection)?;
        let dyno = dynos::find(connection, app.id, &caller.params.exact_identity("dyno"))?;
        Ok((app, dyno))
    })?;
    Reply::ok(&view(&dyno, &app))
}

/// Restarting a dyno and stopping one are the same for a dyno of the formation: another takes its place.
pub async fn restart(call: Call) -> Result<Reply> {
    call.write(|connection, caller| {
        let app = caller.app(connection)?;
        let dyno = dynos::find(connection, app.id, &caller.params.exact_identity("dyno"))?;
        dynos::restart(connection, app.id, Which::One(dyno.id), caller.now)
    })
    .await?;
    Reply::accepted()
}

pub async fn restart_type(call: Call) -> Result<Reply> {
    call.write(|connection, caller| {
        let app = caller.app(connection)?;
        let entry = formation::find(connection, app.id, &caller.params.exact_identity("type"))?;
        dynos::restart(connection, app.id, Which::Type(&entry.r#type), caller.now)
    })
    .await?;
    Reply::accepted()
}

pub async fn restart_all(call: Call) -> Result<Reply> {
    call.write(|connection, caller| {
        let app = caller.app(connection)?;
        dynos::restart(connection, app.id, Which::All, caller.now)
    })
    .await?;
    Reply::accepted()
}
