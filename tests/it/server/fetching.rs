//! From where sources are fetched, by whom the API can be reached and by what the operator says of it.

use serde_json::json;

use crate::binary::sample::{PERL, idle_app};
use crate::binary::{Client, Place, Server, TIED};
use crate::build::server as web;

const ANYONE: [&str; 2] = ["--listen", "0.0.0.0:0"];

fn start(place: &Place, arguments: &[&str]) -> Server {
    Server::start(place.command(&[&[TIED], arguments].concat()), &place.log())
}

/// A server of sources on this machine, by its address and by its name.
async fn sources() -> (web::Server, [String; 2]) {
    let server = web::Server::start(|_| web::ok(&idle_app())).await;
    let (_, port) = server.host.rsplit_once(':').unwrap();
    let urls = ["127.0.0.1", "localhost"].map(|host| format!("http://{host}:{port}/app.tgz"));
    (server, urls)
}

/// The output and the status of a build from a URL.
async fn built(client: &Client, url: &str) -> (String, String) {
    let wanted = json!({"source_blob": {"url": url}});
    let build = client.post("/apps/app/builds", wanted).await.expect(201);
    let output = client.read(build["output_stream_url"].as_str().unwrap());
    let output = output.await.unwrap().text();
    let path = format!("/apps/app/builds/{}", build["id"].as_str().unwrap());
    let ended = client.get(path).await.expect(200);
    (output, ended["status"].as_str().unwrap().to_owned())
}

async fn fetches(arguments: &[&str]) {
    let (place, (_server, urls)) = (Place::new(), sources().await);
    let server = start(&place, arguments);
    let client = server.client();
    client.create_app("app").await;
    for url in urls {
        let (output, status) = built(&client, &url).await;
        assert_eq!(status, "succeeded", "{arguments:?}: {output}");
    }
}

async fn refuses(arguments: &[&str]) {
    let (place, (sources, [by_address, by_name])) = (Place::new(), sources().await);
    let server = start(&place, arguments);
    let client = server.client();
    client.create_app("app").await;
    let wanted = json!({"source_blob": {"url": by_address}});
    let refused = client.post("/apps/app/builds", wanted).await.expect(422);
    let why = "127.0.0.1 is at a private address, and this server fetches from public ones only.";
    assert!(
        refused["message"].as_str().unwrap().starts_with(why),
        "{refused}"
    );
    // What a name means is known only once it is looked up.
    let (output, status) = built(&client, &by_name).await;
    assert_eq!(status, "failed", "{output}");
    let why = "localhost is at a private address, and this server fetches from public ones only. Upload the source instead";
    assert!(output.contains(why), "{output}");
    // A buildpack is fetched by the same rule.
    let buildpacks = json!([{"url": by_name}]);
    let upload = client.post("/sources", serde_json::Value::Null).await;
    let blob = &upload.expect(201)["source_blob"];
    let put_url = blob["put_url"].as_str().unwrap();
    let put = client.put(put_url, None, PERL.tarball("here")).await;
    assert_eq!(put.unwrap().status, 200);
    let wanted = json!({"source_blob": {"url": blob["get_url"]}, "buildpacks": buildpacks});
    let build = client.post("/apps/app/builds", wanted).await.expect(201);
    let output = client.read(build["output_stream_url"].as_str().unwrap());
    let output = output.await.unwrap().text();
    assert!(output.contains("is at a private address"), "{output}");
    assert_eq!(sources.heads(), [""; 0]);
    // As it says, an upload needs no fetching.
    client.deploy("app", PERL.tarball("here")).await;
}

#[tokio::test]
async fn a_server_that_only_this_machine_reaches_fetches_what_this_machine_reaches() {
    fetches(&[]).await;
}

#[tokio::test]
async fn a_server_that_anyone_may_reach_fetches_nothing_private() {
    refuses(&ANYONE).await;
}

#[tokio::test]
async fn the_operator_has_the_last_word_on_what_is_fetched() {
    fetches(&[ANYONE[0], ANYONE[1], "--allow-private-fetch"]).await;
    refuses(&["--allow-private-fetch=false"]).await;
}

/// What becomes of a build from a URL, of a webhook to it and of a drain to it, at a server that clients know by `api_url`.
async fn asked_at(api_url: &str, more: &[&str], private: &str) -> [u16; 3] {
    let place = Place::new();
    let server = start(&place, &[&["--api-url", api_url], more].concat());
    assert_eq!(server.ready.api_url, api_url);
    // Here the proxy is, which leads to where the API listens.
    let at = format!("http://{}", server.ready.listen.unwrap());
    let client = Client::new(&at, server.router_port(), &server.ready.api_key);
    client.create_app("app").await;
    let url = format!("http://{private}/app.tgz");
    let build = json!({"source_blob": {"url": url}});
    let webhook = json!({"include": ["api:release"], "level": "notify", "url": url});
    let mut statuses = [0; 3];
    for (status, (path, body)) in statuses.iter_mut().zip([
        ("builds", build),
        ("webhooks", webhook),
        ("log-drains", json!({ "url": url })),
    ]) {
        let answer = client.post(format!("/apps/app/{path}"), body).await;
        *status = answer.status;
    }
    statuses
}

/// A proxy that speaks TLS, a tunnel or the like stands on the machine itself, and brings people from anywhere.
#[tokio::test]
async fn a_server_that_clients_know_by_another_host_reaches_nothing_private_for_them() {
    for api_url in [
        "https://paas.example.com",
        "http://192.168.1.20:5000",
        "https://[fd00::20]",
        "https://127.0.0.1.example.com",
        "https://localhost.example.com:5000",
    ] {
        let asked = asked_at(api_url, &[], "127.0.0.1:9").await;
        assert_eq!(asked, [422; 3], "{api_url}");
    }
    for private in ["10.0.0.1", "169.254.169.254"] {
        let asked = asked_at("https://paas.example.com", &[], private).await;
        assert_eq!(asked, [422; 3], "{private}");
    }
    for api_url in [
        "http://localhost:5050",
        "https://LOCALHOST:5050",
        "http://127.0.0.2:5050",
        "http://[::1]:5050",
    ] {
        let asked = asked_at(api_url, &[], "127.0.0.1:9").await;
        assert_eq!(asked, [201; 3], "{api_url}");
    }
    // The operator knows best.
    let allowed = ["--allow-private-fetch"];
    let asked = asked_at("https://paas.example.com", &allowed, "127.0.0.1:9").await;
    assert_eq!(asked, [201; 3]);
    let forbidden = ["--allow-private-fetch=false"];
    let asked = asked_at("http://localhost:5050", &forbidden, "127.0.0.1:9").await;
    assert_eq!(asked, [422; 3]);
}
