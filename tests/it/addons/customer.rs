//! Add-ons as a customer knows them.

use serde_json::{Value, json};

use super::provider::answer;
use super::{ADDONS, world};
use crate::harness::{id, web_app};

#[tokio::test]
async fn an_add_on_is_made_by_its_provider_and_sets_its_config_var() {
    let (_server, ann, provider) = world().await;
    let body =
        json!({ "plan": { "name": "acme:pro" }, "name": "acme-one", "config": { "version": "9" } });
    let addon = ann.addon("harbour", body).await;
    assert_eq!(addon["state"], "provisioned");
    assert_eq!(addon["config_vars"], json!(["ACME_URL"]));
    assert_eq!(addon["provision_message"], "Your database is ready.");
    assert_eq!(addon["plan"]["price"]["cents"], 0);
    assert_eq!(
        ann.config("harbour").await,
        json!({ "ACME_URL": "acme://pro.test/1" })
    );
    assert_eq!(
        ann.releases("harbour").await,
        ["Attach ACME (@ref:acme-one)"]
    );
    let release = ann.get("/apps/harbour/releases/3").await.ok();
    assert_eq!(release["addon_plan_names"], json!(["acme:pro"]));
    let asked = provider.last();
    assert_eq!(
        (asked.method.as_str(), asked.path.as_str()),
        ("POST", "/heroku/resources")
    );
    // "acme:correct-horse"
    assert_eq!(asked.authorization, "Basic YWNtZTpjb3JyZWN0LWhvcnNl");
    assert_eq!(asked.body["uuid"], addon["id"]);
    assert_eq!(asked.body["plan"], "pro");
    assert_eq!(asked.body["options"], json!({ "version": "9" }));
    assert_eq!(asked.body["oauth_grant"]["type"], "authorization_code");
    for path in [
        "/addons/acme-one",
        "/apps/harbour/addons/acme-one",
        "/apps/harbour/addons/ACME",
    ] {
        assert_eq!(ann.get(path).await.ok()["id"], addon["id"], "{path}");
    }
    for path in ["/addons", ADDONS, "/users/~/addons"] {
        assert_eq!(ann.get(path).await.each("id"), [id(&addon)], "{path}");
    }
}

#[tokio::test]
async fn what_a_provider_sets_is_not_for_a_customer_to_change() {
    let (_server, ann, _provider) = world().await;
    ann.addon("harbour", json!({ "plan": "acme:basic" })).await;
    for value in [json!("mine"), Value::Null] {
        let refused = ann
            .patch(
                "/apps/harbour/config-vars",
                json!({ "ACME_URL": value, "A": "1" }),
            )
            .await;
        refused.invalid("Cannot overwrite attachment values ACME_URL");
    }
    let same = json!({ "ACME_URL": "acme://basic.test/1", "A": "1" });
    ann.patch("/apps/harbour/config-vars", same.clone())
        .await
        .ok();
    assert_eq!(ann.config("harbour").await, same);
}

#[tokio::test]
async fn a_provider_that_refuses_is_quoted_and_nothing_is_left() {
    let (server, ann, provider) = world().await;
    let before = server.dump();
    provider.next([answer(
        422,
        json!({ "message": "No more databases today." }),
    )]);
    let refused = ann.post(ADDONS, json!({ "plan": "acme" })).await;
    refused.invalid("No more databases today.");
    assert_eq!(server.dump(), before);
    server.settle().await;
    assert_eq!(provider.heard(), ["POST /heroku/resources"]);
}

#[tokio::test]
async fn an_unknown_plan_or_a_name_that_is_taken_is_refused_before_anybody_is_asked() {
    let (_server, ann, provider) = world().await;
    for plan in ["acme:none", "none", "none:basic"] {
        let refused = ann.post(ADDONS, json!({ "plan": plan })).await;
        refused.invalid("Couldn't find either the add-on service or the add-on plan");
    }
    ann.addon("harbour", json!({ "plan": "acme", "name": "mine" }))
        .await;
    let again = json!({ "plan": "acme", "name": "MINE" });
    ann.post(ADDONS, again)
        .await
        .invalid("Name is already taken");
    let named = json!({ "plan": "acme", "name": "no spaces" });
    ann.post(ADDONS, named).await.invalid("name of an add-on");
    ann.post(ADDONS, json!({})).await.invalid("plan");
    assert_eq!(provider.heard().len(), 1);
}

