//! Every list that there is, by every field that it names.

use std::collections::BTreeSet;

use penstock::api::ROUTES;
use serde_json::{Value, json};

use super::walk;
use crate::authorization::world::World;
use crate::harness::{Client, Server};

/// The fields that Heroku documents, in its schema (`ranges`) and in its reference. What it says of no list is left out.
const DOCUMENTED: &[(&str, &[&str])] = &[
    ("/account/app-transfers", &["id", "name"]),
    ("/account/features", &["id", "name"]),
    ("/account/keys", &["fingerprint", "id"]),
    ("/addon-services", &["id", "name"]),
    ("/addon-services/{addon_service}/plans", &["id", "name"]),
    ("/apps", &["id", "name", "updated_at"]),
    ("/apps/{app}/addons", &["id", "name"]),
    ("/apps/{app}/builds", &["id", "started_at"]),
    ("/apps/{app}/collaborators", &["email", "id"]),
    ("/apps/{app}/domains", &["hostname", "id"]),
    ("/apps/{app}/dynos", &["id", "name"]),
    ("/apps/{app}/features", &["id", "name"]),
    ("/apps/{app}/formation", &["id", "type"]),
    ("/apps/{app}/log-drains", &["id", "url"]),
    ("/apps/{app}/releases", &["id", "version"]),
    ("/apps/{app}/webhook-deliveries", &["seq"]),
    ("/pipelines", &["id", "name"]),
    ("/regions", &["id", "name"]),
    ("/stacks", &["id", "name"]),
    ("/teams/{team}/members", &["email"]),
    ("/users/{account}/apps", &["id", "name", "updated_at"]),
];

/// What the contract says that each row of a list shows; `None` for what is no list.
fn attributes<'a>(contract: &'a Value, path: &str) -> Option<&'a Value> {
    let answer = &contract["paths"][path]["get"]["responses"]["200"];
    let schema = &answer["content"]["application/json"]["schema"];
    let row = (schema["type"] == "array").then_some(&schema["items"])?;
    let row = match row["$ref"].as_str() {
        Some(place) => contract.pointer(place.strip_prefix('#')?)?,
        None => row,
    };
    Some(&row["properties"])
}

/// All rows, a page of one after the other; each was met once.
async fn rows(client: &Client, path: &str, range: &str) -> BTreeSet<String> {
    let pages = walk(client, path, range, async || {}).await;
    let rows: Vec<String> = pages
        .iter()
        .flat_map(|page| page.expect(page.status).as_array().unwrap().clone())
        .map(|row| row.to_string())
        .collect();
    let once: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(once.len(), rows.len(), "{path} {range} repeats a row");
    once
}

#[tokio::test]
async fn every_list_goes_by_what_is_documented_and_by_when_its_rows_were_made() {
    let world = World::new().await;
    let admin = world.server.admin("ada").await;
    let contract = penstock::api::openapi::openapi();
    let mut documented = DOCUMENTED.to_vec();
    for route in ROUTES.iter().filter(|route| route.method == "GET") {
        let Some(attributes) = attributes(&contract, route.path) else {
            continue;
        };
        let path = world.path(route, |_| false);
        // Some are for those who run the server, and some for the provider of an add-on.
        let mut reader = &world.ann;
        for other in [&admin, &world.partner] {
            if reader.get(&path).await.status >= 400 {
                reader = other;
            }
        }
        let whole = reader.get(&path).await;
        let fields: BTreeSet<&str> = whole.header("accept-ranges").split(", ").collect();
        let known = documented
            .iter()
            .position(|(known, _)| *known == route.path);
        let known = known.map_or(&[][..], |at| documented.swap_remove(at).1);
        let shown = ["id", "created_at"].into_iter();
        let shown = shown.filter(|name| !attributes[name].is_null());
        for wanted in shown.chain(known.iter().copied()) {
            assert!(fields.contains(wanted), "{path} goes by {fields:?} only");
        }
        let expected: BTreeSet<String> = whole.list().iter().map(Value::to_string).collect();
        for field in fields {
            for order in ["asc", "desc"] {
                let range = format!("{field} ..; max=1, order={order}");
                assert_eq!(
                    rows(reader, &path, &range).await,
                    expected,
                    "{path} {range}"
                );
            }
        }
    }
    assert_eq!(documented, [], "these are no lists");
}

#[tokio::test]
async fn apps_that_are_named_go_by_what_is_documented_too() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let mut ids = Vec::new();
    for name in ["alpha", "bravo"] {
        ids.push(ann.app(name).await["id"].clone());
    }
    let filter = json!({ "in": { "id": ids } });
    for (range, first) in [
        ("id ..", 0),
        ("name ..; order=desc", 1),
        ("updated_at ..", 0),
    ] {
        let request = ann.request("POST", "/filters/apps").header("range", range);
        let found = request.json(&filter).send().await;
        assert_eq!(found.list()[0]["id"], ids[first], "{range}");
    }
}

/// What stands in no table is compared as what does.
#[tokio::test]
async fn a_moment_bounds_what_is_built_in_whatever_form_it_is_written_in() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    for (range, count) in [
        ("created_at 2026-01-01T00:00:00Z..", 1),
        ("created_at 2026-01-01T01:00:00+01:00..", 1),
        ("created_at ]2026-01-01T01:00:00+01:00..", 0),
        ("created_at ..2025-12-31T23:59:59Z", 0),
        ("created_at ..2025-12-31T23:00:00.000-01:00", 1),
    ] {
        let regions = ann.range("/regions", range).await.list();
        assert_eq!(regions.len(), count, "{range}");
    }
    let refused = ann.range("/regions", "created_at yesterday..").await;
    refused.refused(416, "requested_range_not_satisfiable", "Range");
}
