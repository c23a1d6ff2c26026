//! Apps as visitors meet them within TLS: by the server's own authority, and by the certificates of their domains.

use std::net::{Ipv4Addr, SocketAddr};

use reqwest::Certificate;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::binary::sample::{PERL, tarball};
use crate::binary::{Client, HANG, Place, Server, TIED};
use crate::sni_endpoints::self_signed;

/// Somebody who trusts these certificates and no others, and finds these hosts at this machine's port.
pub fn visitor(trusted: &str, hosts: &[&str], port: u16) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted = Certificate::from_pem_bundle(trusted.as_bytes()).unwrap();
    let mut visitor = reqwest::Client::builder()
        .no_proxy()
        .timeout(HANG)
        .tls_info(true)
        .tls_certs_only(trusted);
    for host in hosts {
        let here = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        visitor = visitor.resolve(host, here);
    }
    visitor.build().unwrap()
}

/// The certificate that somebody who comes now is shown, in DER; none if he does not trust it.
pub async fn shown(trusted: &str, host: &str, port: u16) -> Option<Vec<u8>> {
    let visitor = visitor(trusted, &[host], port);
    let answer = visitor.get(format!("https://{host}:{port}/")).send().await;
    let answer = answer.ok()?;
    let info = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
    Some(info.peer_certificate().unwrap().to_vec())
}

/// The first certificate of a chain in PEM, in DER.
pub fn first_of(chain: &Value) -> Vec<u8> {
    let chain = chain.as_str().unwrap().as_bytes();
    CertificateDer::from_pem_slice(chain).unwrap().to_vec()
}

