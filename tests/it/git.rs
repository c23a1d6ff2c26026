//! git push and clone, with stock git against the real server.

mod by_router;
mod compared;
mod held;
mod hostile;
mod limits;
mod nice;
mod released;
mod repository;
mod review_apps;
mod sizes;

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Instant;

use serde_json::{Value, json};

use self::held::Held;
use self::repository::Repository;
use crate::binary::{Client, HANG, Place, Server, penstock};

/// No web process, so nothing is started: what is built is what matters here.
const PROCFILE: &str = "worker: tail -f /dev/null\n";

async fn builds(client: &Client, app: &str) -> Vec<Value> {
    let builds = client.get(format!("/apps/{app}/builds")).await.expect(200);
    builds.as_array().unwrap().clone()
}

/// Asks again and again until the app's one build has this status.
async fn until(client: &Client, app: &str, status: &str) {
    let begun = Instant::now();
    loop {
        let builds = builds(client, app).await;
        if builds.iter().any(|build| build["status"] == status) {
            return;
        }
        assert!(begun.elapsed() < HANG, "no build is {status}: {builds:?}");
    }
}

/// A server with an app, and a working copy that can be pushed to it.
struct Scene {
    client: Client,
    work: Repository,
    /// The app's remote, with the owner's key.
    url: String,
    server: Server,
    place: Place,
}

impl Scene {
    async fn new() -> Scene {
        let place = Place::new();
        Scene::on(place.start(), place).await
    }

    async fn on(server: Server, place: Place) -> Scene {
        let client = server.client();
        client.create_app("app").await;
        let work = Repository::new();
        let url = work.url(&client, "app");
        Scene {
            client,
            work,
            url,
            server,
            place,
        }
    }
}

fn account(place: &Place, email: &str) -> String {
    let mut command = penstock(&["account", "create", email, "--data-dir"]);
    let output = command.arg(place.data()).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_push_is_built_and_released_and_can_be_cloned() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    let commit = work.commit(&[("Procfile", PROCFILE), ("lib/deep/file", "text")]);
    let pushed = work.push(url, "main");
    assert!(pushed.succeeded, "{}", pushed.said);
    let lines = [
        "remote: Building source:",
        "remote:        Procfile declares types -> worker",
        "remote:        Released v3",
        "remote: Verifying deploy... done.",
        "[new branch]      main -> main",
    ];
    for line in lines {
        assert!(pushed.said.contains(line), "no {line:?} in {}", pushed.said);
    }
    let built = builds(client, "app").await;
    assert_eq!(built.len(), 1);
    assert_eq!(built[0]["status"], "succeeded");
    assert_eq!(built[0]["source_blob"]["version"], commit.as_str());
    let release = client.get("/apps/app/releases/3").await.expect(200);
    let description = format!("Deploy {}", &commit[..8]);
    assert_eq!(release["description"], description.as_str());
    assert_eq!(release["current"], true);

    let again = work.push(url, "main");
    assert!(again.said.contains("Everything up-to-date"));
    assert_eq!(builds(client, "app").await.len(), 1);
    let copy = work.cloned(url);
    assert_eq!(
        std::fs::read_to_string(copy.join("lib/deep/file")).unwrap(),
        "text"
    );
    // A name that is used again is another app, with nothing of the first one's.
    client.delete("/apps/app").await.expect(200);
    client.create_app("app").await;
    assert_eq!(work.remote_refs(url), BTreeMap::new());
}

#[tokio::test]
async fn a_repository_of_one_folder_keeps_it() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    let compile = "#!/bin/sh\necho 'worker: cat bin/detect' > \"$1/Procfile\"\n";
    work.commit(&[
        ("bin/detect", "#!/bin/sh\necho Own\n"),
        ("bin/compile", compile),
    ]);
    let pushed = work.push(url, "main");
    assert!(pushed.succeeded, "{}", pushed.said);
    for line in ["Own app detected", "Procfile declares types -> worker"] {
        assert!(pushed.said.contains(line), "no {line:?} in {}", pushed.said);
    }
    let slug = client.get("/apps/app/releases/3").await.expect(200)["slug"]["id"].clone();
    let slug = client
        .get(format!("/apps/app/slugs/{}", slug.as_str().unwrap()))
        .await
        .expect(200);
    assert_eq!(slug["process_types"]["worker"], "cat bin/detect");
}

