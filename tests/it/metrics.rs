//! The server in numbers, and whether it is well.

pub mod served;

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::Server;

#[tokio::test]
async fn an_admin_reads_the_servers_numbers_as_prometheus_does() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "harbour").await;
    server.platform.logs.append(
        penstock::name::Id::new(),
        penstock::log::Source::App,
        "web.1",
        "one\ntwo",
    );
    let app = ann.get("/apps/harbour").await.ok();
    let app = penstock::name::Id::parse(app["id"].as_str().unwrap()).unwrap();
    let metrics = &server.platform.metrics;
    metrics.set_apps([(app, "harbour")].into_iter());
    metrics.watch(|| penstock::metrics::Traffic {
        connections: 3,
        requests: 2,
        queued: 1,
    });
    let took = std::time::Duration::from_millis(20);
    metrics.request(app, 200, None, took);
    metrics.request(app, 503, Some("H12"), took);
    metrics.request(penstock::name::Id::new(), 404, None, took);
    metrics.request(app, 599, None, took);
    let admin = server.admin("root").await;
    let answer = admin.get("/metrics").await;
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").to_owned();
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    let text = answer.text();
    for line in [
        "penstock_router_requests_total{app=\"harbour\",status=\"200\"} 1",
        "penstock_router_requests_total{app=\"harbour\",status=\"503\"} 1",
        "penstock_router_requests_total{app=\"(other)\",status=\"404\"} 1",
        "penstock_router_requests_total{app=\"harbour\",status=\"5xx\"} 1",
        "penstock_router_errors_total{code=\"H12\"} 1",
        "penstock_router_request_seconds_bucket{app=\"harbour\",le=\"0.025\"} 3",
        "penstock_dynos{state=\"up\"} 1",
        "penstock_builds{state=\"waiting\"} 0",
        "penstock_release_phases{state=\"running\"} 0",
        "penstock_cron_runs{state=\"waiting\"} 0",
        "penstock_addon_tasks 0",
        "penstock_router_connections 3",
        "penstock_router_requests_under_way 2",
        "penstock_router_requests_queued 1",
        "penstock_log_lines_dropped_total 0",
        "penstock_drain_lag_seconds 0",
        "penstock_apps 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    for name in [
        "penstock_disk_free_bytes ",
        "penstock_database_bytes ",
        "penstock_api_requests_total{status=\"2xx\"} ",
        "penstock_log_lines_total ",
    ] {
        assert!(text.lines().any(|found| found.starts_with(name)), "{name}");
    }
    promtool_is_content(&text);
}

/// Prometheus' own check, where it is installed.
fn promtool_is_content(text: &str) {
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped());
    let Ok(mut promtool) = command.stderr(Stdio::piped()).spawn() else {
        eprintln!(
            "skipped: install Debian's package prometheus, and its promtool looks at the numbers"
        );
        return;
    };
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let found = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{found}");
}

#[tokio::test]
async fn the_numbers_are_for_admins_alone() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.get("/metrics").await.refused(403, "forbidden", "admin");
    server
        .nobody()
        .get("/metrics")
        .await
        .refused(401, "unauthorized", "");
}

#[tokio::test]
async fn an_app_that_goes_takes_its_numbers_along() {
    let metrics = penstock::metrics::Metrics::new().unwrap();
    let (one, other) = (penstock::name::Id::new(), penstock::name::Id::new());
    let moment = penstock::metrics::Moment::default;
    metrics.set_apps([(one, "harbour"), (other, "lagoon")].into_iter());
    metrics.request(one, 200, None, Default::default());
    metrics.set_apps([(other, "bay")].into_iter());
    metrics.request(one, 200, None, Default::default());
    let text = metrics.text(&moment()).unwrap();
    assert!(
        !text.contains("harbour") && !text.contains("lagoon"),
        "{text}"
    );
    assert!(text.contains("app=\"(other)\",status=\"200\"} 1"), "{text}");
}

#[tokio::test]
async fn anybody_learns_whether_the_server_is_well_and_nothing_else() {
    let server = Server::start().await;
    let before = server.dump();
    let answer = server.nobody().get("/health").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.ok(), serde_json::json!({"status": "ok"}));
    assert_eq!(server.dump(), before);
    // Asking is free.
    let left = answer.header("ratelimit-remaining").to_owned();
    let again = server.nobody().get("/health").await;
    assert_eq!(again.header("ratelimit-remaining"), left);
}
