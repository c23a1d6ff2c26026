//! What the official CLI asks for that is no part of Heroku's published API, and by way of hosts that are written into it.
//! `tests/cli` drives the CLI itself.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use crate::binary::{HANG, Place};
use crate::harness::{Server, id};

#[tokio::test]
async fn favorites_are_each_accounts_own_and_go_with_what_may_be_seen() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    ann.app("harbour").await;
    let body = json!({"resource_id": "harbour", "type": "app"});
    bob.post("/favorites", body.clone()).await.missing("app");
    let favorite = ann.post("/favorites", body.clone()).await.created();
    assert_eq!(favorite["resource_name"], "harbour");
    ann.post("/favorites", body.clone())
        .await
        .invalid("already");
    let pipeline = json!({"resource_id": "harbour", "type": "pipeline"});
    ann.post("/favorites", pipeline).await.invalid("Only apps");
    let let_in = json!({"user": "bob@example.com"});
    ann.post("/apps/harbour/collaborators", let_in)
        .await
        .created();
    let path = format!("/favorites/{}", id(&favorite));
    bob.delete(&path).await.missing("favorite");
    bob.post("/favorites", body).await.created();
    assert_eq!(bob.get("/favorites?type=app").await.list().len(), 1);
    ann.delete("/apps/harbour/collaborators/bob@example.com")
        .await
        .ok();
    assert!(bob.get("/favorites?type=app").await.list().is_empty());
    ann.delete(&path).await.ok();
    assert!(ann.get("/favorites?type=app").await.list().is_empty());
}

#[tokio::test]
async fn errors_are_counted_in_the_log_by_the_hour() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "harbour").await;
    let app = ann.get("/apps/harbour").await.ok();
    let app = penstock::name::Id::parse(&id(&app)).unwrap();
    let say = |process: &str, message: &str| {
        let source = penstock::log::Source::Heroku;
        server.platform.logs.append(app, source, process, message);
    };
    say(
        "router",
        "at=error code=H14 desc=\"No web dynos running\" method=GET",
    );
    say("web.1", "Error R14 (Memory quota exceeded)");
    server.pass(std::time::Duration::from_secs(2 * 60 * 60));
    say(
        "router",
        "at=error code=H14 desc=\"No web dynos running\" method=GET",
    );
    say("router", "at=info method=GET path=\"/?code=H12\"");
    let path = "/apps/harbour/router-metrics/errors?process_type=web";
    let errors = ann.get(path).await.ok();
    let hours = errors["data"]["H14"].as_array().unwrap();
    assert_eq!(
        hours.iter().filter_map(|count| count.as_u64()).sum::<u64>(),
        2
    );
    assert_eq!(hours.last().unwrap(), 1);
    assert_eq!(errors["data"].as_object().unwrap().len(), 1);
    let of = |process: &str| format!("/apps/harbour/formation/{process}/metrics/errors");
    let errors = ann.get(of("web")).await.ok();
    assert!(errors["data"]["R14"].is_array(), "{errors}");
    assert_eq!(ann.get(of("nosuch")).await.status, 404);
    let exec = ann.get("/apps/harbour/features/runtime-heroku-exec").await;
    exec.refused(404, "not_found", "heroku run:inside");
    let monitors = ann.get("/apps/harbour/formation/web/monitors").await;
    monitors.invalid("heroku ps:scale");
}

#[tokio::test]
async fn a_buildpacks_name_stands_for_itself_and_only_what_is_there_has_versions() {
    let server = Server::start().await;
    let nobody = server.nobody();
    let known = nobody.get("/buildpacks/heroku%2Fruby").await.ok();
    assert_eq!(known["blob_url"], "urn:buildpack:heroku/ruby");
    for part in ["revisions", "readme"] {
        let missing = nobody.get(format!("/buildpacks/heroku%2Fruby/{part}"));
        missing.await.missing("buildpack");
    }
    let nonsense = nobody.get("/buildpacks/nonsense").await.ok();
    assert_eq!(nonsense["blob_url"], "nonsense");
    nobody
        .get("/buildpacks/nonsense/revisions")
        .await
        .invalid("no buildpack");
    import(&server, "grove/tree");
    let found = async |query: &str| {
        let listed = nobody.get(format!("/buildpacks?{query}")).await;
        listed.each("id")
    };
    assert_eq!(found("in[namespace][]=grove").await, ["grove/tree"]);
    assert_eq!(found("like[description]=tree").await, ["grove/tree"]);
    assert!(found("in[name][]=shrub").await.is_empty());
    let versions = nobody.get("/buildpacks/grove%2Ftree/revisions").await;
    assert_eq!(versions.list()[0]["release"], 1);
    nobody.get("/buildpacks/grove%2Ftree/readme").await.ok();
}

/// Keeps a buildpack that does nothing.
fn import(server: &Server, name: &str) {
    let pack = tempfile::tempdir().unwrap();
    std::fs::create_dir(pack.path().join("bin")).unwrap();
    std::fs::write(pack.path().join("bin/compile"), "#!/bin/sh\n").unwrap();
    let registry = &server.platform.buildpacks;
    registry.import(name, pack.path()).unwrap();
}

