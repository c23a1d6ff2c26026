//! Control groups: the first version as it is on this machine, the second as the kernel documents it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::libc::O_NONBLOCK;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use penstock::sandbox::cgroup::{self, Cgroup, Cgroups, Controller, Group, Sources};
use rustix::process::{Pid, Signal, kill_process};

use super::ends::{end, ready, signal};
use super::{Bed, Level, Way, root};
use crate::starved;

/// A hierarchy of the second version, as far as files go.
fn unified(root: &Path, own: &str, controllers: &str) -> Sources {
    let dir = root.join(own);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("cgroup.controllers"), controllers).unwrap();
    fs::write(dir.join("cgroup.subtree_control"), "").unwrap();
    Sources {
        membership: format!("0::/{own}\n"),
        mounts: format!(
            "30 23 0:26 / {} rw,nosuid shared:4 - cgroup2 cgroup2 rw\n",
            root.display()
        ),
        pid: 4711,
    }
}

#[test]
fn the_second_version_gets_the_limits_that_its_documentation_names() {
    let place = tempfile::tempdir().unwrap();
    let sources = unified(
        place.path(),
        "system.slice/penstock.service",
        "cpuset cpu io memory pids",
    );
    // The kernel makes these files with a folder; here the folder is there before.
    let base = place
        .path()
        .join("system.slice/penstock.service/penstock-1");
    let leaf = base.join("dyno");
    fs::create_dir_all(&leaf).unwrap();
    fs::write(base.join("cgroup.subtree_control"), "").unwrap();
    let names = ["memory.max", "memory.swap.max", "cpu.weight", "pids.max"];
    for name in names {
        fs::write(leaf.join(name), "").unwrap();
    }
    let found = Cgroups::find("penstock-1", &sources);
    assert_eq!(found.controllers(), Controller::ALL);
    let group = found.of("dyno").unwrap();
    let bed = Bed::new(
        Way {
            level: Level::None,
            plain: true,
        },
        "",
    );
    group.make(&bed.spec.limits).unwrap();
    let read = |name: &str| fs::read_to_string(leaf.join(name)).unwrap();
    assert_eq!(names.map(read), ["134217728", "0", "100", "40"]);
    assert_eq!(
        fs::read_to_string(base.join("cgroup.subtree_control")).unwrap(),
        "+memory +cpu +pids"
    );
    fs::write(leaf.join("memory.stat"), "anon 4096\nfile 99\n").unwrap();
    fs::write(leaf.join("memory.events"), "low 0\noom 2\noom_kill 1\n").unwrap();
    let usage = group.usage().unwrap();
    assert_eq!((usage.memory, usage.oom_kills), (Some(4096), 1));
}

#[test]
fn the_second_version_is_one_hierarchy_however_often_it_is_mounted() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let own = "system.slice";
    let mut sources = unified(first.path(), own, "memory");
    sources.mounts += &unified(second.path(), own, "memory pids").mounts;
    for place in [&first, &second] {
        let base = place.path().join(own).join("penstock-1");
        fs::create_dir_all(&base).unwrap();
        fs::write(base.join("cgroup.subtree_control"), "").unwrap();
    }
    let found = Cgroups::find("penstock-1", &sources);
    assert_eq!(found.controllers(), [Controller::Memory]);
    assert_eq!(found.of("dyno").unwrap().groups.len(), 1);
}

#[test]
fn a_machine_without_controllers_has_no_groups() {
    let place = tempfile::tempdir().unwrap();
    let sources = unified(place.path(), "user.slice", "hugetlb");
    let found = Cgroups::find("penstock-1", &sources);
    assert_eq!(found.controllers(), []);
    assert_eq!(found.of("dyno"), None);
}

#[test]
fn a_dyno_runs_in_its_groups_and_they_go_with_it() {
    if !root() {
        return;
    }
    for way in Way::own_tree().into_iter().filter(|way| !way.plain) {
        let bed = Bed::new(way, "cat /proc/self/cgroup").grouped();
        let Some(group) = bed.spec.cgroup.clone() else {
            return;
        };
        let outcome = bed.run();
        // Inside, its own group is the root of all groups.
        let groups: Vec<&str> = outcome
            .said
            .lines()
            .filter(|line| line.contains("pids"))
            .collect();
        assert!(
            groups.iter().all(|line| line.ends_with(":/")),
            "{}",
            outcome.said
        );
        for group in &group.groups {
            assert!(
                !group.dir.exists() && !group.dir.parent().unwrap().exists(),
                "{}",
                group.dir.display()
            );
        }
    }
}

