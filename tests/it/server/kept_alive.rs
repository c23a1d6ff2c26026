//! Clients who keep their connections, while the server makes room for the next one.

use rustix::process::{Pid, Signal, kill_process};
use tokio::net::TcpStream;

use crate::binary::sample::PYTHON;
use crate::binary::{Place, Server};
use crate::router::{Wire, has, status};

async fn connect(port: u16) -> Wire {
    Wire(TcpStream::connect(("127.0.0.1", port)).await.unwrap())
}

/// Asks by the same connection until the answer is the last one. Each has to be answered: no client sends an upload again.
async fn until_told(wire: &mut Wire, request: &str, end: &str) {
    let mut answer = String::new();
    while !answer.contains("connection: close\r\n") {
        wire.write(request).await;
        answer = wire.until(end).await;
        assert_eq!(status(&answer), 200, "{answer:?}");
    }
    assert_eq!(wire.rest().await, "");
}

fn account(server: &Server) -> String {
    format!(
        "GET /account HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Accept: application/vnd.heroku+json; version=3\r\n\r\n",
        server.ready.api_key
    )
}

#[tokio::test]
async fn whatever_they_ask_is_answered_and_they_are_told_to_come_again_by_another_connection() {
    let place = Place::new();
    let server = place.start_survived();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PYTHON.tarball("still here")).await;
    client.dynos("app", 1).await;
    let upload = "POST / HTTP/1.1\r\nHost: app.localhost\r\nContent-Length: 4\r\n\r\nbody";
    let (begun, rest) = upload.split_at(upload.len() - 2);
    let (_, api) = server.ready.api_url.rsplit_once(':').unwrap();
    let mut caller = connect(api.parse().unwrap()).await;
    let mut visitor = connect(server.router_port()).await;
    let mut slow = connect(server.router_port()).await;
    visitor.write(upload).await;
    has(&visitor.until("still here").await, "200 OK");
    slow.write(begun).await;
    kill_process(Pid::from_raw(server.pid()).unwrap(), Signal::TERM).unwrap();
    until_told(&mut visitor, upload, "still here").await;
    until_told(&mut caller, &account(&server), "}").await;
    slow.write(rest).await;
    let answer = slow.rest().await;
    assert_eq!(status(&answer), 200, "{answer:?}");
    has(&answer, "body to still here");
    assert_eq!(server.ended().code(), Some(0));
}