#[tokio::test]
async fn a_failed_build_rejects_the_push_and_leaves_the_ref() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    let good = work.commit(&[("Procfile", PROCFILE)]);
    assert!(work.push(url, "main").succeeded);
    work.remove("Procfile");
    work.commit(&[("README", "nothing to run")]);
    let refused = work.push(url, "main");
    assert!(!refused.succeeded);
    for line in [
        "There is no Procfile",
        "Push failed",
        "! [remote rejected] main -> main",
    ] {
        assert!(
            refused.said.contains(line),
            "no {line:?} in {}",
            refused.said
        );
    }
    assert_eq!(refused.said.matches("Push failed").count(), 1);
    assert_eq!(work.remote_refs(url)["refs/heads/main"], good);
    let current = client.get("/apps/app/releases/3").await.expect(200);
    assert_eq!(current["current"], true);
    // Going back is a push like any other, though it needs force nowhere else.
    work.reset(&good);
    let better = work.commit(&[("Procfile", PROCFILE), ("README", "more")]);
    assert!(work.push(url, "+main").succeeded);
    assert_eq!(work.remote_refs(url)["refs/heads/main"], better);
}

#[tokio::test]
async fn other_branches_and_tags_are_kept_and_not_built() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    let commit = work.commit(&[("Procfile", PROCFILE)]);
    work.git(&["tag", "v1"]);
    for refspec in ["main:feature", "v1"] {
        let pushed = work.push(url, refspec);
        assert!(pushed.succeeded, "{}", pushed.said);
        let notice = "remote: Pushed to non-main branch, skipping build.";
        assert!(pushed.said.contains(notice), "{}", pushed.said);
    }
    assert_eq!(builds(client, "app").await.len(), 0);
    assert!(work.push(url, ":feature").succeeded);
    assert!(work.push(url, "main:master").succeeded);
    assert_eq!(builds(client, "app").await.len(), 1);
    let refs = work.remote_refs(url);
    let expected = ["HEAD", "refs/heads/master", "refs/tags/v1"];
    assert_eq!(refs.keys().collect::<Vec<_>>(), expected);
    assert!(refs.values().all(|at| *at == commit));
    assert!(work.cloned(url).join("Procfile").is_file());
}

#[tokio::test]
async fn the_source_is_what_was_committed_to_the_byte() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    let attributes = "* text eol=crlf ident export-subst\nhidden export-ignore\n";
    // Whatever made it one.
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 12345\n",
        "ab".repeat(32)
    );
    work.commit(&[
        ("Procfile", PROCFILE),
        (".gitattributes", attributes),
        ("hidden", "kept\n"),
        ("text", "$Id$ $Format:%H$\nnext\n"),
        ("deep/big", &pointer),
    ]);
    let pushed = work.push(url, "main");
    assert!(pushed.succeeded, "{}", pushed.said);
    assert!(
        pushed.said.contains("Git LFS is not served"),
        "{}",
        pushed.said
    );
    let built = builds(client, "app").await;
    let url = built[0]["source_blob"]["url"].as_str().unwrap();
    let source = client.read(url).await.unwrap();
    let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(&*source.body));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap();
        let name = name.strip_prefix("./").unwrap_or(&name);
        let name = name.display().to_string();
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        files.insert(name, text);
    }
    assert_eq!(files["hidden"], "kept\n");
    assert_eq!(files["text"], "$Id$ $Format:%H$\nnext\n");
    assert_eq!(files[".gitattributes"], attributes);
}

#[tokio::test]
async fn who_may_not_deploy_may_not_push_or_clone() {
    let place = Place::new();
    let server = place.start();
    let owner = server.client();
    owner.create_app("app").await;
    let emails = ["stranger@example.com", "viewer@example.com"];
    let tokens = emails.map(|email| account(&place, email));
    let grant = json!({"user": "viewer@example.com", "permissions": ["view"]});
    owner
        .post("/apps/app/collaborators", grant)
        .await
        .expect(201);
    let read = json!({"scope": ["read"], "description": "reads"});
    let read = owner.post("/oauth/authorizations", read).await.expect(201);
    let read = read["access_token"]["token"].as_str().unwrap().to_owned();
    let work = Repository::new();
    work.commit(&[("Procfile", PROCFILE)]);
    let push = |token: &str, app: &str| {
        let url = work.url(&owner.with_token(token), app);
        let pushed = work.push(&url, "main");
        assert!(!pushed.succeeded, "{}", pushed.said);
        pushed.said.replace(&url, "URL")
    };
    let stranger = push(&tokens[0], "app");
    assert!(stranger.contains("Couldn't find that app."), "{stranger}");
    let absent = stranger.replace("/app.git", "/none.git");
    assert_eq!(absent, push(&tokens[0], "none"));
    assert!(push(&tokens[1], "app").contains("403"));
    assert!(push(&read, "app").contains("403"));
    assert!(push("wrong", "app").contains("Invalid credentials"));
    let nobody = format!("{}/app.git/info/refs?service=git-upload-pack", owner.api);
    assert_eq!(owner.read(&nobody).await.unwrap().status, 401);
    assert_eq!(builds(&owner, "app").await.len(), 0);
}

