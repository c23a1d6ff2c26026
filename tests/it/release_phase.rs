//! The release phase: a release counts once its command has ended well, and what ran until then goes on.

mod elsewhere;
mod ending;
mod real;

use penstock::name::Id;
use serde_json::{Value, json};

use crate::harness::{Client, Server, gz, id};

const RELEASES: &str = "/apps/harbour/releases";
const VARS: &str = "/apps/harbour/config-vars";

/// A source whose release command is this.
fn source(command: &str) -> Vec<u8> {
    gz(&[(
        "Procfile",
        &format!("web: serve {command}\nrelease: {command}\n"),
    )])
}

/// Deploys something with a release command, which ends well.
pub async fn deploy(server: &Server, ann: &Client, app: &str) {
    server.deploy(ann, app, &source("migrate")).await;
    let names = server.dynos.of(app);
    let (name, _) = names[0].split_once(' ').unwrap();
    server.dynos.crash(server.dynos.one(app, name).dyno, 0);
    server.settle().await;
}

struct Harbour {
    server: Server,
    ann: Client,
}

impl Harbour {
    /// An app that runs its first release with a release command, as v3.
    async fn new() -> Harbour {
        let harbour = Harbour::empty().await;
        harbour.deploy("migrate one").await;
        harbour.end(0).await;
        harbour
    }

    async fn empty() -> Harbour {
        let server = Server::start().await;
        let ann = server.account("ann").await;
        ann.app("harbour").await;
        Harbour { server, ann }
    }

    /// Builds, and begins what can be begun. The build ends well, whatever becomes of its release.
    async fn deploy(&self, command: &str) -> Value {
        let source = source(command);
        self.server.deploy(&self.ann, "harbour", &source).await
    }

    /// The release command that runs ends so.
    async fn end(&self, status: i32) {
        let dyno = self.server.dynos.one("harbour", &self.name()).dyno;
        self.server.dynos.crash(dyno, status);
        self.server.settle().await;
    }

    /// The command that runs.
    fn command(&self) -> String {
        self.server.dynos.one("harbour", &self.name()).command
    }

    /// `release.1234`: one at most runs.
    fn name(&self) -> String {
        let running = self.server.dynos.of("harbour");
        let mut found = running.iter().filter(|name| name.starts_with("release."));
        let name = found.next().expect("no release command runs");
        assert!(found.next().is_none(), "{running:?}");
        name.split_once(' ').unwrap().0.to_owned()
    }

    async fn release(&self, version: u32) -> Value {
        self.ann.get(format!("{RELEASES}/{version}")).await.ok()
    }

    /// `succeeded pending`, of all releases but the first two.
    async fn statuses(&self) -> String {
        self.ann.get(RELEASES).await.each("status")[2..].join(" ")
    }

    /// The version that is current.
    async fn current(&self) -> i64 {
        let all = self.ann.get(RELEASES).await.list();
        let mut current = all.iter().filter(|release| release["current"] == true);
        let version = current.next().unwrap()["version"].as_i64().unwrap();
        assert!(current.next().is_none());
        version
    }

    async fn told(&self) -> String {
        let filter = json!({"lines": 1_500});
        let session = self.ann.post("/apps/harbour/log-sessions", filter).await;
        let url = session.created()["logplex_url"].clone();
        self.ann.get(url.as_str().unwrap()).await.text()
    }

    fn web(&self) -> Vec<String> {
        let running = self.server.dynos.of("harbour").into_iter();
        running.filter(|name| name.starts_with("web.")).collect()
    }
}

#[tokio::test]
async fn the_first_release_runs_its_command_and_then_the_app() {
    let harbour = Harbour::empty().await;
    let build = harbour.deploy("migrate").await;
    assert_eq!(build["status"], "succeeded");
    let pending = harbour.release(3).await;
    assert_eq!(pending["id"], build["release"]["id"]);
    assert_eq!(pending["status"], "pending");
    assert_eq!(pending["current"], false);
    assert_eq!(pending["eligible_for_rollback"], false);
    assert!(pending["output_stream_url"].is_string());
    assert_eq!(harbour.current().await, 2);
    assert_eq!(harbour.web(), [""; 0]);
    assert_eq!(
        harbour
            .ann
            .get("/apps/harbour/formation")
            .await
            .list()
            .len(),
        0
    );
    let app = harbour.ann.get("/apps/harbour").await.ok();
    assert_eq!(app["slug_size"], Value::Null);
    let dynos = harbour.ann.get("/apps/harbour/dynos").await.list();
    assert_eq!(dynos.len(), 1);
    assert_eq!(dynos[0]["type"], "release");
    assert_eq!(dynos[0]["command"], "migrate");
    assert_eq!(dynos[0]["release"]["version"], 3);
    // Nothing runs yet in which a command of somebody's own could be run.
    let run = json!({"command": "sh"});
    harbour
        .ann
        .post("/apps/harbour/dynos", run)
        .await
        .invalid("Deploy");

    harbour.end(0).await;
    let release = harbour.release(3).await;
    assert_eq!(release["status"], "succeeded");
    assert_eq!(release["current"], true);
    assert_eq!(release["output_stream_url"], pending["output_stream_url"]);
    assert_eq!(harbour.web(), ["web.1 v3"]);
    let told = harbour.told().await;
    let at = |text: &str| {
        told.find(text)
            .unwrap_or_else(|| panic!("no {text} in {told}"))
    };
    assert!(
        at("Release v3 created by user ann@example.com")
            < at("Running release v3 commands by user ann@example.com")
    );
    assert!(at("Running release v3") < at("Starting process with command `migrate`"));
    assert!(
        at("State changed from up to complete")
            < at("Scaled to release@0:Basic web@1:Basic by user ann@example.com")
    );
}

