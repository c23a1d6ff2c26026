//! Telemetry drains: what may be asked of them, who reads their headers, and that changes leave the rest as it is.

use serde_json::{Value, json};

use crate::harness::{Client, Server, id};

const DRAINS: &str = "/telemetry-drains";
const OF_APP: &str = "/apps/harbour/telemetry-drains";

/// What to ask for a drain of this app with.
pub fn drain(app: &str) -> Value {
    json!({
        "owner": {"id": app, "type": "app"},
        "signals": ["traces", "logs"],
        "exporter": {"type": "otlphttp", "endpoint": "https://otel.example.com/v1", "headers": {"API-Key": "rosebud-rosebud"}},
    })
}

async fn world() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    (server, ann)
}

#[tokio::test]
async fn a_drain_is_made_seen_changed_and_removed() {
    let (_server, ann) = world().await;
    let app = ann.get("/apps/harbour").await.ok();
    let made = ann.post(DRAINS, drain(&id(&app))).await.created();
    assert_eq!(made["owner"], json!({"id": app["id"], "type": "app"}));
    assert_eq!(made["signals"], json!(["traces", "logs"]));
    assert_eq!(made["exporter"], drain("")["exporter"]);
    let one = format!("{DRAINS}/{}", id(&made));
    assert_eq!(ann.get(&one).await.ok(), made);
    assert_eq!(ann.get(OF_APP).await.ok(), json!([made]));
    let change = json!({"signals": ["logs"]});
    let changed = ann.patch(&one, change).await.ok();
    assert_eq!(changed["signals"], json!(["logs"]));
    assert_eq!(changed["exporter"], made["exporter"]);
    // The CLI sends what is to change, and no more.
    let change = json!({"exporter": {"type": "otlphttp"}});
    let changed = ann.patch(&one, change).await.ok();
    assert_eq!(changed["exporter"]["headers"], made["exporter"]["headers"]);
    let change = json!({"exporter": {"headers": {}, "endpoint": "http://otel.example.com:4317"}});
    let changed = ann.patch(&one, change).await.ok();
    let exporter =
        json!({"type": "otlphttp", "endpoint": "http://otel.example.com:4317", "headers": {}});
    assert_eq!(changed["exporter"], exporter);
    assert_eq!(ann.patch(&one, json!({})).await.ok(), changed);
    assert_eq!(ann.delete(&one).await.ok(), changed);
    ann.get(&one).await.missing("telemetry drain");
    assert_eq!(ann.get(OF_APP).await.list(), [] as [Value; 0]);
}

