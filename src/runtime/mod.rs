//! Dynos: what should run is made to run, and nothing else of ours does.
//!
//! [`plan`] decides from a snapshot, [`Reconciler`] carries it out through a [`Runtime`], which knows how to start and stop one
//! dyno and nothing of formations or releases. Nobody asks for a dyno to be started: the API writes rows, and this reads them.
//! It must not know HTTP, and knows the router only as a [`Drain`].

mod act;
mod attach;
mod environment;
mod family;
mod following;
mod furnishing;
mod haste;
mod inside;
mod isolation;
mod listeners;
mod measuring;
mod news;
mod note;
pub mod plan;
mod port;
mod probe;
mod process;
mod quota;
mod reception;
mod reconcile;
mod samples;
mod slot;
mod taking_up;
mod telling;
mod trees;

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::blob::Digest;
use crate::error::Result;
use crate::name::Id;
use crate::store::config_vars::ConfigVars;
use crate::store::dynos::Dyno;

pub use crate::sandbox::Isolation;
pub use crate::shim::memory::Usage;
pub use crate::shim::{Size, Streams};
pub use attach::{Attached, Controls, Signal};
pub use haste::Haste;
pub use process::{Local, Shims};
pub use reception::{Expected, Reception};
pub use reconcile::{Parts, Reconciler};

/// One dyno to be started, whole: a runtime looks nothing up.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Chosen before the deed, so that what is found running after a crash can be recognised.
    pub dyno: Id,
    pub app: Id,
    pub app_name: String,
    /// `web.1`.
    pub name: String,
    /// `web`.
    pub r#type: String,
    /// A line of a Procfile, for a shell.
    pub command: String,
    pub config_vars: ConfigVars,
    /// Of the slug's tar.gz.
    pub slug: Digest,
    pub release: Id,
    pub release_version: i64,
    /// Where it shall listen, if it is of the web.
    pub port: Option<u16>,
    pub size: String,
    /// The user and group that it runs as, if not the server's.
    pub uid: Option<u32>,
    /// The release whose command it runs: what it prints is also that release's output.
    pub output: Option<Id>,
    /// How long a dyno with a port may take until it listens. Measured on a clock that nobody can set.
    pub boot: Duration,
    /// It is run in the sandbox of another dyno, and has no files and no port of its own.
    pub inside: Option<Inside>,
    /// Only what is printed to [`Streams::Output`] goes to the app's log. Any other dyno is for [`Runtime::attach`].
    pub streams: Streams,
    /// When it is called for, the dyno is not started any more.
    pub haste: Haste,
}

/// A dyno that runs, as one that is to be started inside it sees it.
#[derive(Clone, Debug)]
pub struct Inside {
    pub dyno: Id,
    /// `web.1`.
    pub name: String,
    pub port: Option<u16>,
}

/// A process that was started. A dyno without a port is up with this; one with a port once it listens.
#[derive(Clone, Copy, Debug)]
pub struct Started {
    /// The leader of its process group; none where there are no processes of this machine.
    pub pid: Option<i64>,
    /// Where it will listen: the port that was wanted, unless the runtime knows better.
    pub port: Option<u16>,
    /// Where that port is, if not on this machine's loopback address.
    pub address: Option<Ipv4Addr>,
}

/// A dyno of an earlier run of the server that is watched over again.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    pub dyno: Id,
    pub started: Started,
}

/// What becomes of the dynos when the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// They go on, for the next server to take them up.
    Leave,
    /// They are stopped first.
    End,
}

/// How a dyno that was stopped has ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status as a shell counts it, 128 and more for a signal; `None` if it had ended before.
    pub status: Option<i32>,
    /// Something of it was still there at the end of the grace and got SIGKILL.
    pub killed: bool,
}

/// What helps a person to find out why a dyno does not come up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastWords {
    /// What came of the last look at whether a web dyno is up.
    pub probe: Option<String>,
    /// The last lines that it has printed.
    pub output: Vec<String>,
}

/// What a runtime says of its own accord.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The dyno's port takes connections.
    Listening { dyno: Id },
    /// The dyno's port took no connection within its boot limit. It still runs.
    BootTimeout { dyno: Id },
    /// The dyno ended though nobody had stopped it, all of its output has been taken in, and nothing of it is left.
    Exited { dyno: Id, status: i32 },
}

/// Starts and stops dynos: on this machine ([`Local`]), on others, or in a test's imagination.
///
/// Whoever makes one keeps the receiving end of its [`Event`]s for the reconciler.
pub trait Runtime: Send + Sync {
    /// A port for a new web dyno which is none of `taken`.
    fn free_port(&self, taken: &HashSet<u16>) -> Result<u16>;

    /// The range from which each app is to have a user of its own for its dynos, if they are to run as others than the server.
    fn uids(&self) -> Option<RangeInclusive<u32>> {
        None
    }

    /// Starts a dyno. Slow, since the slug is unpacked first. In haste it fails at once, and nothing of the dyno runs then.
    fn start(&self, launch: Launch) -> BoxFuture<'_, Result<Started>>;

    /// SIGTERM to all of a dyno's processes, SIGKILL to what is left after `grace` (at once, if that is zero). Resolves when
    /// nothing of it is left. Harmless for a dyno that has ended or never was; to be called after its `start` has answered.
    fn stop(&self, dyno: Id, grace: Duration) -> BoxFuture<'_, Ended>;

    /// A dyno that is being stopped has no more than this left. Harmless for any other.
    fn hasten(&self, dyno: Id, grace: Duration);

    /// Takes up what an earlier run of the server left running of these dynos, and ends what it left of any other. For the time
    /// before anything is started. What has ended meanwhile is among those that are returned, and its [`Event`] is there then.
    fn take_up<'a>(&'a self, known: &'a [Dyno]) -> BoxFuture<'a, Result<Vec<Taken>>>;

    /// What was said of the end of a dyno is on disk, so that nobody has to keep it any more. To be called after each
    /// [`Event::Exited`]; resolves when nothing is left of it at all. Harmless for a dyno that was stopped or never was.
    fn release(&self, dyno: Id) -> BoxFuture<'_, ()>;

    /// Of these dynos and their quotas in bytes, those that take more memory than that, and how much they take.
    fn over_quota(&self, quotas: Vec<(Id, u64)>) -> BoxFuture<'_, Vec<(Id, u64)>>;

    /// What those of these dynos that run use now.
    fn usage(&self, _dynos: Vec<Id>) -> BoxFuture<'_, Vec<(Id, Usage)>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    /// Puts right what somebody may have undone of what keeps dynos apart while they run. To be called now and then.
    fn look_after(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    /// The last that is known of a dyno: until it was stopped, or its end was released.
    fn last_words(&self, dyno: Id) -> LastWords;

    /// The streams of a dyno that was launched with some of its own: once for each dyno, from its start on. A dyno that prints
    /// while nobody has them waits after some 200 KB.
    fn attach(&self, dyno: Id) -> Option<Attached>;
}

/// The router, as far as stopping a web dyno needs it.
pub trait Drain: Send + Sync {
    /// Resolves when the dyno gets no new requests and those it had are answered.
    fn drained(&self, dyno: Id) -> BoxFuture<'_, ()>;
}
