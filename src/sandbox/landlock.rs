//! Files, ports, signals and sockets by Landlock, whose rules hold for whatever a process becomes.
//!
//! Below a tree of its own this is a second wall; without one it is the only one. What there is of it goes by the kernel's ABI
//! number: the crate's own account of itself says "partially" of rules that are all in force.

use std::io;
use std::path::PathBuf;

use ::landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, NetPort, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, Scope, path_beneath_rules,
};
use nix::libc;

use super::{Level, Spec, etc};

/// The first that lets files be moved between folders. Below, a program could not even `mv`.
pub const USABLE: i32 = 2;
/// The first that knows TCP ports.
pub const PORTS: i32 = 4;
/// The first that keeps signals and abstract sockets within.
pub const SCOPES: i32 = 6;

/// What programs read and run. Landlock's own level has no other tree.
const SYSTEM: [&str; 11] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix",
    "/proc",
    "/sys/devices/system/cpu",
];
/// Devices without a side to them.
const DEVICES: [&str; 6] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
];

/// The kernel's; zero where it has none.
pub fn abi() -> i32 {
    const VERSION: libc::c_uint = 1;
    #[expect(
        unsafe_code,
        reason = "with this flag the kernel only answers a number, and looks at no memory"
    )]
    let answer = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<u8>(),
            0_usize,
            VERSION,
        )
    };
    i32::try_from(answer).unwrap_or(0).max(0)
}

/// Restricts this process and all that come from it.
pub fn restrict(spec: &Spec) -> io::Result<()> {
    let abi = abi();
    if spec.level == Level::Landlock {
        // A rule that gives a folder gives all that is in it.
        refuse_shown(spec)?;
    }
    if abi < USABLE {
        return match spec.level {
            Level::Landlock => Err(io::Error::other(
                "this kernel has no Landlock that could be used",
            )),
            // The tree of its own stands by itself.
            _ => Ok(()),
        };
    }
    ruleset(spec, abi)
        .and_then(|ruleset| ruleset.restrict_self())
        .map(drop)
        .map_err(io::Error::other)
}

fn refuse_shown(spec: &Spec) -> io::Result<()> {
    let readable = readable(spec);
    match readable.iter().find(|shown| spec.hidden.starts_with(shown)) {
        Some(shown) => Err(io::Error::other(format!(
            "the server's folder {} lies in {}, which dynos read at this level: give the server another --data-dir",
            spec.hidden.display(),
            shown.display()
        ))),
        None => Ok(()),
    }
}

/// What dynos read of the machine where there is no other tree.
fn readable(spec: &Spec) -> Vec<PathBuf> {
    SYSTEM
        .into_iter()
        .map(PathBuf::from)
        .chain(etc::readable())
        .chain(spec.readable.iter().cloned())
        // This program, which serves static files.
        .chain(std::env::current_exe())
        .collect()
}

fn ruleset(spec: &Spec, abi: i32) -> Result<RulesetCreated, ::landlock::RulesetError> {
    let version = ABI::from(abi);
    let all = AccessFs::from_all(version);
    let mut ruleset = Ruleset::default().handle_access(all)?;
    let ports = spec.network.is_none() && abi >= PORTS;
    if ports {
        ruleset = ruleset.handle_access(AccessNet::BindTcp)?;
    }
    if abi >= SCOPES {
        ruleset = ruleset.scope(Scope::from_all(version))?;
    }
    let mut ruleset = ruleset.create()?;
    let read = AccessFs::from_read(version);
    let write = all & !(AccessFs::MakeChar | AccessFs::MakeBlock);
    ruleset = match spec.level.has_own_tree() {
        true => own_tree(ruleset, read, write)?,
        false => shared_tree(spec, ruleset, read, write)?,
    };
    if ports {
        // The kernel picks for those who ask for port 0.
        for port in spec.port.into_iter().chain([0]) {
            ruleset = ruleset.add_rule(NetPort::new(port, AccessNet::BindTcp))?;
        }
    }
    Ok(ruleset)
}

type Rights = BitFlags<AccessFs>;

fn own_tree(
    ruleset: RulesetCreated,
    read: Rights,
    write: Rights,
) -> Result<RulesetCreated, ::landlock::RulesetError> {
    ruleset
        .add_rules(path_beneath_rules(["/"], read))?
        .add_rules(path_beneath_rules(
            ["/app", "/tmp", "/var/tmp", "/run", "/dev", "/proc"],
            write,
        ))
}

fn shared_tree(
    spec: &Spec,
    ruleset: RulesetCreated,
    read: Rights,
    write: Rights,
) -> Result<RulesetCreated, ::landlock::RulesetError> {
    ruleset
        .add_rules(path_beneath_rules(readable(spec), read))?
        .add_rules(path_beneath_rules(DEVICES, read | write))?
        .add_rules(path_beneath_rules(
            [&spec.app, &spec.folder].into_iter().chain(&spec.temporary),
            write | read,
        ))
}
