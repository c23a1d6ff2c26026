//! Cron jobs: commands that run at the times that the app.json says, and never two at once unless it says so.

mod reading;
mod real;

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Server, gz, id};

const JOBS: &str = "/apps/harbour/cron-jobs";
const RUNS: &str = "/apps/harbour/cron-runs";
const MINUTE: u64 = 60;

/// A source with these cron jobs. Its text makes it another one.
fn source(cron: &Value, text: &str) -> Vec<u8> {
    let manifest = json!({ "cron": cron }).to_string();
    let procfile = format!("web: serve {text}\nworker: work --hard\n");
    gz(&[("Procfile", &procfile), ("app.json", &manifest)])
}

struct Harbour {
    server: Server,
    ann: Client,
}

impl Harbour {
    /// An app with these jobs. It is noon.
    async fn with(cron: Value) -> Harbour {
        let server = Server::start().await;
        let ann = server.account("ann").await;
        ann.app("harbour").await;
        let harbour = Harbour { server, ann };
        harbour.deploy(cron, "one").await;
        harbour
    }

    async fn deploy(&self, cron: Value, text: &str) {
        let source = source(&cron, text);
        self.server.deploy(&self.ann, "harbour", &source).await;
    }

    /// Time passes at once, as for a server that was asleep.
    async fn pass(&self, seconds: u64) {
        self.server.pass(Duration::from_secs(seconds));
        self.server.settle().await;
    }

    /// The names of the dynos of jobs that run.
    fn running(&self) -> Vec<String> {
        let running = self.server.dynos.of("harbour").into_iter();
        let names = running.map(|name| name.split_once(' ').unwrap().0.to_owned());
        names.filter(|name| name.starts_with("cron.")).collect()
    }

    /// The one job's dyno that runs ends so.
    async fn end(&self, status: i32) {
        let [name] = &self.running()[..] else {
            panic!("{:?} run", self.running());
        };
        let dyno = self.server.dynos.one("harbour", name).dyno;
        self.server.dynos.crash(dyno, status);
        self.server.settle().await;
    }

    /// `succeeded skipped`, of all runs.
    async fn statuses(&self) -> String {
        self.ann.get(RUNS).await.each("status").join(" ")
    }

    async fn job(&self) -> Value {
        self.ann.get(JOBS).await.list().remove(0)
    }

    async fn told(&self) -> String {
        let filter = json!({"lines": 1_500});
        let session = self.ann.post("/apps/harbour/log-sessions", filter).await;
        let url = session.created()["logplex_url"].clone();
        self.ann.get(url.as_str().unwrap()).await.text()
    }
}

fn every(schedule: &str) -> Value {
    json!([{"command": "tidy", "schedule": schedule}])
}

#[tokio::test]
async fn a_job_runs_in_a_dyno_of_its_own_at_its_time() {
    let cron = json!([{"command": "worker --once", "schedule": "30 12 * * *"}]);
    let harbour = Harbour::with(cron).await;
    let job = harbour.job().await;
    assert_eq!(job["command"], "worker --once");
    assert_eq!(job["schedule"], "30 12 * * *");
    assert_eq!(job["concurrency_policy"], "Forbid");
    assert_eq!(job["suspended"], false);
    assert_eq!(job["next_run_at"], "2026-01-31T12:30:00Z");
    assert_eq!(job["last_run"], Value::Null);
    harbour.pass(30 * MINUTE - 1).await;
    assert!(harbour.running().is_empty());
    harbour.pass(1).await;
    let running = harbour.running();
    let launch = harbour.server.dynos.one("harbour", &running[0]);
    assert_eq!(launch.command, "work --hard --once");
    let job = harbour.job().await;
    assert_eq!(job["next_run_at"], "2026-02-01T12:30:00Z");
    let run = job["last_run"].clone();
    assert_eq!(run["status"], "running");
    assert_eq!(run["trigger"], "schedule");
    assert_eq!(run["scheduled_at"], "2026-01-31T12:30:00Z");
    assert_eq!(run["started_at"], "2026-01-31T12:30:00Z");
    assert_eq!(run["dyno"]["name"], running[0]);
    assert_eq!(run["release"]["version"], 3);
    harbour.pass(5 * MINUTE).await;
    harbour.end(0).await;
    let run = harbour.ann.get(format!("{RUNS}/{}", id(&run))).await.ok();
    assert_eq!(run["status"], "succeeded");
    assert_eq!(run["exit_code"], 0);
    assert_eq!(run["ended_at"], "2026-01-31T12:35:00Z");
    assert_eq!(run["message"], Value::Null);
    let told = harbour.told().await;
    let begun = format!(
        "app[api]: Running cron job `worker --once` in {}",
        running[0]
    );
    assert!(told.contains(&begun), "{told}");
    harbour.pass(24 * 60 * MINUTE).await;
    assert_eq!(harbour.statuses().await, "succeeded running");
}

