//! Where buildpacks come from: names, files, archives and repositories.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use penstock::build::Registry;
use penstock::outbound::Outbound;
use penstock::store::builds;
use tokio::sync::Semaphore;

use super::super::Site;
use super::super::server::{Server, ok, status};
use super::{DETECT, Tar, failed, keep, queue, succeeded, write_pack};

const COMPILE: (&str, &str) = ("compile", "echo \"compiled by $(cat word)\"");

pub fn source() -> Tar {
    Tar::new().file("Procfile", "web: own\n")
}

#[tokio::test]
async fn names_are_those_that_are_kept_here() {
    let site = Site::new();
    keep(&site, "shop/pack", &[DETECT, ("compile", "echo one")]);
    keep(&site, "shop/pack", &[DETECT, ("compile", "echo another")]);
    let (_, output) = succeeded(&site, source(), &["urn:buildpack:shop/pack"]).await;
    assert!(
        output.contains("-----> Using buildpack: shop/pack\n"),
        "{output}"
    );
    assert!(output.contains("\nanother\n"), "{output}");
    let registry = Registry::new(site.dir.path().join("buildpacks"));
    let kept = registry.list().unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].name, "shop/pack");
    registry.remove("shop/pack").unwrap();
    assert!(registry.remove("shop/pack").is_err());
    let output = failed(&site, source(), &["shop/pack"]).await;
    assert!(
        output.contains("penstock buildpack import shop/pack PATH"),
        "{output}"
    );
}

#[test]
fn what_is_no_buildpack_or_no_name_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::new(dir.path().join("buildpacks"));
    let pack = dir.path().join("pack");
    write_pack(&pack, &[DETECT, ("compile", "true")]);
    for name in [
        "../x",
        "a/..",
        "a",
        "a/b/c",
        "/a/b",
        "urn:buildpack:a/b",
        "",
    ] {
        assert!(registry.import(name, &pack).is_err(), "{name}");
    }
    let other = dir.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let error = registry.import("a/b", &other).unwrap_err();
    assert!(error.message.contains("no bin/compile"), "{error}");
    let error = registry
        .import("a/b", &dir.path().join("none"))
        .unwrap_err();
    assert!(error.message.contains("There is no"), "{error}");
    let archive = dir.path().join("pack.tgz");
    // As GitHub makes them.
    let tar = Tar::new()
        .file("pack-1/bin/compile", "#!/bin/sh\n")
        .symlink("pack-1/link", "/usr/bin/env");
    std::fs::write(&archive, tar.gz()).unwrap();
    registry.import("a/b", &archive).unwrap();
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&pack, &link).unwrap();
    registry.import("a/b", &link).unwrap();
    assert_eq!(registry.list().unwrap().len(), 1);
    assert_eq!(
        std::fs::read_dir(dir.path().join("buildpacks"))
            .unwrap()
            .count(),
        1
    );
}

#[tokio::test]
async fn files_are_taken_only_from_where_the_operator_lets_them() {
    let mut site = Site::new();
    let outside = tempfile::tempdir().unwrap();
    let pack = outside.path().join("pack");
    write_pack(&pack, &[DETECT, ("compile", "echo from a file")]);
    let url = format!("file://{}", pack.display());
    let output = failed(&site, source(), &[&url]).await;
    assert!(output.contains("--buildpack-files"), "{output}");
    site.settings.shelves.files = vec![outside.path().to_owned(), site.dir.path().to_owned()];
    let (_, output) = succeeded(&site, source(), &[&url]).await;
    assert!(output.contains("from a file\n"), "{output}");
    // Neither the server's own, nor what is elsewhere or nowhere, is told apart.
    write_pack(&site.dir.path().join("own"), &[DETECT, ("compile", "true")]);
    let own = format!("file://{}/own", site.dir.path().display());
    std::os::unix::fs::symlink("/etc", outside.path().join("link")).unwrap();
    let link = format!("file://{}/link", outside.path().display());
    for url in [own.as_str(), &link, "file:///etc", "file:///nowhere"] {
        let output = failed(&site, source(), &[url]).await;
        assert!(output.contains("--buildpack-files"), "{url}: {output}");
    }
}

