//! What a person does with apps, in a call each.

use serde_json::{Value, json};

use tokio::time::timeout;

use super::{Client, HANG, Lost};

impl Client {
    pub async fn create_app(&self, name: &str) -> Value {
        self.post("/apps", json!({"name": name})).await.expect(201)
    }

    /// Uploads a tarball and builds it; the build, which must have succeeded.
    pub async fn deploy(&self, app: &str, tarball: Vec<u8>) -> Value {
        let (build, output) = self.build(app, tarball, Some("application/gzip")).await;
        assert_eq!(build["status"], "succeeded", "{output}");
        build
    }

    /// Uploads a tarball and builds it; the ended build, with its output.
    pub async fn build(
        &self,
        app: &str,
        tarball: Vec<u8>,
        content_type: Option<&str>,
    ) -> (Value, String) {
        let source = self.post("/sources", Value::Null).await.expect(201);
        let source = &source["source_blob"];
        let put_url = source["put_url"].as_str().unwrap();
        let uploaded = self.put(put_url, content_type, tarball).await.unwrap();
        assert_eq!(uploaded.status, 200, "{}", uploaded.text());
        let wanted = json!({"source_blob": {"url": source["get_url"], "version": "0123456789ab"}});
        let path = format!("/apps/{app}/builds");
        let build = self.post(&path, wanted).await.expect(201);
        assert_eq!(build["status"], "pending");
        let url = build["output_stream_url"].as_str().unwrap();
        let output = self.read(url).await.unwrap().text();
        let id = build["id"].as_str().unwrap();
        let ended = self.get(format!("{path}/{id}")).await.expect(200);
        (ended, output)
    }

    /// Couples an app to a pipeline.
    pub async fn couple(&self, pipeline: &Value, app: &str, stage: &str) -> Value {
        let coupling = json!({"app": app, "pipeline": pipeline["id"], "stage": stage});
        self.post("/pipeline-couplings", coupling).await.expect(201)
    }

    /// Promotes, and waits until that is completed: the promotion's targets.
    pub async fn promote(&self, pipeline: &Value, source: &str, targets: &[&str]) -> Vec<Value> {
        let mut ids = Vec::new();
        for target in targets {
            ids.push(self.get(format!("/apps/{target}")).await.expect(200)["id"].clone());
        }
        let source_id = self.get(format!("/apps/{source}")).await.expect(200)["id"].clone();
        let promotion = json!({
            "pipeline": {"id": pipeline["id"]},
            "source": {"app": {"id": source_id}},
            "targets": ids.iter().map(|id| json!({"app": {"id": id}})).collect::<Vec<_>>(),
        });
        let promotion = self
            .post("/pipeline-promotions", promotion)
            .await
            .expect(201);
        let path = format!("/pipeline-promotions/{}", promotion["id"].as_str().unwrap());
        let completed = async |promotion: &Value| promotion["status"] == "completed";
        self.watch(targets[0], &path, completed).await.unwrap();
        let targets = self.get(format!("{path}/promotion-targets")).await;
        targets.expect(200).as_array().unwrap().clone()
    }

    /// Waits until all dynos of an app are up and of its newest release, and there are so many; the dynos.
    pub async fn dynos(&self, app: &str, count: usize) -> Value {
        self.try_dynos(app, count).await.unwrap()
    }

    pub async fn try_dynos(&self, app: &str, count: usize) -> Result<Value, Lost> {
        let releases = self
            .try_call("GET", format!("/apps/{app}/releases"), Value::Null)
            .await?;
        let releases = releases.expect(200);
        let newest = releases.as_array().unwrap().last().unwrap()["id"].clone();
        let up = async |dynos: &Value| {
            let dynos = dynos.as_array().unwrap();
            let up = |dyno: &Value| dyno["state"] == "up" && dyno["release"]["id"] == newest;
            dynos.len() == count && dynos.iter().all(up)
        };
        self.watch(app, &format!("/apps/{app}/dynos"), up).await
    }

    /// Waits until what is at `path` is as wanted. It is looked at again with each line of the app's log, since each change is
    /// followed by one.
    pub async fn watch(
        &self,
        app: &str,
        path: &str,
        wanted: impl AsyncFn(&Value) -> bool,
    ) -> Result<Value, Lost> {
        let mut tail = self.tail(app, 0).await?;
        loop {
            let seen = self.try_call("GET", path, Value::Null).await?.expect(200);
            if wanted(&seen).await {
                return Ok(seen);
            }
            tail.next().await?;
        }
    }

    /// Visits an app again and again until it answers so, since the router learns of a change just after the API has answered.
    pub async fn visit_until(&self, app: &str, status: u16, text: &str) -> String {
        self.try_visit_until(app, status, text).await.unwrap()
    }

    pub async fn try_visit_until(
        &self,
        app: &str,
        status: u16,
        text: &str,
    ) -> Result<String, Lost> {
        let mut last = String::new();
        let visits = async {
            loop {
                let page = self.try_visit(app, "/").await?;
                last = page.text();
                if page.status == status && last.contains(text) {
                    return Ok(());
                }
            }
        };
        match timeout(HANG, visits).await {
            Ok(came) => came.map(|()| last),
            Err(_) => panic!("{app} never answers {status} {text}, but {last}"),
        }
    }
}