#[tokio::test]
async fn a_failing_run_is_told_with_its_status_and_not_tried_again() {
    let harbour = Harbour::with(every("0 13 * * *")).await;
    harbour.pass(60 * MINUTE).await;
    harbour.end(3).await;
    let run = harbour.job().await["last_run"].clone();
    assert_eq!(run["status"], "failed");
    assert_eq!(run["exit_code"], 3);
    assert_eq!(run["message"], "It ended with exit status 3.");
    harbour.pass(60 * MINUTE).await;
    assert_eq!(harbour.statuses().await, "failed");
}

#[tokio::test]
async fn no_second_run_begins_while_one_goes_on() {
    let harbour = Harbour::with(every("*/10 * * * *")).await;
    harbour.pass(10 * MINUTE).await;
    harbour.pass(10 * MINUTE).await;
    assert_eq!(harbour.running().len(), 1);
    assert_eq!(harbour.statuses().await, "running skipped");
    let skipped = harbour.job().await["last_run"].clone();
    assert_eq!(
        skipped["message"],
        "The run of 2026-01-31T12:10:00Z goes on."
    );
    assert!(harbour.told().await.contains("Skipped cron job `tidy`"));
    harbour.end(0).await;
    assert!(harbour.running().is_empty());
    harbour.pass(10 * MINUTE).await;
    assert_eq!(harbour.statuses().await, "succeeded skipped running");
}

#[tokio::test]
async fn several_run_at_once_where_that_is_allowed() {
    let cron =
        json!([{"command": "tidy", "schedule": "*/10 * * * *", "concurrency_policy": "Allow"}]);
    let harbour = Harbour::with(cron).await;
    harbour.pass(10 * MINUTE).await;
    harbour.pass(10 * MINUTE).await;
    assert_eq!(harbour.running().len(), 2);
    assert_eq!(harbour.statuses().await, "running running");
}

#[tokio::test]
async fn a_run_that_replaces_another_begins_when_that_has_ended() {
    let cron =
        json!([{"command": "tidy", "schedule": "*/10 * * * *", "concurrency_policy": "replace"}]);
    let harbour = Harbour::with(cron).await;
    harbour.pass(10 * MINUTE).await;
    let before = harbour.running();
    harbour.pass(10 * MINUTE).await;
    let after = harbour.running();
    assert_eq!(after.len(), 1);
    assert_ne!(after, before);
    assert_eq!(harbour.statuses().await, "failed running");
    let runs = harbour.ann.get(RUNS).await.list();
    assert_eq!(runs[0]["message"], "It was stopped.");
}

#[tokio::test]
async fn of_the_times_that_were_missed_only_the_last_is_made_up_for() {
    let harbour = Harbour::with(every("15 * * * *")).await;
    harbour.pass(49 * 60 * MINUTE + 1).await;
    assert_eq!(harbour.statuses().await, "running");
    let job = harbour.job().await;
    assert_eq!(job["last_run"]["scheduled_at"], "2026-02-02T12:15:00Z");
    assert_eq!(job["next_run_at"], "2026-02-02T13:15:00Z");
}

