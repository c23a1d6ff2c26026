//! Add-ons and their partners, over real HTTP.

mod customer;
mod doubtful;
mod failing;
mod listening;
pub mod partner;
mod program;
pub mod provider;
mod restart;
mod services;
mod sso;

use serde_json::{Value, json};

use self::provider::Provider;
use crate::harness::{Client, Server, id};
use penstock::cli::addon::manifest;
use penstock::secret;
use penstock::store::addon_services::{self, Manifest};

/// With which the provider comes to exchange a grant.
pub const CLIENT_SECRET: &str = "the-providers-own-client-secret";

/// A manifest of the service `acme`, as its provider would write it.
pub fn acme(url: &str) -> Value {
    json!({
        "id": "acme",
        "name": "Acme Databases",
        "password": "correct-horse",
        "sso_salt": "battery-staple",
        "client_secret": CLIENT_SECRET,
        "config_vars": ["ACME_URL", "ACME_TOKEN"],
        "base_url": url,
        "plans": ["basic", { "name": "pro", "human_name": "Professional" }],
    })
}

impl Server {
    /// Registers a manifest, as `penstock addon register` does.
    pub async fn register(&self, manifest: &Value) {
        let (manifest, now) = (
            manifest::parse(manifest.to_string().as_bytes()).unwrap(),
            self.clock.now(),
        );
        let manifest = Manifest {
            client_secret: manifest.client_secret.or(Some(secret::digest("made up"))),
            ..manifest
        };
        let register = move |connection: &_| addon_services::register(connection, &manifest, now);
        self.platform.store.write(register).await.unwrap();
    }
}

/// A server where Ann has the app `harbour`, and a provider that is registered there as `acme`.
pub async fn world() -> (Server, Client, Provider) {
    let (server, provider) = (Server::start().await, Provider::start());
    server.register(&acme(&provider.url)).await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    (server, ann, provider)
}

pub const ADDONS: &str = "/apps/harbour/addons";

impl Client {
    /// Asks for an add-on, which the API shows.
    pub async fn addon(&self, app: &str, body: Value) -> Value {
        self.post(format!("/apps/{app}/addons"), body)
            .await
            .created()
    }

    /// The descriptions of an app's releases, from the third on.
    pub async fn releases(&self, app: &str) -> Vec<String> {
        let releases = self
            .range(&format!("/apps/{app}/releases"), "version 3..")
            .await;
        releases.each("description")
    }

    pub async fn config(&self, app: &str) -> Value {
        self.get(format!("/apps/{app}/config-vars")).await.ok()
    }
}

/// What stands in the paths of add-ons, when Ann has some on her apps `harbour` and `marina`, and the provider of the one in `addon`.
pub async fn params(server: &Server, ann: &Client) -> (Vec<(&'static str, String)>, Client) {
    let provider = Provider::start();
    server.register(&acme(&provider.url)).await;
    let addon = ann.addon("harbour", json!({ "plan": "acme" })).await;
    let partner = partner::partner(server, &provider).await;
    let shared = ann.addon("harbour", json!({ "plan": "acme" })).await;
    let attachment = json!({ "addon": id(&shared), "app": "marina" });
    let attachment = ann.post("/addon-attachments", attachment).await.created();
    let params = vec![
        ("addon", id(&addon)),
        ("attachment", id(&attachment)),
        ("account", ann.id.unwrap().to_string()),
        ("addon_service", "acme".to_owned()),
        ("plan", "acme:basic".to_owned()),
    ];
    (params, partner)
}
