//! Commands that are run inside a dyno that runs, at each level of isolation that there is for whoever runs the tests.

use std::collections::BTreeMap;

use nix::unistd::geteuid;
use serde_json::{Value, json};

use super::Harbour;
use super::client::Attached;
use crate::binary::sample::tarball;
use crate::binary::{Client, Place, Server, TIED};

/// The worker leaves a note where only its own dyno finds it.
const PROCFILE: &str = "worker: echo written by $DYNO > note; echo there > /tmp/note; exec tail -f /dev/null\nhello: echo hello from\n";

/// What both have to have in common, as the kernel shows it of a process.
const STATUS: [&str; 9] = [
    "Uid:",
    "Gid:",
    "Groups:",
    "CapPrm:",
    "CapEff:",
    "CapBnd:",
    "NoNewPrivs:",
    "Seccomp:",
    "Seccomp_filters:",
];
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];

fn levels() -> Vec<&'static str> {
    let full = geteuid().is_root().then_some("full");
    full.into_iter()
        .chain(["userns", "landlock", "none"])
        .collect()
}

impl Harbour {
    /// A server at a level, with an app whose worker runs.
    async fn at(place: &Place, level: &str) -> Harbour {
        let isolation = format!("--isolation={level}");
        let server = Server::start(place.command(&[TIED, &isolation]), &place.log());
        let harbour = Harbour::again(server);
        let client = &harbour.client;
        client.create_app("app").await;
        client
            .deploy("app", tarball(&[("Procfile", PROCFILE)]))
            .await;
        harbour.scale(1).await;
        harbour.client.dynos("app", 1).await;
        harbour
    }

    async fn scale(&self, workers: usize) {
        let scale = json!({"quantity": workers});
        let client: &Client = &self.client;
        client
            .patch("/apps/app/formation/worker", scale)
            .await
            .expect(200);
    }

    /// Without a terminal, unless `env` says how large it is.
    async fn inside(&self, command: &str, mut env: Value) -> Attached {
        env["TERM"] = json!("xterm");
        let body = json!({"command": command, "env": env});
        let dyno = self.client.post("/apps/app/dynos/worker.1", body).await;
        let mut attached = self.connect(&dyno.expect(201)).await;
        attached.greeting().await;
        attached
    }
}

/// What a process is, has and is kept from.
fn confinement(pid: i32) -> BTreeMap<String, String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let lines = status.lines().filter_map(|line| line.split_once('\t'));
    let mut all: BTreeMap<String, String> = lines
        .filter(|(name, _)| STATUS.contains(name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(all.len(), STATUS.len());
    for name in NAMESPACES {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        all.insert(name.to_owned(), link.display().to_string());
    }
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    all.insert("groups".to_owned(), groups);
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    all.insert("limits".to_owned(), limits);
    all
}

#[tokio::test]
async fn a_command_inside_a_dyno_sees_what_that_sees_and_may_do_no_more() {
    for level in levels() {
        let place = Place::new();
        let harbour = Harbour::at(&place, level).await;
        let mut run = harbour
            .inside(
                "cat note; echo $DYNO $GREETING; pwd",
                json!({"GREETING": "hi"}),
            )
            .await;
        let text = run.text().await;
        let home = text.lines().last().unwrap();
        assert_eq!(text, format!("written by worker.1\nworker.1 hi\n{home}\n"));
        assert!(home.ends_with("/app"), "{level}: {home}");

        let mut run = harbour
            .inside("cat > /dev/null & echo begun; exec sleep 1000", json!({}))
            .await;
        run.until("begun\n").await;
        let (host, guest) = (harbour.process("tail "), harbour.process("sleep "));
        let (mut host, mut guest) = (confinement(host), confinement(guest));
        if level == "none" || level == "landlock" {
            // All that the server's user has counts for a limit there, and so it is another one each time.
            host.remove("limits");
            guest.remove("limits");
        }
        assert_eq!(host, guest, "{level}");
        drop(run);
        harbour.gone_but_the_worker().await;
    }
}

#[tokio::test]
async fn a_command_inside_a_dyno_has_a_terminal_an_exit_status_and_a_process_types_words() {
    for level in levels() {
        let place = Place::new();
        let harbour = Harbour::at(&place, level).await;
        let size = json!({"TERM": "xterm", "LINES": 31, "COLUMNS": 99});
        let mut run = harbour
            .inside("stty size; [ -t 1 ] && echo x > /dev/tty; cat", size)
            .await;
        run.until("31 99\r\nx\r\n").await;
        run.send("\x04").await;
        run.rest().await;
        let mut run = harbour.inside("hello inside", json!({})).await;
        assert_eq!(run.text().await, "hello from inside\n");
        let command = "(exit 7) ; echo \"\u{FFFF} heroku-command-exit-status: $?\"";
        let mut run = harbour.inside(command, json!({})).await;
        assert_eq!(run.text().await, "\u{FFFF} heroku-command-exit-status: 7\n");
        harbour.gone_but_the_worker().await;
    }
}

#[tokio::test]
async fn a_command_inside_a_dyno_ends_with_it_and_its_client_learns_of_it() {
    for level in levels() {
        let place = Place::new();
        let harbour = Harbour::at(&place, level).await;
        let mut run = harbour
            .inside(
                "trap '' TERM HUP; echo begun; sleep 1000; sleep 1000",
                json!({}),
            )
            .await;
        run.until("begun\n").await;
        harbour
            .client
            .delete("/apps/app/dynos/worker.1")
            .await
            .expect(202);
        run.rest().await;
        harbour.gone_but_the_worker().await;
        harbour.client.dynos("app", 1).await;
    }
}

#[tokio::test]
async fn nothing_is_run_inside_what_does_not_run() {
    let place = Place::new();
    let harbour = Harbour::at(&place, levels()[0]).await;
    let client = &harbour.client;
    let body = || json!({"command": "true"});
    client
        .post("/apps/app/dynos/worker.2", body())
        .await
        .expect(404);
    client
        .post("/apps/app/dynos/worker.1", json!({}))
        .await
        .expect(422);
    let refused = client
        .post("/apps/app/dynos/worker.1", json!({"command": " "}))
        .await;
    refused.expect(422);
    let first = client
        .post("/apps/app/dynos/worker.1", body())
        .await
        .expect(201);
    let name = first["name"].as_str().unwrap();
    assert!(name.starts_with("run."), "{name}");
    // Nobody has come for it yet, so there is nothing to enter.
    client
        .post(format!("/apps/app/dynos/{name}"), body())
        .await
        .expect(422);
    let second = client
        .post("/apps/app/dynos/worker.1", body())
        .await
        .expect(201);
    let mut run = harbour.connect(&first).await;
    // Its host goes while it begins, and another one's before its client has come at all.
    run.greeting().await;
    harbour.scale(0).await;
    run.rest().await;
    harbour.gone().await;
    let mut late = harbour.connect(&second).await;
    assert!(late.record().await.is_empty());
}

impl Harbour {
    /// Waits until the worker is alone.
    async fn gone_but_the_worker(&self) {
        let alone = async |dynos: &Value| {
            let dynos = dynos.as_array().unwrap();
            dynos.iter().all(|dyno| dyno["type"] == "worker")
        };
        self.client
            .watch("app", "/apps/app/dynos", alone)
            .await
            .unwrap();
    }
}
