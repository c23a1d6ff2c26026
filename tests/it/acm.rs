//! Automatic certificates: asked for, proven, served, renewed, and given up with a reason.

mod pebble;
mod served;
mod together;

use std::collections::HashSet;
use std::time::Duration;

use penstock::acm::{Acm, Challenges};
use penstock::data_dir::DataDir;
use serde_json::{Value, json};

use self::pebble::Pebble;
use crate::binary::sample::PERL;
use crate::binary::{Client, HANG, Place, TIED};
use crate::harness::Server;
use crate::https::visitor;

/// The app's domain of this name, once it is as wanted.
async fn domain_when(client: &Client, hostname: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let begun = std::time::Instant::now();
    loop {
        let path = format!("/apps/app/domains/{hostname}");
        let domain = client.get(path).await.expect(200);
        if wanted(&domain) {
            return domain;
        }
        assert!(begun.elapsed() < HANG, "{domain}");
    }
}

#[tokio::test]
async fn a_real_authority_signs_what_a_domain_shows_its_visitors() {
    let Some(mut pebble) = Pebble::prepare() else {
        return;
    };
    let place = Place::new();
    let settings = pebble.settings();
    let mut command = place.command(&[TIED, "--rate-limit=false"]);
    command
        .args(["--acme-contact", "owner@example.com"])
        .args(["--acme-directory", &settings.acme_directory])
        .arg("--acme-ca-file")
        .arg(settings.acme_ca_file.unwrap());
    let server = crate::binary::Server::start(command, &place.log());
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PERL.tarball("harbour")).await;
    // Nobody listens where the authority would look for a text, so that the second proof has to do.
    let port = server.router_port();
    pebble.start(1, port);
    let (www, elsewhere, wildcard) = ("www.example.com", "elsewhere.example.com", "*.example.org");
    pebble.lead(elsewhere, "127.0.0.2").await;
    for hostname in [www, elsewhere, wildcard] {
        let domain = json!({ "hostname": hostname });
        client.post("/apps/app/domains", domain).await.expect(201);
    }
    let app = client.post("/apps/app/acm", json!({})).await.expect(200);
    assert_eq!(app["acm"], true);
    let failing = |domain: &Value| domain["acm_status"] == "failing";
    let reason = domain_when(&client, www, failing).await["acm_status_reason"].clone();
    assert!(reason.as_str().unwrap().contains("refused"), "{reason}");
    domain_when(&client, elsewhere, failing).await;
    let given_up = domain_when(&client, wildcard, |_| true).await;
    assert_eq!(given_up["acm_status"], "failed");
    let refresh = json!({"acm_refresh": true});
    client.patch("/apps/app/acm", refresh).await.expect(200);
    let issued = |domain: &Value| domain["acm_status"] == "cert issued";
    let domain = domain_when(&client, www, issued).await;
    let endpoint = domain["sni_endpoint"]["id"].as_str().unwrap().to_owned();
    let (root, hosts) = (pebble.root().await, [www]);
    let visited = async || {
        let visitor = visitor(&root, &hosts, port);
        visitor.get(format!("https://{www}:{port}/")).send().await
    };
    crate::https::until(async || visited().await.is_ok()).await;
    assert_eq!(visited().await.unwrap().status(), 200);
    let endpoints = client.get("/apps/app/sni-endpoints").await.expect(200);
    assert_eq!(endpoints.as_array().unwrap().len(), 1);
    assert_eq!(endpoints[0]["domains"], json!([domain["id"]]));
    assert_eq!(endpoints[0]["ssl_cert"]["acm"], true);
    assert_eq!(endpoints[0]["ssl_cert"]["cert_domains"], json!([www]));
    let path = format!("/apps/app/sni-endpoints/{endpoint}");
    let refused = client.delete(&path).await.expect(422);
    assert!(
        refused["message"]
            .as_str()
            .unwrap()
            .contains("certs:auto:disable")
    );
    // A name that led elsewhere is found once it leads here, when it is the turn of the proof that can be given.
    pebble.lead(elsewhere, "127.0.0.1").await;
    while domain_when(&client, elsewhere, |domain| {
        failing(domain) || issued(domain)
    })
    .await["acm_status"]
        == "failing"
    {
        client.patch("/apps/app/acm", json!({})).await.expect(200);
    }
    // What nobody wants any more goes, and a domain of one's own stays.
    let app = client.delete("/apps/app/acm").await.expect(200);
    assert_eq!(app["acm"], false);
    let endpoints = client.get("/apps/app/sni-endpoints").await.expect(200);
    assert_eq!(endpoints, json!([]));
    let domain = domain_when(&client, www, |_| true).await;
    assert_eq!(domain["acm_status"], Value::Null);
    assert_eq!(domain["sni_endpoint"], Value::Null);
}

