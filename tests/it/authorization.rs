//! Who may call what: every route of the table, by everybody there is.
//!
//! What a stranger may not see answers him in the very words that it would if it were not there.

use std::fmt::Write;

use penstock::api::{Policy, ROUTES, Route};
use penstock::name::Id;
use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, golden, id};

/// All that Ann has, and what each route may be asked with.
struct World {
    server: Server,
    ann: Client,
    /// What stands in a path for each of its parameters.
    params: Vec<(&'static str, String)>,
    /// URLs that were signed for somebody, by the beginning of their paths.
    signed: Vec<String>,
}

impl World {
    async fn new() -> World {
        let server = Server::start().await;
        let ann = server.account("ann").await;
        let build = server.running_app(&ann, "harbour").await;
        ann.app("marina").await;
        ann.app("spare").await;
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
        for name in ["elsa", "gus"] {
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
        let statuses = format!("/apps/harbour/releases/{}/statuses", id(&build["release"]));
        let status = json!({"context": "tests/all", "state": "success"});
        let status = ann.post(statuses, status).await.created();
        let shown = async |path: &str| id(&ann.get(path).await.ok());
        let params = vec![
            ("app", shown("/apps/harbour").await),
            ("build", id(&build)),
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
            ("feature", "org-access-controls".to_owned()),
            ("status", id(&status)),
            ("domain", id(&domain)),
            ("sni_endpoint", id(&certificate)),
            ("region", "us".to_owned()),
            ("stack", "heroku-24".to_owned()),
            ("size", "Basic".to_owned()),
            ("generation", "cedar".to_owned()),
            ("source", Id::new().to_string()),
            ("session", "7b7d".to_owned()),
        ];
        let signed = signed_urls(&ann, &build).await;
        World {
            server,
            ann,
            params,
            signed,
        }
    }

    /// Somebody whom Ann lets in to her app with these permissions.
    async fn let_in(&self, name: &str, permissions: Value) -> Client {
        let client = self.server.account(name).await;
        let body = json!({"user": format!("{name}@example.com"), "permissions": permissions});
        self.ann
            .post("/apps/harbour/collaborators", body)
            .await
            .created();
        client
    }

    /// The route's path with its parameters put in; `absent` ones where that says so.
    fn path(&self, route: &Route, absent: impl Fn(&str) -> bool) -> String {
        let mut path = route.path.to_owned();
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
        let slug = || {
            let slug = self.params.iter().find(|(name, _)| *name == "slug");
            slug.unwrap().1.clone()
        };
        match (route.method, route.path) {
            ("POST", "/apps/{app}/builds") => {
                json!({"source_blob": {"url": "http://x.test/source.tgz"}})
            }
            ("PUT", "/apps/{app}/buildpack-installations") => json!({"updates": []}),
            ("PATCH", "/apps/{app}/config-vars") => json!({"A": "1"}),
            ("PATCH", "/apps/{app}/formation") => {
                json!({"updates": [{"type": "web", "quantity": 1}]})
            }
            ("PATCH", "/apps/{app}/formation/{type}") => json!({"quantity": 1}),
            ("POST", "/apps/{app}/dynos") => json!({"command": "true"}),
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
            ("POST", "/apps/{app}/domains") => json!({"hostname": "www.harbour.example.com"}),
            ("PATCH", "/apps/{app}/domains/{domain}") => json!({"sni_endpoint": null}),
            ("POST", "/apps/{app}/sni-endpoints")
            | ("PATCH", "/apps/{app}/sni-endpoints/{sni_endpoint}") => {
                crate::sni_endpoints::self_signed(&["www.harbour.example.com"])
            }
            ("POST", "/pipelines") => json!({"name": "fire"}),
            ("POST", "/pipeline-couplings") => {
                json!({"app": "spare", "pipeline": "water", "stage": "review"})
            }
            ("POST", "/pipeline-promotions") => promotion_body(),
            _ => json!({}),
        }
    }

    async fn ask(&self, client: &Client, route: &Route, path: &str) -> Answer {
        let request = client.request(route.method, path);
        request.json(&self.body(route)).send().await
    }

    /// As whoever may: with her token, or with the URL that was signed.
    async fn ask_as_owner(&self, route: &Route) -> Answer {
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
    vec![
        put,
        text(&source["source_blob"]["get_url"]),
        text(&new["blob"]["url"]),
        text(&slug["blob"]["url"]),
        text(&build["output_stream_url"]),
        text(&session.created()["logplex_url"]),
    ]
}

/// What changes nothing first, and what deletes last, from the inside out.
fn in_a_harmless_order() -> Vec<&'static Route> {
    let mut routes: Vec<&Route> = ROUTES.iter().collect();
    let order = |route: &Route| match route.method {
        "DELETE" => usize::MAX - route.path.len(),
        "GET" => 0,
        _ => 1,
    };
    routes.sort_by_key(|route| order(route));
    routes
}

#[tokio::test]
async fn every_route_answers_each_kind_of_caller_as_the_matrix_says() {
    let world = World::new().await;
    let stranger = world.server.account("bob").await;
    world.server.account("dora").await;
    let viewer = world.let_in("vera", json!(["view"])).await;
    let deployer = world.let_in("dan", json!(["view", "deploy"])).await;
    let operator = world.let_in("oz", json!(["operate"])).await;
    let nobody = world.server.nobody();
    let wrong = nobody.with_token("HRKU-00000000-0000-7000-8000-000000000000");
    let mut lines = Vec::new();
    for route in in_a_harmless_order() {
        let path = world.path(route, |_| false);
        let mut line = format!("{:48} {:6}", route.path, route.method);
        for (name, client) in [
            ("nobody", &nobody),
            ("wrong", &wrong),
            ("stranger", &stranger),
            ("viewer", &viewer),
            ("deployer", &deployer),
            ("operator", &operator),
        ] {
            let before = world.server.dump();
            let answer = world.ask(client, route, &path).await;
            if answer.status >= 400 {
                assert_eq!(
                    world.server.dump(),
                    before,
                    "{name} changed something by {line}"
                );
            }
            write!(line, " {name} {}", answer.status).unwrap();
        }
        let answer = world.ask_as_owner(route).await;
        write!(line, " owner {}", answer.status).unwrap();
        lines.push(line);
    }
    lines.sort();
    golden("authorization.txt", &(lines.join("\n") + "\n"));
    world.server.settle().await;
}

#[tokio::test]
async fn a_stranger_is_answered_as_if_there_were_nothing() {
    let world = World::new().await;
    let stranger = world.server.account("bob").await;
    for route in ROUTES {
        let own = world.path(route, |_| false);
        let answer = world.ask(&stranger, route, &own).await;
        for (name, value) in &world.params {
            let secret = value.len() == 36;
            let told = secret && answer.text().contains(value.as_str());
            let asked = own.contains(value.as_str());
            assert!(
                !told || asked,
                "{} tells a stranger of Ann's {name}",
                answer.asked
            );
        }
        if matches!(
            route.policy,
            Policy::Signed | Policy::Public | Policy::Account
        ) && !route.path.starts_with("/pipeline")
            || !route.path.contains('{')
        {
            continue;
        }
        let absent = world.path(route, |_| true);
        let absent = world.ask(&stranger, route, &absent).await;
        assert_eq!(answer.status, 404, "{}", answer.asked);
        assert_eq!(answer.body, absent.body, "{}", answer.asked);
        assert_eq!(answer.header("etag"), absent.header("etag"));
    }
}

#[tokio::test]
async fn what_is_anothers_is_as_absent_under_an_app_of_ones_own() {
    let world = World::new().await;
    let bob = world.server.account("bob").await;
    world.server.running_app(&bob, "lagoon").await;
    let within = |route: &&Route| route.path.starts_with("/apps/{app}/");
    for route in ROUTES.iter().filter(within) {
        let rest = route.path.trim_start_matches("/apps/{app}");
        if !rest.contains('{') {
            continue;
        }
        let mut bodies = Vec::new();
        for absent in [false, true] {
            let path = world.path(route, |_| absent);
            let (_, rest) = path.trim_start_matches("/apps/").split_once('/').unwrap();
            let path = format!("/apps/lagoon/{rest}");
            let answer = world.ask(&bob, route, &path).await;
            assert_eq!(answer.status, 404, "{}", answer.asked);
            bodies.push(answer.body);
        }
        assert_eq!(bodies[0], bodies[1], "{}", route.path);
    }
}

#[tokio::test]
async fn what_is_anothers_is_as_absent_when_a_body_names_it() {
    let world = World::new().await;
    let bob = world.server.account("bob").await;
    let pipeline = bob.pipeline("fire").await;
    world.server.running_app(&bob, "lagoon").await;
    bob.couple("lagoon", &pipeline, "staging").await;
    let of = |wanted: &str| {
        let found = world.params.iter().find(|(name, _)| *name == wanted);
        found.unwrap().1.clone()
    };
    let promotion = |pipeline: &str, source: &str, target: &str| json!({"pipeline": pipeline, "source": {"app": source}, "targets": [{"app": target}]});
    let absent = Id::new().to_string();
    let (app, slug, release) = (of("app"), of("slug"), of("release"));
    for (path, named, missing) in [
        (
            "/pipeline-promotions",
            promotion(&of("pipeline"), "lagoon", "lagoon"),
            promotion(&absent, "lagoon", "lagoon"),
        ),
        (
            "/pipeline-promotions",
            promotion("fire", &app, "lagoon"),
            promotion("fire", &absent, "lagoon"),
        ),
        (
            "/pipeline-promotions",
            promotion("fire", "lagoon", &app),
            promotion("fire", "lagoon", &absent),
        ),
        (
            "/apps/lagoon/releases",
            json!({ "slug": slug }),
            json!({ "slug": absent }),
        ),
        (
            "/apps/lagoon/releases",
            json!({ "release": release }),
            json!({ "release": absent }),
        ),
    ] {
        let before = world.server.dump();
        let (named, missing) = (bob.post(path, named).await, bob.post(path, missing).await);
        assert_eq!(named.status, 404, "{named:?}");
        assert_eq!(named.body, missing.body);
        assert_eq!(world.server.dump(), before);
    }
}