#[tokio::test]
async fn a_command_that_fails_leaves_what_ran_running() {
    let harbour = Harbour::new().await;
    let build = harbour.deploy("migrate two").await;
    assert_eq!(harbour.web(), ["web.1 v3"]);
    harbour.end(7).await;
    let failed = harbour.release(4).await;
    assert_eq!(failed["status"], "failed");
    assert_eq!(failed["id"], build["release"]["id"]);
    assert_eq!(failed["eligible_for_rollback"], false);
    assert_eq!(harbour.current().await, 3);
    assert_eq!(harbour.web(), ["web.1 v3"]);
    let formation = harbour.ann.get("/apps/harbour/formation/web").await.ok();
    assert_eq!(formation["command"], "serve migrate one");
    let build = harbour
        .ann
        .get(format!("/apps/harbour/builds/{}", id(&build)))
        .await;
    assert_eq!(build.ok()["status"], "succeeded");
    let output = failed["output_stream_url"].as_str().unwrap();
    let reason = "The release command of v4 ended with exit status 7.";
    assert!(harbour.ann.get(output).await.text().contains(reason));
    assert!(harbour.told().await.contains(reason));
    harbour
        .ann
        .post(RELEASES, json!({"release": 4}))
        .await
        .invalid("nothing to roll back to");
    // What is run by hand is run in the release that counts.
    let run = harbour
        .ann
        .post("/apps/harbour/dynos", json!({"command": "web"}))
        .await;
    let run = run.created();
    assert_eq!(run["release"]["version"], 3);
    assert_eq!(run["command"], "serve migrate one");
}

#[tokio::test]
async fn config_vars_of_a_failed_release_stay_and_the_next_one_has_them() {
    let harbour = Harbour::new().await;
    harbour.ann.patch(VARS, json!({"A": "1"})).await.ok();
    harbour.server.settle().await;
    assert_eq!(harbour.release(4).await["status"], "pending");
    let launch = harbour.server.dynos.one("harbour", "web.1");
    assert!(!launch.config_vars.contains_key("A"));
    harbour.end(1).await;
    assert_eq!(harbour.ann.get(VARS).await.ok()["A"], "1");
    harbour.ann.patch(VARS, json!({"B": "2"})).await.ok();
    harbour.server.settle().await;
    harbour.end(0).await;
    assert_eq!(harbour.statuses().await, "succeeded failed succeeded");
    let launch = harbour.server.dynos.one("harbour", "web.1");
    assert_eq!(launch.config_vars["A"], "1");
    assert_eq!(launch.config_vars["B"], "2");
    assert_eq!(launch.command, "serve migrate one");
}

#[tokio::test]
async fn the_command_has_the_code_and_the_config_of_the_release_that_it_is_for() {
    let harbour = Harbour::new().await;
    harbour.ann.patch(VARS, json!({"A": "1"})).await.ok();
    harbour.server.settle().await;
    let launch = harbour.server.dynos.one("harbour", &harbour.name());
    assert_eq!(launch.config_vars["A"], "1");
    assert_eq!(launch.release_version, 4);
    assert_eq!(launch.command, "migrate one");
    assert_eq!(launch.output, Id::parse(&id(&harbour.release(4).await)));
    let web = harbour.server.dynos.one("harbour", "web.1");
    assert_eq!(web.slug, launch.slug);
    harbour.end(0).await;
    harbour.deploy("migrate two").await;
    let launch = harbour.server.dynos.one("harbour", &harbour.name());
    assert_ne!(launch.slug, web.slug);
}

