//! Two apps, deployed, configured, coupled, promoted and scaled, by a client that can be interrupted anywhere and begins again.
//!
//! It notes what was acknowledged, so that this can be held against the next server.

use serde_json::{Value, json};

use super::APP;
use crate::binary::{Client, Lost, Server, processes};

const STAGING: &str = "crash-staging";
const PRODUCTION: &str = "crash-production";
const PIPELINE: &str = "crash";
const COMMIT: &str = "0123456789abcdef";

/// What one client knows of one data directory.
#[derive(Default)]
pub struct Session {
    /// A path, a place in what is there, and what is there ever after.
    facts: Vec<(String, &'static str, Value)>,
    /// The path of the URL of what was uploaded.
    uploaded: Option<String>,
    promotion: Option<String>,
}

impl Session {
    /// From wherever it stands to the end.
    pub async fn run(&mut self, client: &Client) -> Result<(), Lost> {
        for app in [STAGING, PRODUCTION] {
            let path = format!("/apps/{app}");
            self.make(client, &path, "/apps", json!({"name": app}))
                .await?;
        }
        let vars = json!({"GREETING": "hello"});
        let path = format!("/apps/{PRODUCTION}/config-vars");
        client.try_call("PATCH", &path, vars).await?.expect(200);
        self.note(path, "/GREETING", json!("hello"));
        self.build(client).await?;
        let path = format!("/apps/{STAGING}/formation/worker");
        let scale = json!({"quantity": 1});
        client.try_call("PATCH", &path, scale).await?.expect(200);
        self.note(path, "/quantity", json!(1));
        let pipeline = json!({"name": PIPELINE});
        let path = format!("/pipelines/{PIPELINE}");
        self.make(client, &path, "/pipelines", pipeline).await?;
        for (app, stage) in [(STAGING, "staging"), (PRODUCTION, "production")] {
            let coupling = json!({"app": app, "pipeline": PIPELINE, "stage": stage});
            let path = format!("/apps/{app}/pipeline-couplings");
            self.make(client, &path, "/pipeline-couplings", coupling)
                .await?;
        }
        self.promote(client).await?;
        client.try_dynos(STAGING, 2).await?;
        client.try_dynos(PRODUCTION, 1).await?;
        let page = "crash says hello on web.1\n";
        client.try_visit_until(PRODUCTION, 200, page).await?;
        Ok(())
    }

    fn note(&mut self, path: String, pointer: &'static str, value: Value) {
        self.facts.push((path, pointer, value));
    }

    /// Makes what `path` shows, unless it is there from an attempt whose answer was lost.
    async fn make(
        &mut self,
        client: &Client,
        path: &str,
        collection: &str,
        new: Value,
    ) -> Result<(), Lost> {
        let there = client.try_call("GET", path, Value::Null).await?;
        let made = match there.status {
            404 => client.try_call("POST", collection, new).await?.expect(201),
            _ => there.expect(200),
        };
        self.note(path.to_owned(), "/id", made["id"].clone());
        Ok(())
    }

    async fn build(&mut self, client: &Client) -> Result<(), Lost> {
        let path = format!("/apps/{STAGING}/builds");
        let builds = client.try_call("GET", &path, Value::Null).await?;
        let build = match builds.expect(200).as_array().unwrap().first() {
            Some(build) => build.clone(),
            None => self.begin_build(client, &path).await?,
        };
        let build_path = format!("{path}/{}", build["id"].as_str().unwrap());
        self.note(build_path.clone(), "/id", build["id"].clone());
        let output = build["output_stream_url"].as_str().unwrap();
        let output = client.read(output).await?.text();
        let ended = client.try_call("GET", &build_path, Value::Null).await?;
        let ended = ended.expect(200);
        assert_eq!(ended["status"], "succeeded", "{output}");
        for place in ["/status", "/slug/id", "/release/id"] {
            let value = ended.pointer(place).unwrap().clone();
            self.note(build_path.clone(), place, value);
        }
        self.release(client, STAGING, 3).await
    }

    /// Waits until the release command of an app has ended, however often it was cut off.
    async fn release(&mut self, client: &Client, app: &str, version: u32) -> Result<(), Lost> {
        let path = format!("/apps/{app}/releases/{version}");
        let release = client.try_call("GET", &path, Value::Null).await?;
        let release = release.expect(200);
        let output = release["output_stream_url"].as_str().unwrap();
        let output = client.read(output).await?.text();
        assert!(output.contains("ready to run\n"), "{output}");
        let ended = client.try_call("GET", &path, Value::Null).await?;
        assert_eq!(ended.expect(200)["status"], "succeeded", "{output}");
        self.note(path.clone(), "/status", json!("succeeded"));
        self.note(path, "/id", release["id"].clone());
        Ok(())
    }

