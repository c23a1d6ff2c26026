//! The one test binary: one file a part of Penstock, over real files, sockets and processes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod archive;
mod blob;
mod build;
mod log;
mod output;
mod plan;
mod process_types;
mod router;
mod runtime;
mod signed;
