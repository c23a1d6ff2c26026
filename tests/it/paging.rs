//! Lists, page by page, as Heroku's `Range` header asks for them.

mod fields;

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, id};

/// Seven apps, made a second apart but for the last two, whose names go another way than their ids.
const NAMES: [&str; 7] = [
    "golf", "foxtrot", "echo", "delta", "charlie", "bravo", "alpha",
];

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    for name in NAMES {
        ann.app(name).await;
        if name != "bravo" {
            server.pass(Duration::from_secs(1));
        }
    }
    (server, ann)
}

async fn names(client: &Client, range: &str) -> Vec<String> {
    client.range("/apps", range).await.each("name")
}

/// All pages of a list from this range on, with what `meanwhile` does between them.
async fn walk(client: &Client, path: &str, range: &str, meanwhile: impl AsyncFn()) -> Vec<Answer> {
    let mut pages = vec![client.range(path, range).await];
    while let Some(last) = pages.last()
        && last.status == 206
    {
        meanwhile().await;
        let next = last.header("next-range").to_owned();
        pages.push(client.range(path, &next).await);
    }
    pages
}

fn all(pages: &[Answer]) -> Vec<String> {
    pages.iter().flat_map(|page| page.each("id")).collect()
}

#[tokio::test]
async fn a_list_goes_by_id_unless_another_field_is_named() {
    let (_server, ann) = server().await;
    let whole = ann.get("/apps").await;
    assert_eq!(whole.each("name"), NAMES);
    assert_eq!(
        whole.header("accept-ranges"),
        "id, name, created_at, updated_at"
    );
    assert_eq!(whole.header("next-range"), "");
    let ids = whole.each("id");
    let range = format!("id {}..{}; max=200", ids[0], ids[6]);
    assert_eq!(whole.header("content-range"), range);
    for same in ["", "id ..", "id", "id ..; max=1000;", "created_at .."] {
        let answer = ann.range("/apps", same).await;
        match same {
            "id" => answer.refused(416, "requested_range_not_satisfiable", "Range"),
            _ => assert_eq!(answer.each("name"), NAMES, "{same:?}"),
        }
    }
}

#[tokio::test]
async fn a_list_goes_by_each_of_its_fields_both_ways() {
    let (_server, ann) = server().await;
    let mut sorted = NAMES;
    sorted.sort_unstable();
    let mut back = NAMES;
    back.reverse();
    assert_eq!(names(&ann, "name ..").await, sorted);
    assert_eq!(names(&ann, "name ..; order=desc").await, NAMES);
    assert_eq!(names(&ann, "id ..; order=desc").await, back);
    assert_eq!(
        names(&ann, "created_at ..;order=desc,max=5").await,
        back[..5]
    );
    ann.patch("/apps/delta", json!({"maintenance": true}))
        .await
        .ok();
    assert_eq!(
        names(&ann, "updated_at ..; order=desc; max=1").await,
        ["delta"]
    );
}

#[tokio::test]
async fn a_range_has_bounds_of_which_the_first_may_be_left_out() {
    let (_server, ann) = server().await;
    for (range, expected) in [
        ("name bravo..delta", vec!["bravo", "charlie", "delta"]),
        ("name [bravo..delta]", vec!["bravo", "charlie", "delta"]),
        ("name ]bravo..delta", vec!["charlie", "delta"]),
        (
            "name delta..bravo; order=desc",
            vec!["delta", "charlie", "bravo"],
        ),
        ("name ]delta..bravo; order=desc", vec!["charlie", "bravo"]),
        ("name foxtrot..", vec!["foxtrot", "golf"]),
        ("name ..bravo", vec!["alpha", "bravo"]),
        ("name bx..cx", vec!["charlie"]),
        ("name x..y", vec![]),
        (
            "created_at 2026-01-31T12:00:04Z..2026-01-31T12:00:05Z",
            vec!["charlie", "bravo", "alpha"],
        ),
        (
            "created_at ]2026-01-31T13:00:04+01:00..; max=1",
            vec!["bravo"],
        ),
    ] {
        assert_eq!(names(&ann, range).await, expected, "{range}");
    }
    let empty = ann.range("/apps", "name x..y").await;
    assert_eq!((empty.status, empty.header("content-range")), (200, ""));
}

#[tokio::test]
async fn a_page_says_where_the_next_one_begins() {
    let (_server, ann) = server().await;
    let page = ann.range("/apps", "name ..; max=3").await;
    assert_eq!(page.status, 206);
    assert_eq!(page.each("name"), ["alpha", "bravo", "charlie"]);
    assert_eq!(page.header("content-range"), "name alpha..charlie; max=3");
    assert_eq!(page.header("next-range"), "name ]charlie..; max=3");
    let page = ann.range("/apps", "name ..bravo; max=1, order=asc").await;
    assert_eq!(page.header("next-range"), "name ]alpha..bravo; max=1");
    let page = ann.range("/apps", "name ..; max=2,order=desc").await;
    assert_eq!(
        page.header("next-range"),
        "name ]foxtrot..; max=2, order=desc"
    );
    // A page that holds all that is left is the last, however full.
    let page = ann.range("/apps", "name ..; max=7").await;
    assert_eq!((page.status, page.header("next-range")), (200, ""));
}

