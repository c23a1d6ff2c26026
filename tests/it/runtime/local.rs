//! The local runtime, with real shells and what they start.

use std::collections::BTreeMap;
use std::time::Duration;

use penstock::blob::Digest;
use penstock::name::Id;
use penstock::runtime::{Ended, Event, Haste, Isolation, Launch, Local, Runtime, Streams};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Ground, shims, soon};

pub const GRACE: Duration = Duration::from_secs(50);

pub struct Place {
    pub ground: Ground,
    pub local: Local,
    pub events: UnboundedReceiver<Event>,
}

impl Place {
    pub fn new() -> Place {
        let ground = Ground::new();
        let (local, events) = open(&ground, true);
        Place {
            ground,
            local,
            events,
        }
    }

    pub fn worker(&self, command: &str) -> Launch {
        launch(self.ground.slug(&[("hello.txt", "hello\n")]), command)
    }

    fn web(&self, command: &str) -> Launch {
        Launch {
            name: "web.1".into(),
            r#type: "web".into(),
            port: Some(self.local.free_port(&[].into()).unwrap()),
            ..self.worker(command)
        }
    }

    pub async fn event(&mut self) -> Event {
        soon(self.events.recv()).await.unwrap()
    }

    pub fn folders(&self) -> usize {
        folders(&self.ground)
    }

    /// Runs a command to its end, and returns its status and what it printed.
    async fn outcome(&mut self, launch: Launch) -> (i32, Vec<String>) {
        let (id, app) = (launch.dyno, launch.app);
        soon(self.local.start(launch)).await.unwrap();
        match self.event().await {
            Event::Exited { dyno, status } if dyno == id => (status, self.ground.printed(app)),
            other => panic!("{other:?}"),
        }
    }
}

pub fn folders(ground: &Ground) -> usize {
    let folder = ground.path().join("dynos");
    std::fs::read_dir(folder).unwrap().count()
}

pub fn open(ground: &Ground, tied: bool) -> (Local, UnboundedReceiver<Event>) {
    open_isolated(ground, tied, Isolation::none())
}

pub fn open_isolated(
    ground: &Ground,
    tied: bool,
    isolation: Isolation,
) -> (Local, UnboundedReceiver<Event>) {
    Local::open(
        ground.path(),
        ground.blobs.clone(),
        ground.logs.clone(),
        ground.outputs.clone(),
        shims(tied),
        isolation,
    )
    .unwrap()
}

pub fn launch(slug: Digest, command: &str) -> Launch {
    Launch {
        dyno: Id::new(),
        app: Id::new(),
        app_name: "shop".into(),
        name: "worker.1".into(),
        r#type: "worker".into(),
        command: command.into(),
        config_vars: BTreeMap::new(),
        slug,
        release: Id::new(),
        release_version: 3,
        port: None,
        size: "Basic".into(),
        uid: None,
        output: None,
        boot: Duration::from_secs(60),
        inside: None,
        streams: Streams::Output,
        haste: Haste::default(),
    }
}

