//! Penstock: a Heroku-compatible platform in one binary.
//!
//! A request is authenticated, its parameters become a typed value, one function runs in one transaction, and the answer is a
//! view. That is all the API does: it writes down what is wanted. Loops make it so: each reads a snapshot, decides with a pure
//! function, and does small things that may be done twice. Every durable fact is a row in one SQLite file, written by one thread
//! that commits in groups. To be killed at any commit and started again is an ordinary event, and a test does it after each.
//!
//! # The map
//!
//! | layer | what it is for | may name |
//! | --- | --- | --- |
//! | [`error`], [`time`], [`name`], [`hostname`], [`schedule`], [`secret`], [`catalog`], [`urls`] | words that everybody uses | one another |
//! | [`store`] | the state, and all SQL | the above |
//! | [`blob`], [`caches`], [`archive`], [`git`], [`log`], [`metrics`], [`output`], [`outbound`], [`partner`], [`process_types`], [`builders`], [`static_site`], [`app_json`], [`cron`], [`health_checks`], [`preflight`], [`certificate`], [`sandbox`], [`shim`], [`descriptors`], [`transport`], [`tunnel`], [`docs`] | files, and what leaves the machine or the process | one another and the above |
//! | [`runtime`], [`build`], [`router`] | what makes it so | the above |
//! | [`api`] | what is asked | all but `runtime`, `build`, `router` |
//! | [`platform`], [`routes`], [`promotion`], [`release_phase`], [`scheduler`], [`provisioning`], [`app_setup`], [`deliveries`], [`drains`], [`pushes`], [`rendezvous`], [`authority`], [`backup`], [`certificates`], [`acm`], [`sweep`], [`audit_archives`], [`idling`], [`isolation`], [`serve`], [`sockets`], [`fixed_hosts`], [`listener`], [`config`], [`data_dir`], [`cli`] | what joins the parts | everything |
//!
//! # What always holds
//!
//! - A 2xx means that it is on disk. What was not acknowledged is there whole or not at all.
//! - Nothing names `api`. The API starts, stops and builds nothing.
//! - Every look-up goes through the account that asks; what it may not see is not found.
//! - One function makes a release, and one makes a build. Versions of an app count from 1 and are never used again.
//! - A slug is a row that points at a blob. Promotion copies the pointer, never the bytes.
//! - A dyno's row is there before its process and goes after it.
//! - The router serves from memory; no visitor's request touches the database, and no log line passes through it.
//! - No shell in the control plane. A dyno's own command runs under one, as a Procfile's line is meant to.

pub mod acm;
pub mod api;
pub mod app_json;
pub mod app_setup;
pub mod archive;
pub mod audit_archives;
pub mod authority;
pub mod backup;
pub mod blob;
pub mod build;
pub mod builders;
pub mod caches;
pub mod catalog;
pub mod certificate;
pub mod certificates;
pub mod cli;
pub mod config;
pub mod cron;
pub mod data_dir;
pub mod deliveries;
pub mod descriptors;
pub mod docs;
pub mod drains;
pub mod error;
pub mod fixed_hosts;
pub mod git;
pub mod health_checks;
pub mod hostname;
pub mod idling;
pub mod isolation;
pub mod listener;
pub mod log;
pub mod metrics;
pub mod name;
pub mod outbound;
pub mod output;
pub mod partner;
pub mod platform;
pub mod preflight;
pub mod process_types;
pub mod promotion;
pub mod provisioning;
pub mod pushes;
pub mod release_phase;
pub mod rendezvous;
pub mod router;
pub mod routes;
pub mod runtime;
pub mod sandbox;
pub mod schedule;
pub mod scheduler;
pub mod secret;
pub mod serve;
pub mod shim;
pub mod sockets;
pub mod static_site;
pub mod store;
pub mod sweep;
pub mod time;
pub mod transport;
pub mod tunnel;
pub mod urls;

pub use platform::Platform;
