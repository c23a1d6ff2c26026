//! The registry of buildpacks, as the official CLI asks it: which there are on this server, and what an app has to name one as. It is
//! the same for everybody.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::call::Visit;
use super::params;
use crate::builders::{Kind, STAND_INS};
use crate::error::{Error, Result};
use crate::store::buildpacks::Buildpack;
use crate::time::Timestamp;

/// One that an app can have by its name.
struct Known {
    name: String,
    origin: Origin,
}

/// Where it is from.
enum Origin {
    /// It is kept here, since then.
    Kept(Timestamp),
    /// A builder stands in for it, of which there is as much as of the server itself.
    BuiltIn(Kind),
}

impl Known {
    fn description(&self) -> String {
        match self.origin {
            Origin::Kept(_) => format!("{}, kept on this server", self.name),
            Origin::BuiltIn(kind) => format!("{}, built in", kind.name()),
        }
    }

    fn category(&self) -> &'static str {
        match self.origin {
            Origin::Kept(_) => "classic",
            Origin::BuiltIn(_) => "built-in",
        }
    }

    fn view(&self) -> Value {
        let mut view = view(&self.name);
        view["description"] = json!(self.description());
        view["category"] = json!(self.category());
        view
    }
}

/// Those that an app can have by their names, of these namespaces and names, if some are given.
pub async fn list(visit: Visit) -> Result<HttpResponse> {
    let query = visit.request.query_string();
    let all = |name: &str| -> Vec<String> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let named = pairs.filter(|(key, _)| params::decode(key) == name);
        named.map(|(_, value)| params::decode(value)).collect()
    };
    let (namespaces, names) = (all("in[namespace][]"), all("in[name][]"));
    let described = all("like[description]");
    let wanted = |known: &Known| {
        let (namespace, name) = known.name.split_once('/').unwrap_or_default();
        let among = |words: &[String], word: &str| {
            words.is_empty() || words.iter().any(|wanted| wanted == word)
        };
        let told = known.description().to_lowercase();
        among(&namespaces, namespace)
            && among(&names, name)
            && described
                .iter()
                .all(|part| told.contains(&part.to_lowercase()))
    };
    let known = known(&visit).await?;
    let views: Vec<Value> = known
        .iter()
        .filter(|known| wanted(known))
        .map(Known::view)
        .collect();
    Ok(HttpResponse::Ok().json(views))
}

/// How an app names a buildpack. Also of one that is not here: a build looks for it elsewhere, and says when it is nowhere. What
/// is no name stands for itself, since the CLI sends on what it gets, and the app says then why it cannot be.
pub async fn info(visit: Visit) -> Result<HttpResponse> {
    let view = match named(&visit) {
        Ok(name) => match self::known(&visit)
            .await?
            .iter()
            .find(|known| known.name == name)
        {
            Some(known) => known.view(),
            None => view(&name),
        },
        Err(_) => {
            let mut view = view(visit.params.text("buildpack"));
            view["blob_url"] = view["id"].clone();
            view
        }
    };
    Ok(HttpResponse::Ok().json(view))
}

/// Its one version; nobody knows since when there is one that is built in. 404 for one that is not here.
pub async fn revisions(visit: Visit) -> Result<HttpResponse> {
    let known = find(&visit).await?;
    let (license, since) = match known.origin {
        Origin::Kept(since) => ("", Some(since.to_seconds())),
        Origin::BuiltIn(_) => (env!("CARGO_PKG_LICENSE"), None),
    };
    let revision = json!({
        "id": known.name,
        "release": 1,
        "created_at": since,
        "status": "published",
        "license": license,
    });
    Ok(HttpResponse::Ok().json([revision]))
}

/// 404 likewise.
pub async fn readme(visit: Visit) -> Result<HttpResponse> {
    find(&visit).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

/// Of one that is not here.
fn view(name: &str) -> Value {
    let (namespace, word) = name.split_once('/').unwrap_or_default();
    json!({
        "id": name,
        "namespace": namespace,
        "name": word,
        "description": format!("{name}, not kept on this server"),
        "category": "classic",
        "blob_url": format!("urn:buildpack:{name}"),
        "source": { "type": "file", "owner": namespace, "repo": word },
        "support": { "method": "unsupported", "address": null },
        "two_factor_authentication": false,
    })
}

/// The name in the path. 422 for what is none.
fn named(visit: &Visit) -> Result<String> {
    let name = visit.params.text("buildpack");
    match Buildpack::parse(name)? {
        known if known.name == name && !name.contains("://") => Ok(known.name),
        _ => Err(Error::not_found("buildpack")),
    }
}

/// By their names: those that are kept, and those that builders stand in for until one of the name is.
async fn known(visit: &Visit) -> Result<Vec<Known>> {
    let registry = visit.platform.buildpacks.clone();
    let listed = actix_web::rt::task::spawn_blocking(move || registry.list());
    let listed = listed.await.map_err(Error::internal)??;
    let mut known: Vec<Known> = listed
        .into_iter()
        .map(|one| Known {
            name: one.name,
            origin: Origin::Kept(one.imported_at),
        })
        .collect();
    // Where there is a registry to ask, each name means what is there.
    if visit.platform.config.buildpacks.registry.is_none() {
        for (name, kind) in STAND_INS {
            if known.iter().all(|kept| kept.name != name) {
                let (name, origin) = (name.to_owned(), Origin::BuiltIn(kind));
                known.push(Known { name, origin });
            }
        }
    }
    known.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(known)
}

async fn find(visit: &Visit) -> Result<Known> {
    let name = named(visit)?;
    let mut known = known(visit).await?.into_iter();
    known
        .find(|known| known.name == name)
        .ok_or_else(|| Error::not_found("buildpack"))
}
