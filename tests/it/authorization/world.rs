//! Somebody who has one of everything, so that there is something to ask each route for.

use penstock::api::{Policy, Route};
use penstock::name::Id;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, id};

/// All that Ann has, and what each route may be asked with.
pub struct World {
    pub server: Server,
    pub ann: Client,
    /// The provider of an add-on of hers.
    pub partner: Client,
    /// What stands in a path for each of its parameters.
    pub params: Vec<(&'static str, String)>,
    /// URLs that were signed for somebody, by the beginning of their paths.
    signed: Vec<String>,
    /// Of the pipeline and the apps in it.
    owner: Value,
}

impl World {
    pub async fn new() -> World {
        let server = Server::with_acme(acme()).await;
        let archive = crate::audit_trail::archived(&server).await;
        let ann = server.account("ann").await;
        ann.app("harbour").await;
        let build = server.deploy(&ann, "harbour", &source()).await;
        let cron_job = ann.get("/apps/harbour/cron-jobs").await.list().remove(0);
        let run = format!("/apps/harbour/cron-jobs/{}/actions/run", id(&cron_job));
        let cron_run = ann.post(run, json!({})).await.created();
        ann.app("marina").await;
        ann.app("spare").await;
        ann.app("quay").await;
        crate::release_phase::deploy(&server, &ann, "quay").await;
        let pipeline = ann.pipeline("water").await;
        let coupling = ann.couple("harbour", &pipeline, "staging").await;
        ann.couple("marina", &pipeline, "production").await;
        let promotion = ann
            .post("/pipeline-promotions", promotion_body())
            .await
            .created();
        server.settle().await;
        server.account("cora").await;
        let collaborator = json!({"user": "cora@example.com"});
        let collaborator = ann
            .post("/apps/harbour/collaborators", collaborator)
            .await
            .created();
        let domain = ann
            .post(
                "/apps/harbour/domains",
                json!({"hostname": "harbour.example.com"}),
            )
            .await
            .created();
        let certificate = crate::sni_endpoints::self_signed(&["harbour.example.com"]);
        let certificate = ann
            .post("/apps/harbour/sni-endpoints", certificate)
            .await
            .created();
        let drain = json!({"url": "syslog://logs.example.com:514"});
        let log_drain = ann.post("/apps/harbour/log-drains", drain).await.created();
        let drain = crate::telemetry_drains::drain("harbour");
        let telemetry_drain = ann.post("/telemetry-drains", drain).await.created();
        for name in ["dora", "elsa", "gus", "rita"] {
            server.account(name).await;
        }
        let hers = json!({"user": "gus@example.com"});
        let team_collaborator = ann
            .post("/teams/apps/harbour/collaborators", hers)
            .await
            .created();
        let team = ann.post("/teams", json!({"name": "docks"})).await.created();
        let member = json!({"email": "cora@example.com", "role": "member"});
        let member = ann.post("/teams/docks/members", member).await.created();
        let fay = json!({"email": "fay@example.com", "role": "member"});
        let invitations = ann.request("PUT", "/teams/docks/invitations");
        let invitation = invitations.json(&fay).send().await.ok();
        let transfer = json!({"app": "spare", "recipient": "rita@example.com"});
        let transfer = ann.post("/account/app-transfers", transfer).await.created();
        let webhook = ann
            .post("/apps/harbour/webhooks", webhook_body())
            .await
            .created();
        let maintenance = json!({"maintenance": true});
        ann.patch("/apps/harbour", maintenance).await.ok();
        let delivery = ann.get("/apps/harbour/webhook-deliveries").await.list();
        let statuses = format!("/apps/harbour/releases/{}/statuses", id(&build["release"]));
        let status = json!({"context": "tests/all", "state": "success"});
        let status = ann.post(statuses, status).await.created();
        let given = json!({"scope": ["read"]});
        let authorization = ann
            .post("/oauth/authorizations", given.clone())
            .await
            .created();
        let other = ann.post("/oauth/authorizations", given).await.created();
        let client = json!({"name": "Quay", "redirect_uri": "https://quay.example.com/"});
        let client = ann.post("/oauth/clients", client).await.created();
        let source = json!({"source_blob": {"url": ann.upload(&crate::harness::web_app()).await}});
        let setup = ann.post("/app-setups", source).await.expect(202);
        let config = "/pipelines/water/review-app-config";
        ann.post(config, json!({"repo": "x"})).await.created();
        let body = json!({"branch": "x", "pipeline": id(&pipeline), "source_blob": {"url": "http://127.0.0.1:1/app.tgz"}});
        let review = ann.post("/review-apps", body).await.created();
        let favorite = json!({"resource_id": "harbour", "type": "app"});
        let favorite = ann.post("/favorites", favorite).await.created();
        let key = json!({"public_key": crate::keys::ED25519});
        let key = ann.post("/account/keys", key).await.created();
        let shown = async |path: &str| id(&ann.get(path).await.ok());
        let (mut params, partner) = crate::addons::params(&server, &ann).await;
        params.extend([
            ("app", shown("/apps/harbour").await),
            ("build", id(&build)),
            ("page", "api".to_owned()),
            ("cron_job", id(&cron_job)),
            ("cron_run", id(&cron_run)),
            ("release", id(&build["release"])),
            ("slug", id(&build["slug"])),
            ("dyno", shown("/apps/harbour/dynos/web.1").await),
            ("type", shown("/apps/harbour/formation/web").await),
            ("pipeline", id(&pipeline)),
            ("coupling", id(&coupling)),
            ("promotion", id(&promotion)),
            ("collaborator", id(&collaborator)),
            ("team_collaborator", id(&team_collaborator)),
            ("team", id(&team)),
            ("member", id(&member)),
            ("invitation", id(&invitation)),
            ("token", invitation["token"].as_str().unwrap().to_owned()),
            ("transfer", id(&transfer)),
            ("feature", "org-access-controls".to_owned()),
            ("status", id(&status)),
            ("webhook", id(&webhook)),
            ("delivery", id(&delivery[0])),
            ("event", id(&delivery[0]["event"])),
            ("domain", id(&domain)),
            ("sni_endpoint", id(&certificate)),
            ("log_drain", id(&log_drain)),
            ("telemetry_drain", id(&telemetry_drain)),
            ("authorization", id(&authorization)),
            ("access_token", id(&other["access_token"])),
            ("client", id(&client)),
            ("stage", "review".to_owned()),
            ("review_app", id(&review)),
            ("setup", id(&setup)),
            ("account", ann.id.unwrap().to_string()),
            ("key", id(&key)),
            ("account_feature", "dashboard-repositories-api".to_owned()),
            ("app_feature", "runtime-dyno-metadata".to_owned()),
            ("region", "us".to_owned()),
            ("stack", "heroku-24".to_owned()),
            ("size", "Basic".to_owned()),
            ("generation", "cedar".to_owned()),
            ("favorite", id(&favorite)),
            ("branch", "main".to_owned()),
            (
                "commits",
                format!("{}...{}", "a".repeat(40), "b".repeat(40)),
            ),
            ("buildpack", "heroku%2Fnodejs".to_owned()),
            ("source", Id::new().to_string()),
            ("session", "7b7d".to_owned()),
            ("code", "7b7d".to_owned()),
            ("cli_login", Id::new().to_string()),
            ("enterprise_account", "penstock".to_owned()),
            ("year", archive["year"].to_string()),
            ("month", archive["month"].as_str().unwrap().to_owned()),
        ]);
        let mut signed = signed_urls(&ann, &build).await;
        signed.push(archive["url"].as_str().unwrap().to_owned());
        World {
            owner: json!({"id": ann.id, "type": "user"}),
            server,
            ann,
            partner,
            params,
            signed,
        }
    }

