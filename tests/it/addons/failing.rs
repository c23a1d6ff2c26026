//! Providers that are slow, refuse, answer rubbish or are not there: the app and the add-on are left in a state that says so.

use std::time::Duration;

use serde_json::{Value, json};

use super::provider::{Act, Provider, answer};
use super::{ADDONS, acme, world};
use crate::harness::{Client, Server, id};

const MINUTE: Duration = Duration::from_secs(60);

async fn state(ann: &Client, addon: &Value) -> Value {
    ann.get(format!("/addons/{}", id(addon))).await.ok()["state"].clone()
}

#[tokio::test]
async fn a_provider_that_is_silent_is_asked_again_under_the_same_id() {
    let (server, ann, provider) = world().await;
    provider.next([Act::Silence]);
    let addon = ann
        .addon("harbour", json!({ "plan": "acme", "name": "mine" }))
        .await;
    assert_eq!(addon["state"], "provisioning");
    let message = addon["provision_message"].as_str().unwrap();
    assert!(message.contains("did not answer"), "{message}");
    assert_eq!(ann.config("harbour").await, json!({}));
    assert_eq!(ann.releases("harbour").await, Vec::<String>::new());
    server.settle().await;
    assert_eq!(provider.heard().len(), 1, "it was asked again too early");
    server.pass(MINUTE);
    server.settle().await;
    assert_eq!(provider.heard(), ["POST /heroku/resources"; 2]);
    assert_eq!(provider.last().body["uuid"], addon["id"]);
    assert_eq!(state(&ann, &addon).await, "provisioned");
    assert_eq!(
        ann.config("harbour").await["ACME_URL"],
        "acme://basic.test/1"
    );
    assert_eq!(ann.releases("harbour").await, ["Attach ACME (@ref:mine)"]);
}

#[tokio::test]
async fn a_provider_that_dies_fails_or_is_busy_is_asked_again_later_and_later() {
    let (server, ann, provider) = world().await;
    provider.next([
        Act::BreakOff,
        answer(500, json!({})),
        answer(429, json!({ "message": "later" })),
        answer(503, json!({})),
    ]);
    let addon = ann.addon("harbour", json!({ "plan": "acme" })).await;
    for minutes in [1, 2, 4, 8] {
        assert_eq!(state(&ann, &addon).await, "provisioning");
        let asked = provider.heard().len();
        server.pass(MINUTE * minutes - Duration::from_secs(1));
        server.settle().await;
        assert_eq!(provider.heard().len(), asked, "before {minutes} minutes");
        server.pass(Duration::from_secs(1));
        server.settle().await;
        assert_eq!(provider.heard().len(), asked + 1);
    }
    assert_eq!(state(&ann, &addon).await, "provisioned");
}

