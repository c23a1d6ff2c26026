//! `penstock connect`, by the binary: a server at another address, within TLS, used by way of a port of this machine.

mod official_cli;
mod there;
mod typed;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::attached::client::Attached;
use crate::binary::sample::idle_app;
use crate::binary::{Client, HANG, Place, Server, TIED, in_time, penstock, ports};

/// Another host, as far as clients can tell.
const ELSEWHERE: &str = "127.0.0.2";

/// A server that is known by an https URL.
struct Remote {
    place: Place,
    url: String,
    listen: String,
}

impl Remote {
    fn new() -> Remote {
        let listen = format!("{ELSEWHERE}:{}", ports::port());
        Remote {
            place: Place::new(),
            url: format!("https://{listen}"),
            listen,
        }
    }

    fn start(&self) -> Server {
        let rendezvous = format!("{ELSEWHERE}:0");
        let command = self.place.command(&[
            TIED,
            "--listen",
            &self.listen,
            "--api-url",
            &self.url,
            "--rendezvous-listen",
            &rendezvous,
        ]);
        Server::start(command, &self.place.log())
    }

    fn ca(&self) -> PathBuf {
        self.place.data().join("ca.pem")
    }
}

/// `penstock connect`, running.
struct Forward {
    child: Child,
    /// What it says, line by line.
    lines: mpsc::Receiver<String>,
}

impl Forward {
    /// The user's own folders are in `home`.
    fn start(home: &Place, url: &str, arguments: &[&str], token: &str) -> Forward {
        let mut command = command(home, &["connect", url, "--listen", "127.0.0.1:0"]);
        command.args(arguments).stdin(Stdio::piped());
        let mut forward = Forward::of(&mut command);
        let mut stdin = forward.child.stdin.take().unwrap();
        stdin.write_all(token.as_bytes()).unwrap();
        forward
    }

    fn of(command: &mut Command) -> Forward {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        Forward { child, lines }
    }

    /// The URL of the port that it forwards.
    fn ready(&self) -> String {
        let line = self.until(" leads to ");
        let (before, _) = line.split_once(" leads to ").unwrap();
        before.rsplit(' ').next().unwrap().to_owned()
    }

    fn until(&self, text: &str) -> String {
        let mut said = Vec::new();
        loop {
            match self.lines.recv_timeout(HANG) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => said.push(line),
                Err(_) => panic!("{text:?} was not said, only {said:#?}"),
            }
        }
    }

    fn end(mut self, signal: Signal) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        in_time(move || self.child.wait().unwrap()).code()
    }

    fn ended(mut self) -> (Option<i32>, String) {
        in_time(move || {
            let status = self.child.wait().unwrap();
            let said: Vec<String> = self.lines.iter().collect();
            (status.code(), said.join("\n"))
        })
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        // It has ended already, unless its test fails.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(home: &Place, arguments: &[&str]) -> Command {
    let mut command = penstock(arguments);
    command.env("HOME", home.path(""));
    command
}

