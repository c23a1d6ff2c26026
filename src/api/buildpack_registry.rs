//! The registry of buildpacks, as the official CLI asks it: which there are on this server, and what an app has to name one as. It is
//! the same for everybody.

use actix_web::HttpResponse;
use serde_json::{Value, json};

use super::call::Visit;
use super::params;
use crate::error::{Error, Result};
use crate::store::buildpacks::Buildpack;
use crate::time::Timestamp;

/// One that is kept here.
struct Kept {
    name: String,
    imported_at: Timestamp,
}

/// Those that are kept here, of these namespaces and names, if some are given.
pub async fn list(visit: Visit) -> Result<HttpResponse> {
    let query = visit.request.query_string();
    let all = |name: &str| -> Vec<String> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let named = pairs.filter(|(key, _)| params::decode(key) == name);
        named.map(|(_, value)| params::decode(value)).collect()
    };
    let (namespaces, names) = (all("in[namespace][]"), all("in[name][]"));
    let described = all("like[description]");
    let wanted = |kept: &Kept| {
        let (namespace, name) = kept.name.split_once('/').unwrap_or_default();
        let among = |words: &[String], word: &str| {
            words.is_empty() || words.iter().any(|wanted| wanted == word)
        };
        let told = description(&kept.name);
        among(&namespaces, namespace)
            && among(&names, name)
            && described.iter().all(|part| told.contains(part.as_str()))
    };
    let kept = kept(&visit).await?;
    let views: Vec<Value> = kept
        .iter()
        .filter(|kept| wanted(kept))
        .map(|kept| view(&kept.name))
        .collect();
    Ok(HttpResponse::Ok().json(views))
}

/// How an app names a buildpack. Also of one that is not kept here: a build looks for it elsewhere, and says when it is nowhere. What
/// is no name stands for itself, since the CLI sends on what it gets, and the app says then why it cannot be.
pub async fn info(visit: Visit) -> Result<HttpResponse> {
    let name = match named(&visit) {
        Ok(name) => view(&name),
        Err(_) => {
            let mut view = view(visit.params.text("buildpack"));
            view["blob_url"] = view["id"].clone();
            view
        }
    };
    Ok(HttpResponse::Ok().json(name))
}

/// Its one version. 404 for one that is not kept here.
pub async fn revisions(visit: Visit) -> Result<HttpResponse> {
    let kept = find(&visit).await?;
    let revision = json!({
        "id": kept.name,
        "release": 1,
        "created_at": kept.imported_at.to_seconds(),
        "status": "published",
        "license": "",
    });
    Ok(HttpResponse::Ok().json([revision]))
}

/// 404 likewise.
pub async fn readme(visit: Visit) -> Result<HttpResponse> {
    find(&visit).await?;
    Ok(HttpResponse::Ok().json(json!({})))
}

fn view(name: &str) -> Value {
    let (namespace, word) = name.split_once('/').unwrap_or_default();
    json!({
        "id": name,
        "namespace": namespace,
        "name": word,
        "description": description(name),
        "category": "classic",
        "blob_url": format!("urn:buildpack:{name}"),
        "source": { "type": "file", "owner": namespace, "repo": word },
        "support": { "method": "unsupported", "address": null },
        "two_factor_authentication": false,
    })
}

fn description(name: &str) -> String {
    format!("{name}, kept on this server")
}

/// The name in the path. 422 for what is none.
fn named(visit: &Visit) -> Result<String> {
    let name = visit.params.text("buildpack");
    match Buildpack::parse(name)? {
        known if known.name == name && !name.contains("://") => Ok(known.name),
        _ => Err(Error::not_found("buildpack")),
    }
}

async fn kept(visit: &Visit) -> Result<Vec<Kept>> {
    let registry = visit.platform.buildpacks.clone();
    let listed = actix_web::rt::task::spawn_blocking(move || registry.list());
    let listed = listed.await.map_err(Error::internal)??;
    let kept = listed.into_iter().map(|one| Kept {
        name: one.name,
        imported_at: one.imported_at,
    });
    Ok(kept.collect())
}

async fn find(visit: &Visit) -> Result<Kept> {
    let name = named(visit)?;
    let mut kept = kept(visit).await?.into_iter();
    kept.find(|kept| kept.name == name)
        .ok_or_else(|| Error::not_found("buildpack"))
}
