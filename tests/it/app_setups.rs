//! App setups: an app made from a source and its `app.json`, or nothing at all.

mod addons;
mod given_away;

use penstock::log::Source;
use penstock::name::Id;
use serde_json::{Value, json};

use crate::harness::{Client, Server, gz, id};

const PROCFILE: (&str, &str) = ("Procfile", "web: serve\nworker: work\n");

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    (server, ann)
}

/// Asks for a setup of a source with this manifest, under the name of harbour.
async fn ask(ann: &Client, manifest: &str, overrides: Value) -> Value {
    let url = ann.upload(&gz(&[PROCFILE, ("app.json", manifest)])).await;
    let body = json!({
        "source_blob": { "url": url, "version": "385e5950" },
        "app": { "name": "harbour" },
        "overrides": overrides,
    });
    ann.post("/app-setups", body).await.expect(202)
}

async fn shown(ann: &Client, setup: &Value) -> Value {
    ann.get(format!("/app-setups/{}", id(setup))).await.ok()
}

/// The setup has failed for this reason, and nothing is left of its app.
async fn assert_failed(ann: &Client, setup: &Value, reason: &str) -> Value {
    let failed = shown(ann, setup).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    let message = failed["failure_message"].as_str().unwrap();
    assert!(message.contains(reason), "{failed}");
    ann.get("/apps/harbour").await.missing("app");
    failed
}

/// The dyno of the postdeploy script.
async fn postdeploy(ann: &Client) -> Value {
    let dynos = ann.get("/apps/harbour/dynos").await.list();
    let script = dynos.iter().find(|dyno| dyno["type"] == "postdeploy");
    script.expect("no postdeploy script runs").clone()
}

fn own(shown: &Value) -> Id {
    Id::parse(&id(shown)).unwrap()
}