#[tokio::test]
async fn shallow_and_large_pushes_work() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    work.commit(&[("Procfile", PROCFILE)]);
    // More than git sends in one piece, of what does not compress.
    let noise: String = (0u64..400_000)
        .map(|n| format!("{:x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 24))
        .collect();
    let newest = work.commit(&[("noise", &noise)]);
    let shallow = work.shallow();
    let pushed = shallow.push(url, "main");
    assert!(pushed.succeeded, "{}", pushed.said);
    assert_eq!(work.remote_refs(url)["refs/heads/main"], newest);
    work.commit(&[("more", "x")]);
    assert!(work.push(url, "main").succeeded);
    assert_eq!(builds(client, "app").await.len(), 2);
}

#[tokio::test]
async fn a_second_push_is_refused_and_a_first_one_whose_client_goes_away_is_built() {
    let place = Place::new();
    let server = Server::start(place.command(&["--builds", "1"]), &place.log());
    let client = server.client();
    client.create_app("app").await;
    client.create_app("other").await;
    // The only builder waits for a source that does not come.
    let held = Held::listen();
    let source = json!({"source_blob": {"url": held.url()}});
    client.post("/apps/other/builds", source).await.expect(201);
    held.asked();
    let work = Repository::new();
    let commit = work.commit(&[("Procfile", PROCFILE)]);
    let url = work.url(&client, "app");
    let first = work.begin_push(&url, "main");
    until(&client, "app", "pending").await;
    let second = work.push(&url, "main");
    assert!(!second.succeeded);
    let reason = "Push rejected, another build is in progress.";
    assert!(second.said.contains(reason), "{}", second.said);
    first.kill();
    held.let_go();
    until(&client, "app", "succeeded").await;
    work.until_remote(&url, "refs/heads/main", &commit);
}

#[tokio::test]
async fn submodules_get_a_word_and_a_server_without_git_says_so() {
    let Scene {
        work,
        url,
        server,
        place,
        ..
    } = Scene::new().await;
    let commit = work.commit(&[("Procfile", PROCFILE)]);
    let link = format!("160000,{commit},vendored");
    work.git(&["update-index", "--add", "--cacheinfo", &link]);
    work.git(&["commit", "-qm", "a submodule"]);
    let pushed = work.push(&url, "main");
    assert!(pushed.succeeded, "{}", pushed.said);
    assert!(pushed.said.contains("1 git submodules"), "{}", pushed.said);
    drop(server);

    let mut command = place.command(&[]);
    command.env("PATH", "/nonexistent");
    let server = Server::start(command, &place.log());
    let pushed = work.push(&work.url(&server.client(), "app"), "main");
    assert!(!pushed.succeeded);
    assert!(
        pushed.said.contains("has no git program"),
        "{}",
        pushed.said
    );
}

#[tokio::test]
async fn one_port_takes_plain_http_and_tls_by_the_servers_own_authority() {
    let Scene {
        work,
        url: plain,
        server,
        place,
        ..
    } = Scene::new().await;
    let commit = work.commit(&[("Procfile", PROCFILE)]);
    let authority = server.data().join("ca.pem");
    let trusting = format!("http.sslCAInfo={}", authority.display());
    // The CLI's remotes name either, always with https.
    for host in ["127.0.0.1", "localhost"] {
        let secure = plain
            .replace("http://", "https://")
            .replace("127.0.0.1", host);
        assert!(
            !work.push(&secure, "main").succeeded,
            "nobody trusts it unasked"
        );
        work.git(&["-c", &trusting, "push", "-q", &secure, "main"]);
    }
    assert_eq!(work.remote_refs(&plain)["refs/heads/main"], commit);
    drop(server);
    // Whoever trusts the authority goes on trusting it.
    let before = std::fs::read(&authority).unwrap();
    let server = place.start();
    assert_eq!(std::fs::read(&authority).unwrap(), before);
    let secure = work
        .url(&server.client(), "app")
        .replace("http://", "https://");
    work.git(&["-c", &trusting, "ls-remote", &secure]);
}
