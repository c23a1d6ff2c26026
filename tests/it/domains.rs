//! Domains: which names an app may have, and that each leads to one app.

use std::sync::Arc;
use std::time::Duration;

use penstock::router::Router;
use penstock::routes::{RouterLog, Routes};
use serde_json::json;

use crate::harness::{Server, id};
use crate::router;

const DOMAINS: &str = "/apps/harbour/domains";

#[tokio::test]
async fn an_app_has_its_own_name_and_those_that_are_added() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let app = ann.app("harbour").await;
    let own = ann.get(DOMAINS).await.list();
    assert_eq!(own.len(), 1);
    assert_eq!(own[0]["kind"], "heroku");
    assert_eq!(own[0]["hostname"], "harbour.localhost");
    assert!(own[0]["cname"].is_null());
    let body = json!({"hostname": "WWW.Bücher.example.", "sni_endpoint": null});
    let made = ann.post(DOMAINS, body).await.created();
    assert_eq!(made["hostname"], "www.xn--bcher-kva.example");
    assert_eq!(made["kind"], "custom");
    assert_eq!(made["cname"], "harbour.localhost");
    assert_eq!(made["app"]["id"], app["id"]);
    assert_eq!(ann.get(DOMAINS).await.list().len(), 2);
    for which in [
        id(&made).as_str(),
        "www.xn--bcher-kva.example",
        "www.b%C3%BCcher.example",
        "WWW.XN--BCHER-KVA.EXAMPLE.",
    ] {
        let found = ann.get(format!("{DOMAINS}/{which}")).await.ok();
        assert_eq!(found["id"], made["id"], "{which}");
    }
    let gone = ann.delete(format!("{DOMAINS}/www.bücher.example")).await;
    assert_eq!(gone.ok()["id"], made["id"]);
    assert_eq!(ann.get(DOMAINS).await.list().len(), 1);
}

#[tokio::test]
async fn a_name_is_one_apps_in_whatever_spelling() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    bob.app("lagoon").await;
    let body = |hostname: &str| json!({ "hostname": hostname });
    ann.post(DOMAINS, body("www.example.com")).await.created();
    let again = ann.post(DOMAINS, body("WWW.example.com.")).await;
    again.invalid("www.example.com is currently in use by this app.");
    let taken = bob
        .post("/apps/lagoon/domains", body("www.EXAMPLE.com"))
        .await;
    taken.invalid("www.example.com is currently in use by another app.");
    ann.delete(format!("{DOMAINS}/www.example.com")).await.ok();
    let free = bob
        .post("/apps/lagoon/domains", body("www.example.com"))
        .await;
    free.created();
    bob.delete("/apps/lagoon").await.ok();
    ann.post(DOMAINS, body("www.example.com")).await.created();
}

#[tokio::test]
async fn nobody_takes_a_name_from_under_anothers_wildcard() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    ann.app("marina").await;
    bob.app("lagoon").await;
    let body = |hostname: &str| json!({ "hostname": hostname });
    ann.post(DOMAINS, body("*.example.com")).await.created();
    for name in ["a.example.com", "a.b.example.com", "*.b.example.com"] {
        let taken = bob.post("/apps/lagoon/domains", body(name)).await;
        taken.invalid("in use by another app");
        ann.post("/apps/marina/domains", body(name)).await.created();
    }
    let above = bob.post("/apps/lagoon/domains", body("example.com")).await;
    above.created();
    let found = ann.get(format!("{DOMAINS}/*.example.com")).await.ok();
    assert_eq!(found["hostname"], "*.example.com");
}

