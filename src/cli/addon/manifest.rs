//! An add-on's manifest: read from JSON, and checked so that whoever wrote it learns what to change.
//!
//! Heroku's own form is read too, where most of it stands under `api`. It must not know what becomes of a manifest.

use std::path::Path;

use serde::{Deserialize, Deserializer};

use crate::error::{Error, Result};
use crate::outbound::Outbound;
use crate::secret;
use crate::store::addon_services::{Manifest, ManifestPlan, Offer, State};

/// A manifest at most, in bytes.
const MAX_BYTES: u64 = 256 * 1024;
const MAX_PLANS: usize = 100;
const MAX_CONFIG_VARS: usize = 50;
/// What is a secret at most, in bytes.
const MAX_SECRET: usize = 256;

/// The document as it is written, less what may stand under `api` as well as at the top.
#[derive(Deserialize)]
struct Document {
    id: Option<String>,
    name: Option<String>,
    cli_plugin_name: Option<String>,
    state: Option<String>,
    supports_multiple_installations: Option<bool>,
    supports_sharing: Option<bool>,
    plans: Option<Vec<PlanDocument>>,
    client_secret: Option<String>,
    #[serde(default)]
    api: Access,
}

#[derive(Default, Deserialize)]
struct Access {
    password: Option<String>,
    sso_salt: Option<String>,
    config_vars: Option<Vec<String>>,
    config_vars_prefix: Option<String>,
    base_url: Option<String>,
    sso_url: Option<String>,
    requires: Option<Vec<String>>,
    #[serde(default, deserialize_with = "place")]
    production: Place,
}

/// Where the provider is.
#[derive(Default, Deserialize)]
struct Place {
    base_url: Option<String>,
    sso_url: Option<String>,
}

/// Older manifests have a URL alone.
fn place<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Place, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a URL, or an object with base_url and sso_url")]
    enum Form {
        Url(String),
        Place(Place),
    }
    Ok(match Form::deserialize(deserializer)? {
        Form::Url(url) => Place {
            base_url: Some(url),
            sso_url: None,
        },
        Form::Place(place) => place,
    })
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "the name of a plan, or an object with its name")]
enum PlanDocument {
    Name(String),
    Object {
        name: String,
        human_name: Option<String>,
        description: Option<String>,
        default: Option<bool>,
    },
}

/// Reads a manifest. 422 with what is wrong about it.
pub fn read(path: &Path) -> Result<Manifest> {
    let unreadable = |cause: std::io::Error| Error::unreadable(path, &cause);
    if std::fs::metadata(path).map_err(unreadable)?.len() > MAX_BYTES {
        return Err(Error::invalid("A manifest is not longer than 256 KB."));
    }
    parse(&std::fs::read(path).map_err(unreadable)?)
}

/// As [`read`], of the text itself.
pub fn parse(text: &[u8]) -> Result<Manifest> {
    let value: serde_json::Value = serde_json::from_slice(text)
        .map_err(|cause| Error::invalid(format!("The manifest is not valid JSON: {cause}.")))?;
    check(fit(&value)?, fit(&value)?)
}

/// Takes from a document what is a `T`'s.
fn fit<'a, T: Deserialize<'a>>(value: &'a serde_json::Value) -> Result<T> {
    serde_path_to_error::deserialize(value).map_err(|cause| {
        Error::invalid(format!(
            "{} in the manifest does not fit: {}.",
            cause.path(),
            cause.inner()
        ))
    })
}

fn check(document: Document, top: Access) -> Result<Manifest> {
    let api = document.api;
    let name = required(document.id, "id")?;
    if !label(&name, 2..=50) {
        return Err(refused(
            "id",
            "must be 2 to 50 lowercase letters, digits and dashes, and begin with a letter",
        ));
    }
    let config_vars_prefix = prefix(&name, top.config_vars_prefix.or(api.config_vars_prefix))?;
    let config_vars = config_vars(
        required(top.config_vars.or(api.config_vars), "config_vars")?,
        &config_vars_prefix,
    )?;
    let base_url = top
        .base_url
        .or(top.production.base_url)
        .or(api.base_url)
        .or(api.production.base_url);
    let base_url = url(required(base_url, "base_url")?, "base_url")?;
    let sso_url = top
        .sso_url
        .or(top.production.sso_url)
        .or(api.sso_url)
        .or(api.production.sso_url);
    let sso_url = match sso_url {
        Some(sso_url) => url(sso_url, "sso_url")?,
        None => format!(
            "{}/sso/login",
            base_url.trim_end_matches("/heroku/resources")
        ),
    };
    let human_name = text(document.name.unwrap_or_else(|| name.clone()), "name")?;
    let plans = plans(&name, required(document.plans, "plans")?)?;
    let offer = Offer {
        name,
        human_name,
        cli_plugin_name: document
            .cli_plugin_name
            .map(|plugin| text(plugin, "cli_plugin_name"))
            .transpose()?,
        state: state(document.state)?,
        supports_multiple_installations: document.supports_multiple_installations.unwrap_or(true),
        supports_sharing: document.supports_sharing.unwrap_or(true),
        wants_log: wants_log(top.requires.or(api.requires).unwrap_or_default())?,
        config_vars_prefix,
        config_vars,
        base_url,
        sso_url,
    };
    Ok(Manifest {
        offer,
        password: secret(
            required(top.password.or(api.password), "password")?,
            "password",
        )?,
        sso_salt: top
            .sso_salt
            .or(api.sso_salt)
            .map(|salt| secret(salt, "sso_salt"))
            .transpose()?,
        client_secret: document
            .client_secret
            .map(|given| secret(given, "client_secret"))
            .transpose()?
            .map(|given| secret::digest(&given)),
        plans,
    })
}