#[tokio::test]
async fn a_second_add_on_of_a_service_takes_a_color() {
    let (_server, ann, _provider) = world().await;
    ann.addon("harbour", json!({ "plan": "acme" })).await;
    let second = ann.addon("harbour", json!({ "plan": "acme" })).await;
    assert_eq!(second["config_vars"], json!(["ACME_AMBER_URL"]));
    let third = json!({ "plan": "acme", "attachment": { "name": "cache" } });
    let third = ann.addon("harbour", third).await;
    assert_eq!(third["config_vars"], json!(["CACHE_URL"]));
    let names = ann
        .get("/apps/harbour/addon-attachments")
        .await
        .each("name");
    assert_eq!(names, ["ACME", "ACME_AMBER", "CACHE"]);
}

#[tokio::test]
async fn a_plan_changes_when_the_provider_agrees() {
    let (server, ann, provider) = world().await;
    let addon = ann
        .addon("harbour", json!({ "plan": "acme:basic", "name": "mine" }))
        .await;
    let named = provider.last().body["heroku_id"].clone();
    assert_ne!(named, Value::Null);
    let path = format!("{ADDONS}/mine");
    let moved = ann
        .patch(&path, json!({ "plan": { "name": "acme:pro" } }))
        .await
        .ok();
    assert_eq!(moved["plan"]["name"], "acme:pro");
    assert_eq!(moved["provision_message"], "Moved.");
    assert_eq!(
        provider.last().path,
        format!("/heroku/resources/{}", id(&addon))
    );
    assert_eq!(provider.last().body["plan"], "pro");
    assert_eq!(provider.last().body["heroku_id"], named);
    assert_eq!(ann.config("harbour").await["ACME_URL"], "acme://pro.test/1");
    assert_eq!(ann.releases("harbour").await[1], "Update ACME by acme");
    provider.next([answer(422, json!({ "message": "Empty it first." }))]);
    ann.patch(&path, json!({ "plan": "basic" }))
        .await
        .invalid("Empty it first.");
    assert_eq!(ann.get(&path).await.ok()["plan"]["name"], "acme:pro");
    ann.patch(&path, json!({ "plan": "none" }))
        .await
        .invalid("Couldn't find either the add-on");
    provider.next([answer(500, json!({}))]);
    ann.patch(&path, json!({ "plan": "basic" }))
        .await
        .invalid("failed");
    // What came of the plan is no matter to whoever asks for something else.
    let renamed = ann.patch(&path, json!({ "name": "yours" })).await.ok();
    assert_eq!(renamed["name"], "yours");
    ann.get(&path).await.refused(404, "not_found", "add-on");
    let before = server.dump();
    server.settle().await;
    assert_eq!(server.dump(), before);
}

#[tokio::test]
async fn an_add_on_that_is_destroyed_takes_its_config_vars_along() {
    let (server, ann, provider) = world().await;
    let addon = ann
        .addon("harbour", json!({ "plan": "acme", "name": "mine" }))
        .await;
    let gone = ann.delete(format!("{ADDONS}/mine")).await.ok();
    assert_eq!(gone["state"], "deprovisioned");
    assert_eq!(ann.config("harbour").await, json!({}));
    assert_eq!(ann.releases("harbour").await[1], "Detach ACME (@ref:mine)");
    assert_eq!(ann.get(ADDONS).await.list().len(), 0);
    server.settle().await;
    assert_eq!(
        provider.heard()[1],
        format!("DELETE /heroku/resources/{}", id(&addon))
    );
    assert!(!server.dump().contains("addon_removal:"));
}

#[tokio::test]
async fn the_add_ons_of_an_app_go_with_it() {
    let (server, ann, provider) = world().await;
    ann.app("marina").await;
    let addon = ann
        .addon("harbour", json!({ "plan": "acme", "name": "mine" }))
        .await;
    let body = json!({ "app": "marina", "addon": "mine" });
    ann.post("/addon-attachments", body).await.created();
    assert_eq!(
        ann.config("marina").await["ACME_URL"],
        "acme://basic.test/1"
    );
    ann.delete("/apps/harbour").await.ok();
    assert_eq!(ann.config("marina").await, json!({}));
    assert_eq!(ann.releases("marina").await[1], "Detach ACME (@ref:mine)");
    server.settle().await;
    assert_eq!(
        provider.heard()[1],
        format!("DELETE /heroku/resources/{}", id(&addon))
    );
}

