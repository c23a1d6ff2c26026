//! The same with a cron job, a one-off dyno that somebody sits in front of, a command inside a dyno, and an app that sleeps.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;

use serde_json::{Value, json};

use super::{Round, each_commit, evidence};
use crate::attached::client::Attached;
use crate::binary::sample::tarball;
use crate::binary::{Client, Lost, Place, Server, TIED, processes};

/// Fewer commits than this would mean that most of the scenario was not tried. On a busy machine several writes are one commit.
const AT_LEAST: u64 = 12;
const DYNOS: &str = "/apps/crash/dynos";
const PAGE: &str = "crash says ";

#[test]
fn every_commit_with_one_off_dynos_is_a_safe_place_to_be_killed() {
    each_commit(AT_LEAST, async |commit| play(Round(commit)).await);
}

/// As in the scenario without them.
async fn play(round: Round) -> bool {
    let place = Place::new();
    deploy(&place).await;
    let mut session = Session::default();
    let status = match Server::try_start(round.command(&place), &place.log()) {
        Err(status) => status,
        Ok(server) => match session.run(&server).await {
            Err(Lost) => server.ended(),
            Ok(()) => server.terminated(),
        },
    };
    evidence::check(&place.data());
    if status.success() {
        return false;
    }
    assert_eq!(status.signal(), Some(9), "it ended with {status}");
    let server = Server::start(place.command(&[TIED, "--eco-idle", "1s"]), &place.log());
    session.run(&server).await.unwrap();
    session.has_converged(&server).await;
    server.stop();
    evidence::check(&place.data());
    true
}

/// What is there before the server that is killed.
async fn deploy(place: &Place) {
    let server = place.start();
    let client = server.client();
    client.create_app("crash").await;
    let code = include_str!("../binary/apps/app.pl").replace("{{text}}", "crash");
    let cron = json!({"cron": [{"command": "echo ran", "schedule": "0 0 1 1 *"}]});
    let procfile = "web: perl app.pl\nworker: tail -f /dev/null\n";
    let source = tarball(&[
        ("Procfile", procfile),
        ("app.pl", &code),
        ("app.json", &cron.to_string()),
    ]);
    client.deploy("crash", source).await;
    let scale = json!({"updates": [{"type": "worker", "quantity": 1}]});
    client
        .patch("/apps/crash/formation", scale)
        .await
        .expect(200);
    client.dynos("crash", 2).await;
    server.stop();
}

/// What one client knows.
#[derive(Default)]
struct Session {
    /// A run of the cron job was asked for.
    cron: bool,
}

impl Session {
    /// From wherever it stands to the end.
    async fn run(&mut self, server: &Server) -> Result<(), Lost> {
        let client = &server.client();
        self.run_now(client).await?;
        sit(server, DYNOS).await?;
        sit(server, "/apps/crash/dynos/worker.1").await?;
        let eco = json!({"updates": [{"type": "web", "size": "Eco"}]});
        let path = "/apps/crash/formation";
        client.try_call("PATCH", path, eco).await?.expect(200);
        let sleeps = async |dynos: &Value| state(dynos, "web.1") == Some("idle");
        client.watch("crash", DYNOS, sleeps).await?;
        let page = client.try_visit("crash", "/").await?;
        assert_eq!(page.status, 200, "{}", page.text());
        assert!(page.text().starts_with(PAGE), "{}", page.text());
        Ok(())
    }

    async fn run_now(&mut self, client: &Client) -> Result<(), Lost> {
        if !std::mem::replace(&mut self.cron, true) {
            let path = "/apps/crash/cron-jobs";
            let jobs = client.try_call("GET", path, Value::Null).await?.expect(200);
            let path = format!("{path}/{}/actions/run", jobs[0]["id"].as_str().unwrap());
            let asked = client.try_call("POST", path, Value::Null).await?;
            assert!(asked.status < 300, "{}", asked.text());
        }
        let over = async |runs: &Value| {
            let ended =
                |run: &Value| !["pending", "running"].contains(&run["status"].as_str().unwrap());
            runs.as_array().unwrap().iter().all(ended)
        };
        client.watch("crash", "/apps/crash/cron-runs", over).await?;
        Ok(())
    }

    /// Nothing ran twice, and nothing is left of what is over.
    async fn has_converged(&self, server: &Server) {
        let client = server.client();
        let ready = async |dynos: &Value| {
            // One whose client was lost with the server waits for it a minute.
            let runs = |dyno: &&Value| dyno["type"] == "run" && dyno["state"] == "up";
            let over = dynos.as_array().unwrap().iter().find(runs).is_none();
            over && state(dynos, "worker.1") == Some("up") && state(dynos, "web.1").is_some()
        };
        client.watch("crash", DYNOS, ready).await.unwrap();
        let runs = client.get("/apps/crash/cron-runs").await.expect(200);
        assert!(runs.as_array().unwrap().len() <= 1, "{runs}");
        let log = client.logs("crash").await;
        let mut starts: BTreeMap<&str, usize> = BTreeMap::new();
        // Numbers are drawn by lot, so that two dynos may have the same one after another.
        let announced = |source: &str| {
            let name = source.trim_start_matches("heroku[").trim_end_matches("]:");
            let waited = format!("{source} Awaiting client");
            let due = format!(" in {name}");
            let lines = log.lines();
            let of_it = lines.filter(|line| line.contains(&waited) || line.ends_with(&due));
            of_it.count().max(1)
        };
        for line in log
            .lines()
            .filter(|line| line.contains("]: Starting process with command"))
        {
            let source = line.split(' ').nth(1).unwrap();
            if source.contains("[run.") || source.contains("[cron.") {
                *starts.entry(source).or_default() += 1;
            }
        }
        let once = starts
            .iter()
            .all(|(source, count)| *count <= announced(source));
        assert!(once, "{log}");
        let known = client.get(DYNOS).await.expect(200);
        for process in processes::of(server.data()) {
            let web = process.command.contains("app.pl");
            let shown = known.as_array().unwrap().iter();
            let mut ids = shown.map(|dyno| dyno["id"].as_str().unwrap());
            // One that has just been put to sleep may be on its way out.
            assert!(web || ids.any(|id| id == process.dyno), "{process:?}");
        }
    }
}

/// Runs a command, and sits in front of it to its end.
async fn sit(server: &Server, path: &str) -> Result<(), Lost> {
    let ca_file = server.ready.ca_file.clone();
    let client = server.client();
    let runs = async |dynos: &Value| state(dynos, "worker.1") == Some("up");
    client.watch("crash", DYNOS, runs).await?;
    let body = json!({"command": "echo sat", "attach": true, "force_no_tty": true});
    let dyno = client.try_call("POST", path, body).await?.expect(201);
    let url = dyno["attach_url"].as_str().unwrap().to_owned();
    // The server may go at any moment, and the client has no other word for that than to panic.
    let sitting = tokio::spawn(async move {
        let mut attached = Attached::connect(&ca_file, &url).await;
        attached.greeting().await;
        attached.text().await
    });
    let said = sitting.await.map_err(|_| Lost)?;
    // Cut off, if the server was killed.
    let here = client.try_call("GET", "/account", Value::Null).await?;
    assert_eq!(here.status, 200);
    assert_eq!(said, "sat\n");
    Ok(())
}

fn state<'a>(dynos: &'a Value, name: &str) -> Option<&'a str> {
    let mut dynos = dynos.as_array()?.iter();
    dynos.find(|dyno| dyno["name"] == name)?["state"].as_str()
}
