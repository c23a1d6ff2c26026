//! Log drains: which URLs they may have, how they are pointed at, and who reads them.

use penstock::error::ErrorId;
use penstock::outbound::Outbound;
use serde_json::{Value, json};

use crate::harness::{Client, Server, id};

const DRAINS: &str = "/apps/harbour/log-drains";

async fn world() -> (Server, Client) {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    (server, ann)
}

fn body(url: &str) -> Value {
    json!({ "url": url })
}

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

#[tokio::test]
async fn a_drain_is_found_by_its_id_its_token_and_its_url() {
    let (_server, ann) = world().await;
    let url = "https://user:p%40ss@logs.example.com/in~1?token=a;b";
    let made = ann.post(DRAINS, body(url)).await.created();
    assert_eq!(made["url"], url);
    assert_eq!(made["app"]["name"], "harbour");
    assert!(made["addon"].is_null());
    let token = made["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("d.") && token.len() == 38, "{token}");
    for which in [id(&made), token.clone(), encoded(&token), encoded(url)] {
        let found = ann.get(format!("{DRAINS}/{which}")).await.ok();
        assert_eq!(found, made, "{which}");
    }
    let lagoon = ann.app("lagoon").await;
    let elsewhere = format!("/apps/{}/log-drains/{token}", id(&lagoon));
    ann.get(elsewhere).await.missing("log drain");
    let gone = ann.delete(format!("{DRAINS}/{}", encoded(url))).await.ok();
    assert_eq!(gone, made);
    ann.get(format!("{DRAINS}/{token}"))
        .await
        .missing("log drain");
    assert_eq!(ann.get(DRAINS).await.list(), [] as [Value; 0]);
}

#[tokio::test]
async fn a_drain_has_a_url_that_logs_can_be_sent_to() {
    let (server, ann) = world().await;
    for url in [
        "syslog://logs.example.com:514",
        "syslog+tls://logs.example.com:6514",
        "http://logs.example.com/in",
        "https://user:password@logs.example.com/in",
    ] {
        ann.post(DRAINS, body(url)).await.created();
    }
    let before = server.dump();
    for (url, words) in [
        ("", "cannot be read"),
        ("logs.example.com:514", "cannot be read"),
        ("syslog:logs.example.com", "cannot be read"),
        ("syslog://", "cannot be read"),
        ("syslog+tls://logs.example.com:99999", "cannot be read"),
        ("syslog://logs.example.com:0", "cannot be read"),
        ("syslog://user:secret@logs.example.com", "no credentials"),
        ("ftp://logs.example.com", "scheme of the drain's URL is ftp"),
        ("udp://logs.example.com", "scheme"),
        ("https://logs.example.com/a b", "space"),
        ("https://logs.example.com/\n", "control character"),
    ] {
        ann.post(DRAINS, body(url)).await.invalid(words);
    }
    let long = format!("https://logs.example.com/{}", "x".repeat(2000));
    ann.post(DRAINS, body(&long)).await.invalid("2000 bytes");
    ann.post(DRAINS, json!({})).await.invalid("url");
    assert_eq!(server.dump(), before);
}

#[test]
fn no_drain_leads_to_a_private_address_in_whatever_spelling() {
    let outbound = Outbound::new(false);
    for host in [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "10.0.0.1",
    ] {
        for scheme in ["syslog", "syslog+tls", "http", "https"] {
            let url = format!("{scheme}://{host}:6514");
            let error = outbound.check_drain(&url).unwrap_err();
            assert_eq!(error.id, ErrorId::InvalidParams, "{url}: {error}");
            let told = &error.message;
            assert!(told.contains("sends to public ones only"), "{url}: {told}");
            assert!(!told.contains("source"), "{url}: {told}");
        }
    }
    outbound.check_drain("syslog://192.0.1.1:514").unwrap();
}

#[tokio::test]
async fn an_app_has_no_url_twice_and_five_drains_at_most() {
    let (server, ann) = world().await;
    let url = |at: usize| body(&format!("syslog://logs-{at}.example.com:514"));
    ann.post(DRAINS, url(0)).await.created();
    ann.post(DRAINS, url(0)).await.invalid("already");
    ann.app("lagoon").await;
    ann.post("/apps/lagoon/log-drains", url(0)).await.created();
    for at in 1..5 {
        ann.post(DRAINS, url(at)).await.created();
    }
    let before = server.dump();
    ann.post(DRAINS, url(5)).await.invalid("5 log drains");
    assert_eq!(server.dump(), before);
    let first = encoded("syslog://logs-0.example.com:514");
    ann.delete(format!("{DRAINS}/{first}")).await.ok();
    ann.post(DRAINS, url(5)).await.created();
    ann.delete("/apps/harbour").await.ok();
    assert_eq!(ann.get("/apps/lagoon/log-drains").await.list().len(), 1);
}

#[tokio::test]
async fn a_list_of_drains_is_paged_by_url() {
    let (_server, ann) = world().await;
    for url in [
        "https://b.example/~x",
        "https://c.example/",
        "https://a.example/",
    ] {
        ann.post(DRAINS, body(url)).await.created();
    }
    let first = ann.range(DRAINS, "url ..; max=2").await;
    assert_eq!(first.status, 206);
    assert_eq!(
        first.each("url"),
        ["https://a.example/", "https://b.example/~x"]
    );
    let rest = ann.range(DRAINS, first.header("next-range")).await;
    assert_eq!(rest.status, 200);
    assert_eq!(rest.each("url"), ["https://c.example/"]);
}

#[tokio::test]
async fn a_url_is_read_by_whoever_reads_config_vars_and_stands_nowhere_else() {
    let (server, ann) = world().await;
    let url = "https://user:rosebud-rosebud@logs.example.com/";
    let made = ann.post(DRAINS, body(url)).await.created();
    let again = ann.post(DRAINS, body(url)).await;
    assert!(!again.text().contains("rosebud"));
    let dump = server.dump();
    assert!(dump.contains(made["token"].as_str().unwrap()));
    for secret in ["rosebud", &hex::encode("rosebud")] {
        assert!(!dump.contains(secret), "{dump}");
    }
    for (name, permission, status) in [("vera", "deploy", 403), ("oz", "operate", 200)] {
        let client = server.account(name).await;
        let user = format!("{name}@example.com");
        let invited = json!({"user": user, "permissions": [permission]});
        let collaborators = "/apps/harbour/collaborators";
        ann.post(collaborators, invited).await.created();
        let seen = client.get(DRAINS).await;
        assert_eq!(seen.status, status, "{name}");
        assert_eq!(seen.text().contains("rosebud"), status == 200);
        let more = client.post(DRAINS, body("https://x.example/")).await;
        assert_eq!(more.status, 403, "{name}");
        let gone = client.delete(format!("{DRAINS}/{}", id(&made))).await;
        assert_eq!(gone.status, 403, "{name}");
    }
    for (scope, status) in [("read", 403), ("write", 403), ("read-protected", 200)] {
        let token = ann.scoped(&[scope], None).await;
        assert_eq!(token.get(DRAINS).await.status, status, "{scope}");
        let gone = token.delete(format!("{DRAINS}/{}", id(&made))).await;
        assert_eq!(gone.status, 403, "{scope}");
    }
    let token = ann.scoped(&["write-protected"], None).await;
    token.delete(format!("{DRAINS}/{}", id(&made))).await.ok();
}
