//! What stands between a dyno and everything else: `penstock dyno-init`, the launcher of every dyno's command.
//!
//! A [`Spec`] says all that the launcher needs to know; it is started with an empty environment, reads the spec from a
//! descriptor, builds the sandbox from the inside, and is init for the dyno until nothing of it is left. How much of a
//! sandbox there is depends on the machine: [`Level`] names what is promised, and [`probe`](probe::probe) tries what can be kept.
//!
//! It must not know apps, releases or the database: who asks for a dyno has looked everything up.

mod apt;
pub mod cgroup;
mod command;
mod confine;
mod enter;
mod etc;
mod filter;
pub mod folders;
mod init;
mod inner;
mod isolation;
mod landlock;
mod level;
pub mod net;
pub mod probe;
mod reap;
mod root;
mod settings;
mod spec;

pub use command::{Begun, command, hand_over};
pub use confine::heed_signals;
pub use init::run_if_asked;
pub use isolation::Isolation;
pub use level::Level;
pub use settings::{Pool, Settings, Uids};
pub use spec::{BEGUN_FD, HOME, Host, Ids, Limits, Network, SPEC_FD, Spec, VARS};

/// The name under which the binary is the launcher.
pub const SUBCOMMAND: &str = "dyno-init";

/// Where a dyno with a tree of its own finds this program, by its name, to serve its static files. It is on the dyno's `PATH`, so it
/// says whose it is; the dot keeps it apart from any folder that a machine has for its server.
pub const PROGRAMS: &str = "/.penstock/bin";

/// This program's name there.
pub(crate) const PROGRAM: &str = "penstock";

/// What the launcher ends with when it could not build the sandbox, having said why on standard error. Programs that run others
/// (`docker run`, `chroot`) use the same.
pub const FAILED: i32 = 125;
