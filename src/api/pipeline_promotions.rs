//! Pipeline promotions: asked for here, made by the promotion loop.

use rusqlite::Connection;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Caller};
use super::params::{Lenient, Reference};
use super::reply::{Created, Reply};
use super::view::Ref;
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::access::{self, Permission};
use crate::store::apps::App;
use crate::store::couplings::{self, Coupling};
use crate::store::gates::{self, Gates};
use crate::store::promotions::{
    self, FIELDS, MAX_TARGETS, Promotion, TARGET_FIELDS, Target, Targets,
};
use crate::store::{apps, pipelines};
use crate::time::Timestamp;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelinePromotionSource")]
pub struct SourceView {
    app: Ref,
    release: Ref,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelinePromotion")]
pub struct View {
    created_at: Timestamp,
    id: Id,
    pipeline: Ref,
    source: SourceView,
    status: &'static str,
    updated_at: Timestamp,
}

fn view(promotion: Promotion) -> View {
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

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PipelinePromotionTarget")]
pub struct TargetView {
    app: Ref,
    error_message: Option<String>,
    id: Id,
    pipeline_promotion: Ref,
    release: Option<Ref>,
    status: &'static str,
}

fn target_view(target: Target) -> TargetView {
    TargetView {
        app: Ref { id: target.app_id },
        error_message: target.error_message,
        id: target.id,
        pipeline_promotion: Ref {
            id: target.promotion_id,
        },
        release: Ref::to(target.release_id),
        status: target.status.as_str(),
    }
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelinePromotionNewPromotion")]
pub struct NewPromotion {
    #[schemars(required)]
    pipeline: Option<Reference>,
    #[schemars(required)]
    source: Option<Source>,
    #[schemars(required)]
    targets: Option<Lenient<Vec<Lenient<TargetParam>>>>,
    /// True refuses where the config vars and add-ons of source and target are not of the same names. False, with the header
    /// `X-Elevated-Access: true`, lets the owner of the pipeline promote what has not passed its status checks.
    safe: Option<bool>,
}

/// The release may stand beside the app, as with Heroku, or in it, as with Akkeris.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelinePromotionSourceParam")]
pub struct Source {
    #[schemars(required)]
    app: Option<SourceApp>,
    release: Option<ReleaseParam>,
}

#[derive(Deserialize, JsonSchema)]
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

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelinePromotionReleaseParam")]
pub struct ReleaseParam {
    id: Option<Id>,
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "PipelinePromotionTargetParam")]
pub struct TargetParam {
    #[schemars(required)]
    app: Option<Lenient<Reference>>,
}

/// A [`NewPromotion`] whose parts are all there.
pub struct Wanted {
    pipeline: Identity,
    source: Identity,
    release: Option<Id>,
    targets: Vec<Identity>,
    safe: Option<bool>,
}

impl NewPromotion {
    fn check(self) -> Result<Wanted> {
        let missing = |words: &'static str| move || Error::invalid(words);
        let pipeline = self.pipeline.ok_or_else(missing(
            "The request did not include a \"pipeline\" to promote.",
        ));
        let Reference(pipeline) = pipeline?;
        let source = self.source.ok_or_else(missing(
            "The request did not include a \"source\" app to promote.",
        ))?;
        let app = source.app.ok_or_else(missing(
            "The request did not include a \"source/app\" id or name to promote.",
        ))?;
        let (app, within) = match app {
            SourceApp::Name(name) => (Some(name), None),
            SourceApp::Object { id, name, release } => (id.or(name), release),
        };
        let source_app = Identity::parse(&app.ok_or_else(missing(
            "The request did not include a \"source/app/id\" to promote.",
        ))?);
        let release = source.release.or(within).and_then(|release| release.id);
        let targets = self.targets.ok_or_else(missing(
            "The request did not include a \"target\" array of targets to promote to.",
        ))?;
        let targets = targets.or(missing(
            "The requested target field of apps to deploy to was not an array.",
        ))?;
        if targets.is_empty() || targets.len() > MAX_TARGETS {
            return Err(Error::invalid(format!(
                "Name 1 to {MAX_TARGETS} apps to promote to, in targets."
            )));
        }
        let targets = targets
            .into_iter()
            .map(|target| {
                let app = target.or(no_target)?.app.ok_or_else(no_target)?;
                app.or(no_target).map(|Reference(app)| app)
            })
            .collect::<Result<_>>()?;
        Ok(Wanted {
            pipeline,
            source: source_app,
            release,
            targets,
            safe: self.safe,
        })
    }
}

pub async fn create(call: Call, body: NewPromotion) -> Result<Created<View>> {
    let wanted = body.check()?;
    let elevated = call.request.headers().get(ELEVATED);
    let gates = Gates {
        safe: wanted.safe == Some(true),
        strict_stages: call.platform.config.strict_stages,
        unchecked: wanted.safe == Some(false) && elevated.is_some_and(|value| value == "true"),
    };
    let promotion = call
        .write(move |connection, caller| promote(connection, caller, &wanted, gates))
        .await?;
    Reply::of(&view(promotion))
}

/// Akkeris' header, by which somebody says that he makes use of what he may do beyond others.
const ELEVATED: &str = "x-elevated-access";

fn promote(
    connection: &Connection,
    caller: &Caller,
    wanted: &Wanted,
    mut gates: Gates,
) -> Result<Promotion> {
    let app = apps::find(
        connection,
        &caller.account,
        &wanted.source,
        Permission::View,
    )?;
    let pipeline = pipelines::find(connection, &caller.account, &wanted.pipeline)?;
    let source = coupled(connection, &app, || not_in_pipeline(&app.name))?;
    if source.pipeline_id != pipeline.id {
        return Err(not_in_pipeline(&app.name));
    }
    gates.unchecked &= pipelines::may_change(connection, &caller.account, &pipeline)?;
    let mut targets = Targets::default();
    for target in &wanted.targets {
        let app = apps::find(connection, &caller.account, target, Permission::View)?;
        let held = access::permissions(connection, &caller.account, app.id)?;
        if !held.is_some_and(|held| held.has(Permission::Deploy)) {
            targets.closed.push(app.id);
        }
        targets.all.push(coupled(connection, &app, || {
            gates::no_target(&format!(
                "Add {} to the pipeline {} first.",
                app.name, pipeline.name
            ))
        })?);
    }
    if targets.closed.len() == targets.all.len() {
        return Err(Error::forbidden(
            "You may deploy to none of these apps. Ask their owners for the permission deploy.",
        ));
    }
    promotions::create(
        connection,
        &caller.account,
        &source,
        wanted.release,
        &targets,
        gates,
        caller.now,
    )
}

/// Where an app stands, or this error where it is in no pipeline.
fn coupled(
    connection: &Connection,
    app: &App,
    uncoupled: impl FnOnce() -> Error,
) -> Result<Coupling> {
    couplings::of_app(connection, app.id).map_err(|error| match error.resource {
        Some(_) => uncoupled(),
        None => error,
    })
}

fn no_target() -> Error {
    Error::invalid(
        "A specified target for deployment did not contain an app id, e.g., #/targets/[]/app/id did not exist.",
    )
}

fn not_in_pipeline(app: &str) -> Error {
    Error::invalid(format!(
        "The specified app is not in the given pipeline. Add {app} to it first."
    ))
}

fn find(connection: &Connection, caller: &Caller) -> Result<Promotion> {
    promotions::find(
        connection,
        &caller.account,
        caller.params.id("promotion", "pipeline promotion")?,
    )
}

/// The promotions of every pipeline that the caller sees. Akkeris' list; Heroku has none.
pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let paged = call
        .page(FIELDS, |connection, caller, page| {
            promotions::list(connection, &caller.account, page)
        })
        .await?;
    paged.reply(view)
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let promotion = call.read(find)?;
    Reply::of(&view(promotion))
}

pub async fn targets(call: Call) -> Result<Reply<Vec<TargetView>>> {
    let paged = call
        .page(TARGET_FIELDS, |connection, caller, page| {
            promotions::targets(connection, find(connection, caller)?.id, page)
        })
        .await?;
    paged.reply(target_view)
}
