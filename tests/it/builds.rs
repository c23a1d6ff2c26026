//! Builds: queued by the API, built when the builder's turn comes, and told of while they run and after.

use std::time::Duration;

use penstock::blob::Digest;
use serde_json::{Value, json};

use crate::harness::{Client, Server, gz, id, web_app};

const BUILDS: &str = "/apps/harbour/builds";

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    (server, ann)
}

fn output(build: &Value) -> &str {
    build["output_stream_url"].as_str().unwrap()
}

#[tokio::test]
async fn a_build_waits_then_makes_a_slug_and_a_release() {
    let (server, ann) = server().await;
    let url = ann.upload(&web_app()).await;
    let checksum = Digest::of(&web_app()).checksum();
    let body = json!({"source_blob": {
        "url": url, "checksum": checksum, "version": "385e5950a1", "version_description": "A first one",
    }});
    let queued = ann.post(BUILDS, body).await.created();
    assert_eq!(queued["status"], "pending");
    assert_eq!(queued["slug"], json!(null));
    assert_eq!(queued["release"], json!(null));
    assert_eq!(queued["source_blob"]["checksum"], checksum);
    assert_eq!(queued["source_blob"]["version_description"], "A first one");
    assert_eq!(queued["user"]["email"], "ann@example.com");
    server.settle().await;
    let built = ann.get(format!("{BUILDS}/{}", id(&queued))).await.ok();
    assert_eq!(built["status"], "succeeded");
    let release = ann
        .get(format!("/apps/harbour/releases/{}", id(&built["release"])))
        .await
        .ok();
    assert_eq!(release["slug"], built["slug"]);
    assert_eq!(release["description"], "Deploy 385e5950");
    assert_eq!(release["version"], 3);
    assert_eq!(release["current"], true);
}

#[tokio::test]
async fn a_builds_output_is_the_same_whenever_it_is_read() {
    let (server, ann) = server().await;
    let queued = ann.build("harbour", &web_app(), "1").await;
    let request = server.nobody().request("GET", output(&queued));
    let mut early = request.stream().await;
    server.settle().await;
    let early = early.rest().await.replace('\0', "");
    assert!(early.contains("-----> Compressing..."), "{early}");
    assert!(early.contains("Procfile declares types -> web, worker"));
    assert!(early.contains("Released v3"), "{early}");
    assert!(early.contains("http://harbour.localhost:8080/ deployed"));
    for _ in 0..2 {
        let late = server.nobody().get(output(&queued)).await;
        assert_eq!(late.text(), early);
        assert!(late.header("content-type").starts_with("text/plain"));
    }
}

#[tokio::test]
async fn an_output_is_for_whoever_has_its_url_whole() {
    let (server, ann) = server().await;
    let build = server.deploy(&ann, "harbour", &web_app()).await;
    let (path, _) = output(&build).split_once('?').unwrap();
    ann.get(path).await.refused(403, "forbidden", "altered");
    // The URL is the same however often it is asked for, for some hours; then it is another, and a day later the first is no more.
    let shown = format!("{BUILDS}/{}", id(&build));
    let again = ann.get(&shown).await.ok();
    assert_eq!(output(&again), output(&build));
    server.pass(Duration::from_secs(12 * 3_600));
    assert_eq!(server.nobody().get(output(&build)).await.status, 200);
    let anew = ann.get(&shown).await.ok();
    assert_ne!(output(&anew), output(&build));
    server.pass(Duration::from_secs(12 * 3_600));
    let late = server.nobody().get(output(&build)).await;
    late.refused(403, "forbidden", "expired");
    assert_eq!(server.nobody().get(output(&anew)).await.status, 200);
    ann.delete("/apps/harbour").await.ok();
    ann.get(output(&anew)).await.missing("build");
}

#[tokio::test]
async fn what_was_uploaded_when_the_build_was_asked_for_is_what_is_built() {
    let (server, ann) = server().await;
    let source = ann.post("/sources", json!({})).await.created();
    let url = |name: &str| source["source_blob"][name].as_str().unwrap().to_owned();
    ann.put(url("put_url"), &gz(&[("Procfile", "web: first")]))
        .await
        .ok();
    let body = json!({"source_blob": {"url": url("get_url")}});
    ann.post(BUILDS, body).await.created();
    ann.put(url("put_url"), &gz(&[("Procfile", "web: second")]))
        .await
        .ok();
    server.settle().await;
    assert_eq!(server.dynos.one("harbour", "web.1").command, "first");
}

