//! SIGTERM, at whatever moment it comes.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tokio::net::TcpListener;

use crate::binary::sample::PYTHON;
use crate::binary::{Place, Server, processes};

fn terminate(server: &Server) {
    kill_process(Pid::from_raw(server.pid()).unwrap(), Signal::TERM).unwrap();
}

#[tokio::test]
async fn dynos_that_end_with_their_server_are_stopped_by_sigterm_and_brought_back_by_the_next_start()
 {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PYTHON.tarball("version one")).await;
    let scale =
        json!({"updates": [{"type": "web", "quantity": 2}, {"type": "worker", "quantity": 1}]});
    client.patch("/apps/app/formation", scale).await.expect(200);
    client.dynos("app", 3).await;
    assert_eq!(processes::of(server.data()).len(), 3);
    let (status, _) = server.stop();
    assert_eq!(status.code(), Some(0));
    let again = place.start();
    let client = again.client();
    let page = client.visit("app", "/").await;
    assert!(page.text().starts_with("version one says "));
    client.dynos("app", 3).await;
    assert_eq!(processes::by_dyno(again.data()).len(), 3);
    let logs = client.logs("app").await;
    assert_eq!(
        logs.matches("Process exited with status 143").count(),
        3,
        "{logs}"
    );
}

/// Were the signals not listened for before the line is printed, it would end by the signal.
#[test]
fn sigterm_right_after_the_line_is_a_clean_stop() {
    let place = Place::new();
    for _ in 0..5 {
        let server = place.start();
        terminate(&server);
        assert_eq!(server.ended().code(), Some(0));
    }
}

/// An answer that has no end of its own would otherwise be waited for, and cut off in its middle.
#[tokio::test]
async fn sigterm_ends_log_sessions_and_build_outputs_in_good_order() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    client.create_app("app").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/source.tgz", silent.local_addr().unwrap());
    let build = json!({"source_blob": {"url": url}});
    let build = client.post("/apps/app/builds", build).await.expect(201);
    let output = build["output_stream_url"].as_str().unwrap();
    // The build is under way once it has connected.
    let _waiting = silent.accept().await.unwrap();
    let mut tail = client.tail("app", 100).await.unwrap();
    tail.until("Build started by user").await;
    let mut output = client.follow(output).await.unwrap();
    output.until("Fetching source").await;
    terminate(&server);
    assert!(tail.ends_well().await, "the log session was cut off");
    assert!(output.ends_well().await, "the build's output was cut off");
    assert_eq!(server.ended().code(), Some(0));
    // The build begins anew with the next server, and its owner is told.
    let again = place.start();
    let _waiting = silent.accept().await.unwrap();
    drop(again);
}
