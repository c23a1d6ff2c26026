//! Pipeline promotions: asked for here, made by the promotion loop.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params::{self, Reference};
use super::reply::Reply;
use super::view::Ref;
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::couplings::{self, Coupling};
use crate::store::promotions::{self, MAX_TARGETS, Promotion, TARGET_FIELDS, Target};
use crate::store::{apps, pipelines};
use crate::time::Timestamp;

#[derive(Serialize)]
struct SourceView {
    app: Ref,
    release: Ref,
}

#[derive(Serialize)]
struct View {
    created_at: Timestamp,
    id: Id,
    pipeline: Ref,
    source: SourceView,
    status: &'static str,
    updated_at: Timestamp,
}

fn view(promotion: &Promotion) -> View {
    View {
        created_at: promotion.created_at,
        id: promotion.id,
        pipeline: Ref {
            id: promotion.pipeline_id,
        },
        source: SourceView {
            app: Ref {
                id: promotion.source_app_id,
            },
            release: Ref {
                id: promotion.source_release_id,
            },
        },
        status: promotion.status.as_str(),
        updated_at: promotion.updated_at,
    }
}

#[derive(Serialize)]
struct TargetView<'a> {
    app: Ref,
    error_message: Option<&'a str>,
    id: Id,
    pipeline_promotion: Ref,
    release: Option<Ref>,
    status: &'static str,
}

fn target_view(target: &Target) -> TargetView<'_> {
    TargetView {
        app: Ref { id: target.app_id },
        error_message: target.error_message.as_deref(),
        id: target.id,
        pipeline_promotion: Ref {
            id: target.promotion_id,
        },
        release: Ref::to(target.release_id),
        status: target.status.as_str(),
    }
}

#[derive(Deserialize)]
struct NewPromotion {
    pipeline: Option<Reference>,
    source: Option<Source>,
    targets: Option<Vec<TargetParam>>,
}

/// The release may stand beside the app, as with Heroku, or in it, as with Akkeris.
#[derive(Deserialize)]
struct Source {
    app: Option<SourceApp>,
    release: Option<ReleaseParam>,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "it must be an app, by id or name, or an object with its id"
)]
enum SourceApp {
    Name(String),
    Object {
        id: Option<String>,
        name: Option<String>,
        release: Option<ReleaseParam>,
    },
}

#[derive(Deserialize)]
struct ReleaseParam {
    id: Option<Id>,
}

#[derive(Deserialize)]
struct TargetParam {
    app: Option<Reference>,
}

/// A [`NewPromotion`] whose parts are all there.
struct Wanted {
    pipeline: Identity,
    source: Identity,
    release: Option<Id>,
    targets: Vec<Identity>,
}

impl NewPromotion {
    fn check(self) -> Result<Wanted> {
        let Reference(pipeline) = params::required(self.pipeline, "pipeline")?;
        let source = params::required(self.source, "source")?;
        let (app, within) = match params::required(source.app, "source.app")? {
            SourceApp::Name(name) => (Some(name), None),
            SourceApp::Object { id, name, release } => (id.or(name), release),
        };
        let source_app = Identity::parse(&params::required(app, "source.app.id")?);
        let release = source.release.or(within).and_then(|release| release.id);
        let targets = params::required(self.targets, "targets")?;
        if targets.is_empty() || targets.len() > MAX_TARGETS {
            return Err(Error::invalid(format!(
                "Name 1 to {MAX_TARGETS} apps to promote to, in targets."
            )));
        }
        let targets = targets
            .into_iter()
            .map(|target| params::required(target.app, "targets[].app").map(|Reference(app)| app))
            .collect::<Result<_>>()?;
        Ok(Wanted {
            pipeline,
            source: source_app,
            release,
            targets,
        })
    }
}

pub async fn create(call: Call) -> Result<Reply> {
    let wanted = call.body::<NewPromotion>()?.check()?;
    let promotion = call
        .write(move |connection, caller| {
            let pipeline = pipelines::find(connection, &caller.account, &wanted.pipeline)?;
            let source = coupled(connection, caller, &wanted.source)?;
            if source.pipeline_id != pipeline.id {
                return Err(not_in_pipeline(&source.app_name));
            }
            let targets = wanted
                .targets
                .iter()
                .map(|target| coupled(connection, caller, target))
                .collect::<Result<Vec<_>>>()?;
            promotions::create(
                connection,
                &caller.account,
                &source,
                wanted.release,
                &targets,
                caller.now,
            )
        })
        .await?;
    Reply::created(&view(&promotion))
}

/// An app that the caller may release on, and where it stands.
fn coupled(connection: &Connection, caller: &Caller, app: &Identity) -> Result<Coupling> {
    let app = apps::find(connection, &caller.account, app)?;
    couplings::of_app(connection, app.id).map_err(|error| match error.resource {
        Some(_) => not_in_pipeline(&app.name),
        None => error,
    })
}

fn not_in_pipeline(app: &str) -> Error {
    Error::invalid(format!(
        "The app {app} is not in the given pipeline. Add it there first."
    ))
}

fn find(connection: &Connection, caller: &Caller) -> Result<Promotion> {
    promotions::find(
        connection,
        &caller.account,
        caller.params.id("promotion", "pipeline promotion")?,
    )
}

pub async fn info(call: Call) -> Result<Reply> {
    let promotion = call.read(find)?;
    Reply::ok(&view(&promotion))
}

pub async fn targets(call: Call) -> Result<Reply> {
    let paged = call
        .page(TARGET_FIELDS, |connection, caller, page| {
            promotions::targets(connection, find(connection, caller)?.id, page)
        })
        .await?;
    Reply::page(&paged, &paged.views(target_view))
}