#[tokio::test]
async fn a_suspended_job_waits_until_a_release_wakes_it() {
    let cron =
        |suspended| json!([{"command": "tidy", "schedule": "@hourly", "suspended": suspended}]);
    let harbour = Harbour::with(cron(true)).await;
    let job = harbour.job().await;
    assert_eq!(job["suspended"], true);
    assert_eq!(job["next_run_at"], Value::Null);
    harbour.pass(3 * 60 * MINUTE).await;
    assert_eq!(harbour.statuses().await, "");
    harbour.deploy(cron(false), "two").await;
    let woken = harbour.job().await;
    assert_eq!(woken["id"], job["id"]);
    assert_eq!(woken["next_run_at"], "2026-01-31T16:00:00Z");
    harbour.pass(60 * MINUTE).await;
    assert_eq!(harbour.statuses().await, "running");
}

#[tokio::test]
async fn anyone_who_operates_the_app_runs_a_job_now() {
    let cron = json!([{"command": "tidy", "schedule": "@yearly", "suspended": true}]);
    let harbour = Harbour::with(cron).await;
    let run = format!("{JOBS}/{}/actions/run", id(&harbour.job().await));
    let asked = harbour.ann.post(&run, json!({})).await.created();
    assert_eq!(asked["status"], "pending");
    assert_eq!(asked["trigger"], "manual");
    assert_eq!(asked["scheduled_at"], "2026-01-31T12:00:00Z");
    let again = harbour.ann.post(&run, json!({})).await;
    again.refused(409, "conflict", "Forbid");
    harbour.server.settle().await;
    let again = harbour.ann.post(&run, json!({})).await;
    again.refused(409, "conflict", &harbour.running()[0]);
    harbour.end(0).await;
    assert_eq!(harbour.statuses().await, "succeeded");
    let told = harbour.told().await;
    assert!(
        told.contains("Cron job `tidy` asked for by user ann@example.com"),
        "{told}"
    );
    let of_job = format!("{JOBS}/{}/cron-runs", id(&harbour.job().await));
    assert_eq!(harbour.ann.get(of_job).await.each("id"), [id(&asked)]);
}

#[tokio::test]
async fn jobs_come_and_go_with_the_slug_and_keep_what_they_were() {
    let cron = json!([
        {"command": "tidy", "schedule": "@hourly"},
        {"command": "count", "schedule": "@daily"},
    ]);
    let harbour = Harbour::with(cron).await;
    let before = harbour.ann.get(JOBS).await.list();
    harbour.pass(60 * MINUTE).await;
    harbour.end(0).await;
    // Another schedule for the one, nothing of the other, and something new.
    let cron = json!([
        {"command": "tidy", "schedule": "0 5 * * *"},
        {"command": "mend", "schedule": "0 6 * * *"},
    ]);
    harbour.deploy(cron, "two").await;
    let after = harbour.ann.get(JOBS).await.list();
    assert_eq!(after[0]["id"], before[0]["id"]);
    assert_eq!(after[0]["next_run_at"], "2026-02-01T05:00:00Z");
    assert_eq!(after[0]["last_run"]["status"], "succeeded");
    assert_eq!(after[1]["command"], "mend");
    harbour
        .ann
        .get(format!("{JOBS}/{}", id(&before[1])))
        .await
        .missing("cron job");
    // A rollback brings back what ran then, and its config vars change nothing.
    harbour
        .ann
        .patch("/apps/harbour/config-vars", json!({"A": "1"}))
        .await
        .ok();
    let rollback = json!({"release": 3});
    harbour
        .ann
        .post("/apps/harbour/releases", rollback)
        .await
        .created();
    let commands = harbour.ann.get(JOBS).await.each("command");
    assert_eq!(commands, ["tidy", "count"]);
    assert_eq!(harbour.job().await["id"], before[0]["id"]);
    harbour.deploy(json!([]), "three").await;
    assert_eq!(harbour.ann.get(JOBS).await.list().len(), 0);
    assert_eq!(harbour.statuses().await, "succeeded");
}