#[tokio::test]
async fn a_provider_that_is_not_there_for_twelve_hours_is_given_up() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    server.register(&acme("http://127.0.0.1:1")).await;
    let addon = ann
        .addon("harbour", json!({ "plan": "acme", "name": "mine" }))
        .await;
    assert_eq!(addon["state"], "provisioning");
    for _ in 0..20 {
        server.pass(MINUTE * 60);
        server.settle().await;
    }
    let shown = ann.get("/addons/mine").await.ok();
    assert_eq!(shown["state"], "deprovisioned");
    assert_eq!(
        ann.get("/apps/harbour/addon-attachments")
            .await
            .list()
            .len(),
        0
    );
    assert!(
        server.dump().contains("addon_removal:"),
        "it is not to be told"
    );
    ann.delete(format!("{ADDONS}/mine")).await.ok();
    assert_eq!(ann.get(ADDONS).await.list().len(), 0);
    for _ in 0..200 {
        server.pass(MINUTE * 60);
        server.settle().await;
    }
    assert!(
        !server.dump().contains("addon_removal:"),
        "after a week it is given up"
    );
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_said_to_be_one_and_the_provider_is_told_to_clean_up() {
    let (server, ann, provider) = world().await;
    let wrong = [
        Act::Answer(201, "<html>Hello</html>".into()),
        Act::Answer(200, "[]".into()),
        answer(201, json!({ "id": { "a": 1 } })),
        answer(201, json!({ "id": "1", "config": { "ACME_URL": 5 } })),
        answer(201, json!({ "id": "1", "config": { "PATH": "/evil" } })),
        answer(
            201,
            json!({ "id": "1", "config": { "ACME_URL": "a\u{0}b" } }),
        ),
        answer(
            201,
            json!({ "id": "1", "config": { "ACME_URL": "x".repeat(40_000) } }),
        ),
        answer(302, json!({})),
        Act::Answer(200, "x".repeat(2 << 20)),
    ];
    for act in wrong {
        provider.next([act.clone()]);
        let refused = ann.post(ADDONS, json!({ "plan": "acme" })).await;
        let shown = format!("{act:.200?}");
        if refused.status == 201 {
            // More than can be read is as good as no answer.
            assert!(shown.contains("xxx"), "{shown}");
            ann.delete(format!("{ADDONS}/{}", id(&refused.created())))
                .await
                .ok();
        } else {
            refused.invalid("The provider of acme");
        }
        server.settle().await;
        let last = provider.last();
        assert_eq!(last.method, "DELETE", "{shown}");
        assert_eq!(ann.get(ADDONS).await.list().len(), 0);
        assert_eq!(ann.config("harbour").await, json!({}));
    }
    assert_eq!(ann.releases("harbour").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_refusal_that_comes_late_stays_to_be_read() {
    let (server, ann, provider) = world().await;
    provider.next([Act::Silence, answer(422, json!({ "message": "Sold out." }))]);
    let addon = ann.addon("harbour", json!({ "plan": "acme" })).await;
    server.pass(MINUTE);
    server.settle().await;
    let shown = ann.get(format!("/addons/{}", id(&addon))).await.ok();
    assert_eq!(shown["state"], "deprovisioned");
    assert_eq!(shown["provision_message"], "Sold out.");
    ann.delete(format!("{ADDONS}/{}", id(&addon))).await.ok();
    server.settle().await;
    assert_eq!(
        provider.heard().len(),
        2,
        "who refused has nothing to remove"
    );
}

#[tokio::test]
async fn a_removal_is_told_again_until_the_provider_agrees() {
    let (server, ann, provider) = world().await;
    let addon = ann
        .addon("harbour", json!({ "plan": "acme", "name": "mine" }))
        .await;
    provider.next([
        answer(500, json!({})),
        Act::BreakOff,
        answer(401, json!({})),
    ]);
    ann.delete(format!("{ADDONS}/mine")).await.ok();
    server.settle().await;
    for (minutes, heard) in [(1, 3), (2, 4), (4, 5), (60, 5)] {
        server.pass(MINUTE * minutes);
        server.settle().await;
        assert_eq!(provider.heard().len(), heard);
    }
    let delete = format!("DELETE /heroku/resources/{}", id(&addon));
    assert_eq!(
        provider.heard()[1..],
        [delete.clone(), delete.clone(), delete.clone(), delete]
    );
    assert!(!server.dump().contains("addon_removal:"));
}

#[tokio::test]
async fn a_provider_that_has_removed_it_already_is_done() {
    let (server, ann, provider) = world().await;
    for status in [404, 410] {
        ann.addon("harbour", json!({ "plan": "acme", "name": "mine" }))
            .await;
        provider.next([answer(status, json!({}))]);
        ann.delete(format!("{ADDONS}/mine")).await.ok();
        server.settle().await;
        assert!(!server.dump().contains("addon_removal:"), "{status}");
    }
}

#[tokio::test]
async fn a_change_of_plan_without_an_answer_is_taken_back() {
    let (server, ann, provider) = world().await;
    let addon = ann
        .addon("harbour", json!({ "plan": "acme:basic", "name": "mine" }))
        .await;
    provider.next([Act::Silence]);
    let refused = ann
        .patch(format!("{ADDONS}/mine"), json!({ "plan": "acme:pro" }))
        .await;
    refused.invalid("did not answer");
    let again = ann
        .patch(format!("{ADDONS}/mine"), json!({ "plan": "acme:pro" }))
        .await;
    again.refused(409, "conflict", "under way");
    assert_eq!(provider.last().body["plan"], "pro");
    server.pass(MINUTE);
    server.settle().await;
    assert_eq!(
        provider.last().body["plan"],
        "basic",
        "nobody was told of another plan"
    );
    let shown = ann.get(format!("/addons/{}", id(&addon))).await.ok();
    assert_eq!(shown["plan"]["name"], "acme:basic");
    ann.patch(format!("{ADDONS}/mine"), json!({ "plan": "acme:pro" }))
        .await
        .ok();
}

/// Another provider of the same things, as the service `quick`.
async fn quick(server: &Server) -> Provider {
    let quick = Provider::start();
    let mut manifest = acme(&quick.url);
    manifest["id"] = json!("quick");
    manifest["config_vars_prefix"] = json!("ACME");
    server.register(&manifest).await;
    quick
}

#[tokio::test]
async fn a_silent_provider_with_many_addons_to_make_gets_no_more_than_its_share() {
    let (server, ann, silent) = world().await;
    let _quick = quick(&server).await;
    silent.next(std::iter::repeat_n(Act::Silence, 40));
    let mut waiting = Vec::new();
    for at in 0..40 {
        let ann = ann.clone();
        let body = json!({ "plan": "acme", "attachment": { "name": format!("ACME_{at}") } });
        waiting.push(tokio::spawn(
            async move { ann.post(ADDONS, body).await.status },
        ));
    }
    let wanted = || {
        let count = |connection: &rusqlite::Connection| {
            let sql = "SELECT count(*) FROM addon WHERE task = 'provision'";
            Ok(connection.query_row(sql, [], |row| row.get::<_, i64>(0))?)
        };
        server.platform.store.read(count).unwrap()
    };
    while silent.heard().len() < 8 || wanted() < 40 {
        let asking = |asked: &tokio::task::JoinHandle<u16>| !asked.is_finished();
        assert!(waiting.iter().any(asking), "{} are wanted", wanted());
        tokio::task::yield_now().await;
    }
    ann.app("marina").await;
    let made = ann.addon("marina", json!({ "plan": "quick" })).await;
    assert_eq!(made["state"], "provisioned");
    assert_eq!(silent.heard().len(), 8, "it got more than its share");
    waiting.iter().for_each(|waiting| waiting.abort());
}

#[tokio::test]
async fn one_silent_provider_holds_up_nobody_else() {
    let (server, ann, silent) = world().await;
    let _quick = quick(&server).await;
    silent.next([Act::Silence]);
    let waiting = ann.clone();
    let waiting =
        tokio::spawn(async move { waiting.addon("harbour", json!({ "plan": "acme" })).await });
    while silent.heard().is_empty() {
        tokio::task::yield_now().await;
    }
    ann.app("marina").await;
    let made = ann.addon("marina", json!({ "plan": "quick" })).await;
    assert_eq!(made["state"], "provisioned");
    assert!(!waiting.is_finished());
    assert_eq!(waiting.await.unwrap()["state"], "provisioning");
}
