//! Archives that must be refused, as sources and as slugs.

use penstock::blob::Digest;
use serde_json::json;

use super::Before;
use crate::archive::raw::Tar;
use crate::harness::{gz, id, web_app};

#[tokio::test]
async fn a_checksum_that_is_not_the_uploads() {
    let mut before = Before::new().await;
    let url = before.upload(&web_app()).await;
    for (checksum, words) in [
        (Digest::of(b"other").checksum(), "does not match"),
        ("SHA256:00".to_owned(), "64 hex digits"),
        ("MD5:d41d8cd98f00b204e9800998ecf8427e".to_owned(), "SHA256"),
        (String::new(), "SHA256"),
    ] {
        let blob = json!({"url": url, "checksum": checksum});
        before.build(blob).await.invalid(words);
    }
    before.unchanged();
    let right = Digest::of(&web_app()).checksum().to_uppercase();
    let blob = json!({"url": url, "checksum": right});
    before.build(blob).await.created();
}

#[tokio::test]
async fn a_source_that_is_no_whole_gzip_tar_file() {
    let mut before = Before::new().await;
    let whole = web_app();
    before.refuses(b"PK\x03\x04 a zip file", "gzip").await;
    before.refuses(b"web: serve\n", "gzip").await;
    before.refuses(&whole[..whole.len() - 9], "cut short").await;
    before.refuses(&whole[..20], "cut short").await;
    let mut flipped = whole.clone();
    let last = flipped.len() - 6;
    flipped[last] ^= 1;
    before.refuses(&flipped, "damaged").await;
}

#[tokio::test]
async fn a_source_with_nothing_to_run() {
    let mut before = Before::new().await;
    before
        .refuses(&gz(&[("README", "x")]), "There is no Procfile")
        .await;
    before
        .refuses(
            &gz(&[("a/Procfile", "web: x"), ("b", "")]),
            "There is no Procfile",
        )
        .await;
    before
        .refuses(
            &gz(&[("Procfile", "# later\n")]),
            "declares no process type",
        )
        .await;
    before
        .refuses(&gz(&[("package.json", "{}")]), "no start script")
        .await;
    before
        .refuses(&gz(&[("package.json", "{")]), "not valid JSON")
        .await;
    before
        .refuses(&Tar::new().folder("Procfile/").gz(), "Procfile")
        .await;
}

/// Archives whose tree stands at `root`, each with an entry that would end up outside of it.
fn escapes(root: &str) -> Vec<Vec<u8>> {
    let at = |name: &str| format!("{root}{name}");
    let app = || Tar::new().file(at("Procfile"), "web: x");
    let link = |name: &str, target: &str| app().symlink(at(name), target);
    [
        app().file(at("../outside"), "x"),
        app().file(at("a/../../outside"), "x"),
        app().file(at(".."), "x"),
        app().file("/etc/outside", "x"),
        link("out", "/etc").file(at("out/outside"), "x"),
        link("out", "..").file(at("out/outside"), "x"),
        link("a", ".")
            .symlink(at("a/out"), "..")
            .file(at("out/outside"), "x"),
        app().hard_link(at("passwd"), "/etc/passwd"),
        app().hard_link(at("outside"), at("../outside")),
        link("out", "/etc").hard_link(at("passwd"), at("out/passwd")),
    ]
    .map(Tar::gz)
    .to_vec()
}

#[tokio::test]
async fn an_entry_that_leaves_the_tree_of_a_source() {
    let mut before = Before::new().await;
    for source in escapes("") {
        before.refuses(&source, "").await;
    }
}

#[tokio::test]
async fn an_entry_that_leaves_the_tree_of_a_slug() {
    let mut before = Before::new().await;
    let types = json!({"process_types": {"web": "x"}});
    let slug = before.ann.post("/apps/harbour/slugs", types).await;
    let slug = slug.created();
    before.now();
    for (at, archive) in escapes("./app/").iter().enumerate() {
        let put = slug["blob"]["url"].as_str().unwrap();
        let refused = before.ann.put(put, archive).await;
        assert_eq!(refused.status, 422, "{at}: {refused:?}");
    }
    before.unchanged();
}

#[tokio::test]
async fn an_entry_that_leaves_the_tree_of_a_source_from_elsewhere() {
    let mut before = Before::new().await;
    for source in escapes("") {
        let url = before.upload(&source).await;
        let elsewhere = url.replace("127.0.0.1", "localhost");
        let build = before.build(json!({ "url": elsewhere })).await.created();
        before.server.settle().await;
        let path = format!("/apps/harbour/builds/{}", id(&build));
        assert_eq!(before.ann.get(path).await.ok()["status"], "failed");
    }
    assert_eq!(before.ann.newest_release("harbour").await["version"], 2);
    assert!(before.server.dynos.running().is_empty());
}
