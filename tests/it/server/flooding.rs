//! A dyno that prints without end, beside others.

use serde_json::json;

use crate::binary::sample::{PYTHON, tarball};
use crate::binary::{HANG, Place, Server, TIED};
use crate::metrics::served::Numbers;

/// Lines that are taken in while others are watched.
const FLOOD: f64 = 300_000.0;
/// Visitors who come meanwhile, at least.
const VISITS: usize = 50;
/// By so much the server may grow, in kilobytes: far less than what is printed.
const ROOM: u64 = 64 << 10;

/// What a process has of memory, in kilobytes (proc_pid_status(5)).
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kilobytes.parse().unwrap()
}

#[tokio::test]
async fn a_dyno_that_prints_without_end_takes_neither_memory_nor_lines_from_others() {
    let place = Place::new();
    let command = place.command(&[TIED, "--rate-limit=false"]);
    let server = Server::start(command, &place.log());
    let client = server.client();
    client.create_app("calm").await;
    client.deploy("calm", PYTHON.tarball("calm")).await;
    client.dynos("calm", 1).await;
    client.visit_until("calm", 200, "calm").await;
    client.create_app("loud").await;
    let line = "x".repeat(300);
    let procfile = format!("worker: yes {line}\n");
    client
        .deploy("loud", tarball(&[("Procfile", &procfile)]))
        .await;
    let mut tail = client.tail("calm", 0).await.unwrap();
    let (memory, taken) = (resident(&server), Numbers::of(&client).await);
    let taken = |numbers: &Numbers| numbers.get("log_lines_total") - taken.get("log_lines_total");
    let scale = json!({"updates": [{"type": "worker", "quantity": 1}]});
    client
        .patch("/apps/loud/formation", scale)
        .await
        .expect(200);
    let (begun, mut visits, mut largest) = (std::time::Instant::now(), 0, 0);
    loop {
        let page = client.visit("calm", &format!("/{visits}")).await;
        assert_eq!(page.status, 200, "{}", page.text());
        visits += 1;
        largest = largest.max(resident(&server));
        let numbers = Numbers::of(&client).await;
        if visits >= VISITS && taken(&numbers) >= FLOOD {
            assert_eq!(numbers.get("log_lines_dropped_total"), 0.0);
            break;
        }
        assert!(begun.elapsed() < 3 * HANG, "only {} lines", taken(&numbers));
    }
    assert!(largest < memory + ROOM, "{memory} kB became {largest} kB");
    let last = format!("app[web.1]: serving /{}", visits - 1);
    let lines = tail.until(&last).await;
    let served = |line: &String| Some(line.split_once("]: serving /")?.1.to_owned());
    let served = lines.iter().filter_map(served);
    // The visit by which it was seen to be up may be told of late.
    let served: Vec<String> = served.filter(|visit| !visit.is_empty()).collect();
    let all: Vec<String> = (0..visits).map(|visit| visit.to_string()).collect();
    assert_eq!(served, all);
    // Of what it prints so much is kept as of any app, and the platform's own lines of it stay.
    let log = server.data().join("logs");
    let kept: u64 = files(&log).iter().map(|size| size.1).sum();
    assert!(kept < 40 << 20, "{kept} bytes: {:?}", files(&log));
    let wanted = json!({"lines": 100, "source": "heroku"});
    let session = client
        .post("/apps/loud/log-sessions", wanted)
        .await
        .expect(201);
    let url = session["logplex_url"].as_str().unwrap();
    let said = client.read(url).await.unwrap().text();
    assert!(said.contains("State changed from starting to up"), "{said}");
}

/// The files of all apps' logs, with their sizes.
fn files(folder: &std::path::Path) -> Vec<(String, u64)> {
    let apps = std::fs::read_dir(folder).unwrap().flatten();
    let files = apps.flat_map(|app| std::fs::read_dir(app.path()).unwrap().flatten());
    let size = |file: std::fs::DirEntry| {
        let size = file.metadata().map_or(0, |found| found.len());
        (file.path().display().to_string(), size)
    };
    files.map(size).collect()
}
