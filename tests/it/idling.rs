//! Apps of Eco dynos: they sleep when nobody visits them, and wake up for whoever does.

use std::time::Duration;

use penstock::name::Id;
use serde_json::{Value, json};

use crate::binary::sample::PERL;
use crate::binary::{Place, processes};
use crate::harness::{Client, Server, id, web_app};

const DYNOS: &str = "/apps/harbour/dynos";
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// An app with a web dyno and a worker of the size that is given.
async fn server(size: &str) -> (Server, Client, Id) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "harbour").await;
    scale(&ann, json!({"type": "web", "size": size})).await;
    let worker = json!({"type": "worker", "quantity": 1, "size": size});
    scale(&ann, worker).await;
    server.settle().await;
    let app = ann.get("/apps/harbour").await.ok();
    let app = Id::parse(&id(&app)).unwrap();
    (server, ann, app)
}

async fn scale(ann: &Client, update: Value) {
    let updates = json!({"updates": [update]});
    ann.patch("/apps/harbour/formation", updates).await.ok();
}

/// `web.1 idle`, for each dyno.
async fn states(ann: &Client) -> Vec<String> {
    let dynos = ann.get(DYNOS).await.list().to_vec();
    let text = |dyno: &Value, name: &str| dyno[name].as_str().unwrap().to_owned();
    let mut states: Vec<String> = dynos
        .iter()
        .map(|dyno| format!("{} {}", text(dyno, "name"), text(dyno, "state")))
        .collect();
    states.sort();
    states
}

const AWAKE: [&str; 2] = ["web.1 up", "worker.1 up"];
const ASLEEP: [&str; 2] = ["web.1 idle", "worker.1 idle"];

/// Until the app sleeps, if it does.
async fn wait(server: &Server, time: Duration) {
    server.settle().await;
    server.pass(time);
    server.settle().await;
}

/// What the app's log says of one process.
async fn told(ann: &Client, process: &str) -> Vec<String> {
    let filter = json!({"lines": 1_500, "dyno": process, "source": "heroku"});
    let session = ann.post("/apps/harbour/log-sessions", filter).await;
    let session = session.created();
    let text = ann.get(session["logplex_url"].as_str().unwrap()).await;
    let message = |line: &str| line.split_once("]: ").unwrap().1.to_owned();
    text.text().lines().map(message).collect()
}

#[tokio::test]
async fn an_app_that_nobody_visits_sleeps_with_its_workers_and_wakes_up_for_a_visitor() {
    let (server, ann, app) = server("Eco").await;
    wait(&server, LIMIT - Duration::from_secs(1)).await;
    assert_eq!(states(&ann).await, AWAKE);
    let before = told(&ann, "web.1").await.len();
    wait(&server, Duration::from_secs(1)).await;
    assert_eq!(states(&ann).await, ASLEEP);
    assert!(server.dynos.of("harbour").is_empty());
    assert_eq!(
        told(&ann, "web.1").await[before..],
        [
            "Idling",
            "State changed from up to down",
            "Stopping all processes with SIGTERM",
            "Process exited with status 143",
        ]
    );
    server.visitors.ring(app);
    server.settle().await;
    assert_eq!(states(&ann).await, AWAKE);
    assert_eq!(
        told(&ann, "web.1").await[before + 4..before + 6],
        ["Unidling", "State changed from down to starting"]
    );
    // As long again.
    wait(&server, LIMIT - Duration::from_secs(1)).await;
    assert_eq!(states(&ann).await, AWAKE);
    wait(&server, Duration::from_secs(1)).await;
    assert_eq!(states(&ann).await, ASLEEP);
}

#[tokio::test]
async fn an_app_of_another_size_stays_awake() {
    let (server, ann, _) = server("Basic").await;
    wait(&server, LIMIT * 10).await;
    assert_eq!(states(&ann).await, AWAKE);
}

#[tokio::test]
async fn an_app_without_web_dynos_stays_awake() {
    let (server, ann, _) = server("Eco").await;
    scale(&ann, json!({"type": "web", "quantity": 0})).await;
    wait(&server, LIMIT * 10).await;
    assert_eq!(states(&ann).await, ["worker.1 up"]);
}

#[tokio::test]
async fn visits_put_sleep_off_and_one_that_lasts_keeps_the_app_awake() {
    let (server, ann, app) = server("Eco").await;
    for _ in 0..3 {
        wait(&server, LIMIT - Duration::from_secs(1)).await;
        server.visitors.visit(app);
    }
    server.visitors.stay(app);
    wait(&server, LIMIT * 10).await;
    assert_eq!(states(&ann).await, AWAKE);
    server.visitors.leave(app);
    wait(&server, LIMIT - Duration::from_secs(1)).await;
    assert_eq!(states(&ann).await, AWAKE);
    wait(&server, Duration::from_secs(1)).await;
    assert_eq!(states(&ann).await, ASLEEP);
}

