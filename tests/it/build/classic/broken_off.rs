//! Repositories whose server gives no whole answer: what whoever builds with one gets to read.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::Site;
use super::super::server::{Server, ok, status};
use super::from::{repository, source};
use super::{failed, succeeded};

/// A server of plain files that breaks off when it is asked for the refs for that time, counted from 1. We ask first, and then
/// git does: with `--depth`, without, and for all there is.
async fn server(breaks_off: usize) -> (tempfile::TempDir, Server) {
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    let (root, asked) = (dir.path().to_owned(), AtomicUsize::new(0));
    let server = Server::start(move |path| {
        let path = path.split('?').next().unwrap().trim_start_matches('/');
        let Ok(bytes) = std::fs::read(root.join(path)) else {
            return status(404, "no");
        };
        let mut answer = ok(&bytes);
        if path.ends_with("info/refs") && asked.fetch_add(1, Ordering::SeqCst) + 1 == breaks_off {
            answer.truncate(answer.len() - 10);
        }
        answer
    });
    (dir, server.await)
}

const BROKEN_OFF: &str = "git could not fetch it: fatal: unable to access";

#[tokio::test]
async fn a_server_that_breaks_off_is_not_taken_for_one_without_commits() {
    let (_dir, server) = server(3).await;
    let output = failed(&Site::new(), source(), &[&server.url("/pack.git")]).await;
    assert!(output.contains(BROKEN_OFF), "{output}");
    assert!(!output.contains("no commit"), "{output}");
}

#[tokio::test]
async fn a_commit_that_is_not_found_may_be_there_if_the_server_broke_off() {
    let (_dir, broken) = server(3).await;
    let output = failed(&Site::new(), source(), &[&broken.url("/pack.git#nowhere")]).await;
    let words = format!("The repository has no commit nowhere. {BROKEN_OFF}");
    assert!(output.contains(&words), "{output}");
    let (_dir, whole) = server(0).await;
    let output = failed(&Site::new(), source(), &[&whole.url("/pack.git#nowhere")]).await;
    let words = "The repository has no commit nowhere.";
    assert!(output.contains(words), "{output}");
    assert!(!output.contains("git could not"), "{output}");
}

#[tokio::test]
async fn a_name_is_looked_for_once_more_when_the_server_broke_off() {
    let (_dir, server) = server(3).await;
    let url = server.url("/pack.git#v1");
    let (_, output) = succeeded(&Site::new(), source(), &[&url]).await;
    assert!(output.contains("compiled by the first\n"), "{output}");
}

#[tokio::test]
async fn a_repository_whose_head_leads_nowhere_says_what_to_name_instead() {
    let (dir, server) = server(0).await;
    let head = dir.path().join("pack.git/HEAD");
    std::fs::write(head, "ref: refs/heads/none\n").unwrap();
    // None of these is our own repository's.
    for name in ["/pack.git", "/pack.git#HEAD", "/pack.git#@"] {
        let output = failed(&Site::new(), source(), &[&server.url(name)]).await;
        let words = "HEAD leads to no commit. Put a branch, a tag or a commit behind the #.";
        assert!(output.contains(words), "{name}: {output}");
    }
}