#[tokio::test]
async fn what_could_not_be_sent_is_refused() {
    let (server, ann) = world().await;
    let made = ann.post(DRAINS, drain("harbour")).await.created();
    let one = format!("{DRAINS}/{}", id(&made));
    let before = server.dump();
    let headers: Value = (0..21)
        .map(|at| (format!("h{at}"), json!("x")))
        .collect::<serde_json::Map<_, _>>()
        .into();
    for (path, wrong, words) in [
        ("/owner/type", json!("space"), "owner"),
        ("/owner/type", json!(null), "owner.type"),
        ("/owner/id", json!(null), "owner.id"),
        ("/signals", json!([]), "signals"),
        ("/signals", json!(["logs", "logs"]), "signals"),
        ("/signals", json!(["smoke"]), "signals"),
        // Nothing would be sent to these.
        ("/signals", json!(["traces", "metrics"]), "logs alone"),
        ("/exporter/type", json!("otlp"), "gRPC"),
        ("/exporter/type", json!("splunk"), "exporter"),
        ("/exporter/endpoint", json!("ftp://x.example"), "scheme"),
        ("/exporter/endpoint", json!("otel"), "URL"),
        (
            "/exporter/endpoint",
            json!(format!("https://x.example/{}", "x".repeat(1000))),
            "1000 bytes",
        ),
        ("/exporter/headers", json!({"a b": "x"}), "headers"),
        ("/exporter/headers", json!({"": "x"}), "headers"),
        ("/exporter/headers", json!({"a": "x\r\nb: y"}), "headers"),
        (
            "/exporter/headers",
            json!({"a": "x".repeat(1001)}),
            "headers",
        ),
        ("/exporter/headers", headers, "headers"),
    ] {
        let mut body = drain("harbour");
        *body.pointer_mut(path).unwrap() = wrong;
        ann.post(DRAINS, body.clone()).await.invalid(words);
        if !path.starts_with("/owner") {
            body.as_object_mut().unwrap().remove("owner");
            ann.patch(&one, body).await.invalid(words);
        }
    }
    for within in ["", "/exporter", "/owner"] {
        let mut body = drain("harbour");
        body.pointer_mut(within).unwrap()["colour"] = json!("red");
        ann.post(DRAINS, body).await.invalid("colour");
    }
    for missing in ["owner", "signals", "exporter"] {
        let mut body = drain("harbour");
        body.as_object_mut().unwrap().remove(missing);
        ann.post(DRAINS, body).await.invalid(missing);
    }
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn an_app_has_five_drains_at_most_and_they_go_with_it() {
    let (server, ann) = world().await;
    for _ in 0..5 {
        ann.post(DRAINS, drain("harbour")).await.created();
    }
    let before = server.dump();
    let more = ann.post(DRAINS, drain("harbour")).await;
    more.invalid("5 telemetry drains");
    assert_eq!(server.dump(), before);
    let first = ann.range(OF_APP, "created_at ..; max=3").await;
    assert_eq!((first.status, first.each("id").len()), (206, 3));
    let rest = ann.range(OF_APP, first.header("next-range")).await;
    assert_eq!((rest.status, rest.each("id").len()), (200, 2));
    let one = format!("{DRAINS}/{}", first.each("id")[0]);
    ann.delete("/apps/harbour").await.ok();
    ann.get(one).await.missing("telemetry drain");
}

#[tokio::test]
async fn headers_are_read_by_whoever_reads_config_vars_and_stand_nowhere_else() {
    let (server, ann) = world().await;
    let made = ann.post(DRAINS, drain("harbour")).await.created();
    let one = format!("{DRAINS}/{}", id(&made));
    let dump = server.dump();
    assert!(dump.contains(&id(&made)));
    for secret in ["rosebud", "otel.example", &hex::encode("rosebud")] {
        assert!(!dump.contains(secret), "{dump}");
    }
    let change = json!({"signals": ["logs"]});
    for (name, permission, status) in [("vera", "deploy", 403), ("oz", "operate", 200)] {
        let client = server.account(name).await;
        let user = format!("{name}@example.com");
        let invited = json!({"user": user, "permissions": [permission]});
        let collaborators = "/apps/harbour/collaborators";
        ann.post(collaborators, invited).await.created();
        for path in [one.as_str(), OF_APP] {
            let seen = client.get(path).await;
            assert_eq!(seen.status, status, "{name} {path}");
            assert_eq!(seen.text().contains("rosebud"), status == 200);
        }
        for refused in [
            client.post(DRAINS, drain("harbour")).await,
            client.patch(&one, change.clone()).await,
            client.delete(&one).await,
        ] {
            assert_eq!(refused.status, 403, "{name}: {refused:?}");
        }
    }
    let bob = server.account("bob").await;
    let absent = format!("{DRAINS}/{}", penstock::name::Id::new());
    let nothing = bob.get(absent).await;
    for refused in [
        bob.get(&one).await,
        bob.patch(&one, change).await,
        bob.delete(&one).await,
    ] {
        assert_eq!((refused.status, &refused.body), (404, &nothing.body));
    }
    bob.post(DRAINS, drain("harbour")).await.missing("app");
    let reader = ann.scoped(&["read"], None).await;
    assert_eq!(reader.get(&one).await.status, 403);
}
