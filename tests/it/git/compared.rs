//! How far apart the apps of a pipeline are, by what was pushed to them: what `heroku pipelines:diff` asks.

use serde_json::{Value, json};

use super::repository::Repository;
use super::{PROCFILE, Scene, account};
use crate::binary::{Client, HANG};

/// The commit of the newest release, where the CLI looks for it.
async fn released(client: &Client, app: &str) -> String {
    let releases = client.range(format!("/apps/{app}/releases"), "version ..; order=desc");
    let releases = releases.await.expect(200);
    let slug = releases[0]["slug"]["id"].as_str().unwrap();
    let slug = client.get(format!("/apps/{app}/slugs/{slug}")).await;
    slug.expect(200)["commit"].as_str().unwrap().to_owned()
}

/// Where two commits of an app's pipeline are compared.
async fn path(client: &Client, app: &str, commits: &str) -> String {
    let link = client.get(format!("/apps/{app}/github")).await.expect(200);
    format!(
        "/repos/{}/compare/{commits}",
        link["repo"].as_str().unwrap()
    )
}

/// A scene whose app is at the stage before that of another app.
async fn staged() -> (Scene, Value) {
    let scene = Scene::new().await;
    let client = &scene.client;
    client.create_app("shop").await;
    let pipeline = json!({"name": "trees"});
    let pipeline = client.post("/pipelines", pipeline).await.expect(201);
    client.couple(&pipeline, "app", "staging").await;
    client.couple(&pipeline, "shop", "production").await;
    (scene, pipeline)
}

/// Pushes what is there without having it built.
fn keep(work: &Repository, url: &str) {
    let pushed = work.push(url, "+HEAD:refs/heads/kept");
    assert!(pushed.succeeded, "{}", pushed.said);
}

fn commit(work: &Repository, message: &str) -> String {
    work.git(&["commit", "-q", "--allow-empty", "-m", message]);
    work.git(&["rev-parse", "HEAD"])
}

