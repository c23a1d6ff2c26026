//! Slugs: made by builds, and made by hand.

use penstock::blob::Digest;
use serde_json::{Value, json};

use crate::harness::{Client, Server, gz, id, web_app};

const SLUGS: &str = "/apps/harbour/slugs";

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    (server, ann)
}

fn url(slug: &Value) -> &str {
    slug["blob"]["url"].as_str().unwrap()
}

fn bytes() -> Vec<u8> {
    gz(&[("./app/run", "echo ready")])
}

#[tokio::test]
async fn a_build_makes_a_slug_whose_bytes_can_be_fetched() {
    let (server, ann) = server().await;
    let build = server.deploy(&ann, "harbour", &web_app()).await;
    let slug = ann
        .get(format!("{SLUGS}/{}", id(&build["slug"])))
        .await
        .ok();
    assert_eq!(slug["commit"], "0123456789abcdef");
    assert_eq!(
        slug["process_types"],
        json!({"web": "serve --port $PORT", "worker": "work --hard"})
    );
    assert_eq!(slug["blob"]["method"], "get");
    let fetched = server.nobody().get(url(&slug)).await;
    assert_eq!(fetched.status, 200);
    assert_eq!(slug["size"], fetched.body.len());
    assert_eq!(slug["checksum"], Digest::of(&fetched.body).checksum());
    let listing = penstock::archive::inspect(
        fetched.body.as_ref(),
        &penstock::archive::Limits::slug(),
        penstock::archive::Strip::Prefix("app"),
        &["Procfile"],
    )
    .unwrap();
    assert!(listing.files.contains_key("Procfile"));
}

#[tokio::test]
async fn a_slug_made_by_hand_is_uploaded_released_and_run() {
    let (server, ann) = server().await;
    let body = json!({
        "process_types": {"web": "./run"}, "commit": "abc", "commit_description": "By hand",
        "buildpack_provided_description": "Make", "stack": "heroku-24",
    });
    let made = ann.post(SLUGS, body).await.created();
    assert_eq!(made["blob"]["method"], "put");
    assert_eq!(made["size"], json!(null));
    server.nobody().put(url(&made), &bytes()).await.ok();
    let slug = ann.get(format!("{SLUGS}/{}", id(&made))).await.ok();
    assert_eq!(slug["size"], bytes().len());
    assert_eq!(slug["checksum"], Digest::of(&bytes()).checksum());
    assert_eq!(slug["commit_description"], "By hand");
    assert_eq!(slug["buildpack_provided_description"], "Make");
    ann.post("/apps/harbour/releases", json!({"slug": id(&slug)}))
        .await
        .created();
    server.settle().await;
    let launch = server.dynos.one("harbour", "web.1");
    assert_eq!(launch.command, "./run");
    assert_eq!(launch.slug, Digest::of(&bytes()));
}

#[tokio::test]
async fn a_slug_is_the_bytes_that_its_checksum_names() {
    let (server, ann) = server().await;
    let checksum = Digest::of(&bytes()).checksum();
    let body = json!({"process_types": {"web": "./run"}, "checksum": checksum});
    let slug = ann.post(SLUGS, body).await.created();
    assert_eq!(slug["checksum"], checksum);
    let before = server.dump();
    ann.put(url(&slug), &web_app()).await.invalid("checksum");
    assert_eq!(server.dump(), before);
    ann.put(url(&slug), &bytes()).await.ok();
}