#[tokio::test]
async fn max_is_two_hundred_by_default_and_a_thousand_at_most() {
    let (server, ann) = server().await;
    let vars = |at: i64| json!({"AT": at.to_string()});
    for at in 0..201 {
        ann.patch("/apps/alpha/config-vars", vars(at)).await.ok();
    }
    let releases = "/apps/alpha/releases";
    let page = ann.get(releases).await;
    assert_eq!((page.status, page.each("id").len()), (206, 200));
    let page = ann.range(releases, "version ..; max=5000").await;
    assert_eq!((page.status, page.each("id").len()), (200, 203));
    assert_eq!(page.header("content-range"), "version 1..203; max=1000");
    drop(server);
}

#[tokio::test]
async fn a_walk_meets_every_row_once_by_every_field_and_page_size() {
    let (_server, ann) = server().await;
    let expected: BTreeSet<String> = ann.get("/apps").await.each("id").into_iter().collect();
    for field in ["id", "name", "created_at", "updated_at"] {
        for order in ["asc", "desc"] {
            for max in 1..=8 {
                let range = format!("{field} ..; max={max}, order={order}");
                let met = all(&walk(&ann, "/apps", &range, async || {}).await);
                assert_eq!(met.len(), NAMES.len(), "{range}");
                let met: BTreeSet<String> = met.into_iter().collect();
                assert_eq!(met, expected, "{range}");
            }
        }
    }
}