fn messages(compared: &Value) -> Vec<&str> {
    let commits = compared["commits"].as_array().unwrap().iter();
    commits
        .map(|found| found["commit"]["message"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn how_far_an_app_is_ahead_of_the_next_stage_is_told_as_github_tells_it() {
    let (scene, pipeline) = &staged().await;
    let Scene {
        client, work, url, ..
    } = scene;
    let first = work.commit(&[("Procfile", PROCFILE)]);
    assert!(work.push(url, "main").succeeded);
    client.promote(pipeline, "app", &["shop"]).await;
    assert_eq!(released(client, "shop").await, first);
    for message in ["Second\n\nwith a reason", "Third"] {
        commit(work, message);
        assert!(work.push(url, "main").succeeded);
    }
    let head = released(client, "app").await;
    let range = format!("{first}...{head}");
    let path = path(client, "app", &range).await;
    assert_eq!(path, self::path(client, "shop", &range).await);
    // The CLI asks for a token, and shows that by GitHub's scheme.
    let given = client.get("/account/github/token").await.expect(200);
    assert_eq!(given["github"]["token"], client.token.as_str());
    let http = reqwest::Client::builder().no_proxy().timeout(HANG);
    let asked = http.build().unwrap().get(format!("{}{path}", client.api));
    let asked = asked
        .header("authorization", format!("token {}", client.token))
        .header("content-type", "application/vnd.github+json");
    let compared: Value = asked.send().await.unwrap().json().await.unwrap();
    assert_eq!(compared["status"], "ahead", "{compared}");
    assert_eq!(
        (&compared["ahead_by"], &compared["behind_by"]),
        (&json!(2), &json!(0))
    );
    assert_eq!(messages(&compared), ["Second\n\nwith a reason", "Third"]);
    let newest = &compared["commits"][1];
    assert_eq!(newest["sha"], head.as_str());
    assert_eq!(newest["commit"]["author"]["name"], "ann");
    let date = work.git(&[
        "log",
        "-1",
        "--date=format-local:%Y-%m-%dT%H:%M:%SZ",
        "--format=%ad",
    ]);
    assert_eq!(newest["commit"]["author"]["date"], date.as_str());

    client.promote(pipeline, "app", &["shop"]).await;
    assert_eq!(released(client, "shop").await, head);
    let path = self::path(client, "app", &format!("{head}...{head}")).await;
    assert_eq!(client.get(path).await.expect(200)["status"], "identical");
}

#[tokio::test]
async fn commits_are_compared_both_ways() {
    let (scene, _) = &staged().await;
    let Scene {
        client, work, url, ..
    } = scene;
    let base = commit(work, "base");
    let left = commit(work, "left");
    keep(work, url);
    work.reset(&base);
    let right = commit(work, "right");
    assert!(work.push(url, "HEAD:refs/heads/right").succeeded);
    for (range, status, ahead, behind) in [
        (format!("{left}...{right}"), "diverged", vec!["right"], 1),
        (format!("{right}...{base}"), "behind", vec![], 1),
        (format!("{base}...{left}"), "ahead", vec!["left"], 0),
    ] {
        let compared = client
            .get(path(client, "app", &range).await)
            .await
            .expect(200);
        assert_eq!(compared["status"], status);
        assert_eq!(compared["behind_by"], behind);
        assert_eq!(compared["ahead_by"], ahead.len());
        assert_eq!(messages(&compared), ahead);
    }
}

#[tokio::test]
async fn only_who_may_have_the_source_is_told_what_is_in_it() {
    let (scene, _) = &staged().await;
    let Scene {
        client,
        work,
        url,
        place,
        ..
    } = scene;
    let (base, head) = (commit(work, "one"), commit(work, "two"));
    keep(work, url);
    let path = path(client, "app", &format!("{base}...{head}")).await;
    let bob = client.with_token(&account(place, "bob@example.com"));
    let refused = bob.get(&path).await;
    assert_eq!(refused.expect(404)["resource"], "pipeline");
    let absent = path.replace(path.split('/').nth(3).unwrap(), "nosuch");
    assert_eq!(refused.body, bob.get(absent).await.body);
    assert_eq!(
        bob.get("/apps/app/github").await.expect(404)["resource"],
        "app"
    );
    // Her own pipeline is no way to what was pushed to another's.
    bob.create_app("own").await;
    let own = bob
        .post("/pipelines", json!({"name": "own"}))
        .await
        .expect(201);
    bob.couple(&own, "own", "staging").await;
    let elsewhere = self::path(&bob, "own", &format!("{base}...{head}")).await;
    assert_eq!(bob.get(elsewhere).await.expect(404)["resource"], "commit");
    // Whoever sees the app and not its source sees no commits.
    let let_in = json!({"user": "bob@example.com", "permissions": ["view"]});
    let let_in = client.post("/apps/app/collaborators", let_in).await;
    let_in.expect(201);
    bob.get("/apps/app/github").await.expect(200);
    let refused = bob.get(&path).await.expect(404);
    assert_eq!(refused["resource"], "commit");
    let let_in = json!({"permissions": ["view", "deploy"]});
    let collaborator = "/apps/app/collaborators/bob@example.com";
    client.patch(collaborator, let_in).await.expect(200);
    assert_eq!(bob.get(&path).await.expect(200)["ahead_by"], 1);
    let nobody = client.with_token("HRKU-00000000-0000-7000-8000-000000000000");
    for path in [&path, "/account/github/token"] {
        nobody.get(path).await.expect(401);
    }
}

#[tokio::test]
async fn what_cannot_be_compared_is_refused_in_a_sentence() {
    let (scene, _) = &staged().await;
    let Scene {
        client, work, url, ..
    } = scene;
    let first = work.commit(&[("Procfile", PROCFILE)]);
    let second = commit(work, "second");
    let known = format!("{first}...{second}");
    let nothing = client.get(path(client, "app", &known).await).await;
    assert_eq!(nothing.expect(404)["resource"], "commit");
    // The newest commit alone says nothing of how far it is from another.
    let shallow = work.shallow();
    keep(&shallow, url);
    let refused = client.get(path(client, "app", &known).await).await;
    let said = refused.expect(404)["message"].as_str().unwrap().to_owned();
    assert!(said.contains("--unshallow"), "{said}");
    // Another app of the pipeline may have what the first has not.
    keep(work, &work.url(client, "shop"));
    client
        .get(path(client, "app", &known).await)
        .await
        .expect(200);
    let branch = format!("{first}...kept");
    let option = format!("{first}...--output={}", "x".repeat(31));
    let short = format!("{}...{}", &first[..8], &second[..8]);
    let two_dots = format!("{first}..{second}");
    let more = format!("{first}...{second}...{second}");
    for named in [&branch, &option, &short, &two_dots, &more, "...", "HEAD"] {
        let refused = client.get(path(client, "app", named).await).await;
        let said = refused.expect(422)["message"].as_str().unwrap().to_owned();
        assert!(said.contains("BASE...HEAD"), "{named}: {said}");
    }
    let unknown = format!("{first}...{}", "0".repeat(40));
    let refused = client.get(path(client, "app", &unknown).await).await;
    assert_eq!(refused.expect(404)["resource"], "commit");
    // A tree is there and is no commit.
    let tree = work.git(&["rev-parse", "HEAD^{tree}"]);
    let tree = path(client, "app", &format!("{first}...{tree}")).await;
    client.get(tree).await.expect(404);
    // Nor has what began anew a history with what was before.
    work.git(&["checkout", "-q", "--orphan", "anew"]);
    let anew = commit(work, "anew");
    assert!(work.push(url, "HEAD:refs/heads/anew").succeeded);
    let apart = path(client, "app", &format!("{first}...{anew}")).await;
    client.get(apart).await.expect(404);
    client.create_app("alone").await;
    let refused = client.get("/apps/alone/github").await.expect(404);
    let said = refused["message"].as_str().unwrap();
    assert!(said.contains("heroku pipelines:add"), "{said}");
}

#[tokio::test]
async fn of_many_commits_the_newest_are_told_and_of_a_long_message_the_beginning() {
    let (scene, _) = &staged().await;
    let Scene {
        client, work, url, ..
    } = scene;
    let base = commit(work, "0");
    let mut head = base.clone();
    for number in 1..=253 {
        head = commit(work, &number.to_string());
    }
    keep(work, url);
    let range = format!("{base}...{head}");
    let compared = client
        .get(path(client, "app", &range).await)
        .await
        .expect(200);
    assert_eq!(compared["ahead_by"], 253);
    let wanted: Vec<String> = (4..=253).map(|number: u32| number.to_string()).collect();
    assert_eq!(messages(&compared), wanted);
    let long = "long ".repeat(600_000);
    work.commit(&[("message", &long)]);
    work.git(&[
        "commit",
        "-q",
        "--allow-empty",
        "--cleanup=verbatim",
        "-F",
        "message",
    ]);
    let newest = work.git(&["rev-parse", "HEAD"]);
    keep(work, url);
    let range = format!("{head}...{newest}");
    let answer = client.get(path(client, "app", &range).await).await;
    let compared = answer.expect(200);
    assert_eq!(compared["ahead_by"], 2);
    assert!(answer.body.len() < 2 << 20, "{}", answer.body.len());
    let shown = messages(&compared);
    assert!(shown.last().unwrap().starts_with("long long "), "{shown:?}");
}