/// An app that takes visitors within TLS alone, as frameworks do it: by what the router says of how they came.
fn secure_app() -> Vec<u8> {
    let code = "use IO::Socket::INET; my $s = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $ENV{PORT}, Listen => 5) or die;
        while (my $v = $s->accept) { my ($proto, $host); while (<$v>) { $proto = $1 if /^x-forwarded-proto: (\\w+)/i; $host = $1 if /^host: (\\S+)/i; last if /^\\r/ }
        print $v $proto eq 'https' ? \"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\nsafe\" : \"HTTP/1.1 301 Moved\\r\\nLocation: https://$host/\\r\\nConnection: close\\r\\n\\r\\n\"; close $v }";
    tarball(&[("Procfile", "web: perl app.pl\n"), ("app.pl", code)])
}

async fn deployed(server: &Server, app: Vec<u8>) -> Client {
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", app).await;
    client.dynos("app", 1).await;
    client
}

#[tokio::test]
async fn an_app_that_insists_on_https_works_on_the_local_router() {
    let place = Place::new();
    let server = place.start();
    deployed(&server, secure_app()).await;
    let authority = std::fs::read_to_string(&server.ready.ca_file).unwrap();
    let port = server.router_port();
    let visitor = visitor(&authority, &["app.localhost"], port);
    // The app sends its visitors to `https://` on the same port, where they find it.
    let url = format!("http://app.localhost:{port}/");
    let answer = visitor.get(url).send().await.unwrap();
    assert_eq!(answer.url().scheme(), "https");
    assert_eq!(answer.text().await.unwrap(), "safe");
}

#[tokio::test]
async fn a_domain_shows_its_own_certificate_from_the_moment_it_has_one() {
    let place = Place::new();
    let server = place.start();
    let client = deployed(&server, PERL.tarball("harbour")).await;
    let authority = std::fs::read_to_string(&server.ready.ca_file).unwrap();
    let (port, hosts) = (server.router_port(), ["www.example.com", "a.example.org"]);
    let domain = async |hostname: &str, endpoint: &Value| {
        let domain = json!({"hostname": hostname, "sni_endpoint": endpoint["id"]});
        client.post("/apps/app/domains", domain).await.expect(201);
    };
    let trusts = async |trusted: &str, host: &str| {
        let visitor = visitor(trusted, &hosts, port);
        let url = format!("https://{host}:{port}/");
        visitor.get(url).send().await.map(|answer| answer.status())
    };
    let (first, second) = (
        self_signed(&["www.example.com", "*.example.org"]),
        self_signed(&["www.example.com", "*.example.org"]),
    );
    let pem = |pair: &Value| pair["certificate_chain"].as_str().unwrap().to_owned();
    let endpoint = client.post("/apps/app/sni-endpoints", first.clone()).await;
    let endpoint = endpoint.expect(201);
    domain("www.example.com", &endpoint).await;
    domain("*.example.org", &Value::Null).await;
    until(async || trusts(&pem(&first), hosts[0]).await.is_ok()).await;
    assert!(trusts(&authority, hosts[0]).await.is_err());
    // A domain that was given none has that of the server.
    until(async || trusts(&authority, hosts[1]).await.is_ok()).await;
    let given = json!({"sni_endpoint": endpoint["id"]});
    client
        .patch("/apps/app/domains/*.example.org", given)
        .await
        .expect(200);
    until(async || trusts(&pem(&first), hosts[1]).await.is_ok()).await;
    // Another one in its place, which outlives the server.
    let path = format!(
        "/apps/app/sni-endpoints/{}",
        endpoint["id"].as_str().unwrap()
    );
    client.patch(&path, second.clone()).await.expect(200);
    until(async || trusts(&pem(&second), hosts[0]).await.is_ok()).await;
    assert!(trusts(&pem(&first), hosts[0]).await.is_err());
    drop(server);
    let mut command = place.command(&[TIED, "--router-listen"]);
    command.arg(format!("127.0.0.1:{port}"));
    let server = Server::start(command, &place.log());
    assert_eq!(trusts(&pem(&second), hosts[1]).await.unwrap(), 200);
    server.client().delete(path).await.expect(200);
    until(async || trusts(&authority, hosts[1]).await.is_ok()).await;
}

#[tokio::test]
async fn a_hosts_own_certificate_goes_before_that_of_the_wildcard_above_it() {
    let place = Place::new();
    let server = place.start();
    let client = deployed(&server, PERL.tarball("harbour")).await;
    let names = ["www.example.org", "*.example.org"];
    let pairs = names.map(|name| self_signed(&[name]));
    let [own, wildcard] = pairs
        .each_ref()
        .map(|pair| first_of(&pair["certificate_chain"]));
    let mut endpoints = Vec::new();
    for pair in &pairs {
        let endpoint = client.post("/apps/app/sni-endpoints", pair.clone()).await;
        endpoints.push(endpoint.expect(201)["id"].clone());
    }
    let trusted = pairs
        .each_ref()
        .map(|pair| pair["certificate_chain"].as_str().unwrap());
    let (port, hosts) = (
        server.router_port(),
        ["www.example.org", "blog.example.org"],
    );
    let trusted = trusted.concat();
    let shows = async |host: &str, certificate: &Vec<u8>| {
        until(async || shown(&trusted, host, port).await.as_ref() == Some(certificate)).await;
    };
    let domain = async |hostname: &str, endpoint: &Value| {
        let domain = json!({"hostname": hostname, "sni_endpoint": endpoint});
        client.post("/apps/app/domains", domain).await.expect(201);
    };
    // Both are good for the host: which of them it is shown is a matter of its name alone.
    domain(names[1], &endpoints[1]).await;
    shows(hosts[0], &wildcard).await;
    shows(hosts[1], &wildcard).await;
    domain(names[0], &endpoints[0]).await;
    shows(hosts[0], &own).await;
    shows(hosts[1], &wildcard).await;
    client
        .delete("/apps/app/domains/www.example.org")
        .await
        .expect(200);
    shows(hosts[0], &wildcard).await;
}

#[tokio::test]
async fn the_operators_certificate_is_for_the_hosts_that_it_names_and_is_read_again() {
    let place = Place::new();
    let (chain, key) = (place.path("chain.pem"), place.path("key.pem"));
    let put = |pair: &Value| {
        let pem = |name: &str| pair[name].as_str().unwrap().to_owned();
        std::fs::write(&key, pem("private_key")).unwrap();
        std::fs::write(&chain, pem("certificate_chain")).unwrap();
        pem("certificate_chain")
    };
    let first = put(&self_signed(&["app.localhost"]));
    let mut command = place.command(&[TIED]);
    command.arg("--router-certificate").arg(&chain);
    command.arg("--router-key").arg(&key);
    let server = Server::start(command, &place.log());
    let client = server.client();
    client.create_app("app").await;
    let domain = json!({"hostname": "www.example.com"});
    client.post("/apps/app/domains", domain).await.expect(201);
    let authority = std::fs::read_to_string(&server.ready.ca_file).unwrap();
    let (port, hosts) = (server.router_port(), ["app.localhost", "www.example.com"]);
    let trusts = async |trusted: &str, host: &str| {
        let visitor = visitor(trusted, &hosts, port);
        let url = format!("https://{host}:{port}/");
        visitor.get(url).send().await.is_ok()
    };
    until(async || trusts(&first, hosts[0]).await).await;
    // A domain that it does not name is shown what it was shown before.
    until(async || trusts(&authority, hosts[1]).await).await;
    // A pair of which half is there yet changes nothing; each commit has the files looked at.
    let second = self_signed(&["app.localhost", "www.example.com"]);
    std::fs::write(&chain, second["certificate_chain"].as_str().unwrap()).unwrap();
    let other = json!({"hostname": "other.example.com"});
    client.post("/apps/app/domains", other).await.expect(201);
    assert!(trusts(&first, hosts[0]).await);
    let second = put(&second);
    client
        .delete("/apps/app/domains/other.example.com")
        .await
        .expect(200);
    until(async || trusts(&second, hosts[0]).await && trusts(&second, hosts[1]).await).await;
    drop(server);
    // A server does not start with files that it cannot serve, and says which.
    for arguments in [
        vec![
            "--router-certificate",
            "/nonexistent/chain.pem",
            "--router-key",
            "/nonexistent/key.pem",
        ],
        vec!["--router-certificate", "/nonexistent/chain.pem"],
    ] {
        let mut command = place.command(&[TIED]);
        command.args(&arguments);
        let log = place.path("refused.log");
        assert!(Server::try_start(command, &log).is_err());
        let said = std::fs::read_to_string(log).unwrap();
        assert!(
            said.contains("/nonexistent/chain.pem") || said.contains("--router-key"),
            "{said}"
        );
    }
}

/// Asks again and again until it is so.
pub async fn until(is_so: impl AsyncFn() -> bool) {
    let begun = std::time::Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < HANG);
    }
}

