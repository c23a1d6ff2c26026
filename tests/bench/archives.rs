//! Unpacking and packing a `node_modules` tree, each in a process of its own, against what `tar xzf` and `tar czf` need for it.
//!
//! The tree is made once, of packages that npm fetches, or of made-up ones where it cannot. Both sides may use all cores, ahead of
//! whatever else the machine does where that may be asked for, and each unpacks into a new folder: in memory where there is room, so
//! that no disk is measured. Else the old ones stay until all is measured, since a disk that has just lost a tree is slow.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use penstock::archive::{self, Limits, Strip};

use crate::Result;
use crate::process::in_path;
use crate::ratio::{below, median, spread};
use crate::server::folder;

/// Makes this binary one side of the comparison.
pub const ROLE: &str = "archive";
const PACKAGES: [&str; 7] = [
    "aws-sdk@2",
    "eslint@9",
    "jest@29",
    "lodash@4",
    "next@15",
    "typescript@5",
    "webpack@5",
];
const ENOUGH: u64 = 100 << 20;
const PAIRS: usize = 5;
const UNPACKING: f64 = 0.4;
const PACKING: f64 = 0.25;
const SIZE: f64 = 1.02;
const MEMORY: f64 = 64.0;

pub fn run() -> Result<()> {
    let tree = tree()?;
    let (bytes, files) = measure(&tree)?;
    let scratch = folder()?;
    let memory = memory(bytes)?;
    let at = |name: String| scratch.path().join(name);
    println!("archives: {files} files of {} MB", bytes >> 20);
    let (ours, theirs) = (at("ours.tgz".into()), at("theirs.tgz".into()));
    let (mut packed, mut unpacked) = (Sides::default(), Sides::default());
    for pair in 0..PAIRS {
        let again = at(format!("ours-{pair}.tgz"));
        packed.ours(&["pack".as_ref(), &tree, &again])?;
        if pair > 0 && fs::read(&again)? != fs::read(&ours)? {
            return Err("the same tree has given other bytes".into());
        }
        fs::rename(&again, &ours)?;
        packed.tar(&["czf".as_ref(), &theirs, "-C".as_ref(), &tree, ".".as_ref()])?;
    }
    for pair in 0..PAIRS {
        let place = memory.as_ref().unwrap_or(&scratch).path();
        let [one, other] = ["ours", "theirs"].map(|side| place.join(format!("{side}-{pair}")));
        fs::create_dir(&one)?;
        fs::create_dir(&other)?;
        unpacked.ours(&["unpack".as_ref(), &ours, &one])?;
        unpacked.tar(&["xzf".as_ref(), &ours, "-C".as_ref(), &other])?;
        if memory.is_some() {
            fs::remove_dir_all(&one)?;
            fs::remove_dir_all(&other)?;
        }
    }
    let where_to = if memory.is_some() { "memory" } else { "disk" };
    println!("  unpacked to  {where_to}");
    unpacked.print("unpack", "tar xzf", UNPACKING);
    packed.print("pack", "tar czf", PACKING);
    let size = |path: &Path| fs::metadata(path).map(|found| found.len() as f64);
    let ratio = size(&ours)? / size(&theirs)?;
    println!(
        "  size         {ratio:.3} of gzip's   aim <= {SIZE}: {}   the same bytes each time",
        if ratio <= SIZE { "met" } else { "MISSED" }
    );
    Ok(())
}

/// Seconds, pair by pair.
#[derive(Default)]
struct Sides {
    ours: Vec<f64>,
    tar: Vec<f64>,
    /// The most memory that ours had, in MB.
    peak: f64,
}

impl Sides {
    fn ours(&mut self, arguments: &[&Path]) -> Result<()> {
        let mut command = unpinned(&std::env::current_exe()?);
        command.arg(ROLE).args(arguments);
        let (seconds, said) = timed(command)?;
        self.ours.push(seconds);
        self.peak = self.peak.max(said.trim().parse()?);
        Ok(())
    }

    fn tar(&mut self, arguments: &[&Path]) -> Result<()> {
        let mut command = unpinned("tar".as_ref());
        command.args(arguments);
        self.tar.push(timed(command)?.0);
        Ok(())
    }

    fn print(&self, name: &str, other: &str, aim: f64) {
        let pairs = self.ours.iter().zip(&self.tar);
        let ratios: Vec<f64> = pairs.map(|(ours, tar)| ours / tar).collect();
        let met = if median(ratios.clone()) <= aim {
            "met"
        } else {
            "MISSED"
        };
        println!("  {name:<12} {} s", spread(&self.ours));
        println!("  {other:<12} {} s", spread(&self.tar));
        println!("  ratio        {}   aim <= {aim}: {met}", spread(&ratios));
        println!(
            "  peak memory  {:.1} MB   {}",
            self.peak,
            below(self.peak, MEMORY, "MB")
        );
    }
}

