//! Dynos of the local runtime that outlive their server: kept meanwhile, and taken up by the next.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use penstock::runtime::{Ended, Event, Isolation, Launch, Local, Runtime};
use penstock::store::dynos::{Dyno, State};

use super::local::{GRACE, folders, launch, open};
use super::stopping::row;
use super::{Ground, processes_of, serve, shims, soon};
use crate::binary::{in_time, processes};

/// A place in which one server follows on another, and pipes by which a dyno and the test wait for one another.
struct Stand {
    ground: Ground,
    go: PathBuf,
    done: PathBuf,
}

impl Stand {
    fn new() -> Stand {
        let ground = Ground::new();
        let fifo = |name: &str| {
            let path = ground.path().join(name);
            assert!(
                Command::new("mkfifo")
                    .arg(&path)
                    .status()
                    .unwrap()
                    .success()
            );
            path
        };
        let (go, done) = (fifo("go"), fifo("done"));
        Stand { ground, go, done }
    }

    /// In the command, `pause` waits for [`Stand::go_on`], and `meet` for [`Stand::meet`].
    fn launch(&self, command: &str) -> Launch {
        let head = "pause() { read line < $GO; }; meet() { echo > $DONE; };";
        let mut launch = launch(self.ground.slug(&[]), &format!("{head} {command}"));
        for (name, path) in [("GO", &self.go), ("DONE", &self.done)] {
            let path = path.display().to_string();
            launch.config_vars.insert(name.into(), path);
        }
        launch
    }

    fn go_on(&self) {
        let go = self.go.clone();
        in_time(move || std::fs::write(go, "go\n").unwrap());
    }

    fn meet(&self) {
        let done = self.done.clone();
        in_time(move || std::fs::read(done).unwrap());
    }

    /// A server that is gone again once the dyno has said this. The dyno's row, as it left it.
    fn start(&self, launch: &Launch, said: &str) -> Dyno {
        serve(async {
            let (local, _events) = open(&self.ground, false);
            let started = soon(local.start(launch.clone())).await.unwrap();
            self.ground.said(launch.app, said).await;
            row(launch, started.pid)
        })
    }

    fn printed(&self, launch: &Launch) -> Vec<String> {
        self.ground.printed(launch.app)
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        processes::kill_all(self.ground.path());
    }
}

/// Takes up the dyno of this row, which must be there.
async fn take_up(local: &Local, row: &Dyno) {
    let taken = soon(local.take_up(std::slice::from_ref(row))).await;
    let taken = taken.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].dyno, taken[0].started.pid), (row.id, row.pid));
}

/// Waits until a process has ended.
fn wait_for_end(pid: i64) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let flags = rustix::process::PidfdFlags::empty();
    if let Ok(process) = rustix::process::pidfd_open(pid, flags) {
        in_time(move || {
            let ended = rustix::event::PollFlags::IN;
            let mut set = [rustix::event::PollFd::new(&process, ended)];
            rustix::event::poll(&mut set, None).unwrap();
        });
    }
}

#[test]
fn a_dyno_goes_on_without_a_server_and_the_next_has_all_that_it_printed_and_its_end() {
    let stand = Stand::new();
    let launch = stand.launch("echo before; pause; echo away; meet; pause; echo after; exit 5");
    let row = stand.start(&launch, "before");
    stand.go_on();
    stand.meet();
    assert_eq!(stand.printed(&launch), ["before"]);
    serve(async {
        let (local, mut events) = open(&stand.ground, true);
        take_up(&local, &row).await;
        stand.ground.said(launch.app, "away").await;
        stand.go_on();
        let dyno = launch.dyno;
        let exited = Event::Exited { dyno, status: 5 };
        assert_eq!(soon(events.recv()).await, Some(exited));
        assert_eq!(stand.printed(&launch), ["before", "away", "after"]);
        soon(local.release(dyno)).await;
        assert_eq!(folders(&stand.ground), 0);
        assert!(processes::shims(stand.ground.path()).is_empty());
    });
}

