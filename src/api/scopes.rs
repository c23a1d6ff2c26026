//! Which scopes open which route: the one table of it.
//!
//! What an account may do with an app is asked later, of the store; a token never allows more than its account may do.

use super::routes::Route;
use crate::error::{Error, Result};
use crate::store::scopes::{Scope, Scopes};

use Scope::{Global, Identity, Read, ReadProtected, Write, WriteProtected};

/// Who has any of these may ask. Each scope opens what the lesser ones do.
type Need = &'static [Scope];

const ANY: Need = &[Global, Identity, Read, Write, ReadProtected, WriteProtected];
const READ: Need = &[Global, Read, Write, ReadProtected, WriteProtected];
const WRITE: Need = &[Global, Write, WriteProtected];
/// Config vars, what holds some, the credentials of drains, and what runs with them before somebody's eyes.
const READ_PROTECTED: Need = &[Global, ReadProtected, WriteProtected];
const WRITE_PROTECTED: Need = &[Global, WriteProtected];
/// The account itself, and whatever would let a token make a stronger one.
const GLOBAL: Need = &[Global];

/// Methods, the pattern of a path, and what is needed: the first line that fits decides. In a pattern `*` is any one segment,
/// and `**` any number of them, or none.
const TABLE: &[(&[&str], &str, Need)] = &[
    (&["GET"], "/account", ANY),
    (&["GET"], "/account/rate-limits", READ),
    (&["GET"], "/account/features/**", READ),
    (&["GET"], "/account/app-transfers/**", READ),
    (&[], "/account/app-transfers/**", WRITE),
    (&["GET"], "/users/*", READ),
    (&["GET"], "/users/*/apps", READ),
    (&["GET"], "/users/*/addons", READ),
    (&["GET"], "/users/*/pipeline-couplings", READ),
    (&[], "/account/**", GLOBAL),
    (&[], "/users/**", GLOBAL),
    (&[], "/oauth/**", GLOBAL),
    (&["GET"], "**/config-vars", READ_PROTECTED),
    (&["GET"], "**/config-vars/*", READ_PROTECTED),
    (&[], "**/config-vars", WRITE_PROTECTED),
    (&["GET"], "**/config", READ_PROTECTED),
    (&[], "**/config", WRITE_PROTECTED),
    (&[], "**/sso", WRITE_PROTECTED),
    // Every answer shows a URL or headers with credentials, that of a deletion too.
    (&["GET"], "**/log-drains/**", READ_PROTECTED),
    (&[], "**/log-drains/**", WRITE_PROTECTED),
    (&["GET"], "**/telemetry-drains/**", READ_PROTECTED),
    (&[], "**/telemetry-drains/**", WRITE_PROTECTED),
    // Whoever says what is run reads what it prints, and it runs with the config vars.
    (&["POST"], "/apps/*/dynos", WRITE_PROTECTED),
    (&["POST"], "/apps/*/dynos/*", WRITE_PROTECTED),
    // They set config vars and run a script with them, and show what it printed.
    (&["POST"], "/app-setups", WRITE_PROTECTED),
    (&["POST"], "/review-apps", WRITE_PROTECTED),
    (&["GET"], "/app-setups/*", READ_PROTECTED),
    // These only ask, though by POST.
    (&["POST"], "/filters/**", READ),
    (&["POST"], "/actions/*/resolve", READ),
    (&["POST"], "/apps/*/log-sessions", READ),
    // Everybody's addresses.
    (&["GET"], "/enterprise-accounts/*/**", READ_PROTECTED),
    // What was pushed, as to whoever clones it.
    (&["GET"], "/repos/**", WRITE),
    (&["GET"], "**", READ),
    (&[], "**", WRITE),
];

/// 403 unless a token with these scopes may ask for the route at all.
pub fn require(scopes: Scopes, route: &Route) -> Result<()> {
    if scopes.has(Global) {
        return Ok(());
    }
    let need = need(route.method, route.path);
    if scopes.has_any(need) {
        return Ok(());
    }
    let words: Vec<&str> = need.iter().map(|scope| scope.as_str()).collect();
    let (last, others) = words.split_last().unwrap_or((&"global", &[]));
    let wanted = match others {
        [] => (*last).to_owned(),
        others => format!("{} or {last}", others.join(", ")),
    };
    Err(Error::forbidden(format!(
        "This token's scope does not allow it. Use a token with the scope {wanted}."
    )))
}

/// Whether a token with these scopes is shown credentials, where its account may see them.
pub fn opens_protected(scopes: Scopes) -> bool {
    scopes.has_any(READ_PROTECTED)
}

/// All that the provider of an add-on may ask for, with the token that it was given for it.
const FOR_PROVIDERS: &[(&str, &str)] = &[
    ("GET", "/addons/{addon}"),
    ("GET", "/addons/{addon}/config"),
    ("PATCH", "/addons/{addon}/config"),
    ("GET", "/addons/{addon}/log-drains"),
    ("PUT", "/addons/{addon}/log-drains/{log_drain}"),
    ("GET", "/addons/{addon}/webhooks"),
    ("POST", "/addons/{addon}/webhooks"),
    ("GET", "/addons/{addon}/webhooks/{webhook}"),
    ("PATCH", "/addons/{addon}/webhooks/{webhook}"),
    ("DELETE", "/addons/{addon}/webhooks/{webhook}"),
    ("GET", "/addons/{addon}/webhook-deliveries"),
    ("GET", "/addons/{addon}/webhook-deliveries/{delivery}"),
    ("GET", "/addons/{addon}/webhook-events"),
    ("GET", "/addons/{addon}/webhook-events/{event}"),
    ("POST", "/addons/{addon}/actions/provision"),
    ("POST", "/addons/{addon}/actions/deprovision"),
    ("GET", "/apps/{app}/pipeline-couplings"),
    ("GET", "/pipelines/{pipeline}"),
];

/// 403 for every other route.
pub fn require_for_providers(route: &Route) -> Result<()> {
    match FOR_PROVIDERS.contains(&(route.method, route.path)) {
        true => Ok(()),
        false => Err(Error::forbidden(
            "This token is a provider's, for one add-on: its config, actions, webhooks and log drain, the pipeline coupling of its app, \
             and that pipeline.",
        )),
    }
}

fn need(method: &str, path: &str) -> Need {
    let found = TABLE.iter().find(|(methods, pattern, _)| {
        (methods.is_empty() || methods.contains(&method)) && fits(pattern, path)
    });
    found.map_or(GLOBAL, |(_, _, need)| need)
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path): (Vec<&str>, Vec<&str>) =
        (pattern.split('/').collect(), path.split('/').collect());
    segments_fit(&pattern, &path)
}

fn segments_fit(pattern: &[&str], path: &[&str]) -> bool {
    match pattern.split_first() {
        None => path.is_empty(),
        Some((&"**", rest)) => (0..=path.len()).any(|at| segments_fit(rest, &path[at..])),
        Some((wanted, rest)) => path.split_first().is_some_and(|(segment, others)| {
            (*wanted == "*" || wanted == segment) && segments_fit(rest, others)
        }),
    }
}