/// One side, in a process of its own: does it, and prints the most memory that it had, in MB.
pub fn serve() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(2).map(PathBuf::from).collect();
    let [what, from, to] = arguments.as_slice() else {
        return Err("pack TREE ARCHIVE, or unpack ARCHIVE FOLDER".into());
    };
    let limits = Limits::slug();
    match what.to_str() {
        Some("pack") => archive::pack(from, "./app", fs::File::create(to)?, &limits),
        _ => archive::unpack(fs::File::open(from)?, to, &limits, Strip::Prefix("app")),
    }
    .map_err(|error| error.message.into_owned())?;
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = peak.and_then(|peak| peak.split_whitespace().next());
    let kilobytes: f64 = kilobytes.ok_or("no VmHWM in /proc/self/status")?.parse()?;
    println!("{}", kilobytes / 1024.0);
    Ok(())
}

/// A folder in memory, if a few trees of so many bytes have room there.
fn memory(bytes: u64) -> Result<Option<tempfile::TempDir>> {
    let place = Path::new("/dev/shm");
    let Ok(found) = rustix::fs::statvfs(place) else {
        return Ok(None);
    };
    let room = found.f_bavail.saturating_mul(found.f_frsize);
    let available = fs::read_to_string("/proc/meminfo")?;
    let available = available
        .lines()
        .find_map(|line| {
            line.strip_prefix("MemAvailable:")?
                .split_whitespace()
                .next()
        })
        .and_then(|kilobytes| kilobytes.parse::<u64>().ok())
        .map_or(0, |kilobytes| kilobytes << 10);
    let fits = room.min(available) > bytes.saturating_mul(4);
    Ok(fits.then(|| tempfile::tempdir_in(place)).transpose()?)
}

/// On all cores, wherever this process is pinned to, and ahead of all others.
fn unpinned(program: &Path) -> Command {
    static AHEAD: OnceLock<bool> = OnceLock::new();
    let mut words: Vec<String> = Vec::new();
    if in_path("taskset") {
        let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or("0".into());
        words.extend(["taskset", "-c", online.trim()].map(str::to_owned));
    }
    let ahead = ["chrt", "-f", "1"];
    let tried = || {
        Command::new(ahead[0])
            .args([ahead[1], ahead[2], "true"])
            .status()
    };
    if in_path(ahead[0]) && *AHEAD.get_or_init(|| tried().is_ok_and(|status| status.success())) {
        words.extend(ahead.map(str::to_owned));
    }
    let Some((first, rest)) = words.split_first() else {
        return Command::new(program);
    };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}

fn timed(mut command: Command) -> Result<(f64, String)> {
    let begun = Instant::now();
    let output = command.stderr(Stdio::inherit()).output()?;
    let seconds = begun.elapsed().as_secs_f64();
    match output.status.success() {
        true => Ok((seconds, String::from_utf8(output.stdout)?)),
        false => Err(format!("{command:?} failed").into()),
    }
}

/// The tree, which is kept for the next time.
fn tree() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("archives");
    let tree = root.join("node_modules");
    if root.join("whole").exists() {
        return Ok(tree);
    }
    fs::create_dir_all(&root)?;
    println!("archives: fetching {} with npm", PACKAGES.join(", "));
    let fetched = Command::new("npm")
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
        ])
        .arg("--prefix")
        .arg(&root)
        .args(PACKAGES)
        .stdout(Stdio::null())
        .status();
    let there = fetched.is_ok_and(|status| status.success()) && measure(&tree)?.0 >= ENOUGH;
    if !there {
        println!("archives: npm brought too little, so the packages are made up");
        make_up(&tree)?;
    }
    fs::write(root.join("whole"), "")?;
    Ok(tree)
}

/// Packages of modules of a few kilobytes, in words of which some repeat.
fn make_up(tree: &Path) -> Result<()> {
    let (mut seed, mut made) = (7_u64, 0);
    let mut next = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    for package in 0.. {
        let folder = tree.join(format!("package-{package}/lib"));
        fs::create_dir_all(&folder)?;
        for module in 0..20 {
            let mut file = fs::File::create(folder.join(format!("module-{module}.js")))?;
            let mut text = String::new();
            for _ in 0..next(2_000) {
                text.push_str(&format!(
                    "exports.name{} = value{}; ",
                    next(5_000),
                    next(90_000)
                ));
            }
            file.write_all(text.as_bytes())?;
            made += text.len() as u64;
        }
        if made > ENOUGH + (ENOUGH >> 3) {
            break;
        }
    }
    Ok(())
}

/// Bytes and files.
fn measure(tree: &Path) -> Result<(u64, u64)> {
    let (mut bytes, mut files) = (0, 0);
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let found = entry?;
            let metadata = found.metadata()?;
            match metadata.is_dir() {
                true => folders.push(found.path()),
                false => (bytes, files) = (bytes + metadata.len(), files + 1),
            }
        }
    }
    Ok((bytes, files))
}