#[test]
fn an_exit_without_a_server_is_news_for_the_next_and_is_kept_until_that_has_it_on_disk() {
    let stand = Stand::new();
    let launch = stand.launch("echo ready; pause; printf 'last words'; exit 3");
    let row = stand.start(&launch, "ready");
    stand.go_on();
    wait_for_end(row.pid.unwrap());
    // The first of these is killed before it has written anything down.
    for _ in 0..2 {
        serve(async {
            let (local, mut events) = open(&stand.ground, false);
            take_up(&local, &row).await;
            let dyno = launch.dyno;
            assert_eq!(events.try_recv(), Ok(Event::Exited { dyno, status: 3 }));
        });
    }
    assert_eq!(stand.printed(&launch), ["ready", "last words"]);
}

#[test]
fn a_line_that_a_server_saw_the_beginning_of_is_whole_with_the_next() {
    let stand = Stand::new();
    let launch = stand.launch("printf 'first\\none li'; pause; echo ne; meet; exec sleep 1000");
    let row = stand.start(&launch, "first");
    stand.go_on();
    stand.meet();
    serve(async {
        let (local, _events) = open(&stand.ground, true);
        take_up(&local, &row).await;
        stand.ground.said(launch.app, "one line").await;
        assert_eq!(stand.printed(&launch), ["first", "one line"]);
    });
}

#[test]
fn a_dyno_that_prints_more_than_can_be_kept_serves_on_and_the_next_server_says_what_was_dropped() {
    const LINES: usize = 2_000;
    let stand = Stand::new();
    let launch = stand.launch(&format!(
        "echo ready; pause; for i in $(seq {LINES}); do printf '%0999d\\n' $i; done; meet; exec sleep 1000"
    ));
    let row = stand.start(&launch, "ready");
    stand.go_on();
    stand.meet();
    serve(async {
        let (local, _events) = open(&stand.ground, true);
        take_up(&local, &row).await;
        stand
            .ground
            .said(launch.app, &format!("{LINES:0999}"))
            .await;
    });
    let lines = stand.ground.lines(launch.app);
    let told = &lines[1];
    let told = told
        .strip_prefix("heroku[logplex]: Error L10 (output buffer overflow): ")
        .unwrap();
    let (dropped, since) = told.split_once(" messages dropped since ").unwrap();
    let dropped: usize = dropped.parse().unwrap();
    assert!(penstock::time::Timestamp::parse(since.trim_end_matches('.')).is_some());
    let kept = &stand.printed(&launch)[1..];
    assert!(kept.len() > 500 && kept.len() < 1_100, "{}", kept.len());
    let expected: Vec<String> = (dropped + 1..=LINES)
        .map(|at| format!("{at:0999}"))
        .collect();
    assert!(kept == expected, "after {dropped}: {:?}", kept.first());
}

#[test]
fn a_stop_that_was_under_way_goes_on_and_nobody_is_signalled_twice() {
    let stand = Stand::new();
    let launch = stand.launch("trap 'echo told; pause; echo bye; exit 9' TERM; sleep 1000 & wait");
    let mut row = serve(async {
        let (local, _events) = open(&stand.ground, false);
        let started = soon(local.start(launch.clone())).await.unwrap();
        // The shell has set its trap when it has a child.
        while processes_of(launch.dyno).len() < 2 {
            tokio::task::yield_now().await;
        }
        tokio::select! {
            _ = local.stop(launch.dyno, GRACE) => panic!("it ended"),
            () = stand.ground.said(launch.app, "told") => {}
        }
        row(&launch, started.pid)
    });
    row.state = State::Down;
    serve(async {
        let (local, mut events) = open(&stand.ground, true);
        take_up(&local, &row).await;
        let going = async { stand.go_on() };
        let (ended, ()) = tokio::join!(soon(local.stop(launch.dyno, GRACE)), going);
        let status = Some(9);
        let killed = false;
        assert_eq!(ended, Ended { status, killed });
        assert!(events.try_recv().is_err());
    });
    assert_eq!(stand.printed(&launch), ["told", "bye"]);
}

