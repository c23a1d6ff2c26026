//! Web dynos that are up only when they answer as their app.json asks.

use std::time::Duration;

use penstock::archive::RootFile;
use penstock::health_checks::{HealthCheck, read};
use penstock::runtime::{Event, Launch, Runtime};
use serde_json::{Value, json};

use super::local::{Place, launch};
use super::soon;

/// Is unwell until it was asked so often, and prints what it is asked for.
const APP: &str = r#"
import http.server, os

asked = 0

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += 1
        print("asked for", self.path, flush=True)
        self.send_response(204 if asked >= int(os.environ["WELL_FROM"]) else 503)
        self.end_headers()

http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Page).serve_forever()
"#;

fn app(place: &Place, manifest: &Value, well_from: usize) -> Launch {
    let manifest = manifest.to_string();
    let slug = place
        .ground
        .slug(&[("app.py", APP), ("app.json", &manifest)]);
    let mut launch = Launch {
        name: "web.1".into(),
        r#type: "web".into(),
        port: Some(place.local.free_port(&[].into()).unwrap()),
        ..launch(slug, "exec python3 app.py")
    };
    let well_from = well_from.to_string();
    launch.config_vars.insert("WELL_FROM".into(), well_from);
    launch
}

fn manifest(check: Value) -> Value {
    json!({"healthchecks": {"web": [check]}})
}

#[tokio::test]
async fn a_dyno_is_up_when_it_answers_well_and_not_before() {
    let mut place = Place::new();
    let check = json!({"type": "startup", "path": "/health?deep=1", "status": 204});
    let launch = app(&place, &manifest(check), 2);
    soon(place.local.start(launch.clone())).await.unwrap();
    let listening = Event::Listening { dyno: launch.dyno };
    assert_eq!(place.event().await, listening);
    let probe = place.local.last_words(launch.dyno).probe.unwrap();
    assert_eq!(
        probe,
        "GET /health?deep=1 is answered with 503 Service Unavailable, and should be with 204"
    );
    // It is up before the last that it has printed is in its log.
    place.ground.said(launch.app, "HTTP/1.1\" 204").await;
    let printed = place.ground.printed(launch.app);
    let asked = "asked for /health?deep=1";
    let asked = printed.iter().filter(|line| *line == asked).count();
    // Once unwell, and once well.
    assert_eq!(asked, 2, "{printed:?}");
}

#[tokio::test]
async fn a_dyno_that_stays_unwell_is_reported_when_its_time_is_over() {
    let mut place = Place::new();
    let mut launch = app(&place, &manifest(json!({"path": "/health"})), 1_000_000);
    launch.boot = Duration::from_secs(1);
    soon(place.local.start(launch.clone())).await.unwrap();
    let timeout = Event::BootTimeout { dyno: launch.dyno };
    assert_eq!(place.event().await, timeout);
}

#[tokio::test]
async fn checks_that_cannot_be_are_told_and_the_port_alone_counts() {
    let mut place = Place::new();
    let launch = app(&place, &manifest(json!({"path": "health"})), 1_000_000);
    soon(place.local.start(launch.clone())).await.unwrap();
    let listening = Event::Listening { dyno: launch.dyno };
    assert_eq!(place.event().await, listening);
    let told = &place.ground.lines(launch.app)[0];
    let expected = "heroku[web.1]: The health checks are not used: healthchecks.web[0].path in app.json must be a path";
    assert!(told.starts_with(expected), "{told}");
}

fn file(manifest: &Value) -> RootFile {
    let bytes = manifest.to_string().into_bytes();
    let size = bytes.len() as u64;
    RootFile { bytes, size }
}

#[test]
fn only_what_is_asked_of_a_starting_web_dyno_by_path_is_a_check() {
    for none in [
        json!({}),
        json!({"healthchecks": null}),
        json!({"healthchecks": {"worker": [{"path": "/"}]}}),
        json!({"healthchecks": {"web": []}}),
        manifest(json!({"type": "liveness", "path": "/"})),
        manifest(json!({"type": "startup", "listening": true})),
    ] {
        assert_eq!(read(&file(&none)).unwrap(), [], "{none}");
    }
    let all = json!({"type": "startup", "path": "/up", "status": 201, "timeout": 7, "attempts": 3});
    let check = HealthCheck {
        path: "/up".into(),
        status: Some(201),
        timeout: 7,
    };
    assert_eq!(read(&file(&manifest(all))).unwrap(), [check]);
    let least = HealthCheck {
        path: "/".into(),
        status: None,
        timeout: 5,
    };
    let given = manifest(json!({"path": "/"}));
    assert_eq!(read(&file(&given)).unwrap(), [least]);
}

#[test]
fn what_cannot_be_is_named_with_its_place() {
    for (given, place) in [
        (json!({"healthchecks": []}), "healthchecks in app.json"),
        (json!({"healthchecks": {"web": {}}}), "healthchecks.web in"),
        (manifest(json!("/")), "healthchecks.web[0] in"),
        (manifest(json!({"path": ""})), "healthchecks.web[0].path"),
        (manifest(json!({"path": 1})), "healthchecks.web[0].path"),
        (
            manifest(json!({"path": "/a b"})),
            "healthchecks.web[0].path",
        ),
        (
            manifest(json!({"path": "/a\r\nX: y"})),
            "healthchecks.web[0].path",
        ),
        (
            manifest(json!({"path": "/", "status": 99})),
            "healthchecks.web[0].status",
        ),
        (
            manifest(json!({"path": "/", "status": "200"})),
            "healthchecks.web[0].status",
        ),
        (
            manifest(json!({"path": "/", "timeout": 0})),
            "healthchecks.web[0].timeout",
        ),
        (
            manifest(json!({"path": "/", "timeout": 1.5})),
            "healthchecks.web[0].timeout",
        ),
        (
            json!({"healthchecks": {"web": vec![json!({"path": "/"}); 6]}}),
            "healthchecks.web in",
        ),
    ] {
        let fault = read(&file(&given)).unwrap_err();
        assert!(fault.starts_with(place), "{given}: {fault}");
    }
}
