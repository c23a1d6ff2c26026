//! Visitors in the server's numbers, who are no requests like others.

use tokio::net::TcpStream;

use crate::binary::sample::PYTHON;
use crate::binary::{Client, HANG, Place};
use crate::router::{Wire, has, status};

async fn visit(port: u16, head: &str) -> Wire {
    let socket = TcpStream::connect(("127.0.0.1", port)).await;
    let mut wire = Wire(socket.unwrap());
    wire.write(format!("{head}\r\n\r\n")).await;
    wire
}

/// The server's numbers, once this is one of them.
async fn with(client: &Client, line: &str) -> String {
    let looking = async {
        loop {
            let text = client.get("/metrics").await.text();
            if text.lines().any(|found| found == line) {
                return text;
            }
        }
    };
    let found = tokio::time::timeout(HANG, looking).await;
    found.unwrap_or_else(|_| panic!("{line} does not come"))
}

#[tokio::test]
async fn visitors_of_no_app_are_counted_and_websockets_do_not_count_as_slow_answers() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PYTHON.tarball("counted")).await;
    client.dynos("app", 1).await;
    let port = server.router_port();
    let mut unknown = visit(port, "GET / HTTP/1.1\r\nHost: nobody.localhost").await;
    assert_eq!(status(&unknown.head().await), 404);
    with(&client, "penstock_router_unrouted_total{status=\"404\"} 1").await;
    let mut socket = visit(
        port,
        "GET /socket HTTP/1.1\r\nHost: app.localhost\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x",
    )
    .await;
    has(&socket.head().await, "101 Switching Protocols");
    drop(socket);
    let line = "penstock_router_requests_total{app=\"app\",status=\"101\"} 1";
    let text = with(&client, line).await;
    has(
        &text,
        "penstock_router_request_seconds_count{app=\"app\"} 0\n",
    );
}