#[test]
fn a_dyno_that_no_row_stands_for_is_ended() {
    let stand = Stand::new();
    let launch = stand.launch("echo ready; setsid sleep 1000 & sleep 1000");
    stand.start(&launch, "ready");
    serve(async {
        let (local, _events) = open(&stand.ground, true);
        assert!(soon(local.take_up(&[])).await.unwrap().is_empty());
    });
    assert!(processes_of(launch.dyno).is_empty());
    assert!(processes::shims(stand.ground.path()).is_empty());
    assert_eq!(folders(&stand.ground), 0);
}

#[test]
fn a_web_dyno_that_was_starting_is_reported_when_it_listens_or_when_its_time_is_over() {
    for (boot, listens) in [(Duration::from_secs(60), true), (Duration::ZERO, false)] {
        let stand = Stand::new();
        let mut launch = stand.launch("echo ready; pause; exec python3 -m http.server $PORT");
        launch.boot = boot;
        let port = serve(async { open(&stand.ground, true).0.free_port(&[].into()) });
        launch.port = Some(port.unwrap());
        let mut row = stand.start(&launch, "ready");
        row.state = State::Starting;
        serve(async {
            let (local, mut events) = open(&stand.ground, true);
            take_up(&local, &row).await;
            let dyno = launch.dyno;
            let expected = if listens {
                stand.go_on();
                Event::Listening { dyno }
            } else {
                Event::BootTimeout { dyno }
            };
            assert_eq!(soon(events.recv()).await, Some(expected));
        });
    }
}

#[test]
fn a_dyno_whose_shim_is_killed_is_ended_and_reported() {
    let stand = Stand::new();
    let launch = stand.launch("setsid sleep 1000 & echo ready; exec sleep 1000");
    serve(async {
        let (local, mut events) = open(&stand.ground, true);
        soon(local.start(launch.clone())).await.unwrap();
        stand.ground.said(launch.app, "ready").await;
        for shim in processes::shims(stand.ground.path()) {
            shim.kill();
        }
        let (dyno, status) = (launch.dyno, 137);
        let exited = Event::Exited { dyno, status };
        assert_eq!(soon(events.recv()).await, Some(exited));
        assert!(processes_of(launch.dyno).is_empty());
        soon(local.release(dyno)).await;
        assert_eq!(folders(&stand.ground), 0);
    });
}

#[test]
fn the_path_of_the_data_directory_may_be_longer_than_that_of_a_socket() {
    let stand = Stand::new();
    let data = stand.ground.path().join("long".repeat(40));
    let launch = stand.launch("echo ready; exec sleep 1000");
    let open = |tied| {
        let ground = &stand.ground;
        let (blobs, logs) = (ground.blobs.clone(), ground.logs.clone());
        let outputs = ground.outputs.clone();
        Local::open(&data, blobs, logs, outputs, shims(tied), Isolation::none()).unwrap()
    };
    let row = serve(async {
        let (local, _events) = open(false);
        let started = soon(local.start(launch.clone())).await.unwrap();
        stand.ground.said(launch.app, "ready").await;
        row(&launch, started.pid)
    });
    serve(async {
        let (local, _events) = open(true);
        take_up(&local, &row).await;
        let ended = soon(local.stop(launch.dyno, GRACE)).await;
        assert_eq!(ended.status, Some(143));
    });
}

/// What a shim says to whoever connects to it.
fn greeting(mut caller: Command, socket: &Path) -> Vec<u8> {
    let script = "use IO::Socket::UNIX; my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or die $!; \
        $s->sysread(my $said, 5); print $said";
    caller.args(["perl", "-e", script]).arg(socket);
    let output = caller.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

#[test]
fn another_user_is_turned_away_even_where_nothing_else_is_in_his_way() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("only root can be somebody else, so this is not tried");
        return;
    }
    let stand = Stand::new();
    let launch = stand.launch("echo ready; exec sleep 1000");
    stand.start(&launch, "ready");
    let folder = stand
        .ground
        .path()
        .join("dynos")
        .join(launch.dyno.to_string());
    let socket = folder.join("shim.sock");
    for path in folder.ancestors().take(3).chain([&*socket]) {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let mut stranger = Command::new("setpriv");
    stranger.args(["--reuid", "20123", "--regid", "20123", "--clear-groups"]);
    assert_eq!(greeting(stranger, &socket), b"");
    assert_eq!(greeting(Command::new("env"), &socket).len(), 5);
}
