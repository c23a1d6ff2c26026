//! Features of apps: those that can be switched, and those that are always on.

use std::collections::BTreeMap;

use super::account_features::{Body, FIELDS, View, meant, view};
use super::call::Call;
use super::reply::Reply;
use crate::catalog::{HTTPS_ONLY, METADATA, PREBOOT, RUNTIME_METRICS};
use crate::error::{Error, ErrorId, Result};
use crate::store::features::{self, Owner};
use crate::time::Timestamp;

fn shown(switched: &BTreeMap<String, (bool, Timestamp)>) -> Vec<View> {
    let mut preboot = view(
        PREBOOT,
        "Preboot",
        "New web dynos take over the visitors before the old ones are stopped. Always so on this server.",
    );
    preboot.enabled = true;
    let metadata = view(
        METADATA,
        "Dyno metadata",
        "Dynos that start from now on are told of their app and release in HEROKU_APP_ID, HEROKU_APP_NAME, HEROKU_DYNO_ID, HEROKU_RELEASE_VERSION, HEROKU_RELEASE_CREATED_AT, HEROKU_SLUG_COMMIT and HEROKU_SLUG_DESCRIPTION.",
    );
    let https_only = view(
        HTTPS_ONLY,
        "HTTPS only",
        "Visitors who come by http:// are sent to the same place by https://.",
    );
    let runtime_metrics = view(
        RUNTIME_METRICS,
        "Runtime metrics",
        "What each dyno uses of memory and processor is in the app's log, every 20 seconds.",
    );
    let switchable = [metadata, https_only, runtime_metrics].map(|mut feature| {
        if let Some((enabled, at)) = switched.get(feature.name) {
            (feature.enabled, feature.updated_at) = (*enabled, *at);
        }
        feature
    });
    [preboot].into_iter().chain(switchable).collect()
}

pub async fn list(call: Call) -> Result<Reply<Vec<View>>> {
    let switched = switched(&call)?;
    call.page_of(FIELDS, shown(&switched))
}

pub async fn info(call: Call) -> Result<Reply<View>> {
    refuse_exec(&call)?;
    let switched = switched(&call)?;
    Reply::of(&meant(&call, "app_feature", shown(&switched))?)
}

/// The official CLI looks for this feature before it opens a shell in a dyno by SSH: `ps:exec`, `ps:copy`, `ps:forward`, `ps:socks`.
fn refuse_exec(call: &Call) -> Result<()> {
    if call.caller.params.text("app_feature") != "runtime-heroku-exec" {
        return Ok(());
    }
    call.read(|connection, caller| caller.app_id(connection))?;
    Err(Error {
        resource: Some("feature"),
        ..Error::new(
            ErrorId::NotFound,
            "Dynos of this server take no SSH. Run a command within a dyno with `heroku run:inside web.1 bash`.",
        )
    })
}

/// Whoever may restart dynos may say what they are told.
pub async fn update(call: Call, body: Body) -> Result<Reply<View>> {
    let app = call.read(|connection, caller| caller.app_id(connection))?;
    refuse_exec(&call)?;
    let enabled = body.enabled()?;
    let feature = meant(&call, "app_feature", shown(&BTreeMap::new()))?;
    let name = feature.name;
    if name == PREBOOT.name && !enabled {
        return Err(Error::invalid(
            "preboot cannot be switched off: an app's visitors never wait for its new dynos here.",
        ));
    }
    let switched = call
        .write(move |connection, caller| {
            caller.app_id(connection)?;
            features::switch(connection, Owner::App(app), name, enabled, caller.now)?;
            features::switched(connection, Owner::App(app))
        })
        .await?;
    Reply::of(&meant(&call, "app_feature", shown(&switched))?)
}

fn switched(call: &Call) -> Result<BTreeMap<String, (bool, Timestamp)>> {
    call.read(|connection, caller| {
        features::switched(connection, Owner::App(caller.app_id(connection)?))
    })
}