#[tokio::test]
async fn a_source_is_fetched_from_any_url() {
    let (server, ann) = server().await;
    let source = ann.post("/sources", json!({})).await.created();
    let url = |name: &str| source["source_blob"][name].as_str().unwrap().to_owned();
    ann.put(url("put_url"), &web_app()).await.ok();
    // Another spelling of the same place, which is no URL of ours.
    let elsewhere = url("get_url").replace("127.0.0.1", "localhost");
    for (checksum, status) in [
        (Digest::of(&web_app()), "succeeded"),
        (Digest::of(b"other"), "failed"),
    ] {
        let body = json!({"source_blob": {"url": elsewhere, "checksum": checksum.checksum()}});
        let build = ann.post(BUILDS, body).await.created();
        server.settle().await;
        let build = ann.get(format!("{BUILDS}/{}", id(&build))).await.ok();
        assert_eq!(build["status"], status);
    }
}

#[tokio::test]
async fn a_build_that_fails_says_why_and_makes_no_release() {
    let (server, ann) = server().await;
    let source = ann.post("/sources", json!({})).await.created();
    let put = source["source_blob"]["put_url"].as_str().unwrap();
    ann.put(put, &gz(&[("README", "nothing to run")]))
        .await
        .ok();
    let get = source["source_blob"]["get_url"].as_str().unwrap();
    let elsewhere = get.replace("127.0.0.1", "localhost");
    let body = json!({"source_blob": {"url": elsewhere}});
    let build = ann.post(BUILDS, body).await.created();
    server.settle().await;
    let build = ann.get(format!("{BUILDS}/{}", id(&build))).await.ok();
    assert_eq!(build["status"], "failed");
    assert_eq!(build["slug"], json!(null));
    assert_eq!(build["release"], json!(null));
    let output = server.nobody().get(output(&build)).await.text();
    assert!(output.contains(" !     There is no Procfile"), "{output}");
    assert_eq!(ann.newest_release("harbour").await["version"], 2);
    assert!(server.dynos.running().is_empty());
}

#[tokio::test]
async fn builds_of_one_app_are_built_in_order() {
    let (server, ann) = server().await;
    for word in ["one", "two", "three"] {
        let bytes = gz(&[("Procfile", &format!("web: {word}"))]);
        ann.build("harbour", &bytes, word).await;
    }
    server.settle().await;
    let builds = ann.get(BUILDS).await;
    assert_eq!(builds.each("status"), ["succeeded"; 3]);
    let releases = ann.get("/apps/harbour/releases").await;
    let deploys = &releases.each("description")[2..];
    assert_eq!(deploys, ["Deploy one", "Deploy two", "Deploy three"]);
    assert_eq!(server.dynos.one("harbour", "web.1").command, "three");
}

#[tokio::test]
async fn at_most_twenty_builds_of_an_app_wait() {
    let (server, ann) = server().await;
    let url = ann.upload(&web_app()).await;
    let body = json!({"source_blob": {"url": url}});
    for _ in 0..20 {
        ann.post(BUILDS, body.clone()).await.created();
    }
    let before = server.dump();
    ann.post(BUILDS, body.clone())
        .await
        .refused(409, "conflict", "waiting");
    assert_eq!(server.dump(), before);
    ann.app("marina").await;
    ann.post("/apps/marina/builds", body).await.created();
    ann.delete("/apps/harbour").await.ok();
}

#[tokio::test]
async fn a_build_of_a_deleted_app_is_not_built() {
    let (server, ann) = server().await;
    ann.build("harbour", &web_app(), "1").await;
    ann.delete("/apps/harbour").await.ok();
    server.settle().await;
    assert_eq!(server.dynos.launches(), 0);
}

