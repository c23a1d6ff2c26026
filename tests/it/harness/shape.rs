//! What all answers have in common, and the attributes that Heroku's published schema promises of each resource.
//!
//! The ledger in `tests/golden/attributes.json` has the type of each attribute: `?` after it says that it may be null, `[]` in
//! its path stands for each element. Its facts are those of the schema, less the patterns of Heroku's own host names, and with the
//! role of a viewer, which it takes from a client and forgets in its answers.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use penstock::name::Id;
use penstock::time::Timestamp;
use serde_json::Value;

use super::Answer;

type Attributes = BTreeMap<String, String>;

static LEDGER: LazyLock<BTreeMap<String, Attributes>> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../golden/attributes.json")).unwrap());

/// The resource that a path shows, by the path's last words.
const SHOWN: &[(&str, &str)] = &[
    ("/account", "account"),
    ("/account/rate-limits", "rate-limit"),
    ("/favorites", "favorite"),
    ("/favorites/*", "favorite"),
    ("/user/notifications", "notification"),
    ("/api/v4/current-status", "current-status"),
    ("/apps/*/usage", "app-usage"),
    ("/teams/*/usage", "team-usage"),
    ("/apps/*/router-metrics/errors", "app-errors"),
    ("/apps/*/formation/*/metrics/errors", "app-errors"),
    ("/apps/*/formation/*/monitors", "app-errors"),
    ("/buildpacks", "registry-buildpack"),
    ("/buildpacks/*", "registry-buildpack"),
    ("/buildpacks/*/revisions", "registry-revision"),
    ("/buildpacks/*/readme", ""),
    ("/pipelines/*/repo/branches/*", "branch"),
    ("/users/~", "account"),
    ("/users/~/apps", "app"),
    ("/apps/*/acm", "app"),
    ("/users/*/addons", "add-on"),
    ("/actions/addons/resolve", "add-on"),
    ("/actions/addon-attachments/resolve", "add-on-attachment"),
    ("/addons", "add-on"),
    ("/addons/*", "add-on"),
    ("/addons/*/actions/provision", "add-on"),
    ("/addons/*/actions/deprovision", "add-on"),
    ("/addons/*/addon-attachments", "add-on-attachment"),
    ("/addons/*/config", "add-on-config"),
    ("/addons/*/sso", "add-on-sso"),
    ("/addons/*/log-drains", "log-drain"),
    ("/addons/*/log-drains/*", "log-drain"),
    ("/addons/*/webhooks", "add-on-webhook"),
    ("/addons/*/webhooks/*", "add-on-webhook"),
    ("/addons/*/webhook-deliveries", "app-webhook-delivery"),
    ("/addons/*/webhook-deliveries/*", "app-webhook-delivery"),
    ("/addons/*/webhook-events", "app-webhook-event"),
    ("/addons/*/webhook-events/*", "app-webhook-event"),
    ("/addon-attachments", "add-on-attachment"),
    ("/addon-attachments/*", "add-on-attachment"),
    ("/addon-region-capabilities", "add-on-region-capability"),
    ("/addon-services", "add-on-service"),
    ("/addon-services/*", "add-on-service"),
    ("/addon-services/*/plans", "plan"),
    ("/addon-services/*/plans/*", "plan"),
    (
        "/addon-services/*/region-capabilities",
        "add-on-region-capability",
    ),
    (
        "/regions/*/addon-region-capabilities",
        "add-on-region-capability",
    ),
    ("/plans/*", "plan"),
    ("/apps/*/addons", "add-on"),
    ("/apps/*/addons/*", "add-on"),
    ("/apps/*/addons/*/sso", "add-on-sso"),
    ("/apps/*/addon-attachments", "add-on-attachment"),
    ("/apps/*/addon-attachments/*", "add-on-attachment"),
    ("/account/features", "account-feature"),
    ("/account/features/*", "account-feature"),
    ("/account/keys", "key"),
    ("/account/keys/*", "key"),
    ("/users", "account"),
    ("/users/*", "account"),
    ("/users/*/apps", "app"),
    ("/users/*/preferences", "user-preferences"),
    ("/apps/*/features", "app-feature"),
    ("/apps/*/features/*", "app-feature"),
    ("/users/~/pipeline-couplings", "pipeline-coupling"),
    ("/app-setups/*", "app-setup"),
    ("/apps", "app"),
    ("/apps/*", "app"),
    ("/apps/*/available-stacks", "stack"),
    ("/apps/*/available-dyno-sizes", "dyno-size"),
    ("/apps/*/builds", "build"),
    ("/apps/*/builds/*", "build"),
    ("/apps/*/build-cache", ""),
    ("/apps/*/buildpack-installations", "buildpack-installation"),
    ("/apps/*/collaborators", "collaborator"),
    ("/apps/*/collaborators/*", "collaborator"),
    ("/apps/*/config-vars", ""),
    ("/apps/*/domains", "domain"),
    ("/apps/*/domains/*", "domain"),
    ("/apps/*/sni-endpoints", "sni-endpoint"),
    ("/apps/*/sni-endpoints/*", "sni-endpoint"),
    ("/apps/*/webhooks", "app-webhook"),
    ("/apps/*/webhooks/*", "app-webhook"),
    ("/apps/*/webhook-deliveries", "app-webhook-delivery"),
    ("/apps/*/webhook-deliveries/*", "app-webhook-delivery"),
    ("/apps/*/webhook-events", "app-webhook-event"),
    ("/apps/*/webhook-events/*", "app-webhook-event"),
    ("/apps/*/dynos", "dyno"),
    ("/apps/*/dynos/*", "dyno"),
    ("/apps/*/formation", "formation"),
    ("/apps/*/formation/*", "formation"),
    ("/apps/*/log-drains", "log-drain"),
    ("/apps/*/log-drains/*", "log-drain"),
    ("/apps/*/telemetry-drains", "telemetry-drain"),
    ("/telemetry-drains", "telemetry-drain"),
    ("/telemetry-drains/*", "telemetry-drain"),
    ("/apps/*/cron-jobs", "cron-job"),
    ("/apps/*/cron-jobs/*", "cron-job"),
    ("/apps/*/cron-jobs/*/cron-runs", "cron-run"),
    ("/apps/*/cron-jobs/*/actions/run", "cron-run"),
    ("/apps/*/cron-runs", "cron-run"),
    ("/apps/*/cron-runs/*", "cron-run"),
    ("/apps/*/log-sessions", "log-session"),
    ("/apps/*/pipeline-couplings", "pipeline-coupling"),
    ("/apps/*/releases", "release"),
    ("/apps/*/releases/*", "release"),
    ("/apps/*/releases/*/config-vars", ""),
    ("/apps/*/releases/*/statuses", "release-status"),
    ("/apps/*/releases/*/statuses/*", "release-status"),
    ("/apps/*/slugs", "slug"),
    ("/apps/*/slugs/*", "slug"),
    ("/apps/*/sources", "source"),
    ("/sources", "source"),
    ("/oauth/authorizations", "oauth-authorization"),
    ("/oauth/authorizations/*", "oauth-authorization"),
    (
        "/oauth/authorizations/*/actions/regenerate-tokens",
        "oauth-authorization",
    ),
    ("/oauth/clients", "oauth-client"),
    ("/oauth/clients/*", "oauth-client"),
    (
        "/oauth/clients/*/actions/rotate-credentials",
        "oauth-client",
    ),
    ("/oauth/token", "oauth-token-of-form"),
    ("/oauth/tokens", "oauth-token"),
    ("/oauth/tokens/*", "oauth-token"),
    ("/oauth/sessions", "oauth-session"),
    ("/pipelines", "pipeline"),
    ("/pipelines/*", "pipeline"),
    ("/pipelines/*/pipeline-couplings", "pipeline-coupling"),
    ("/pipelines/*/statuses", "pipeline-status"),
    ("/pipeline-stages", "pipeline-stages"),
    ("/pipelines/*/pipeline-stack", "pipeline-stack"),
    ("/pipelines/*/stage/*/config-vars", ""),
    ("/pipelines/*/review-app-config", "review-app-config"),
    ("/pipelines/*/review-apps", "review-app"),
    ("/review-apps", "review-app"),
    ("/review-apps/*", "review-app"),
    ("/apps/*/review-app", "review-app"),
    ("/pipelines/*/latest-builds", "build"),
    ("/pipelines/*/latest-releases", "release"),
    ("/pipelines/*/latest-deployments", "release"),
    ("/filters/apps", "team-app"),
    ("/regions", "region"),
    ("/regions/*", "region"),
    ("/stacks", "stack"),
    ("/stacks/*", "stack"),
    ("/dyno-sizes", "dyno-size"),
    ("/dyno-sizes/*", "dyno-size"),
    ("/generations", "generation"),
    ("/generations/*", "generation"),
    ("/account/app-transfers", "app-transfer"),
    ("/account/app-transfers/*", "app-transfer"),
    ("/pipeline-transfers", "pipeline-transfer"),
    ("/teams", "team"),
    ("/teams/permissions", "team-app-permission"),
    ("/teams/apps", "team-app"),
    ("/teams/apps/*", "team-app"),
    ("/teams/apps/*/collaborators", "collaborator"),
    ("/teams/apps/*/collaborators/*", "collaborator"),
    ("/teams/invitations/*", "team-invitation"),
    ("/teams/invitations/*/accept", "team-member"),
    ("/teams/*", "team"),
    ("/teams/*/addons", "add-on"),
    ("/teams/*/apps", "team-app"),
    ("/teams/*/available-generations", "generation"),
    ("/teams/*/features", "team-feature"),
    ("/teams/*/features/*", "team-feature"),
    ("/teams/*/invitations", "team-invitation"),
    ("/teams/*/invitations/*", "team-invitation"),
    ("/teams/*/members", "team-member"),
    ("/teams/*/members/*", "team-member"),
    ("/teams/*/members/*/apps", "team-app"),
    ("/teams/*/permissions", "permission-entity"),
    ("/teams/*/pipeline-couplings", "pipeline-coupling"),
    ("/enterprise-accounts", "enterprise-account"),
    ("/enterprise-accounts/*/archives", "archive"),
    ("/enterprise-accounts/*/archives/*/*", "archive"),
    ("/enterprise-accounts/*/events", "audit-trail-event"),
    ("/spaces", "space"),
    ("/auth", ""),
    ("/auth/cli/*", ""),
    ("/server", ""),
    ("/health", ""),
    ("/openapi.json", "openapi"),
    ("/schema", "schema"),
    ("/pipeline-couplings", "pipeline-coupling"),
    ("/pipeline-couplings/*", "pipeline-coupling"),
    ("/pipeline-promotions", "pipeline-promotion"),
    ("/pipeline-promotions/*", "pipeline-promotion"),
    (
        "/pipeline-promotions/*/promotion-targets",
        "pipeline-promotion-target",
    ),
];