#[tokio::test]
async fn an_app_is_made_with_all_that_its_manifest_says() {
    let (server, ann) = server().await;
    let manifest = json!({
        "name": "A harbour",
        "env": {
            "PLAIN": "text",
            "LONG": {"description": "x", "value": "given"},
            "REPLACED": {"value": "theirs"},
            "SECRET": {"generator": "secret"},
            "ASKED": {"description": "somebody has to say it"},
            "MAYBE": {"required": false},
        },
        "formation": {"web": {"quantity": 2, "size": "standard-1x"}, "worker": {"quantity": 1}},
        "scripts": {"postdeploy": "migrate"},
        "success_url": "/welcome",
        "stack": "heroku-24",
    });
    let overrides = json!({"env": {"ASKED": "ours", "REPLACED": "ours", "MORE": "1"}});
    let asked = ask(&ann, &manifest.to_string(), overrides).await;
    assert_eq!(asked["status"], "pending");
    assert_eq!(asked["app"]["name"], "harbour");
    assert_eq!(asked["build"], Value::Null);
    assert_eq!(asked["resolved_success_url"], Value::Null);
    // The app is there at once.
    ann.get("/apps/harbour").await.ok();
    server.settle().await;
    let vars = ann.get("/apps/harbour/config-vars").await.ok();
    let secret = vars["SECRET"].as_str().unwrap();
    assert!(secret.len() == 64 && secret.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let wanted = json!({"PLAIN": "text", "LONG": "given", "REPLACED": "ours", "ASKED": "ours", "MORE": "1", "SECRET": secret});
    assert_eq!(vars, wanted);
    let web = ann.get("/apps/harbour/formation/web").await.ok();
    assert_eq!(
        (&web["quantity"], &web["size"]),
        (&json!(2), &json!("Standard-1X"))
    );
    let waiting = shown(&ann, &asked).await;
    assert_eq!(waiting["status"], "pending");
    assert_eq!(waiting["build"]["status"], "succeeded");
    assert_eq!(waiting["postdeploy"], Value::Null);
    let script = postdeploy(&ann).await;
    let process = script["name"].as_str().unwrap();
    assert_eq!(server.dynos.one("harbour", process).command, "migrate");
    let logs = &server.platform.logs;
    logs.append(own(&asked["app"]), Source::App, process, "3 tables made");
    server.dynos.crash(own(&script), 0);
    server.settle().await;
    let done = shown(&ann, &asked).await;
    assert_eq!(done["status"], "succeeded", "{done}");
    assert_eq!(
        done["postdeploy"],
        json!({"exit_code": 0, "output": "3 tables made\n"})
    );
    assert_eq!(
        done["resolved_success_url"],
        "http://harbour.localhost:8080/welcome"
    );
    assert_eq!(
        server.dynos.of("harbour"),
        ["web.1 v4", "web.2 v4", "worker.1 v4"]
    );
    assert_eq!(
        ann.newest_release("harbour").await["description"],
        "Deploy 385e5950"
    );
}

#[tokio::test]
async fn an_app_without_a_name_gets_one_and_nobody_else_sees_the_setup() {
    let (server, ann) = server().await;
    let url = ann.upload(&gz(&[PROCFILE, ("app.json", "{}")])).await;
    let body = json!({"source_blob": { "url": url }});
    let asked = ann.post("/app-setups", body).await.expect(202);
    server.settle().await;
    let done = shown(&ann, &asked).await;
    assert_eq!(done["status"], "succeeded");
    let app = ann.get(format!("/apps/{}", id(&asked["app"]))).await.ok();
    assert_eq!(app["name"], asked["app"]["name"]);
    let bob = server.account("bob").await;
    let path = format!("/app-setups/{}", id(&asked));
    bob.get(&path).await.missing("app setup");
}

#[tokio::test]
async fn what_is_wrong_with_a_manifest_is_told_thing_by_thing() {
    let (server, ann) = server().await;
    let manifest = json!({
        "env": {"BAD-NAME": "x", "A": {"generator": "dice"}, "B": {"value": ["x"]}, "C": {"required": "yes"}},
        "formation": {"web": {"quantity": 101, "size": "huge"}, "worker": 1},
        "buildpacks": [{"url": "nodejs"}, {}],
        "addons": [{"as": "DB"}, {"plan": "x", "options": 1}, 7],
        "scripts": {"postdeploy": ["x"]},
        "stack": "cedar-14",
    });
    let asked = ask(&ann, &manifest.to_string(), json!({})).await;
    server.settle().await;
    let failed = assert_failed(&ann, &asked, "app.json is not valid: ").await;
    let errors = failed["manifest_errors"].as_array().unwrap();
    let told = |path: &str| {
        let of = |error: &&Value| error.as_str().unwrap().starts_with(path);
        assert_eq!(errors.iter().filter(of).count(), 1, "{path} in {errors:?}");
    };
    for path in [
        "env.BAD-NAME",
        "env.A.generator",
        "env.B.value",
        "env.C.required",
        "formation.web.quantity",
        "formation.web.size",
        "formation.worker",
        "buildpacks[0]",
        "buildpacks[1]",
        "addons[0]",
        "addons[1]",
        "scripts.postdeploy",
        "stack",
    ] {
        told(path);
    }
    assert_eq!(errors.len(), 13);
    // Most clients show the message alone.
    let message = failed["failure_message"].as_str().unwrap();
    assert!(message.contains(errors[0].as_str().unwrap()), "{message}");
    assert!(
        message.ends_with("; manifest_errors has 10 more."),
        "{message}"
    );
    assert_eq!(failed["app"]["name"], "harbour");
}

#[tokio::test]
async fn a_manifest_that_is_none_too_large_or_too_deep_fails_the_setup() {
    let (server, ann) = server().await;
    let large = format!("{{\"description\": \"{}\"}}", "x".repeat(70_000));
    let deep = format!("{}1{}", "{\"a\":".repeat(20), "}".repeat(20));
    let deepest = "[".repeat(30_000);
    for (manifest, words) in [
        ("{", "valid JSON"),
        ("[]", "object"),
        (large.as_str(), "larger"),
        (deep.as_str(), "nested"),
        (deepest.as_str(), "valid JSON"),
        (r#"{"env": 1}"#, "env must be an object"),
        (r#"{"env": {"A": {}}}"#, "env.A is required"),
    ] {
        let asked = ask(&ann, manifest, json!({})).await;
        server.settle().await;
        let failed = assert_failed(&ann, &asked, "app.json is not valid: ").await;
        let error = failed["manifest_errors"][0].as_str().unwrap();
        assert!(error.contains(words), "{error}");
    }
    let url = ann.upload(&gz(&[PROCFILE])).await;
    let body = json!({"source_blob": { "url": url }, "app": {"name": "harbour"}});
    let asked = ann.post("/app-setups", body).await.expect(202);
    server.settle().await;
    assert_failed(&ann, &asked, "app.json not found").await;
}

#[tokio::test]
async fn a_failed_build_deletes_the_app_and_its_output_stays() {
    let (server, ann) = server().await;
    let asked = ask(&ann, "{}", json!({})).await;
    // The upload that was looked into is no longer what the build needs.
    let broken =
        json!({"source_blob": {"url": "http://127.0.0.1:1/source.tgz"}, "app": {"name": "lagoon"}});
    let unreachable = ann.post("/app-setups", broken).await.expect(202);
    server.step_setups().await;
    let building = shown(&ann, &asked).await;
    let build = id(&building["build"]);
    ann.delete(format!("/apps/harbour/builds/{build}"))
        .await
        .ok();
    server.settle().await;
    let failed = assert_failed(&ann, &asked, "The build failed").await;
    assert_eq!(failed["build"]["status"], "failed");
    server.sweep().await;
    let url = failed["build"]["output_stream_url"].as_str().unwrap();
    let output = server.nobody().get(url).await;
    assert!(output.text().contains("cancelled"), "{output:?}");
    let failed = shown(&ann, &unreachable).await;
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["build"], Value::Null);
    ann.get("/apps/lagoon").await.missing("app");
}

#[tokio::test]
async fn a_postdeploy_script_that_fails_fails_the_setup() {
    let (server, ann) = server().await;
    let manifest = r#"{"scripts": {"postdeploy": {"command": "worker --once"}}}"#;
    let asked = ask(&ann, manifest, json!({})).await;
    server.settle().await;
    let script = postdeploy(&ann).await;
    assert_eq!(script["command"], "work --once");
    server.dynos.crash(own(&script), 7);
    server.settle().await;
    let failed = assert_failed(&ann, &asked, "postdeploy exit code was not 0").await;
    assert_eq!(failed["postdeploy"]["exit_code"], 7);
    assert!(server.dynos.running().is_empty());
}

#[tokio::test]
async fn the_buildpacks_of_a_setup_build_it_unless_they_are_overridden() {
    let (server, ann) = server().await;
    let manifest = r#"{"buildpacks": [{"url": "heroku/nodejs"}]}"#;
    let asked = ask(&ann, manifest, json!({})).await;
    server.settle().await;
    // Nothing of this name is kept on this server.
    assert_failed(&ann, &asked, "The build failed").await;
    let asked = ask(&ann, manifest, json!({"buildpacks": []})).await;
    server.settle().await;
    assert_eq!(shown(&ann, &asked).await["status"], "succeeded");
    let unknown = r#"{"formation": {"clock": {"quantity": 1}}}"#;
    ann.delete("/apps/harbour").await.ok();
    let asked = ask(&ann, unknown, json!({})).await;
    server.settle().await;
    assert_failed(&ann, &asked, "clock").await;
}

#[tokio::test]
async fn an_app_that_is_deleted_meanwhile_ends_its_setup() {
    let (server, ann) = server().await;
    let asked = ask(&ann, r#"{"scripts": {"postdeploy": "x"}}"#, json!({})).await;
    server.settle().await;
    ann.delete("/apps/harbour").await.ok();
    server.settle().await;
    assert_failed(&ann, &asked, "deleted").await;
    assert!(server.dynos.running().is_empty());
}

#[tokio::test]
async fn what_cannot_be_set_up_is_refused_and_no_app_is_made() {
    let (server, ann) = server().await;
    ann.app("lagoon").await;
    let url = ann.upload(&gz(&[PROCFILE, ("app.json", "{}")])).await;
    let blob = json!({ "url": url });
    let before = server.dump();
    for (body, words) in [
        (json!({}), "source_blob"),
        (json!({"source_blob": {"url": "ftp://x.test/"}}), "http"),
        (
            json!({"source_blob": blob, "app": {"name": "lagoon"}}),
            "taken",
        ),
        (
            json!({"source_blob": blob, "app": {"name": "X"}}),
            "lowercase",
        ),
        (
            json!({"source_blob": blob, "app": {"region": "eu"}}),
            "region",
        ),
        (
            json!({"source_blob": blob, "app": {"stack": "cedar"}}),
            "stack",
        ),
        (json!({"source_blob": blob, "app": {"space": "s"}}), "space"),
        (
            json!({"source_blob": blob, "overrides": {"env": {"PORT": "1"}}}),
            "PORT",
        ),
        (
            json!({"source_blob": blob, "overrides": {"env": []}}),
            "env",
        ),
        (
            json!({"source_blob": blob, "overrides": {"buildpacks": [{}]}}),
            "url",
        ),
    ] {
        ann.post("/app-setups", body).await.invalid(words);
    }
    assert_eq!(server.dump(), before);
    let env = json!({"env": {"KEY": "hunter2"}});
    ask(&ann, "{}", env).await;
    assert!(!server.dump().contains("hunter2"));
    server.settle().await;
    assert!(!server.dump().contains("hunter2"));
}

#[tokio::test]
async fn a_setup_for_a_team_makes_an_app_of_the_team() {
    let (server, ann) = server().await;
    ann.post("/teams", json!({"name": "crew"})).await.created();
    let url = ann.upload(&gz(&[PROCFILE, ("app.json", "{}")])).await;
    let body = |team: &str| {
        let app = json!({"name": "harbour", "organization": team, "locked": true});
        json!({"source_blob": { "url": url }, "app": app})
    };
    let bob = server.account("bob").await;
    bob.post("/app-setups", body("crew")).await.missing("team");
    let asked = ann.post("/app-setups", body("crew")).await.expect(202);
    server.settle().await;
    assert_eq!(shown(&ann, &asked).await["status"], "succeeded");
    let app = ann.get("/apps/harbour").await.ok();
    assert_eq!(app["team"]["name"], "crew");
}