#[tokio::test]
async fn a_rollback_takes_old_config_vars_but_todays_add_ons() {
    let (server, ann, _provider) = world().await;
    server.running_app(&ann, "lagoon").await;
    ann.patch("/apps/lagoon/config-vars", json!({ "A": "1" }))
        .await
        .ok();
    ann.addon("lagoon", json!({ "plan": "acme", "name": "old" }))
        .await;
    let with_old = ann.releases("lagoon").await.len() + 2;
    ann.patch("/apps/lagoon/config-vars", json!({ "A": "2" }))
        .await
        .ok();
    ann.delete("/apps/lagoon/addons/old").await.ok();
    ann.addon("lagoon", json!({ "plan": "acme:pro" })).await;
    let body = json!({ "release": with_old.to_string() });
    ann.post("/apps/lagoon/releases", body).await.created();
    let config = ann.config("lagoon").await;
    assert_eq!(config, json!({ "A": "1", "ACME_URL": "acme://pro.test/1" }));
    let refused = ann
        .patch("/apps/lagoon/config-vars", json!({ "ACME_URL": "x" }))
        .await;
    refused.invalid("Cannot overwrite");
}

#[tokio::test]
async fn a_safe_promotion_asks_for_add_ons_of_the_same_services() {
    let (server, ann, _provider) = world().await;
    server.deploy(&ann, "harbour", &web_app()).await;
    ann.app("marina").await;
    let pipeline = ann.pipeline("water").await;
    ann.couple("harbour", &pipeline, "staging").await;
    ann.couple("marina", &pipeline, "production").await;
    ann.addon("harbour", json!({"plan": "acme:basic"})).await;
    let promotion = json!({
        "pipeline": "water", "source": {"app": "harbour"}, "targets": [{"app": "marina"}], "safe": true,
    });
    let before = server.dump();
    let refused = ann.post("/pipeline-promotions", promotion.clone()).await;
    refused
        .invalid("The source app has addon(s) (acme) that are not on the destination app (marina)");
    assert_eq!(server.dump(), before);
    ann.addon("marina", json!({"plan": "acme:pro"})).await;
    ann.post("/pipeline-promotions", promotion).await.created();
    server.settle().await;
}

#[tokio::test]
async fn where_an_add_on_is_attached_is_for_who_sees_that_app_or_manages_the_add_ons() {
    let (server, ann, _provider) = world().await;
    let (bob, ada) = (server.account("bob").await, server.admin("ada").await);
    ann.app("marina").await;
    let addon = ann
        .addon("harbour", json!({ "plan": "acme", "name": "mine" }))
        .await;
    let own = ann.get("/apps/harbour/addon-attachments").await.each("id");
    let body = json!({ "app": "marina", "addon": "mine", "name": "FAR" });
    let far = id(&ann.post("/addon-attachments", body).await.created());
    let body = json!({ "user": "bob@example.com", "permissions": ["view", "deploy", "operate"] });
    ann.post("/apps/harbour/collaborators", body)
        .await
        .created();
    let of_addon = format!("/addons/{}/addon-attachments", id(&addon));
    let both = [own[0].clone(), far.clone()];
    for path in [of_addon.as_str(), "/addon-attachments"] {
        assert_eq!(bob.get(path).await.each("id"), own, "{path}");
        assert_eq!(ann.get(path).await.each("id"), both, "{path}");
    }
    assert_eq!(ada.get(&of_addon).await.each("id"), both);
    let one = format!("/addon-attachments/{far}");
    bob.get(&one).await.expect(404);
    bob.delete(&one).await.expect(404);
    let find = json!({ "addon_attachment": "FAR" });
    let found = bob
        .post("/actions/addon-attachments/resolve", find.clone())
        .await;
    assert!(!found.text().contains("marina"), "{}", found.text());
    let body = json!({ "permissions": ["view", "manage"] });
    let path = "/apps/harbour/collaborators/bob@example.com";
    ann.patch(path, body).await.ok();
    for path in [of_addon.as_str(), "/addon-attachments"] {
        assert_eq!(bob.get(path).await.each("id"), both, "{path}");
    }
    let found = bob.post("/actions/addon-attachments/resolve", find).await;
    assert_eq!(found.each("id"), [far]);
    bob.delete(one).await.ok();
}