#[tokio::test]
async fn archives_are_fetched_by_the_rules_for_sources() {
    let server = Server::start(|path| match path {
        "/pack.tgz?v=1" => ok(&Tar::new()
            .file("pack-1/bin/detect", "#!/bin/sh\necho Fetched\n")
            .file("pack-1/bin/compile", "#!/bin/sh\necho compiled\n")
            .gz()),
        "/empty.tgz" => ok(&Tar::new().file("x", "").gz()),
        "/heroku/node.tgz" => ok(&Tar::new().file("bin/compile", "#!/bin/sh\n").gz()),
        _ => status(404, "no"),
    })
    .await;
    let mut site = Site::new();
    let url = server.url("/pack.tgz?v=1");
    let (_, output) = succeeded(&site, source(), &[&url]).await;
    assert!(
        output.contains("-----> Fetched app detected\ncompiled\n"),
        "{output}"
    );
    for (path, words) in [("/empty.tgz", "no bin/compile"), ("/none.tgz", "404")] {
        let output = failed(&site, source(), &[&server.url(path)]).await;
        assert!(output.contains(words), "{output}");
    }
    site.settings.shelves.registry = Some(server.url("/"));
    let output = failed(&site, source(), &["heroku/node"]).await;
    assert!(
        output.contains("App not compatible with buildpack: heroku/node"),
        "{output}"
    );
    site.parts.outbound = Outbound::new(false);
    let output = failed(&site, source(), &[&url]).await;
    assert!(output.contains("private"), "{output}");
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"])
        // Else it tidies up in the background, in what the test reads and removes meanwhile.
        .args(["-c", "maintenance.auto=false", "-c", "gc.auto=0"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

const MODULES: &str = "[submodule \"inner\"]\n\tpath = inner\n\turl = ../inner.git\n";

/// A repository as files that a server gives away: `main` with a commit and the one before it.
pub fn repository(dir: &Path) -> (String, String) {
    let work = dir.join("work");
    write_pack(&work, &[DETECT, COMPILE]);
    git(&work, &["init", "--quiet", "--initial-branch=main"]);
    let mut commits = ["the first", "the second"].map(|word| {
        std::fs::write(work.join("word"), word).unwrap();
        std::fs::write(work.join(".gitattributes"), "bin/detect export-ignore\n").unwrap();
        std::fs::write(work.join(".gitmodules"), MODULES).unwrap();
        git(&work, &["add", "."]);
        let module = format!("160000,{},inner", "ab".repeat(20));
        git(&work, &["update-index", "--add", "--cacheinfo", &module]);
        git(&work, &["commit", "--quiet", "-m", word]);
        git(&work, &["rev-parse", "HEAD"])
    });
    git(&work, &["tag", "v1", &commits[0]]);
    git(dir, &["clone", "--quiet", "--bare", "work", "pack.git"]);
    git(&dir.join("pack.git"), &["update-server-info"]);
    (
        std::mem::take(&mut commits[0]),
        std::mem::take(&mut commits[1]),
    )
}

#[tokio::test]
async fn repositories_are_fetched_at_a_branch_a_tag_or_a_commit() {
    let dir = tempfile::tempdir().unwrap();
    let (first, _) = repository(dir.path());
    let root = dir.path().to_owned();
    let server = Server::start(move |path| {
        let path = path.split('?').next().unwrap().trim_start_matches('/');
        let moved = path.strip_prefix("moved/");
        match (moved, std::fs::read(root.join(path))) {
            (Some(rest), _) => super::super::server::redirect(&format!("/{rest}")),
            (None, Ok(bytes)) if !path.contains("work") => ok(&bytes),
            _ => status(404, "no"),
        }
    })
    .await;
    let mut site = Site::new();
    for (name, word) in [
        ("/pack.git".to_owned(), "the second"),
        ("/moved/pack.git#main".to_owned(), "the second"),
        ("/pack.git#v1".to_owned(), "the first"),
        (format!("/pack.git#{first}"), "the first"),
    ] {
        let (_, output) = succeeded(&site, source(), &[&server.url(&name)]).await;
        assert!(
            output.contains(&format!("compiled by {word}\n")),
            "{output}"
        );
        assert!(
            output.contains("has git submodules, which are not fetched"),
            "{output}"
        );
    }
    for (name, words) in [
        ("/pack.git#nowhere", "no commit nowhere"),
        ("/pack.git#--upload-pack=x", "no branch"),
        ("/none.git", "404"),
    ] {
        let output = failed(&site, source(), &[&server.url(name)]).await;
        assert!(output.contains(words), "{output}");
    }
    site.parts.outbound = Outbound::new(false);
    let output = failed(&site, source(), &[&server.url("/pack.git")]).await;
    assert!(output.contains("private"), "{output}");
}

/// A server that takes a request and says nothing more.
async fn silent() -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/pack", listener.local_addr().unwrap());
    let held = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    (url, held)
}

#[tokio::test]
async fn a_build_that_waits_for_a_buildpack_is_cancelled_at_once() {
    let (url, held) = silent().await;
    for url in [format!("{url}.git"), format!("{url}.tgz")] {
        let site = Site::new();
        let build = queue(&site, source(), &[&url]);
        let (id, now) = (build.id, site.parts.clock.now());
        let builder = site.builder();
        builder.tick().await.unwrap();
        super::limits::says(&site, &build, "Using buildpack: ").await;
        let cancel = move |connection: &_| builds::fail(connection, id, now);
        assert!(site.parts.store.write(cancel).await.unwrap());
        builder.idle().await;
        let output = site.output(&build).await;
        assert!(output.ends_with("The build was cancelled.\n"), "{output}");
        site.assert_clean();
    }
    held.abort();
}

#[tokio::test]
async fn a_git_that_is_told_to_stop_leaves_nothing_running() {
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    let root = dir.path().to_owned();
    let asked = Arc::new(Semaphore::new(0));
    let asking = asked.clone();
    let server = Server::start(move |path| {
        asking.add_permits(1);
        let path = path.split('?').next().unwrap().trim_start_matches('/');
        match std::fs::read(root.join(path)) {
            Ok(bytes) => ok(&bytes),
            Err(_) => status(404, "no"),
        }
    })
    .await;
    let (scratch, into) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // The second who asks is git.
    let stopped = async {
        asked.acquire_many(2).await.unwrap().forget();
        penstock::error::Error::conflict("stopped")
    };
    let (url, outbound, limits) = (
        server.url("/pack.git"),
        Outbound::new(true),
        penstock::archive::Limits::default(),
    );
    let places = (scratch.path(), into.path());
    let fetched = penstock::git::fetch::fetch(&url, None, &outbound, places, &limits, stopped);
    assert_eq!(fetched.await.unwrap_err().message, "stopped");
    let scratch = std::fs::canonicalize(scratch.path()).unwrap();
    // What was killed is gone once the kernel has come round to it.
    let at_work = move || {
        let mut names = std::fs::read_dir("/proc").unwrap().flatten();
        names.any(|entry| {
            let there = std::fs::read_link(entry.path().join("cwd"));
            there.is_ok_and(|cwd| cwd.starts_with(&scratch))
        })
    };
    crate::binary::in_time(move || {
        while at_work() {
            std::thread::yield_now();
        }
    });
}

#[test]
fn what_a_git_says_of_its_version_is_understood() {
    use penstock::git::version::parse;
    for (said, number) in [
        ("git version 2.47.3\n", Some((2, 47))),
        ("git version 2.39.5 (Apple Git-154)", Some((2, 39))),
        ("git version 2.36.0.windows.1", Some((2, 36))),
        ("git", None),
    ] {
        assert_eq!(parse(said).number, number, "{said}");
    }
}

#[tokio::test]
async fn no_redirect_leads_a_buildpack_to_a_private_address() {
    let public = std::net::IpAddr::from(std::net::Ipv4Addr::LOCALHOST);
    let mut site = Site::new();
    site.parts.outbound = Outbound::reaching(move |address| address == public);
    for to in ["http://127.0.0.2/", "http://[::1]/", "http://10.0.0.1/"] {
        let server = Server::start(move |_| super::super::server::redirect(to)).await;
        for path in ["/pack.tgz", "/pack.git"] {
            let output = failed(&site, source(), &[&server.url(path)]).await;
            assert!(output.contains("is at a private address"), "{to}: {output}");
        }
    }
    // And a name counts for what it stands for.
    let server = Server::start(|_| status(404, "no")).await;
    let port = server.host.rsplit(':').next().unwrap().to_owned();
    site.parts.outbound = Outbound::reaching(move |address| address != public);
    for path in ["pack.tgz", "pack.git"] {
        let url = format!("http://127.0.0.1:{port}/{path}");
        let output = failed(&site, source(), &[&url]).await;
        assert!(output.contains("is at a private address"), "{output}");
    }
    assert_eq!(server.heads(), [""; 0]);
}

#[tokio::test]
async fn git_goes_where_it_is_told_and_follows_nothing() {
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    let root = dir.path().to_owned();
    let elsewhere = Server::start(|_| status(404, "no")).await;
    let to = elsewhere.url("/pack.git/info/refs");
    let asked = std::sync::atomic::AtomicUsize::new(0);
    // To us it answers; git is sent to somebody else.
    let server = Server::start(move |path| {
        let path = path.split('?').next().unwrap().trim_start_matches('/');
        let first = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
        match std::fs::read(root.join(path)) {
            Ok(bytes) if first => ok(&bytes),
            _ => super::super::server::redirect(&to),
        }
    })
    .await;
    let site = Site::new();
    let output = failed(&site, source(), &[&server.url("/pack.git")]).await;
    assert!(output.contains("git could not fetch it"), "{output}");
    assert_eq!(elsewhere.heads(), [""; 0]);
}

#[tokio::test]
async fn a_buildpack_that_is_too_large_or_too_hostile_is_refused() {
    let server = Server::start(|path| match path {
        "/large.tgz" => {
            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1_u64 << 40).into_bytes()
        }
        _ => ok(&Tar::new()
            .file("bin/compile", "")
            .file("../escape", "x")
            .gz()),
    })
    .await;
    let site = Site::new();
    for (path, words) in [
        ("/large.tgz", "at most 268435456 bytes are taken"),
        ("/hostile.tgz", "`../escape`"),
    ] {
        let output = failed(&site, source(), &[&server.url(path)]).await;
        assert!(output.contains(words), "{output}");
    }
}
