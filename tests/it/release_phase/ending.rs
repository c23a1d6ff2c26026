//! Release commands that do not end by themselves, and queues that grow.

use std::time::Duration;

use serde_json::json;

use super::{Harbour, VARS, deploy, source};

#[tokio::test]
async fn a_command_is_ended_after_an_hour_and_by_whoever_stops_its_dyno() {
    let harbour = Harbour::new().await;
    harbour.deploy("migrate two").await;
    harbour.server.pass(Duration::from_secs(3_599));
    harbour.server.settle().await;
    assert_eq!(harbour.release(4).await["status"], "pending");
    harbour.server.pass(Duration::from_secs(1));
    harbour.server.settle().await;
    assert_eq!(harbour.release(4).await["status"], "failed");
    assert!(harbour.told().await.contains("took longer than 60 minutes"));
    for stop in [
        "/dynos/NAME/actions/stop",
        "/formations/release/actions/stop",
    ] {
        harbour.deploy("migrate two").await;
        let stop = format!("/apps/harbour{}", stop.replace("NAME", &harbour.name()));
        harbour.ann.post(stop, json!({})).await.expect(202);
        harbour.server.settle().await;
    }
    assert_eq!(harbour.statuses().await, "succeeded failed failed failed");
    assert!(
        harbour
            .told()
            .await
            .contains("The release command of v6 was stopped.")
    );
    assert_eq!(harbour.web(), ["web.1 v3"]);
}

#[tokio::test]
async fn a_command_that_uses_far_too_much_memory_fails_and_is_not_run_again() {
    let harbour = Harbour::new().await;
    harbour.deploy("migrate two").await;
    let dyno = harbour.server.dynos.one("harbour", &harbour.name()).dyno;
    let launches = harbour.server.dynos.launches();
    harbour.server.dynos.use_memory(dyno);
    harbour.server.check_memory().await;
    harbour.server.settle().await;
    assert_eq!(harbour.statuses().await, "succeeded failed");
    let told = harbour.told().await;
    assert!(told.contains("Error R15"), "{told}");
    let reason = "The release command of v4 ended with exit status 143.";
    assert!(told.contains(reason), "{told}");
    assert_eq!(harbour.server.dynos.launches(), launches);
    assert_eq!(harbour.web(), ["web.1 v3"]);
}

#[tokio::test]
async fn one_release_that_cannot_go_on_holds_up_no_other() {
    let harbour = Harbour::new().await;
    let Harbour { server, ann } = &harbour;
    ann.app("pier").await;
    deploy(server, ann, "pier").await;
    harbour.deploy("migrate two").await;
    let pier = source("migrate two");
    server.deploy(ann, "pier", &pier).await;
    // The older release is looked at first, and its row cannot be changed, as if it were damaged.
    let stuck = harbour.release(4).await;
    server.freeze_release(&stuck).await;
    let end = async |app: &str| {
        let names = server.dynos.of(app);
        let name = names.iter().find_map(|name| name.strip_prefix("release."));
        let name = format!("release.{}", name.unwrap().split_once(' ').unwrap().0);
        server.dynos.crash(server.dynos.one(app, &name).dyno, 0);
        server.settle().await;
    };
    end("harbour").await;
    end("pier").await;
    assert_eq!(harbour.release(4).await["status"], "pending");
    let release = ann.get("/apps/pier/releases/4").await.ok();
    assert_eq!(release["status"], "succeeded");
    server.thaw_release().await;
    server.settle().await;
    assert_eq!(harbour.release(4).await["status"], "succeeded");
}

#[tokio::test]
async fn a_command_that_cannot_be_started_is_tried_three_times() {
    let harbour = Harbour::new().await;
    harbour.server.dynos.refuse();
    let before = harbour.server.dynos.launches();
    harbour.ann.patch(VARS, json!({"A": "1"})).await.ok();
    harbour.server.settle().await;
    assert_eq!(harbour.release(4).await["status"], "failed");
    assert_eq!(harbour.server.dynos.launches(), before);
    let told = harbour.told().await;
    assert_eq!(told.matches("R99").count(), 3, "{told}");
    assert!(told.contains("could not be started"), "{told}");
    assert_eq!(harbour.current().await, 3);
}

#[tokio::test]
async fn an_app_that_is_deleted_takes_its_command_with_it() {
    let harbour = Harbour::new().await;
    harbour.deploy("migrate two").await;
    let output = harbour.release(4).await["output_stream_url"].clone();
    harbour.ann.delete("/apps/harbour").await.ok();
    harbour.server.settle().await;
    assert!(harbour.server.dynos.running().is_empty());
    let gone = harbour.ann.get(output.as_str().unwrap()).await;
    gone.missing("release");
}

#[tokio::test]
async fn too_many_releases_do_not_wait() {
    let harbour = Harbour::new().await;
    for value in 0..20 {
        let vars = json!({"A": value.to_string()});
        harbour.ann.patch(VARS, vars).await.ok();
    }
    let refused = harbour.ann.patch(VARS, json!({"A": "more"})).await;
    refused.refused(409, "conflict", "20 releases");
    assert_eq!(harbour.ann.get(VARS).await.ok()["A"], "19");
}
