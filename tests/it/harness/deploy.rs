//! From files in memory to an app that runs.

use serde_json::{Value, json};

use super::{Client, Server, id};
use crate::archive::raw::Tar;

/// A source with these files, as a tar.gz.
pub fn gz(files: &[(&str, &str)]) -> Vec<u8> {
    let add = |tar: Tar, (name, text): &(&str, &str)| tar.file(name, text);
    files.iter().fold(Tar::new(), add).gz()
}

/// An app with one web process and one worker.
pub fn web_app() -> Vec<u8> {
    gz(&[("Procfile", "web: serve --port $PORT\nworker: work --hard\n")])
}

impl Client {
    /// Makes an app, which the API shows.
    pub async fn app(&self, name: &str) -> Value {
        self.post("/apps", json!({ "name": name })).await.created()
    }

    /// Uploads a source, and gives the URL to build it from.
    pub async fn upload(&self, bytes: &[u8]) -> String {
        let source = self.post("/sources", json!({})).await.created();
        let url = |name: &str| source["source_blob"][name].as_str().unwrap().to_owned();
        self.put(url("put_url"), bytes).await.ok();
        url("get_url")
    }

    /// Asks for a build of these bytes, which nobody has begun yet.
    pub async fn build(&self, app: &str, bytes: &[u8], version: &str) -> Value {
        let url = self.upload(bytes).await;
        let body = json!({ "source_blob": { "url": url, "version": version } });
        self.post(format!("/apps/{app}/builds"), body)
            .await
            .created()
    }

    /// A pipeline.
    pub async fn pipeline(&self, name: &str) -> Value {
        self.post("/pipelines", json!({ "name": name }))
            .await
            .created()
    }

    /// Puts an app into a pipeline.
    pub async fn couple(&self, app: &str, pipeline: &Value, stage: &str) -> Value {
        let body = json!({ "app": app, "pipeline": id(pipeline), "stage": stage });
        self.post("/pipeline-couplings", body).await.created()
    }

    /// The newest release.
    pub async fn newest_release(&self, app: &str) -> Value {
        let newest = "version ..; max=1, order=desc";
        let page = self.range(&format!("/apps/{app}/releases"), newest).await;
        page.expect(page.status)[0].clone()
    }
}

impl Server {
    /// Builds these bytes and runs what comes of it. The build, once it has ended well.
    pub async fn deploy(&self, client: &Client, app: &str, bytes: &[u8]) -> Value {
        let build = client.build(app, bytes, "0123456789abcdef").await;
        self.settle().await;
        let build = client
            .get(format!("/apps/{app}/builds/{}", id(&build)))
            .await;
        let build = build.ok();
        assert_eq!(build["status"], "succeeded", "{build}");
        build
    }

    /// An app that runs [`web_app`].
    pub async fn running_app(&self, client: &Client, app: &str) -> Value {
        client.app(app).await;
        self.deploy(client, app, &web_app()).await
    }
}
