//! The one test binary: one file a part of Penstock, over real files, sockets and processes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod account;
mod apps;
mod archive;
mod authorization;
mod bad_input;
mod binary;
mod blob;
mod build;
mod buildpacks;
mod builds;
mod catalog;
mod collaborators;
mod config_vars;
mod conventions;
mod couplings;
mod crash;
mod domains;
mod dynos;
mod formation;
mod gates;
mod harness;
mod ledger;
mod log;
mod log_sessions;
mod main_job;
mod negotiation;
mod output;
mod paging;
mod pipelines;
mod plan;
mod process_types;
mod promotions;
mod readme;
mod releases;
mod router;
mod runtime;
mod schema;
mod server;
mod signed;
mod slugs;
mod sni_endpoints;
mod sources;
mod store;
mod tidy;