    /// The same, with the pipeline and the apps given to Ann's team, of which somebody is a part in this role.
    pub async fn of_team(role: &str) -> (World, Client) {
        let mut world = World::new().await;
        let client = world.server.account(role).await;
        world.ann.member("docks", role, role).await.created();
        let of = |wanted: &str| {
            let found = world.params.iter().find(|(name, _)| *name == wanted);
            found.unwrap().1.clone()
        };
        let (team, pipeline) = (of("team"), of("pipeline"));
        let owner = json!({"id": team, "type": "team"});
        let body = json!({"pipeline": {"id": pipeline}, "new_owner": &owner});
        world.ann.post("/pipeline-transfers", body).await.created();
        let body = json!({"owner": "docks"});
        world.ann.patch("/teams/apps/spare", body).await.ok();
        world.owner = owner;
        (world, client)
    }

    /// Somebody whom Ann lets in to her app with these permissions.
    pub async fn let_in(&self, name: &str, permissions: Value) -> Client {
        let client = self.server.account(name).await;
        let body = json!({"user": format!("{name}@example.com"), "permissions": permissions});
        self.ann
            .post("/apps/harbour/collaborators", body)
            .await
            .created();
        client
    }

    /// The route's path with its parameters put in; `absent` ones where that says so.
    pub fn path(&self, route: &Route, absent: impl Fn(&str) -> bool) -> String {
        let mut path = route.path.to_owned();
        if path.ends_with("/info/refs") {
            path += "?service=git-upload-pack";
        }
        if path.starts_with("/teams/apps") {
            // Whom one path has removed, another cannot remove again.
            path = path.replace("{collaborator}", "{team_collaborator}");
        }
        for (name, value) in &self.params {
            let value = match absent(name) {
                true => Id::new().to_string(),
                false => value.clone(),
            };
            path = path.replace(&format!("{{{name}}}"), &value);
        }
        assert!(
            !path.contains('{'),
            "{path} has a parameter without a value"
        );
        path
    }

