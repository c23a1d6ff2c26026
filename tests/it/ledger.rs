//! The ledger: each operation of Heroku's published schema, and whether it is served, will be, or never is.

use std::collections::{BTreeMap, BTreeSet};

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

/// What an operation is about: the noun that its path names last before it goes into detail.
fn noun(path: &str) -> String {
    let words: Vec<&str> = path
        .split('/')
        .filter(|part| !part.is_empty() && !part.starts_with('{'))
        .collect();
    match *words.as_slice() {
        ["users", "~", noun] => noun.replace('-', " "),
        ["apps" | "addons" | "account" | "users" | "oauth", noun, ..] if noun != "actions" => {
            noun.replace('-', " ")
        }
        ["actions", noun, ..] | [noun, ..] => noun.replace('-', " "),
        [] => String::new(),
    }
}

/// The table of the README and of the page on compatibility.
fn table() -> String {
    let mut nouns: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for (status, _, path) in ledger() {
        let (served, all) = nouns.entry(noun(path)).or_default();
        *served += usize::from(status == "served");
        *all += 1;
    }
    let served: usize = nouns.values().map(|(served, _)| served).sum();
    let (mut whole, mut part, mut none) = (Vec::new(), Vec::new(), Vec::new());
    for (noun, (served, all)) in nouns {
        match served {
            0 => none.push(noun),
            _ if served == all => whole.push(noun),
            _ => part.push(format!("{noun} ({served} of {all})")),
        }
    }
    format!(
        "Of the 305 operations of Heroku's published schema {served} are served:\n\n| | |\n| --- | --- |\n\
         | all of | {} |\n| some of | {} |\n| none of | {} |\n",
        whole.join(", "),
        part.join(", "),
        none.join(", ")
    )
}

#[test]
fn the_readme_and_the_page_on_compatibility_say_what_the_ledger_says() {
    for name in ["README.md", "assets/docs/compatibility.md"] {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        let page = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once("<!-- ledger -->\n").unwrap();
        let (kept, after) = rest.split_once("<!-- end -->\n").unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            let anew = format!("{before}<!-- ledger -->\n{}<!-- end -->\n{after}", table());
            std::fs::write(&path, anew).unwrap();
            continue;
        }
        assert_eq!(kept, table(), "{name}");
    }
}