#[tokio::test]
async fn what_is_built_in_is_found_by_the_names_that_it_stands_in_for() {
    let server = Server::start().await;
    let nobody = server.nobody();
    let listed = nobody.get("/buildpacks").await;
    let stand_ins = [
        "emk/rust",
        "heroku-community/static",
        "heroku/go",
        "heroku/nodejs",
        "heroku/python",
    ];
    assert_eq!(listed.each("id"), stand_ins);
    // Each is one that an app can name.
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    for built_in in listed.list() {
        let url = built_in["blob_url"].as_str().unwrap();
        let set = ann.request("PUT", "/apps/harbour/buildpack-installations");
        let body = json!({"updates": [{"buildpack": url}]});
        let set = set.json(&body).send().await.ok();
        assert_eq!(set[0]["buildpack"]["name"], built_in["id"]);
    }
    let described = nobody.get("/buildpacks?like[description]=node").await;
    assert_eq!(described.each("id"), ["heroku/nodejs"]);
    let versions = nobody.get("/buildpacks/heroku%2Fnodejs/revisions").await;
    assert_eq!(versions.list().len(), 1);
    nobody.get("/buildpacks/heroku%2Fnodejs/readme").await.ok();
    let told = async || {
        let one = nobody.get("/buildpacks/heroku%2Fnodejs").await.ok();
        one["description"].as_str().unwrap().to_owned()
    };
    assert!(told().await.contains("built in"));
    // One that is kept takes the place of what is built in.
    import(&server, "heroku/nodejs");
    assert!(told().await.contains("kept on this server"));
    assert_eq!(nobody.get("/buildpacks").await.each("id"), stand_ins);
}

#[tokio::test]
async fn what_belongs_to_herokus_hosting_alone_is_refused_in_a_sentence() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    ann.pipeline("trees").await;
    for (path, words) in [
        ("/spaces/glade", "no private spaces"),
        ("/spaces/glade/log-drain", "no private spaces"),
        ("/pipelines/trees/test-runs", "no CI tests"),
        ("/test-runs/1/test-nodes", "no CI tests"),
        ("/pipelines/trees/webhooks", "webhooks:add --app"),
        ("/pipelines/trees/repository", "not connected to GitHub"),
        ("/repos/ann/forest", "not connected to GitHub"),
        ("/repos/ann/forest/compare/x...y", "not connected to GitHub"),
        ("/client/v11/databases/x", "no databases"),
    ] {
        ann.get(path).await.refused(404, "not_found", words);
    }
    let refresh = json!({"acm_refresh": true});
    let refused = ann.patch("/apps/harbour/acm", refresh).await;
    refused.invalid("heroku certs:auto:enable");
}

/// What comes back for bytes that are sent to the API's port, until it is closed or the answer's end is there.
fn sent(port: u16, lines: &[&str]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    let mut said = String::new();
    for line in lines {
        stream.write_all(line.as_bytes()).unwrap();
        let mut chunk = [0; 65_536];
        let read = stream.read(&mut chunk).unwrap();
        said.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    said
}

#[tokio::test]
async fn the_clis_own_hosts_are_answered_for_and_nobody_elses() {
    let place = Place::new();
    let server = place.start();
    let api = &server.ready.api_url;
    let port: u16 = api.rsplit(':').next().unwrap().parse().unwrap();
    let asked = format!(
        "GET /user/notifications HTTP/1.1\r\nHost: telex.heroku.com:{port}\r\nAuthorization: Bearer {}\r\n\r\n",
        server.ready.api_key
    );
    let tunnel =
        format!("CONNECT telex.heroku.com:{port} HTTP/1.1\r\nHost: telex.heroku.com\r\n\r\n");
    let said = sent(port, &[&tunnel, &asked]);
    assert!(
        said.starts_with("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK"),
        "{said}"
    );
    assert!(said.ends_with("[]"), "{said}");
    let own = format!("CONNECT 127.0.0.1:{port} HTTP/1.1\r\n\r\n");
    let said = sent(port, &[&own, &asked]);
    assert!(said.ends_with("[]"), "{said}");
    let said = sent(port, &["CONNECT example.com:443 HTTP/1.1\r\n\r\n"]);
    assert!(
        said.starts_with("HTTP/1.1 403") && said.contains("no proxy"),
        "{said}"
    );
    // Within TLS, under a name that is not the server's own.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = std::fs::read(&server.ready.ca_file).unwrap();
    let client = reqwest::Client::builder()
        .proxy(reqwest::Proxy::all(api).unwrap())
        .timeout(HANG)
        .tls_certs_only(reqwest::Certificate::from_pem_bundle(&authority).unwrap())
        .build()
        .unwrap();
    let asked = client
        .get("https://kolkrabbi.heroku.com/account")
        .bearer_auth(&server.ready.api_key);
    let said = asked.send().await.unwrap().text().await.unwrap();
    assert!(said.contains("owner@localhost"), "{said}");
}
