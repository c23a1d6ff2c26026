//! The ledger: each operation of Heroku's published schema, and whether it is served, will be, or never is.

use std::collections::BTreeSet;

use penstock::api::ROUTES;

/// What the parameters of a path are called is nobody's business but the server's.
fn nameless(path: &str) -> String {
    let mut nameless = String::new();
    let mut within = false;
    for c in path.chars() {
        within = (within || c == '{') && c != '}';
        if !within || c == '{' {
            nameless.push(c);
        }
    }
    nameless
}

/// Status, method and path of each line; a title follows, after two spaces.
fn ledger() -> Vec<(&'static str, &'static str, &'static str)> {
    include_str!("../golden/endpoints.txt")
        .lines()
        .map(|line| {
            let (operation, _title) = line.rsplit_once("  ").unwrap();
            let mut words = operation.split_whitespace();
            let mut next = || words.next().unwrap();
            (next(), next(), next())
        })
        .collect()
}

#[test]
fn the_ledger_says_served_of_exactly_what_is_served() {
    let routes: BTreeSet<(String, String)> = ROUTES
        .iter()
        .map(|route| (route.method.to_owned(), nameless(route.path)))
        .collect();
    for (status, method, path) in ledger() {
        let served = routes.contains(&(method.to_owned(), nameless(path)));
        assert!(matches!(status, "served" | "later" | "never"), "{status}");
        assert_eq!(status == "served", served, "{method} {path} is {status}");
    }
}

#[test]
fn the_ledger_has_every_operation_of_the_published_schema() {
    assert_eq!(ledger().len(), 305);
}