#[tokio::test]
async fn releases_wait_for_one_another_and_take_the_slug_of_the_last_that_succeeded() {
    let harbour = Harbour::new().await;
    harbour.deploy("migrate two").await;
    harbour.ann.patch(VARS, json!({"A": "1"})).await.ok();
    harbour.server.settle().await;
    harbour.deploy("migrate three").await;
    harbour.ann.patch(VARS, json!({"A": "2"})).await.ok();
    harbour.server.settle().await;
    assert_eq!(
        harbour.statuses().await,
        "succeeded pending pending pending pending"
    );
    assert_eq!(harbour.command(), "migrate two");
    harbour.end(1).await;
    // The change of config runs the slug that is there, since the newer one failed.
    assert_eq!(harbour.command(), "migrate one");
    assert_eq!(
        harbour.release(5).await["slug"],
        harbour.release(3).await["slug"]
    );
    harbour.end(0).await;
    assert_eq!(harbour.web(), ["web.1 v5"]);
    assert_eq!(harbour.command(), "migrate three");
    harbour.end(0).await;
    assert_eq!(harbour.command(), "migrate three");
    harbour.end(0).await;
    assert_eq!(
        harbour.statuses().await,
        "succeeded failed succeeded succeeded succeeded"
    );
    assert_eq!(harbour.web(), ["web.1 v7"]);
    let web = harbour.server.dynos.one("harbour", "web.1");
    assert_eq!(web.command, "serve migrate three");
    assert_eq!(web.config_vars["A"], "2");
    assert_eq!(
        harbour.release(7).await["slug"],
        harbour.release(6).await["slug"]
    );
}

#[tokio::test]
async fn a_release_without_a_command_waits_for_one_with_a_command() {
    let harbour = Harbour::new().await;
    harbour.deploy("migrate two").await;
    let plain = gz(&[("Procfile", "web: plain")]);
    harbour.server.deploy(&harbour.ann, "harbour", &plain).await;
    assert_eq!(harbour.statuses().await, "succeeded pending pending");
    assert_eq!(harbour.release(5).await["output_stream_url"], Value::Null);
    harbour.end(0).await;
    assert_eq!(harbour.statuses().await, "succeeded succeeded succeeded");
    assert_eq!(harbour.current().await, 5);
    assert_eq!(
        harbour.server.dynos.one("harbour", "web.1").command,
        "plain"
    );
    let formation = harbour.ann.get("/apps/harbour/formation").await;
    assert_eq!(formation.each("type"), ["web"]);
}

#[tokio::test]
async fn a_rollback_and_a_slug_that_is_named_run_it_too() {
    let harbour = Harbour::new().await;
    harbour.deploy("migrate two").await;
    harbour.end(0).await;
    let made = harbour
        .ann
        .post(RELEASES, json!({"release": 3}))
        .await
        .created();
    assert_eq!(made["status"], "pending");
    assert_eq!(made["current"], false);
    assert!(made["output_stream_url"].is_string());
    harbour.server.settle().await;
    assert_eq!(harbour.command(), "migrate one");
    assert_eq!(harbour.web(), ["web.1 v4"]);
    harbour.end(0).await;
    assert_eq!(harbour.web(), ["web.1 v5"]);
    let slug = harbour.release(4).await["slug"]["id"].clone();
    let made = harbour
        .ann
        .post(RELEASES, json!({ "slug": slug }))
        .await
        .created();
    assert_eq!(made["status"], "pending");
    harbour.server.settle().await;
    assert_eq!(harbour.command(), "migrate two");
    harbour.end(3).await;
    assert_eq!(harbour.web(), ["web.1 v5"]);
}

#[tokio::test]
async fn the_release_process_is_sized_and_never_scaled() {
    let harbour = Harbour::new().await;
    let path = "/apps/harbour/formation/release";
    let scale = harbour.ann.patch(path, json!({"quantity": 1})).await;
    scale.invalid("cannot be scaled");
    let size = json!({"size": "standard-2x"});
    harbour.ann.patch(path, size).await.ok();
    harbour.ann.patch(VARS, json!({"A": "1"})).await.ok();
    harbour.server.settle().await;
    let launch = harbour.server.dynos.one("harbour", &harbour.name());
    assert_eq!(launch.size, "Standard-2X");
}

#[tokio::test]
async fn an_output_is_read_by_its_own_signed_url_alone() {
    let harbour = Harbour::new().await;
    let url = harbour.release(3).await["output_stream_url"].clone();
    let url = url.as_str().unwrap();
    let nobody = harbour.server.nobody();
    assert_eq!(nobody.get(url).await.status, 200);
    let (path, _) = url.split_once('?').unwrap();
    assert_eq!(nobody.get(path).await.status, 403);
    assert_eq!(harbour.release(2).await["output_stream_url"], Value::Null);
    let shown = "http://127.0.0.1:9/hooks";
    let body = json!({"include": ["api:release"], "level": "notify", "url": shown});
    harbour
        .ann
        .post("/apps/harbour/webhooks", body)
        .await
        .created();
    harbour.ann.patch(VARS, json!({"A": "1"})).await.ok();
    let events = harbour.ann.get("/apps/harbour/webhook-events").await.list();
    let told = events[0]["payload"]["data"]["output_stream_url"]
        .as_str()
        .unwrap();
    assert!(told.ends_with(&id(&harbour.release(4).await)), "{told}");
    let other = url.replace(
        &id(&harbour.release(3).await),
        &id(&harbour.release(2).await),
    );
    assert_eq!(nobody.get(other).await.status, 403);
}
