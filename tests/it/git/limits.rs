//! What the server keeps and reads of repositories at most, and how long the right to push to one lasts.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::held::Held;
use super::repository::{Pushing, Repository};
use super::{PROCFILE, Scene, builds, until};
use crate::binary::{Place, Server, in_time, program};

/// A `git` that lets go of a push that has arrived whole only once somebody has heard of it and told it to go on.
struct Gate(Place);

impl Gate {
    fn new(place: Place) -> Gate {
        let gate = Gate(place);
        let [body, asked, go, over, git] =
            ["body", "asked", "go", "over", "git"].map(|name| gate.0.path(name));
        mkfifo(&asked);
        mkfifo(&go);
        let path = std::env::var_os("PATH").unwrap();
        let mut real = std::env::split_paths(&path).map(|folder| folder.join("git"));
        let real = real.find(|git| git.is_file()).unwrap();
        let script = format!(
            "#!/bin/sh\ncase \"$*\" in\n*advertise-refs*) exec {real} \"$@\" ;;\nreceive-pack*) ;;\n*) exec {real} \"$@\" ;;\nesac\n\
             cat > {body}; echo asked > {asked}; read word < {go}\n{real} \"$@\" < {body}\nstatus=$?\n\
             [ -p {over} ] && echo over > {over}\nexit $status\n",
            real = real.display(),
            body = body.display(),
            asked = asked.display(),
            go = go.display(),
            over = over.display(),
        );
        program::script(&git, &script);
        gate
    }

    fn start(&self) -> Server {
        let mut command = self.0.command(&[crate::binary::TIED]);
        let folders = std::env::var_os("PATH").unwrap();
        let own = self.0.path("git").parent().unwrap().to_owned();
        let folders = std::env::split_paths(&folders);
        let path = std::env::join_paths([own].into_iter().chain(folders)).unwrap();
        command.env("PATH", path);
        Server::start(command, &self.0.log())
    }

    /// The `git` that was let go has ended. To be made ready for before that.
    fn is_over(&self) {
        let over = self.0.path("over");
        in_time(move || fs::read(over).unwrap());
    }

    fn is_reached(&self) {
        let asked = self.0.path("asked");
        in_time(move || fs::read(asked).unwrap());
    }

    fn open(&self) {
        let go = self.0.path("go");
        in_time(move || fs::write(go, "go\n").unwrap());
    }
}

fn mkfifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[tokio::test]
async fn a_push_whose_server_was_killed_moves_no_branch() {
    let gate = Gate::new(Place::new());
    mkfifo(&gate.0.path("over"));
    let server = gate.start();
    let client = server.client();
    client.create_app("app").await;
    let work = Repository::new();
    work.commit(&[("Procfile", PROCFILE)]);
    let url = work.url(&client, "app");
    let pushing = std::thread::spawn(move || (work.push(&url, "main"), work));
    gate.is_reached();
    server.kill();
    gate.open();
    gate.is_over();
    let (pushed, work) = in_time(move || pushing.join().unwrap());
    assert!(!pushed.succeeded);
    let server = gate.0.start();
    let client = server.client();
    let url = work.url(&client, "app");
    assert!(work.remote_refs(&url).is_empty());
    assert!(builds(&client, "app").await.is_empty());
    // The next server's hook is heeded again.
    assert!(work.push(&url, "main").succeeded);
    assert_eq!(builds(&client, "app").await.len(), 1);
}

#[tokio::test]
async fn a_server_that_cannot_run_its_hook_takes_no_push() {
    let Scene {
        client,
        work,
        url,
        server,
        ..
    } = &Scene::new().await;
    work.commit(&[("Procfile", PROCFILE)]);
    // As on a file system that is mounted noexec.
    let hook = server.data().join("git/hooks/pre-receive");
    fs::set_permissions(hook, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!work.push(url, "main").succeeded);
    assert!(work.remote_refs(url).is_empty());
    assert!(builds(client, "app").await.is_empty());
}

#[tokio::test]
async fn a_token_that_is_revoked_while_its_push_arrives_pushes_nothing() {
    let gate = Gate::new(Place::new());
    let server = gate.start();
    let client = server.client();
    client.create_app("app").await;
    let new = json!({"scope": ["global"], "description": "a laptop"});
    let token = client.post("/oauth/authorizations", new).await.expect(201);
    let laptop = client.with_token(token["access_token"]["token"].as_str().unwrap());
    let work = Repository::new();
    work.commit(&[("Procfile", PROCFILE)]);
    let url = work.url(&laptop, "app");
    let pushing = std::thread::spawn(move || (work.push(&url, "main"), work));
    gate.is_reached();
    let path = format!("/oauth/authorizations/{}", token["id"].as_str().unwrap());
    client.delete(path).await.expect(200);
    gate.open();
    let (pushed, work) = in_time(move || pushing.join().unwrap());
    assert!(!pushed.succeeded);
    let reason = "The API key that this push came with is not good any more.";
    assert!(pushed.said.contains(reason), "{}", pushed.said);
    assert!(work.remote_refs(&work.url(&client, "app")).is_empty());
    assert!(builds(&client, "app").await.is_empty());
}

