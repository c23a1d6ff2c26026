//! What each scope opens, and that none opens the way to a stronger one.

use penstock::api::{Policy, ROUTES};
use penstock::name::Id;
use serde_json::json;

use crate::harness::Server;

/// A path of the route that leads to nothing.
fn absent(path: &str) -> String {
    let segment = |part: &str| match part.starts_with('{') {
        true => Id::new().to_string(),
        false => part.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn each_scope_opens_what_it_says() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let config = "/apps/harbour/config-vars";
    for (scope, account, read, write, see, set) in [
        ("identity", 200, 403, 403, 403, 403),
        ("read", 200, 200, 403, 403, 403),
        ("read-protected", 200, 200, 403, 200, 403),
        ("write", 200, 200, 200, 403, 403),
        ("write-protected", 200, 200, 200, 200, 200),
        ("global", 200, 200, 200, 200, 200),
    ] {
        let token = ann.scoped(&[scope], None).await;
        let maintenance = json!({"maintenance": true});
        for (answer, status) in [
            (token.get("/account").await, account),
            (token.get("/apps/harbour").await, read),
            (token.patch("/apps/harbour", maintenance).await, write),
            (token.get(config).await, see),
            (token.patch(config, json!({"A": "1"})).await, set),
        ] {
            assert_eq!(answer.status, status, "{scope}: {}", answer.asked);
            if status == 403 {
                answer.refused(403, "forbidden", "scope");
            }
        }
    }
    let both = ann.scoped(&["identity", "read-protected"], None).await;
    both.get(config).await.ok();
}

#[tokio::test]
async fn who_may_not_read_config_vars_runs_no_command_that_would_print_them() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    server.running_app(&ann, "harbour").await;
    let command = json!({"command": "env"});
    for (scope, status) in [
        ("write", 403),
        ("read-protected", 403),
        ("write-protected", 201),
    ] {
        let token = ann.scoped(&[scope], None).await;
        for path in ["/apps/harbour/dynos", "/apps/harbour/dynos/web.1"] {
            let answer = token.post(path, command.clone()).await;
            assert_eq!(answer.status, status, "{scope}: {answer:?}");
        }
    }
    // Whoever may write restarts what is there.
    let writer = ann.scoped(&["write"], None).await;
    writer.delete("/apps/harbour/dynos").await.expect(202);
}

#[tokio::test]
async fn a_token_that_only_reads_is_refused_by_whatever_changes_something() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let reader = ann.scoped(&["read", "read-protected"], None).await;
    let asks = [
        "/filters/apps",
        "/actions/addons/resolve",
        "/actions/addon-attachments/resolve",
        "/apps/{app}/log-sessions",
    ];
    for route in ROUTES {
        let open = matches!(
            route.policy,
            Policy::Public | Policy::Anybody | Policy::Signed | Policy::Client | Policy::Git
        );
        if route.method == "GET" || open || asks.contains(&route.path) {
            continue;
        }
        let request = reader.request(route.method, &absent(route.path));
        let refused = request.json(&json!({})).send().await;
        refused.refused(403, "forbidden", "scope");
    }
}

#[tokio::test]
async fn an_identity_token_reaches_the_account_and_nothing_else() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let identity = ann.scoped(&["identity"], None).await;
    for route in ROUTES {
        let open = matches!(
            route.policy,
            Policy::Public | Policy::Anybody | Policy::Signed | Policy::Client | Policy::Git
        );
        if open || (route.method, route.path) == ("GET", "/account") {
            continue;
        }
        let request = identity.request(route.method, &absent(route.path));
        let refused = request.json(&json!({})).send().await;
        refused.refused(403, "forbidden", "scope");
    }
}

#[tokio::test]
async fn no_scope_but_global_reaches_what_would_make_a_stronger_token() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let all = [
        "identity",
        "read",
        "write",
        "read-protected",
        "write-protected",
    ];
    let strong = ann.scoped(&all, None).await;
    let guarded = |path: &str| {
        let own = path.starts_with("/account/") && !path.contains("app-transfers");
        path.starts_with("/oauth/") || path.starts_with("/users") || own
    };
    for route in ROUTES {
        let open = matches!(
            route.policy,
            Policy::Client | Policy::Anybody | Policy::Public
        );
        if !guarded(route.path) || open {
            continue;
        }
        let harmless = ["/account/rate-limits", "/account/features", "/users/"];
        let harmless = harmless.iter().any(|path| route.path.starts_with(path));
        if route.method == "GET" && harmless && !route.path.ends_with("/preferences") {
            continue;
        }
        let request = strong.request(route.method, &absent(route.path));
        let refused = request.json(&json!({})).send().await;
        refused.refused(403, "forbidden", "scope");
    }
}

#[tokio::test]
async fn what_sets_an_app_up_takes_a_scope_that_opens_config_vars() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    let setup = format!("/app-setups/{}", Id::new());
    for (scope, set, see) in [
        ("read", 403, 403),
        ("write", 403, 403),
        ("read-protected", 403, 404),
        ("write-protected", 422, 404),
    ] {
        let token = ann.scoped(&[scope], None).await;
        for (answer, status) in [
            (token.post("/app-setups", json!({})).await, set),
            (token.post("/review-apps", json!({})).await, set),
            (token.get(&setup).await, see),
        ] {
            assert_eq!(answer.status, status, "{scope}: {}", answer.asked);
        }
    }
}