#[tokio::test]
async fn nobody_takes_the_wildcard_above_anothers_name() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    ann.app("marina").await;
    bob.app("lagoon").await;
    let body = |hostname: &str| json!({ "hostname": hostname });
    for name in ["www.trial.example.com", "*.deep.er.example.org"] {
        ann.post(DOMAINS, body(name)).await.created();
    }
    let before = server.dump();
    for name in [
        "*.trial.example.com",
        "*.Trial.example.com.",
        "*.example.com",
        "*.er.example.org",
        "*.example.org",
    ] {
        let taken = bob.post("/apps/lagoon/domains", body(name)).await;
        taken.invalid("in use by another app");
    }
    assert_eq!(server.dump(), before);
    // What only looks as if it lay above it.
    for name in ["*.rial.example.com", "trial.example.com"] {
        let beside = bob.post("/apps/lagoon/domains", body(name)).await;
        beside.created();
    }
    let own = "/apps/marina/domains";
    ann.post(own, body("*.trial.example.com")).await.created();
    ann.post(own, body("shop.trial.example.com"))
        .await
        .created();
    // Who gave up the last name under one stands in nobody's way any more.
    for name in ["*.deep.er.example.org", "www.trial.example.com"] {
        ann.delete(format!("{DOMAINS}/{name}")).await.ok();
    }
    let free = bob
        .post("/apps/lagoon/domains", body("*.example.org"))
        .await;
    free.created();
}

#[tokio::test]
async fn of_many_who_want_a_name_and_its_wildcard_at_once_one_owner_gets_both_or_one() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    bob.app("lagoon").await;
    for n in 0..8 {
        let name = json!({"hostname": format!("www.n{n}.example.com")});
        let wildcard = json!({"hostname": format!("*.n{n}.example.com")});
        let (name, wildcard) = tokio::join!(
            ann.post(DOMAINS, name),
            bob.post("/apps/lagoon/domains", wildcard)
        );
        let mut statuses = [name.status, wildcard.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 422], "{n}");
    }
}

#[tokio::test]
async fn an_app_that_goes_to_somebody_else_takes_its_names_along() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    ann.app("marina").await;
    bob.app("lagoon").await;
    let body = |hostname: &str| json!({ "hostname": hostname });
    ann.post(DOMAINS, body("*.example.com")).await.created();
    let own = "/apps/marina/domains";
    ann.post(own, body("www.example.com")).await.created();
    let offer = json!({"app": "marina", "recipient": "bob@example.com"});
    let transfer = ann.post("/account/app-transfers", offer).await.created();
    let accept = json!({"state": "accepted"});
    bob.patch(format!("/account/app-transfers/{}", id(&transfer)), accept)
        .await
        .ok();
    // The name is bob's now, and the wildcard is still ann's: neither stands in the other's way, and no other name is given away.
    let taken = "in use by another app";
    bob.post("/apps/lagoon/domains", body("shop.example.com"))
        .await
        .invalid(taken);
    ann.post(DOMAINS, body("shop.example.com")).await.created();
    bob.delete(format!("{own}/www.example.com")).await.ok();
    bob.post(own, body("www.example.com")).await.invalid(taken);
}

#[tokio::test]
async fn a_teams_wildcard_is_as_good_as_a_persons() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.team("docks").await;
    ann.team_app("docks", "harbour").await;
    ann.team_app("docks", "marina").await;
    bob.app("lagoon").await;
    let add = async |client: &crate::harness::Client, app: &str, hostname: &str| {
        let domain = json!({ "hostname": hostname });
        client.post(format!("/apps/{app}/domains"), domain).await
    };
    add(&ann, "harbour", "*.example.com").await.created();
    add(&bob, "lagoon", "*.example.org").await.created();
    let taken = "in use by another app";
    add(&bob, "lagoon", "www.example.com").await.invalid(taken);
    add(&ann, "marina", "www.example.org").await.invalid(taken);
    add(&ann, "marina", "www.example.com").await.created();
}