fn env(home: &Place) -> (Option<i32>, String) {
    let output = command(home, &["env", "--json"]).output().unwrap();
    let mut said = String::from_utf8(output.stdout).unwrap();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn tools_reach_a_server_elsewhere_through_the_forward_and_again_after_its_restart() {
    let remote = Remote::new();
    let server = remote.start();
    let token = server.ready.api_key.clone();
    let home = Place::new();
    let netrc = home.path(".netrc");
    std::fs::write(&netrc, "machine example.com login me password mine\n").unwrap();
    let ca = remote.ca();
    let arguments = ["--token-stdin", "--ca-file", ca.to_str().unwrap()];
    let forward = Forward::start(&home, &remote.url, &arguments, &token);
    let url = forward.ready();
    let (_, host) = url.split_once("://").unwrap();
    let kept = std::fs::read_to_string(&netrc).unwrap();
    assert!(
        kept.starts_with("machine example.com login me password mine\n"),
        "{kept}"
    );
    let entry = format!("machine {host}\n  login owner@localhost\n  password {token}\n");
    assert!(kept.contains(&entry), "{kept}");
    let mode = std::os::unix::fs::PermissionsExt::mode(&netrc.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let (status, variables) = env(&home);
    assert_eq!(status, Some(0), "{variables}");
    let variables: Value = serde_json::from_str(&variables).unwrap();
    assert_eq!(variables["HEROKU_HOST"], url);
    assert_eq!(variables["HEROKU_GIT_HOST"], remote.listen);
    assert!(
        variables["HEROKU_API_KEY"].is_null(),
        "it would hide the login"
    );
    let text = |path: &str| std::fs::read_to_string(path).unwrap().trim().to_owned();
    let trusted = text(variables["NODE_EXTRA_CA_CERTS"].as_str().unwrap());
    assert_eq!(trusted, text(ca.to_str().unwrap()));
    let client = Client::new(&url, server.router_port(), &token);
    client.create_app("harbour").await;
    let shown = client.get("/apps/harbour").await.expect(200);
    assert_eq!(shown["git_url"], format!("{}/harbour.git", remote.url));
    let large = json!({ "LARGE": "x".repeat(30_000) });
    client
        .patch("/apps/harbour/config-vars", large.clone())
        .await
        .expect(200);
    assert_eq!(
        client.get("/apps/harbour/config-vars").await.expect(200),
        large
    );
    // No token of its own is added.
    let stranger = client.with_token("none");
    assert_eq!(stranger.get("/apps/harbour").await.status, 401);
    drop(server);
    let (asked, again) = tokio::join!(
        client.get("/apps/harbour"),
        tokio::task::spawn_blocking(move || (remote.start(), remote))
    );
    assert_eq!(asked.expect(200)["name"], "harbour");
    drop(again.unwrap().0);
    assert_eq!(forward.end(Signal::INT), Some(0));
    let (status, said) = env(&home);
    assert_eq!(status, Some(3), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_nobody_vouches_for_is_trusted_by_its_fingerprint_alone() {
    let remote = Remote::new();
    let server = remote.start();
    let home = Place::new();
    let token = server.ready.api_key.clone();
    let (status, said) = Forward::start(&home, &remote.url, &["--token-stdin"], &token).ended();
    assert_eq!(status, Some(4), "{said}");
    let fingerprint = said
        .lines()
        .map(str::trim)
        .find(|line| line.split(':').count() == 32)
        .expect("the fingerprint is shown")
        .to_owned();
    // As openssl prints it, to be compared by eye.
    let is_pair = |pair: &str| pair.len() == 2 && pair == pair.to_ascii_uppercase();
    assert!(fingerprint.split(':').all(is_pair), "{fingerprint}");
    let wrong = "0".repeat(64);
    let other = ["--token-stdin", "--ca-fingerprint", &wrong];
    let (status, said) = Forward::start(&home, &remote.url, &other, &token).ended();
    assert_eq!(status, Some(4), "{said}");
    assert!(said.contains("another one"), "{said}");
    assert!(!home.path(".netrc").exists());
    // However it is copied.
    let bare = fingerprint.replace(':', "").to_ascii_lowercase();
    let whole = format!("sha256 Fingerprint={fingerprint}");
    for copied in [&bare, &whole, &fingerprint] {
        let trust = Place::new();
        let arguments = ["--token-stdin", "--ca-fingerprint", copied];
        let forward = Forward::start(&trust, &remote.url, &arguments, &token);
        forward.ready();
        assert_eq!(forward.end(Signal::TERM), Some(0));
    }
    let right = ["--token-stdin", "--ca-fingerprint", &fingerprint];
    let forward = Forward::start(&home, &remote.url, &right, &token);
    forward.ready();
    assert_eq!(forward.end(Signal::TERM), Some(0));
    // From then on it is known, and so is the login.
    let forward = Forward::start(&home, &remote.url, &[], "");
    forward.ready();
    assert_eq!(forward.end(Signal::TERM), Some(0));
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_a_page_in_the_browser_lets_the_forward_in() {
    let remote = Remote::new();
    let server = remote.start();
    let home = Place::new();
    let ca = remote.ca();
    let arguments = ["--ca-file", ca.to_str().unwrap()];
    let forward = Forward::start(&home, &remote.url, &arguments, "");
    let page = forward.until("/auth/browser/").trim().to_owned();
    let pem = std::fs::read(&ca).unwrap();
    // Some other test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let browser = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_merge([reqwest::Certificate::from_pem(&pem).unwrap()])
        .build()
        .unwrap();
    let form = format!("answer=accept&token={}", server.ready.api_key);
    let sent = browser.post(page).body(form).send().await.unwrap();
    assert_eq!(sent.status().as_u16(), 200);
    let url = forward.ready();
    let kept = std::fs::read_to_string(home.path(".netrc")).unwrap();
    let token = kept
        .split_whitespace()
        .skip_while(|word| *word != "password")
        .nth(1)
        .unwrap();
    assert_ne!(token, server.ready.api_key);
    let client = Client::new(&url, server.router_port(), token);
    assert_eq!(
        client.get("/account").await.expect(200)["email"],
        "owner@localhost"
    );
    assert_eq!(forward.end(Signal::INT), Some(0));
    drop(server);
}

/// What `heroku run` connects to is the forward, so no other port of the server has to be reachable.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_a_dyno_is_reached_through_the_forward() {
    let remote = Remote::new();
    let server = remote.place.start();
    server.client().create_app("harbour").await;
    server.client().deploy("harbour", idle_app()).await;
    server.stop();
    let server = remote.start();
    let home = Place::new();
    let ca = remote.ca();
    let ca = ca.to_str().unwrap();
    let token = &server.ready.api_key;
    let forward = Forward::start(
        &home,
        &remote.url,
        &["--token-stdin", "--ca-file", ca],
        token,
    );
    let url = forward.ready();
    let client = Client::new(&url, server.router_port(), token);
    let command = json!({"command": "read name; echo ahoy $name; sleep 1; seq 20000 | tail -n 1", "attach": true, "force_no_tty": true});
    let dyno = client
        .post("/apps/harbour/dynos", command)
        .await
        .expect(201);
    let attach_url = dyno["attach_url"].as_str().unwrap();
    let here = url.replace("http://", "rendezvous://");
    assert!(attach_url.starts_with(&format!("{here}/")), "{attach_url}");
    let mut attached = Attached::connect(ca, attach_url).await;
    attached.greeting().await;
    attached.send("ann\n").await;
    attached.until("ahoy ann").await;
    attached.until("20000").await;
    // Only to who came by a forward, and never to another machine, is another place named.
    for (header, named) in [
        ("127.0.0.1:9", true),
        ("192.0.2.1:9", false),
        ("nowhere", false),
    ] {
        let asked = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = asked.post(format!("http://{}/apps/harbour/dynos", remote.listen));
        let asked = asked.bearer_auth(token).header("penstock-forward", header);
        let body = json!({"command": "true", "attach": true}).to_string();
        let said = asked.body(body).send().await.unwrap().text().await.unwrap();
        assert_eq!(
            said.contains(&format!("rendezvous://{header}/")),
            named,
            "{said}"
        );
    }
    let direct = Client::new(
        &format!("http://{}", remote.listen),
        server.router_port(),
        token,
    );
    let plain = direct.get("/rendezvous").await;
    assert_eq!(plain.status, 400, "{}", plain.text());
    assert_eq!(forward.end(Signal::INT), Some(0));
    drop(server);
}

/// A page in a browser that has pointed its own name at this machine.
#[tokio::test(flavor = "multi_thread")]
async fn the_forward_answers_to_no_other_name() {
    let remote = Remote::new();
    let server = remote.start();
    let home = Place::new();
    let ca = remote.ca();
    let arguments = ["--token-stdin", "--ca-file", ca.to_str().unwrap()];
    let forward = Forward::start(&home, &remote.url, &arguments, &server.ready.api_key);
    let url = forward.ready();
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let port = address.rsplit(':').next().unwrap();
    let request = format!(
        "GET /server HTTP/1.1\r\nHost: evil.example.com:{port}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert_eq!(forward.end(Signal::INT), Some(0));
    drop(server);
}

#[test]
fn what_is_no_https_url_of_a_server_is_refused_before_anything_is_sent() {
    let home = Place::new();
    for (url, words) in [
        ("http://paas.example.com", "unencrypted"),
        ("http://127.0.0.1.example.com:5000", "unencrypted"),
        ("http://127.0.0.1:5000/path", "nothing after it"),
        ("https://paas.example.com/path", "nothing after it"),
        ("https://", "no URL"),
        ("http://localhost", "Name the port"),
        (
            "http://127.0.0.1:5000 --ca-fingerprint 00",
            "no certificate is shown",
        ),
    ] {
        let typed: Vec<&str> = ["connect"].into_iter().chain(url.split(' ')).collect();
        let output = command(&home, &typed).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{url}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(words), "{said}");
    }
    let nobody = command(&home, &["connect", "https://127.0.0.2:1"])
        .output()
        .unwrap();
    assert_eq!(nobody.status.code(), Some(5));
}
