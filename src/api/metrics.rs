//! `GET /metrics`: the server in numbers, as Prometheus reads them. For admins: names of apps are in it.

use std::path::Path;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Payload;

use super::call::Call;
use crate::Platform;
use crate::error::{Error, Result};
use crate::metrics::Moment;
use crate::store::figures::{self, Figures};

pub async fn info(call: Call, _: Payload) -> Result<HttpResponse> {
    if !call.caller.account.admin {
        return Err(Error::forbidden(
            "Only an admin of the server may see its numbers. Ask whoever runs it.",
        ));
    }
    let platform = call.platform.clone();
    let text = tokio::task::spawn_blocking(move || text(&platform));
    let text = text.await.map_err(Error::internal)??;
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(response
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text))
}

fn text(platform: &Platform) -> Result<String> {
    let mut moment = Moment::default();
    state(&platform.store.read(figures::figures)?, &mut moment)?;
    router(platform, &mut moment)?;
    logs(platform, &mut moment)?;
    disk(platform, &mut moment)?;
    platform.metrics.text(&moment)
}

fn state(figures: &Figures, moment: &mut Moment) -> Result<()> {
    let dynos = figures.dynos.iter();
    let dynos = dynos.map(|(state, count)| (state.as_str(), *count as f64));
    moment.put_each(("dynos", "Dynos by state."), "state", dynos)?;
    let builds = [
        ("running", figures.builds_running as f64),
        ("waiting", figures.builds_waiting as f64),
    ];
    moment.put_each(("builds", "Builds that have not ended."), "state", builds)?;
    let phases = [
        ("running", figures.phases_running as f64),
        ("waiting", figures.phases_waiting as f64),
    ];
    let help = "Release phases that have not ended.";
    moment.put_each(("release_phases", help), "state", phases)?;
    let runs = [
        ("running", figures.cron_running as f64),
        ("waiting", figures.cron_waiting as f64),
    ];
    let help = "Runs of cron jobs that have not ended.";
    moment.put_each(("cron_runs", help), "state", runs)?;
    moment.put(
        "addon_tasks",
        "What providers of add-ons are still to be asked.",
        figures.addon_tasks as f64,
    )?;
    moment.put("apps", "Apps on this server.", figures.apps as f64)?;
    let waiting = figures.deliveries_waiting as f64;
    moment.put(
        "webhook_deliveries_waiting",
        "Deliveries to webhooks that are still to be made.",
        waiting,
    )
}

fn router(platform: &Platform, moment: &mut Moment) -> Result<()> {
    let traffic = platform.metrics.traffic();
    moment.put(
        "router_connections",
        "Visitors' connections that are open, tunnels and answers on their way by HTTP/2 among them.",
        traffic.connections as f64,
    )?;
    moment.put(
        "router_requests_under_way",
        "Visitors' requests that have not ended.",
        traffic.requests as f64,
    )?;
    moment.put(
        "router_requests_queued",
        "Visitors' requests that wait for an app that starts.",
        traffic.queued as f64,
    )
}

fn logs(platform: &Platform, moment: &mut Moment) -> Result<()> {
    let (stored, dropped) = platform.logs.counted();
    moment.count(
        "log_lines_total",
        "Lines that were taken into the logs of apps.",
        stored,
    )?;
    moment.count(
        "log_lines_dropped_total",
        "Lines that could not be kept.",
        dropped,
    )?;
    let drains = platform.drains.seen(platform.clock.now());
    moment.put("drains", "Log and telemetry drains.", drains.drains as f64)?;
    moment.put(
        "drains_behind",
        "Drains for which lines wait.",
        drains.behind as f64,
    )?;
    moment.put(
        "drain_lag_seconds",
        "Age of the oldest line that waits for a drain.",
        drains.lag.as_secs_f64(),
    )?;
    moment.count(
        "drain_lines_total",
        "Lines that drains have taken.",
        drains.delivered,
    )?;
    moment.count(
        "drain_lines_lost_total",
        "Lines that went before a drain took them.",
        drains.lost,
    )?;
    moment.count(
        "drain_failures_total",
        "Attempts to send to a drain that came to nothing.",
        drains.failed,
    )
}

fn disk(platform: &Platform, moment: &mut Moment) -> Result<()> {
    let dir: &Path = &platform.config.data_dir.data_dir;
    let disk = rustix::fs::statvfs(dir).map_err(Error::internal)?;
    let bytes = |blocks: u64| (blocks as f64) * (disk.f_frsize as f64);
    moment.put(
        "disk_free_bytes",
        "Room for the data directory that is left to the server.",
        bytes(disk.f_bavail),
    )?;
    moment.put(
        "disk_bytes",
        "Size of the data directory's file system.",
        bytes(disk.f_blocks),
    )?;
    let size = |name: &str| std::fs::metadata(dir.join(name)).map_or(0, |file| file.len());
    let database = size("penstock.db") + size("penstock.db-wal");
    moment.put(
        "database_bytes",
        "Size of the database with its log.",
        database as f64,
    )
}
