//! The numbers of a server that serves: somebody has visited, built and printed.

use serde_json::json;

use crate::binary::sample::{PERL, idle_app, tarball};
use crate::binary::{Client, HANG, Place, Server, TIED};

/// What `GET /metrics` says at a moment.
pub struct Numbers(String);

impl Numbers {
    pub async fn of(client: &Client) -> Numbers {
        let answer = client.get("/metrics").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Numbers(answer.text())
    }

    /// The value of a sample, by its name without what they all begin with, and its labels.
    #[track_caller]
    pub fn get(&self, sample: &str) -> f64 {
        let found = self.find(sample);
        found.unwrap_or_else(|| panic!("there is no {sample} in\n{}", self.0))
    }

    pub fn find(&self, sample: &str) -> Option<f64> {
        let line = |line: &str| {
            let value = line.strip_prefix("penstock_")?.strip_prefix(sample)?;
            value.strip_prefix(' ')?.parse().ok()
        };
        self.0.lines().find_map(line)
    }
}

/// Asks again and again until this is so: what a visitor had is counted just after he had it.
pub async fn numbers_when(client: &Client, is_so: impl Fn(&Numbers) -> bool) -> Numbers {
    let begun = std::time::Instant::now();
    loop {
        let numbers = Numbers::of(client).await;
        if is_so(&numbers) {
            return numbers;
        }
        assert!(begun.elapsed() < HANG, "{}", numbers.0);
    }
}

#[tokio::test]
async fn visitors_are_counted_by_app_and_status_with_the_time_that_they_took() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    client.create_app("harbour").await;
    client.deploy("harbour", PERL.tarball("hello")).await;
    client.visit_until("harbour", 200, "hello").await;
    for _ in 0..3 {
        assert_eq!(client.visit("harbour", "/").await.status, 200);
    }
    client.create_app("idle").await;
    client.deploy("idle", idle_app()).await;
    client.visit_until("idle", 503, "").await;
    let counted = "router_request_seconds_count{app=\"idle\"}";
    let numbers = numbers_when(&client, |numbers| numbers.find(counted).is_some()).await;
    let requests = |app: &str, status: u16| {
        format!("router_requests_total{{app=\"{app}\",status=\"{status}\"}}")
    };
    assert_eq!(numbers.get(&requests("harbour", 200)), 4.0);
    assert_eq!(numbers.get(&requests("idle", 503)), 1.0);
    assert_eq!(numbers.get("router_errors_total{code=\"H14\"}"), 1.0);
    // Others may have come before the app was there.
    let all = numbers.get("router_request_seconds_count{app=\"harbour\"}");
    let seconds = numbers.get("router_request_seconds_sum{app=\"harbour\"}");
    assert!(all >= 4.0, "{all}");
    assert!(seconds > 0.0 && seconds < HANG.as_secs_f64(), "{seconds}");
    let infinite = "router_request_seconds_bucket{app=\"harbour\",le=\"+Inf\"}";
    assert_eq!(numbers.get(infinite), all);
    assert!(numbers.get("api_requests_total{status=\"2xx\"}") > 0.0);
    assert!(numbers.get("api_request_seconds_sum") > 0.0);
}

#[tokio::test]
async fn builds_dynos_and_the_disk_are_in_the_numbers() {
    let place = Place::new();
    let command = place.command(&[TIED, "--crash-backoff", "0s,1h"]);
    let server = Server::start(command, &place.log());
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", PERL.tarball("hello")).await;
    client.dynos("app", 1).await;
    client.create_app("broken").await;
    let broken = tarball(&[("Procfile", "web: x\n"), ("Makefile", "build:\n\tfalse\n")]);
    let (build, output) = client.build("broken", broken, None).await;
    assert_eq!(build["status"], "failed", "{output}");
    client
        .deploy("broken", tarball(&[("Procfile", "worker: exit 3\n")]))
        .await;
    let mut tail = client.tail("broken", 0).await.unwrap();
    let scale = json!({"updates": [{"type": "worker", "quantity": 1}]});
    client
        .patch("/apps/broken/formation", scale)
        .await
        .expect(200);
    for _ in 0..2 {
        tail.until("to crashed").await;
    }
    let ended = "builds_total{status=\"succeeded\"}";
    let numbers = numbers_when(&client, |numbers| numbers.find(ended) == Some(2.0)).await;
    assert_eq!(numbers.get("builds_total{status=\"failed\"}"), 1.0);
    assert_eq!(numbers.get("build_seconds_count"), 3.0);
    let seconds = numbers.get("build_seconds_sum");
    assert!(
        seconds > 0.0 && seconds < 3.0 * HANG.as_secs_f64(),
        "{seconds}"
    );
    assert_eq!(numbers.get("builds{state=\"running\"}"), 0.0);
    assert_eq!(numbers.get("dynos{state=\"up\"}"), 1.0);
    assert_eq!(numbers.get("dynos{state=\"crashed\"}"), 1.0);
    assert_eq!(numbers.get("apps"), 2.0);
    let (free, all) = (numbers.get("disk_free_bytes"), numbers.get("disk_bytes"));
    assert!(free > 0.0 && free < all, "{free} of {all}");
    let database = std::fs::metadata(server.data().join("penstock.db")).unwrap();
    assert!(numbers.get("database_bytes") >= database.len() as f64);
    assert!(numbers.get("log_lines_total") > 0.0);
}

#[tokio::test]
async fn lines_that_cannot_be_kept_are_counted_and_told_once_they_can_again() {
    let place = Place::new();
    let server = place.start();
    let client = server.client();
    let app = client.create_app("app").await;
    assert_eq!(
        Numbers::of(&client).await.get("log_lines_dropped_total"),
        0.0
    );
    server.stop();
    // Something is in the way of the app's log.
    let log = place.data().join("logs").join(app["id"].as_str().unwrap());
    let aside = place.path("aside");
    std::fs::rename(&log, &aside).unwrap();
    std::fs::write(&log, "").unwrap();
    let server = place.start();
    let client = server.client();
    let set = async |value: u32| {
        let vars = json!({ "GREETING": value.to_string() });
        client
            .patch("/apps/app/config-vars", vars)
            .await
            .expect(200);
    };
    set(1).await;
    set(2).await;
    let dropped = Numbers::of(&client).await.get("log_lines_dropped_total");
    assert!(dropped >= 2.0, "{dropped}");
    std::fs::remove_file(&log).unwrap();
    std::fs::rename(&aside, &log).unwrap();
    set(3).await;
    let said = client.logs("app").await;
    let told = format!("heroku[logplex]: Error L12: {dropped} messages dropped since ");
    assert!(said.contains(&told), "{said}");
    assert!(said.contains("Initial release by user"), "{said}");
    let after = Numbers::of(&client).await.get("log_lines_dropped_total");
    assert_eq!(after, dropped);
}
