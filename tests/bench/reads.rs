//! `GET /apps/{app}` by token, over many apps, against the static handler.

use std::sync::Arc;

use crate::load::Load;
use crate::ratio::{Side, TURN, compare, pairs};
use crate::server::Server;
use crate::{Result, ceiling, client};

const APPS: usize = 200;
const CONNECTIONS: usize = 50;

pub fn run() -> Result<()> {
    let server = Server::start()?;
    server.apps(APPS)?;
    let (ceiling, address) = ceiling::start()?;
    println!(
        "reads: GET /apps/{{app}}, {APPS} apps, {CONNECTIONS} connections, {} pairs",
        pairs()
    );
    let requests: Vec<Vec<u8>> = (0..APPS)
        .map(|app| client::request("GET", &format!("/apps/bench-{app}"), &server.token, b""))
        .collect();
    let load = Load {
        address: server.api,
        connections: CONNECTIONS,
        time: TURN,
        alone: true,
        request: Arc::new(move |connection, turn, request| {
            request.extend_from_slice(&requests[(connection * 7 + turn) % APPS]);
        }),
    };
    let fixed = Load {
        address,
        ..load.clone()
    };
    compare(
        &Side {
            name: "penstock",
            load,
            process: Some(&server.process),
        },
        &[(
            Side {
                name: "static handler",
                load: fixed,
                process: Some(&ceiling),
            },
            Some(0.40),
        )],
    )
}
