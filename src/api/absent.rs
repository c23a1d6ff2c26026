//! What there is none of here, and what to say to whoever asks for it.

use actix_web::HttpRequest;

use super::routes::Route;
use crate::error::{Error, ErrorId};

/// Where the CLI's commands about Heroku's own databases ask.
const DATABASES: [&str; 4] = ["/client/v11/", "/data/", "/postgres/", "/redis/"];

/// 405, or 404 for what there is none of, though its list can be asked for.
pub(super) fn not_answered(method: &str, path: &str, routes: &[&Route]) -> Error {
    match path {
        "/spaces" => Error {
            resource: Some("space"),
            ..Error::new(
                ErrorId::NotFound,
                "This server has no private spaces. Make apps with `heroku create`, or POST /apps.",
            )
        },
        _ => Error::new(
            ErrorId::MethodNotAllowed,
            format!(
                "This path does not answer {method}. It answers {}.",
                allowed(routes)
            ),
        ),
    }
}

/// `GET, POST`: the methods of a path.
pub(super) fn allowed(routes: &[&Route]) -> String {
    let methods: Vec<&str> = routes.iter().map(|route| route.method).collect();
    methods.join(", ")
}

/// 404.
pub(super) fn no_such_path(request: &HttpRequest) -> Error {
    let path = request.path();
    let message = match of_hosting(path) {
        Some(sentence) => sentence.to_owned(),
        None => format!(
            "Penstock does not serve {} {path}. GET /openapi.json lists what it serves.",
            request.method()
        ),
    };
    Error {
        resource: Some("path"),
        ..Error::new(ErrorId::NotFound, message)
    }
}

/// What there is instead of what belongs to Heroku's hosting alone, and the official CLI has commands for.
fn of_hosting(path: &str) -> Option<&'static str> {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let sentence = match segments[..] {
        _ if DATABASES.iter().any(|of_these| path.starts_with(of_these)) => {
            "Penstock runs no databases. Run one yourself, and set its URL as a config var: heroku config:set DATABASE_URL=..."
        }
        ["spaces", ..] => "This server has no private spaces: all of its apps run on this machine.",
        ["test-runs", ..] | ["pipelines", _, "test-runs", ..] | ["apps", _, "test-runs", ..] => {
            "Penstock runs no CI tests; a CI of your own reports what it found as a status of the release, which a promotion can require: \
             see /docs/pipelines."
        }
        [
            "pipelines",
            _,
            "webhooks" | "webhook-deliveries" | "webhook-events",
            ..,
        ] => {
            "Penstock has webhooks of apps and add-ons, and none of pipelines. Subscribe to each app of the pipeline: \
             heroku webhooks:add --app APP ..."
        }
        ["pipelines", _, "repository" | "github", ..] | ["repos" | "github", ..] => {
            "This server is not connected to GitHub. The source of a pipeline's apps is what is pushed to them with git."
        }
        _ => return None,
    };
    Some(sentence)
}
