//! Sources: uploads under signed URLs, and the bytes that come back.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Client, Server, web_app};

async fn urls(client: &Client, path: &str) -> (String, String) {
    let source = client.post(path, json!({})).await.created();
    let blob = source["source_blob"].as_object().unwrap();
    assert_eq!(blob.len(), 2, "{source}");
    assert_eq!(source.as_object().unwrap().len(), 1, "{source}");
    let url = |name: &str| blob[name].as_str().unwrap().to_owned();
    (url("put_url"), url("get_url"))
}

#[tokio::test]
async fn what_was_uploaded_comes_back() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    for path in ["/sources", "/apps/harbour/sources"] {
        let (put, get) = urls(&ann, path).await;
        assert_eq!(ann.put(&put, &web_app()).await.text(), "");
        let back = ann.get(&get).await;
        assert_eq!(back.status, 200);
        assert_eq!(back.body, web_app());
        assert_eq!(back.header("content-length"), web_app().len().to_string());
        let head = ann.head(&get).await;
        assert_eq!(head.header("content-length"), web_app().len().to_string());
        assert!(head.body.is_empty());
    }
}

#[tokio::test]
async fn an_upload_needs_its_url_and_nothing_else() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let (put, get) = urls(&ann, "/sources").await;
    // As curl -T sends it, and as a form.
    for kind in [None, Some("application/x-www-form-urlencoded")] {
        let request = server.nobody().request("PUT", &put);
        let request = match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        };
        request.body(web_app()).send().await.ok();
        assert_eq!(server.nobody().get(&get).await.body, web_app());
    }
}

#[tokio::test]
async fn a_later_upload_replaces_an_earlier_one() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let (put, get) = urls(&ann, "/sources").await;
    ann.get(&get).await.missing("blob");
    ann.put(&put, b"first").await.ok();
    ann.put(&put, b"second").await.ok();
    assert_eq!(ann.get(&get).await.text(), "second");
}

#[tokio::test]
async fn equal_uploads_are_one_file() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let mut etags = Vec::new();
    for _ in 0..2 {
        let (put, get) = urls(&ann, "/sources").await;
        ann.put(&put, b"the same").await.ok();
        etags.push(ann.get(&get).await.header("etag").to_owned());
    }
    assert_eq!(etags[0], etags[1]);
}

#[tokio::test]
async fn both_urls_die_after_an_hour() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let (put, get) = urls(&ann, "/sources").await;
    server.pass(Duration::from_secs(3599));
    ann.put(&put, b"in time").await.ok();
    server.pass(Duration::from_secs(1));
    let before = server.dump();
    ann.put(&put, b"late")
        .await
        .refused(403, "forbidden", "expired");
    ann.get(&get).await.refused(403, "forbidden", "expired");
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_url_is_for_one_method_one_source_and_one_time() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let (put, get) = urls(&ann, "/sources").await;
    let (other, _) = urls(&ann, "/sources").await;
    ann.put(&put, b"kept").await.ok();
    let before = server.dump();
    let (path, query) = put.split_once('?').unwrap();
    let (other_path, other_query) = other.split_once('?').unwrap();
    for altered in [
        path.to_owned(),
        format!("{path}?{other_query}"),
        format!("{other_path}?{query}"),
        put.replace("expires=1", "expires=2"),
        put.replace("signature=", "signature=0"),
        format!("{put}&x=1"),
    ] {
        ann.put(&altered, b"swapped")
            .await
            .refused(403, "forbidden", "altered");
    }
    ann.put(&get, b"swapped")
        .await
        .refused(403, "forbidden", "it is for GET");
    ann.get(&put)
        .await
        .refused(403, "forbidden", "it is for PUT");
    assert_eq!(server.dump(), before);
    assert_eq!(ann.get(&get).await.text(), "kept");
}

#[tokio::test]
async fn an_empty_upload_is_refused() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let (put, get) = urls(&ann, "/sources").await;
    ann.put(&put, b"").await.invalid("empty");
    ann.get(&get).await.missing("blob");
}
