//! Release commands as real processes, and what clients read of them.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::binary::sample::tarball;
use crate::binary::{Client, Place, processes};

/// A web process that shows its text, behind this release command.
fn source(text: &str, command: &str) -> Vec<u8> {
    let page = format!("HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n{text}");
    let code = format!(
        "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $ENV{{PORT}}, Listen => 5) or die;
         while (my $v = $s->accept) {{ while (<$v>) {{ last if /^\\r/ }} print $v \"{page}\"; close $v }}"
    );
    let procfile = format!("web: perl app.pl\nrelease: {command}\n");
    tarball(&[("Procfile", &procfile), ("app.pl", &code)])
}

/// What the release of this version printed, to its end, without what keeps the line open.
async fn output(client: &Client, version: u32) -> String {
    let release = client.get(format!("/apps/app/releases/{version}")).await;
    let release = release.expect(200);
    let url = release["output_stream_url"].as_str().unwrap();
    client.read(url).await.unwrap().text().replace('\0', "")
}

/// Tells the release command that waits for it to go on.
fn signal(data: &Path) {
    for process in processes::of(data) {
        if process.command.contains("trap") {
            kill_process(Pid::from_raw(process.pid).unwrap(), Signal::USR1).unwrap();
        }
    }
}

#[tokio::test]
async fn what_it_prints_is_streamed_and_logged_and_decides() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    client.create_app("app").await;
    let vars = json!({"GREETING": "hello"});
    client
        .patch("/apps/app/config-vars", vars)
        .await
        .expect(200);
    let command = "echo \"$GREETING from $DYNO\"; test -z \"$PORT\" && cat Procfile | head -1";
    let build = client.deploy("app", source("one", command)).await;
    let first = output(&client, 4).await;
    let release = client.get("/apps/app/releases/4").await.expect(200);
    assert_eq!(release["id"], build["release"]["id"]);
    assert_eq!(release["status"], "succeeded");
    let (greeting, rest) = first.split_once('\n').unwrap();
    let number = greeting.strip_prefix("hello from release.").unwrap();
    assert!(number.parse::<u32>().is_ok(), "{first}");
    assert_eq!(rest, "web: perl app.pl\n");
    client.visit_until("app", 200, "one").await;

    client.deploy("app", source("two", "echo no; exit 4")).await;
    let second = output(&client, 5).await;
    let reason = "The release command of v5 ended with exit status 4.";
    let then = "v4 stays the current release.";
    assert_eq!(second, format!("no\n !     {reason} {then}\n"));
    let release = client.get("/apps/app/releases/5").await.expect(200);
    assert_eq!(release["status"], "failed");
    assert_eq!(client.visit("app", "/").await.text(), "one");
    let logs = client.logs("app").await;
    assert!(
        logs.contains(&format!("app[release.{number}]: {greeting}")),
        "{logs}"
    );
    assert!(logs.contains(reason), "{logs}");
    assert!(logs.contains(&format!("app[api]: {then}")), "{logs}");
    // Replayed as long as the release is there.
    assert_eq!(output(&client, 4).await, first);
}

#[tokio::test]
async fn a_line_that_was_begun_under_one_server_and_ended_under_the_next_is_there_once() {
    let place = Place::new();
    let server = place.start_survived();
    let client = server.client();
    client.create_app("app").await;
    let command = "trap 'echo rest; exit' USR1; printf 'first\\nhalf '; while true; do sleep 1000 & wait; done";
    client.deploy("app", source("one", command)).await;
    let release = client.get("/apps/app/releases/3").await.expect(200);
    let url = release["output_stream_url"].as_str().unwrap();
    let mut tail = client.follow(url).await.unwrap();
    // What stands in one write is taken in at once.
    tail.until("first").await;
    server.kill();
    let server = place.start();
    let client = server.client();
    signal(server.data());
    let output = output(&client, 3).await;
    // Nothing is lost: what the first server was killed over before it had acknowledged it comes again.
    let rest = output.trim_start_matches("first\n");
    assert_ne!(rest, output);
    assert_eq!(rest, "half rest\n");
    client.visit_until("app", 200, "one").await;
}

#[tokio::test]
async fn what_it_prints_of_the_config_is_hidden_as_in_a_builds_output() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    client.create_app("app").await;
    let vars = json!({"API_KEY": "correct-horse-battery", "RACK_ENV": "production"});
    client
        .patch("/apps/app/config-vars", vars)
        .await
        .expect(200);
    let command = "echo \"key $API_KEY in $RACK_ENV\"";
    client.deploy("app", source("one", command)).await;
    let output = output(&client, 4).await;
    assert_eq!(output, "key [hidden: API_KEY] in production\n");
}

#[tokio::test]
async fn whoever_visits_while_the_first_release_is_pending_waits_for_it() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    client.create_app("app").await;
    let command = "trap 'exit 0' USR1; echo first; while true; do sleep 1000 & wait; done";
    client.deploy("app", source("one", command)).await;
    let release = client.get("/apps/app/releases/3").await.expect(200);
    let url = release["output_stream_url"].as_str().unwrap();
    client.follow(url).await.unwrap().until("first").await;
    let (page, ()) = tokio::join!(client.visit("app", "/"), async {
        signal(server.data());
    });
    assert_eq!((page.status, page.text().as_str()), (200, "one"));
    // Of one that failed there is nothing to wait for.
    client.create_app("failed").await;
    client.deploy("failed", source("two", "exit 4")).await;
    let page = client.visit_until("failed", 503, "H14").await;
    assert!(page.contains("Its first release has failed"), "{page}");
    for line in [
        "app[api]: Nothing of this app runs until a release of it succeeds.",
        "heroku[router]: at=error code=H14 desc=\"No web processes running\"",
    ] {
        let mut tail = client.tail("failed", 100).await.unwrap();
        tail.until(line).await;
    }
}