#[tokio::test]
async fn a_release_a_restart_and_scaling_up_wake_an_app() {
    let (server, ann, _) = server("Eco").await;
    wait(&server, LIMIT).await;
    assert_eq!(states(&ann).await, ASLEEP);
    server.deploy(&ann, "harbour", &web_app()).await;
    assert_eq!(states(&ann).await, AWAKE);
    assert_eq!(server.dynos.of("harbour"), ["web.1 v4", "worker.1 v4"]);

    wait(&server, LIMIT).await;
    assert_eq!(states(&ann).await, ASLEEP);
    ann.delete(format!("{DYNOS}/web.1")).await.expect(202);
    server.settle().await;
    assert_eq!(states(&ann).await, AWAKE);

    wait(&server, LIMIT).await;
    assert_eq!(states(&ann).await, ASLEEP);
    scale(&ann, json!({"type": "worker", "quantity": "+1"})).await;
    server.settle().await;
    assert_eq!(
        states(&ann).await,
        ["web.1 up", "worker.1 up", "worker.2 up"]
    );

    wait(&server, LIMIT).await;
    scale(&ann, json!({"type": "worker", "quantity": 0})).await;
    server.settle().await;
    assert_eq!(states(&ann).await, ["web.1 idle"]);
    scale(&ann, json!({"type": "web", "quantity": 0})).await;
    server.settle().await;
    assert!(states(&ann).await.is_empty());
}

#[tokio::test]
async fn a_size_that_sleeps_takes_none_with_it_that_does_not() {
    let (server, ann, app) = server("Eco").await;
    scale(&ann, json!({"type": "worker", "size": "Basic"})).await;
    wait(&server, LIMIT).await;
    assert_eq!(states(&ann).await, ["web.1 idle", "worker.1 up"]);
    server.visitors.ring(app);
    server.settle().await;
    assert_eq!(states(&ann).await, AWAKE);
}

#[tokio::test]
async fn a_deleted_app_sleeps_no_more() {
    let (server, ann, app) = server("Eco").await;
    wait(&server, LIMIT).await;
    ann.delete("/apps/harbour").await.ok();
    server.visitors.ring(app);
    server.settle().await;
    assert!(!server.dump().contains("idle"));
}

#[tokio::test]
async fn the_clock_may_go_back_and_forth() {
    let (server, ann, app) = server("Eco").await;
    let day = Duration::from_secs(86_400);
    wait(&server, day * 400).await;
    assert_eq!(states(&ann).await, ASLEEP);
    server.visitors.ring(app);
    server.settle().await;
    server.go_back(day * 400);
    server.settle().await;
    wait(&server, LIMIT - Duration::from_secs(1)).await;
    assert_eq!(states(&ann).await, AWAKE);
    wait(&server, Duration::from_secs(1)).await;
    assert_eq!(states(&ann).await, ASLEEP);
}

/// Waits until the dynos of an app are in these states.
async fn until(client: &crate::binary::Client, expected: &[&str]) {
    let begun = std::time::Instant::now();
    loop {
        let dynos = client.get("/apps/app/dynos").await.expect(200);
        let states: Vec<&str> = dynos
            .as_array()
            .unwrap()
            .iter()
            .map(|dyno| dyno["state"].as_str().unwrap())
            .collect();
        if states == expected {
            return;
        }
        assert!(begun.elapsed() < crate::binary::HANG, "{states:?}");
    }
}

#[tokio::test]
async fn a_real_app_falls_asleep_stays_so_while_its_server_is_killed_and_serves_all_who_wake_it() {
    let place = Place::new();
    let start = || {
        let mut server =
            crate::binary::Server::start(place.command(&["--eco-idle", "1s"]), &place.log());
        server.is_survived = true;
        server
    };
    let server = start();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PERL.tarball("good morning")).await;
    let eco = json!({"updates": [{"type": "web", "size": "eco"}]});
    client.patch("/apps/app/formation", eco).await.expect(200);
    until(&client, &["idle"]).await;
    server.kill();
    let server = start();
    let client = server.client();
    until(&client, &["idle"]).await;
    let visits = (0..8).map(|_| client.visit("app", "/"));
    for page in futures_util::future::join_all(visits).await {
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.text().contains("good morning"), "{}", page.text());
    }
    until(&client, &["idle"]).await;
    // Nothing of it runs, save for what may be on its way out.
    let begun = std::time::Instant::now();
    while !processes::of(server.data()).is_empty() {
        assert!(begun.elapsed() < crate::binary::HANG);
    }
    server.stop();
    // A server that lets nobody sleep wakes them all.
    let mut server =
        crate::binary::Server::start(place.command(&["--eco-idle", "off"]), &place.log());
    server.is_survived = true;
    until(&server.client(), &["up"]).await;
    server.stop();
}
