//! What a process is, has and may use: its user, its rights, its limits, its descriptors.

use std::fs;
use std::io;
use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::libc;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{Gid, Uid, fchown, getegid, geteuid, setgroups, setresgid, setresuid};
use rustix::thread::{CapabilitySet, CapabilitySets};

use super::{Ids, Level, Spec};

/// What the server's user is called inside of a user namespace, as a number.
pub const DYNO_UID: u32 = 1000;

/// Of what makes way: a tenth of the weight of others.
const NICE: i32 = 10;

/// More than any kernel has capabilities; asking for one that is not there ends the count.
const CAPABILITIES: u32 = 64;

/// Into a namespace in which the server's user is nobody but the dyno's, and from which it can make the other namespaces.
pub fn enter_user_namespace() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{DYNO_UID} {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("{DYNO_UID} {gid} 1"))
}

/// Standard streams belong to the user who opens them again by `/dev/stdout`, as web servers do with their logs.
pub fn take_streams(spec: &Spec) -> io::Result<()> {
    let Some(ids) = spec.ids else {
        return Ok(());
    };
    for stream in 0..3 {
        #[expect(
            unsafe_code,
            reason = "the standard streams are open for as long as this process runs"
        )]
        let stream = unsafe { BorrowedFd::borrow_raw(stream) };
        let kind = rustix::fs::fstat(stream)?.st_mode & libc::S_IFMT;
        // Not /dev/null, which is everybody's.
        let own = kind == libc::S_IFIFO || (spec.tty && kind == libc::S_IFCHR);
        if own {
            fchown(
                stream,
                Some(Uid::from_raw(ids.uid)),
                Some(Gid::from_raw(ids.gid)),
            )?;
        }
    }
    Ok(())
}

/// Limits that hold where there is no control group, and those that no group knows.
pub fn limit(spec: &Spec) -> io::Result<()> {
    if spec.level == Level::None {
        return Ok(());
    }
    // A core that is piped to a program of the machine's (core_pattern) is so at a limit of 0 too, and in that program's hands is what
    // the dyno had in its memory. The kernel knows 1 as the limit of whoever wants neither pipe nor file: see core(5) and
    // do_coredump(). To get there from 0 takes a right.
    setrlimit(Resource::RLIMIT_CORE, 1, 1).or_else(|_| setrlimit(Resource::RLIMIT_CORE, 0, 0))?;
    lower(Resource::RLIMIT_NOFILE, spec.limits.files)?;
    lower(Resource::RLIMIT_MEMLOCK, 8 << 20)?;
    lower(Resource::RLIMIT_MSGQUEUE, 800 << 10)?;
    match (spec.level, spec.ids) {
        // Counted by user and user namespace, so all that counts is the dyno's own.
        (Level::Userns, None) => lower(Resource::RLIMIT_NPROC, spec.limits.pids)?,
        // The other dynos of the app count as well.
        (_, Some(_)) => lower(Resource::RLIMIT_NPROC, spec.limits.pids.saturating_mul(100))?,
        // Everything of the server's user counts; beyond what there is now, the dyno may have its share.
        _ => lower(
            Resource::RLIMIT_NPROC,
            threads_of_this_user() + spec.limits.pids,
        )?,
    }
    if spec.level == Level::Landlock || spec.temporary.is_some() {
        // There is no sized file system here, so at least no single file is larger.
        lower(Resource::RLIMIT_FSIZE, spec.limits.disk)?;
    }
    Ok(())
}

/// Never above what there is: raising takes a right that not even every root has.
fn lower(resource: Resource, limit: u64) -> io::Result<()> {
    let (_, hard) = getrlimit(resource)?;
    let limit = limit.min(hard);
    Ok(setrlimit(resource, limit, limit)?)
}

fn threads_of_this_user() -> u64 {
    let uid = geteuid().as_raw();
    let Ok(entries) = fs::read_dir("/proc") else {
        return 0;
    };
    let threads = |entry: fs::DirEntry| {
        let status = fs::read_to_string(entry.path().join("status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()
        };
        (field("Uid:")? == u64::from(uid)).then(|| field("Threads:"))?
    };
    entries.filter_map(|entry| threads(entry.ok()?)).sum()
}

/// Becomes the dyno's user, for good, without any capability, and such that no program gives it one.
pub fn drop_rights(ids: Option<Ids>) -> io::Result<()> {
    for capability in 0..CAPABILITIES {
        let capability = CapabilitySet::from_bits_retain(1 << capability);
        // Landlock's level has no right to do this, and none to lose either.
        if rustix::thread::remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
    if let Some(Ids { uid, gid }) = ids {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        setgroups(&[])?;
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none)?;
    Ok(prctl::set_no_new_privs()?)
}

/// Behind everybody else for the processor and, since the kernel derives the one from the other, for disks. For a new session.
pub fn make_way() {
    // Neither can fail but where there is nothing to make way in.
    let _ = rustix::process::nice(NICE);
    // Where sessions are weighed against each other, what is nice counts within each alone.
    let _ = fs::write("/proc/self/autogroup", NICE.to_string());
}

/// Standard input becomes the controlling terminal of this session.
pub fn take_terminal() -> io::Result<()> {
    #[expect(unsafe_code, reason = "this request takes a number and no memory")]
    let taken = unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) };
    Ok(Errno::result(taken).map(drop)?)
}

/// A server started by `nohup`, or in the background of a script, ignores signals, as Rust's runtime does with SIGPIPE, and children
/// would inherit that: a dyno that is told to hang up or to interrupt its work would not hear of it.
pub fn heed_signals() -> io::Result<()> {
    use Signal::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM};
    for heeded in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE] {
        #[expect(
            unsafe_code,
            reason = "no function of ours is installed, the default is put back"
        )]
        unsafe { signal(heeded, SigHandler::SigDfl) }?;
    }
    Ok(())
}

/// All but the standard streams go with the exec.
pub fn close_descriptors() -> io::Result<()> {
    #[expect(
        unsafe_code,
        reason = "nothing is used after this but the standard streams and an exec"
    )]
    let closed = unsafe {
        libc::close_range(
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC.cast_signed(),
        )
    };
    Ok(Errno::result(closed).map(drop)?)
}
