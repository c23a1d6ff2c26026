//! The ceiling of the API: an actix handler that answers with the same JSON every time, set up as the API's own server is.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use actix_web::{App, HttpResponse, HttpServer, web};

use crate::Result;
use crate::process::{self, Core, Process};

/// The argument under which the benchmark starts itself as the ceiling.
pub const ROLE: &str = "as-ceiling";
const WORKERS: usize = 2;
/// As long as an app's JSON.
const BODY: &str = concat!(
    r#"{"acm":false,"archived_at":null,"build_stack":{"id":"59accabd-0000-7000-8000-000000000002","name":"heroku-24"},"#,
    r#""buildpack_provided_description":null,"create_status":"complete","created_at":"2026-01-31T12:00:00Z","#,
    r#""generation":{"id":"59accabd-0000-7000-8000-000000000003","name":"cedar"},"git_url":"http://127.0.0.1:5000/bench-0.git","#,
    r#""id":"01900000-0000-7000-8000-000000000000","internal_routing":null,"maintenance":false,"name":"bench-0","#,
    r#""organization":null,"owner":{"email":"owner@localhost.localdomain","id":"01900000-0000-7000-8000-000000000001"},"#,
    r#""region":{"id":"59accabd-0000-7000-8000-000000000001","name":"us"},"released_at":"2026-01-31T12:00:00Z","#,
    r#""repo_size":null,"slug_size":null,"space":null,"stack":{"id":"59accabd-0000-7000-8000-000000000002","name":"heroku-24"},"#,
    r#""team":null,"updated_at":"2026-01-31T12:00:00Z","web_url":"http://bench-0.localhost:8080/"}"#
);

async fn answer(_body: web::Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(BODY)
}

/// What the child does: says where it listens, and answers until it is killed.
pub fn serve() -> Result<()> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    actix_web::rt::System::new().block_on(async move {
        let server = HttpServer::new(|| App::new().default_service(web::to(answer)))
            .workers(WORKERS)
            .keep_alive(Duration::from_secs(75))
            .tcp_nodelay(true)
            .listen(listener)?
            .run();
        println!("{address}");
        server.await
    })?;
    Ok(())
}

pub fn start() -> Result<(Process, SocketAddr)> {
    let mut command = process::command(Core::Tested, Path::new(&std::env::current_exe()?));
    command.arg(ROLE);
    let mut process = Process::start(command)?;
    let address = process.line()?.trim().parse()?;
    Ok((process, address))
}