    fn body(&self, route: &Route) -> Value {
        let of = |wanted: &str| {
            let found = self.params.iter().find(|(name, _)| *name == wanted);
            found.unwrap().1.clone()
        };
        let slug = || of("slug");
        match (route.method, route.path) {
            ("POST", "/review-apps") => {
                let pipeline = self.params.iter().find(|(name, _)| *name == "pipeline");
                let source = json!({"url": "http://x.test/app.tgz"});
                json!({"branch": "x", "pipeline": pipeline.unwrap().1, "source_blob": source})
            }
            ("POST", "/app-setups") => json!({"source_blob": {"url": "http://x.test/app.tgz"}}),
            ("POST", "/apps/{app}/builds") => {
                json!({"source_blob": {"url": "http://x.test/source.tgz"}})
            }
            ("POST", "/actions/addons/resolve") => json!({"addon": of("addon")}),
            ("POST", "/actions/addon-attachments/resolve") => {
                json!({"addon_attachment": of("attachment")})
            }
            ("PATCH", "/addons/{addon}/config") => json!({"config": []}),
            ("PUT", "/addons/{addon}/log-drains/{log_drain}") => {
                json!({"url": "https://logs.example.com/drain"})
            }
            ("POST", "/addon-attachments") => json!({"addon": of("addon"), "app": "spare"}),
            ("POST", "/apps/{app}/addons") => json!({"plan": "acme"}),
            ("DELETE", "/apps/{app}/addons/{addon}") => json!({"force": true}),
            ("PATCH", "/apps/{app}/addons/{addon}") => json!({"name": "renamed"}),
            ("PUT", "/apps/{app}/buildpack-installations") => json!({"updates": []}),
            ("PATCH", "/apps/{app}/config-vars") => json!({"A": "1"}),
            ("PATCH", "/apps/{app}/formation") => {
                json!({"updates": [{"type": "web", "quantity": 1}]})
            }
            ("PATCH", "/apps/{app}/formation/{type}") => json!({"quantity": 1}),
            ("POST", "/apps/{app}/dynos" | "/apps/{app}/dynos/{dyno}") => {
                json!({"command": "true"})
            }
            ("POST", "/apps/{app}/releases") => json!({"slug": slug()}),
            ("POST", "/apps/{app}/slugs") => json!({"process_types": {"web": "x"}}),
            ("POST", "/apps/{app}/collaborators") => json!({"user": "dora@example.com"}),
            ("POST", "/teams/apps/{app}/collaborators") => json!({"user": "elsa@example.com"}),
            ("PATCH", path) if path.ends_with("/collaborators/{collaborator}") => {
                json!({"permissions": ["view"]})
            }
            ("POST", "/teams") => json!({"name": "crew"}),
            ("PATCH", "/teams/apps/{app}") => json!({"locked": true}),
            ("PUT", "/teams/{team}/invitations") => {
                json!({"email": "fay@example.com", "role": "member"})
            }
            (_, "/teams/{team}/members") => json!({"email": "dora@example.com", "role": "member"}),
            ("POST", "/apps/{app}/releases/{release}/statuses") => {
                json!({"context": "tests/some", "state": "pending"})
            }
            ("POST", "/apps/{app}/webhooks") | ("POST", "/addons/{addon}/webhooks") => {
                webhook_body()
            }
            ("POST", "/apps/{app}/domains") => json!({"hostname": "www.harbour.example.com"}),
            ("PATCH", "/apps/{app}/domains/{domain}") => json!({"sni_endpoint": null}),
            ("POST", "/apps/{app}/sni-endpoints")
            | ("PATCH", "/apps/{app}/sni-endpoints/{sni_endpoint}") => {
                crate::sni_endpoints::self_signed(&["www.harbour.example.com"])
            }
            ("POST", "/users") => json!({"email": "eve@example.com"}),
            ("PATCH", "/account/features/{account_feature}")
            | ("PATCH", "/apps/{app}/features/{app_feature}") => {
                json!({"enabled": false})
            }
            ("POST", "/apps/{app}/log-drains") => json!({"url": "https://logs.example.com/drain"}),
            ("POST", "/telemetry-drains") => crate::telemetry_drains::drain(&of("app")),
            ("PATCH", "/telemetry-drains/{telemetry_drain}") => json!({"signals": ["logs"]}),
            ("POST", "/oauth/clients") => {
                json!({"name": "Pier", "redirect_uri": "https://pier.example.com/"})
            }
            ("POST", "/account/app-transfers") => {
                json!({"app": "marina", "recipient": "rita@example.com"})
            }
            ("PATCH", "/account/app-transfers/{transfer}") => json!({"state": "accepted"}),
            ("POST", "/pipeline-transfers") => {
                json!({"pipeline": "water", "new_owner": self.owner})
            }
            ("POST", "/favorites") => json!({"resource_id": "spare", "type": "app"}),
            ("POST", "/pipelines") => json!({"name": "fire"}),
            ("POST", "/pipeline-couplings") => {
                json!({"app": "spare", "pipeline": "water", "stage": "review"})
            }
            ("POST", "/pipeline-promotions") => promotion_body(),
            _ => json!({}),
        }
    }

