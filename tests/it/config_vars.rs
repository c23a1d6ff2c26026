//! Config vars: a change is a release, and no change is none.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

const VARS: &str = "/apps/harbour/config-vars";

async fn server() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    (server, ann)
}

async fn newest(ann: &Client) -> (Value, Value) {
    let release = ann.newest_release("harbour").await;
    (release["version"].clone(), release["description"].clone())
}

#[tokio::test]
async fn a_new_app_has_no_config_vars() {
    let (_server, ann) = server().await;
    assert_eq!(ann.get(VARS).await.ok(), json!({}));
}

#[tokio::test]
async fn a_change_however_large_makes_one_release() {
    let (_server, ann) = server().await;
    let both = json!({"GREETING": "hello", "COLOUR": "blue"});
    assert_eq!(ann.patch(VARS, both.clone()).await.ok(), both);
    assert_eq!(ann.get(VARS).await.ok(), both);
    let (version, description) = newest(&ann).await;
    assert_eq!(version, 3);
    assert_eq!(description, "Set COLOUR, GREETING config vars");
}

#[tokio::test]
async fn a_var_that_is_not_named_stays_and_null_removes_one() {
    let (_server, ann) = server().await;
    ann.patch(VARS, json!({"A": "1", "B": "2"})).await.ok();
    assert_eq!(
        ann.patch(VARS, json!({"B": null})).await.ok(),
        json!({"A": "1"})
    );
    assert_eq!(
        newest(&ann).await,
        (4.into(), "Remove B config vars".into())
    );
    let changed = ann.patch(VARS, json!({"A": null, "C": ""})).await.ok();
    assert_eq!(changed, json!({"C": ""}));
    let (_, description) = newest(&ann).await;
    assert_eq!(description, "Set C and remove A config vars");
}

#[tokio::test]
async fn what_changes_nothing_makes_no_release() {
    let (server, ann) = server().await;
    ann.patch(VARS, json!({"A": "1"})).await.ok();
    let before = server.dump();
    for same in [json!({"A": "1"}), json!({"B": null}), json!({})] {
        assert_eq!(ann.patch(VARS, same).await.ok(), json!({"A": "1"}));
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn a_release_remembers_the_vars_it_ran_with() {
    let (_server, ann) = server().await;
    ann.patch(VARS, json!({"A": "1"})).await.ok();
    ann.patch(VARS, json!({"A": "2"})).await.ok();
    for (version, vars) in [
        ("2", json!({})),
        ("3", json!({"A": "1"})),
        ("v4", json!({"A": "2"})),
    ] {
        let path = format!("/apps/harbour/releases/{version}/config-vars");
        assert_eq!(ann.get(path).await.ok(), vars);
    }
}

#[tokio::test]
async fn any_text_that_an_environment_can_hold_may_be_a_value() {
    let (server, ann) = server().await;
    let odd = json!({"ODD": " \"quoted\" $HOME `x` \n\ttabs, ünïcödé 🦀 \\ ' "});
    assert_eq!(ann.patch(VARS, odd.clone()).await.ok(), odd);
    server
        .deploy(&ann, "harbour", &crate::harness::web_app())
        .await;
    let launch = server.dynos.one("harbour", "web.1");
    assert_eq!(launch.config_vars["ODD"], odd["ODD"].as_str().unwrap());
}

#[tokio::test]
async fn a_name_that_no_shell_takes_is_refused_and_so_is_what_comes_with_it() {
    let (server, ann) = server().await;
    let before = server.dump();
    for name in ["", "1A", "A-B", "A B", "Ä", "A=B", "A\u{0}"] {
        let both = json!({"FINE": "1", name: "2"});
        ann.patch(VARS, both).await.invalid("config var");
    }
    ann.patch(VARS, json!({"X".repeat(257): "1"}))
        .await
        .invalid("config var");
    for name in ["PORT", "DYNO"] {
        ann.patch(VARS, json!({name: "1"})).await.invalid(name);
    }
    ann.patch(VARS, json!({"A": "a\u{0}b"})).await.invalid("A");
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn an_apps_vars_hold_64_kb_in_all() {
    let (server, ann) = server().await;
    let half = "x".repeat(32 * 1024 - 1);
    ann.patch(VARS, json!({"A": half, "B": half})).await.ok();
    let before = server.dump();
    ann.patch(VARS, json!({"C": ""})).await.invalid("64 KB");
    assert_eq!(server.dump(), before);
    ann.patch(VARS, json!({"C": "", "B": null})).await.ok();
}

#[tokio::test]
async fn the_apps_log_tells_of_the_release() {
    let (server, ann) = server().await;
    ann.patch(VARS, json!({"SECRET": "hunter2"})).await.ok();
    let app = penstock::name::Id::parse(&crate::harness::id(&ann.get("/apps/harbour").await.ok()))
        .unwrap();
    let lines = server
        .platform
        .logs
        .read(app, &penstock::log::Filter::default(), 100)
        .unwrap()
        .join("\n");
    assert!(lines.contains("Set SECRET config vars by user ann@example.com"));
    assert!(lines.contains("Release v3 created by user ann@example.com"));
    assert!(!lines.contains("hunter2"), "a value stands in the log");
}

#[tokio::test]
async fn a_copy_of_the_database_tells_no_config_var() {
    let (server, ann) = server().await;
    ann.patch(VARS, json!({"PASSWORD": "rosebud-rosebud"}))
        .await
        .ok();
    let dump = server.dump();
    assert!(dump.contains("Set PASSWORD config vars"), "{dump}");
    for secret in ["rosebud", &hex::encode("rosebud")] {
        assert!(!dump.contains(secret), "{dump}");
    }
}

#[tokio::test]
async fn no_config_var_outlives_its_app() {
    let (server, ann) = server().await;
    ann.app("marina").await;
    for app in ["harbour", "marina"] {
        let path = format!("/apps/{app}/config-vars");
        ann.patch(&path, json!({"A": "1"})).await.ok();
        ann.patch(&path, json!({"A": "2"})).await.ok();
    }
    let sets = || server.dump().matches("\nconfig_set: ").count();
    assert_eq!(sets(), 6);
    ann.delete("/apps/harbour").await.ok();
    assert_eq!(sets(), 3);
    let vars = ann.get("/apps/marina/config-vars").await.ok();
    assert_eq!(vars, json!({"A": "2"}));
}
