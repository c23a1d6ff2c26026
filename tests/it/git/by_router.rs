//! The API under a name of its own, which the router's port leads to: one port is enough for a whole server.

use serde_json::{Value, json};

use super::repository::Repository;
use super::{PROCFILE, until};
use crate::binary::ports::port;
use crate::binary::sample::PERL;
use crate::binary::{Client, Place, Server, TIED};
use crate::https::visitor;

const HOST: &str = "paas.example.com";

/// A server whose API has the router's port for its own, and a client of where it listens in truth.
fn start(place: &Place) -> (Server, u16, Client) {
    let (port, own) = (port(), port());
    let arguments = [
        TIED,
        "--api-url",
        &format!("https://{HOST}:{port}"),
        "--router-listen",
        &format!("127.0.0.1:{port}"),
        "--listen",
        &format!("127.0.0.1:{own}"),
    ];
    let server = Server::start(place.command(&arguments), &place.log());
    let api = format!("http://127.0.0.1:{own}");
    let client = Client::new(&api, port, &server.ready.api_key);
    (server, port, client)
}

#[tokio::test]
async fn the_routers_port_leads_to_the_api_within_tls_and_the_visitor_stays_who_he_is() {
    let place = Place::new();
    let (server, port, _) = start(&place);
    assert_eq!(server.ready.api_url, format!("https://{HOST}:{port}"));
    let authority = std::fs::read_to_string(&server.ready.ca_file).unwrap();
    let visitor = visitor(&authority, &[HOST, "app.localhost"], port);
    let api = |path: &str| format!("https://{HOST}:{port}{path}");
    let call = async |method: reqwest::Method, path: &str, body: Value| {
        let request = visitor.request(method, api(path));
        let request = request.bearer_auth(&server.ready.api_key);
        let request = request.header("accept", "application/vnd.heroku+json; version=3");
        let request = match body {
            Value::Null => request,
            body => request
                .header("content-type", "application/json")
                .body(body.to_string()),
        };
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.text().await.unwrap())
    };
    let json = |(status, text): (u16, String)| -> Value {
        assert!((200..300).contains(&status), "{status}: {text}");
        serde_json::from_str(&text).unwrap()
    };
    use reqwest::Method;
    // An upload to a URL that the API gives, a build of it, its output as it comes, and the app.
    json(call(Method::POST, "/apps", json!({"name": "app"})).await);
    let source = json(call(Method::POST, "/sources", Value::Null).await);
    let put = source["source_blob"]["put_url"].as_str().unwrap();
    assert!(put.starts_with(&api("/")), "{put}");
    let put = visitor.put(put).body(PERL.tarball("harbour")).send().await;
    assert_eq!(put.unwrap().status(), 200);
    let blob = json!({"source_blob": {"url": source["source_blob"]["get_url"]}});
    let build = json(call(Method::POST, "/apps/app/builds", blob).await);
    let stream = build["output_stream_url"].as_str().unwrap();
    let output = visitor.get(stream).send().await.unwrap();
    let output = output.text().await.unwrap();
    assert!(output.contains("Released v"), "{output}");
    let app = format!("http://app.localhost:{port}/");
    crate::https::until(async || visitor.get(&app).send().await.unwrap().status() == 200).await;
    // Without TLS nobody is answered, but led to where he is.
    let plain = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .unwrap();
    let plain = plain.get(format!("http://127.0.0.1:{port}/docs?a=b"));
    let led = plain.header("host", HOST).send().await.unwrap();
    assert_eq!(led.status(), 301);
    assert_eq!(led.headers()["location"], api("/docs?a=b").as_str());
    // Nor by a connection that was made to an app.
    let strange = visitor.get(format!("https://app.localhost:{port}/account"));
    let strange = strange.header("host", HOST).send().await.unwrap();
    assert_eq!(strange.status(), 421);
    // Who came by the router came from where he came from.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted = reqwest::Certificate::from_pem_bundle(authority.as_bytes()).unwrap();
    let far = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only(trusted)
        .local_address(std::net::IpAddr::from([127, 0, 0, 9]))
        .resolve(HOST, ([127, 0, 0, 1], port).into())
        .build()
        .unwrap();
    let made = far
        .post(api("/apps"))
        .bearer_auth(&server.ready.api_key)
        .header("accept", "application/vnd.heroku+json; version=3")
        .header("content-type", "application/json")
        .body(r#"{"name": "from-afar"}"#);
    assert_eq!(made.send().await.unwrap().status(), 201);
    let path = "/enterprise-accounts/penstock/events";
    let events = json(call(Method::GET, path, Value::Null).await);
    let from: Vec<String> = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["app"]["name"] == "from-afar")
        .map(Value::to_string)
        .collect();
    assert!(
        from.iter().any(|event| event.contains("127.0.0.9")),
        "{from:?}"
    );
}

#[tokio::test]
async fn stock_git_pushes_by_the_routers_port() {
    let place = Place::new();
    let (server, port, local) = start(&place);
    local.create_app("app").await;
    let work = Repository::new();
    work.commit(&[("Procfile", PROCFILE)]);
    let secure = format!("https://heroku:{}@{HOST}:{port}/app.git", local.token);
    let trusting = format!("http.sslCAInfo={}", server.ready.ca_file);
    let here = format!("http.curloptResolve={HOST}:{port}:127.0.0.1");
    work.git(&["-c", &trusting, "-c", &here, "push", "-q", &secure, "main"]);
    until(&local, "app", "succeeded").await;
}

#[tokio::test]
async fn no_app_takes_a_wildcard_that_covers_the_apis_name() {
    let place = Place::new();
    let (_server, _, client) = start(&place);
    client.create_app("app").await;
    for hostname in ["*.example.com", HOST] {
        let domain = json!({ "hostname": hostname });
        client.post("/apps/app/domains", domain).await.expect(422);
    }
    let beside = json!({"hostname": "*.paas.example.com"});
    client.post("/apps/app/domains", beside).await.expect(201);
}