#[tokio::test]
async fn a_port_for_https_is_the_one_that_urls_name_and_that_visitors_are_sent_to() {
    let place = Place::new();
    let command = place.command(&[TIED, "--router-tls-listen", "127.0.0.1:0"]);
    let server = Server::start(command, &place.log());
    let client = deployed(&server, PERL.tarball("harbour")).await;
    let app = client.get("/apps/app").await.expect(200);
    let url = app["web_url"].as_str().unwrap().to_owned();
    let port = url.strip_prefix("https://app.localhost:").unwrap();
    let port: u16 = port.trim_end_matches('/').parse().unwrap();
    assert_ne!(port, server.router_port());
    let authority = std::fs::read_to_string(&server.ready.ca_file).unwrap();
    let answer = visitor(&authority, &["app.localhost"], port)
        .get(&url)
        .send();
    assert_eq!(answer.await.unwrap().status(), 200);
    // Without TLS the app is there too, until it is told not to be.
    let plain = client.visit("app", "/").await;
    assert_eq!(plain.status, 200);
    let on = json!({"enabled": true});
    client
        .patch("/apps/app/features/https-only", on)
        .await
        .expect(200);
    let http = reqwest::Client::builder().no_proxy();
    let http = http.redirect(reqwest::redirect::Policy::none()).build();
    let (http, host) = (http.unwrap(), client.host("app"));
    let sent = async || {
        let answer = http.get(client.router()).header("host", &host).send().await;
        let answer = answer.unwrap();
        (answer.status().as_u16() == 301).then(|| answer.headers()["location"].clone())
    };
    until(async || sent().await.is_some()).await;
    assert_eq!(sent().await.unwrap(), url.as_str());
}