#[tokio::test]
async fn a_repository_that_has_grown_too_large_takes_no_more() {
    let Scene {
        client,
        work,
        url,
        server,
        ..
    } = &Scene::new().await;
    let first = work.commit(&[("Procfile", PROCFILE)]);
    assert!(work.push(url, "main").succeeded);
    let repositories = server.data().join("git");
    let mut repositories = fs::read_dir(repositories).unwrap();
    let mut packs = repositories.find_map(|entry| {
        let packs = entry.unwrap().path().join("objects/pack");
        packs.is_dir().then_some(packs)
    });
    // A sparse file: it takes no room and counts all the same.
    let large = packs.take().unwrap().join("tmp_large");
    let made = fs::File::create(&large).unwrap();
    made.set_len((4 << 30) + 1).unwrap();
    work.commit(&[("more", "x")]);
    let refused = work.push(url, "main");
    assert!(!refused.succeeded);
    assert!(
        refused.said.contains("would be larger than 4 GiB"),
        "{}",
        refused.said
    );
    assert_eq!(work.remote_refs(url)["refs/heads/main"], first);
    assert_eq!(builds(client, "app").await.len(), 1);
    // Nothing of the push that was refused stays, and what was there can still be had.
    assert!(work.cloned(url).join("Procfile").is_file());
}

#[tokio::test]
async fn a_repository_with_as_many_refs_as_it_may_have_takes_changes_to_them_and_no_new_ones() {
    let Scene {
        work, url, server, ..
    } = &Scene::new().await;
    let commit = work.commit(&[("Procfile", PROCFILE)]);
    assert!(work.push(url, "main").succeeded);
    let mut repositories = fs::read_dir(server.data().join("git")).unwrap();
    let mut repository = repositories.find_map(|entry| {
        let path = entry.unwrap().path();
        path.join("objects/pack").is_dir().then_some(path)
    });
    let refs = (1..10_000).map(|number| format!("{commit} refs/tags/t{number:05}\n"));
    let refs: String = refs.collect();
    let packed = repository.take().unwrap().join("packed-refs");
    let header = "# pack-refs with: peeled fully-peeled sorted \n";
    fs::write(packed, format!("{header}{refs}")).unwrap();
    let refused = work.push(url, "main:another");
    assert!(
        refused.said.contains("more than 10000 branches"),
        "{}",
        refused.said
    );
    work.commit(&[("more", "x")]);
    let pushed = work.push(url, "main");
    assert!(pushed.succeeded, "{}", pushed.said);
    assert!(work.push(url, ":t00001").succeeded);
    assert!(work.push(url, "main:another").succeeded);
}

#[tokio::test]
async fn a_client_may_name_a_great_many_commits_that_it_has_but_not_any_number() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    let commit = work.commit(&[("Procfile", PROCFILE)]);
    assert!(work.push(url, "main").succeeded);
    let packet = |line: &str| format!("{:04x}{line}", line.len() + 4);
    let wants = |has: usize| {
        let has = (1..=has).map(|number| packet(&format!("have {number:040x}\n")));
        let has: String = has.collect();
        let want = packet(&format!("want {commit}\n"));
        format!("{want}0000{has}{}", packet("done\n"))
    };
    let ask = async |has: usize| {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http
            .post(format!("{}/app.git/git-upload-pack", client.api))
            .basic_auth("heroku", Some(&client.token))
            .header("content-type", "application/x-git-upload-pack-request");
        let answer = request.body(wants(has)).send().await.unwrap();
        (answer.status().as_u16(), answer.bytes().await.unwrap())
    };
    let (status, pack) = ask(40_000).await;
    assert_eq!(status, 200);
    assert!(pack.windows(4).any(|bytes| bytes == b"PACK"));
    // Of what is too long, not a byte has to be sent to be refused.
    let url = reqwest::Url::parse(url).unwrap();
    let (host, port) = (url.host_str().unwrap(), url.port().unwrap());
    let mut stream = TcpStream::connect((host, port)).unwrap();
    let head = format!(
        "POST /app.git/git-upload-pack HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Content-Type: application/x-git-upload-pack-request\r\nContent-Length: {}\r\n\r\n",
        client.token,
        (8 << 20) + 1
    );
    stream.write_all(head.as_bytes()).unwrap();
    let refusal = in_time(move || {
        let mut refusal = String::new();
        stream.read_to_string(&mut refusal).unwrap();
        refusal
    });
    assert!(refusal.starts_with("HTTP/1.1 413 "), "{refusal}");
    assert!(refusal.contains("larger than 8 MB"), "{refusal}");
}

#[tokio::test]
async fn pushes_that_wait_for_their_builds_keep_nobody_from_reading() {
    let place = Place::new();
    let server = Server::start(place.command(&["--builds", "1"]), &place.log());
    let client = server.client();
    client.create_app("other").await;
    let held = Held::listen();
    let source = json!({"source_blob": {"url": held.url()}});
    client.post("/apps/other/builds", source).await.expect(201);
    held.asked();
    let work = Repository::new();
    work.commit(&[("Procfile", PROCFILE)]);
    let mut waiting = Vec::new();
    // More than an account may have at once.
    for number in 0..9 {
        let app = format!("app-{number}");
        client.create_app(&app).await;
        waiting.push(work.begin_push(&work.url(&client, &app), "main"));
        until(&client, &app, "pending").await;
    }
    assert!(work.remote_refs(&work.url(&client, "other")).is_empty());
    waiting.into_iter().for_each(Pushing::kill);
}
