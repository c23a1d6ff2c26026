//! The table of routes: what may be asked, by whom, and what answers.

use super::operation::{self, Endpoint};
use super::policy::Policy;
use super::*;
use crate::error::ErrorId;

/// One operation of the API.
#[derive(Clone, Copy)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub policy: Policy,
    /// The function that answers, by its name: `apps::info`.
    pub operation: &'static str,
    /// What it may refuse with beyond what its method, its policy and its answer say.
    pub(super) refuses: &'static [ErrorId],
    pub(super) endpoint: Endpoint,
}

macro_rules! routes {
    ($($method:ident $path:literal $policy:ident $($handler:ident)::+ $(, $refusal:ident)*;)+) => {
        /// Every operation of the API.
        pub const ROUTES: &[Route] = &[$(Route {
            method: stringify!($method),
            path: $path,
            policy: Policy::$policy,
            operation: concat!($("::", stringify!($handler)),+),
            refuses: &[$(ErrorId::$refusal),*],
            endpoint: routes!(@endpoint $policy $($handler)::+),
        }),+];
    };
    (@endpoint Public $($handler:ident)::+) => { Endpoint::Visit(|visit| Box::pin($($handler)::+(visit))) };
    (@endpoint Signed $($handler:ident)::+) => { Endpoint::Visit(|visit| Box::pin($($handler)::+(visit))) };
    (@endpoint Client $($handler:ident)::+) => {
        Endpoint::Open {
            run: |open| operation::run($($handler)::+, open),
            describe: |generator| operation::describe($($handler)::+, generator),
        }
    };
    (@endpoint Admin $($handler:ident)::+) => { Endpoint::Git(|call, payload| Box::pin($($handler)::+(call, payload))) };
    (@endpoint Git $($handler:ident)::+) => { Endpoint::Git(|call, payload| Box::pin($($handler)::+(call, payload))) };
    (@endpoint $policy:ident $($handler:ident)::+) => {
        Endpoint::Call {
            run: |call| operation::run($($handler)::+, call),
            describe: |generator| operation::describe($($handler)::+, generator),
        }
    };
}

