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
                "This server has no private spaces. Make apps with POST /apps.",
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
    let is_of_databases = DATABASES.iter().any(|of_these| path.starts_with(of_these));
    let message = match is_of_databases {
        true => "Penstock runs no databases. Run one yourself, and set its URL as a config var: heroku config:set DATABASE_URL=..."
            .to_owned(),
        false => format!(
            "Penstock does not serve {} {path}. GET /openapi.json lists what it serves.",
            request.method()
        ),
    };
    Error {
        resource: Some("path"),
        ..Error::new(ErrorId::NotFound, message)
    }
}