/// Holds an answer to what all answers are.
pub fn check(answer: &Answer) {
    let asked = &answer.asked;
    assert!(
        !answer.header("request-id").is_empty(),
        "{asked} has no Request-Id"
    );
    if answer.header("content-type") != "application/json" {
        // Git shows text to a person, and so does the page of a login.
        let shown = asked.contains(".git/") || asked.contains("/auth/browser/");
        let refused = answer.status >= 400 && !shown;
        assert!(!refused, "{asked} was refused, and not in JSON: {answer:?}");
        return;
    }
    let etag = match answer.header("content-encoding") {
        "gzip" => answer.header("etag").strip_prefix("W/").unwrap(),
        _ => answer.header("etag"),
    };
    let quoted = etag.len() == 34 && etag.starts_with('"') && etag.ends_with('"');
    assert!(quoted, "{asked} has the ETag {etag:?}");
    if asked.starts_with("HEAD") {
        return;
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    match answer.status {
        200..300 if answer.status != 202 => check_resource(asked, &body),
        400.. => check_error(asked, answer.status, &body),
        _ => {}
    }
}

fn check_error(asked: &str, status: u16, body: &Value) {
    let text = |name: &str| body[name].as_str().is_some_and(|text| !text.is_empty());
    assert!(text("id") && text("message"), "{asked}: {body}");
    assert_eq!(text("resource"), status == 404, "{asked}: {body}");
}

fn check_resource(asked: &str, body: &Value) {
    let (_, path) = asked.split_once(' ').unwrap();
    let path = path.split('?').next().unwrap().trim_end_matches('/');
    let resource = SHOWN
        .iter()
        .find(|(pattern, _)| fits(pattern, path))
        .unwrap_or_else(|| panic!("{path} is not among the paths of the shapes"))
        .1;
    let resource = match asked.split_once(' ') {
        Some(("GET", path)) if resource == "release-status" && path.ends_with("/statuses") => {
            "release-statuses"
        }
        _ => resource,
    };
    if resource.is_empty() {
        let texts = body
            .as_object()
            .is_some_and(|vars| vars.values().all(Value::is_string));
        assert!(texts, "{asked}: {body}");
        return;
    }
    let rows = match body {
        Value::Array(rows) => rows.as_slice(),
        one => std::slice::from_ref(one),
    };
    for row in rows {
        for (path, kind) in &LEDGER[resource] {
            let faults = faults(row, path, kind);
            assert!(
                faults.is_empty(),
                "{asked}: {resource}.{path} {faults:?} in {row}"
            );
        }
    }
}

fn fits(pattern: &str, path: &str) -> bool {
    let (pattern, path) = (pattern.split('/'), path.split('/'));
    let segments: Vec<_> = path.collect();
    let wanted: Vec<_> = pattern.collect();
    wanted.len() == segments.len()
        && wanted
            .iter()
            .zip(segments)
            .all(|(wanted, segment)| *wanted == "*" || *wanted == segment)
}

/// What is wrong with the attribute at `path`. Nothing is, where an object on the way to it is null.
fn faults(value: &Value, path: &str, kind: &str) -> Vec<String> {
    let (first, rest) = match path.split_once('.') {
        Some((first, rest)) => (first, Some(rest)),
        None => (path, None),
    };
    let name = first.trim_end_matches("[]");
    let Some(found) = value.get(name) else {
        return vec!["is missing".to_owned()];
    };
    let values = match first.ends_with("[]") {
        true => found.as_array().map_or(&[][..], Vec::as_slice),
        false => std::slice::from_ref(found),
    };
    let each = |value: &Value| match rest {
        None if is(value, kind) => Vec::new(),
        None => vec![format!("is {value}, and no {kind}")],
        Some(_) if value.is_null() => Vec::new(),
        Some(rest) => faults(value, rest, kind),
    };
    values.iter().flat_map(each).collect()
}

fn is(value: &Value, kind: &str) -> bool {
    let (kind, nullable) = match kind.strip_suffix('?') {
        Some(kind) => (kind, true),
        None => (kind, false),
    };
    let text = value.as_str().unwrap_or_default();
    let fits = match kind {
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "integer" => value.is_i64(),
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "uuid" => Id::parse(text).is_some_and(|id| id.to_string() == text),
        "date-time" => Timestamp::parse(text).is_some_and(|time| time.to_seconds() == text),
        "email" => text.contains('@'),
        "uri" => text.starts_with("http://") || text.starts_with("https://"),
        _ => {
            let words = kind
                .strip_prefix("enum(")
                .and_then(|rest| rest.strip_suffix(')'));
            let words = words.unwrap_or_else(|| panic!("the ledger has the type {kind}"));
            words.split('|').any(|word| word == text)
        }
    };
    fits || (nullable && value.is_null())
}
