//! The way out of a dyno at level full, through a whole server: on a machine of the test's own, which is a network namespace with
//! another one behind it. Nothing of the real machine's network is touched.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

use penstock::sandbox::net;

use super::root;
use crate::binary::sample::tarball;
use crate::binary::{Place, Server, TIED, in_time};

const INSIDE: &str = "EGRESS_TEST";
/// Between the two: this machine's address, and the other's.
const OURS: &str = "203.0.113.1";
const THEIRS: &str = "203.0.113.2";
/// The other machine has these as well: one of a private network, and the one where clouds keep a machine's secrets.
const PRIVATE: &str = "10.77.0.1";
const METADATA: &str = "169.254.169.254";

/// Says to whoever connects where he comes from.
const OTHER: &str = "
import socket, sys
print('here', flush=True)
sys.stdin.readline()
server = socket.socket(); server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(('', 80)); server.listen()
print('listening', flush=True)
while True:
    connection, address = server.accept()
    connection.send(address[0].encode()); connection.close()
";

const DYNO: &str = "
import socket
for target in ('203.0.113.2', '10.77.0.1', '169.254.169.254'):
    try:
        connection = socket.create_connection((target, 80), 2)
        print(target, 'sees', connection.recv(99).decode(), flush=True)
    except OSError:
        print(target, 'is not reached', flush=True)
print('done', flush=True)
";

#[test]
fn a_dyno_reaches_other_machines_under_this_ones_address() {
    if !root() {
        return;
    }
    let mut command = Command::new("unshare");
    command.arg("--net").arg(std::env::current_exe().unwrap());
    let name = "sandbox::egress::machine";
    command.args([name, "--exact", "--ignored", "--nocapture"]);
    let output = command.env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{complaints}");
    assert!(said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "this is the machine that the test above makes"]
async fn machine() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let _other = Other::start();
    let metadata = format!("{METADATA} is not reached");
    let open = [
        format!("{THEIRS} sees {OURS}"),
        format!("{PRIVATE} sees {OURS}"),
        metadata.clone(),
    ];
    let mut run = Run::start(&[]).await;
    run.dyno_says(1, &open).await;
    // Somebody empties all tables, and thinks nothing of it: the next dyno's rules are whole again.
    if nft(&["flush", "table", "inet", net::TABLE]) {
        run.dyno_says(2, &open).await;
        // Rules of somebody's own among these are not what was promised either.
        let own = ["insert", "rule", "inet", net::TABLE, "through", "accept"];
        assert!(nft(&own));
        run.dyno_says(3, &open).await;
    }
    run.server.stop();
    let mut run = Run::start(&["--dyno-private-networks=false"]).await;
    let closed = [
        format!("{THEIRS} sees {OURS}"),
        format!("{PRIVATE} is not reached"),
        metadata,
    ];
    run.dyno_says(1, &closed).await;
    run.server.stop();
}

/// Whether it is there and does it.
fn nft(arguments: &[&str]) -> bool {
    let status = Command::new("nft").args(arguments).status();
    status.is_ok_and(|status| status.success())
}

/// A server on that machine.
struct Run {
    server: Server,
    _place: Place,
}

impl Run {
    async fn start(arguments: &[&str]) -> Run {
        let place = Place::new();
        let arguments = [&[TIED, "--isolation=full"], arguments].concat();
        let mut command = place.command(&arguments);
        // That of the namespace.
        command.env("PENSTOCK_DYNO_FORWARDING", "true");
        let server = Server::start(command, &place.log());
        let client = server.client();
        client.create_app("app").await;
        let procfile = "worker: python3 tell.py; exec tail -f /dev/null\n";
        let source = tarball(&[("Procfile", procfile), ("tell.py", DYNO)]);
        client.deploy("app", source).await;
        Run {
            server,
            _place: place,
        }
    }

    /// One more dyno, of this number, finds this.
    async fn dyno_says(&mut self, number: u32, expected: &[String]) {
        let client = self.server.client();
        let scale = serde_json::json!({"quantity": number});
        client
            .patch("/apps/app/formation/worker", scale)
            .await
            .expect(200);
        let mut tail = client.tail("app", 1_500).await.unwrap();
        tail.until(&format!("app[worker.{number}]: done")).await;
        let log = client.logs("app").await;
        for said in expected {
            let said = format!("app[worker.{number}]: {said}");
            assert!(log.contains(&said), "{said}: {log}");
        }
    }
}

/// The machine behind this one.
struct Other {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Other {
    fn start() -> Other {
        let mut child = Command::new("unshare")
            .args(["--net", "python3", "-c", OTHER])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        let mut other = Other { child, said };
        other.says("here");
        let pid = other.child.id().to_string();
        let ours = format!("{OURS}/24");
        for line in [
            vec!["link", "set", "lo", "up"],
            vec![
                "link", "add", "out0", "type", "veth", "peer", "name", "other0",
            ],
            vec!["link", "set", "other0", "netns", &pid],
            vec!["addr", "add", &ours, "dev", "out0"],
            vec!["link", "set", "out0", "up"],
            vec!["route", "add", "default", "via", THEIRS],
        ] {
            run(Command::new("ip").args(line));
        }
        for line in [
            format!("addr add {THEIRS}/24 dev other0"),
            format!("addr add {PRIVATE}/32 dev other0"),
            format!("addr add {METADATA}/32 dev other0"),
            "link set other0 up".to_owned(),
        ] {
            let mut inside = Command::new("nsenter");
            inside.args(["--net", "--target", &pid, "ip"]);
            run(inside.args(line.split(' ')));
        }
        // Closed with this, which is its word to go on.
        drop(other.child.stdin.take());
        other.says("listening");
        other
    }

    fn says(&mut self, word: &str) {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert_eq!(line.trim_end(), word);
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn run(command: &mut Command) {
    let mut child = command.spawn().unwrap();
    let status = in_time(move || child.wait().unwrap());
    assert!(status.success(), "{command:?}");
}
