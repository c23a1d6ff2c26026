//! A run of a job as a real process.

use serde_json::json;

use crate::binary::Place;
use crate::binary::sample::tarball;

#[tokio::test]
async fn a_job_that_is_asked_for_prints_to_the_log_and_is_over() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    client.create_app("app").await;
    let cron = json!({"command": "echo tidied by $DYNO; exit 2", "schedule": "@yearly"});
    let manifest = json!({ "cron": [cron] }).to_string();
    let files = [("Procfile", "worker: true\n"), ("app.json", &manifest)];
    client.deploy("app", tarball(&files)).await;
    let jobs = client.get("/apps/app/cron-jobs").await.expect(200);
    let job = jobs[0]["id"].as_str().unwrap();
    let run = format!("/apps/app/cron-jobs/{job}/actions/run");
    let run = client.post(run, json!({})).await.expect(201);
    let path = format!("/apps/app/cron-runs/{}", run["id"].as_str().unwrap());
    let failed = async |run: &serde_json::Value| run["status"] == "failed";
    let run = client.watch("app", &path, failed).await.unwrap();
    assert_eq!(run["exit_code"], 2);
    let name = run["dyno"]["name"].as_str().unwrap();
    let logs = client.logs("app").await;
    assert!(
        logs.contains(&format!("app[{name}]: tidied by {name}")),
        "{logs}"
    );
}
