//! The loops of a server, each made with what it needs of the platform.
//!
//! It must not know of sockets, nor in which order a server is opened.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::Platform;
use crate::app_setup::Setups;
use crate::build::{self, Builder};
use crate::data_dir::DataDir;
use crate::deliveries::{Deliverer, Limits};
use crate::error::Result;
use crate::partner;
use crate::promotion::Promoter;
use crate::provisioning::Provisioner;
use crate::pushes;
use crate::release_phase::ReleasePhases;
use crate::runtime::plan::Policy;
use crate::runtime::{self, Drain, Event, Isolation, Local, Reception, Reconciler, Runtime, Shims};
use crate::scheduler::Scheduler;
use crate::sweep;

/// Where the programs that rustup puts in a PATH look for those that they stand for.
const RUSTUP_HOME: &str = "RUSTUP_HOME";

/// Starts every loop that needs nothing but the platform; the reconciler's goes on until it is told to stop the dynos.
pub(super) fn spawn_loops(
    platform: &Arc<Platform>,
    data: &DataDir,
    loops: &mut JoinSet<()>,
) -> Result<()> {
    let promoter = Promoter::new(platform.clone());
    let phases = ReleasePhases::new(platform.clone());
    let scheduler = Scheduler::new(platform.clone());
    let setups = setups(platform, data);
    let provisioner = Provisioner::new(platform.clone(), partner::TIMEOUT);
    let deliverer = Deliverer::new(platform.clone(), Limits::default());
    loops.spawn(sweep::run(platform.clone()));
    loops.spawn(pushes::run(platform.clone()));
    loops.spawn(async move { setups.run().await });
    loops.spawn(async move { promoter.run().await });
    loops.spawn(async move { phases.run().await });
    loops.spawn(async move { scheduler.run().await });
    loops.spawn(async move { provisioner.run().await });
    loops.spawn(async move { deliverer.run().await });
    Ok(())
}

/// The reconciler over the runtime that is given.
pub fn reconciler(
    platform: &Arc<Platform>,
    runtime: Arc<dyn Runtime>,
    events: mpsc::UnboundedReceiver<Event>,
    drain: Arc<dyn Drain>,
    policy: Policy,
    reception: Reception,
) -> Reconciler {
    let parts = runtime::Parts {
        store: platform.store.clone(),
        runtime,
        logs: platform.logs.clone(),
        outputs: platform.outputs.clone(),
        drain,
        clock: platform.clock.clone(),
        policy,
        reception,
    };
    Reconciler::new(parts, events)
}

/// The builder, with what it needs of the platform.
pub fn builder(platform: &Arc<Platform>, data: &DataDir, bench: build::Bench) -> Result<Builder> {
    let (urls, links) = (platform.urls.clone(), platform.clone());
    let parts = build::Parts {
        store: platform.store.clone(),
        blobs: platform.blobs.clone(),
        logs: platform.logs.clone(),
        metrics: platform.metrics.clone(),
        outputs: platform.outputs.clone(),
        clock: platform.clock.clone(),
        outbound: platform.outbound.clone(),
        links: build::Links {
            app: Arc::new(move |app| urls.web(app)),
            output: Arc::new(move |build| links.build_output_url(build)),
        },
        bench,
    };
    let usual = build::Settings::new(data.path("builds"));
    let shown = &platform.config.isolation;
    let mut limits = platform.config.build.clone();
    let is_named = limits.env.iter().any(|(name, _)| name == RUSTUP_HOME);
    if let Some(home) = shown.rustup_home().filter(|_| !is_named) {
        let home = home.display().to_string();
        limits.env.push((RUSTUP_HOME.to_owned(), home));
    }
    let path = shown.search_path(usual.path.as_ref());
    let settings = build::Settings {
        path: path.to_string_lossy().into_owned(),
        limits,
        at_once: usize::from(platform.config.builds),
        shelves: platform.config.buildpacks.clone(),
        ..usual
    };
    Builder::open(parts, settings, platform.boot)
}

/// The runtime of this machine, with what it says.
pub(super) fn local(
    platform: &Arc<Platform>,
    data: &DataDir,
    program: PathBuf,
    isolation: Isolation,
) -> Result<(Local, mpsc::UnboundedReceiver<Event>)> {
    let shims = Shims {
        program,
        tied: platform.config.dynos_end_with_server,
    };
    let (blobs, logs) = (platform.blobs.clone(), platform.logs.clone());
    let outputs = platform.outputs.clone();
    Local::open(data.root(), blobs, logs, outputs, shims, isolation)
}

/// The loop of the app setups.
pub fn setups(platform: &Arc<Platform>, data: &DataDir) -> Setups {
    Setups::new(platform.clone(), build::Settings::new(data.path("builds")))
}
