//! Whether a pipeline has review apps. What takes a connection to GitHub is refused in so many words: there is none.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::call::{Call, Caller};
use super::params;
use super::reply::{Created, Reply};
use crate::catalog;
use crate::error::{Error, Result};
use crate::name::{Id, Identity};
use crate::store::review_app_configs::{self as configs, Change, Config};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReviewAppConfigRepo")]
pub struct Repo {
    /// 0: sources are uploaded or named by URL, and no repository is connected.
    id: i64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReviewAppDeployTarget")]
pub struct DeployTarget {
    id: &'static str,
    r#type: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReviewAppConfig")]
pub struct View {
    automatic_review_apps: bool,
    base_name: Option<String>,
    deploy_target: Option<DeployTarget>,
    destroy_stale_apps: bool,
    pipeline_id: Id,
    repo: Repo,
    stale_days: i64,
    wait_for_ci: bool,
}

fn view(config: Config) -> View {
    View {
        automatic_review_apps: false,
        base_name: config.base_name,
        deploy_target: Some(DeployTarget {
            id: catalog::REGION.name,
            r#type: "region",
        }),
        destroy_stale_apps: config.destroy_stale_apps,
        pipeline_id: config.pipeline_id,
        repo: Repo { id: 0 },
        stale_days: config.stale_days,
        wait_for_ci: false,
    }
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ReviewAppDeployTargetParam")]
pub struct DeployTargetParam {
    #[schemars(required)]
    id: Option<String>,
    #[schemars(required)]
    r#type: Option<String>,
}

/// The name of a `repo` is taken and not kept, since no repository is connected.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "ReviewAppConfigBody")]
pub struct Body {
    automatic_review_apps: Option<bool>,
    wait_for_ci: Option<bool>,
    destroy_stale_apps: Option<bool>,
    stale_days: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "Option<String>")]
    base_name: Option<Option<String>>,
    deploy_target: Option<DeployTargetParam>,
}

/// Tells a null from what is not there.
fn present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl Body {
    fn check(self) -> Result<Change> {
        if self.automatic_review_apps == Some(true) {
            return Err(Error::invalid(
                "Automatic review apps take a connection to GitHub, which this server has not. Leave out --autodeploy \
                 (automatic_review_apps), and make one for each branch: heroku reviewapps:create",
            ));
        }
        if self.wait_for_ci == Some(true) {
            return Err(Error::invalid(
                "This server runs no CI that a review app could wait for. Leave out wait_for_ci, and create the review app when the \
                 tests have passed.",
            ));
        }
        if let Some(target) = self.deploy_target {
            let kind = params::required(target.r#type, "deploy_target.type")?;
            let id = params::required(target.id, "deploy_target.id")?;
            let region = id == catalog::REGION.name
                || Identity::parse(&id) == Identity::Id(catalog::REGION.id);
            if kind != "region" || !region {
                return Err(Error::invalid(format!(
                    "The only deploy_target of this server is the region {}.",
                    catalog::REGION.name
                )));
            }
        }
        Ok(Change {
            base_name: self.base_name,
            destroy_stale_apps: self.destroy_stale_apps,
            stale_days: self.stale_days,
        })
    }
}

fn find(connection: &rusqlite::Connection, pipeline: Id) -> Result<Config> {
    configs::find(connection, pipeline)?.ok_or_else(|| Error::not_found("review app config"))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    let config = call.read(|connection, caller: &Caller| {
        let pipeline = caller.pipeline(connection)?;
        find(connection, pipeline.id)
    })?;
    Reply::of(&view(config))
}

pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    let change = body.check()?;
    let config = call
        .write(move |connection, caller| {
            let pipeline = caller.owned_pipeline(connection)?;
            configs::create(connection, pipeline.id, &change)
        })
        .await?;
    Reply::of(&view(config))
}

pub async fn update(call: Call, body: Body) -> Result<Reply<View>> {
    let change = body.check()?;
    let config = call
        .write(move |connection, caller| {
            let pipeline = caller.owned_pipeline(connection)?;
            configs::update(connection, find(connection, pipeline.id)?, &change)
        })
        .await?;
    Reply::of(&view(config))
}

/// Disables review apps. Those that are there stay until they are deleted.
pub async fn delete(call: Call) -> Result<Reply<View>> {
    let config = call
        .write(|connection, caller| {
            let pipeline = caller.owned_pipeline(connection)?;
            let config = find(connection, pipeline.id)?;
            configs::delete(connection, pipeline.id)?;
            Ok(config)
        })
        .await?;
    Reply::of(&view(config))
}
