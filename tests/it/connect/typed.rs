//! Connections as people type them: by the example in the help, to a server of another user of the machine, and from one to the next.

use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::json;

use super::{Forward, Remote, command};
use crate::attached::client::Attached;
use crate::binary::sample::idle_app;
use crate::binary::{Client, Place};

/// What a shell of this user's says, with nothing of ours in it but what the script puts there.
fn shell(home: &Place, script: &str) -> Output {
    Command::new("sh")
        .args(["-euc", script])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("PENSTOCK", env!("CARGO_BIN_EXE_penstock"))
        .env("HOME", home.path(""))
        .output()
        .unwrap()
}

#[track_caller]
fn said(output: &Output) -> String {
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_with_a_file_of_the_token_reads_it() {
    let remote = Remote::new();
    let server = remote.start();
    let home = Place::new();
    std::fs::copy(remote.ca(), home.path("ca.pem")).unwrap();
    std::fs::write(home.path("token-file"), &server.ready.api_key).unwrap();
    let help = command(&home, &["connect", "--help"]).output().unwrap();
    let help = said(&help);
    let example = help.lines().find(|line| line.contains("< token-file"));
    let (before, after) = example.unwrap().split_once("https://").unwrap();
    let (_, rest) = after.split_once(' ').unwrap();
    let typed = format!(
        "{} {} --listen 127.0.0.1:0 {rest}",
        before.replace("penstock", "exec \"$PENSTOCK\""),
        remote.url
    );
    let mut command = Command::new("sh");
    command
        .args(["-euc", &typed])
        .current_dir(home.path(""))
        .env("PENSTOCK", env!("CARGO_BIN_EXE_penstock"))
        .env("HOME", home.path(""));
    let forward = Forward::of(&mut command);
    let line = forward.until(" leads to ");
    assert!(line.contains("You are owner@localhost"), "{line}");
    assert_eq!(forward.end(Signal::INT), Some(0));
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_of_the_same_machine_comes_to_its_server_as_it_is() {
    let place = Place::new();
    let server = place.start();
    let token = &server.ready.api_key;
    server.client().create_app("harbour").await;
    server.client().deploy("harbour", idle_app()).await;
    let home = Place::new();
    // The token is for no proxy to read.
    let nowhere = "http://127.0.0.1:1";
    std::fs::write(home.path("token-file"), token).unwrap();
    let url = &server.ready.api_url;
    let mut connect = command(&home, &["connect", url, "--listen", "127.0.0.1:0"]);
    connect
        .arg("--token-stdin")
        .stdin(std::fs::File::open(home.path("token-file")).unwrap())
        .env("http_proxy", nowhere)
        .env("all_proxy", nowhere);
    let forward = Forward::of(&mut connect);
    let at = forward.ready();
    // Whatever else listens on this machine would be sent the token.
    let kept = std::fs::read_to_string(home.path(".netrc")).unwrap();
    assert!(!kept.contains("machine 127.0.0.1\n"), "{kept}");
    let script = r#"
        eval "$("$PENSTOCK" env)"
        echo "$HEROKU_HOST"
        git -c credential.helper='!echo username=bob; echo "password=$(cat "$HOME/token-file")"; :' \
            clone -q "https://$HEROKU_GIT_HOST/harbour.git" "$HOME/clone" 2>&1
    "#;
    let shown = said(&shell(&home, script));
    let cloned = "warning: You appear to have cloned an empty repository.";
    assert_eq!(shown, format!("{at}\n{cloned}\n"));
    let client = Client::new(&at, server.router_port(), token);
    let body =
        json!({"command": "read name; echo ahoy $name", "attach": true, "force_no_tty": true});
    let dyno = client.post("/apps/harbour/dynos", body).await.expect(201);
    let ca = &server.ready.ca_file;
    let attach_url = dyno["attach_url"].as_str().unwrap();
    let here = at.replace("http://", "rendezvous://");
    assert!(attach_url.starts_with(&format!("{here}/")), "{attach_url}");
    let mut attached = Attached::connect(ca, attach_url).await;
    attached.greeting().await;
    attached.send("ann\n").await;
    attached.until("ahoy ann").await;
    assert_eq!(forward.end(Signal::INT), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_that_goes_over_to_a_connection_and_leaves_it_believes_nobody_any_more() {
    let place = Place::new();
    let here = place.start();
    let remote = Remote::new();
    let server = remote.start();
    let home = Place::new();
    let ca = remote.ca();
    let arguments = ["--token-stdin", "--ca-file", ca.to_str().unwrap()];
    let forward = Forward::start(&home, &remote.url, &arguments, &server.ready.api_key);
    forward.ready();
    let script = format!(
        r#"
        eval "$("$PENSTOCK" env --data-dir '{}')"
        echo "${{NODE_EXTRA_CA_CERTS-nobody}}"
        eval "$("$PENSTOCK" env)"
        echo "${{NODE_EXTRA_CA_CERTS-nobody}}"
        echo "$GIT_CONFIG_COUNT"
        eval "$("$PENSTOCK" env --unset)"
        echo "${{GIT_CONFIG_COUNT-none}}"
        env | grep -e HEROKU -e PENSTOCK_URL -e PENSTOCK_CA -e NODE || echo nothing
    "#,
        place.data().display()
    );
    let shown = said(&shell(&home, &script));
    let of_here = &here.ready.ca_file;
    assert_eq!(shown, format!("{of_here}\nnobody\n1\nnone\nnothing\n"));
    assert_eq!(forward.end(Signal::INT), Some(0));
    drop(server);
}