#[tokio::test]
async fn what_is_no_name_or_the_servers_own_is_refused() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let before = server.dump();
    for hostname in [
        "",
        "example",
        "http://example.com",
        "example.com/x",
        "1.2.3.4",
        "a_b.example.com",
    ] {
        let body = json!({ "hostname": hostname });
        ann.post(DOMAINS, body).await.invalid("does not fit");
    }
    let top = json!({"hostname": "*.com"});
    let refused = ann.post(DOMAINS, top).await;
    refused.invalid("*.com would be all names under com");
    for hostname in [
        "x.localhost",
        "harbour.localhost",
        "*.localhost.",
        "*.a.localhost",
    ] {
        let body = json!({ "hostname": hostname });
        let refused = ann.post(DOMAINS, body).await;
        assert_eq!(refused.status, 422, "{hostname}");
    }
    ann.post(DOMAINS, json!({})).await.invalid("hostname");
    let own = format!("{DOMAINS}/harbour.localhost");
    ann.delete(&own).await.invalid("app's own");
    let change = json!({"sni_endpoint": null});
    ann.patch(&own, change).await.invalid("app's own");
    ann.get(format!("{DOMAINS}/no%2Fname"))
        .await
        .missing("domain");
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn an_app_that_is_renamed_keeps_what_was_added() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let body = json!({"hostname": "www.example.com"});
    let made = ann.post(DOMAINS, body).await.created();
    ann.patch("/apps/harbour", json!({"name": "marina"}))
        .await
        .ok();
    let mut names = ann.get("/apps/marina/domains").await.each("hostname");
    names.sort();
    assert_eq!(names, ["marina.localhost", "www.example.com"]);
    let domain = ann
        .get(format!("/apps/marina/domains/{}", id(&made)))
        .await
        .ok();
    assert_eq!(domain["app"]["name"], "marina");
    assert_eq!(domain["cname"], "marina.localhost");
}

#[tokio::test]
async fn a_list_of_domains_is_paged_by_name_with_the_apps_own_among_them() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    for name in ["zoo.example.com", "aa.example.com", "mm.example.com"] {
        ann.post(DOMAINS, json!({ "hostname": name }))
            .await
            .created();
    }
    let first = ann.range(DOMAINS, "hostname ..; max=2").await;
    assert_eq!(first.status, 206);
    assert_eq!(
        first.each("hostname"),
        ["aa.example.com", "harbour.localhost"]
    );
    let rest = ann.range(DOMAINS, first.header("next-range")).await;
    assert_eq!(rest.status, 200);
    assert_eq!(rest.each("hostname"), ["mm.example.com", "zoo.example.com"]);
}

/// The status of an answer to a visitor of this host.
async fn visit(router: &Router, host: &str) -> u16 {
    let stream = tokio::net::TcpStream::connect(router.addresses()[0]).await;
    let mut wire = router::Wire(stream.unwrap());
    wire.write(format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    ))
    .await;
    router::status(&wire.rest().await)
}

#[tokio::test]
async fn the_router_serves_an_added_name_and_an_exact_one_before_a_wildcard() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let log = Arc::new(RouterLog(
        server.platform.logs.clone(),
        server.platform.metrics.clone(),
    ));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let router = Router::start(vec![listener], log, router::options()).unwrap();
    let routes = Routes::new(
        server.platform.clone(),
        router.clone(),
        Duration::ZERO,
        Arc::default(),
    );
    for app in ["harbour", "marina"] {
        ann.app(app).await;
    }
    for (app, hostname) in [("harbour", "*.example.com"), ("marina", "www.example.com")] {
        let body = json!({ "hostname": hostname });
        let path = format!("/apps/{app}/domains");
        ann.post(path, body).await.created();
    }
    // Nothing was deployed to either; maintenance tells them apart.
    let maintenance = json!({"maintenance": true});
    ann.patch("/apps/marina", maintenance).await.ok();
    routes.refresh().await.unwrap();
    let harbour = visit(&router, "harbour.localhost").await;
    let marina = visit(&router, "marina.localhost").await;
    assert_ne!(harbour, marina);
    for (host, expected) in [
        ("a.example.com", harbour),
        ("A.B.Example.com.:80", harbour),
        ("www.example.com", marina),
        ("example.com", 404),
    ] {
        assert_eq!(visit(&router, host).await, expected, "{host}");
    }
    ann.delete("/apps/marina/domains/www.example.com")
        .await
        .ok();
    routes.refresh().await.unwrap();
    assert_eq!(visit(&router, "www.example.com").await, harbour);
}
