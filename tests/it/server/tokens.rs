//! `penstock token`, and what is listed by `--json`, beside a running server.

use std::process::Output;

use serde_json::{Value, json};

use crate::binary::{Place, penstock};

fn run(place: &Place, arguments: &[&str]) -> Output {
    let mut command = penstock(arguments);
    command.arg("--data-dir").arg(place.data());
    command.output().unwrap()
}

fn printed(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn listed(place: &Place, what: &str) -> Vec<Value> {
    let text = printed(&run(place, &[what, "list", "--json"]));
    serde_json::from_str(&text).unwrap()
}

#[tokio::test]
async fn a_token_opens_what_its_scopes_allow_until_it_is_revoked() {
    let place = Place::new();
    let server = place.start();
    let made = run(
        &place,
        &[
            "token",
            "create",
            "owner@localhost",
            "--scope",
            "identity",
            "--description",
            "who I am",
            "--expires-in",
            "30d",
        ],
    );
    let token = printed(&made);
    let holder = server.client().with_token(token.trim());
    assert_eq!(holder.get("/account").await.status, 200);
    assert_eq!(holder.get("/apps").await.status, 403);
    let row = listed(&place, "token");
    let row = row
        .iter()
        .find(|row| row["description"] == "who I am")
        .unwrap();
    assert_eq!(row["email"], "owner@localhost");
    assert_eq!(row["scope"], json!(["identity"]));
    assert!(row["expires_at"].is_string(), "{row}");
    let shown = row["token"].as_str().unwrap();
    assert!(
        shown.contains("**********") && shown != token.trim(),
        "{shown}"
    );
    let id = row["id"].as_str().unwrap();
    printed(&run(&place, &["token", "revoke", id]));
    assert_eq!(holder.get("/account").await.status, 401);
    let again = run(&place, &["token", "revoke", id]);
    assert_eq!(again.status.code(), Some(3));
    let said = String::from_utf8(again.stderr).unwrap();
    assert!(said.contains("penstock token list"), "{said}");
}

#[tokio::test]
async fn the_owners_token_stays_revoked_and_the_next_start_makes_another() {
    let place = Place::new();
    let server = place.start();
    let leaked = server.client().token;
    let row = listed(&place, "token").remove(0);
    let id = row["id"].as_str().unwrap();
    printed(&run(&place, &["token", "revoke", id]));
    server.stop();
    let server = place.start();
    let client = server.client();
    assert_ne!(client.token, leaked);
    assert_eq!(client.get("/account").await.status, 200);
    let revoked = client.with_token(&leaked);
    assert_eq!(revoked.get("/account").await.status, 401);
    assert_eq!(listed(&place, "account").len(), 1);
}

#[test]
fn a_list_that_is_no_terminals_has_a_row_a_line_with_tabs() {
    let place = Place::new();
    let _server = place.start();
    let text = printed(&run(&place, &["account", "list"]));
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(rows.len(), 1, "{text}");
    assert_eq!(&rows[0][..2], ["owner@localhost", "admin"]);
    assert_eq!(listed(&place, "account")[0]["admin"], true);
    let text = printed(&run(&place, &["token", "list"]));
    let row: Vec<&str> = text.lines().next().unwrap().split('\t').collect();
    assert_eq!(&row[3..5], ["global", "never"]);
    for what in ["addon", "buildpack"] {
        assert_eq!(listed(&place, what), Vec::<Value>::new());
    }
}

#[test]
fn what_was_never_started_has_no_tokens_and_none_is_begun() {
    let place = Place::new();
    let output = run(&place, &["token", "list"]);
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("penstock serve"), "{said}");
    assert!(!place.data().exists());
}

#[test]
fn a_time_or_a_scope_that_is_none_is_refused() {
    let place = Place::new();
    let _server = place.start();
    for arguments in [
        ["--expires-in", "soon"],
        ["--expires-in", "0d"],
        ["--scope", "all"],
    ] {
        let command = [&["token", "create", "owner@localhost"], &arguments[..]].concat();
        assert_eq!(
            run(&place, &command).status.code(),
            Some(2),
            "{arguments:?}"
        );
    }
    let long = [
        "token",
        "create",
        "owner@localhost",
        "--expires-in",
        "99999999d",
    ];
    let refused = run(&place, &long);
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("a hundred years at most"), "{said}");
    // Several scopes are named one by one, or with commas.
    let scopes = [
        "token",
        "create",
        "owner@localhost",
        "--scope",
        "read,write",
    ];
    printed(&run(&place, &scopes));
    let made = listed(&place, "token").pop().unwrap();
    assert_eq!(made["scope"], json!(["read", "write"]));
}

#[test]
fn shells_and_man_learn_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = printed(&penstock(&["completions", shell]).output().unwrap());
        assert!(
            script.contains("buildpack") && script.contains("doctor"),
            "{script}"
        );
    }
    let page = printed(&penstock(&["man"]).output().unwrap());
    assert!(
        page.contains(".TH penstock 1") && page.contains("penstock\\-serve"),
        "{page}"
    );
    let place = Place::new();
    let folder = place.path("man1");
    let mut command = penstock(&["man", "--dir"]);
    printed(&command.arg(&folder).output().unwrap());
    assert!(folder.join("penstock-token-create.1").exists());
    // No page names what there is no page of, nor where its maker lives.
    for page in std::fs::read_dir(&folder).unwrap() {
        let text = std::fs::read_to_string(page.unwrap().path()).unwrap();
        assert!(!text.contains("help(1)"), "{text}");
        assert!(!text.contains("/nonexistent"), "{text}");
    }
    let serve = std::fs::read_to_string(folder.join("penstock-serve.1")).unwrap();
    assert!(serve.contains("~/.local/share/penstock"), "{serve}");
    let version = printed(&penstock(&["version", "--json"]).output().unwrap());
    let version: Value = serde_json::from_str(&version).unwrap();
    assert_eq!(version["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn the_doctor_names_what_is_missing_and_its_remedy() {
    let place = Place::new();
    let mut command = penstock(&["doctor", "--json", "--data-dir"]);
    command.arg(place.data()).env("PATH", "/nonexistent");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let missing = report["missing"].to_string();
    assert!(missing.contains("git: nothing can be pushed"), "{missing}");
    assert!(missing.contains("apt-get install jq"), "{missing}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("bash is missing"), "{said}");
}