#[tokio::test]
async fn the_apps_log_tells_of_the_build_once() {
    let (server, ann) = server().await;
    server.deploy(&ann, "harbour", &web_app()).await;
    let session = json!({"source": "app", "dyno": "api"});
    let session = ann.post("/apps/harbour/log-sessions", session).await;
    let url = session.created()["logplex_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let lines = server.nobody().get(url).await.text();
    for words in [
        "Build started by user ann@example.com",
        "Deploy 01234567 by user ann@example.com",
        "Release v3 created by user ann@example.com",
        "Scaled to web@1:Basic worker@0:Basic by user ann@example.com",
        "Build succeeded",
    ] {
        assert_eq!(lines.matches(words).count(), 1, "{words:?} in {lines}");
    }
}

#[tokio::test]
async fn a_build_is_of_a_source_that_is_named() {
    let (server, ann) = server().await;
    let before = server.dump();
    for (body, words) in [
        (json!({}), "source_blob"),
        (json!({"source_blob": {}}), "source_blob.url"),
        (json!({"source_blob": {"url": ""}}), "URL"),
        (
            json!({"source_blob": {"url": "file:///etc/passwd"}}),
            "http",
        ),
        (json!({"source_blob": {"url": "no url"}}), "URL"),
        (json!({"source_blob": {"url": 7}}), "source_blob.url"),
        (
            json!({"source_blob": {"url": "http://x.test/", "checksum": "MD5:00"}}),
            "SHA256",
        ),
        (
            json!({"source_blob": {"url": "http://x.test/", "version": "x".repeat(201)}}),
            "source_blob.version",
        ),
        (
            json!({"source_blob": {"url": "http://x.test/"}, "buildpacks": [{"url": "go"}]}),
            "no buildpack",
        ),
    ] {
        ann.post(BUILDS, body).await.invalid(words);
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_waiting_build_is_cancelled_and_says_so() {
    let (server, ann) = server().await;
    let queued = ann.build("harbour", &web_app(), "1").await;
    let path = format!("{BUILDS}/{}", id(&queued));
    let cancelled = ann.delete(&path).await.ok();
    assert_eq!(cancelled["status"], "failed");
    server.settle().await;
    assert_eq!(ann.get(&path).await.ok(), cancelled);
    let told = server.nobody().get(output(&queued)).await;
    assert!(
        told.text().contains("The build was cancelled."),
        "{}",
        told.text()
    );
    let releases = ann.get("/apps/harbour/releases").await.list();
    assert_eq!(releases.len(), 2);
    let again = ann.delete(&path).await;
    again.refused(409, "conflict", "ended already");
    // The next build of the app is not held up by it.
    server.deploy(&ann, "harbour", &web_app()).await;
}

#[tokio::test]
async fn the_latest_builds_of_a_pipeline_are_one_an_app() {
    let (server, ann) = server().await;
    let pipeline = ann.pipeline("water").await;
    ann.couple("harbour", &pipeline, "staging").await;
    ann.app("marina").await;
    ann.couple("marina", &pipeline, "production").await;
    server.deploy(&ann, "harbour", &web_app()).await;
    let newer = server.deploy(&ann, "harbour", &web_app()).await;
    let latest = ann.get("/pipelines/water/latest-builds").await.list();
    assert_eq!(latest, [newer]);
}

#[tokio::test]
async fn a_build_cache_is_deleted_whether_there_is_one_or_not() {
    let (_server, ann) = server().await;
    let gone = ann.delete("/apps/harbour/build-cache").await.ok();
    assert_eq!(gone, json!({}));
}

#[tokio::test]
async fn the_url_of_a_source_is_stored_sealed() {
    let (server, ann) = server().await;
    let url = "http://ann:correct-horse@source.test/app.tar.gz";
    let body = json!({"source_blob": {"url": url}});
    let build = ann.post(BUILDS, body).await.created();
    let shown = ann.get(format!("{BUILDS}/{}", id(&build))).await.ok();
    assert_eq!(shown["source_blob"]["url"], url);
    assert!(!server.dump().contains("correct-horse"));
}

#[tokio::test]
async fn where_a_source_is_from_is_shown_whole_only_to_who_may_deploy() {
    let (server, ann) = server().await;
    let url = "http://ann:correct-horse@source.test/app.tar.gz?token=battery";
    let body = json!({"source_blob": {"url": url}});
    let build = ann.post(BUILDS, body).await.created();
    let (vera, dan) = (server.account("vera").await, server.account("dan").await);
    for (name, permissions) in [("vera", json!(["view"])), ("dan", json!(["deploy"]))] {
        let body = json!({"user": format!("{name}@example.com"), "permissions": permissions});
        let collaborators = "/apps/harbour/collaborators";
        ann.post(collaborators, body).await.created();
    }
    let pipeline = ann.pipeline("water").await;
    ann.couple("harbour", &pipeline, "staging").await;
    let reader = ann.scoped(&["read"], None).await;
    let one = format!("{BUILDS}/{}", id(&build));
    for (client, seen) in [
        (&ann, url),
        (&dan, url),
        (&vera, "http://source.test/app.tar.gz"),
        (&reader, "http://source.test/app.tar.gz"),
    ] {
        let shown = client.get(&one).await.ok();
        assert_eq!(shown["source_blob"]["url"], seen);
        for list in [BUILDS, "/pipelines/water/latest-builds"] {
            let listed = client.get(list).await.list();
            assert_eq!(listed[0]["source_blob"]["url"], seen, "{list}");
        }
    }
}

#[tokio::test]
async fn what_somebody_asked_for_who_may_not_deploy_any_more_is_not_released() {
    let (server, ann) = server().await;
    let bob = server.account("bob").await;
    let body = json!({"user": "bob@example.com", "permissions": ["deploy"]});
    let collaborators = "/apps/harbour/collaborators";
    ann.post(collaborators, body).await.created();
    let his = bob.build("harbour", &web_app(), "his").await;
    let gone = ann.delete(format!("{collaborators}/bob@example.com"));
    gone.await.ok();
    server.settle().await;
    let build = ann.get(format!("{BUILDS}/{}", id(&his))).await.ok();
    assert_eq!(build["status"], "failed");
    let output = server.nobody().get(output(&build)).await.text();
    assert!(output.contains("may not deploy"), "{output}");
    assert_eq!(ann.newest_release("harbour").await["version"], 2);
    // The next one is not held up by it.
    server.deploy(&ann, "harbour", &web_app()).await;
}

#[tokio::test]
async fn a_build_that_was_asked_for_before_the_app_was_given_away_is_its_askers_as_long_as_he_may()
{
    let (server, ann) = server().await;
    let bob = server.account("bob").await;
    ann.build("harbour", &web_app(), "hers").await;
    let offer = json!({"app": "harbour", "recipient": "bob@example.com"});
    let offer = ann.post("/account/app-transfers", offer).await.created();
    let path = format!("/account/app-transfers/{}", id(&offer));
    bob.patch(path, json!({"state": "accepted"})).await.ok();
    server.settle().await;
    let newest = bob.newest_release("harbour").await;
    assert_eq!(newest["user"]["email"], "ann@example.com");
    let second = ann.build("harbour", &web_app(), "hers too").await;
    let collaborator = "/apps/harbour/collaborators/ann@example.com";
    bob.delete(collaborator).await.ok();
    server.settle().await;
    let build = bob.get(format!("{BUILDS}/{}", id(&second))).await.ok();
    assert_eq!(build["status"], "failed");
}

#[tokio::test]
async fn an_output_goes_on_where_a_client_was_cut_off() {
    let (server, ann) = server().await;
    let build = server.deploy(&ann, "harbour", &web_app()).await;
    let (nobody, url) = (server.nobody(), output(&build));
    let whole = nobody.get(url).await.text();
    let ranged = nobody.request("GET", url).header("range", "bytes=7-");
    let rest = ranged.send().await;
    assert_eq!((rest.status, rest.text()), (206, whole[7..].to_owned()));
    let events = nobody
        .request("GET", url)
        .header("accept", "text/event-stream")
        .header("last-event-id", "7");
    let events = events.send().await.text();
    let id = format!("\nid: {}\n", whole.len());
    assert!(events.contains(&id), "{events}");
    let lines = events
        .lines()
        .filter_map(|line| line.strip_prefix("data: "));
    assert_eq!(lines.collect::<Vec<_>>().join("\n"), whole[7..]);
}
