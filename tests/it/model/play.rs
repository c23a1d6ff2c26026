//! The calls of the model, made over HTTP, and what the server has to show for them.

use serde_json::{Value, json};

use super::Op;
use super::state::{APPS, App, KEYS, PIPELINES, STAGES, State, USERS};
use crate::harness::{Client, Server, gz, id};

pub struct Play {
    server: Server,
    clients: Vec<Client>,
    pipelines: Vec<Value>,
}

impl Play {
    pub async fn start() -> Play {
        let server = Server::start().await;
        let mut clients = Vec::new();
        for user in USERS {
            clients.push(server.account(user).await);
        }
        let mut pipelines = Vec::new();
        for name in PIPELINES {
            pipelines.push(clients[0].pipeline(name).await);
        }
        Play {
            server,
            clients,
            pipelines,
        }
    }

    /// Makes a call, runs what follows from it, and holds the answer to the model's.
    pub async fn call(&mut self, op: &Op, expected: u16) {
        let status = self.send(op).await;
        self.server.settle().await;
        assert_eq!(status, expected, "{op:?}");
    }

    async fn send(&self, op: &Op) -> u16 {
        let client = |user: usize| &self.clients[user];
        let path = |app: usize, rest: &str| format!("/apps/{}{rest}", APPS[app]);
        match *op {
            Op::Create { user, app } => {
                client(user)
                    .post("/apps", json!({"name": APPS[app]}))
                    .await
                    .status
            }
            Op::Delete { user, app } => client(user).delete(path(app, "")).await.status,
            Op::Invite { user, app } => {
                let other = format!("{}@example.com", USERS[1 - user]);
                let body = json!({"user": other, "silent": true});
                client(user)
                    .post(path(app, "/collaborators"), body)
                    .await
                    .status
            }
            Op::Dismiss { user, app } => self.dismiss(user, app).await,
            Op::Set {
                user,
                app,
                key,
                value,
            } => {
                let body = json!({KEYS[key]: value.map(|value| value.to_string())});
                client(user)
                    .patch(path(app, "/config-vars"), body)
                    .await
                    .status
            }
            Op::Deploy { user, app, slug } => self.deploy(user, app, slug).await,
            Op::Rollback { user, app, version } => {
                let body = json!({"release": version.to_string()});
                client(user).post(path(app, "/releases"), body).await.status
            }
            Op::Scale {
                user,
                app,
                quantity,
            } => {
                let body = json!({"quantity": quantity});
                client(user)
                    .patch(path(app, "/formation/web"), body)
                    .await
                    .status
            }
            Op::Couple {
                user,
                app,
                pipeline,
                stage,
            } => {
                let pipeline = id(&self.pipelines[pipeline]);
                let body = json!({"app": APPS[app], "pipeline": pipeline, "stage": STAGES[stage]});
                client(user).post("/pipeline-couplings", body).await.status
            }
            Op::Uncouple { user, app } => {
                let coupling = client(user).get(path(app, "/pipeline-couplings")).await;
                if coupling.status != 200 {
                    return coupling.status;
                }
                let path = format!("/pipeline-couplings/{}", id(&coupling.ok()));
                client(user).delete(path).await.status
            }
            Op::Promote {
                user,
                pipeline,
                from,
                to,
            } => {
                let body = json!({
                    "pipeline": id(&self.pipelines[pipeline]),
                    "source": {"app": APPS[from]},
                    "targets": [{"app": APPS[to]}],
                });
                client(user).post("/pipeline-promotions", body).await.status
            }
        }
    }

    /// The collaborator goes, whoever asks.
    async fn dismiss(&self, user: usize, app: usize) -> u16 {
        let client = &self.clients[user];
        let all = client
            .get(format!("/apps/{}/collaborators", APPS[app]))
            .await;
        if all.status != 200 {
            return all.status;
        }
        let all = all.list();
        let other = all.iter().find(|one| one["role"] != "owner");
        let other = other.map_or("nobody@example.com", |one| {
            one["user"]["email"].as_str().unwrap()
        });
        client
            .delete(format!("/apps/{}/collaborators/{other}", APPS[app]))
            .await
            .status
    }

    async fn deploy(&self, user: usize, app: usize, slug: usize) -> u16 {
        let client = &self.clients[user];
        let body = json!({"process_types": {"web": format!("serve {slug}")}});
        let made = client
            .post(format!("/apps/{}/slugs", APPS[app]), body)
            .await;
        if made.status != 201 {
            return made.status;
        }
        let made = made.created();
        let bytes = gz(&[("./app/run", &slug.to_string())]);
        client
            .put(made["blob"]["url"].as_str().unwrap(), &bytes)
            .await
            .ok();
        let body = json!({"slug": id(&made)});
        client
            .post(format!("/apps/{}/releases", APPS[app]), body)
            .await
            .status
    }

    /// Everything that the model knows of, read back by each app's owner.
    pub async fn compare(&self, state: &State) {
        for (at, name) in APPS.iter().enumerate() {
            match state.apps.get(&at) {
                Some(app) => self.compare_app(name, app).await,
                None => {
                    self.clients[0]
                        .get(format!("/apps/{name}"))
                        .await
                        .missing("app");
                }
            }
        }
        for (user, client) in self.clients.iter().enumerate() {
            let seen = state
                .apps
                .iter()
                .filter(|(_, app)| app.owner == user || app.shared);
            let mut seen: Vec<&str> = seen.map(|(at, _)| APPS[*at]).collect();
            seen.sort_unstable();
            let listed = client.range("/apps", "name ..").await.each("name");
            assert_eq!(listed, seen);
        }
    }

    async fn compare_app(&self, name: &str, app: &App) {
        let owner = &self.clients[app.owner];
        let get = |rest: &str| owner.get(format!("/apps/{name}{rest}"));
        let vars = app.newest().vars.iter();
        let vars: Value = vars
            .map(|(key, value)| (key.to_string(), json!(value.to_string())))
            .collect();
        assert_eq!(get("/config-vars").await.ok(), vars, "{name}");
        let releases = owner
            .range(&format!("/apps/{name}/releases"), "version ..; max=1000")
            .await;
        let releases = releases.list();
        let versions: Vec<u64> = releases
            .iter()
            .map(|one| one["version"].as_u64().unwrap())
            .collect();
        assert_eq!(
            versions,
            (1..=app.releases.len() as u64).collect::<Vec<_>>(),
            "{name}"
        );
        for (release, expected) in releases.iter().zip(&app.releases) {
            assert_eq!(
                release["slug"].is_object(),
                expected.slug.is_some(),
                "{name}: {release}"
            );
        }
        let formation = get("/formation").await.list();
        let quantity = formation
            .first()
            .map(|web| web["quantity"].as_u64().unwrap() as usize);
        assert_eq!(quantity, app.quantity, "{name}");
        assert_eq!(
            self.server.dynos.of(name).len(),
            app.quantity.unwrap_or(0),
            "{name}"
        );
        let command = app.newest().slug.map(|slug| format!("serve {slug}"));
        let shown = formation
            .first()
            .map(|web| web["command"].as_str().unwrap().to_owned());
        assert_eq!(shown, command, "{name}");
        let coupling = get("/pipeline-couplings").await;
        let stage = (coupling.status == 200).then(|| coupling.ok()["stage"].clone());
        assert_eq!(
            stage,
            app.coupling.map(|(_, stage)| json!(STAGES[stage])),
            "{name}"
        );
    }
}
