//! Automatic certificates as visitors are shown them: the one there is now, after a renewal and after a restart.

use std::sync::Arc;
use std::time::Duration;

use penstock::acm::{Acm, Challenges};
use penstock::authority::Authority;
use penstock::certificates::{self, Certificates};
use penstock::data_dir::DataDir;
use penstock::router::{Options, Router};
use penstock::routes::RouterLog;
use penstock::time::Timestamp;
use serde_json::{Value, json};

use super::domain_when;
use super::pebble::Pebble;
use crate::binary::ports::port;
use crate::binary::sample::idle_app;
use crate::binary::{Place, TIED};
use crate::harness::Server;
use crate::https::{first_of, shown, until};

const HOST: &str = "www.example.com";

/// A router that shows the certificates of a server in a test, and what answers the authority there.
struct Shown {
    certificates: Arc<Certificates>,
    challenges: Challenges,
    data: DataDir,
    router: Router,
}

impl Shown {
    fn start(server: &Server) -> Shown {
        let challenges = Challenges::default();
        let data = DataDir::open(&server.platform.config.data_dir.data_dir).unwrap();
        let certificates = Certificates::new(
            server.platform.store.clone(),
            Arc::new(Authority::open(&data).unwrap()),
            challenges.clone(),
            (certificates::Settings::default(), server.clock.clone()),
            None,
        );
        let options = Options {
            tls: Some(certificates.server().unwrap()),
            challenges: Some(Arc::new(challenges.clone())),
            ..crate::router::options()
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (logs, metrics) = (&server.platform.logs, &server.platform.metrics);
        let log = Arc::new(RouterLog(logs.clone(), metrics.clone()));
        let router = Router::start(vec![listener], log, options).unwrap();
        router.replace(Vec::new());
        Shown {
            certificates,
            challenges,
            data,
            router,
        }
    }

    fn port(&self) -> u16 {
        self.router.addresses()[0].port()
    }
}

fn instant(of: &Value) -> Timestamp {
    Timestamp::parse(of.as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_certificate_is_renewed_when_two_thirds_of_its_life_are_over_and_shown_from_then_on() {
    let Some(mut pebble) = Pebble::prepare() else {
        return;
    };
    let server = Server::with_acme(pebble.settings()).await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let served = Shown::start(&server);
    let port = served.port();
    pebble.start(port, port);
    let acm = Acm::new(server.platform.clone(), served.data, served.challenges);
    ann.post("/apps/harbour/acm", json!({})).await.ok();
    let domain = json!({ "hostname": HOST });
    ann.post("/apps/harbour/domains", domain).await.created();
    let root = pebble.root().await;
    // The one endpoint there is, once its certificate is the one that a visitor is shown.
    let endpoint = async || {
        acm.tick().await.unwrap();
        acm.idle().await;
        let domain = ann.get(format!("/apps/harbour/domains/{HOST}")).await.ok();
        assert_eq!(domain["acm_status"], "cert issued", "{domain}");
        let endpoints = ann.get("/apps/harbour/sni-endpoints").await.list();
        assert_eq!(endpoints.len(), 1);
        served.certificates.refresh().await.unwrap();
        let kept = first_of(&endpoints[0]["certificate_chain"]);
        assert_eq!(shown(&root, HOST, port).await, Some(kept));
        endpoints[0].clone()
    };
    let first = endpoint().await;
    assert_eq!(endpoint().await, first);
    let of = |name: &str| instant(&first["ssl_cert"][name]);
    let life = of("expires_at").since(of("starts_at"));
    let renewal = of("starts_at").plus(life * 2 / 3);
    let wait = renewal.since(server.clock.now());
    server.pass(wait - Duration::from_secs(60));
    assert_eq!(endpoint().await, first);
    server.pass(Duration::from_secs(120));
    let second = endpoint().await;
    let chain = "certificate_chain";
    assert_ne!(first_of(&second[chain]), first_of(&first[chain]));
}

#[tokio::test]
async fn an_automatic_certificate_is_shown_after_a_restart_though_no_authority_can_be_asked() {
    let Some(mut pebble) = Pebble::prepare() else {
        return;
    };
    let (place, port) = (Place::new(), port());
    pebble.start(port, port);
    let settings = pebble.settings();
    let at = format!("127.0.0.1:{port}");
    let start = || {
        let arguments = [TIED, "--rate-limit=false", "--router-listen", &at];
        let mut command = place.command(&arguments);
        command
            .args(["--acme-contact", "owner@example.com"])
            .args(["--acme-directory", &settings.acme_directory])
            .arg("--acme-ca-file")
            .arg(settings.acme_ca_file.as_ref().unwrap());
        crate::binary::Server::start(command, &place.log())
    };
    let server = start();
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", idle_app()).await;
    let domain = json!({ "hostname": HOST });
    client.post("/apps/app/domains", domain).await.expect(201);
    client.post("/apps/app/acm", json!({})).await.expect(200);
    let issued = |domain: &Value| domain["acm_status"] == "cert issued";
    domain_when(&client, HOST, issued).await;
    let root = pebble.root().await;
    until(async || shown(&root, HOST, port).await.is_some()).await;
    let before = shown(&root, HOST, port).await;
    server.stop();
    pebble.end();
    let server = start();
    assert_eq!(shown(&root, HOST, port).await, before);
    drop(server);
}
