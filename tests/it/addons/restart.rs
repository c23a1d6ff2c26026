//! The binary itself: manifests are registered beside a running server, which may be killed while a provider is being asked.

use serde_json::json;

use super::acme;
use super::provider::{Act, Provider};
use crate::binary::{Place, penstock};

/// What was printed on standard output and on standard error.
fn addon(place: &Place, action: &[&str]) -> (Option<i32>, String, String) {
    let mut command = penstock(&["addon"]);
    let output = command
        .args(action)
        .arg("--data-dir")
        .arg(place.data())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn manifest(place: &Place, provider: &Provider) -> String {
    let mut manifest = acme(&provider.url);
    manifest.as_object_mut().unwrap().remove("client_secret");
    let path = place.data().join("manifest.json");
    std::fs::create_dir_all(place.data()).unwrap();
    std::fs::write(&path, manifest.to_string()).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn a_manifest_registered_beside_a_running_server_is_offered_at_once() {
    let (place, provider) = (Place::new(), Provider::start());
    let server = place.start();
    let owner = server.client();
    owner.create_app("harbour").await;
    let file = manifest(&place, &provider);
    let (status, secret, said) = addon(&place, &["register", &file]);
    assert_eq!(status, Some(0), "{said}");
    assert!(
        secret.starts_with("HRKU-") && secret.lines().count() == 1,
        "{secret}"
    );
    let (_, again, _) = addon(&place, &["register", &file]);
    assert_eq!(again, "", "the secret stays what it was");
    let made = owner
        .post(
            "/apps/harbour/addons",
            json!({ "plan": "acme", "name": "mine" }),
        )
        .await;
    assert_eq!(made.expect(201)["state"], "provisioned");
    let (_, listed, _) = addon(&place, &["list"]);
    assert_eq!(listed, format!("acme\tga\t{}\n", provider.url));
    let (status, _, said) = addon(&place, &["remove", "acme"]);
    assert_eq!(status, Some(4));
    assert!(said.contains("mine"), "{said}");
    owner.delete("/apps/harbour").await.expect(200);
    let (status, _, said) = addon(&place, &["remove", "acme"]);
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(owner.get("/addon-services").await.expect(200), json!([]));
    let (status, _, said) = addon(&place, &["remove", "acme"]);
    assert_eq!(status, Some(3));
    assert!(said.contains("There is no add-on service acme"), "{said}");
}

#[tokio::test]
async fn a_server_that_is_killed_while_a_provider_is_asked_asks_again() {
    let (place, provider) = (Place::new(), Provider::start());
    let server = place.start();
    let owner = server.client();
    owner.create_app("harbour").await;
    addon(&place, &["register", &manifest(&place, &provider)]);
    provider.next([Act::Silence]);
    let asking = owner.clone();
    let asking = tokio::spawn(async move {
        let body = json!({ "plan": "acme", "name": "mine" });
        asking.try_call("POST", "/apps/harbour/addons", body).await
    });
    while provider.heard().is_empty() {
        tokio::task::yield_now().await;
    }
    let uuid = provider.last().body["uuid"].clone();
    server.kill();
    assert!(
        asking.await.unwrap().is_err(),
        "it was answered all the same"
    );
    let server = place.start();
    let owner = server.client();
    while provider.heard().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(provider.last().body["uuid"], uuid);
    loop {
        let seen = owner.get("/addons/mine").await.expect(200);
        if seen["state"] == "provisioned" {
            break;
        }
        assert_eq!(seen["state"], "provisioning");
    }
    let config = owner.get("/apps/harbour/config-vars").await.expect(200);
    assert_eq!(config, json!({ "ACME_URL": "acme://basic.test/1" }));
}