pub fn is_alive(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[tokio::test]
async fn all_that_a_dyno_printed_is_in_its_log_in_order_when_its_exit_is_reported() {
    let mut place = Place::new();
    let launch = place.worker(
        "for i in $(seq 300); do echo out $i; echo err $i >&2; done; printf unfinished; exit 3",
    );
    let (status, printed) = place.outcome(launch).await;
    assert_eq!(status, 3);
    let mut expected: Vec<String> = (1..=300)
        .flat_map(|i| [format!("out {i}"), format!("err {i}")])
        .collect();
    expected.push("unfinished".into());
    assert_eq!(printed, expected);
}

#[tokio::test]
async fn a_dyno_has_its_own_copy_of_the_slug_and_no_other_place() {
    let mut place = Place::new();
    let launch = place.worker(
        "cat hello.txt; echo more >> hello.txt; [ \"$HOME\" = \"$(pwd -P)\" ] && echo at home",
    );
    let home = place
        .ground
        .path()
        .join("dynos")
        .join(launch.dyno.to_string())
        .join("app");
    let (status, printed) = place.outcome(launch.clone()).await;
    assert_eq!(
        (status, printed),
        (0, vec!["hello".into(), "at home".into()])
    );
    soon(place.local.stop(launch.dyno, GRACE)).await;
    assert!(!home.exists());
}

#[tokio::test]
async fn a_command_is_data_and_a_signal_is_its_status() {
    let mut place = Place::new();
    let launch = place.worker("echo \"it's $((1 + 1))\" '; $0 `x`'; kill -9 $$");
    assert_eq!(
        place.outcome(launch).await,
        (137, vec!["it's 2 ; $0 `x`".into()])
    );
    let launch = place.worker("no-such-program-anywhere");
    assert_eq!(place.outcome(launch).await.0, 127);
}

#[tokio::test]
async fn the_environment_holds_the_config_vars_and_nothing_of_the_servers() {
    let mut place = Place::new();
    let mut launch = place.web("env | sort");
    launch.config_vars = [
        ("GREETING", "hi"),
        ("HOME", "/nowhere"),
        ("DYNO", "x"),
        ("PATH", "/bin:/usr/bin"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    let id = launch.dyno;
    let home = place
        .ground
        .path()
        .canonicalize()
        .unwrap()
        .join(format!("dynos/{id}/app"));
    let port = launch.port.unwrap();
    let (status, mut printed) = place.outcome(launch).await;
    // The shell's own: how deep it is nested, and what it started last.
    printed.retain(|line| !line.starts_with("SHLVL=") && !line.starts_with("_="));
    let home = home.display();
    let expected = [
        "DYNO=web.1".to_owned(),
        "GREETING=hi".into(),
        format!("HOME={home}"),
        "LANG=C.UTF-8".into(),
        "PATH=/bin:/usr/bin".into(),
        format!("PENSTOCK_DYNO={id}"),
        format!("PORT={port}"),
        format!("PWD={home}"),
    ];
    assert_eq!((status, printed), (0, expected.to_vec()));
}

#[tokio::test]
async fn only_the_web_has_a_port_whatever_the_config_vars_say() {
    let mut place = Place::new();
    let mut launch = place.worker("echo port ${PORT:-none}");
    launch.config_vars.insert("PORT".into(), "80".into());
    assert_eq!(place.outcome(launch).await.1, ["port none"]);
}

#[tokio::test]
async fn no_descriptor_of_the_server_is_inherited() {
    let mut place = Place::new();
    let secret = std::fs::File::create(place.ground.path().join("secret")).unwrap();
    // As if whoever started the server had left it open.
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).unwrap();
    let launch = place.worker("readlink /proc/$$/fd/* | grep -c secret");
    assert_eq!(place.outcome(launch).await.1, ["0"]);
}

#[tokio::test]
async fn profiles_are_sourced_before_the_command() {
    let mut place = Place::new();
    let slug = place.ground.slug(&[
        (".profile.d/10-a.sh", "export ORDER=a\nset -- gone\n"),
        (".profile.d/20-b.sh", "export ORDER=$ORDER-b\n"),
        (".profile.d/notes.txt", "exit 9\n"),
        (".profile", "export ORDER=$ORDER-profile\n"),
    ]);
    let (status, printed) = place.outcome(launch(slug, "echo $ORDER")).await;
    assert_eq!((status, printed), (0, vec!["a-b-profile".into()]));
}

#[tokio::test]
async fn a_web_dyno_is_reported_when_it_listens_and_serves_its_files() {
    let mut place = Place::new();
    let launch = place.web("/usr/bin/env python3 -m http.server $PORT");
    let started = soon(place.local.start(launch.clone())).await.unwrap();
    assert_eq!(started.port, launch.port);
    assert_eq!(place.event().await, Event::Listening { dyno: launch.dyno });
    assert!(is_alive(started.pid.unwrap()));
    let ended = soon(place.local.stop(launch.dyno, GRACE)).await;
    assert_eq!(
        ended,
        Ended {
            status: Some(143),
            killed: false
        }
    );
}

#[tokio::test]
async fn a_web_dyno_that_never_listens_is_reported_and_left_alone() {
    let mut place = Place::new();
    let mut launch = place.web("exec sleep 1000");
    launch.boot = Duration::from_millis(20);
    let started = soon(place.local.start(launch.clone())).await.unwrap();
    assert_eq!(
        place.event().await,
        Event::BootTimeout { dyno: launch.dyno }
    );
    assert!(is_alive(started.pid.unwrap()));
    let ended = soon(place.local.stop(launch.dyno, Duration::ZERO)).await;
    assert_eq!(
        ended,
        Ended {
            status: Some(137),
            killed: false
        }
    );
}

/// Listens somewhere on this machine, says where, and goes on.
const ASTRAY: &str = r#"exec perl -MIO::Socket::INET -e '$| = 1;
my $socket = IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1) or die;
print $socket->sockport, "\n"; sleep'"#;

#[tokio::test]
async fn a_web_dyno_that_listens_elsewhere_is_told_where_and_what_to_do() {
    let mut place = Place::new();
    let mut launch = place.web(ASTRAY);
    // By its end perl has to have begun, to listen and to have said so.
    launch.boot = Duration::from_secs(10);
    let port = launch.port.unwrap();
    soon(place.local.start(launch.clone())).await.unwrap();
    let timeout = Event::BootTimeout { dyno: launch.dyno };
    assert_eq!(place.event().await, timeout);
    let words = place.local.last_words(launch.dyno);
    let astray = &words.output[0];
    assert_eq!(
        words.probe.unwrap(),
        format!(
            "nobody listens on port {port}, but the app listens on 127.0.0.1:{astray}. Have it listen on 0.0.0.0:$PORT"
        )
    );
}

#[tokio::test]
async fn a_dyno_without_a_slug_does_not_start_and_leaves_nothing() {
    let place = Place::new();
    let launch = launch(Digest::of(b"never uploaded"), "echo hello");
    assert!(soon(place.local.start(launch.clone())).await.is_err());
    assert_eq!(place.folders(), 0);
    let ended = soon(place.local.stop(launch.dyno, GRACE)).await;
    assert_eq!(ended, Ended::default());
}

/// As a server does before anything else, and which of its trees it then has.
async fn trees_of_the_next_server(ground: &Ground) -> Vec<String> {
    let (local, _events) = open(ground, true);
    soon(local.take_up(&[])).await.unwrap();
    let entries = std::fs::read_dir(ground.path().join("trees")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("unpacked")).collect()
}

#[tokio::test]
async fn no_tree_of_files_is_trusted_after_the_machine_was_started_anew() {
    let ground = Ground::new();
    let trees = ground.path().join("trees");
    let unpacked = || std::fs::create_dir_all(trees.join("unpacked/app")).unwrap();
    assert_eq!(trees_of_the_next_server(&ground).await.len(), 0);
    unpacked();
    // The server alone was: what an app's next dyno needs is there, though none uses it now.
    assert_eq!(trees_of_the_next_server(&ground).await, ["unpacked"]);
    std::fs::write(trees.join("boot"), "an earlier one\n").unwrap();
    assert_eq!(trees_of_the_next_server(&ground).await.len(), 0);
    unpacked();
    assert_eq!(trees_of_the_next_server(&ground).await, ["unpacked"]);
}

#[tokio::test]
async fn what_a_dyno_has_locked_and_nested_is_removed_with_it() {
    let mut place = Place::new();
    let nest = "set -e; for i in $(seq 300); do mkdir a-name-of-some-length; cd a-name-of-some-length; done; \
        touch deep; chmod 0 \"$HOME/a-name-of-some-length\"; chmod 0 \"$HOME/..\"";
    let launch = place.worker(nest);
    assert_eq!(place.outcome(launch.clone()).await.0, 0);
    soon(place.local.release(launch.dyno)).await;
    assert_eq!(place.folders(), 0);
}
