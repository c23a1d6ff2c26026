//! What a build must not be able to do, each tried from inside one, and shown to work where nothing isolates it.

use std::net::TcpListener;
use std::process::{Child, Command};

use nix::unistd::geteuid;
use penstock::sandbox::{Isolation, Level, Settings};

use super::super::Site;
use super::{built, failed, inline};
use crate::sandbox::inside::{CALLS, MOUNTS, PROCESSES, SERVERS, SOCKETS, SYSTEM, script};

/// Those at which builds are promised to be kept apart, as far as this user can try them.
fn levels() -> Vec<Level> {
    let full = geteuid().is_root().then_some(Level::Full);
    full.into_iter().chain([Level::Userns]).collect()
}

fn site(level: Level) -> Site {
    let mut site = Site::new();
    site.parts.bench.isolation = Isolation::new(level, Settings::default(), site.dir.path());
    site
}

/// What came of each attempt of a build at a level.
async fn tried(level: Level, attempts: &[&str], outside: &Outside) -> Vec<String> {
    let site = site(level);
    let path = |name: &str| site.dir.path().join(name);
    std::fs::write(path("api_key"), "secret").unwrap();
    std::fs::write(path("sealing_key"), "secret").unwrap();
    let compile = format!(
        "cat > /tmp/try.py <<'END'\n{}END\nDATA={} VICTIM={} PORT={} python3 /tmp/try.py",
        script(attempts),
        site.dir.path().display(),
        outside.victim.id(),
        outside.listener.local_addr().unwrap().port(),
    );
    let (_, output) = built(&site, inline(&compile), &[]).await;
    let words = output.lines().map(str::trim);
    let words = words.filter(|line| ["done", "refused"].contains(line));
    let words: Vec<String> = words.map(str::to_owned).collect();
    assert_eq!(words.len(), attempts.len(), "{level}: {output}");
    words
}

/// A process of the server's user and a port of this machine.
struct Outside {
    victim: Child,
    listener: TcpListener,
}

impl Outside {
    fn new() -> Outside {
        let mut sleep = Command::new("sleep");
        Outside {
            victim: sleep.arg("1000").env("SECRET", "secret").spawn().unwrap(),
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.victim.kill().unwrap();
        self.victim.wait().unwrap();
    }
}

#[tokio::test]
async fn a_build_sees_nothing_of_the_server_nor_of_what_else_runs() {
    // The last is of other apps: what they left for their next builds.
    let attempts = [
        &SERVERS[..],
        &PROCESSES,
        &["os.listdir(os.environ['DATA'] + '/caches')"],
    ]
    .concat();
    let outside = Outside::new();
    for level in levels() {
        let words = tried(level, &attempts, &outside).await;
        assert!(
            words.iter().all(|word| word == "refused"),
            "{level}: {words:?}"
        );
    }
    let words = tried(Level::None, &attempts, &outside).await;
    assert!(words.iter().all(|word| word == "done"), "{words:?}");
}

#[tokio::test]
async fn a_build_gets_no_rights_and_leaves_the_system_as_it_is() {
    let attempts = [&MOUNTS[..], &CALLS, &SOCKETS, &SYSTEM].concat();
    let outside = Outside::new();
    for level in levels() {
        let words = tried(level, &attempts, &outside).await;
        assert!(
            words.iter().all(|word| word == "refused"),
            "{level}: {words:?}"
        );
    }
}

#[tokio::test]
async fn a_build_listens_on_no_port_of_this_machine_and_reaches_none_where_it_has_its_own_network()
{
    const LISTEN: &str =
        "s = socket.socket()\ns.bind(('', int(os.environ['PORT']) + 1))\ns.listen()";
    const CONNECT: &str = "socket.create_connection(('127.0.0.1', int(os.environ['PORT'])), 2)";
    let outside = Outside::new();
    for (level, attempt) in [(Level::Userns, LISTEN), (Level::Full, CONNECT)] {
        if levels().contains(&level) {
            assert_eq!(
                tried(level, &[attempt], &outside).await,
                ["refused"],
                "{level}"
            );
        }
    }
    assert_eq!(tried(Level::None, &[CONNECT], &outside).await, ["done"]);
}

#[tokio::test]
async fn a_build_that_signals_everybody_ends_itself_alone() {
    for level in levels() {
        let mut outside = Outside::new();
        failed(&site(level), inline("kill -9 -1; kill -9 $$"), &[]).await;
        assert!(outside.victim.try_wait().unwrap().is_none(), "{level}");
    }
}

#[tokio::test]
async fn a_build_that_makes_files_without_end_is_ended() {
    let mut site = Site::new();
    site.settings.limits.disk = 16;
    let hog = "python3 -c 'import os\nfor at in range(10_000_000):\n  open(\"/tmp/%d\" % at, \"w\").close()'";
    let output = failed(&site, inline(hog), &[]).await;
    assert!(output.contains("made more than 8192 files"), "{output}");
}
