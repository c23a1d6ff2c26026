//! Names that mean something else the next time they are asked for: what was judged is what is connected to.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use penstock::outbound::Outbound;
use penstock::store::builds::Status;

use super::super::server::{Server, ok, redirect, status};
use super::super::{Site, archive, new};
use super::from::repository;
use super::{Tar, failed, succeeded};

/// The one address that counts as public here, and one that does not.
const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PRIVATE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// A site for which every name is public so many times, and private from then on; and how often one was asked for.
fn site(public: usize) -> (Site, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let asking = asked.clone();
    let mut site = Site::new();
    let outbound = Outbound::reaching(|address| address == PUBLIC);
    site.parts.outbound = outbound.resolving(move |_| {
        let before = asking.fetch_add(1, Ordering::SeqCst);
        vec![if before < public { PUBLIC } else { PRIVATE }]
    });
    (site, asked)
}

/// At a name that the machine's resolver does not know.
fn url(server: &Server, path: &str) -> String {
    let port = server.host.rsplit(':').next().unwrap();
    format!("http://changing.invalid:{port}{path}")
}

fn source() -> Tar {
    Tar::new().file("Procfile", "web: own\n")
}

#[tokio::test]
async fn a_source_comes_from_the_address_that_was_judged() {
    let server = Server::start(|path| match path {
        "/moved" => redirect("/source.tgz"),
        _ => ok(&archive()),
    })
    .await;
    let (site, asked) = site(1);
    let build = site.queue(new(&url(&server, "/source.tgz")));
    site.build().await;
    let output = site.output(&build).await;
    assert_eq!(site.row(&build).status, Status::Succeeded, "{output}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // A redirect to the very same name is judged anew.
    let (site, _) = self::site(1);
    let build = site.queue(new(&url(&server, "/moved")));
    site.build().await;
    let output = site.output(&build).await;
    assert!(output.contains("is at a private address"), "{output}");
    assert_eq!(server.heads().len(), 2);
}

#[tokio::test]
async fn an_archive_of_a_buildpack_comes_from_the_address_that_was_judged() {
    let pack = Tar::new()
        .file("bin/detect", "#!/bin/sh\necho Shop\n")
        .file("bin/compile", "#!/bin/sh\necho compiled\n")
        .gz();
    let server = Server::start(move |_| ok(&pack)).await;
    let (site, asked) = site(1);
    let (_, output) = succeeded(&site, source(), &[&url(&server, "/pack.tgz")]).await;
    assert!(output.contains("\ncompiled\n"), "{output}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let output = failed(&site, source(), &[&url(&server, "/pack.tgz")]).await;
    assert!(output.contains("is at a private address"), "{output}");
}

/// Git looks for the name nowhere: it could not find it, and it would be told of the private address.
#[tokio::test]
async fn git_connects_to_the_address_that_was_judged_and_asks_for_no_other() {
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    let root = dir.path().to_owned();
    let server = Server::start(move |path| {
        let path = path.split('?').next().unwrap().trim_start_matches('/');
        match std::fs::read(root.join(path)) {
            Ok(bytes) => ok(&bytes),
            Err(_) => status(404, "no"),
        }
    })
    .await;
    let pack = url(&server, "/pack.git");
    let (site, asked) = site(2);
    let (_, output) = succeeded(&site, source(), &[&pack]).await;
    assert!(output.contains("compiled by the second\n"), "{output}");
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    // Private by the time when git is to be told, it is not started.
    let before = server.heads().len();
    let (site, _) = self::site(1);
    let output = failed(&site, source(), &[&pack]).await;
    assert!(output.contains("is at a private address"), "{output}");
    assert_eq!(server.heads().len(), before + 1);
}
