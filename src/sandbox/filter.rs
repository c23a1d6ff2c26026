//! System calls that no dyno needs and many attacks begin with.
//!
//! A list of what is refused, not of what is let through: dynos run programs that nobody here knows. `clone3` and `io_uring` answer
//! that there is no such call, so that programs take the older way; the flags of `clone` can be looked at, those of `clone3` cannot.

use std::collections::BTreeMap;
use std::io;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Whatever the arguments are.
const REFUSED: &[i64] = &[
    // Mounts and roots.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_fanotify_init,
    // Namespaces.
    libc::SYS_unshare,
    libc::SYS_setns,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    // The kernel itself.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_vhangup,
    libc::SYS_nfsservctl,
    // Keys are the kernel's for a user, not for a namespace.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The machine's clock and name.
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] = &[
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_kexec_file_load,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

/// Programs shall do without.
const ABSENT: &[i64] = &[
    libc::SYS_clone3,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// Of `clone`: any new namespace.
const NAMESPACES: u64 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u64;

/// Families of sockets that programs have a use for. Others are seldom looked at by anybody but attackers; one reaches past every
/// network to the machine that this one may be a guest of.
const FAMILIES: [i32; 4] = [
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// Terminal requests that type for somebody else.
const TYPING: [u64; 2] = [libc::TIOCSTI, libc::TIOCLINUX];

/// Filters this process and all that come from it, for good. It has to have no way to gain rights. `alone` is whether it sees files
/// and processes of its own only. Where it does not, sockets of others can be connected to, which Landlock does not keep it from, so
/// it does without those of the local family (pairs of them are no matter); nor does Landlock keep it from what is done to another
/// process of the same user by its number.
pub fn apply(alone: bool) -> io::Result<()> {
    apply_program(&foreign_calls())?;
    apply_rules(absent(), libc::ENOSYS)?;
    apply_rules(families(alone)?, libc::EAFNOSUPPORT)?;
    if !alone {
        apply_rules(others()?, libc::EPERM)?;
    }
    apply_rules(refused()?, libc::EPERM)
}

fn apply_rules(rules: Rules, errno: i32) -> io::Result<()> {
    let errno = SeccompAction::Errno(errno.unsigned_abs());
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(io::Error::other)?;
    let filter =
        SeccompFilter::new(rules, SeccompAction::Allow, errno, arch).map_err(io::Error::other)?;
    let program: BpfProgram = filter.try_into().map_err(io::Error::other)?;
    apply_program(&program)
}

fn apply_program(program: &[sock_filter]) -> io::Result<()> {
    apply_filter(program).map_err(io::Error::other)
}

fn absent() -> Rules {
    ABSENT.iter().map(|call| (*call, Vec::new())).collect()
}

fn families(sockets_by_path: bool) -> io::Result<Rules> {
    let other: Vec<_> = FAMILIES
        .into_iter()
        .map(|family| condition(0, SeccompCmpOp::Ne, u64::from(family.unsigned_abs())))
        .collect::<io::Result<_>>()?;
    let pairs = vec![rule(other)?];
    let mut sockets = pairs.clone();
    if !sockets_by_path {
        let local = condition(0, SeccompCmpOp::Eq, libc::AF_UNIX as u64)?;
        sockets.push(rule(vec![local])?);
    }
    Ok(Rules::from([
        (libc::SYS_socket, sockets),
        (libc::SYS_socketpair, pairs),
    ]))
}

/// Limits, priorities and processors of any process but the caller, which is number 0 to all of these.
fn others() -> io::Result<Rules> {
    /// To `setpriority` and to `ioprio_set`: all processes of a user.
    const OF_USER: [(i64, u64); 2] = [
        (libc::SYS_setpriority, libc::PRIO_USER as u64),
        (libc::SYS_ioprio_set, 3),
    ];
    let other = |argument| condition(argument, SeccompCmpOp::Ne, 0);
    let mut rules = Rules::new();
    for call in [
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setattr,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setscheduler,
        libc::SYS_migrate_pages,
        libc::SYS_move_pages,
    ] {
        rules.insert(call, vec![rule(vec![other(0)?])?]);
    }
    for (call, of_user) in OF_USER {
        let user = condition(0, SeccompCmpOp::Eq, of_user)?;
        rules.insert(call, vec![rule(vec![other(1)?])?, rule(vec![user])?]);
    }
    // To ask for a limit is no matter.
    let set = SeccompCondition::new(2, SeccompCmpArgLen::Qword, SeccompCmpOp::Ne, 0);
    let set = set.map_err(io::Error::other)?;
    rules.insert(libc::SYS_prlimit64, vec![rule(vec![other(0)?, set])?]);
    Ok(rules)
}

fn refused() -> io::Result<Rules> {
    let mut rules: Rules = REFUSED
        .iter()
        .chain(REFUSED_HERE)
        .map(|call| (*call, Vec::new()))
        .collect();
    let mut namespaces = Vec::new();
    for bit in (0..u64::BITS).map(|bit| 1 << bit) {
        if NAMESPACES & bit != 0 {
            let set = condition(0, SeccompCmpOp::MaskedEq(bit), bit)?;
            namespaces.push(rule(vec![set])?);
        }
    }
    rules.insert(libc::SYS_clone, namespaces);
    // Netlink's sockets are of this type too, and programs list their addresses through them.
    let raw = condition(1, SeccompCmpOp::MaskedEq(0xf), libc::SOCK_RAW as u64)?;
    let addressed = condition(0, SeccompCmpOp::Ne, libc::AF_NETLINK as u64)?;
    rules.insert(libc::SYS_socket, vec![rule(vec![raw, addressed])?]);
    let typing: Vec<_> = TYPING
        .into_iter()
        .map(|request| rule(vec![condition(1, SeccompCmpOp::Eq, request)?]))
        .collect::<io::Result<_>>()?;
    rules.insert(libc::SYS_ioctl, typing);
    Ok(rules)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> io::Result<SeccompCondition> {
    // The kernel looks at 32 bits of all of these.
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
        .map_err(io::Error::other)
}

fn rule(conditions: Vec<SeccompCondition>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions).map_err(io::Error::other)
}

/// On x86-64 the calls of the x32 interface have numbers of their own, which no list by name has in it.
fn foreign_calls() -> BpfProgram {
    const LOAD_NUMBER: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const X32: u32 = 0x4000_0000;
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD_NUMBER, 0, 0, 0),
        step(AT_LEAST, 0, 1, X32),
        step(
            RETURN,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | libc::ENOSYS.unsigned_abs(),
        ),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ]
}
