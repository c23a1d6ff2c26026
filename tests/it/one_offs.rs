//! One-off dynos: a command that is run once, beside the formation.

use std::time::Duration;

use penstock::name::Id;
use serde_json::{Value, json};

use crate::harness::{Client, Server, gz, id};

const DYNOS: &str = "/apps/harbour/dynos";

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "harbour").await;
    (server, ann)
}

async fn run(ann: &Client, body: Value) -> Value {
    ann.post(DYNOS, body).await.created()
}

fn own(dyno: &Value) -> Id {
    Id::parse(&id(dyno)).unwrap()
}

fn name(dyno: &Value) -> &str {
    dyno["name"].as_str().unwrap()
}

/// What the app's log says of one process, or of the API.
async fn told(ann: &Client, process: &str) -> Vec<String> {
    let filter = json!({"lines": 1_500, "dyno": process});
    let session = ann.post("/apps/harbour/log-sessions", filter).await;
    let url = session.created()["logplex_url"]
        .as_str()
        .unwrap()
        .to_owned();
    let text = ann.get(url).await.text();
    let message = |line: &str| line.split_once("]: ").unwrap().1.to_owned();
    text.lines().map(message).collect()
}

#[tokio::test]
async fn a_one_off_dyno_runs_once_is_seen_and_logged_and_is_gone_when_it_ends() {
    let (server, ann) = server().await;
    let made = run(
        &ann,
        json!({"command": "rake db:migrate", "size": "standard-1x"}),
    )
    .await;
    assert_eq!(made["type"], "run");
    assert_eq!(made["state"], "starting");
    assert_eq!(made["size"], "Standard-1X");
    assert_eq!(made["attach_url"], json!(null));
    assert_eq!(made["release"]["version"], 3);
    let number = name(&made).strip_prefix("run.").unwrap();
    assert!((1_000..10_000).contains(&number.parse::<i64>().unwrap()));
    server.settle().await;
    let path = format!("{DYNOS}/{}", name(&made));
    let up = ann.get(&path).await.ok();
    assert_eq!(up["state"], "up");
    assert_eq!(up["id"], made["id"]);
    assert_eq!(ann.get(DYNOS).await.list().len(), 2);
    let launch = server.dynos.one("harbour", name(&made));
    assert_eq!(launch.command, "rake db:migrate");
    assert_eq!(launch.port, None);
    server.dynos.crash(own(&made), 3);
    server.settle().await;
    ann.get(&path).await.missing("dyno");
    server.pass(Duration::from_secs(3_600));
    server.settle().await;
    assert_eq!(server.dynos.of("harbour"), ["web.1 v3"]);
    assert_eq!(
        told(&ann, name(&made)).await,
        [
            "Starting process with command `rake db:migrate`",
            "State changed from starting to up",
            "Process exited with status 3",
            "State changed from up to complete",
        ]
    );
    let api = told(&ann, "api").await;
    let asked = "Starting process with command `rake db:migrate` by user ann@example.com";
    assert!(api.iter().any(|line| line == asked), "{api:?}");
}

#[tokio::test]
async fn a_process_type_at_the_start_of_the_command_stands_for_its_own() {
    let (server, ann) = server().await;
    for (command, full) in [
        ("worker", "work --hard"),
        ("worker --twice  x", "work --hard --twice  x"),
        ("workers", "workers"),
        ("sh worker", "sh worker"),
    ] {
        let made = run(&ann, json!({ "command": command })).await;
        assert_eq!(made["command"], full);
        server.settle().await;
        assert_eq!(server.dynos.one("harbour", name(&made)).command, full);
    }
}

#[tokio::test]
async fn its_environment_is_over_the_config_vars_and_is_kept_sealed() {
    let (server, ann) = server().await;
    let vars = json!({"A": "config", "B": "config"});
    ann.patch("/apps/harbour/config-vars", vars).await.ok();
    let env = json!({"B": "once", "C": "hunter2"});
    let made = run(&ann, json!({"command": "env", "env": env, "type": "task"})).await;
    assert!(name(&made).starts_with("task."));
    assert!(!server.dump().contains("hunter2"));
    assert!(!made.to_string().contains("hunter2"));
    server.settle().await;
    let launch = server.dynos.one("harbour", name(&made));
    let var = |name: &str| launch.config_vars.get(name).map(String::as_str);
    assert_eq!(
        [var("A"), var("B"), var("C")],
        [Some("config"), Some("once"), Some("hunter2")]
    );
    let web = server.dynos.one("harbour", "web.1");
    assert_eq!(web.config_vars["B"], "config");
    assert!(!web.config_vars.contains_key("C"));
}

