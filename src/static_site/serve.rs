//! The server of one site.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{ServiceRequest, ServiceResponse, fn_service};
use actix_web::{App, HttpServer};

use super::answer::Hall;
use super::config::{Config, FILE};
use super::lookup::Site;
use crate::error::{Error, Result};

/// Where a site may be in an app that says nothing of it, in this order; it has an `index.html`.
pub const ROOTS: [&str; 4] = ["", "public_html", "public", "dist"];

/// For requests that are under way when the dyno is told to stop; a dyno has 30.
const PATIENCE_SECONDS: u64 = 20;
/// For the router's next request on the same connection.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// Serving files is waiting for disks and networks; more would only cost memory.
const MAX_WORKERS: usize = 4;

/// What a person says of it.
pub struct Options {
    /// The app's folder, in which the site is.
    pub home: PathBuf,
    /// The site's folder within it, whatever its `static.json` says.
    pub root: Option<String>,
    /// A `static.json` that is somewhere else than in the app's folder.
    pub config: Option<PathBuf>,
    pub port: u16,
    /// Whether other machines than this one are answered, as a dyno answers the router.
    pub everywhere: bool,
    /// `name:password`, if the config vars have both.
    pub credentials: Option<String>,
}

/// Serves a site until the process is told to end. 409 where the port cannot be listened on.
pub fn serve(options: Options) -> Result<()> {
    let config = configure(&options)?;
    let site = Site::open(&options.home, &config).ok_or_else(|| {
        Error::invalid(format!(
            "There is no folder {:?} in the app. Name the one with the site as `root` in {FILE}.",
            config.root
        ))
    })?;
    if config.basic_auth && options.credentials.is_none() {
        return Err(Error::invalid(format!(
            "{FILE} asks for basic_auth. Set the config vars BASIC_AUTH_USERNAME and BASIC_AUTH_PASSWORD."
        )));
    }
    let hall = Arc::new(Hall {
        credentials: options.credentials.filter(|_| config.basic_auth),
        site,
        tags: Arc::default(),
        compressed: Arc::default(),
        config,
    });
    let system = actix_web::rt::System::new();
    let ip = match options.everywhere {
        true => Ipv4Addr::UNSPECIFIED,
        false => Ipv4Addr::LOCALHOST,
    };
    let at = SocketAddrV4::new(ip, options.port);
    system.block_on(run(hall, at)).map_err(|cause| {
        Error::conflict(format!(
            "The site cannot be served on port {}: {cause}. Name another one with --port, or 0 for any that is free.",
            at.port()
        ))
    })
}

fn configure(options: &Options) -> Result<Config> {
    let file = match &options.config {
        Some(file) => options.home.join(file),
        None => options.home.join(FILE),
    };
    let mut config = match std::fs::read_to_string(&file) {
        Ok(text) => Config::parse(&text)?,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound && options.config.is_none() => {
            let found = |root: &&&str| options.home.join(root).join("index.html").is_file();
            Config::of_root(ROOTS.iter().find(found).unwrap_or(&""))
        }
        Err(cause) => {
            return Err(Error::invalid(format!(
                "{} cannot be read: {cause}.",
                file.display()
            )));
        }
    };
    if let Some(root) = &options.root {
        config.root.clone_from(root);
    }
    Ok(config)
}

async fn run(hall: Arc<Hall>, at: SocketAddrV4) -> io::Result<()> {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let root = hall.config.root.clone();
    let server = HttpServer::new(move || {
        let hall = hall.clone();
        let answer = move |request| answer(hall.clone(), request);
        App::new().default_service(fn_service(answer))
    })
    .workers(workers.min(MAX_WORKERS))
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(PATIENCE_SECONDS)
    .bind(at)?;
    for address in server.addrs() {
        let folder = if root.is_empty() { "." } else { &root };
        let port = address.port();
        match at.ip().is_loopback() {
            true => println!("Serving {folder} at http://localhost:{port}/"),
            false => println!("Serving {folder} at http://{address}/"),
        }
    }
    server.run().await
}

async fn answer(
    hall: Arc<Hall>,
    mut request: ServiceRequest,
) -> std::result::Result<ServiceResponse, actix_web::Error> {
    let response = hall.answer(&mut request).await;
    Ok(request.into_response(response))
}
