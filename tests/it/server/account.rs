//! `penstock account`, beside a running server.

use serde_json::{Value, json};

use crate::binary::{Place, Server, TIED, penstock};

/// The status and what was printed, on standard output and on standard error.
fn account(place: &Place, action: &str, email: &str) -> (Option<i32>, String, String) {
    let mut command = penstock(&["account", action, email, "--data-dir"]);
    let output = command.arg(place.data()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[tokio::test]
async fn an_account_made_beside_a_running_server_works_at_once_and_sees_nothing_of_others() {
    let place = Place::new();
    let server = place.start();
    let owner = server.client();
    owner.create_app("owners").await;
    let (status, token, said) = account(&place, "create", "bob@example.com");
    assert_eq!(status, Some(0), "{said}");
    assert_eq!(token.lines().count(), 1);
    let bob = owner.with_token(token.trim());
    let seen = bob.get("/account").await.expect(200);
    assert_eq!(seen["email"], "bob@example.com");
    assert_eq!(bob.get("/apps").await.expect(200), json!([]));
    for path in [
        "/apps/owners",
        "/apps/owners/config-vars",
        "/apps/owners/releases",
    ] {
        let hidden = bob.get(path).await;
        assert_eq!(hidden.status, 404);
        assert_eq!(hidden.json()["id"], "not_found");
    }
    let taken = bob.post("/apps", json!({"name": "owners"})).await;
    assert_eq!(taken.status, 422);
    assert_eq!(bob.delete("/apps/owners").await.status, 404);
    bob.create_app("bobs").await;
    // Whoever runs the server may look after every app, though none but her own is in her list.
    assert_eq!(owner.get("/apps/bobs").await.status, 200);
    assert_eq!(
        owner
            .get("/apps")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        owner.get("/apps/owners").await.expect(200)["name"],
        "owners"
    );
}

#[tokio::test]
async fn a_second_token_opens_the_same_account_and_the_first_stays_good() {
    let place = Place::new();
    let server = place.start();
    let (_, first, _) = account(&place, "create", "bob@example.com");
    let (status, second, said) = account(&place, "token", "bob@example.com");
    assert_eq!(status, Some(0), "{said}");
    assert_ne!(first, second);
    let mut ids = Vec::new();
    for token in [first, second] {
        let bob = server.client().with_token(token.trim());
        ids.push(bob.get("/account").await.expect(200)["id"].clone());
    }
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], Value::Null);
}

#[test]
fn an_account_that_is_there_already_or_is_not_there_is_named() {
    let place = Place::new();
    let _server = place.start();
    account(&place, "create", "bob@example.com");
    for (action, email, code) in [
        ("create", "bob@example.com", 4),
        ("token", "eve@example.com", 3),
    ] {
        let (status, printed, said) = account(&place, action, email);
        assert_eq!(status, Some(code));
        assert_eq!(printed, "");
        assert!(said.contains(email), "{said}");
    }
}

#[test]
fn where_no_server_was_started_nothing_is_made_and_no_token_is_printed() {
    let place = Place::new();
    let data = place.data();
    let commands: [&[&str]; 11] = [
        &["account", "create", "bob@example.com"],
        &["account", "token", "owner@localhost"],
        &["account", "list"],
        &["token", "list"],
        &["token", "create", "owner@localhost"],
        &["addon", "register", "/nonexistent"],
        &["addon", "list"],
        &["addon", "remove", "nothing"],
        &["buildpack", "import", "mine/pack", "/tmp"],
        &["buildpack", "list"],
        &["backup", "/nonexistent/backup.tar"],
    ];
    for command in commands {
        let output = penstock(command)
            .arg("--data-dir")
            .arg(&data)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{command:?}: {said}");
        assert!(output.stdout.is_empty(), "{command:?}");
        assert!(!data.exists(), "{command:?} made {}", data.display());
    }
    // What a machine can do is looked at before there is a server, and leaves nothing there either.
    let mut doctor = penstock(&["doctor", "--json", "--data-dir"]);
    let output = doctor.arg(data.join("typo")).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["disk"]["free_bytes"].is_u64(), "{report}");
    let left = std::fs::read_dir(place.path("")).unwrap();
    assert_eq!(left.count(), 0);
}

#[tokio::test]
async fn a_second_person_gets_no_account_where_people_cannot_be_kept_apart() {
    for (level, warning) in [
        ("none", "level none. Dynos are not isolated at all"),
        ("landlock", "level landlock"),
    ] {
        let place = Place::new();
        let isolation = format!("--isolation={level}");
        let server = Server::start(place.command(&[TIED, &isolation]), &place.log());
        let why = format!("isolated at level {level}");
        let (status, token, said) = account(&place, "create", "ann@example.com");
        assert_eq!((status, token.as_str()), (Some(4), ""));
        assert!(
            said.contains(&why) && said.contains("penstock doctor"),
            "{said}"
        );
        // Nor over the API.
        let body = json!({"email": "ann@example.com"});
        let refused = server.client().post("/users", body).await;
        let said = refused.text();
        assert_eq!(refused.status, 403, "{said}");
        assert!(said.contains(&why), "{said}");
        let people = server.client().get("/users").await.expect(200);
        assert_eq!(people.as_array().unwrap().len(), 1);
        // More tokens for the one who is there are no matter.
        assert_eq!(account(&place, "token", "owner@localhost").0, Some(0));
        let log = std::fs::read_to_string(place.log()).unwrap();
        assert!(log.contains(warning), "{log}");
    }
}