#[tokio::test]
async fn releases_and_restarts_leave_it_alone_and_a_stop_ends_it_for_good() {
    let (server, ann) = server().await;
    let first = run(&ann, json!({"command": "sleep"})).await;
    let second = run(&ann, json!({"command": "sleep"})).await;
    let third = run(&ann, json!({"command": "sleep"})).await;
    server.settle().await;
    server
        .deploy(&ann, "harbour", &gz(&[("Procfile", "web: next")]))
        .await;
    ann.delete(DYNOS).await.expect(202);
    server.settle().await;
    assert_eq!(server.dynos.one("harbour", name(&first)).release_version, 3);
    assert_eq!(server.dynos.of("harbour").len(), 4);
    ann.delete(format!("{DYNOS}/{}", name(&first)))
        .await
        .expect(202);
    server.settle().await;
    ann.get(format!("{DYNOS}/{}", name(&first)))
        .await
        .missing("dyno");
    let stopped = told(&ann, name(&first)).await;
    assert!(stopped.ends_with(&[
        "Stopping all processes with SIGTERM".to_owned(),
        "Process exited with status 143".to_owned(),
        "State changed from up to complete".to_owned(),
    ]));
    let stop = format!("{DYNOS}/{}/actions/stop", id(&second));
    ann.post(stop, json!({})).await.expect(202);
    server.settle().await;
    assert_eq!(server.dynos.of("harbour").len(), 2);
    let all = "/apps/harbour/formations/run/actions/stop";
    ann.post(all, json!({})).await.expect(202);
    server.settle().await;
    ann.get(format!("{DYNOS}/{}", name(&third)))
        .await
        .missing("dyno");
    assert_eq!(server.dynos.of("harbour"), ["web.1 v4"]);
    ann.post(all, json!({})).await.missing("process type");
}

#[tokio::test]
async fn it_ends_when_its_time_is_over_and_with_its_app() {
    let (server, ann) = server().await;
    let brief = run(&ann, json!({"command": "sleep", "time_to_live": 60})).await;
    let long = run(&ann, json!({"command": "sleep"})).await;
    server.settle().await;
    server.pass(Duration::from_secs(59));
    server.settle().await;
    assert_eq!(server.dynos.of("harbour").len(), 3);
    server.pass(Duration::from_secs(1));
    server.settle().await;
    ann.get(format!("{DYNOS}/{}", name(&brief)))
        .await
        .missing("dyno");
    let last = told(&ann, name(&brief)).await;
    assert!(
        last.iter().any(|line| line == "Time to live is over"),
        "{last:?}"
    );
    server.dynos.one("harbour", name(&long));
    ann.delete("/apps/harbour").await.ok();
    server.settle().await;
    assert!(server.dynos.running().is_empty());
}

#[tokio::test]
async fn one_that_cannot_be_started_is_told_of_and_not_tried_again() {
    let (server, ann) = server().await;
    server.dynos.refuse();
    let made = run(&ann, json!({"command": "sleep"})).await;
    server.settle().await;
    server.pass(Duration::from_secs(600));
    server.settle().await;
    ann.get(format!("{DYNOS}/{}", name(&made)))
        .await
        .missing("dyno");
    let told = told(&ann, name(&made)).await;
    assert!(told.iter().any(|line| line.contains("R99")), "{told:?}");
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_and_nothing_is_written() {
    let (server, ann) = server().await;
    ann.app("empty").await;
    let before = server.dump();
    for (body, words) in [
        (json!({}), "command"),
        (json!({"command": "  "}), "empty"),
        (json!({"command": "a\0b"}), "NUL"),
        (json!({"command": 7}), "command"),
        (json!({"command": "x", "size": "Huge"}), "dyno size"),
        (json!({"command": "x", "type": "a b"}), "process type"),
        (json!({"command": "x", "time_to_live": 0}), "86400"),
        (json!({"command": "x", "time_to_live": 86_401}), "86400"),
        (json!({"command": "x", "env": {"PORT": "1"}}), "PORT"),
        (json!({"command": "x", "env": {"A": [1]}}), "env"),
        (
            json!({"command": "x", "env": {"A": "x".repeat(65_537)}}),
            "64 KB",
        ),
    ] {
        ann.post(DYNOS, body).await.invalid(words);
    }
    let body = json!({"command": "x"});
    ann.post("/apps/empty/dynos", body).await.invalid("Deploy");
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn an_app_runs_so_many_at_once_and_no_more() {
    let (server, ann) = server().await;
    for _ in 0..50 {
        run(&ann, json!({"command": "sleep"})).await;
    }
    let refused = ann.post(DYNOS, json!({"command": "sleep"})).await;
    refused.refused(409, "conflict", "50");
    let names = ann.get(DYNOS).await.each("name");
    let mut distinct = names.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), names.len());
    drop(server);
}
