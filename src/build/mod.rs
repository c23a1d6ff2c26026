//! From source to slug: fetch, unpack, decide what runs, pack, and make the release.
//!
//! - `builder`: claims waiting builds and sees each one through to its end
//! - `steps`: one build, from its claim to its end; `make`: what it makes meanwhile
//! - `fetch`, `source`, `slug`, `telling`: the steps that are more than a call
//! - `classic`: buildpacks at work; `buildpacks`, `registry`: where they come from
//! - `builtin`: built-in builders, where no buildpack is named
//! - `workshop`: how a command of a build is run; `watch`, `limits`: how much it may use
//! - `halt`, `workspace`: when a build must stop, and where it works
//!
//! It must not know how a build was asked for (`git push` or the API), nor how a release is run. Its rows say all it needs, and
//! what it did is in its rows, its output and the app's log. That a build began is logged by whoever asks for one.

mod builder;
mod buildpacks;
mod builtin;
mod classic;
mod fetch;
mod halt;
mod ignore;
mod limits;
mod make;
mod mixed;
mod registry;
mod slug;
mod source;
mod steps;
mod telling;
mod watch;
mod workshop;
mod workspace;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::blob::Blobs;
use crate::log::Logs;
use crate::metrics::Metrics;
use crate::name::Id;
use crate::outbound::Outbound;
use crate::output::Outputs;
use crate::store::Store;
use crate::time::Clock;

pub use builder::Builder;
pub use buildpacks::Shelves;
pub use fetch::{SourceOf, fetch};
pub use limits::Limits;
pub use registry::{Kept, Registry};
pub use workshop::Bench;

/// For a server that was started without one.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// What a builder works with.
#[derive(Clone)]
pub struct Parts {
    pub store: Store,
    pub blobs: Blobs,
    pub logs: Logs,
    pub metrics: Metrics,
    pub outputs: Outputs,
    pub clock: Clock,
    pub outbound: Outbound,
    pub links: Links,
    pub bench: Bench,
}

/// The URLs that a build tells of. Their forms are for others to know.
#[derive(Clone)]
pub struct Links {
    /// Where the app of this name answers its visitors.
    pub app: Arc<dyn Fn(&str) -> String + Send + Sync>,
    /// Where the output of the build with this id can be read.
    pub output: Arc<dyn Fn(Id) -> String + Send + Sync>,
}

/// How a builder works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Each build works in a folder of its own in here, which lies in the data directory. Nothing else may be here: what a crash
    /// left is removed.
    pub dir: PathBuf,
    /// Builds that run at the same time, of different apps.
    pub at_once: usize,
    /// How many times a build is begun, if the server is stopped in the middle of it, before it is given up.
    pub attempts: i64,
    /// For one build.
    pub limits: Limits,
    /// Where built-in builders look for programs: where dynos do.
    pub path: String,
    /// Buildpacks that are kept here, and where else they may come from.
    pub registry: Registry,
    pub shelves: Shelves,
    /// For the source to arrive.
    pub fetch_limit: Duration,
    /// Bytes of a source, compressed.
    pub max_source: u64,
    /// Bytes of a slug, compressed. Heroku's is 500 MB.
    pub max_slug: u64,
}

impl Settings {
    pub fn new(dir: PathBuf) -> Settings {
        let data = dir.parent().unwrap_or(&dir);
        Settings {
            registry: Registry::new(data.join("buildpacks")),
            shelves: Shelves::default(),
            dir,
            at_once: 2,
            attempts: 3,
            limits: Limits::default(),
            path: std::env::var("PATH").unwrap_or_else(|_| PATH.to_owned()),
            fetch_limit: Duration::from_secs(10 * 60),
            max_source: 1 << 30,
            max_slug: 500 << 20,
        }
    }
}
