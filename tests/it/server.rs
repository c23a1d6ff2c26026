//! The program as its operator meets it: what it prints, what it keeps, how it stops, and when it refuses.

mod account;
mod browser;
mod buildpacks;
mod builds;
mod command;
mod counted;
mod draining;
mod exhausted;
mod fetching;
mod flooding;
mod handed_over;
mod impatient;
mod journal;
mod kept_alive;
mod keys;
mod patience;
mod pointing;
mod readable;
mod starving;
mod stopping;
mod structured;
mod tokens;
mod umask;
mod units;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::binary::{Place, Server};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn it_prints_one_line_of_json_and_nothing_else() {
    let place = Place::new();
    let server = place.start();
    let ready = server.ready.clone();
    let child = server.pid();
    assert!(ready.api_url.starts_with("http://127.0.0.1:"));
    assert!(ready.router_url.starts_with("http://localhost:"));
    assert!(ready.api_key.starts_with("HRKU-"));
    assert_eq!(
        Path::new(&ready.data_dir),
        place.data().canonicalize().unwrap()
    );
    assert!(Path::new(&format!("/proc/{child}")).exists());
    let ports = [&ready.api_url, &ready.router_url].map(|url| url.rsplit_once(':').unwrap().1);
    assert_ne!(ports[0], ports[1]);
    assert!(!ports.contains(&"0"));
    let (status, rest) = server.stop();
    assert_eq!(status.code(), Some(0));
    assert_eq!(rest, "");
}

#[test]
fn what_it_keeps_is_for_its_user_alone() {
    let place = Place::new();
    let server = place.start();
    assert_eq!(mode(server.data()), 0o700);
    for secret in [
        "api_key",
        "signing_key",
        "sealing_key",
        "server.json",
        "lock",
    ] {
        assert_eq!(mode(&server.data().join(secret)), 0o600, "{secret}");
    }
    let key = std::fs::read_to_string(server.data().join("api_key")).unwrap();
    assert_eq!(key.trim(), server.ready.api_key);
}

/// A folder that the operator made may be open to all. What is in it is not.
#[test]
fn the_database_is_closed_to_others_in_a_folder_that_is_open() {
    let place = Place::new();
    std::fs::create_dir(place.data()).unwrap();
    std::fs::set_permissions(place.data(), PermissionsExt::from_mode(0o755)).unwrap();
    let server = place.start();
    for entry in std::fs::read_dir(server.data()).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(
            mode(&path) & 0o077,
            0,
            "{} can be read by others",
            path.display()
        );
    }
}

#[tokio::test]
async fn a_later_start_gives_the_same_token() {
    let place = Place::new();
    let first = place.start();
    let key = first.ready.api_key.clone();
    first.stop();
    let second = place.start();
    assert_eq!(second.ready.api_key, key);
    let account = second.client().get("/account").await.expect(200);
    assert_eq!(account["email"], "owner@localhost");
}

/// What a server that refuses to start says on standard error, with its status.
fn refusal(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let log = place.path("refused.log");
    let refused = Server::try_start(place.command(arguments), &log);
    let status = refused.err().expect("it started");
    (status.code(), std::fs::read_to_string(log).unwrap())
}

#[tokio::test]
async fn a_second_server_on_the_same_data_directory_names_the_first_and_gives_up() {
    let place = Place::new();
    let server = place.start();
    let (status, said) = refusal(&place, &[]);
    assert_eq!(status, Some(4));
    assert!(said.starts_with("penstock: "), "{said}");
    assert!(
        said.contains(&format!("in use by process {}.", server.pid())),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1, "{said}");
    // The first goes on as before.
    server.client().get("/account").await.expect(200);
}

#[test]
fn a_port_in_use_is_named_with_the_argument_that_changes_it() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for argument in ["--listen", "--router-listen"] {
        let (status, said) = refusal(&place, &[argument, &address]);
        assert_eq!(status, Some(4));
        assert!(said.contains(&address) && said.contains(argument), "{said}");
    }
    // A refused start holds nothing.
    drop(taken);
    let (status, _) = place.start().stop();
    assert_eq!(status.code(), Some(0));
}

/// Clients of this server would write it without.
#[test]
fn the_port_that_https_stands_for_is_not_said() {
    let place = Place::new();
    let url = "https://paas.example.com:443/";
    let server = Server::start(place.command(&["--api-url", url]), &place.log());
    assert_eq!(server.ready.api_url, "https://paas.example.com");
}

#[tokio::test]
async fn every_setting_has_a_twin_in_the_environment() {
    let place = Place::new();
    let mut command = crate::binary::penstock(&["serve"]);
    command
        .env("PENSTOCK_DATA_DIR", place.data())
        .env("PENSTOCK_LISTEN", "127.0.0.1:0")
        .env("PENSTOCK_ROUTER_LISTEN", "127.0.0.1:0")
        .env("PENSTOCK_BASE_DOMAIN", "apps.test")
        .env("PENSTOCK_OWNER", "ann@example.com");
    let server = Server::start(command, &place.log());
    assert!(server.ready.router_url.starts_with("http://apps.test:"));
    let client = server.client();
    let account = client.get("/account").await.expect(200);
    assert_eq!(account["email"], "ann@example.com");
    let app = client.create_app("twin").await;
    let url = app["web_url"].as_str().unwrap();
    assert!(url.starts_with("http://twin.apps.test:"), "{url}");
}
