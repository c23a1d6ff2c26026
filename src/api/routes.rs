//! The table of routes: what may be asked, by whom, and what answers.

use std::future::Future;
use std::pin::Pin;

use actix_web::HttpResponse;

use super::call::{Call, Visit};
use super::reply::Reply;
use super::*;
use crate::error::Result;

/// Who may call a route. A route cannot be written down without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Whoever holds a URL that we signed; nothing else is asked.
    Signed,
    /// Any account. What it sees is its own.
    Account,
    /// Whoever may see the app in the path.
    App,
    /// Whoever may see the pipeline in the path; its owner, where something is changed.
    Pipeline,
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<T>>>>;

/// The function behind a route.
#[derive(Clone, Copy)]
pub enum Endpoint {
    /// JSON in, JSON out, for an authenticated account.
    Call(fn(Call) -> Answer<Reply>),
    /// Bytes in or out, for whoever holds a signed URL.
    Visit(fn(Visit) -> Answer<HttpResponse>),
}

/// One operation of the API.
#[derive(Clone, Copy)]
pub struct Route {
    pub method: &'static str,
    pub path: &'static str,
    pub policy: Policy,
    pub(super) endpoint: Endpoint,
}

macro_rules! routes {
    ($($method:ident $path:literal $policy:ident $($handler:ident)::+;)+) => {
        /// Every operation of the API.
        pub const ROUTES: &[Route] = &[$(Route {
            method: stringify!($method),
            path: $path,
            policy: Policy::$policy,
            endpoint: routes!(@endpoint $policy $($handler)::+),
        }),+];
    };
    (@endpoint Signed $($handler:ident)::+) => { Endpoint::Visit(|visit| Box::pin($($handler)::+(visit))) };
    (@endpoint $policy:ident $($handler:ident)::+) => { Endpoint::Call(|call| Box::pin($($handler)::+(call))) };
}

routes! {
    GET    "/account"                                       Account  account::info;
    GET    "/account/rate-limits"                           Account  account::rate_limits;
    GET    "/users/~"                                       Account  account::info;
    GET    "/users/~/apps"                                  Account  apps::list;
    GET    "/users/~/pipeline-couplings"                    Account  pipeline_couplings::list;
    GET    "/apps"                                          Account  apps::list;
    POST   "/apps"                                          Account  apps::create;
    GET    "/apps/{app}"                                    App      apps::info;
    PATCH  "/apps/{app}"                                    App      apps::update;
    DELETE "/apps/{app}"                                    App      apps::delete;
    GET    "/apps/{app}/builds"                             App      builds::list;
    POST   "/apps/{app}/builds"                             App      builds::create;
    GET    "/apps/{app}/builds/{build}"                     App      builds::info;
    GET    "/apps/{app}/config-vars"                        App      config_vars::info;
    PATCH  "/apps/{app}/config-vars"                        App      config_vars::update;
    GET    "/apps/{app}/dynos"                              App      dynos::list;
    DELETE "/apps/{app}/dynos"                              App      dynos::restart_all;
    POST   "/apps/{app}/dynos/actions/restart-all"          App      dynos::restart_all;
    GET    "/apps/{app}/dynos/{dyno}"                       App      dynos::info;
    DELETE "/apps/{app}/dynos/{dyno}"                       App      dynos::restart;
    POST   "/apps/{app}/dynos/{dyno}/actions/stop"          App      dynos::restart;
    DELETE "/apps/{app}/formations/{type}"                  App      dynos::restart_type;
    POST   "/apps/{app}/formations/{type}/actions/stop"     App      dynos::restart_type;
    GET    "/apps/{app}/formation"                          App      formation::list;
    PATCH  "/apps/{app}/formation"                          App      formation::batch_update;
    GET    "/apps/{app}/formation/{type}"                   App      formation::info;
    PATCH  "/apps/{app}/formation/{type}"                   App      formation::update;
    POST   "/apps/{app}/log-sessions"                       App      log_sessions::create;
    GET    "/apps/{app}/pipeline-couplings"                 App      pipeline_couplings::of_app;
    GET    "/apps/{app}/releases"                           App      releases::list;
    POST   "/apps/{app}/releases"                           App      releases::create;
    GET    "/apps/{app}/releases/{release}"                 App      releases::info;
    GET    "/apps/{app}/releases/{release}/config-vars"     App      releases::config_vars;
    POST   "/apps/{app}/slugs"                              App      slugs::create;
    GET    "/apps/{app}/slugs/{slug}"                       App      slugs::info;
    POST   "/apps/{app}/sources"                            App      sources::create_for_app;
    POST   "/sources"                                       Account  sources::create;
    GET    "/pipelines"                                     Account  pipelines::list;
    POST   "/pipelines"                                     Account  pipelines::create;
    GET    "/pipelines/{pipeline}"                          Pipeline pipelines::info;
    PATCH  "/pipelines/{pipeline}"                          Pipeline pipelines::update;
    DELETE "/pipelines/{pipeline}"                          Pipeline pipelines::delete;
    GET    "/pipelines/{pipeline}/pipeline-couplings"       Pipeline pipeline_couplings::of_pipeline;
    GET    "/pipeline-couplings"                            Account  pipeline_couplings::list;
    POST   "/pipeline-couplings"                            Account  pipeline_couplings::create;
    GET    "/pipeline-couplings/{coupling}"                 Account  pipeline_couplings::info;
    PATCH  "/pipeline-couplings/{coupling}"                 Account  pipeline_couplings::update;
    DELETE "/pipeline-couplings/{coupling}"                 Account  pipeline_couplings::delete;
    POST   "/pipeline-promotions"                           Account  pipeline_promotions::create;
    GET    "/pipeline-promotions/{promotion}"               Account  pipeline_promotions::info;
    GET    "/pipeline-promotions/{promotion}/promotion-targets" Account pipeline_promotions::targets;
    GET    "/blobs/sources/{source}"                        Signed   blobs::get_source;
    PUT    "/blobs/sources/{source}"                        Signed   blobs::put_source;
    GET    "/blobs/slugs/{slug}"                            Signed   blobs::get_slug;
    PUT    "/blobs/slugs/{slug}"                            Signed   blobs::put_slug;
    GET    "/streams/builds/{build}"                        Signed   builds::output;
    GET    "/streams/logs/{app}/{session}"                         Signed   log_sessions::stream;
}
