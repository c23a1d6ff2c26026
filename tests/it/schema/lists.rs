//! Every list of the API, and how it is read.

use penstock::name::Id;
use penstock::store::accounts::Account;
use penstock::store::audit_trail::{self, Filter};
use penstock::store::page::{Field, Kind, Page};
use penstock::store::releases::Latest;
use penstock::store::{
    accounts, addon_attachments, addon_services, addons, app_transfers, apps, buildpacks, builds,
    collaborators, couplings, cron_jobs, cron_runs, domains, dynos, favorites, formation, keys,
    log_drains, oauth_authorizations, oauth_clients, pipelines, promotions, release_statuses,
    releases, review_apps, sni_endpoints, team_apps, team_invitations, team_members, teams,
    telemetry_drains, webhook_deliveries, webhook_events, webhooks,
};
use penstock::time::Timestamp;
use rusqlite::Connection;

pub type List = Box<dyn Fn(&Connection, &Page)>;

/// Of a list that is read whole and in one order, since it is short; its pages are made of what was read.
const WHOLE: &[Field] = &[Field::new("an order of its own", "", Kind::Id)];

/// Every list of the API: its name, its fields, and how it is read.
pub fn all() -> Vec<(&'static str, &'static [Field], List)> {
    let now = Timestamp::from_micros(0);
    let app = Id::new();
    let account = Account {
        id: Id::new(),
        email: String::new(),
        name: None,
        admin: false,
        created_at: now,
        updated_at: now,
    };
    let [
        una,
        ada,
        abe,
        amy,
        aya,
        ann,
        bea,
        eva,
        eve,
        ida,
        lea,
        lev,
        lou,
        pia,
        rae,
        sue,
        tab,
        tea,
        ted,
        tim,
        tom,
        uma,
    ] = std::array::from_fn(|_| account.clone());
    let filter = Filter {
        from: now,
        until: now,
        entity: None,
        action: None,
        actor: None,
    };
    vec![
        (
            "audit trail archives",
            audit_trail::ARCHIVE_FIELDS,
            Box::new(|c, page| drop(audit_trail::list_archives(c, page).unwrap())),
        ),
        (
            "audit trail events",
            audit_trail::FIELDS,
            Box::new(move |c, page| drop(audit_trail::list(c, &filter, page).unwrap())),
        ),
        (
            "add-on attachments",
            addon_attachments::FIELDS,
            Box::new(move |c, page| drop(addon_attachments::list(c, &ada, page).unwrap())),
        ),
        (
            "add-on attachments of an add-on",
            addon_attachments::FIELDS,
            Box::new(move |c, page| {
                drop(addon_attachments::list_of_addon(c, &amy, app, page).unwrap())
            }),
        ),
        (
            "add-on attachments of an app",
            addon_attachments::FIELDS,
            Box::new(move |c, page| drop(addon_attachments::list_of_app(c, app, page).unwrap())),
        ),
        (
            "add-ons",
            addons::FIELDS,
            Box::new(move |c, page| drop(addons::list(c, &abe, page).unwrap())),
        ),
        (
            "add-ons of an app",
            addons::FIELDS,
            Box::new(move |c, page| drop(addons::list_of_app(c, app, page).unwrap())),
        ),
        (
            "cron jobs of an app",
            cron_jobs::FIELDS,
            Box::new(move |c, page| drop(cron_jobs::list(c, app, page).unwrap())),
        ),
        (
            "cron runs of an app",
            cron_runs::FIELDS,
            Box::new(move |c, page| drop(cron_runs::list(c, app, page).unwrap())),
        ),
        (
            "cron runs of a job",
            cron_runs::FIELDS,
            Box::new(move |c, page| drop(cron_runs::list_of_job(c, app, page).unwrap())),
        ),
        (
            "add-ons of a team",
            addons::FIELDS,
            Box::new(move |c, page| drop(addons::list_of_team(c, &aya, app, page).unwrap())),
        ),
        (
            "add-on services",
            addon_services::FIELDS,
            Box::new(|c, page| drop(addon_services::list(c, page).unwrap())),
        ),
        (
            "plans",
            addon_services::PLAN_FIELDS,
            Box::new(move |c, page| drop(addon_services::plans(c, app, page).unwrap())),
        ),
        (
            "app transfers",
            app_transfers::FIELDS,
            Box::new(move |c, page| drop(app_transfers::list(c, &una, page).unwrap())),
        ),
        (
            "apps",
            apps::FIELDS,
            Box::new(move |c, page| drop(apps::list(c, &ann, None, page).unwrap())),
        ),
        (
            "buildpacks of an app",
            WHOLE,
            Box::new(move |c, _| drop(buildpacks::list(c, app).unwrap())),
        ),
        (
            "builds",
            builds::FIELDS,
            Box::new(move |c, page| drop(builds::list(c, app, page).unwrap())),
        ),
        (
            "apps of some ids",
            apps::FIELDS,
            Box::new(move |c, page| drop(apps::list(c, &ida, Some(&[app]), page).unwrap())),
        ),
        (
            "collaborators",
            collaborators::FIELDS,
            Box::new(move |c, page| drop(collaborators::list(c, app, page).unwrap())),
        ),
        (
            "latest releases of a pipeline",
            releases::LATEST_FIELDS,
            Box::new(move |c, page| {
                drop(releases::latest_of_pipeline(c, &lea, app, Latest::Release, page).unwrap())
            }),
        ),
        (
            "latest deployments of a pipeline",
            releases::LATEST_FIELDS,
            Box::new(move |c, page| {
                drop(releases::latest_of_pipeline(c, &lev, app, Latest::Deployment, page).unwrap())
            }),
        ),
        (
            "review apps of a pipeline",
            review_apps::FIELDS,
            Box::new(move |c, page| drop(review_apps::list(c, &rae, app, page).unwrap())),
        ),
        (
            "latest builds of a pipeline",
            builds::FIELDS,
            Box::new(move |c, page| drop(builds::latest_of_pipeline(c, &lou, app, page).unwrap())),
        ),
        (
            "pipeline promotions",
            promotions::FIELDS,
            Box::new(move |c, page| drop(promotions::list(c, &pia, page).unwrap())),
        ),
        (
            "couplings",
            couplings::FIELDS,
            Box::new(move |c, page| drop(couplings::list(c, &bea, None, page).unwrap())),
        ),
        (
            "couplings of a pipeline",
            couplings::FIELDS,
            Box::new(move |c, page| drop(couplings::list(c, &account, Some(app), page).unwrap())),
        ),
        (
            "domains",
            domains::FIELDS,
            Box::new(move |c, page| drop(domains::list(c, app, "localhost", page).unwrap())),
        ),
        (
            "favorites",
            favorites::FIELDS,
            Box::new(move |c, page| drop(favorites::list(c, app, page).unwrap())),
        ),
        (
            "log drains",
            log_drains::FIELDS,
            Box::new(move |c, page| drop(log_drains::list(c, app, page).unwrap())),
        ),
        (
            "log drains of an add-on",
            log_drains::FIELDS,
            Box::new(move |c, page| drop(log_drains::list_of_addon(c, app, page).unwrap())),
        ),
        (
            "telemetry drains",
            telemetry_drains::FIELDS,
            Box::new(move |c, page| drop(telemetry_drains::list(c, app, page).unwrap())),
        ),
        (
            "sni endpoints",
            sni_endpoints::FIELDS,
            Box::new(move |c, page| drop(sni_endpoints::list(c, app, page).unwrap())),
        ),
        (
            "oauth authorizations",
            oauth_authorizations::FIELDS,
            Box::new(move |c, page| drop(oauth_authorizations::list(c, app, page).unwrap())),
        ),
        (
            "accounts",
            accounts::FIELDS,
            Box::new(move |c, page| drop(accounts::list(c, page).unwrap())),
        ),
        (
            "keys",
            keys::FIELDS,
            Box::new(move |c, page| drop(keys::list(c, app, page).unwrap())),
        ),
        (
            "oauth clients",
            oauth_clients::FIELDS,
            Box::new(move |c, page| drop(oauth_clients::list(c, app, page).unwrap())),
        ),
        (
            "webhooks",
            webhooks::FIELDS,
            Box::new(move |c, page| drop(webhooks::list(c, app, page).unwrap())),
        ),
        (
            "webhook events",
            webhook_events::FIELDS,
            Box::new(move |c, page| drop(webhook_events::list(c, app, page).unwrap())),
        ),
        (
            "webhook deliveries",
            webhook_deliveries::FIELDS,
            Box::new(move |c, page| drop(webhook_deliveries::list(c, app, None, page).unwrap())),
        ),
        (
            "failed webhook deliveries",
            webhook_deliveries::FIELDS,
            Box::new(move |c, page| {
                let failed = Some(webhook_deliveries::Status::Failed);
                drop(webhook_deliveries::list(c, app, failed, page).unwrap())
            }),
        ),
        (
            "dynos",
            dynos::FIELDS,
            Box::new(move |c, page| drop(dynos::list(c, app, page).unwrap())),
        ),
        (
            "formation",
            formation::FIELDS,
            Box::new(move |c, page| drop(formation::list(c, app, page).unwrap())),
        ),
        (
            "pipelines",
            pipelines::FIELDS,
            Box::new(move |c, page| drop(pipelines::list(c, &eve, None, page).unwrap())),
        ),
        (
            "pipelines of a name",
            pipelines::FIELDS,
            Box::new(move |c, page| {
                drop(pipelines::list(c, &eva, Some("water"), page).unwrap());
            }),
        ),
        (
            "statuses of a pipeline",
            WHOLE,
            Box::new(move |c, _| drop(release_statuses::of_pipeline(c, &sue, app).unwrap())),
        ),
        (
            "statuses of a release",
            WHOLE,
            Box::new(move |c, _| drop(release_statuses::list(c, app).unwrap())),
        ),
        (
            "promotion targets",
            promotions::TARGET_FIELDS,
            Box::new(move |c, page| drop(promotions::targets(c, app, page).unwrap())),
        ),
        (
            "releases",
            releases::FIELDS,
            Box::new(move |c, page| drop(releases::list(c, app, page).unwrap())),
        ),
        (
            "apps of an account itself",
            apps::FIELDS,
            Box::new(move |c, page| drop(apps::list_personal(c, &uma, page).unwrap())),
        ),
        (
            "teams",
            teams::FIELDS,
            Box::new(move |c, page| drop(teams::list(c, &tea, page).unwrap())),
        ),
        (
            "members of a team",
            team_members::FIELDS,
            Box::new(move |c, page| drop(team_members::list(c, app, page).unwrap())),
        ),
        (
            "invitations of a team",
            team_invitations::FIELDS,
            Box::new(move |c, page| drop(team_invitations::list(c, app, now, page).unwrap())),
        ),
        (
            "apps of a team",
            team_apps::FIELDS,
            Box::new(move |c, page| drop(team_apps::list(c, &tab, app, None, page).unwrap())),
        ),
        (
            "apps of a team and a member",
            team_apps::FIELDS,
            Box::new(move |c, page| drop(team_apps::list(c, &ted, app, Some(app), page).unwrap())),
        ),
        (
            "permissions in a team",
            team_apps::FIELDS,
            Box::new(move |c, page| drop(team_apps::permissions(c, &tim, app, page).unwrap())),
        ),
        (
            "couplings of a team",
            couplings::FIELDS,
            Box::new(move |c, page| drop(couplings::list_of_team(c, &tom, app, page).unwrap())),
        ),
    ]
}
