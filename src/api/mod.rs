//! The Platform API over HTTP: it authenticates, reads parameters into typed values, runs one function in one transaction, and
//! shows the answer as a view. It writes down what is wanted and never starts, stops or builds anything.
//!
//! [`routes`] is the one table of routes. A route is data: method, path, who may call it, and the function that answers. What
//! all answers have in common is in [`dispatch`].

pub mod account;
pub mod account_features;
pub mod addon_actions;
pub mod addon_attachments;
pub mod addon_config;
pub mod addon_resolution;
pub mod addon_services;
pub mod addon_sso;
pub mod addons;
pub mod app_features;
pub mod app_setups;
pub mod app_transfers;
pub mod apps;
mod auth;
pub mod blobs;
mod body;
pub mod buildpacks;
pub mod builds;
mod call;
pub mod catalog;
pub mod collaborators;
mod compression;
mod conditional;
pub mod config_vars;
mod cors;
mod dispatch;
pub mod domains;
pub mod dynos;
mod example;
pub mod formation;
pub mod keys;
pub mod log_sessions;
pub mod oauth_authorizations;
pub mod oauth_clients;
pub mod oauth_sessions;
pub mod oauth_tokens;
pub mod openapi;
mod operation;
mod params;
pub mod pipeline_config_vars;
pub mod pipeline_couplings;
pub mod pipeline_promotions;
pub mod pipeline_transfers;
pub mod pipelines;
mod range;
mod rate;
pub mod release_statuses;
pub mod releases;
mod reply;
pub mod review_app_configs;
pub mod review_apps;
mod routes;
pub mod schema;
mod scopes;
pub mod slugs;
pub mod sni_endpoints;
pub mod sources;
mod ssh;
pub mod team_apps;
pub mod team_features;
pub mod team_invitations;
pub mod team_members;
pub mod teams;
mod upload;
pub mod user_preferences;
pub mod users;
mod view;

pub use dispatch::Api;
pub use routes::{Policy, ROUTES, Route};
