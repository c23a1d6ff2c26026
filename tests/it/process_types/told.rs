//! What a build says of a Procfile whose lines are not what they seem.

use serde_json::json;

use crate::harness::{Client, Server, gz, id};

/// How a build with this Procfile has ended, and what it says.
async fn build(server: &Server, ann: &Client, procfile: &str) -> (String, String) {
    let source = gz(&[("Procfile", procfile)]);
    let build = ann.build("harbour", &source, "1").await;
    server.settle().await;
    let path = format!("/apps/harbour/builds/{}", id(&build));
    let build = ann.get(path).await.ok();
    let output = ann.get(build["output_stream_url"].as_str().unwrap()).await;
    let status = build["status"].as_str().unwrap().to_owned();
    (status, output.text())
}

#[tokio::test]
async fn a_line_without_a_colon_runs_as_on_heroku_and_its_author_hears_of_it() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let procfile = "# web first\nweb node server.js\n\nworker: node work.js\n";
    let (status, output) = build(&server, &ann, procfile).await;
    assert_eq!(status, "succeeded", "{output}");
    let told: Vec<&str> = output
        .lines()
        .filter(|line| line.starts_with(" !"))
        .collect();
    let [told] = told[..] else {
        panic!("{output}");
    };
    assert!(
        told.starts_with(" !     Line 2 of the Procfile has no colon"),
        "{told}"
    );
    assert!(told.contains("\"web: node server.js\""), "{told}");
    let web = ann.get("/apps/harbour/formation/web").await.ok();
    assert_eq!(web["command"], "node server.js");
    // One that is as it should be is nothing to speak of.
    let (_, output) = build(&server, &ann, &procfile.replace("web node", "web: node")).await;
    assert!(!output.contains(" !"), "{output}");
}

#[tokio::test]
async fn a_procfile_of_which_nothing_is_read_is_refused_with_what_it_should_be() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let source = gz(&[("Procfile", "web:node server.js\n")]);
    let body = json!({"source_blob": {"url": ann.upload(&source).await}});
    let refused = ann.post("/apps/harbour/builds", body).await;
    refused.invalid("The Procfile declares no process type. Line 1 ");
    refused.invalid("Write \"web: node server.js\".");
}
