//! Penstock: a Heroku-compatible platform in one binary.

pub mod archive;
pub mod blob;
pub mod build;
pub mod error;
pub mod log;
pub mod name;
pub mod router;
pub mod secret;
pub mod store;
pub mod time;