/// A list that anybody makes rows in, and what a row is made of.
type Growing = (&'static str, fn(u32) -> Value);
const GROWING: [Growing; 5] = [
    ("/apps", |_| json!({})),
    ("/pipelines", |number| json!({"name": format!("r{number}")})),
    (
        "/oauth/clients",
        |number| json!({"name": format!("client {number}"), "redirect_uri": "https://example.com/back"}),
    ),
    ("/oauth/authorizations", |_| json!({"scope": ["read"]})),
    (
        "/apps/alpha/domains",
        |number| json!({"hostname": format!("www-{number}.example.com")}),
    ),
];

#[tokio::test]
async fn a_walk_loses_and_repeats_nothing_while_rows_come_and_go() {
    let (server, ann) = server().await;
    let count = Cell::new(0);
    for (path, body) in GROWING {
        let make = async || {
            count.set(count.get() + 1);
            server.pass(Duration::from_secs(1));
            id(&ann.post(path, body(count.get())).await.created())
        };
        for _ in 0..5 {
            make().await;
        }
        let fields = ann.get(path).await.header("accept-ranges").to_owned();
        // A row that changes goes elsewhere by the time of its change, as it should.
        for field in fields.split(", ").filter(|field| *field != "updated_at") {
            for order in ["asc", "desc"] {
                let before = ann.get(path).await.each("id");
                let made = RefCell::new(Vec::new());
                let coming_and_going = async || {
                    for row in made.replace(vec![make().await]) {
                        ann.delete(format!("{path}/{row}")).await.ok();
                    }
                };
                let range = format!("{field} ..; max=2, order={order}");
                let met = all(&walk(&ann, path, &range, coming_and_going).await);
                let once: BTreeSet<String> = met.iter().cloned().collect();
                assert_eq!(once.len(), met.len(), "{path} {range}: a row was repeated");
                let kept = before.iter().all(|row| once.contains(row));
                assert!(kept, "{path} {range}: a row was lost");
                for row in made.take() {
                    ann.delete(format!("{path}/{row}")).await.ok();
                }
            }
        }
    }
}

#[tokio::test]
async fn every_list_pages_by_every_field_that_it_names() {
    let (server, ann) = server().await;
    let pipeline = ann.pipeline("water").await;
    server
        .deploy(&ann, "alpha", &crate::harness::web_app())
        .await;
    for (app, stage) in [
        ("alpha", "staging"),
        ("bravo", "production"),
        ("delta", "production"),
    ] {
        ann.couple(app, &pipeline, stage).await;
    }
    ann.pipeline("fire").await;
    let build = crate::harness::web_app();
    server.deploy(&ann, "alpha", &build).await;
    let quantity = json!({"updates": [{"type": "web", "quantity": 2}]});
    ann.patch("/apps/alpha/formation", quantity).await.ok();
    server.settle().await;
    let buildpacks = [
        "heroku/python",
        "https://example.com/second.tgz",
        "heroku/nodejs",
    ];
    let updates: Vec<_> = buildpacks.map(|one| json!({ "buildpack": one })).into();
    let put = ann.request("PUT", "/apps/alpha/buildpack-installations");
    put.json(&json!({ "updates": updates })).send().await.ok();
    // One context under two names, and one name for two contexts.
    for (version, context, name) in [
        (3, "tests/all", "Tests"),
        (4, "tests/all", "All tests"),
        (4, "tests/some", "Tests"),
    ] {
        let path = format!("/apps/alpha/releases/v{version}/statuses");
        let status = json!({"context": context, "name": name, "state": "success"});
        ann.post(path, status).await.created();
    }
    let again =
        json!({"pipeline": "water", "source": {"app": "alpha"}, "targets": [{"app": "bravo"}]});
    ann.post("/pipeline-promotions", again).await.created();
    server.settle().await;
    let targets = json!([{"app": "bravo"}, {"app": "delta"}]);
    let body = json!({"pipeline": "water", "source": {"app": "alpha"}, "targets": targets});
    let promotion = ann.post("/pipeline-promotions", body).await.created();
    server.settle().await;
    for name in ["a.example.com", "b.example.com"] {
        let domain = json!({ "hostname": name });
        ann.post("/apps/alpha/domains", domain).await.created();
        let certificate = crate::sni_endpoints::self_signed(&[name]);
        let path = "/apps/alpha/sni-endpoints";
        ann.post(path, certificate).await.created();
    }
    for at in 0..3 {
        let url = format!("http://127.0.0.1:9/hooks/{at}");
        let webhook = json!({"include": ["api:app"], "level": "notify", "url": url});
        let path = "/apps/alpha/webhooks";
        ann.post(path, webhook).await.created();
        let maintenance = json!({ "maintenance": at % 2 == 0 });
        ann.patch("/apps/alpha", maintenance).await.ok();
        let url = format!("https://logs.example.com/{at}");
        let drain = json!({ "url": url });
        ann.post("/apps/alpha/log-drains", drain).await.created();
    }
    for (path, fields) in [
        ("/apps/alpha/webhooks".to_owned(), "id, created_at"),
        (
            "/apps/alpha/webhook-deliveries".to_owned(),
            "id, seq, created_at",
        ),
        ("/apps/alpha/webhook-events".to_owned(), "id, created_at"),
        ("/apps/alpha/log-drains".to_owned(), "id, url, created_at"),
        (
            "/apps/alpha/domains".to_owned(),
            "id, hostname, created_at, domain",
        ),
        (
            "/apps/alpha/sni-endpoints".to_owned(),
            "id, name, created_at",
        ),
        ("/apps/alpha/buildpack-installations".to_owned(), "ordinal"),
        ("/pipelines/water/statuses".to_owned(), "context, name"),
        ("/pipeline-promotions".to_owned(), "id, created_at"),
        ("/apps".to_owned(), "id, name, created_at, updated_at"),
        (
            "/users/~/apps".to_owned(),
            "id, name, created_at, updated_at",
        ),
        (
            "/apps/alpha/builds".to_owned(),
            "id, started_at, created_at",
        ),
        ("/apps/alpha/releases".to_owned(), "id, version, created_at"),
        ("/apps/alpha/formation".to_owned(), "id, type, created_at"),
        ("/apps/alpha/dynos".to_owned(), "id, name, created_at"),
        ("/pipelines".to_owned(), "id, name, created_at"),
        ("/pipeline-couplings".to_owned(), "id, created_at"),
        ("/users/~/pipeline-couplings".to_owned(), "id, created_at"),
        (
            "/pipelines/water/pipeline-couplings".to_owned(),
            "id, created_at",
        ),
        (
            format!("/pipeline-promotions/{}/promotion-targets", id(&promotion)),
            "id",
        ),
    ] {
        let whole = ann.get(&path).await;
        let count = whole.list().len();
        assert!(count > 1, "{path} has too few rows to page through");
        assert_eq!(whole.header("accept-ranges"), fields, "{path}");
        for field in fields.split(", ") {
            for order in ["asc", "desc"] {
                let range = format!("{field} ..; max=1, order={order}");
                let pages = walk(&ann, &path, &range, async || {}).await;
                assert_eq!(pages.len(), count, "{path} {range}");
                let rows = pages.iter().flat_map(|page| {
                    let rows = page.expect(page.status);
                    rows.as_array().unwrap().clone()
                });
                let met: BTreeSet<String> = rows.map(|row| row.to_string()).collect();
                assert_eq!(met.len(), count, "{path} {range}");
            }
        }
    }
}

#[tokio::test]
async fn a_range_that_cannot_be_is_refused() {
    let (server, ann) = server().await;
    let before = server.dump();
    for bad in [
        "size ..",
        "bytes=0-99",
        "id",
        "..",
        "id x..",
        "id ..x",
        "created_at yesterday..",
        "id ..; max=0",
        "id ..; max=-1",
        "id ..; max=ten",
        "id ..; max",
        "id ..; order=up",
        "id ..; limit=3",
        "id ..; max=3; x",
        "name ..,max=2",
        "name a..b, order=desc",
        "naïve ..",
    ] {
        let answer = ann.range("/apps", bad).await;
        answer.refused(416, "requested_range_not_satisfiable", "ange ");
    }
    let version = ann.range("/apps/alpha/releases", "version one..").await;
    version.refused(416, "requested_range_not_satisfiable", "version");
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_moment_outside_of_the_calendar_is_no_bound() {
    let (_server, ann) = server().await;
    for moment in ["9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+01:00"] {
        let range = format!("created_at {moment}..");
        let answer = ann.range("/apps", &range).await;
        assert_eq!(answer.status, 416, "{moment}: {}", answer.text());
    }
}