/// The group of the second version that the tests are in, where there is such a hierarchy, whatever it controls.
fn of_the_second_version() -> Option<PathBuf> {
    let Sources {
        membership, mounts, ..
    } = Sources::read();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
    let mut fields = mount.split(' ').skip(3);
    let (root, point) = (fields.next()?, fields.next()?);
    let path = membership
        .lines()
        .find_map(|line| line.strip_prefix("0::"))?;
    Some(Path::new(point).join(Path::new(path).strip_prefix(root).ok()?))
}

#[test]
fn a_dyno_is_in_each_of_its_groups_of_either_version_as_long_as_it_runs() {
    if !root() {
        return;
    }
    for level in [Level::Full, Level::Userns, Level::Landlock] {
        let way = Way {
            level,
            plain: false,
        };
        let mut bed = Bed::new(
            way,
            "trap 'exit 4' TERM; echo ready; while :; do sleep 0.1; done",
        )
        .grouped();
        let mut groups = bed
            .spec
            .cgroup
            .take()
            .map_or(Vec::new(), |group| group.groups);
        if !groups.iter().any(|group| group.unified)
            && let Some(own) = of_the_second_version()
        {
            groups.push(Group {
                dir: own.join(bed.name()).join("one"),
                controllers: Vec::new(),
                unified: true,
            });
        }
        bed.spec.cgroup = Some(Cgroup {
            groups: groups.clone(),
        });
        let dyno = ready(&bed);
        for group in &groups {
            let inside = fs::read_to_string(group.dir.join("cgroup.procs")).unwrap();
            // Its init, bash and perhaps a sleep.
            assert!(inside.lines().count() >= 2, "{}", group.dir.display());
        }
        signal(&dyno.0, Signal::TERM);
        assert_eq!(end(dyno).0, 4);
        assert!(groups.iter().all(|group| !group.dir.exists()), "{way:?}");
    }
}

#[test]
fn who_has_the_number_of_a_process_that_was_in_a_group_is_left_alone() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("one");
    fs::create_dir(&dir).unwrap();
    let procs = dir.join("cgroup.procs");
    mkfifo(&procs, Mode::S_IRWXU).unwrap();
    let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
    let (listed, looked) = (format!("{}\n", stranger.id()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // Whoever looks first is shown the number, and nobody after that.
        let shown = scope.spawn(|| {
            fs::write(&procs, &listed).unwrap();
            while !looked.load(Ordering::SeqCst) {
                fs::write(&procs, "").unwrap();
            }
        });
        let group = Group {
            dir: dir.clone(),
            controllers: vec![Controller::Pids],
            unified: false,
        };
        cgroup::end(&Cgroup {
            groups: vec![group],
        });
        looked.store(true, Ordering::SeqCst);
        // It may wait for one more reader.
        let mut reading = fs::OpenOptions::new();
        let reader = reading.read(true).custom_flags(O_NONBLOCK).open(&procs);
        shown.join().unwrap();
        drop(reader);
    });
    signal(&stranger, Signal::TERM);
    let ended = stranger.wait().unwrap();
    assert_eq!(ended.signal(), Some(Signal::TERM.as_raw()));
}

/// Enters groups, and stays there.
const JOIN: &str = r#"
for group; do
  if [ -e "$group/tasks" ]; then echo 0 > "$group/tasks"; else echo 0 > "$group/cgroup.procs"; fi || exit
done
echo in
exec sleep 1000"#;

#[test]
fn what_a_killed_launcher_left_is_swept() {
    swept(cgroup::end);
}

#[test]
fn what_a_killed_launcher_left_is_swept_by_a_server_that_has_no_descriptors_left() {
    swept(|group| {
        let group = group.clone();
        starved::alone(move || {
            let _all = starved::starve();
            cgroup::end(&group);
        });
    });
}

fn swept(sweep: impl FnOnce(&Cgroup)) {
    if !root() {
        return;
    }
    let way = Way {
        level: Level::Full,
        plain: false,
    };
    let bed = Bed::new(way, "sleep 1000").grouped();
    let Some(group) = bed.spec.cgroup.clone() else {
        return;
    };
    group.make(&bed.spec.limits).unwrap();
    let mut stray = bed.outside("sh");
    stray.args(["-c", JOIN, "sh"]);
    stray.args(group.groups.iter().map(|group| &group.dir));
    let mut stray = stray.stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(stray.stdout.take().unwrap()).lines().next();
    assert_eq!(said.unwrap().unwrap(), "in");
    assert!(group.is_populated());
    assert!(group.usage().is_some());
    let pid = Pid::from_child(&stray);
    let waiting = std::thread::spawn(move || stray.wait().unwrap());
    sweep(&group);
    let left = group.groups.iter().any(|group| group.dir.exists());
    if left {
        kill_process(pid, Signal::KILL).unwrap();
    }
    assert!(!waiting.join().unwrap().success());
    assert!(!left);
}
