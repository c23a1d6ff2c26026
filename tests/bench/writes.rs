//! `PATCH /apps/{app}/config-vars` over many apps, each a new release that is on disk when it is answered, against the static
//! handler, which writes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::load::Load;
use crate::ratio::{Side, TURN, compare, pairs};
use crate::server::Server;
use crate::{Result, ceiling, client};

const APPS: usize = 200;
const CONNECTIONS: usize = 100;

pub fn run() -> Result<()> {
    let server = Server::start()?;
    server.apps(APPS)?;
    let (ceiling, address) = ceiling::start()?;
    println!(
        "writes: PATCH /apps/{{app}}/config-vars, {APPS} apps, {CONNECTIONS} connections, {} pairs",
        pairs()
    );
    let (count, token) = (AtomicUsize::new(0), server.token.clone());
    let load = Load {
        address: server.api,
        connections: CONNECTIONS,
        time: TURN,
        alone: true,
        request: Arc::new(move |_, _, request| {
            // A value of its own each time, or there would be nothing to write.
            let count = count.fetch_add(1, Ordering::Relaxed);
            let path = format!("/apps/bench-{}/config-vars", count % APPS);
            let body = format!(r#"{{"VALUE":"{count}"}}"#);
            client::write_request(request, "PATCH", &path, &token, body.as_bytes());
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
            Some(0.25),
        )],
    )
}
