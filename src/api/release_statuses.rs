//! Release statuses: what tests and people say of a release, which a pipeline's stages may ask for.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params::{self, Parts, Whole};
use super::reply::{Created, Reply};
use super::view::{Named, Ref};
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::release_statuses::{self, ReleaseStatus, State, Update};
use crate::store::releases::{self, Release};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReleaseStatus")]
pub struct View {
    context: String,
    created_at: Timestamp,
    description: String,
    id: Id,
    image_url: String,
    name: String,
    release: Ref,
    state: State,
    target_url: String,
    updated_at: Timestamp,
}

fn view(release: Id, status: ReleaseStatus) -> View {
    View {
        context: status.context,
        created_at: status.created_at,
        description: status.description,
        id: status.id,
        image_url: status.image_url,
        name: status.name,
        release: Ref { id: release },
        state: status.state,
        target_url: status.target_url,
        updated_at: status.updated_at,
    }
}

/// The release in the path, of the app in the path, by its id or, as with Heroku, its version.
fn release(connection: &Connection, caller: &Caller) -> Result<Release> {
    let app = caller.app_id(connection)?;
    let identity = caller.params.identity("release");
    if let Identity::Name(version) = &identity
        && version
            .strip_prefix('v')
            .unwrap_or(version)
            .parse::<u32>()
            .is_err()
    {
        return Err(Error::invalid("The specified uuid was invalid."));
    }
    releases::find(connection, app, &identity).map_err(|error| match error.resource {
        Some(_) => Error {
            message: format!("The specified release {} was not found.", identity.shown()).into(),
            ..error
        },
        None => error,
    })
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReleaseStatusRelease")]
pub struct ReleaseView {
    app: Named,
    id: Id,
    state: State,
    version: i64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReleaseStatuses")]
pub struct Combined {
    release: ReleaseView,
    state: State,
    statuses: Vec<View>,
}

pub async fn list(call: Call) -> Result<Reply<Combined>> {
    let (release, statuses) = call.read(|connection, caller| {
        let release = release(connection, caller)?;
        let statuses = release_statuses::list(connection, release.id)?;
        Ok((release, statuses))
    })?;
    let state = release_statuses::combined(&statuses);
    let app = Named {
        id: release.app_id,
        name: release.app_name,
    };
    Reply::of(&Combined {
        release: ReleaseView {
            app,
            id: release.id,
            state,
            version: release.version,
        },
        state,
        statuses: statuses
            .into_iter()
            .map(|status| view(release.id, status))
            .collect(),
    })
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let (release, status) = call.read(|connection, caller| {
        let release = release(connection, caller)?;
        let status =
            release_statuses::find(connection, release.id, &caller.params.identity("status"))?;
        Ok((release, status))
    })?;
    Reply::of(&view(release.id, status))
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ReleaseStatusBody")]
pub struct Body {
    context: Option<String>,
    state: Option<String>,
    name: Option<String>,
    description: Option<String>,
    target_url: Option<String>,
    image_url: Option<String>,
}

impl Parts for Body {
    const NEEDED: &'static [&'static str] = &["context", "state"];
}

impl Body {
    fn update(self) -> Result<Update> {
        let state = self.state.as_deref().map(state).transpose()?;
        Ok(Update {
            state,
            name: self.name,
            description: self.description,
            target_url: self.target_url,
            image_url: self.image_url,
        })
    }
}

fn state(text: &str) -> Result<State> {
    State::parse(text).ok_or_else(|| {
        Error::invalid(
            "Invalid state: The state must be \"error\", \"failure\", \"pending\" or \"success\".",
        )
    })
}

pub async fn create(call: Call, Whole(mut body): Whole<Body>) -> Result<Created<View>> {
    let context = params::required(body.context.take(), "context")?;
    params::required(body.state.as_ref(), "state")?;
    let new = body.update()?;
    let (release, status) = call
        .write(move |connection, caller| {
            let release = release(connection, caller)?;
            let status =
                release_statuses::create(connection, release.id, &context, &new, caller.now)?;
            Ok((release, status))
        })
        .await?;
    Reply::of(&view(release.id, status))
}

pub async fn update(call: Call, body: Body) -> Result<Reply<View>> {
    if body.context.is_some() {
        return Err(Error::invalid(
            "Invalid parameter: the context of the status may not be renamed or changed.",
        ));
    }
    let change = body.update()?;
    let (release, status) = call
        .write(move |connection, caller| {
            let release = release(connection, caller)?;
            let identity = caller.params.identity("status");
            let status =
                release_statuses::update(connection, release.id, &identity, &change, caller.now)?;
            Ok((release, status))
        })
        .await?;
    Reply::of(&view(release.id, status))
}