    pub async fn ask(&self, client: &Client, route: &Route, path: &str) -> Answer {
        let request = client.request(route.method, path);
        request.json(&self.body(route)).send().await
    }

    /// As whoever may: with her token, or with the URL that was signed.
    pub async fn ask_as_owner(&self, route: &Route) -> Answer {
        if route.policy != Policy::Signed {
            return self
                .ask(&self.ann, route, &self.path(route, |_| false))
                .await;
        }
        let own = route.path.split('{').next().unwrap();
        let method = format!("method={}", route.method.to_lowercase());
        let url = self
            .signed
            .iter()
            .find(|url| url.contains(own) && url.contains(&method));
        let url = url.unwrap_or_else(|| panic!("{} was signed for nobody", route.path));
        let request = self.ann.request(route.method, url);
        request.body(crate::harness::web_app()).send().await
    }
}

/// What [`web_app`](crate::harness::web_app) is, with a job that is run only when somebody asks.
fn source() -> Vec<u8> {
    let cron = json!({"command": "x", "schedule": "@daily", "concurrency_policy": "Allow", "suspended": true});
    let manifest = json!({ "cron": [cron] }).to_string();
    let procfile = "web: serve --port $PORT\nworker: work --hard\n";
    crate::harness::gz(&[("Procfile", procfile), ("app.json", &manifest)])
}

/// Nobody listens there.
fn webhook_body() -> Value {
    json!({"include": ["api:app"], "level": "notify", "url": "http://127.0.0.1:9/hooks"})
}

fn promotion_body() -> Value {
    json!({"pipeline": "water", "source": {"app": "harbour"}, "targets": [{"app": "marina"}]})
}

/// Every kind of URL that is signed, each ready to be used in the order of the routes.
async fn signed_urls(ann: &Client, build: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let source = ann.post("/sources", json!({})).await.created();
    let put = text(&source["source_blob"]["put_url"]);
    ann.put(&put, &crate::harness::web_app()).await.ok();
    let types = json!({"process_types": {"web": "x"}});
    let new = ann.post("/apps/spare/slugs", types).await.created();
    let slug = format!("/apps/harbour/slugs/{}", id(&build["slug"]));
    let slug = ann.get(slug).await.ok();
    let session = ann.post("/apps/harbour/log-sessions", json!({})).await;
    let release = ann.newest_release("quay").await;
    vec![
        put,
        text(&source["source_blob"]["get_url"]),
        text(&new["blob"]["url"]),
        text(&slug["blob"]["url"]),
        text(&build["output_stream_url"]),
        text(&release["output_stream_url"]),
        text(&session.created()["logplex_url"]),
        text(&ann.get("/addons").await.list()[0]["web_url"]),
    ]
}

/// An authority that is never asked.
fn acme() -> penstock::acm::Settings {
    penstock::acm::Settings {
        acme_contact: Some("owner@example.com".to_owned()),
        ..penstock::acm::Settings::default()
    }
}
