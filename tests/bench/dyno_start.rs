//! From the start of a dyno's launcher until its command runs, at each level that this machine has, over a bare fork and exec; and
//! a hundred dynos, one after another, that all run at once.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use penstock::sandbox::cgroup::{Cgroups, Sources};
use penstock::sandbox::probe::Ground;
use penstock::sandbox::{Ids, Level, Limits, Network, Settings, Spec, command};

use crate::Result;
use crate::ratio::{below, median, spread};
use crate::server::folder;

const STARTS: usize = 40;
const AT_ONCE: usize = 100;
/// Over a bare fork and exec.
const AIM_MS: f64 = 15.0;

pub fn run() -> Result<()> {
    println!("dyno-start: until the command runs, {STARTS} times each; then {AT_ONCE} dynos");
    let place = folder()?;
    let settings = Settings::default();
    let ground = Ground {
        penstock: Path::new(env!("CARGO_BIN_EXE_penstock")),
        data: place.path(),
        settings: &settings,
    };
    let bare = times(STARTS, |_| bare())?;
    println!("  bare fork and exec   {} ms", spread(&bare));
    for finding in ground.findings().into_iter().rev() {
        let level = finding.level;
        if !finding.available {
            println!(
                "  {level:<20} not here: {}",
                finding.reason.unwrap_or_default()
            );
            continue;
        }
        let taken = times(STARTS, |number| start(place.path(), level, number))?;
        let over = median(taken.clone()) - median(bare.clone());
        println!(
            "  {level:<20} {} ms   over bare {}",
            spread(&taken),
            below(over, AIM_MS, "ms")
        );
        let begun = Instant::now();
        let all: Vec<Running> = (0..AT_ONCE)
            .map(|number| start(place.path(), level, number))
            .collect::<Result<_>>()?;
        println!(
            "  {:<20} {AT_ONCE} dynos run after {:.0} ms",
            "",
            begun.elapsed().as_secs_f64() * 1e3
        );
        drop(all);
    }
    Ok(())
}

fn times(count: usize, start: impl Fn(usize) -> Result<Running>) -> Result<Vec<f64>> {
    let mut taken = Vec::new();
    for number in 0..count {
        let begun = Instant::now();
        let running = start(number)?;
        taken.push(begun.elapsed().as_secs_f64() * 1e3);
        drop(running);
    }
    Ok(taken)
}

/// A process that ends when this does.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Orderly, so that a launcher takes everything away again.
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGTERM,
            );
        }
        let _ = self.0.wait();
    }
}

fn bare() -> Result<Running> {
    let mut command = Command::new("/bin/sleep");
    Ok(Running(
        command
            .arg("1000")
            .env_clear()
            .stdin(Stdio::null())
            .spawn()?,
    ))
}

fn start(place: &Path, level: Level, number: usize) -> Result<Running> {
    let app = place.join("app");
    let own = place.join(format!("dyno-{number}"));
    for folder in [&app, &own] {
        std::fs::create_dir_all(folder)?;
    }
    let root = nix::unistd::geteuid().is_root();
    let number = u8::try_from(number)?;
    let spec = Spec {
        level,
        argv: ["/bin/sleep", "1000"].map(str::to_owned).to_vec(),
        env: BTreeMap::new(),
        app,
        folder: own,
        writes_through: false,
        temporary: None,
        vars: None,
        cwd: None,
        packages: false,
        replaces: None,
        background: false,
        ids: (root && level.has_own_tree()).then_some(Ids {
            uid: 20_777,
            gid: 20_777,
        }),
        hostname: "bench".to_owned(),
        limits: Limits {
            memory: 512 << 20,
            memory_max: 1 << 30,
            cpu_weight: 100,
            pids: 256,
            disk: 64 << 20,
            inodes: 10_000,
            files: 10_000,
        },
        cgroup: match level {
            Level::None => None,
            _ => Cgroups::find("penstock-bench", &Sources::read()).of(&number.to_string()),
        },
        network: (level == Level::Full).then(|| Network {
            owner: format!("bench-{number}"),
            address: Ipv4Addr::new(10, 215, 1, number),
            gateway: Ipv4Addr::new(10, 215, 0, 1),
            mtu: 1500,
            private: true,
        }),
        port: None,
        host: None,
        tty: false,
        hidden: place.to_owned(),
        readable: Vec::new(),
    };
    let (mut launcher, begun) = command(Path::new(env!("CARGO_BIN_EXE_penstock")), &spec)?;
    let child = Running(launcher.stdin(Stdio::null()).spawn()?);
    drop(launcher);
    begun.wait();
    Ok(child)
}
