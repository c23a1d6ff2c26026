//! Review apps of branches that were pushed.

use serde_json::{Value, json};

use super::{PROCFILE, Scene};

#[tokio::test]
async fn a_branch_that_no_app_can_be_set_up_by_is_refused_before_anything_is_made() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    let pipeline = json!({"name": "trees"});
    let pipeline = client.post("/pipelines", pipeline).await.expect(201);
    client.couple(&pipeline, "app", "staging").await;
    let config = json!({"repo": "ann/trees"});
    let enabled = client.post("/pipelines/trees/review-app-config", config);
    enabled.await.expect(201);
    let ask = async |branch: &str| {
        let source = json!({"url": "resolve"});
        let body = json!({"branch": branch, "pipeline": pipeline["id"], "source_blob": source});
        client.post("/review-apps", body).await
    };
    // Elsewhere than at the root it is not looked for.
    work.commit(&[("Procfile", PROCFILE), ("lib/app.json", "{}")]);
    assert!(work.push(url, "HEAD:refs/heads/bare").succeeded);
    let refused = ask("bare").await.expect(422);
    let said = refused["message"].as_str().unwrap();
    for words in ["\"bare\" has no app.json", "git push heroku bare"] {
        assert!(said.contains(words), "{said}");
    }
    let made = client.get("/pipelines/trees/review-apps").await.expect(200);
    assert_eq!(made, json!([]));
    let apps = client.get("/apps").await.expect(200);
    assert_eq!(apps.as_array().map(Vec::len), Some(1), "{apps}");

    work.commit(&[("app.json", "{}")]);
    assert!(work.push(url, "HEAD:refs/heads/set").succeeded);
    let made = ask("set").await.expect(201);
    assert_ne!(made["app"]["id"], Value::Null);
}