fn refused(key: &str, rule: &str) -> Error {
    Error::invalid(format!("The manifest's {key} {rule}."))
}

fn required<T>(value: Option<T>, key: &str) -> Result<T> {
    value.ok_or_else(|| Error::invalid(format!("The manifest has no {key}.")))
}

/// Lowercase letters, digits and dashes.
fn label(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    length.contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn text(text: String, key: &str) -> Result<String> {
    let fits = (1..=200).contains(&text.len()) && !text.contains(char::is_control);
    match fits {
        true => Ok(text),
        false => Err(refused(key, "must be 1 to 200 characters on one line")),
    }
}

fn secret(secret: String, key: &str) -> Result<String> {
    let fits = (8..=MAX_SECRET).contains(&secret.len()) && !secret.contains(char::is_control);
    match fits {
        true => Ok(secret),
        false => Err(refused(key, "must be 8 to 256 characters on one line")),
    }
}

fn state(state: Option<String>) -> Result<State> {
    let Some(state) = state else {
        return Ok(State::Ga);
    };
    State::parse(&state).ok_or_else(|| refused("state", "is alpha, beta, ga or shutdown"))
}

/// What an add-on needs of the platform. There is the log of its app; another kind is not here.
fn wants_log(requires: Vec<String>) -> Result<bool> {
    for needed in &requires {
        if !matches!(needed.as_str(), "syslog_drain" | "many_per_app") {
            return Err(refused(
                "requires",
                "names something that this server has not: it has syslog_drain and many_per_app",
            ));
        }
    }
    Ok(requires.iter().any(|needed| needed == "syslog_drain"))
}

/// An environment variable's name, in capitals.
fn variable(text: &str) -> bool {
    (1..=200).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_uppercase())
        && text
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// `acme-db` has the prefix ACME_DB unless it says another.
fn prefix(name: &str, given: Option<String>) -> Result<String> {
    let prefix = given.unwrap_or_else(|| name.to_uppercase().replace('-', "_"));
    match variable(&prefix) && !prefix.ends_with('_') {
        true => Ok(prefix),
        false => Err(refused(
            "config_vars_prefix",
            "must be capitals, digits and underscores, begin with a letter and not end with an underscore, such as ACME",
        )),
    }
}

fn config_vars(names: Vec<String>, prefix: &str) -> Result<Vec<String>> {
    for name in &names {
        let rest = name.strip_prefix(prefix);
        let fits = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'));
        if !fits || !variable(name) {
            return Err(refused(
                "config_vars",
                &format!(
                    "has {:?}, and each must be in capitals and begin with {prefix}_ (config_vars_prefix sets another prefix)",
                    name.chars().take(64).collect::<String>()
                ),
            ));
        }
    }
    distinct(&names, "config_vars", MAX_CONFIG_VARS)?;
    Ok(names)
}

fn distinct(names: &[String], key: &str, max: usize) -> Result<()> {
    if names.len() > max {
        return Err(refused(key, &format!("are more than {max}")));
    }
    let set: std::collections::BTreeSet<_> = names.iter().collect();
    match set.len() == names.len() {
        true => Ok(()),
        false => Err(refused(key, "has a name twice")),
    }
}

/// An http or https URL that a path can be put after.
fn url(text: String, key: &str) -> Result<String> {
    // The operator says where a provider is, so it may be on this machine.
    let url = Outbound::new(true)
        .check(&text)
        .map_err(|_| refused(key, "must be a whole http:// or https:// URL"))?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && text.len() <= 1000;
    match plain {
        true => Ok(text.trim_end_matches('/').to_owned()),
        false => Err(refused(
            key,
            "must be a URL without credentials, query and fragment",
        )),
    }
}

/// The first is the default one, unless one says that it is.
fn plans(service: &str, documents: Vec<PlanDocument>) -> Result<Vec<ManifestPlan>> {
    let mut plans = Vec::new();
    let mut names = Vec::new();
    for document in documents {
        let (name, human_name, description, default) = match document {
            PlanDocument::Name(name) => (name, None, None, None),
            PlanDocument::Object {
                name,
                human_name,
                description,
                default,
            } => (name, human_name, description, default),
        };
        let own = name.strip_prefix(&format!("{service}:")).unwrap_or(&name);
        if !label(own, 1..=50) {
            return Err(refused(
                "plans",
                "are named with 1 to 50 lowercase letters, digits and dashes",
            ));
        }
        names.push(own.to_owned());
        plans.push(ManifestPlan {
            name: format!("{service}:{own}"),
            human_name: text(
                human_name.unwrap_or_else(|| own.to_owned()),
                "human_name of a plan",
            )?,
            description: text(
                description.unwrap_or_else(|| format!("{service} {own}")),
                "description of a plan",
            )?,
            default: default.unwrap_or(false),
        });
    }
    distinct(&names, "plans", MAX_PLANS)?;
    match plans.iter().filter(|plan| plan.default).count() {
        0 => match plans.first_mut() {
            Some(first) => first.default = true,
            None => return Err(refused("plans", "must name one plan at least")),
        },
        1 => {}
        _ => return Err(refused("plans", "have more than one default")),
    }
    Ok(plans)
}
