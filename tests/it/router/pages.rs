//! Apps' own pages in the place of the router's, as their config vars name them.

use std::sync::Arc;
use std::time::Duration;

use penstock::router::{Pages, Route, Router, Web};
use penstock::routes::{RouterLog, Routes};
use serde_json::json;

use super::{Edge, HOST, get_with, has, lacks, mirror, options, route, says, status};
use crate::harness::Server;

fn pages() -> Pages {
    Pages {
        error: Some("https://pages.test/sorry?a=1&b=2".to_owned()),
        maintenance: Some("https://pages.test/\"><script>".to_owned()),
    }
}

const ERROR: &str = "<iframe src=\"https://pages.test/sorry?a=1&amp;b=2\"";

#[tokio::test]
async fn an_app_shows_its_own_page_when_no_dyno_answers() {
    for (web, code, shown) in [
        (Web::Crashed, "H10", 503),
        (Web::NoWebDynos, "H14", 503),
        (Web::Up(vec![says(b"").await]), "H13", 503),
        (Web::Up(vec![says(b"nonsense\r\n\r\n").await]), "H17", 503),
    ] {
        let mut edge = Edge::new(Web::Blank);
        edge.router.replace(vec![Route {
            pages: pages(),
            ..route(web)
        }]);
        let answer = edge.get().await;
        assert_eq!(status(&answer), shown);
        has(&answer, ERROR);
        has(&answer, "content-type: text/html; charset=utf-8");
        has(&answer, "cache-control: no-cache, no-store");
        lacks(&answer, code);
        has(&edge.line().await, &format!("code={code}"));
    }
}

#[tokio::test]
async fn what_is_the_visitors_own_fault_keeps_the_routers_page() {
    let edge = Edge::new(Web::Blank);
    let with_pages = |web| Route {
        pages: pages(),
        ..route(web)
    };
    edge.router.replace(vec![with_pages(Web::Blank)]);
    has(&edge.get().await, "There is nothing here, yet");
    let up = Web::Up(vec![mirror().await]);
    edge.router.replace(vec![with_pages(up)]);
    let answer = edge.send(get_with("Expect: 200-ok\r\n")).await;
    assert_eq!(status(&answer), 417);
    lacks(&answer, "iframe");
}

#[tokio::test]
async fn a_page_of_maintenance_is_the_apps_own_and_cannot_break_out_of_its_frame() {
    let edge = Edge::new(Web::Blank);
    edge.router.replace(vec![Route {
        maintenance: true,
        pages: pages(),
        ..route(Web::Up(vec![mirror().await]))
    }]);
    let answer = edge.get().await;
    assert_eq!(status(&answer), 503);
    has(
        &answer,
        "<iframe src=\"https://pages.test/&quot;&gt;&lt;script&gt;\"",
    );
}

#[tokio::test]
async fn config_vars_name_an_apps_pages_from_the_moment_they_are_set() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let log = Arc::new(RouterLog(
        server.platform.logs.clone(),
        server.platform.metrics.clone(),
    ));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let router = Router::start(vec![listener], log, options()).unwrap();
    let routes = Routes::new(
        server.platform.clone(),
        router.clone(),
        Duration::ZERO,
        Arc::default(),
    );
    ann.app("harbour").await;
    let maintenance = json!({"maintenance": true});
    ann.patch("/apps/harbour", maintenance).await.ok();
    let seen = async || {
        routes.refresh().await.unwrap();
        let stream = tokio::net::TcpStream::connect(router.addresses()[0]).await;
        let mut wire = super::Wire(stream.unwrap());
        wire.write(get_with("").replace(HOST, "harbour.localhost"))
            .await;
        wire.rest().await
    };
    let vars = async |vars: serde_json::Value| {
        ann.patch("/apps/harbour/config-vars", vars).await.ok();
    };
    has(&seen().await, "Back soon");
    vars(json!({"MAINTENANCE_PAGE_URL": "https://pages.test/one"})).await;
    has(&seen().await, "<iframe src=\"https://pages.test/one\"");
    // Another change leaves it as it is, and a rollback is to what was then.
    vars(json!({"OTHER": "x"})).await;
    has(&seen().await, "<iframe src=\"https://pages.test/one\"");
    for no_page in [
        "javascript:alert(1)",
        "/maintenance.html",
        "https://a b",
        "",
    ] {
        vars(json!({"MAINTENANCE_PAGE_URL": no_page})).await;
        has(&seen().await, "Back soon");
    }
    vars(json!({"MAINTENANCE_PAGE_URL": "https://pages.test/two"})).await;
    has(&seen().await, "<iframe src=\"https://pages.test/two\"");
    vars(json!({"MAINTENANCE_PAGE_URL": null})).await;
    has(&seen().await, "Back soon");
}