#[tokio::test]
async fn a_promotion_takes_the_jobs_along_and_a_pending_release_does_not() {
    let harbour = Harbour::with(every("@hourly")).await;
    let ann = &harbour.ann;
    let pipeline = ann.pipeline("water").await;
    ann.app("sea").await;
    ann.couple("harbour", &pipeline, "staging").await;
    ann.couple("sea", &pipeline, "production").await;
    let body =
        json!({"pipeline": "water", "source": {"app": "harbour"}, "targets": [{"app": "sea"}]});
    ann.post("/pipeline-promotions", body).await.created();
    harbour.server.settle().await;
    assert_eq!(
        ann.get("/apps/sea/cron-jobs").await.each("command"),
        ["tidy"]
    );
    let manifest = json!({"cron": [{"command": "mend", "schedule": "@daily"}]}).to_string();
    let files = [
        ("Procfile", "web: x\nrelease: migrate"),
        ("app.json", &manifest),
    ];
    harbour.server.deploy(ann, "sea", &gz(&files)).await;
    assert_eq!(
        ann.get("/apps/sea/cron-jobs").await.each("command"),
        ["tidy"]
    );
    let names = harbour.server.dynos.of("sea");
    let name = names
        .iter()
        .find(|name| name.starts_with("release."))
        .unwrap();
    let name = name.split_once(' ').unwrap().0;
    let dyno = harbour.server.dynos.one("sea", name).dyno;
    harbour.server.dynos.crash(dyno, 0);
    harbour.server.settle().await;
    assert_eq!(
        ann.get("/apps/sea/cron-jobs").await.each("command"),
        ["mend"]
    );
}

#[tokio::test]
async fn a_run_ends_with_its_app_and_by_whoever_stops_it() {
    let harbour = Harbour::with(every("@hourly")).await;
    harbour.pass(60 * MINUTE).await;
    let stop = format!("/apps/harbour/dynos/{}/actions/stop", harbour.running()[0]);
    harbour.ann.post(stop, json!({})).await.expect(202);
    harbour.server.settle().await;
    let run = harbour.job().await["last_run"].clone();
    assert_eq!(run["message"], "It was stopped.");
    harbour.pass(60 * MINUTE).await;
    assert_eq!(harbour.running().len(), 1);
    harbour.ann.delete("/apps/harbour").await.ok();
    harbour.server.settle().await;
    assert!(harbour.server.dynos.running().is_empty());
}

#[tokio::test]
async fn a_run_that_finds_no_room_is_skipped_with_the_reason() {
    let harbour = Harbour::with(every("@hourly")).await;
    for _ in 0..50 {
        let body = json!({"command": "sleep"});
        harbour
            .ann
            .post("/apps/harbour/dynos", body)
            .await
            .created();
    }
    harbour.pass(60 * MINUTE).await;
    let run = harbour.job().await["last_run"].clone();
    assert_eq!(run["status"], "skipped");
    assert!(
        run["message"]
            .as_str()
            .unwrap()
            .contains("50 one-off dynos"),
        "{run}"
    );
}

#[tokio::test]
async fn the_newest_runs_of_a_job_are_kept() {
    let harbour = Harbour::with(every("* * * * *")).await;
    for _ in 0..105 {
        harbour.pass(MINUTE).await;
    }
    let of_job = format!("{JOBS}/{}/cron-runs", id(&harbour.job().await));
    let kept = harbour.ann.get(&of_job).await.each("status");
    // The one that goes on is no history yet.
    assert_eq!(kept.len(), 101);
    assert_eq!(kept[0], "running");
}
