//! What may be pushed, and what may not: the server stays as it was, and says why.

use super::repository::Repository;
use super::{PROCFILE, Scene, builds};
use crate::binary::{Place, Server, program};

/// A tree of so many levels, each of ten times the one below it, and this in the lowest: a few kilobytes that stand for any number.
fn bomb(work: &Repository, levels: u32, lowest: &str) -> String {
    let mut tree = work.tree(lowest);
    for _ in 0..levels {
        let entry = |n: u32| format!("040000 tree {tree}\tfolder{n}\n");
        tree = work.tree(&(0..10).map(entry).collect::<String>());
    }
    work.git(&["commit-tree", "-m", "many files", &tree])
}

#[tokio::test]
async fn a_few_bytes_that_stand_for_ten_million_files_or_folders_are_refused() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    let blob = work.git(&["hash-object", "-w", "--stdin"]);
    for lowest in [format!("100644 blob {blob}\tfile\n"), String::new()] {
        let commit = bomb(work, 12, &lowest);
        let pushed = work.push(url, &format!("{commit}:refs/heads/main"));
        assert!(!pushed.succeeded);
        let reason = "more than 200000 files and folders";
        assert!(pushed.said.contains(reason), "{}", pushed.said);
    }
    assert!(builds(client, "app").await.is_empty());
    assert!(work.remote_refs(url).is_empty());
    // They hold up nobody.
    work.commit(&[("Procfile", PROCFILE)]);
    assert!(work.push(url, "main").succeeded);
}

#[tokio::test]
async fn refs_that_would_be_in_the_way_are_refused() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    work.commit(&[("Procfile", PROCFILE)]);
    for (refspecs, reason) in [
        (&["main:refs/heads/main/x"][..], "with a slash"),
        (&["main:refs/odd/x"], "Only branches and tags"),
        (&["main", "main:master"], "not both at once"),
    ] {
        let mut arguments = vec!["push", url.as_str()];
        arguments.extend(refspecs);
        let pushed = work.pushed(&arguments);
        assert!(!pushed.succeeded);
        assert!(pushed.said.contains(reason), "{}", pushed.said);
    }
    let bare = work.push(url.strip_suffix(".git").unwrap(), "main");
    assert!(bare.said.contains("ends in .git"), "{}", bare.said);
    assert!(work.remote_refs(url).is_empty());
    let blob = work.git(&["rev-parse", "main:Procfile"]);
    work.git(&["tag", "file", &blob]);
    assert!(work.push(url, "file").succeeded);
    assert!(builds(client, "app").await.is_empty());
}

#[tokio::test]
async fn a_push_is_built_though_the_servers_own_file_is_gone() {
    let place = Place::new();
    let binary = place.path("penstock");
    program::penstock(&binary);
    let usual = place.command(&[]);
    let mut command = std::process::Command::new(&binary);
    command.args(usual.get_args()).env_clear();
    command.env("PATH", std::env::var_os("PATH").unwrap());
    let server = Server::start(command, &place.log());
    // As when another version was put elsewhere.
    std::fs::remove_file(&binary).unwrap();
    let client = server.client();
    client.create_app("app").await;
    let work = Repository::new();
    work.commit(&[("Procfile", PROCFILE)]);
    assert!(work.push(&work.url(&client, "app"), "main").succeeded);
    assert_eq!(builds(&client, "app").await.len(), 1);
}
