//! Visitors while builds take all of the machine that they can get.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::archive::raw::Tar;
use crate::binary::sample::PERL;
use crate::binary::{Client, Place};

/// Keeps every processor and the disk busy without end, and says when it does.
const BURN: &str = "#!/bin/bash
for core in $(seq $(nproc)) one more; do (while :; do :; done) & done
(while :; do head -c 8000000 /dev/zero > $1/burnt; sync $1/burnt; done) &
echo burning
wait
";

const AT_ONCE: usize = 2;
const VISITORS: usize = 4;
const VISITS: usize = 100;

/// Begins such a build; what it is called by.
async fn burn(client: &Client, app: &str) -> (String, Value) {
    client.create_app(app).await;
    let archive = Tar::new()
        .file("Procfile", "web: x\n")
        .file("bin/detect", "#!/bin/sh\necho Burner\n")
        .file("bin/compile", BURN)
        .gz();
    let source = client.post("/sources", Value::Null).await.expect(201);
    let source = &source["source_blob"];
    let put_url = source["put_url"].as_str().unwrap();
    client.put(put_url, None, archive).await.unwrap();
    let wanted = json!({"source_blob": {"url": source["get_url"]}});
    let path = format!("/apps/{app}/builds");
    let build = client.post(&path, wanted).await.expect(201);
    (format!("{path}/{}", build["id"].as_str().unwrap()), build)
}

#[tokio::test]
async fn every_visitor_is_answered_while_as_many_builds_as_may_run_take_all_that_they_can_get() {
    let place = Place::new();
    let at_once = AT_ONCE.to_string();
    let command = place.command(&[crate::binary::TIED, "--builds", &at_once]);
    let server = crate::binary::Server::start(command, &place.log());
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PERL.tarball("served")).await;
    client.visit_until("app", 200, "served").await;
    let mut builds = Vec::new();
    for at in 0..AT_ONCE {
        let (path, build) = burn(&client, &format!("burner-{at}")).await;
        let output = build["output_stream_url"].as_str().unwrap();
        let mut output = client.follow(output).await.unwrap();
        output.until("burning").await;
        builds.push(path);
    }
    // One more has to wait for its turn, which is not to be the visitors'.
    builds.push(burn(&client, "burner-last").await.0);
    let visits = (0..VISITORS).map(|_| async {
        for _ in 0..VISITS {
            let page = client.visit("app", "/").await;
            assert_eq!(page.status, 200);
            assert!(page.text().starts_with("served says"));
        }
    });
    join_all(visits).await;
    for build in &builds {
        let status = client.get(build).await.expect(200)["status"].clone();
        assert_eq!(status, "pending");
    }
    for build in &builds {
        client.delete(build).await.expect(200);
    }
}