    async fn begin_build(&mut self, client: &Client, path: &str) -> Result<Value, Lost> {
        let source = client.try_call("POST", "/sources", Value::Null).await?;
        let source = source.expect(201)["source_blob"].clone();
        let [get_url, put_url] = ["get_url", "put_url"].map(|url| source[url].as_str().unwrap());
        let uploaded = client.put(put_url, None, APP.tarball("crash")).await?;
        assert_eq!(uploaded.status, 200, "{}", uploaded.text());
        self.uploaded = get_url.strip_prefix(&client.api).map(str::to_owned);
        let build = json!({"source_blob": {"url": get_url, "version": COMMIT}});
        Ok(client.try_call("POST", path, build).await?.expect(201))
    }

    async fn promote(&mut self, client: &Client) -> Result<(), Lost> {
        if self.promotion.is_none() {
            let promotion = json!({
                "pipeline": PIPELINE,
                "source": {"app": STAGING},
                "targets": [{"app": PRODUCTION}],
            });
            let made = client
                .try_call("POST", "/pipeline-promotions", promotion)
                .await?
                .expect(201);
            self.promotion = made["id"].as_str().map(str::to_owned);
        }
        let path = self.promotion_path();
        let completed = async |seen: &Value| seen["status"] == "completed";
        client.watch(PRODUCTION, &path, completed).await?;
        self.note(path, "/status", json!("completed"));
        self.release(client, PRODUCTION, 4).await
    }

    fn promotion_path(&self) -> String {
        format!("/pipeline-promotions/{}", self.promotion.as_ref().unwrap())
    }

    /// What the crash left. A promotion has no name to find it by, so whoever lost the answer has to be told.
    pub fn found_promotion(&mut self, found: Option<String>) {
        assert!(self.promotion.is_none() || self.promotion == found);
        self.promotion = found;
    }

    /// All that was acknowledged before holds now.
    pub async fn is_still_true(&self, client: &Client) {
        for (path, pointer, value) in &self.facts {
            let seen = client.get(path).await.expect(200);
            assert_eq!(seen.pointer(pointer), Some(value), "{path} is {seen}");
        }
        if let Some(uploaded) = &self.uploaded {
            let bytes = client.read(&format!("{}{uploaded}", client.api)).await;
            assert!(bytes.unwrap().body == APP.tarball("crash"));
        }
    }

    /// The end, the same for each run, however often it was interrupted.
    pub async fn has_converged(&self, server: &Server) {
        let client = server.client();
        self.is_still_true(&client).await;
        let common = ["Initial release", "Enable Logplex"];
        let staging = [&common[..], &["Deploy 01234567"]].concat();
        let promoted = format!("Promote {STAGING} v3 0123456");
        let production = [&common[..], &["Set GREETING config vars", &promoted]].concat();
        let mut running = Vec::new();
        for (app, expected, dynos) in [(STAGING, staging, 2), (PRODUCTION, production, 1)] {
            let releases = client
                .get(format!("/apps/{app}/releases"))
                .await
                .expect(200);
            let releases = releases.as_array().unwrap().iter();
            let made: Vec<(i64, &str)> = releases
                .map(|release| {
                    (
                        release["version"].as_i64().unwrap(),
                        release["description"].as_str().unwrap(),
                    )
                })
                .collect();
            let expected: Vec<(i64, &str)> = (1..).zip(expected).collect();
            assert_eq!(made, expected, "releases of {app}");
            let dynos = client.dynos(app, dynos).await;
            let dynos = dynos.as_array().unwrap().iter();
            running.extend(dynos.map(|dyno| (dyno["id"].as_str().unwrap().to_owned(), 1)));
        }
        running.sort();
        let processes: Vec<_> = processes::by_dyno(server.data()).into_iter().collect();
        assert_eq!(processes, running);
        let targets = format!("{}/promotion-targets", self.promotion_path());
        let targets = client.get(targets).await.expect(200);
        assert_eq!(targets.as_array().unwrap().len(), 1);
        assert_eq!(targets[0]["status"], "succeeded");
        let release = client.get(format!("/apps/{PRODUCTION}/releases/4")).await;
        assert_eq!(release.expect(200)["id"], targets[0]["release"]["id"]);
    }
}
