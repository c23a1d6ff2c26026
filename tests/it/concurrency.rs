//! Two people who do everything to one app at once.

use futures_util::future::{join_all, join3};
use serde_json::{Value, json};

use crate::harness::{Client, Server, gz, id};

const ROUNDS: usize = 12;

/// A server with two people who share what they have: an app that runs, and one that it is promoted to.
struct Shared {
    server: Server,
    people: [Client; 2],
    pipeline: Value,
    slug: Value,
}

impl Shared {
    async fn new() -> Shared {
        let server = Server::start().await;
        let (ann, bob) = (server.account("ann").await, server.account("bob").await);
        let pipeline = ann.pipeline("water").await;
        server.running_app(&ann, "staging").await;
        ann.couple("staging", &pipeline, "staging").await;
        let slug = ann.newest_release("staging").await["slug"].clone();
        let shared = Shared {
            server,
            people: [ann, bob],
            pipeline,
            slug,
        };
        shared.share("staging").await;
        shared.target().await;
        shared
    }

    async fn share(&self, app: &str) {
        let body = json!({
            "user": "bob@example.com", "silent": true,
            "permissions": ["view", "deploy", "operate", "manage"],
        });
        let path = format!("/apps/{app}/collaborators");
        self.people[0].post(path, body).await.created();
    }

    /// The app that everything is done to, anew.
    async fn target(&self) {
        let ann = &self.people[0];
        ann.app("harbour").await;
        ann.couple("harbour", &self.pipeline, "production").await;
        self.share("harbour").await;
        let body = json!({"slug": id(&self.slug)});
        ann.post("/apps/harbour/releases", body).await.created();
    }

    /// Whatever one person does in a round: each call's status.
    async fn everything(&self, person: usize, round: usize) -> Vec<u16> {
        let client = &self.people[person];
        let promotion = json!({
            "pipeline": id(&self.pipeline), "source": {"app": "staging"}, "targets": [{"app": "harbour"}],
        });
        let vars = json!({"WHO": person.to_string(), "ROUND": round.to_string()});
        let delete = async || match round % 4 {
            3 if person == 0 => client.delete("/apps/harbour").await,
            _ => client.delete("/apps/harbour/dynos").await,
        };
        let (one, other, last) = join3(
            join3(
                client.post("/pipeline-promotions", promotion),
                client.patch("/apps/harbour/config-vars", vars),
                client.patch(
                    "/apps/harbour/formation/web",
                    json!({"quantity": person + 1}),
                ),
            ),
            join3(
                client.post("/apps/harbour/releases", json!({"release": 3})),
                client.patch(
                    "/apps/harbour",
                    json!({"maintenance": round.is_multiple_of(2)}),
                ),
                client.get("/apps/harbour/releases"),
            ),
            delete(),
        )
        .await;
        let answers = [one.0, one.1, one.2, other.0, other.1, other.2, last];
        answers.iter().map(|answer| answer.status).collect()
    }
}

#[tokio::test]
async fn two_people_do_everything_to_one_app_at_once_and_versions_stay_dense() {
    let shared = Shared::new().await;
    let ann = &shared.people[0];
    for round in 0..ROUNDS {
        let both = join_all([0, 1].map(|person| shared.everything(person, round)));
        // The loops run in the midst of it.
        let (statuses, ()) = futures_util::future::join(both, shared.server.settle()).await;
        let deleted = round % 4 == 3;
        for status in statuses.concat() {
            let fine = matches!(status, 200..=202) || (deleted && status == 404);
            assert!(fine, "{status} in round {round}");
        }
        shared.server.settle().await;
        if deleted {
            ann.get("/apps/harbour").await.missing("app");
            assert_eq!(shared.server.dynos.of("harbour").len(), 0);
            shared.target().await;
            continue;
        }
        let releases = ann
            .range("/apps/harbour/releases", "version ..; max=1000")
            .await;
        let versions = releases.each("version");
        let dense: Vec<String> = (1..=versions.len())
            .map(|version| version.to_string())
            .collect();
        assert_eq!(versions, dense, "round {round}");
        let quantity = ann.get("/apps/harbour/formation/web").await.ok()["quantity"].clone();
        let running = shared.server.dynos.of("harbour").len();
        assert_eq!(json!(running), quantity, "round {round}");
    }
}

#[tokio::test]
async fn what_two_people_deploy_at_once_is_two_releases() {
    let shared = Shared::new().await;
    let before = shared.people[0].newest_release("harbour").await["version"].clone();
    let bytes = gz(&[("Procfile", "web: serve")]);
    let builds = shared
        .people
        .iter()
        .map(|person| person.build("harbour", &bytes, "v"));
    let builds = join_all(builds).await;
    shared.server.settle().await;
    for build in builds {
        let path = format!("/apps/harbour/builds/{}", id(&build));
        assert_eq!(shared.people[0].get(path).await.ok()["status"], "succeeded");
    }
    let after = shared.people[0].newest_release("harbour").await["version"].clone();
    assert_eq!(after.as_u64().unwrap(), before.as_u64().unwrap() + 2);
}
