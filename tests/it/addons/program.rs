//! A provider that is a program of its own, `tests/provider.py`, and shares nothing with the server but HTTP; and the server as the
//! binary, which its operator starts and kills.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use penstock::secret;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::binary::ports;
use crate::binary::{Client, HANG, Place, Server, TIED, in_time, penstock};
use crate::harness;

const ADDONS: &str = "/apps/harbour/addons";

/// The provider, while it runs. It is killed when it is dropped, as a machine that loses its power would.
struct Program {
    process: Child,
    manifest: Value,
}

impl Program {
    /// With its books in this folder; at this port, where it was before.
    /// At a port of its own, even while it is away: somebody else there would be taken for it.
    fn start(folder: &Path, port: u16) -> Program {
        let port = match port {
            0 => ports::port(),
            kept => kept,
        };
        std::fs::create_dir_all(folder).unwrap();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/provider.py");
        let mut process = Command::new("python3")
            .arg(program)
            .args([
                "--plans",
                "basic,pro,slow,silent",
                "--port",
                &port.to_string(),
            ])
            .arg("--folder")
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let manifest = in_time(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            line
        });
        let manifest = serde_json::from_str(&manifest).unwrap();
        Program { process, manifest }
    }

    fn url(&self) -> String {
        self.manifest["base_url"].as_str().unwrap().to_owned()
    }

    fn port(&self) -> u16 {
        self.url().rsplit(':').next().unwrap().parse().unwrap()
    }

    /// Kills it, and starts it again where it was.
    fn killed_and_started_again(self, folder: &Path) -> Program {
        let port = self.port();
        drop(self);
        Program::start(folder, port)
    }

    /// What its own people ask it.
    async fn ask(&self, method: &str, path: &str) -> Value {
        let client = Client::new(&self.url(), 0, "");
        client.call(method, path, Value::Null).await.expect(200)
    }

    /// What it says that it has: of each add-on the plan, and whether it is made.
    async fn books(&self) -> Value {
        self.ask("GET", "/books").await
    }

    /// Waits until that is what it says.
    async fn comes_to(&self, books: Value) {
        let comes = async { while self.books().await != books {} };
        let came = timeout(HANG, comes).await;
        assert!(came.is_ok(), "{} is not {books}", self.books().await);
    }

    /// Waits until it was asked for an add-on, and says for which.
    async fn was_asked(&self) -> String {
        let asked = async {
            loop {
                let books = self.books().await;
                if let Some((uuid, _)) = books.as_object().unwrap().iter().next() {
                    return uuid.clone();
                }
            }
        };
        timeout(HANG, asked).await.expect("it was not asked")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// Registers the provider's manifest with the operator's command, and hands it the secret that is printed.
fn register(place: &Place, program: &Program) {
    let manifest = place.path("manifest.json");
    std::fs::write(&manifest, program.manifest.to_string()).unwrap();
    let mut command = penstock(&["addon", "register"]);
    command.arg(manifest).arg("--data-dir").arg(place.data());
    let registered = command.output().unwrap();
    assert!(registered.status.success(), "{registered:?}");
    let books = place.path("provider");
    std::fs::write(books.join("client_secret"), registered.stdout).unwrap();
}

/// A server at this address of the API, which a provider knows it by; at any free one if there is none yet.
fn start(place: &Place, api: Option<&str>) -> Server {
    let Some(api) = api else {
        return place.start();
    };
    let address = api.trim_start_matches("http://");
    Server::start(place.command(&[TIED, "--listen", address]), &place.log())
}

/// A running server where somebody has the app `harbour`, and a provider that is registered there.
async fn world() -> (Place, Program, Server, Client) {
    let place = Place::new();
    let program = Program::start(&place.path("provider"), 0);
    let server = place.start();
    register(&place, &program);
    let owner = server.client();
    owner.create_app("harbour").await;
    (place, program, server, owner)
}

/// Looks at the add-on until it is no longer in the making.
async fn made(owner: &Client, name: &str) -> Value {
    let made = async {
        loop {
            let addon = owner.get(format!("/addons/{name}")).await.expect(200);
            if addon["state"] != "provisioning" {
                return addon;
            }
        }
    };
    let made = timeout(HANG, made).await;
    made.expect("it is in the making still")
}

async fn config(owner: &Client) -> Value {
    owner.get("/apps/harbour/config-vars").await.expect(200)
}

#[tokio::test]
async fn an_add_on_is_made_changed_and_destroyed_at_a_provider_of_its_own() {
    let (_place, program, _server, owner) = world().await;
    let new = json!({ "plan": "acme:basic", "name": "mine" });
    let addon = owner.post(ADDONS, new).await.expect(201);
    assert_eq!(addon["state"], "provisioned");
    assert_eq!(addon["provision_message"], "Here it is.");
    let uuid = addon["id"].as_str().unwrap();
    assert_eq!(program.books().await, json!({ uuid: ["basic", "made"] }));
    assert_eq!(config(&owner).await, json!({ "ACME_URL": "acme://basic" }));
    let change = json!({ "plan": "acme:pro" });
    let path = format!("{ADDONS}/mine");
    let changed = owner.patch(&path, change).await.expect(200);
    assert_eq!(changed["plan"]["name"], "acme:pro");
    assert_eq!(program.books().await, json!({ uuid: ["pro", "made"] }));
    assert_eq!(config(&owner).await, json!({ "ACME_URL": "acme://pro" }));
    owner.delete(&path).await.expect(200);
    assert_eq!(config(&owner).await, json!({}));
    // It is told by and by.
    program.comes_to(json!({})).await;
}

#[tokio::test]
async fn a_provider_of_its_own_that_takes_its_time_says_when_it_is_done() {
    let (_place, program, _server, owner) = world().await;
    let new = json!({ "plan": "acme:slow", "name": "mine" });
    let addon = owner.post(ADDONS, new).await.expect(201);
    assert_eq!(addon["state"], "provisioning");
    assert_eq!(addon["provision_message"], "It is being made.");
    assert_eq!(config(&owner).await, json!({}));
    let uuid = addon["id"].as_str().unwrap();
    // It exchanges its grant at /oauth/token, sets the config, and says that all is there.
    let told = program.ask("POST", &format!("/make/{uuid}")).await;
    assert_eq!(told["state"], "provisioned");
    let shown = owner.get("/addons/mine").await.expect(200);
    assert_eq!(shown["state"], "provisioned");
    assert_eq!(config(&owner).await, json!({ "ACME_URL": "acme://slow" }));
}

#[tokio::test]
async fn a_provider_of_its_own_sees_what_partners_see() {
    let (_place, program, _server, owner) = world().await;
    let new = json!({ "plan": "acme:basic", "name": "mine" });
    let addon = owner.post(ADDONS, new).await.expect(201);
    let seen = format!("/seen/{}", addon["id"].as_str().unwrap());
    let before = program.ask("GET", &seen).await;
    assert_eq!(before["addon"]["name"], "mine");
    assert_eq!(before["addon"]["app"]["name"], "harbour");
    let set = json!([{ "name": "ACME_URL", "value": "acme://basic" }]);
    assert_eq!(before["config"], set);
    assert_eq!(before["couplings"], json!([]));
    let water = json!({ "name": "water" });
    let pipeline = owner.post("/pipelines", water).await.expect(201);
    let coupling = json!({ "app": "harbour", "pipeline": pipeline["id"], "stage": "production" });
    owner
        .post("/pipeline-couplings", coupling)
        .await
        .expect(201);
    let after = program.ask("GET", &seen).await;
    assert_eq!(after["couplings"][0]["stage"], "production");
    assert_eq!(after["pipelines"][0]["name"], "water");
    assert_eq!(after["pipelines"][0]["generation"]["name"], "cedar");
}

#[tokio::test]
async fn a_provider_of_its_own_lets_in_who_is_signed_on_and_nobody_else() {
    let (_place, program, _server, owner) = world().await;
    let new = json!({ "plan": "acme:basic", "name": "mine" });
    owner.post(ADDONS, new).await.expect(201);
    let form = owner.get(format!("{ADDONS}/mine/sso")).await.expect(200);
    assert_eq!(form["action"], format!("{}/sso/login", program.url()));
    let send = async |params: &Value| {
        let pairs = params.as_object().unwrap().iter();
        let pairs: Vec<String> = pairs
            .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()))
            .collect();
        let request = harness::http().post(form["action"].as_str().unwrap());
        let answer = request.body(pairs.join("&")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, page) = send(&form["params"]).await;
    assert_eq!(status, 200, "{page}");
    let account = owner.get("/account").await.expect(200);
    assert!(page.contains(account["email"].as_str().unwrap()), "{page}");
    for (name, value) in [
        ("token", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
        ("timestamp", "1700000000"),
        ("id", "01234567-89ab-7def-8123-456789abcdef"),
    ] {
        let mut params = form["params"].clone();
        params[name] = json!(value);
        assert_eq!(send(&params).await.0, 403, "another {name} was let in");
    }
    // A proof that was good once is not good for ever.
    let mut late = form["params"].clone();
    let proof = format!("{}:battery-staple:1700000000", late["id"].as_str().unwrap());
    late["token"] = json!(hex::encode(digest(
        &SHA1_FOR_LEGACY_USE_ONLY,
        proof.as_bytes()
    )));
    late["timestamp"] = json!("1700000000");
    assert_eq!(send(&late).await.0, 403);
}

#[tokio::test]
async fn what_a_provider_has_promised_is_made_when_both_were_killed_and_started_again() {
    let (place, program, server, owner) = world().await;
    let new = json!({ "plan": "acme:slow", "name": "mine" });
    let addon = owner.post(ADDONS, new).await.expect(201);
    let uuid = addon["id"].as_str().unwrap();
    let api = server.ready.api_url.clone();
    server.kill();
    // It finds nobody to whom it could say that it is done, and goes on trying.
    let program = program.killed_and_started_again(&place.path("provider"));
    assert_eq!(program.books().await, json!({ uuid: ["slow", "promised"] }));
    let server = start(&place, Some(&api));
    let owner = server.client();
    let addon = made(&owner, "mine").await;
    assert_eq!(addon["state"], "provisioned");
    assert_eq!(config(&owner).await, json!({ "ACME_URL": "acme://slow" }));
    let books = json!({ uuid: ["slow", "made"] });
    program.comes_to(books).await;
}

#[tokio::test]
async fn a_provider_that_dies_without_an_answer_is_asked_again_for_the_same_add_on() {
    let (place, program, server, owner) = world().await;
    let asking = owner.clone();
    let asking = tokio::spawn(async move {
        let new = json!({ "plan": "acme:silent", "name": "mine" });
        asking.try_call("POST", ADDONS, new).await
    });
    let uuid = program.was_asked().await;
    // The server first: it does not live to see that there will be no answer.
    let api = server.ready.api_url.clone();
    server.kill();
    assert!(asking.await.unwrap().is_err());
    let program = program.killed_and_started_again(&place.path("provider"));
    let server = start(&place, Some(&api));
    let owner = server.client();
    let addon = made(&owner, "mine").await;
    assert_eq!(
        (&addon["state"], &addon["id"]),
        (&json!("provisioned"), &json!(uuid))
    );
    assert_eq!(config(&owner).await, json!({ "ACME_URL": "acme://silent" }));
    assert_eq!(program.books().await, json!({ uuid: ["silent", "made"] }));
}

/// A minute has to pass, so this is the server that lives in this process, whose clock can be moved.
#[tokio::test]
async fn a_provider_that_dies_while_it_is_asked_leaves_the_add_on_in_the_making_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let program = Program::start(folder.path(), 0);
    let server = harness::Server::start().await;
    let mut manifest = program.manifest.clone();
    manifest["client_secret"] = json!(secret::token().unwrap());
    server.register(&manifest).await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let asking = ann.clone();
    let asking = tokio::spawn(async move {
        let new = json!({ "plan": "acme:silent", "name": "mine" });
        asking.addon("harbour", new).await
    });
    let uuid = program.was_asked().await;
    let port = program.port();
    drop(program);
    let addon = asking.await.unwrap();
    assert_eq!(addon["state"], "provisioning");
    let message = addon["provision_message"].as_str().unwrap();
    assert!(message.contains("did not answer"), "{message}");
    // While it is away the app goes on without what it would set.
    server.pass(Duration::from_secs(60));
    server.settle().await;
    let shown = ann.get("/addons/mine").await.ok();
    assert_eq!(shown["state"], "provisioning");
    assert_eq!(ann.config("harbour").await, json!({}));
    let program = Program::start(folder.path(), port);
    server.pass(Duration::from_secs(120));
    server.settle().await;
    let shown = ann.get("/addons/mine").await.ok();
    assert_eq!(shown["state"], "provisioned");
    assert_eq!(shown["id"], json!(uuid));
    let set = json!({ "ACME_URL": "acme://silent" });
    assert_eq!(ann.config("harbour").await, set);
    assert_eq!(program.books().await, json!({ uuid: ["silent", "made"] }));
}
