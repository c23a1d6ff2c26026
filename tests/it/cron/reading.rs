//! What an app.json may ask for, and what fails a build in clear words.

use serde_json::{Value, json};

use super::{Harbour, JOBS, source};
use crate::harness::{Server, gz, id};

#[tokio::test]
async fn schedules_are_those_of_cron_in_utc() {
    let cron: Vec<Value> = [
        "0 0 * * *",
        "@hourly",
        "@weekly",
        "*/20 14-16 * * MON-FRI",
        "0 0 29 2 *",
        " 5 4 1 JAN * ",
        "30 9 * * 7",
    ]
    .iter()
    .map(|schedule| json!({"command": "x", "schedule": schedule}))
    .collect();
    let harbour = Harbour::with(Value::Array(cron)).await;
    // It is noon of Saturday, January 31, 2026.
    assert_eq!(
        harbour.ann.get(JOBS).await.each("next_run_at"),
        [
            "2026-02-01T00:00:00Z",
            "2026-01-31T13:00:00Z",
            "2026-02-01T00:00:00Z",
            "2026-02-02T14:00:00Z",
            "2028-02-29T00:00:00Z",
            "2027-01-01T04:05:00Z",
            "2026-02-01T09:30:00Z",
        ]
    );
}

/// The words with which the build of such a source fails.
async fn failed(bytes: &[u8]) -> String {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let build = ann.build("harbour", bytes, "1").await;
    server.settle().await;
    let path = format!("/apps/harbour/builds/{}", id(&build));
    assert_eq!(ann.get(path).await.ok()["status"], "failed");
    let output = build["output_stream_url"].as_str().unwrap();
    ann.get(output).await.text()
}

async fn refused(cron: Value, words: &[&str]) {
    let output = failed(&source(&cron, "x")).await;
    for words in words {
        assert!(output.contains(words), "no {words} in {output}");
    }
}

#[tokio::test]
async fn what_cannot_be_is_named_entry_by_entry() {
    let good = json!({"command": "x", "schedule": "@daily"});
    refused(
        json!([
            good,
            {"command": "x", "schedule": "61 * * * *"},
            {"command": "x", "schedule": "* * * * * *"},
            {"command": "x", "schedule": "@reboot"},
            {"command": "x", "schedule": "0 0 31 2 *"},
            {"command": " ", "schedule": "@daily"},
            {"command": "x"},
            {"command": "x", "schedule": "@daily", "concurrency_policy": "Maybe"},
            {"command": "y", "schedule": "@daily", "suspended": "no"},
            good,
            7,
        ]),
        &[
            "cron[1].schedule: \"61 * * * *\" cannot be read; a schedule is five fields",
            "cron[2].schedule",
            "cron[3].schedule",
            "cron[4].schedule: \"0 0 31 2 *\" is a day that never comes",
            "cron[5].command must be a string",
            "cron[6].schedule must be a string",
            "cron[7].concurrency_policy must be Allow, Forbid or Replace",
            "cron[8].suspended must be true or false",
            "cron[9] has the command and the schedule of another entry",
            "cron[10] must be an object",
        ],
    )
    .await;
    refused(json!({"command": "x"}), &["cron must be a list"]).await;
    let many = vec![good; 101];
    refused(json!(many), &["more than 100"]).await;
    let long = json!([{"command": "x".repeat(8_193), "schedule": "@daily"}]);
    refused(long, &["8192"]).await;
    let long = json!([{"command": "x", "schedule": "*/1,".repeat(100)}]);
    refused(long, &["longer than 200 bytes"]).await;
}

#[tokio::test]
async fn a_file_that_is_no_json_stops_a_build_only_if_cron_jobs_may_stand_in_it() {
    let broken = |manifest: &str| gz(&[("Procfile", "web: x"), ("app.json", manifest)]);
    for manifest in [r#"{"cron": [],}"#, r#"{"healthchecks": {},}"#] {
        let output = failed(&broken(manifest)).await;
        assert!(output.contains("app.json is not valid JSON"), "{output}");
    }
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let manifest = "{\n  // As people write it.\n  \"name\": \"harbour\",\n}";
    let build = server.deploy(&ann, "harbour", &broken(manifest)).await;
    let output = build["output_stream_url"].as_str().unwrap();
    let output = ann.get(output).await.text();
    assert!(output.contains("app.json is not valid JSON"), "{output}");
    assert!(output.contains("passed over"), "{output}");
    assert_eq!(ann.newest_release("harbour").await["status"], "succeeded");
    let slug = json!({"process_types": {"web": "x"}});
    let slug = ann.post("/apps/harbour/slugs", slug).await.created();
    let put = slug["blob"]["url"].as_str().unwrap();
    ann.put(put, &gz(&[("app/app.json", manifest)])).await.ok();
}

#[tokio::test]
async fn a_slug_whose_cron_jobs_cannot_be_is_refused() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let types = json!({"process_types": {"web": "x"}});
    let slug = ann
        .post("/apps/harbour/slugs", types.clone())
        .await
        .created();
    let manifest = json!({"cron": [{"command": "x", "schedule": "never"}]}).to_string();
    let put = slug["blob"]["url"].as_str().unwrap();
    let answer = ann.put(put, &gz(&[("app/app.json", &manifest)])).await;
    answer.invalid("cron[0].schedule");
    // One that is good is taken along.
    let slug = ann.post("/apps/harbour/slugs", types).await.created();
    let manifest = json!({"cron": [{"command": "x", "schedule": "@daily"}]}).to_string();
    let put = slug["blob"]["url"].as_str().unwrap();
    ann.put(put, &gz(&[("app/app.json", &manifest)])).await.ok();
    let release = json!({"slug": id(&slug)});
    ann.post("/apps/harbour/releases", release).await.created();
    assert_eq!(ann.get(JOBS).await.each("schedule"), ["@daily"]);
}

#[tokio::test]
async fn an_app_json_that_asks_for_other_things_is_none_of_this() {
    let harbour = Harbour::with(json!(null)).await;
    assert_eq!(harbour.ann.get(JOBS).await.list().len(), 0);
    let manifest = r#"{"addons": ["nothing:here"], "formation": 7}"#;
    let files = [("Procfile", "web: x"), ("app.json", manifest)];
    harbour
        .server
        .deploy(&harbour.ann, "harbour", &gz(&files))
        .await;
    assert_eq!(harbour.ann.get(JOBS).await.list().len(), 0);
}

#[tokio::test]
async fn a_setup_names_them_among_the_faults_of_its_manifest() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let cron = json!([{"command": "x", "schedule": "never"}]);
    let url = ann.upload(&source(&cron, "x")).await;
    let body = json!({"source_blob": {"url": url}});
    let setup = ann.post("/app-setups", body).await.expect(202);
    server.settle().await;
    let setup = ann.get(format!("/app-setups/{}", id(&setup))).await.ok();
    let fault = setup["manifest_errors"][0].as_str().unwrap();
    assert!(fault.starts_with("cron[0].schedule"), "{setup}");
}
