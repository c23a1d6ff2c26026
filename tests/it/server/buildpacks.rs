//! Buildpacks that the operator keeps on this machine: from the command that keeps one to the app that is built with it.

use serde_json::json;

use crate::archive::raw::Tar;
use crate::binary::sample::idle_app;
use crate::binary::{Client, Place, Server, penstock};

/// What `penstock buildpack` prints.
fn ran(place: &Place, arguments: &[&str]) -> String {
    let mut command = penstock(&["buildpack"]);
    command.args(arguments).arg("--data-dir").arg(place.data());
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

async fn built(client: &Client) -> (String, String) {
    let gzip = Some("application/gzip");
    let (build, output) = client.build("app", idle_app(), gzip).await;
    (build["status"].as_str().unwrap().to_owned(), output)
}

#[tokio::test]
async fn a_buildpack_that_was_imported_builds_the_apps_that_name_it_until_it_is_removed() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    let archive = place.path("pack.tgz");
    let pack = Tar::new()
        .file("bin/detect", "#!/bin/sh\necho Kept\n")
        .file("bin/compile", "#!/bin/sh\necho compiled by what is kept\n");
    std::fs::write(&archive, pack.gz()).unwrap();
    let said = ran(
        &place,
        &["import", "heroku/kept", archive.to_str().unwrap()],
    );
    assert!(said.starts_with("heroku/kept is kept: "), "{said}");
    assert!(ran(&place, &["list"]).contains("heroku/kept"));
    client.create_app("app").await;
    let wanted = json!({"updates": [{"buildpack": "heroku/kept"}]});
    let path = "/apps/app/buildpack-installations";
    client.call("PUT", path, wanted).await.expect(200);
    let (status, output) = built(&client).await;
    assert_eq!(status, "succeeded", "{output}");
    let told =
        "-----> Using buildpack: heroku/kept\n-----> Kept app detected\ncompiled by what is kept\n";
    assert!(output.contains(told), "{output}");
    ran(&place, &["remove", "heroku/kept"]);
    let (status, output) = built(&client).await;
    assert_eq!(status, "failed", "{output}");
    let remedy = "penstock buildpack import heroku/kept PATH";
    assert!(output.contains(remedy), "{output}");
}

#[tokio::test]
async fn where_names_are_looked_for_elsewhere_none_means_what_is_built_in() {
    let place = Place::new();
    let elsewhere = ["--buildpack-registry", "http://127.0.0.1:9"];
    let server = Server::start(place.command(&elsewhere), &place.log());
    let found = server.client().get("/buildpacks").await.expect(200);
    assert_eq!(found, json!([]));
}
