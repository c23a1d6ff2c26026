//! Where a person has to say more: which of several is meant, and that something may really be replaced or destroyed.

use serde_json::{Value, json};

use super::{ADDONS, world};
use crate::harness::{Answer, id};

fn asks(answer: &Answer, words: &str) {
    answer.refused(423, "confirmation_required", words);
}

#[tokio::test]
async fn an_add_on_that_others_use_is_destroyed_only_on_a_second_word() {
    let (server, ann, _provider) = world().await;
    ann.app("marina").await;
    ann.addon("harbour", json!({"plan": "acme", "name": "mine"}))
        .await;
    let shared = json!({"addon": "mine", "app": "marina"});
    ann.post("/addon-attachments", shared).await.created();
    let path = format!("{ADDONS}/mine");
    let before = server.dump();
    let delete = async |body: Value| ann.request("DELETE", &path).json(&body).send().await;
    asks(&delete(json!({})).await, "marina");
    asks(&delete(json!({"confirm": "marina"})).await, "marina");
    asks(&delete(json!({"force": false})).await, "marina");
    assert_eq!(server.dump(), before);
    let gone = delete(json!({"confirm": "harbour"})).await.ok();
    assert_eq!(gone["state"], "deprovisioned");
    assert_eq!(ann.config("marina").await, json!({}));
}

#[tokio::test]
async fn config_vars_and_attachments_make_way_only_on_a_second_word() {
    let (server, ann, _provider) = world().await;
    let vars = json!({"ACME_URL": "by hand"});
    ann.patch("/apps/harbour/config-vars", vars).await.ok();
    let before = server.dump();
    let mut wanted = json!({"plan": "acme", "name": "mine"});
    asks(&ann.post(ADDONS, wanted.clone()).await, "ACME_URL is set");
    assert_eq!(server.dump(), before);
    wanted["confirm"] = json!("harbour");
    ann.addon("harbour", wanted).await;
    assert_eq!(
        ann.config("harbour").await["ACME_URL"],
        "acme://basic.test/1"
    );
    ann.addon("harbour", json!({"plan": "acme", "name": "other"}))
        .await;
    ann.app("marina").await;
    let mut attach = json!({"addon": "mine", "app": "marina", "name": "DB"});
    ann.post("/addon-attachments", attach.clone())
        .await
        .created();
    attach["addon"] = json!("other");
    let before = server.dump();
    asks(
        &ann.post("/addon-attachments", attach.clone()).await,
        "would be detached",
    );
    assert_eq!(server.dump(), before);
    attach["confirm"] = json!("marina");
    ann.post("/addon-attachments", attach).await.created();
    let there = ann.get("/apps/marina/addon-attachments").await.list();
    assert_eq!(there.len(), 1);
    assert_eq!(there[0]["addon"]["name"], "other");
}

#[tokio::test]
async fn what_several_are_called_means_none_of_them() {
    let (server, ann, _provider) = world().await;
    let bob = server.account("bob").await;
    bob.app("lagoon").await;
    bob.addon("lagoon", json!({"plan": "acme", "name": "his"}))
        .await;
    ann.addon("harbour", json!({"plan": "acme", "name": "mine"}))
        .await;
    ann.app("marina").await;
    let addon = async |body: Value| ann.post("/actions/addons/resolve", body).await;
    for means in ["acme", "mine", "ACME", "acme:basic", "harbour::ACME"] {
        let found = addon(json!({ "addon": means })).await.each("name");
        assert_eq!(found, ["mine"], "{means}");
    }
    ann.addon("marina", json!({"plan": "acme", "name": "other"}))
        .await;
    for means in ["acme", "acme:basic", "ACME"] {
        let several = addon(json!({ "addon": means })).await;
        several.refused(422, "multiple_matches", "mine, other");
        let one = addon(json!({ "addon": means, "app": "marina" })).await;
        assert_eq!(one.each("name"), ["other"], "{means}");
    }
    let his = addon(json!({ "addon": "his" })).await;
    his.refused(404, "not_found", "add-on");
    let attachment = async |body: Value| ann.post("/actions/addon-attachments/resolve", body).await;
    let several = attachment(json!({"addon_attachment": "ACME"})).await;
    several.refused(422, "multiple_matches", "harbour::ACME, marina::ACME");
    let one = json!({"addon_attachment": "ACME", "app": "harbour"});
    let one = attachment(one).await.list();
    assert_eq!(one[0]["addon"]["name"], "mine");
    let by_id = json!({"addon_attachment": id(&one[0])});
    assert_eq!(attachment(by_id).await.list(), one);
}
