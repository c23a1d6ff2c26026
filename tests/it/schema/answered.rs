//! Which of the lists each operation answers with, so that none is answered whose plan nobody has looked at.

use std::collections::BTreeSet;

use penstock::api::ROUTES;

use super::lists;

/// An operation, and the lists that it reads: by the names in [`lists`].
const READ: &[(&str, &[&str])] = &[
    ("addon_attachments::list", &["add-on attachments"]),
    (
        "addon_attachments::of_addon",
        &["add-on attachments of an add-on"],
    ),
    (
        "addon_attachments::of_app",
        &["add-on attachments of an app"],
    ),
    ("addon_services::list", &["add-on services"]),
    ("addon_services::plans", &["plans"]),
    ("addon_services::region_capabilities", &["add-on services"]),
    (
        "addon_services::region_capabilities_of_region",
        &["add-on services"],
    ),
    ("addons::list", &["add-ons"]),
    ("addons::of_account", &["add-ons"]),
    ("addons::of_app", &["add-ons of an app"]),
    ("addons::of_team", &["add-ons of a team"]),
    ("app_transfers::list", &["app transfers"]),
    ("apps::list", &["apps"]),
    ("apps::list_personal", &["apps of an account itself"]),
    ("audit_trail_archives::list", &["audit trail archives"]),
    ("audit_trail_events::list", &["audit trail events"]),
    ("buildpacks::list", &["buildpacks of an app"]),
    (
        "builds::latest_of_pipeline",
        &["latest builds of a pipeline"],
    ),
    ("builds::list", &["builds"]),
    ("collaborators::list", &["collaborators"]),
    ("cron_jobs::list", &["cron jobs of an app"]),
    ("cron_runs::list", &["cron runs of an app"]),
    ("cron_runs::of_job", &["cron runs of a job"]),
    ("domains::list", &["domains"]),
    ("dynos::list", &["dynos"]),
    ("favorites::list", &["favorites"]),
    ("formation::list", &["formation"]),
    ("keys::list", &["keys"]),
    ("log_drains::list", &["log drains"]),
    ("log_drains::of_addon", &["log drains of an add-on"]),
    ("oauth_authorizations::list", &["oauth authorizations"]),
    ("oauth_clients::list", &["oauth clients"]),
    ("pipeline_couplings::list", &["couplings"]),
    (
        "pipeline_couplings::of_pipeline",
        &["couplings of a pipeline"],
    ),
    ("pipeline_couplings::of_team", &["couplings of a team"]),
    ("pipeline_promotions::list", &["pipeline promotions"]),
    ("pipeline_promotions::targets", &["promotion targets"]),
    ("pipelines::list", &["pipelines", "pipelines of a name"]),
    ("pipelines::statuses", &["statuses of a pipeline"]),
    ("release_statuses::list", &["statuses of a release"]),
    (
        "releases::latest_deployments",
        &["latest deployments of a pipeline"],
    ),
    (
        "releases::latest_of_pipeline",
        &["latest releases of a pipeline"],
    ),
    ("releases::list", &["releases"]),
    ("review_apps::list", &["review apps of a pipeline"]),
    ("sni_endpoints::list", &["sni endpoints"]),
    ("team_apps::filter", &["apps", "apps of some ids"]),
    ("team_apps::list", &["apps of a team"]),
    ("team_apps::of_member", &["apps of a team and a member"]),
    ("team_apps::permissions", &["permissions in a team"]),
    ("team_invitations::list", &["invitations of a team"]),
    ("team_members::list", &["members of a team"]),
    ("teams::list", &["teams"]),
    ("telemetry_drains::list", &["telemetry drains"]),
    ("users::list", &["accounts"]),
    (
        "webhook_deliveries::list",
        &["webhook deliveries", "failed webhook deliveries"],
    ),
    ("webhook_events::list", &["webhook events"]),
    ("webhooks::list", &["webhooks"]),
];

/// An operation that answers with an array and reads no list, and what it has it from.
const NO_LIST: &[(&str, &str)] = &[
    ("account_features::list", "it is built in"),
    ("addon_config::list", "it stands in the add-on's own row"),
    ("addon_config::update", "it stands in the add-on's own row"),
    (
        "addon_resolution::addon",
        "it is looked up by a name: see no_look_up_reads_a_whole_table",
    ),
    ("addon_resolution::attachment", "likewise"),
    (
        "addon_services::region_capabilities_of_service",
        "it is the row of one service",
    ),
    (
        "app_features::list",
        "it is built in, but for what was switched, which is looked up by the app",
    ),
    (
        "buildpacks::replace",
        "it is what was just written, ten rows at most",
    ),
    ("catalog::app_dyno_sizes", "it is built in"),
    ("catalog::app_stacks", "it is built in"),
    ("catalog::dyno_sizes", "it is built in"),
    ("catalog::generations", "it is built in"),
    ("catalog::regions", "it is built in"),
    ("catalog::stacks", "it is built in"),
    ("catalog::team_generations", "it is built in"),
    (
        "formation::batch_update",
        "it is what was just written, row by row",
    ),
    ("notifications::list", "there are none"),
    ("oauth_sessions::list", "there are none"),
    ("team_apps::grantable", "it is built in"),
    ("team_features::list", "it is built in"),
    ("teams::none", "there are none"),
];

/// The operations that answer with an array, as the contract says, and the one that has its array within an object.
fn operations() -> BTreeSet<&'static str> {
    let contract = penstock::api::openapi::openapi();
    let mut found = BTreeSet::from(["release_statuses::list"]);
    for route in ROUTES {
        let operation = &contract["paths"][route.path][route.method.to_lowercase()];
        let schema = &operation["responses"]["200"]["content"]["application/json"]["schema"];
        if schema["type"] == "array" {
            found.insert(route.operation.trim_start_matches("::"));
        }
    }
    found
}

#[test]
fn no_list_is_answered_whose_plan_is_not_known() {
    let named = READ.iter().map(|(operation, _)| *operation);
    let named: Vec<&str> = named
        .chain(NO_LIST.iter().map(|(operation, _)| *operation))
        .collect();
    let once: BTreeSet<&str> = named.iter().copied().collect();
    assert_eq!(once.len(), named.len(), "an operation is named twice");
    assert_eq!(once, operations());
    let read: BTreeSet<&str> = READ.iter().flat_map(|(_, lists)| *lists).copied().collect();
    let known: BTreeSet<&str> = lists::all().iter().map(|(name, ..)| *name).collect();
    assert_eq!(read, known);
}
