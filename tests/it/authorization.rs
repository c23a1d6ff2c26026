//! Who may call what: every route of the table, by everybody there is.
//!
//! What a stranger may not see answers him in the very words that it would if it were not there.

pub mod world;

use std::fmt::Write;
use std::time::Duration;

use penstock::api::{Policy, ROUTES, Route};
use penstock::name::Id;
use serde_json::json;

use crate::harness::golden;
use world::World;

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
    let viewer = world.let_in("vera", json!(["view"])).await;
    let deployer = world.let_in("dan", json!(["view", "deploy"])).await;
    let operator = world.let_in("oz", json!(["operate"])).await;
    let nobody = world.server.nobody();
    let wrong = nobody.with_token("HRKU-00000000-0000-7000-8000-000000000000");
    // Ann herself, through lesser tokens.
    let reader = world.ann.scoped(&["read"], None).await;
    let identity = world.ann.scoped(&["identity"], None).await;
    let expired = world.ann.scoped(&["global"], Some(60)).await;
    world.server.pass(Duration::from_secs(60));
    // Who may do everything would leave nothing for the others to try.
    let admins = World::new().await;
    let admin = admins.server.admin("ada").await;
    // Ann once more, through tokens that may change things: each has a world of its own to change.
    let mut others = Vec::new();
    for scope in ["write", "read-protected", "write-protected"] {
        let world = World::new().await;
        let client = world.ann.scoped(&[scope], None).await;
        others.push((scope.to_owned(), (world, client)));
    }
    for role in ["collaborator", "viewer", "member", "admin"] {
        others.push((format!("team-{role}"), World::of_team(role).await));
    }
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
            ("expired", &expired),
            ("identity", &identity),
            ("reader", &reader),
            ("provider", &world.partner),
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
        let answer = admins
            .ask(&admin, route, &admins.path(route, |_| false))
            .await;
        // What providers are told by and by is nobody's doing.
        world.server.providers_idle().await;
        admins.server.providers_idle().await;
        write!(line, " admin {}", answer.status).unwrap();
        // With `team-`, the app, the pipeline and the team of the path are the team's, and the caller has this role in it.
        for (name, (world, client)) in &others {
            let before = world.server.dump();
            let answer = world
                .ask(client, route, &world.path(route, |_| false))
                .await;
            let unchanged = answer.status < 400 || world.server.dump() == before;
            assert!(unchanged, "{name} changed something by {line}");
            world.server.providers_idle().await;
            write!(line, " {name} {}", answer.status).unwrap();
        }
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
    // Otherwise he could delete his account, and be nobody.
    stranger.app("lagoon").await;
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
            Policy::Signed | Policy::Public | Policy::Anybody | Policy::Account
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
        // What is built in is anybody's.
        if !rest.contains('{') || rest.contains("{app_feature}") {
            continue;
        }
        let mut bodies = Vec::new();
        for absent in [false, true] {
            let path = world.path(route, |_| absent);
            let (_, rest) = path.trim_start_matches("/apps/").split_once('/').unwrap();
            let path = format!("/apps/lagoon/{rest}");
            let answer = world.ask(&bob, route, &path).await;
            assert_eq!(answer.status, 404, "{}", answer.asked);
            // Some are told of by the id that they were asked for by.
            let ids = rest.split('/').filter(|part| part.len() == 36);
            bodies.push(ids.fold(answer.text(), |body, id| body.replace(id, "it")));
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
