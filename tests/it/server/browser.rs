//! What a person sees who opens an address of the API in a browser.

use std::process::Command;

use serde_json::json;

use crate::binary::{Place, program};

/// What a browser says that it takes, of a page.
const PAGES: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn opened(url: &str, accept: &str) -> (u16, String, String) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .get(url)
        .header("accept", accept)
        .send()
        .await
        .unwrap();
    let kind = answer.headers().get("content-type").cloned();
    let kind = kind.map_or(String::new(), |kind| kind.to_str().unwrap().to_owned());
    (answer.status().as_u16(), kind, answer.text().await.unwrap())
}

#[tokio::test]
async fn a_browser_is_told_in_a_page_what_a_program_is_told_in_json() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let place = Place::new();
    let server = place.start();
    let api = &server.ready.api_url;
    for (path, status, words) in [
        ("/docs/nosuch", 404, "GET /docs lists those that there are"),
        ("/apps", 401, "documentation"),
    ] {
        let url = format!("{api}{path}");
        let (found, kind, page) = opened(&url, PAGES).await;
        assert_eq!((found, kind.as_str()), (status, "text/html; charset=utf-8"));
        assert!(page.contains(words), "{page}");
        let (found, kind, text) = opened(&url, "*/*").await;
        assert_eq!(found, status);
        assert!(kind.starts_with("application/json"), "{kind}");
        assert!(text.starts_with('{'), "{text}");
    }
    let (status, _, text) = opened(&format!("{api}/favicon.ico"), "image/avif,*/*;q=0.8").await;
    assert_eq!((status, text.as_str()), (204, ""));
    let token = "0123456789abcdef0123456789abcdef";
    let url = format!("{api}/teams/invitations/{token}/accept");
    let (status, _, page) = opened(&url, PAGES).await;
    assert_eq!(status, 200);
    assert!(page.contains("You are invited"), "{page}");
    let (status, _, page) = opened(&format!("{api}/teams/invitations/%3Cb%3E/accept"), PAGES).await;
    assert_eq!(status, 401);
    assert!(
        !page.contains("<b>") && !page.contains("invited into"),
        "{page}"
    );
}

#[tokio::test]
async fn what_the_page_of_an_invitation_says_to_type_accepts_it() {
    let place = Place::new();
    let server = place.start();
    let ann = server.client();
    let bob = ann.post("/users", json!({"email": "bob@example.com"}));
    let bob = bob.await.expect(201);
    ann.post("/teams", json!({"name": "docks"}))
        .await
        .expect(201);
    let invited = json!({"email": "bob@example.com", "role": "member"});
    let invited = ann.call("PUT", "/teams/docks/invitations", invited).await;
    let invited = invited.expect(200);
    let (status, _, page) = opened(invited["accept_url"].as_str().unwrap(), PAGES).await;
    assert_eq!(status, 200);
    // In one line, and broken where the card ends, so that it is the same however it is copied.
    let (_, rest) = page.split_once("<pre><code>").unwrap();
    let (typed, _) = rest.split_once("</code></pre>").unwrap();
    assert!(!typed.contains(['\n', '&', '<']), "{typed}");
    assert!(
        page.contains("pre code { padding: 0; background: none; white-space: pre-wrap;"),
        "{page}"
    );
    // Bob's CLI is logged in.
    let token = bob["access_token"]["token"].as_str().unwrap();
    let programs = place.path("programs");
    std::fs::create_dir(&programs).unwrap();
    let heroku = programs.join("heroku");
    let told = format!("#!/bin/sh\n[ \"$*\" = auth:token ] && echo {token}\n");
    program::script(&heroku, &told);
    let path = std::env::var("PATH").unwrap();
    let ran = Command::new("bash")
        .args(["-c", typed])
        .env_clear()
        .env("PATH", format!("{}:{path}", programs.display()))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
    let members = ann.get("/teams/docks/members").await.expect(200);
    let members = members.as_array().unwrap();
    let is_bob = |member: &serde_json::Value| member["email"] == "bob@example.com";
    assert!(members.iter().any(is_bob), "{members:?}");
}
