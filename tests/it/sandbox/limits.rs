//! How much a dyno can use up.

use super::inside::{all, attempt};
use super::{Bed, Way};

/// Writes until it is stopped, and says how many MiB that were.
const FILL: &str = "
import os, sys
written = 0
try:
    with open(sys.argv[1] if len(sys.argv) > 1 else os.environ['PLACE'] + '/filler', 'wb', buffering=0) as file:
        while written < 64:
            written += file.write(bytes(1 << 20)) / (1 << 20)
except OSError as error:
    print(os.strerror(error.errno), written <= 16)
";

#[test]
fn the_disk_cannot_be_filled_past_the_quota() {
    for way in Way::own_tree() {
        for place in ["/app", "/tmp", "/var/tmp", "/dev/shm"] {
            let outcome = Bed::python(way, FILL).with("PLACE", place).run();
            assert_eq!(
                outcome.said, "No space left on device True\n",
                "{way:?} {place}"
            );
        }
    }
}

#[test]
fn no_more_files_can_be_made_than_the_quota() {
    let script = "
import os
made = 0
try:
    while made < 10000:
        open('/tmp/%d' % made if made % 2 else '/app/%d' % made, 'w').close(); made += 1
except OSError as error:
    print(os.strerror(error.errno), 300 < made < 500)
";
    for way in Way::own_tree() {
        assert_eq!(
            Bed::python(way, script).run().said,
            "No space left on device True\n",
            "{way:?}"
        );
    }
}

#[test]
fn a_fork_bomb_comes_to_an_end() {
    let script = "
import os, signal
made = 0
try:
    while made < 2000:
        if os.fork() == 0:
            signal.pause()
        made += 1
except OSError as error:
    print(os.strerror(error.errno), 20 < made <= 40)
";
    for way in Way::all() {
        let mut bed = Bed::python(way, script);
        if !way.plain {
            bed = bed.grouped();
            if bed.spec.cgroup.is_none() {
                continue;
            }
        }
        let outcome = bed.run();
        // With Landlock alone what the user runs besides counts as well, and comes and goes.
        match way.level.has_own_tree() {
            true => assert_eq!(
                outcome.said, "Resource temporarily unavailable True\n",
                "{way:?}"
            ),
            false => assert!(
                outcome.said.starts_with("Resource temporarily unavailable"),
                "{}",
                outcome.said
            ),
        }
    }
}

#[test]
fn a_dyno_that_eats_memory_is_ended_and_nobody_else() {
    let script = "
held = []
for i in range(400):
    held.append(bytearray(b'x' * (1 << 20)))
print('ate it all')
";
    for way in Way::own_tree().into_iter().filter(|way| !way.plain) {
        let bed = Bed::python(way, script).grouped();
        if bed.spec.cgroup.is_none() {
            continue;
        }
        let outcome = bed.run();
        assert_eq!(
            (outcome.status, outcome.said.as_str()),
            (137, ""),
            "{way:?}"
        );
    }
}

#[test]
fn what_is_written_counts_as_memory_and_is_bounded_by_the_quota() {
    for way in Way::own_tree().into_iter().filter(|way| !way.plain) {
        let mut bed = Bed::python(way, FILL).with("PLACE", "/tmp").grouped();
        bed.spec.limits.memory_max = 64 << 20;
        assert_eq!(bed.run().said, "No space left on device True\n", "{way:?}");
    }
}

#[test]
fn a_dyno_can_ask_how_much_memory_it_has() {
    for way in Way::own_tree() {
        let outcome = Bed::new(
            way,
            "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; ulimit -n",
        )
        .run();
        assert_eq!(outcome.said, "67108864\n67108864\n1000\n", "{way:?}");
    }
}

#[test]
fn no_core_is_written_nor_piped_to_a_program_of_the_machine() {
    for way in Way::all() {
        let outcome = Bed::new(way, "grep 'Max core' /proc/self/limits | tr -s ' '").run();
        // At 0 it would still be piped.
        assert_eq!(outcome.said, "Max core file size 1 1 bytes \n", "{way:?}");
    }
}

#[test]
fn priorities_of_all_of_a_user_are_not_to_be_had_where_others_are_his_too() {
    let users = ["os.setpriority(os.PRIO_USER, 0, 19)"];
    let own = [
        "os.nice(1)",
        "os.sched_setaffinity(0, os.sched_getaffinity(0))",
        "resource.setrlimit(resource.RLIMIT_CORE, (0, 0))",
        "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE)",
    ];
    let way = *Way::all().last().unwrap();
    all(&attempt(way, &users), users.len(), "refused");
    all(&attempt(way, &own), own.len(), "done");
}
