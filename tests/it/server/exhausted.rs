//! A server that has no sockets left: whose fault it is stands in its own log.

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::net::TcpStream;

use crate::binary::sample::PERL;
use crate::binary::{Place, Server};
use crate::router::{Wire, has, status};

/// How many files the server may have open; what it was before.
fn allow(server: &Server, files: Option<u64>) -> Option<u64> {
    let pid = Pid::from_raw(server.pid()).unwrap();
    let limits = Rlimit {
        current: files,
        maximum: rustix::process::getrlimit(Resource::Nofile).maximum,
    };
    prlimit(Some(pid), Resource::Nofile, limits)
        .unwrap()
        .current
}

#[tokio::test]
async fn a_request_without_a_socket_to_its_dyno_is_h99_and_the_servers_log_says_why() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    client.create_app("app").await;
    // It closes each connection, so each request needs a new one.
    client.deploy("app", PERL.tarball("still here")).await;
    client.visit_until("app", 200, "still here").await;
    let socket = TcpStream::connect(("127.0.0.1", server.router_port())).await;
    let mut visitor = Wire(socket.unwrap());
    let id = "a-request-without-a-socket";
    let ask = format!("GET / HTTP/1.1\r\nHost: app.localhost\r\nX-Request-Id: {id}\r\n\r\n");
    visitor.write(&ask).await;
    has(&visitor.until("web.1\n").await, "still here");
    let before = allow(&server, Some(1));
    visitor.write(&ask).await;
    let page = visitor.until("</html>\n").await;
    allow(&server, before);
    assert_eq!(status(&page), 503, "{page}");
    has(&page, "H99");
    let said = std::fs::read_to_string(place.log()).unwrap();
    let line = said.lines().find(|line| line.contains(id));
    has(line.unwrap_or(&said), "Too many open files");
    visitor.write(&ask).await;
    has(&visitor.until("web.1\n").await, "still here");
}
