//! How often which error came up, hour by hour, as the official CLI asks Heroku's metrics for it. Counted in the app's log, so it goes
//! back as far as that does.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::reply::{Nothing, Reply};
use crate::error::{Error, Result};
use crate::log::session::HISTORY_LINES;
use crate::log::{Filter, Line, Source};
use crate::store::formation;
use crate::time::Timestamp;

const STEP: Duration = Duration::from_secs(60 * 60);
/// How far back, if nobody says from when, and at most.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const MOST: Duration = Duration::from_secs(72 * 60 * 60);

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppErrors")]
pub struct View {
    /// By the error's code: how many there were in each hour.
    data: BTreeMap<String, Vec<u64>>,
    start_time: Timestamp,
    end_time: Timestamp,
    step: &'static str,
}

/// What went wrong between visitors and the app: `H10` and the like.
pub async fn of_router(call: Call) -> Result<Reply<View>> {
    count(&call, "router", |message| {
        // What comes after the method holds words of visitors.
        let own = message.split_once(" method=")?.0;
        own.split_once(" code=")?.1.split(' ').next()
    })
    .await
}

/// What went wrong with the dynos of one process type: `R14` and the like.
pub async fn of_dynos(call: Call) -> Result<Reply<View>> {
    let process = process_type(&call)?;
    count(&call, &process, |message| {
        let rest = message.strip_prefix("Error ")?;
        rest.split(' ').next()
    })
    .await
}

/// The name of the process type in the path. 404 when the app has none of the kind.
fn process_type(call: &Call) -> Result<String> {
    let formation = call.read(|connection, caller| {
        let app = caller.app_id(connection)?;
        formation::find(connection, app, &caller.params.exact_identity("type"))
    })?;
    Ok(formation.r#type)
}

async fn count(call: &Call, process: &str, code: fn(&str) -> Option<&str>) -> Result<Reply<View>> {
    let app = call.read(|connection, caller| caller.app_id(connection))?;
    let now = call.caller.now;
    let asked = |name: &str| call.query(name).and_then(|text| Timestamp::parse(&text));
    let start = asked("start_time")
        .unwrap_or(now.minus(DAY))
        .max(now.minus(MOST));
    let filter = Filter {
        source: Some(Source::Heroku),
        process: Some(process.to_owned()),
        after: Some(start),
    };
    let logs = call.platform.logs.clone();
    let lines = actix_web::rt::task::spawn_blocking(move || logs.read(app, &filter, HISTORY_LINES));
    let lines = lines.await.map_err(Error::internal)??;
    let hours = usize::try_from(now.since(start).as_secs() / STEP.as_secs()).unwrap_or(0) + 1;
    let mut data = BTreeMap::new();
    for line in lines.iter().filter_map(|line| Line::parse(line)) {
        let (Some(code), Some(at)) = (code(line.message), line.timestamp()) else {
            continue;
        };
        let hour = usize::try_from(at.since(start).as_secs() / STEP.as_secs()).unwrap_or(0);
        let counts: &mut Vec<u64> = data
            .entry(code.to_owned())
            .or_insert_with(|| vec![0; hours]);
        if let Some(count) = counts.get_mut(hour) {
            *count += 1;
        }
    }
    Reply::of(&View {
        data,
        start_time: start,
        end_time: now,
        step: "1h0m0s",
    })
}

/// What would scale dynos by itself. Nothing does.
pub async fn monitors(call: Call) -> Result<Reply<Nothing>> {
    process_type(&call)?;
    Err(Error::invalid(
        "This server does not scale dynos by itself. Scale them with `heroku ps:scale`.",
    ))
}
