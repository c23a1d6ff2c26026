//! To where logs are drained, by what the operator says of it.

use std::net::TcpListener;

use serde_json::json;

use crate::binary::{Place, Server, TIED, in_time};

const SCHEMES: [&str; 2] = ["http", "syslog"];

/// Somebody on this machine who listens.
fn receiver() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

fn start(place: &Place, argument: &str) -> Server {
    Server::start(place.command(&[TIED, argument]), &place.log())
}

#[tokio::test]
async fn no_drain_leads_to_a_private_address_where_the_operator_forbids_it() {
    let (place, (listener, port)) = (Place::new(), receiver());
    let server = start(&place, "--allow-private-fetch=false");
    let client = server.client();
    client.create_app("app").await;
    for scheme in SCHEMES {
        let by_address = json!({"url": format!("{scheme}://127.0.0.1:{port}")});
        let refused = client.post("/apps/app/log-drains", by_address).await;
        let refused = refused.expect(422);
        let why = "127.0.0.1 is at a private address, and this server sends to public ones only.";
        let message = refused["message"].as_str().unwrap();
        assert!(message.starts_with(why), "{scheme}: {message}");
        // What a name means is known only once it is looked up.
        let mut tail = client.tail("app", 0).await.unwrap();
        let by_name = json!({"url": format!("{scheme}://localhost:{port}")});
        let drain = client.post("/apps/app/log-drains", by_name).await;
        let drain = drain.expect(201);
        // There is something to send.
        let config = json!({ "SCHEME": scheme });
        let set = client.patch("/apps/app/config-vars", config).await;
        set.expect(200);
        let token = drain["token"].as_str().unwrap();
        let told = format!("Drain {token} takes no lines: PrivateAddress.");
        tail.until(&told).await;
    }
    listener.set_nonblocking(true).unwrap();
    let nobody = listener.accept().unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn drains_lead_to_this_machine_where_the_operator_allows_it() {
    for scheme in SCHEMES {
        let (place, (listener, port)) = (Place::new(), receiver());
        let server = start(&place, "--allow-private-fetch");
        let client = server.client();
        client.create_app("app").await;
        let url = json!({"url": format!("{scheme}://localhost:{port}")});
        client.post("/apps/app/log-drains", url).await.expect(201);
        let config = json!({ "SCHEME": scheme });
        let set = client.patch("/apps/app/config-vars", config).await;
        set.expect(200);
        in_time(move || listener.accept()).unwrap();
    }
}