#[tokio::test]
async fn the_name_of_the_server_itself_gets_a_certificate_of_a_real_authority() {
    let Some(mut pebble) = Pebble::prepare() else {
        return;
    };
    let port = crate::binary::ports::port();
    // It is asked as soon as the server is there.
    pebble.start(port, port);
    let (host, settings) = ("paas.example.com", pebble.settings());
    let (url, at) = (
        format!("https://{host}:{port}"),
        format!("127.0.0.1:{port}"),
    );
    let root = pebble.root().await;
    let place = Place::new();
    let mut command = place.command(&[TIED, "--api-url", &url, "--router-listen", &at]);
    command
        .args(["--acme-contact", "owner@example.com"])
        .args(["--acme-directory", &settings.acme_directory])
        .arg("--acme-ca-file")
        .arg(settings.acme_ca_file.unwrap());
    let server = crate::binary::Server::start(command, &place.log());
    let hosts = [host];
    let visited = async || {
        let visitor = visitor(&root, &hosts, port);
        let account = visitor.get(format!("{url}/account"));
        account.bearer_auth(&server.ready.api_key).send().await
    };
    crate::https::until(async || visited().await.is_ok()).await;
    assert_eq!(visited().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_server_that_asks_no_authority_says_so() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let refused = ann.post("/apps/harbour/acm", json!({})).await;
    refused.invalid("--acme-contact");
    assert_eq!(ann.get("/apps/harbour").await.ok()["acm"], false);
}

#[tokio::test]
async fn a_domain_with_a_certificate_by_hand_is_left_alone() {
    let settings = penstock::acm::Settings {
        acme_contact: Some("owner@example.com".to_owned()),
        ..penstock::acm::Settings::default()
    };
    let server = Server::with_acme(settings).await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let own = crate::sni_endpoints::self_signed(&["www.example.com"]);
    let own = ann.post("/apps/harbour/sni-endpoints", own).await.created();
    for (hostname, endpoint) in [
        ("www.example.com", &own["id"]),
        ("a.example.com", &Value::Null),
    ] {
        let domain = json!({"hostname": hostname, "sni_endpoint": endpoint});
        ann.post("/apps/harbour/domains", domain).await.created();
    }
    ann.post("/apps/harbour/acm", json!({})).await.ok();
    let due = async || {
        // Long enough that an authority does not mind being asked again.
        server.pass(Duration::from_secs(3_600));
        let now = server.clock.now();
        let take = move |connection: &rusqlite::Connection| {
            penstock::store::acm::take_due(connection, now, 10, now, &HashSet::new())
        };
        let due = server.platform.store.write(take).await;
        let due = due.unwrap().into_iter().map(|order| order.hostname);
        due.collect::<Vec<_>>()
    };
    assert_eq!(due().await, ["a.example.com"]);
    let path = "/apps/harbour/domains/www.example.com";
    ann.patch(path, json!({"sni_endpoint": null})).await.ok();
    assert_eq!(due().await.len(), 2);
    ann.patch(path, json!({"sni_endpoint": own["id"]}))
        .await
        .ok();
    assert_eq!(due().await, ["a.example.com"]);
    ann.delete("/apps/harbour/acm").await.ok();
    assert_eq!(due().await.len(), 0);
    // A certificate by hand is nobody else's to take away.
    assert_eq!(ann.get("/apps/harbour/sni-endpoints").await.list().len(), 1);
    // Once it is taken away by hand, its domain wants one like the others.
    ann.post("/apps/harbour/acm", json!({})).await.ok();
    assert_eq!(due().await, ["a.example.com"]);
    let path = format!("/apps/harbour/sni-endpoints/{}", crate::harness::id(&own));
    ann.delete(path).await.ok();
    assert_eq!(due().await.len(), 2);
}

#[tokio::test]
async fn an_owner_of_many_names_leaves_something_for_others_however_often_they_are_wished_for() {
    let settings = penstock::acm::Settings {
        acme_contact: Some("owner@example.com".to_owned()),
        ..penstock::acm::Settings::default()
    };
    let server = Server::with_acme(settings).await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    for (client, app, names) in [(&ann, "harbour", 60), (&bob, "marina", 2)] {
        client.app(app).await;
        client
            .post(format!("/apps/{app}/acm"), json!({}))
            .await
            .ok();
        for number in 0..names {
            let domain = json!({"hostname": format!("{number}.{app}.test")});
            client
                .post(format!("/apps/{app}/domains"), domain)
                .await
                .created();
        }
    }
    let taken = async || {
        let now = server.clock.now();
        let take = move |connection: &rusqlite::Connection| {
            // As if each attempt came to nothing at once.
            penstock::store::acm::take_due(connection, now, 100, now, &HashSet::new())
        };
        let taken = server.platform.store.write(take).await.unwrap();
        let of = |app: &str| {
            let taken = taken.iter().filter(|order| order.hostname.contains(app));
            taken.count()
        };
        (of("harbour"), of("marina"))
    };
    assert_eq!(taken().await, (50, 2));
    // Whether the names are wished for again or made anew.
    ann.patch("/apps/harbour/acm", json!({})).await.ok();
    ann.delete("/apps/harbour/domains/59.harbour.test")
        .await
        .ok();
    let domain = json!({"hostname": "59.harbour.test"});
    ann.post("/apps/harbour/domains", domain).await.created();
    assert_eq!(taken().await, (0, 2));
    let waits = ann.get("/apps/harbour/domains/59.harbour.test").await.ok();
    let reason = waits["acm_status_reason"].as_str().unwrap();
    assert!(reason.contains("turn comes within hours"), "{reason}");
    // One name has its own share: five times an hour.
    for expected in [2, 2, 2, 0] {
        bob.patch("/apps/marina/acm", json!({})).await.ok();
        assert_eq!(taken().await, (0, expected));
    }
    server.pass(Duration::from_secs(3 * 3_600));
    assert_eq!(taken().await, (50, 2));
}

#[tokio::test]
async fn an_authority_that_cannot_be_asked_is_no_fault_of_the_domain_and_is_left_alone_for_a_while()
{
    let settings = penstock::acm::Settings {
        acme_contact: Some("owner@example.com".to_owned()),
        // Nobody listens there.
        acme_directory: "https://127.0.0.1:1/directory".to_owned(),
        acme_ca_file: None,
    };
    let server = Server::with_acme(settings).await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    ann.post("/apps/harbour/acm", json!({})).await.ok();
    let data = DataDir::open(&server.platform.config.data_dir.data_dir).unwrap();
    let acm = Acm::new(server.platform.clone(), data, Challenges::default());
    let domain = json!({"hostname": "www.example.com"});
    ann.post("/apps/harbour/domains", domain).await.created();
    let asked = async || {
        let asked = acm.tick().await.unwrap();
        acm.idle().await;
        let domain = ann.get("/apps/harbour/domains/www.example.com").await.ok();
        assert_eq!(domain["acm_status"], Value::Null);
        let reason = domain["acm_status_reason"].as_str().unwrap().to_owned();
        assert!(reason.contains("could not be asked"), "{reason}");
        asked
    };
    assert_eq!(asked().await, 1);
    // However often it is wished for.
    for hostname in ["a.example.com", "b.example.com"] {
        let domain = json!({ "hostname": hostname });
        ann.post("/apps/harbour/domains", domain).await.created();
        assert_eq!(asked().await, 0);
    }
    // A network that comes up a little later is found soon, and one that stays away is looked for less often.
    for wait in [60, 300, 1_800, 1_800, 1_800] {
        server.pass(Duration::from_secs(wait - 1));
        assert_eq!(asked().await, 0);
        server.pass(Duration::from_secs(1));
        assert_eq!(asked().await, 3);
    }
}

#[tokio::test]
async fn a_name_that_is_wished_for_anew_while_it_is_asked_for_is_next() {
    // An authority that takes its time.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = penstock::acm::Settings {
        acme_contact: Some("owner@example.com".to_owned()),
        acme_directory: format!("https://{}/directory", silent.local_addr().unwrap()),
        acme_ca_file: None,
    };
    let server = Server::with_acme(settings).await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    ann.post("/apps/harbour/acm", json!({})).await.ok();
    let data = DataDir::open(&server.platform.config.data_dir.data_dir).unwrap();
    let acm = Acm::new(server.platform.clone(), data, Challenges::default());
    let domain = json!({"hostname": "www.example.com"});
    ann.post("/apps/harbour/domains", domain).await.created();
    assert_eq!(acm.tick().await.unwrap(), 1);
    let asked = silent.accept().await.unwrap();
    ann.patch("/apps/harbour/acm", json!({})).await.ok();
    assert_eq!(acm.tick().await.unwrap(), 0);
    drop((asked, silent));
    acm.idle().await;
    // It was not taken for what could not be done then, and so is due when the authority is asked again.
    server.pass(Duration::from_secs(60));
    assert_eq!(acm.tick().await.unwrap(), 1);
    acm.idle().await;
}
