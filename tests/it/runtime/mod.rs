//! Dynos: real processes on this machine, and the reconciler over them and over a scripted runtime.

mod attaching;
mod failing;
mod health;
mod held_back;
pub mod local;
mod one_offs;
mod quota;
mod reconcile;
mod scripted;
mod shim;
mod stage;
mod stopping;
mod surviving;

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use penstock::archive::{self, Limits};
use penstock::blob::{Blobs, Digest};
use penstock::log::{self, Filter, Logs};
use penstock::name::Id;
use penstock::output::Outputs;
use penstock::runtime::Shims;
use penstock::time::Clock;
use tempfile::TempDir;

/// A data directory with what dynos need of the rest of the platform.
pub struct Ground {
    pub dir: TempDir,
    pub blobs: Blobs,
    pub logs: Logs,
    pub outputs: Outputs,
}

impl Ground {
    pub fn new() -> Ground {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let logs = dir.path().join("logs");
        let logs = Logs::open(&logs, Clock::System, log::Limits::default()).unwrap();
        let outputs = Outputs::open(&dir.path().join("outputs")).unwrap();
        Ground {
            dir,
            blobs,
            logs,
            outputs,
        }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A slug with these files.
    pub fn slug(&self, files: &[(&str, &str)]) -> Digest {
        let tree = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = tree.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let mut writer = self.blobs.writer(1 << 20).unwrap();
        archive::pack(tree.path(), "./app", &mut writer, &Limits::slug()).unwrap();
        writer.finish().unwrap().digest
    }

    /// All lines of an app so far, from the source on: `app[web.1]: hello`.
    pub fn lines(&self, app: Id) -> Vec<String> {
        let lines = self.logs.read(app, &Filter::default(), 10_000).unwrap();
        let text = |line: String| line.split_once(' ').unwrap().1.to_owned();
        lines.into_iter().map(text).collect()
    }

    /// What the processes of an app have printed so far.
    pub fn printed(&self, app: Id) -> Vec<String> {
        let lines = self.lines(app).into_iter();
        let lines = lines.filter(|line| line.starts_with("app["));
        lines
            .map(|line| line.split_once("]: ").unwrap().1.to_owned())
            .collect()
    }

    /// Waits until the log of an app has a line with this text.
    pub async fn said(&self, app: Id, text: &str) {
        let mut session = self.logs.session(app, Filter::default(), 1_500, true);
        let mut all = String::new();
        while !all.contains(text) {
            let batch = soon(session.next()).await.unwrap();
            all.push_str(std::str::from_utf8(&batch.text).unwrap());
        }
    }
}

/// Shims of the real binary. Tied ones leave nothing behind when a test is over.
pub fn shims(tied: bool) -> Shims {
    Shims {
        program: env!("CARGO_BIN_EXE_penstock").into(),
        tied,
    }
}

/// What comes soon or never: a hanging test should fail by itself.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .expect("it never came")
}

/// Runs something as a server would: when this returns, every connection that it had is gone, as after a kill.
pub fn serve<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(work)
}

/// The processes that carry a dyno's id in their environment.
pub fn processes_of(dyno: Id) -> Vec<i32> {
    let mark = format!("PENSTOCK_DYNO={dyno}");
    let marked = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes())
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .filter(marked)
        .collect()
}
