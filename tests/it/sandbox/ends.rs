//! How a dyno ends: its status, signals to all of it, and what it leaves behind.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout};

use rustix::process::{Pid, Signal, kill_process};

use super::{Bed, Way, code};
use crate::binary::in_time;

fn everywhere() -> Vec<Way> {
    let mut all = Way::all();
    all.push(all[0].open());
    all
}

/// A dyno that has said `ready`.
pub fn ready(bed: &Bed) -> (Child, BufReader<ChildStdout>) {
    let mut child = bed.start();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let output = in_time(move || {
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        output
    });
    (child, output)
}

/// Its status and the rest of what it said, once all of it has ended.
pub fn end((mut child, mut output): (Child, BufReader<ChildStdout>)) -> (i32, String) {
    in_time(move || {
        let mut said = String::new();
        output.read_to_string(&mut said).unwrap();
        (code(child.wait().unwrap()), said)
    })
}

pub fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn it_ends_with_the_status_of_its_command() {
    for way in everywhere() {
        for (script, status) in [
            ("exit 0", 0),
            ("exit 7", 7),
            ("kill -KILL $$", 137),
            ("kill -TERM $$", 143),
        ] {
            assert_eq!(
                Bed::new(way, script).run().status,
                status,
                "{way:?} {script}"
            );
        }
    }
}

#[test]
fn a_program_that_is_not_there_or_cannot_be_run_is_what_a_shell_says_it_is() {
    for way in everywhere() {
        let mut bed = Bed::new(way, "");
        for (program, status) in [("/bin/absent", 127), ("/etc/passwd", 126)] {
            bed.spec.argv = vec![program.into()];
            let outcome = bed.run();
            assert_eq!(outcome.status, status, "{way:?}");
            assert!(outcome.said.contains(program), "{way:?}: {}", outcome.said);
        }
    }
}

#[test]
fn a_sandbox_that_cannot_be_built_says_why_and_runs_nothing() {
    for way in Way::own_tree() {
        let mut bed = Bed::new(way, "echo ran");
        bed.spec.app = bed.path().join("absent");
        let outcome = bed.run();
        assert_eq!(outcome.status, 125, "{way:?}");
        assert!(
            outcome.said.contains("could not be built") && outcome.said.contains("absent"),
            "{}",
            outcome.said
        );
        assert!(!outcome.said.contains("ran\n"), "{way:?}");
    }
}

#[test]
fn sigterm_reaches_every_process_and_a_draining_grandchild_is_waited_for() {
    // The command dies of it at once; of the two below it, one has moved to a session of its own.
    let script = "
for name in near far; do
  setsid=; [ $name = far ] && setsid=setsid
  $setsid bash -c 'trap \"sleep 0.3; echo drained '$name'; exit\" TERM; echo up >&3; while :; do sleep 0.1; done' &
done 3> >(head -n 2 > up; echo ready)
wait";
    for way in everywhere() {
        let dyno = ready(&Bed::new(way, script));
        signal(&dyno.0, Signal::TERM);
        let (status, said) = end(dyno);
        let mut said: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("drained"))
            .collect();
        said.sort_unstable();
        assert_eq!(said, ["drained far", "drained near"], "{way:?}");
        assert_eq!(status, 143, "{way:?}");
    }
}

#[test]
fn sigkill_of_the_launcher_ends_everything() {
    let script = "trap '' TERM; (setsid sleep 1000) & (sleep 1000) & echo ready; sleep 1000";
    for way in everywhere() {
        let dyno = ready(&Bed::new(way, script));
        signal(&dyno.0, Signal::KILL);
        let (mut child, mut output) = dyno;
        in_time(move || {
            // The pipe has no end while any of them has it open.
            output.read_to_string(&mut String::new()).unwrap();
            child.wait().unwrap();
        });
    }
}

#[test]
fn what_the_command_leaves_behind_is_ended_with_it() {
    for way in everywhere() {
        let outcome = Bed::new(way, "(setsid sleep 1000) & sleep 1000 & exit 3").run();
        assert_eq!(outcome.status, 3, "{way:?}");
    }
}

#[test]
fn other_signals_are_passed_on_and_orphans_are_reaped() {
    let script = "trap 'echo hangup; exit 9' HUP; (sh -c 'sleep 0.01 &'); echo ready; while :; do sleep 0.05; done";
    for way in everywhere() {
        let dyno = ready(&Bed::new(way, script));
        signal(&dyno.0, Signal::HUP);
        let (status, said) = end(dyno);
        assert_eq!(
            (status, said.lines().last()),
            (9, Some("hangup")),
            "{way:?}"
        );
    }
}
