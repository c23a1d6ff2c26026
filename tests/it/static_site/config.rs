//! What `static.json` changes.

use super::{Site, refused};

#[tokio::test]
async fn a_root_clean_urls_and_routes() {
    let site = Site::new(&[
        (
            "static.json",
            r#"{"root": "build/", "clean_urls": true,
                "routes": {"/app/*.json": "data.json", "/**": "index.html", "/app/**": "app.html"}}"#,
        ),
        ("build/index.html", "home"),
        ("build/about.html", "about"),
        ("build/app.html", "app"),
        ("build/data.json", "{}"),
        ("secret.html", "secret"),
    ]);
    for (path, body) in [
        ("/", "home"),
        ("/about", "about"),
        ("/about.html", "about"),
        ("/app", "app"),
        ("/app/deep/link", "app"),
        ("/app/x.json", "{}"),
        ("/app/x/y.json", "app"),
        ("/anything/else", "home"),
        ("/secret.html", "home"),
    ] {
        let page = site.get(path).await;
        assert_eq!((page.status, page.body.as_str()), (200, body), "{path}");
    }
}

#[tokio::test]
async fn redirects_headers_and_the_page_of_what_is_missing() {
    let site = Site::new(&[
        (
            "static.json",
            r#"{"root": ".", "error_page": "errors/404.html",
                "redirects": {"/old/*": {"url": "/new/"}, "/shop": {"url": "https://shop.example.com/", "status": 302}},
                "headers": {"/**": {"X-Frame-Options": "DENY"}, "/assets/**": {"Cache-Control": "public, max-age=31536000"}}}"#,
        ),
        ("index.html", "home"),
        ("assets/a.js", "1"),
        ("errors/404.html", "<p>lost</p>"),
    ]);
    let old = site.get("/old/page").await;
    assert_eq!((old.status, old.header("location")), (301, "/new/"));
    let shop = site.get("/shop").await;
    assert_eq!(
        (shop.status, shop.header("location")),
        (302, "https://shop.example.com/")
    );
    let asset = site.get("/assets/a.js").await;
    assert_eq!(asset.header("cache-control"), "public, max-age=31536000");
    assert_eq!(asset.header("x-frame-options"), "DENY");
    assert_eq!(site.get("/").await.header("cache-control"), "");
    let lost = site.ask("GET", "/nowhere", &[("range", "bytes=0-1")]).await;
    assert_eq!((lost.status, lost.body.as_str()), (404, "<p>lost</p>"));
    assert_eq!(lost.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(lost.header("x-frame-options"), "DENY");
    assert_eq!(site.get("/static.json").await.status, 404);
}

#[tokio::test]
async fn https_only_looks_at_what_the_router_says() {
    let site = Site::new(&[
        ("static.json", r#"{"root": ".", "https_only": true}"#),
        ("index.html", "home"),
    ]);
    let host = ("host", "site.example.com");
    let plain = [host, ("x-forwarded-proto", "http")];
    let page = site.ask("GET", "/a?b=c", &plain).await;
    assert_eq!(
        (page.status, page.header("location")),
        (301, "https://site.example.com/a?b=c")
    );
    let safe = [host, ("x-forwarded-proto", "https")];
    assert_eq!(site.ask("GET", "/", &safe).await.status, 200);
}

#[tokio::test]
async fn a_site_for_those_who_know_the_password() {
    let files = [
        ("static.json", r#"{"root": ".", "basic_auth": true}"#),
        ("index.html", "home"),
    ];
    let env = [
        ("BASIC_AUTH_USERNAME", "ann"),
        ("BASIC_AUTH_PASSWORD", "s3cret"),
    ];
    let site = Site::with(&files, &env);
    let stranger = site.get("/").await;
    assert_eq!(stranger.status, 401);
    assert!(stranger.header("www-authenticate").starts_with("Basic "));
    for (name, status) in [("YW5uOnMzY3JldA==", 200), ("YW5uOm90aGVy", 401), ("!", 401)] {
        let header = format!("Basic {name}");
        let page = site.ask("GET", "/", &[("authorization", &header)]).await;
        assert_eq!(page.status, status, "{name}");
    }
    assert!(refused(&files).contains("BASIC_AUTH_USERNAME"));
}

#[test]
fn a_configuration_that_means_nothing_is_refused_by_name() {
    let page = ("index.html", "home");
    for (text, words) in [
        ("{", "static.json cannot be read"),
        (r#"{"root": "../.."}"#, "leads out of the app"),
        (r#"{"routes": {"/**": "../x"}}"#, "leads out of the app"),
        (r#"{"routes": {"app": "x"}}"#, "begins with a slash"),
        (
            r#"{"redirects": {"/a": {"url": "/b", "status": 200}}}"#,
            "status 200",
        ),
        (r#"{"headers": {"/": {"Bad Name": "x"}}}"#, "no header"),
        (r#"{"clean_urls": "yes"}"#, "clean_urls"),
        (r#"{"root": "nowhere"}"#, "no folder \"nowhere\""),
        (r#"{"basic_auth_file": ".htpasswd"}"#, "BASIC_AUTH_USERNAME"),
    ] {
        let said = refused(&[page, ("static.json", text)]);
        assert!(said.contains(words), "{text}: {said}");
    }
}
