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
