//! What a push shows of the release command, once its build is over.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::{Scene, builds};
use crate::binary::sample::PYTHON;
use crate::binary::{Client, Place, Server, processes};

/// Prints a line, and another one when it is told to.
const LASTING: &str =
    "trap 'echo rest; exit 0' USR1; echo first; while true; do sleep 1000 & wait; done";

fn go_on(server: &Server) {
    for process in processes::of(server.data()) {
        if process.command.contains("trap") {
            kill_process(Pid::from_raw(process.pid).unwrap(), Signal::USR1).unwrap();
        }
    }
}

const WORKER: &str = "worker: tail -f /dev/null\n";

fn procfile(command: &str) -> String {
    format!("{WORKER}release: {command}\n")
}

#[track_caller]
fn says_in_order(said: &str, lines: &[&str]) {
    let mut rest = said;
    for line in lines {
        let Some((_, after)) = rest.split_once(line) else {
            panic!("no {line:?} there in {said}");
        };
        rest = after;
    }
}

async fn release(client: &Client, version: u32) -> serde_json::Value {
    let release = client.get(format!("/apps/app/releases/{version}")).await;
    release.expect(200)
}

#[tokio::test]
async fn a_push_shows_what_the_release_command_prints_and_ends_when_the_release_is_there() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    let vars = json!({"API_KEY": "correct-horse-battery"});
    client
        .patch("/apps/app/config-vars", vars)
        .await
        .expect(200);
    work.commit(&[("Procfile", &procfile("echo migrating with $API_KEY"))]);
    let pushed = work.push(url, "main");
    assert!(pushed.succeeded, "{}", pushed.said);
    let lines = [
        "remote:  !     Release command declared: this new release will not be available until the command succeeds.",
        "remote:        Released v4",
        "remote: Verifying deploy... done.",
        "remote: Running release command...",
        "remote: migrating with [hidden: API_KEY]",
        "remote: Waiting for release.... done.",
        "main -> main",
    ];
    says_in_order(&pushed.said, &lines);
    let release = release(client, 4).await;
    assert_eq!(release["status"], "succeeded");
    assert_eq!(release["current"], true);
    // Of what is not built, nothing is said.
    let kept = work.push(url, "main:feature");
    assert!(kept.succeeded && !kept.said.contains("Running release command"));
}

#[tokio::test]
async fn a_release_command_that_fails_is_shown_by_the_push_which_is_kept() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    work.commit(&[("Procfile", WORKER)]);
    let pushed = work.push(url, "main");
    assert!(pushed.succeeded, "{}", pushed.said);
    assert!(!pushed.said.contains("elease command"), "{}", pushed.said);
    let commit = work.commit(&[("Procfile", &procfile("echo no tables; exit 4"))]);
    let pushed = work.push(url, "main");
    assert!(pushed.succeeded, "{}", pushed.said);
    let lines = [
        "remote: Verifying deploy... done.",
        "remote: no tables",
        "remote:  !     The release command of v4 ended with exit status 4.",
        "remote: Waiting for release.... failed.",
        "remote:  !     v4 failed, so the app goes on with what it ran before.",
        "heroku releases:retry",
        "main -> main",
    ];
    says_in_order(&pushed.said, &lines);
    assert_eq!(release(client, 4).await["status"], "failed");
    assert_eq!(release(client, 3).await["current"], true);
    assert_eq!(work.remote_refs(url)["refs/heads/main"], commit);
}

#[tokio::test]
async fn a_first_release_that_fails_leaves_nothing_that_runs_and_the_push_says_so() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    work.commit(&[("Procfile", &procfile("exit 4"))]);
    let pushed = work.push(url, "main");
    assert!(pushed.succeeded, "{}", pushed.said);
    let lines = [
        "remote:  !     The release command of v3 ended with exit status 4. Nothing of this app runs until a release of it succeeds.",
        "remote: Waiting for release.... failed.",
        "remote:  !     v3 failed, and nothing of this app runs until a release of it succeeds.",
    ];
    says_in_order(&pushed.said, &lines);
    assert!(!pushed.said.contains("releases:retry"), "{}", pushed.said);
    assert_eq!(release(client, 3).await["status"], "failed");
}

#[tokio::test]
async fn the_ref_has_moved_while_the_command_runs_and_a_client_that_goes_away_changes_nothing() {
    let Scene {
        client,
        work,
        url,
        server,
        ..
    } = &Scene::new().await;
    let commit = work.commit(&[("Procfile", &procfile(LASTING))]);
    let pushing = work.begin_push(url, "main");
    work.until_remote(url, "refs/heads/main", &commit);
    let shown = release(client, 3).await;
    assert_eq!(shown["status"], "pending");
    let stream = shown["output_stream_url"].as_str().unwrap();
    client.follow(stream).await.unwrap().until("first").await;
    pushing.kill();
    go_on(server);
    let printed = client.read(stream).await.unwrap().text();
    assert_eq!(printed.replace('\0', ""), "first\nrest\n");
    assert_eq!(release(client, 3).await["status"], "succeeded");
    assert_eq!(work.remote_refs(url)["refs/heads/main"], commit);
    assert_eq!(builds(client, "app").await.len(), 1);
}

/// Else the server would go on for as long as it waits for anything.
#[tokio::test]
async fn a_server_that_is_to_stop_ends_the_showing_and_says_where_the_rest_is() {
    let place = Place::new();
    let Scene {
        client,
        work,
        url,
        server,
        place,
    } = Scene::on(place.start_survived(), place).await;
    let commit = work.commit(&[("Procfile", &procfile(LASTING))]);
    let pushing = work.begin_shown(&url, "main");
    work.until_remote(&url, "refs/heads/main", &commit);
    let stream = release(&client, 3).await["output_stream_url"].clone();
    let mut output = client.follow(stream.as_str().unwrap()).await.unwrap();
    output.until("first").await;
    // As long as this one is under way, the server makes room for the next one.
    client.create_app("slow").await;
    client.deploy("slow", PYTHON.tarball("slow")).await;
    client.dynos("slow", 1).await;
    let visitor = client.clone();
    let slow = tokio::spawn(async move { visitor.visit("slow", "/wait").await });
    assert_eq!(client.visit("slow", "/arrived").await.status, 200);
    kill_process(Pid::from_raw(server.pid()).unwrap(), Signal::TERM).unwrap();
    let pushed = pushing.ended();
    assert!(pushed.succeeded, "{}", pushed.said);
    let lines = [
        "remote: first",
        "remote:  !     The server is stopping. The push has succeeded, and v3 goes on: heroku releases:output v3 shows the rest.",
        "main -> main",
    ];
    says_in_order(&pushed.said, &lines);
    let fresh = Client::new(&client.api, server.router_port(), &client.token);
    assert_eq!(fresh.visit("slow", "/go").await.status, 200);
    let page = slow.await.unwrap();
    assert_eq!(page.status, 200, "the showing lasted longer");
    assert!(output.ends_well().await, "the output was cut off");
    assert_eq!(server.ended().code(), Some(0));
    let next = place.start_survived();
    let client = next.client();
    let stream = release(&client, 3).await["output_stream_url"].clone();
    let mut output = client.follow(stream.as_str().unwrap()).await.unwrap();
    output.until("first").await;
    go_on(&next);
    output.until("rest").await;
    assert!(output.ends_well().await);
    assert_eq!(release(&client, 3).await["status"], "succeeded");
    next.kill();
}
