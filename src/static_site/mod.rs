//! Static sites: `penstock static`, the web process of an app that is nothing but files.
//!
//! - `config`: what `static.json` says, as Heroku's static buildpack reads it
//! - `pattern`: its routes, `*` and `**`
//! - `lookup`: which file a path leads to, as a pure decision over what is there
//! - `answer`: what a visitor is given; `tags`: by what it is known again; `gzip`: in fewer bytes
//! - `serve`: the server
//!
//! It runs in a dyno as any app does, and must not know anything of the platform but where it is to listen.

mod answer;
mod config;
mod gzip;
mod lookup;
mod pattern;
mod serve;
mod tags;

pub use config::{CONFIG_BYTES, Config, FILE};
pub use serve::{Options, ROOTS, serve};