#[tokio::test]
async fn a_slug_never_changes_once_it_has_its_bytes() {
    let (server, ann) = server().await;
    let body = json!({"process_types": {"web": "./run"}});
    let slug = ann.post(SLUGS, body).await.created();
    ann.put(url(&slug), &bytes()).await.ok();
    let before = server.dump();
    ann.put(url(&slug), &bytes()).await.ok();
    ann.put(url(&slug), &gz(&[("./app/run", "other")]))
        .await
        .refused(409, "conflict", "never changes");
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn what_no_dyno_could_unpack_is_no_slug() {
    let (server, ann) = server().await;
    let body = json!({"process_types": {"web": "./run"}});
    let slug = ann.post(SLUGS, body).await.created();
    let before = server.dump();
    for bad in [b"no gzip".to_vec(), bytes()[..40].to_vec()] {
        let refused = ann.put(url(&slug), &bad).await;
        assert_eq!(refused.status, 422, "{refused:?}");
    }
    let release = json!({"slug": id(&slug)});
    ann.post("/apps/harbour/releases", release)
        .await
        .invalid("Nothing was uploaded");
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_slug_says_what_it_runs() {
    let (server, ann) = server().await;
    let before = server.dump();
    for (types, words) in [
        (json!(null), "process_types"),
        (json!({}), "process type"),
        (json!({"web": ""}), "web"),
        (json!({"web": "  "}), "web"),
        (json!({"web": "a\nb"}), "web"),
        (json!({"web": "x".repeat(9_000)}), "web"),
        (json!({"a b": "x"}), "process type"),
        (json!({"web": 1}), "process_types.web"),
        (json!(["web"]), "process_types"),
    ] {
        let body = json!({"process_types": types});
        ann.post(SLUGS, body).await.invalid(words);
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_slug_is_for_the_stack_that_there_is() {
    let (server, ann) = server().await;
    let stack = ann.get("/apps/harbour").await.ok()["stack"].clone();
    let before = server.dump();
    for bad in [json!("cedar-14"), json!({"id": penstock::name::Id::new()})] {
        let body = json!({"process_types": {"web": "x"}, "stack": bad});
        ann.post(SLUGS, body).await.invalid("stack");
    }
    assert_eq!(server.dump(), before);
    let body = json!({"process_types": {"web": "x"}, "stack": stack});
    ann.post(SLUGS, body).await.created();
}

/// Ann has a slug of her app `harbour` and another app, `marina`. Bob has the app `lagoon`.
async fn a_slug_of_anns() -> (Server, Client, Client, String) {
    let (server, ann) = server().await;
    let bob = server.account("bob").await;
    ann.app("marina").await;
    bob.app("lagoon").await;
    let build = server.deploy(&ann, "harbour", &web_app()).await;
    let slug = id(&build["slug"]);
    (server, ann, bob, slug)
}

#[tokio::test]
async fn a_slug_is_found_where_it_was_made_and_where_it_runs() {
    let (_server, ann, bob, slug) = a_slug_of_anns().await;
    ann.get(format!("/apps/marina/slugs/{slug}"))
        .await
        .missing("slug");
    bob.get(format!("/apps/lagoon/slugs/{slug}"))
        .await
        .missing("slug");
    bob.post("/apps/lagoon/releases", json!({ "slug": slug }))
        .await
        .missing("slug");
    ann.post("/apps/marina/releases", json!({ "slug": slug }))
        .await
        .created();
    ann.get(format!("/apps/marina/slugs/{slug}")).await.ok();
}

#[tokio::test]
async fn who_may_only_look_takes_no_slug_elsewhere() {
    let (_server, ann, bob, slug) = a_slug_of_anns().await;
    ann.post("/apps/marina/releases", json!({ "slug": slug }))
        .await
        .created();
    for app in ["harbour", "marina"] {
        let body = json!({"user": "bob@example.com", "permissions": ["view"]});
        let path = format!("/apps/{app}/collaborators");
        ann.post(path, body).await.created();
        let release = bob.newest_release(app).await;
        assert_eq!(release["slug"]["id"], json!(slug));
    }
    bob.post("/apps/lagoon/releases", json!({ "slug": slug }))
        .await
        .missing("slug");
    bob.get(format!("/apps/lagoon/slugs/{slug}"))
        .await
        .missing("slug");
    let path = "/apps/marina/collaborators/bob@example.com";
    let body = json!({"permissions": ["view", "deploy"]});
    ann.patch(path, body).await.ok();
    bob.post("/apps/lagoon/releases", json!({ "slug": slug }))
        .await
        .created();
}
