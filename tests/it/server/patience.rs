//! Dynos that crash or do not come up, with the real binary: how long it waits, and what it says.

use serde_json::json;

use crate::binary::Place;
use crate::binary::sample::{PERL, tarball};

/// Ends once its port was tried twice more, and turned down: what came of the first time has been noted by then. Where a dyno has no
/// network of its own, that may have been somebody else's port.
const TRIED: &str = "refused() { set -- $(grep ^Tcp: /proc/net/snmp | tail -n 1); echo ${15}; }; \
    before=$(refused); until [ $(refused) -ge $((before + 2)) ]; do sleep 0.1; done";

#[tokio::test]
async fn a_release_that_does_not_come_up_leaves_the_old_one_serving_and_says_why() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PERL.tarball("version one")).await;
    client.visit_until("app", 200, "version one").await;
    let mut tail = client.tail("app", 0).await.unwrap();
    let command =
        format!("web: echo looking for it; {TRIED}; echo no database at all >&2; exit 7\n");
    client
        .deploy("app", tarball(&[("Procfile", &command)]))
        .await;
    let lines = tail.until("Last output: no database at all").await;
    let told: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.split_once("heroku[web.1]: "))
        .map(|(_, text)| text)
        .collect();
    let [.., exited, changed, first, second, _] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!(*exited, "Process exited with status 7");
    assert_eq!(*changed, "State changed from starting to crashed");
    let why = "Release v4 does not come up, so v3 goes on serving: web.1 exited with status 7 before it was up. \
        Last probe: nobody listens on port ";
    assert!(first.starts_with(why), "{first}");
    assert_eq!(*second, "Last output: looking for it");
    assert!(
        client
            .visit("app", "/")
            .await
            .text()
            .contains("version one")
    );
}

#[tokio::test]
async fn a_source_whose_health_checks_cannot_be_is_not_built() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    client.create_app("app").await;
    let manifest = json!({"healthchecks": {"web": [{"path": "health"}]}}).to_string();
    let source = tarball(&[("Procfile", "web: exit 1\n"), ("app.json", &manifest)]);
    let (build, output) = client.build("app", source, Some("application/gzip")).await;
    assert_eq!(build["status"], "failed");
    assert!(
        output.contains("healthchecks.web[0].path in app.json"),
        "{output}"
    );
}

#[tokio::test]
async fn the_waits_between_crashes_are_those_that_were_asked_for() {
    let place = Place::new();
    let command = place.command(&[crate::binary::TIED, "--crash-backoff", "0s, 1h"]);
    let server = crate::binary::Server::start(command, &place.log());
    let client = server.client();
    client.create_app("app").await;
    let procfile = "worker: exit 3\n";
    client
        .deploy("app", tarball(&[("Procfile", procfile)]))
        .await;
    let mut tail = client.tail("app", 0).await.unwrap();
    let scale = json!({"updates": [{"type": "worker", "quantity": 1}]});
    client.patch("/apps/app/formation", scale).await.expect(200);
    let mut crashes = 0;
    while crashes < 2 {
        tail.until("to crashed").await;
        crashes += 1;
    }
    let dynos = client.get("/apps/app/dynos").await.expect(200);
    assert_eq!(dynos[0]["state"], "crashed");
    // Whoever does not want to wait restarts it.
    let path = "/apps/app/dynos/worker.1";
    assert_eq!(client.delete(path).await.status, 202);
    tail.until("to starting").await;
}

#[test]
fn waits_that_are_none_are_refused_with_an_example() {
    let place = Place::new();
    for waits in [
        "",
        "soon",
        "1d",
        "1,,2",
        "25h",
        "-1",
        "99999999999999999999s",
    ] {
        let output = place
            .command(&[&format!("--crash-backoff={waits}")])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{waits}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("0s,1s,2s,4s,8s,16s,30s,60s"), "{said}");
    }
}
