//! The pages in a browser: who may see them, what they may load, and whether their links lead somewhere.

use std::collections::BTreeMap;

use penstock::docs::{INDEX, PAGES};

use crate::harness::{Answer, Server};

async fn page(server: &Server, path: &str) -> Answer {
    server.nobody().get(path).await
}

#[tokio::test]
async fn anybody_may_read_the_documentation() {
    let server = Server::start().await;
    let root = page(&server, "/").await;
    assert_eq!((root.status, root.header("location")), (303, "/docs"));
    let contents = page(&server, "/docs").await;
    assert_eq!(contents.status, 200);
    for known in PAGES {
        let link = format!("href=\"/docs/{}\"", known.name);
        assert!(contents.text().contains(&link), "{link}");
        let shown = page(&server, &format!("/docs/{}", known.name)).await;
        assert_eq!(shown.status, 200);
        assert_eq!(shown.header("content-type"), "text/html; charset=utf-8");
        let title = format!("<title>{}", known.title());
        assert!(shown.text().contains(&title), "{title}");
        let written = page(&server, &format!("/docs/{}.md", known.name)).await;
        assert_eq!(written.text(), known.markdown);
        assert_eq!(
            written.header("content-type"),
            "text/markdown; charset=utf-8"
        );
    }
    // The list of the pages is one, and its links lead on from each of its addresses.
    for (address, folder) in [("/docs.md", "docs/"), ("/docs/index.md", "")] {
        let written = page(&server, address).await;
        assert_eq!(written.status, 200, "{address}");
        let kind = written.header("content-type");
        assert_eq!(kind, "text/markdown; charset=utf-8");
        for known in PAGES {
            let link = format!("[{}]({folder}{}.md)", known.title(), known.name);
            assert!(written.text().contains(&link), "{address} has no {link}");
        }
    }
    let same = page(&server, "/docs/index").await;
    assert_eq!(same.text(), contents.text());
    let missing = page(&server, "/docs/nowhere").await;
    missing.refused(404, "not_found", "GET /docs");
}

#[tokio::test]
async fn a_page_loads_nothing_but_its_style() {
    let server = Server::start().await;
    for path in ["/docs", "/docs/api", "/docs/style.css"] {
        let shown = page(&server, path).await;
        let policy = shown.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self'"),
            "{policy}"
        );
        assert_eq!(shown.header("x-content-type-options"), "nosniff");
        for refused in ["<script", "<style", " style=", "<img", "url(", "@import"] {
            assert!(!shown.text().contains(refused), "{path} has {refused}");
        }
    }
}

#[tokio::test]
async fn a_page_that_a_browser_has_is_not_sent_again() {
    let server = Server::start().await;
    let first = page(&server, "/docs/api").await;
    let again = server.nobody().request("GET", "/docs/api");
    let again = again.header("if-none-match", first.header("etag"));
    let again = again.send().await;
    assert_eq!((again.status, again.body.len()), (304, 0));
}

/// What stands between two texts, each time.
fn all<'a>(text: &'a str, before: &str, after: &str) -> Vec<&'a str> {
    let parts = text.split(before).skip(1);
    parts
        .filter_map(|part| Some(part.split_once(after)?.0))
        .collect()
}

#[tokio::test]
async fn every_link_leads_somewhere() {
    let server = Server::start().await;
    let mut shown = BTreeMap::new();
    shown.insert("/docs".to_owned(), page(&server, "/docs").await.text());
    for known in PAGES {
        let path = format!("/docs/{}", known.name);
        shown.insert(path.clone(), page(&server, &path).await.text());
    }
    for (path, html) in &shown {
        let anchors = all(html, "<h", ">");
        assert!(!anchors.is_empty(), "{path} has no headings");
        for link in all(html, "href=\"", "\"") {
            let (to, section) = link.split_once('#').unwrap_or((link, ""));
            let to = if to.is_empty() { path } else { to };
            if to.starts_with("http") {
                continue;
            }
            if !shown.contains_key(to) {
                assert!(!to.ends_with(".md"), "{path} links to {to}");
                let found = page(&server, to).await;
                assert_eq!(found.status, 200, "{path} links to {to}");
                continue;
            }
            let there = section.is_empty() || shown[to].contains(&format!("id=\"{section}\""));
            assert!(there, "{path} links to {link}");
        }
    }
}

#[tokio::test]
async fn a_page_is_listed_once() {
    let server = Server::start().await;
    let contents = page(&server, "/docs").await.text();
    let (_, shown) = contents.split_once("<h1").unwrap();
    for known in PAGES {
        let link = format!("href=\"/docs/{}\"", known.name);
        assert_eq!(shown.matches(&link).count(), 1, "{link}");
    }
}

/// As it stands, wherever its lines end.
fn flowing(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_list_in_the_file_is_that_of_the_pages() {
    let (_, list) = INDEX.split_once("\n## ").unwrap();
    let mut wanted = String::new();
    let mut part = "";
    for page in PAGES {
        if page.part != part {
            part = page.part;
            wanted.push_str(&format!("\n## {part}\n\n"));
        }
        let (title, name, summary) = (page.title(), page.name, page.summary());
        wanted.push_str(&format!("- [{title}]({name}.md): {summary}\n"));
    }
    assert_eq!(flowing(&format!("## {list}")), flowing(&wanted));
}

#[test]
fn links_to_pages_lead_to_their_files_too() {
    let readme = (
        "README.md",
        include_str!("../../../README.md"),
        "assets/docs/",
    );
    let pages = PAGES.iter().map(|page| (page.name, page.markdown, ""));
    let index = ("index", INDEX, "");
    for (name, markdown, folder) in pages.chain([readme, index]) {
        for link in all(markdown, "](", ")") {
            let file = link.split('#').next().unwrap();
            if link.starts_with("http") || link.starts_with('/') || !file.ends_with(".md") {
                continue;
            }
            let known = file
                .strip_prefix(folder)
                .and_then(|file| file.strip_suffix(".md"));
            let known = PAGES.iter().any(|page| Some(page.name) == known);
            assert!(
                known || file == "assets/docs/index.md",
                "{name} links to {link}"
            );
        }
    }
}
