//! A process's way into its groups, without waiting for the rest of the machine.
//!
//! To move a process from group to group the kernel holds up every fork and exit on the machine, and waits until each processor has
//! noticed: some fifteen milliseconds. It need not where a thread moves itself, which the first version lets it do, nor where a
//! process is born in its group, as the second version has it (kernel/cgroup/cgroup.c, `cgroup_procs_write_start` and
//! `cgroup_css_set_fork`).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use nix::unistd::{ForkResult, Pid};

use super::{Cgroup, Group, set};

/// Of linux/sched.h. What libc calls so is cut off at 32 bits.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Whoever writes it to a group.
const ONESELF: &str = "0";

/// Who goes on after a fork.
pub enum Forked<'a> {
    Parent { child: Pid },
    Child(Birth<'a>),
}

/// The groups that a new process has still to join.
#[must_use = "the process is not in all of its groups yet"]
pub struct Birth<'a>(Vec<&'a Group>);

/// Forks this process, which has one thread, for a child that is to be in these groups.
pub fn fork(cgroup: Option<&Cgroup>) -> io::Result<Forked<'_>> {
    let groups = cgroup.map_or(&[][..], |cgroup| &cgroup.groups);
    let (mut unified, mut left): (Vec<&Group>, Vec<&Group>) =
        groups.iter().partition(|group| group.unified);
    // Linux has it since 5.7, and some containers filter it.
    let born = unified
        .first()
        .and_then(|group| clone_into(&group.dir).ok());
    let forked = match born {
        Some(forked) => forked,
        None => {
            left.append(&mut unified);
            #[expect(
                unsafe_code,
                reason = "this process has one thread, so the child may do anything"
            )]
            unsafe { nix::unistd::fork() }?
        }
    };
    Ok(match forked {
        ForkResult::Parent { child } => Forked::Parent { child },
        ForkResult::Child => Forked::Child(Birth(left)),
    })
}

impl Birth<'_> {
    /// Puts this process in.
    pub fn complete(self) -> io::Result<()> {
        self.0.into_iter().try_for_each(join)
    }
}

fn join(group: &Group) -> io::Result<()> {
    let file = match group.unified {
        true => "cgroup.procs",
        false => "tasks",
    };
    set(&group.dir.join(file), ONESELF, true)
}

/// A fork whose child is born in a group of the second version.
fn clone_into(dir: &Path) -> io::Result<ForkResult> {
    let group = File::open(dir)?;
    let number = u64::try_from(group.as_raw_fd()).map_err(io::Error::other)?;
    let arguments = libc::clone_args {
        flags: CLONE_INTO_CGROUP,
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: libc::SIGCHLD.cast_unsigned().into(),
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: number,
    };
    #[expect(
        unsafe_code,
        reason = "this process has one thread and the child a copy of all its memory, so it may do anything, as after a fork; the arguments outlive the call"
    )]
    let child = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw const arguments,
            size_of::<libc::clone_args>(),
        )
    };
    match Errno::result(child)? {
        0 => Ok(ForkResult::Child),
        child => Ok(ForkResult::Parent {
            child: Pid::from_raw(i32::try_from(child).map_err(io::Error::other)?),
        }),
    }
}