routes! {
    GET    "/openapi.json"                                  Public   openapi::document;
    GET    "/health"                                        Public   health::info;
    GET    "/metrics"                                       Admin    metrics::info;
    GET    "/schema"                                        Public   schema::document;
    GET    "/"                                              Public   docs::root;
    GET    "/docs"                                          Public   docs::contents;
    GET    "/docs.md"                                       Public   docs::contents_as_text;
    GET    "/docs/style.css"                                Public   docs::style;
    GET    "/docs/{page}"                                   Public   docs::page;
    GET    "/server"                                        Public   server::info;
    GET    "/rendezvous"                                    Public   rendezvous::open;
    POST   "/auth"                                          Public   cli_logins::create;
    GET    "/auth/browser/{code}"                           Public   cli_logins::page;
    POST   "/auth/browser/{code}"                           Public   cli_logins::answer;
    GET    "/auth/cli/{cli_login}"                          Public   cli_logins::wait;
    GET    "/account"                                       Account  account::info;
    PATCH  "/account"                                       Account  account::update;
    DELETE "/account"                                       Account  account::delete;
    GET    "/account/features"                              Account  account_features::list;
    GET    "/account/features/{account_feature}"            Account  account_features::info;
    PATCH  "/account/features/{account_feature}"            Account  account_features::update;
    GET    "/account/keys"                                  Account  keys::list;
    POST   "/account/keys"                                  Account  keys::create;
    GET    "/account/keys/{key}"                            Account  keys::info;
    DELETE "/account/keys/{key}"                            Account  keys::delete;
    GET    "/account/rate-limits"                           Account  account::rate_limits;
    GET    "/account/github/token"                          Account  comparisons::token;
    GET    "/oauth/authorizations"                          Account  oauth_authorizations::list;
    POST   "/oauth/authorizations"                          Account  oauth_authorizations::create;
    GET    "/oauth/authorizations/{authorization}"          Account  oauth_authorizations::info;
    PATCH  "/oauth/authorizations/{authorization}"          Account  oauth_authorizations::update;
    DELETE "/oauth/authorizations/{authorization}"          Account  oauth_authorizations::delete;
    POST   "/oauth/authorizations/{authorization}/actions/regenerate-tokens" Account oauth_authorizations::regenerate_tokens;
    GET    "/oauth/clients"                                 Account  oauth_clients::list;
    POST   "/oauth/clients"                                 Account  oauth_clients::create;
    GET    "/oauth/clients/{client}"                        Anybody  oauth_clients::info;
    PATCH  "/oauth/clients/{client}"                        Account  oauth_clients::update;
    DELETE "/oauth/clients/{client}"                        Account  oauth_clients::delete;
    POST   "/oauth/clients/{client}/actions/rotate-credentials" Account oauth_clients::rotate_credentials;
    GET    "/oauth/authorize"                               Public   oauth_consent::show;
    POST   "/oauth/authorize"                               Public   oauth_consent::answer;
    POST   "/oauth/token"                                   Client   oauth_tokens::create_from_form;
    POST   "/oauth/tokens"                                  Client   oauth_tokens::create;
    DELETE "/oauth/tokens/{access_token}"                   Account  oauth_tokens::delete;
    GET    "/oauth/sessions"                                Account  oauth_sessions::list;
    DELETE "/oauth/sessions/{session}"                      Account  oauth_sessions::delete;
    GET    "/account/app-transfers"                         Account  app_transfers::list;
    POST   "/account/app-transfers"                         Account  app_transfers::create;
    GET    "/account/app-transfers/{transfer}"              Account  app_transfers::info;
    PATCH  "/account/app-transfers/{transfer}"              Account  app_transfers::update;
    DELETE "/account/app-transfers/{transfer}"              Account  app_transfers::delete;
    GET    "/favorites"                                     Account  favorites::list;
    POST   "/favorites"                                     Account  favorites::create;
    DELETE "/favorites/{favorite}"                          Account  favorites::delete;
    GET    "/apps/{app}/usage"                              View     usage::of_app;
    GET    "/teams/{team}/usage"                            Team     usage::of_team;
    GET    "/user/notifications"                            Account  notifications::list;
    GET    "/apps/{app}/router-metrics/errors"              View     app_errors::of_router;
    GET    "/apps/{app}/formation/{type}/metrics/errors"   View     app_errors::of_dynos;
    GET    "/apps/{app}/formation/{type}/monitors"          View     app_errors::monitors, InvalidParams;
    GET    "/api/v4/current-status"                         Public   status::current;
    GET    "/buildpacks"                                    Public   buildpack_registry::list;
    GET    "/buildpacks/{buildpack}"                        Public   buildpack_registry::info;
    GET    "/buildpacks/{buildpack}/revisions"              Public   buildpack_registry::revisions;
    GET    "/buildpacks/{buildpack}/readme"                 Public   buildpack_registry::readme;
    GET    "/regions"                                       Account  catalog::regions;
    GET    "/regions/{region}"                              Account  catalog::region_info;
    GET    "/stacks"                                        Account  catalog::stacks;
    GET    "/stacks/{stack}"                                Account  catalog::stack_info;
    GET    "/dyno-sizes"                                    Account  catalog::dyno_sizes;
    GET    "/dyno-sizes/{size}"                             Account  catalog::dyno_size_info;
    GET    "/generations"                                   Account  catalog::generations;
    GET    "/generations/{generation}"                      Account  catalog::generation_info;
    POST   "/filters/apps"                                  Account  team_apps::filter;
    GET    "/users"                                         Account  users::list;
    POST   "/users"                                         Account  users::create;
    GET    "/users/{account}"                               Account  account::info;
    PATCH  "/users/{account}"                               Account  account::update;
    DELETE "/users/{account}"                               Account  account::delete;
    GET    "/users/{account}/apps"                          Account  apps::list_personal;
    GET    "/users/{account}/preferences"                   Account  user_preferences::list;
    PATCH  "/users/{account}/preferences"                   Account  user_preferences::update;
    GET    "/users/~/pipeline-couplings"                    Account  pipeline_couplings::list;
    POST   "/app-setups"                                    Account  app_setups::create;
    GET    "/app-setups/{setup}"                            Account  app_setups::info;
    GET    "/apps"                                          Account  apps::list;
    POST   "/apps"                                          Account  apps::create;
    GET    "/apps/{app}"                                    View     apps::info;
    PATCH  "/apps/{app}"                                    Operate  apps::update;
    DELETE "/apps/{app}"                                    Own      apps::delete;
    GET    "/apps/{app}/github"                             View     comparisons::repository;
    GET    "/apps/{app}/available-stacks"                   View     catalog::app_stacks;
    GET    "/apps/{app}/available-dyno-sizes"               View     catalog::app_dyno_sizes;
    GET    "/apps/{app}/builds"                             View     builds::list;
    POST   "/apps/{app}/builds"                             Deploy   builds::create;
    GET    "/apps/{app}/builds/{build}"                     View     builds::info;
    DELETE "/apps/{app}/builds/{build}"                     Deploy   builds::cancel;
    DELETE "/apps/{app}/build-cache"                        Deploy   builds::delete_cache;
    GET    "/apps/{app}/buildpack-installations"            View     buildpacks::list;
    PUT    "/apps/{app}/buildpack-installations"            Operate  buildpacks::replace;
    GET    "/apps/{app}/config-vars"                        Operate  config_vars::info;
    PATCH  "/apps/{app}/config-vars"                        Operate  config_vars::update;
    POST   "/apps/{app}/acm"                                Manage   acm::enable;
    PATCH  "/apps/{app}/acm"                                Manage   acm::refresh;
    DELETE "/apps/{app}/acm"                                Manage   acm::disable;
    GET    "/apps/{app}/domains"                            View     domains::list;
    POST   "/apps/{app}/domains"                            Manage   domains::create;
    GET    "/apps/{app}/domains/{domain}"                   View     domains::info;
    PATCH  "/apps/{app}/domains/{domain}"                   Manage   domains::update;
    DELETE "/apps/{app}/domains/{domain}"                   Manage   domains::delete;
    GET    "/apps/{app}/log-drains"                         Operate  log_drains::list;
    POST   "/apps/{app}/log-drains"                         Manage   log_drains::create;
    GET    "/apps/{app}/log-drains/{log_drain}"             Operate  log_drains::info;
    DELETE "/apps/{app}/log-drains/{log_drain}"             Manage   log_drains::delete;
    GET    "/apps/{app}/telemetry-drains"                   Operate  telemetry_drains::list;
    POST   "/telemetry-drains"                              Account  telemetry_drains::create;
    GET    "/telemetry-drains/{telemetry_drain}"            Account  telemetry_drains::info;
    PATCH  "/telemetry-drains/{telemetry_drain}"            Account  telemetry_drains::update;
    DELETE "/telemetry-drains/{telemetry_drain}"            Account  telemetry_drains::delete;
    GET    "/apps/{app}/sni-endpoints"                      View     sni_endpoints::list;
    POST   "/apps/{app}/sni-endpoints"                      Manage   sni_endpoints::create;
    GET    "/apps/{app}/sni-endpoints/{sni_endpoint}"       View     sni_endpoints::info;
    PATCH  "/apps/{app}/sni-endpoints/{sni_endpoint}"       Manage   sni_endpoints::update;
    DELETE "/apps/{app}/sni-endpoints/{sni_endpoint}"       Manage   sni_endpoints::delete;
    GET    "/apps/{app}/webhooks"                           Operate  webhooks::list;
    POST   "/apps/{app}/webhooks"                           Operate  webhooks::create;
    GET    "/apps/{app}/webhooks/{webhook}"                 Operate  webhooks::info;
    PATCH  "/apps/{app}/webhooks/{webhook}"                 Operate  webhooks::update;
    DELETE "/apps/{app}/webhooks/{webhook}"                 Operate  webhooks::delete;
    GET    "/apps/{app}/webhook-deliveries"                 Operate  webhook_deliveries::list, InvalidParams;
    GET    "/apps/{app}/webhook-deliveries/{delivery}"      Operate  webhook_deliveries::info;
    GET    "/apps/{app}/webhook-events"                     Operate  webhook_events::list;
    GET    "/apps/{app}/webhook-events/{event}"             Operate  webhook_events::info;
    GET    "/apps/{app}/dynos"                              View     dynos::list;
    POST   "/apps/{app}/dynos"                              Operate  dynos::create;
    DELETE "/apps/{app}/dynos"                              Operate  dynos::restart_all;
    POST   "/apps/{app}/dynos/actions/restart-all"          Operate  dynos::restart_all;
    GET    "/apps/{app}/dynos/{dyno}"                       View     dynos::info;
    POST   "/apps/{app}/dynos/{dyno}"                       Operate  run_inside::create;
    DELETE "/apps/{app}/dynos/{dyno}"                       Operate  dynos::restart;
    POST   "/apps/{app}/dynos/{dyno}/actions/stop"          Operate  dynos::restart;
    DELETE "/apps/{app}/formations/{type}"                  Operate  dynos::restart_type;
    POST   "/apps/{app}/formations/{type}/actions/stop"     Operate  dynos::restart_type;
    GET    "/apps/{app}/formation"                          View     formation::list;
    PATCH  "/apps/{app}/formation"                          Operate  formation::batch_update;
    GET    "/apps/{app}/formation/{type}"                   View     formation::info;
    PATCH  "/apps/{app}/formation/{type}"                   Operate  formation::update;
    GET    "/apps/{app}/features"                           View     app_features::list;
    GET    "/apps/{app}/features/{app_feature}"             View     app_features::info;
    PATCH  "/apps/{app}/features/{app_feature}"             Operate  app_features::update;
    GET    "/apps/{app}/cron-jobs"                          View     cron_jobs::list;
    GET    "/apps/{app}/cron-jobs/{cron_job}"               View     cron_jobs::info;
    GET    "/apps/{app}/cron-jobs/{cron_job}/cron-runs"     View     cron_runs::of_job;
    POST   "/apps/{app}/cron-jobs/{cron_job}/actions/run"   Operate  cron_runs::create;
    GET    "/apps/{app}/cron-runs"                          View     cron_runs::list;
    GET    "/apps/{app}/cron-runs/{cron_run}"               View     cron_runs::info;
    POST   "/apps/{app}/log-sessions"                       View     log_sessions::create;
    GET    "/apps/{app}/pipeline-couplings"                 View     pipeline_couplings::of_app;
    GET    "/apps/{app}/releases"                           View     releases::list;
    POST   "/apps/{app}/releases"                           Deploy   releases::create;
    GET    "/apps/{app}/releases/{release}"                 View     releases::info;
    GET    "/apps/{app}/releases/{release}/config-vars"     Operate  releases::config_vars;
    GET    "/apps/{app}/releases/{release}/statuses"        View     release_statuses::list, InvalidParams;
    POST   "/apps/{app}/releases/{release}/statuses"        Deploy   release_statuses::create;
    GET    "/apps/{app}/releases/{release}/statuses/{status}" View   release_statuses::info, InvalidParams;
    PATCH  "/apps/{app}/releases/{release}/statuses/{status}" Deploy release_statuses::update;
    POST   "/apps/{app}/slugs"                              Deploy   slugs::create;
    GET    "/apps/{app}/slugs/{slug}"                       Deploy   slugs::info;
    POST   "/apps/{app}/sources"                            Deploy   sources::create_for_app;
    GET    "/apps/{app}/collaborators"                      View     collaborators::list;
    POST   "/apps/{app}/collaborators"                      View     collaborators::create;
    GET    "/apps/{app}/collaborators/{collaborator}"       View     collaborators::info;
    PATCH  "/apps/{app}/collaborators/{collaborator}"       Manage   collaborators::update;
    DELETE "/apps/{app}/collaborators/{collaborator}"       View     collaborators::delete;
    GET    "/teams"                                         Account  teams::list;
    POST   "/teams"                                         Account  teams::create;
    GET    "/teams/permissions"                             Account  team_apps::grantable;
    POST   "/teams/apps"                                    Account  team_apps::create;
    GET    "/teams/apps/{app}"                              View     team_apps::info;
    PATCH  "/teams/apps/{app}"                              View     team_apps::update;
    GET    "/teams/apps/{app}/collaborators"                View     collaborators::list;
    POST   "/teams/apps/{app}/collaborators"                View     collaborators::create;
    GET    "/teams/apps/{app}/collaborators/{collaborator}" View     collaborators::info;
    PATCH  "/teams/apps/{app}/collaborators/{collaborator}" Manage   collaborators::update;
    DELETE "/teams/apps/{app}/collaborators/{collaborator}" View     collaborators::delete;
    GET    "/teams/invitations/{token}"                     Account  team_invitations::info;
    POST   "/teams/invitations/{token}/accept"              Account  team_invitations::accept;
    GET    "/teams/{team}"                                  Team     teams::info;
    PATCH  "/teams/{team}"                                  Team     teams::update;
    DELETE "/teams/{team}"                                  Team     teams::delete;
    GET    "/teams/{team}/addons"                           Team     addons::of_team;
    GET    "/teams/{team}/apps"                             Team     team_apps::list;
    GET    "/teams/{team}/available-generations"            Team     catalog::team_generations;
    GET    "/teams/{team}/features"                         Team     team_features::list;
    GET    "/teams/{team}/features/{feature}"               Team     team_features::info;
    GET    "/teams/{team}/invitations"                      Team     team_invitations::list;
    PUT    "/teams/{team}/invitations"                      Team     team_invitations::create;
    DELETE "/teams/{team}/invitations/{invitation}"         Team     team_invitations::revoke;
    GET    "/teams/{team}/members"                          Team     team_members::list;
    POST   "/teams/{team}/members"                          Team     team_members::create;
    PUT    "/teams/{team}/members"                          Team     team_members::put;
    PATCH  "/teams/{team}/members"                          Team     team_members::update;
    DELETE "/teams/{team}/members/{member}"                 Team     team_members::delete;
    GET    "/teams/{team}/members/{member}/apps"            Team     team_apps::of_member;
    GET    "/teams/{team}/permissions"                      Team     team_apps::permissions;
    GET    "/teams/{team}/pipeline-couplings"               Team     pipeline_couplings::of_team;
    GET    "/enterprise-accounts"                           Account  teams::none;
    GET    "/enterprise-accounts/{enterprise_account}/events" Account audit_trail_events::list, InvalidParams;
    GET    "/enterprise-accounts/{enterprise_account}/archives" Account audit_trail_archives::list;
    GET    "/enterprise-accounts/{enterprise_account}/archives/{year}/{month}" Account audit_trail_archives::info;
    GET    "/spaces"                                        Account  teams::none;
    POST   "/sources"                                       Account  sources::create;
    GET    "/pipelines"                                     Account  pipelines::list;
    POST   "/pipelines"                                     Account  pipelines::create;
    GET    "/pipelines/{pipeline}"                          Pipeline pipelines::info;
    PATCH  "/pipelines/{pipeline}"                          Pipeline pipelines::update;
    DELETE "/pipelines/{pipeline}"                          Pipeline pipelines::delete;
    GET    "/pipelines/{pipeline}/pipeline-couplings"       Pipeline pipeline_couplings::of_pipeline;
    GET    "/pipelines/{pipeline}/pipeline-stack"           Pipeline catalog::pipeline_stack;
    GET    "/pipelines/{pipeline}/latest-builds"            Pipeline builds::latest_of_pipeline;
    GET    "/pipelines/{pipeline}/latest-releases"          Pipeline releases::latest_of_pipeline;
    GET    "/pipelines/{pipeline}/latest-deployments"       Pipeline releases::latest_deployments;
    GET    "/pipelines/{pipeline}/stage/{stage}/config-vars" Pipeline pipeline_config_vars::info, InvalidParams;
    PATCH  "/pipelines/{pipeline}/stage/{stage}/config-vars" Pipeline pipeline_config_vars::update;
    GET    "/pipelines/{pipeline}/review-app-config"        Pipeline review_app_configs::info;
    POST   "/pipelines/{pipeline}/review-app-config"        Pipeline review_app_configs::create;
    PATCH  "/pipelines/{pipeline}/review-app-config"        Pipeline review_app_configs::update;
    DELETE "/pipelines/{pipeline}/review-app-config"        Pipeline review_app_configs::delete;
    GET    "/pipelines/{pipeline}/repo"                     Pipeline branches::repository;
    GET    "/pipelines/{pipeline}/repo/branches/{branch}"   Pipeline branches::info;
    GET    "/repos/not.on.github/{pipeline}/compare/{commits}" Pipeline comparisons::info, InvalidParams;
    GET    "/pipelines/{pipeline}/review-apps"              Pipeline review_apps::list;
    POST   "/review-apps"                                   Account  review_apps::create;
    GET    "/review-apps/{review_app}"                      Account  review_apps::info;
    DELETE "/review-apps/{review_app}"                      Account  review_apps::delete;
    GET    "/apps/{app}/review-app"                         View     review_apps::of_app;
    GET    "/pipelines/{pipeline}/statuses"                 Pipeline pipelines::statuses;
    GET    "/pipeline-stages"                               Account  pipelines::stages;
    POST   "/pipeline-transfers"                            Account  pipeline_transfers::create;
    GET    "/pipeline-couplings"                            Account  pipeline_couplings::list;
    POST   "/pipeline-couplings"                            Account  pipeline_couplings::create;
    GET    "/pipeline-couplings/{coupling}"                 Account  pipeline_couplings::info;
    PATCH  "/pipeline-couplings/{coupling}"                 Account  pipeline_couplings::update;
    DELETE "/pipeline-couplings/{coupling}"                 Account  pipeline_couplings::delete;
    GET    "/pipeline-promotions"                           Account  pipeline_promotions::list;
    POST   "/pipeline-promotions"                           Account  pipeline_promotions::create;
    GET    "/pipeline-promotions/{promotion}"               Account  pipeline_promotions::info;
    GET    "/pipeline-promotions/{promotion}/promotion-targets" Account pipeline_promotions::targets;
    GET    "/blobs/sources/{source}"                        Signed   blobs::get_source;
    PUT    "/blobs/sources/{source}"                        Signed   blobs::put_source;
    GET    "/blobs/archives/{month}"                        Signed   blobs::get_archive;
    GET    "/blobs/slugs/{slug}"                            Signed   blobs::get_slug;
    PUT    "/blobs/slugs/{slug}"                            Signed   blobs::put_slug;
    GET    "/streams/builds/{build}"                        Signed   builds::output;
    GET    "/streams/releases/{release}"                    Signed   releases::output;
    GET    "/streams/logs/{app}/{session}"                         Signed   log_sessions::stream;
    POST   "/actions/addons/resolve"                        Account  addon_resolution::addon;
    POST   "/actions/addon-attachments/resolve"             Account  addon_resolution::attachment;
    GET    "/addons"                                        Account  addons::list;
    GET    "/addons/{addon}"                                Account  addons::info;
    GET    "/addons/{addon}/addon-attachments"              Account  addon_attachments::of_addon;
    GET    "/addons/{addon}/config"                         Account  addon_config::list;
    PATCH  "/addons/{addon}/config"                         Account  addon_config::update;
    GET    "/addons/{addon}/log-drains"                     Account  log_drains::of_addon;
    PUT    "/addons/{addon}/log-drains/{log_drain}"         Account  log_drains::update_of_addon;
    GET    "/addons/{addon}/webhooks"                       Account  webhooks::list;
    POST   "/addons/{addon}/webhooks"                       Account  webhooks::create;
    GET    "/addons/{addon}/webhooks/{webhook}"             Account  webhooks::info;
    PATCH  "/addons/{addon}/webhooks/{webhook}"             Account  webhooks::update;
    DELETE "/addons/{addon}/webhooks/{webhook}"             Account  webhooks::delete;
    GET    "/addons/{addon}/webhook-deliveries"             Account  webhook_deliveries::list, InvalidParams;
    GET    "/addons/{addon}/webhook-deliveries/{delivery}"  Account  webhook_deliveries::info;
    GET    "/addons/{addon}/webhook-events"                 Account  webhook_events::list;
    GET    "/addons/{addon}/webhook-events/{event}"         Account  webhook_events::info;
    POST   "/addons/{addon}/actions/provision"              Account  addon_actions::provision;
    POST   "/addons/{addon}/actions/deprovision"            Account  addon_actions::deprovision;
    GET    "/addons/{addon}/sso"                            Account  addon_sso::info;
    GET    "/users/{account}/addons"                        Account  addons::of_account;
    GET    "/addon-attachments"                             Account  addon_attachments::list;
    POST   "/addon-attachments"                             Account  addon_attachments::create, ConfirmationRequired;
    GET    "/addon-attachments/{attachment}"                Account  addon_attachments::info;
    DELETE "/addon-attachments/{attachment}"                Account  addon_attachments::delete;
    GET    "/apps/{app}/addons"                             View     addons::of_app;
    POST   "/apps/{app}/addons"                             Manage   addons::create, ConfirmationRequired;
    GET    "/apps/{app}/addons/{addon}"                     View     addons::info_in_app;
    PATCH  "/apps/{app}/addons/{addon}"                     Manage   addons::update;
    DELETE "/apps/{app}/addons/{addon}"                     Manage   addons::delete, ConfirmationRequired;
    GET    "/apps/{app}/addons/{addon}/sso"                 Operate  addon_sso::info_in_app;
    GET    "/apps/{app}/addon-attachments"                  View     addon_attachments::of_app;
    GET    "/apps/{app}/addon-attachments/{attachment}"     View     addon_attachments::info_in_app;
    GET    "/sso/addons/{addon}/{account}"                  Signed   addon_sso::open;
    GET    "/addon-services"                                Anybody  addon_services::list;
    GET    "/addon-services/{addon_service}"                Anybody  addon_services::info;
    GET    "/addon-services/{addon_service}/plans"          Anybody  addon_services::plans;
    GET    "/addon-services/{addon_service}/plans/{plan}"   Anybody  addon_services::plan_of_service;
    GET    "/addon-services/{addon_service}/region-capabilities" Anybody addon_services::region_capabilities_of_service;
    GET    "/addon-region-capabilities"                     Account  addon_services::region_capabilities;
    GET    "/regions/{region}/addon-region-capabilities"    Account  addon_services::region_capabilities_of_region;
    GET    "/plans/{plan}"                                  Anybody  addon_services::plan_info;
    GET    "/{app}.git/info/refs"                           Git      git::refs;
    POST   "/{app}.git/git-receive-pack"                    Git      git::receive_pack;
    POST   "/{app}.git/git-upload-pack"                     Git      git::upload_pack;
}
