//! The network of a dyno at level full: the router reaches in, it reaches out, and nothing else but what it is shown.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

use penstock::name::Id;
use penstock::sandbox::{Isolation, Level, Network, Settings, net};
use penstock::transport::UNCROWDED;

use super::inside::{all, attempt, outside_of_tmp};
use super::{Bed, Way, network, root};
use crate::binary::{HANG, in_time};

const FULL: Way = Way {
    level: Level::Full,
    plain: false,
};

/// Tries to connect to each of `TARGETS`, and says what came of it; then answers whoever connects to its port.
const SCRIPT: &str = "
import os, socket
server = socket.socket(); server.bind(('', 5000)); server.listen()
print('ready', flush=True)
for target in os.environ.get('TARGETS', '').split():
    host, port = target.rsplit(':', 1)
    try:
        socket.create_connection((host, int(port)), 0.3).close()
        print(target, 'reached', flush=True)
    except OSError:
        print(target, 'refused', flush=True)
connection, address = server.accept()
connection.send(address[0].encode())
";

fn try_connect(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, HANG)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn only_the_router_reaches_a_dyno_and_it_reaches_nothing_here() {
    if !root() {
        return;
    }
    // Everywhere on this machine, as many programs listen.
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let first = Bed::python(FULL, SCRIPT).networked(1);
    let second = Bed::python(FULL, SCRIPT).networked(2);
    let (one, two) = (network(1).address, network(2).address);
    let targets = format!(
        "127.0.0.1:{port} {}:{port} 169.254.169.254:80 {two}:5000",
        network(1).gateway
    );
    let mut other = second.start();
    let first = first.with("TARGETS", targets);
    let mut child = first.start();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let said = in_time(move || {
        let said: Vec<String> = output.by_ref().take(5).map(Result::unwrap).collect();
        (said, output)
    });
    assert_eq!(said.0[0], "ready");
    assert!(
        said.0[1..].iter().all(|line| line.ends_with("refused")),
        "{:?}",
        said.0
    );
    assert_eq!(
        net::cables()
            .iter()
            .filter(|name| **name == net::name(one))
            .count(),
        1
    );
    // The server is root, and so is this.
    assert_eq!(
        try_connect((one, 5000).into()).unwrap(),
        network(1).gateway.to_string()
    );
    assert_eq!(
        try_connect((two, 5000).into()).unwrap(),
        network(2).gateway.to_string()
    );
    in_time(move || (child.wait().unwrap(), other.wait().unwrap()));
    let left = net::cables();
    assert!(
        !left.contains(&net::name(one)) && !left.contains(&net::name(two)),
        "{left:?}"
    );
}

#[test]
fn what_a_dyno_answers_to_the_router_is_not_held_back_as_if_it_went_far() {
    if !root() {
        return;
    }
    let script = "
import os, socket
server = socket.socket(); server.bind(('', 5000)); server.listen()
# Whatever the machine is set to, these are not the rules that are looked for.
server.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, os.environ['RULES'].encode())
print('ready', flush=True)
connection, address = server.accept()
connection.send(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16))
";
    // A dyno may only choose among these. Where there are no others, the machine's are those that are looked for.
    let allowed = fs::read_to_string("/proc/sys/net/ipv4/tcp_allowed_congestion_control").unwrap();
    let mut others = allowed.split_whitespace().filter(|name| *name != UNCROWDED);
    let bed = Bed::python(FULL, script).networked(9);
    let bed = bed.with("RULES", others.next().unwrap_or(UNCROWDED).to_owned());
    let mut child = bed.start();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let rules = try_connect((network(9).address, 5000).into()).unwrap();
    assert_eq!(rules.trim_end_matches('\0'), UNCROWDED);
    in_time(move || child.wait().unwrap());
}

#[test]
fn other_users_of_the_machine_do_not_reach_a_dyno() {
    if !root() {
        return;
    }
    let bed = Bed::python(FULL, SCRIPT).networked(3);
    let mut child = bed.start();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    let address = network(3).address;
    let attempt = format!("import socket; socket.create_connection(('{address}', 5000), 0.5)");
    let way = Way {
        level: Level::None,
        plain: true,
    };
    let stranger = Bed::python(way, &attempt).run();
    assert!(
        stranger.status != 0 && stranger.said.contains("timed out"),
        "{}",
        stranger.said
    );
    assert!(try_connect((address, 5000).into()).is_ok());
    in_time(move || child.wait().unwrap());
}

#[test]
fn two_dynos_cannot_have_one_address() {
    if !root() {
        return;
    }
    let first = Bed::python(FULL, SCRIPT).networked(4);
    let mut child = first.start();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let second = Bed::new(FULL, "echo ran").networked(4).run();
    assert_eq!(second.status, 125);
    assert!(
        second.said.contains("connect its network"),
        "{}",
        second.said
    );
    assert!(try_connect((network(4).address, 5000).into()).is_ok());
    in_time(move || child.wait().unwrap());
}

#[test]
fn a_server_takes_only_its_own_cable_away() {
    if !root() {
        return;
    }
    let (own, another) = (Id::new(), Id::new());
    let mut bed = Bed::python(FULL, SCRIPT).networked(6);
    let network = Network {
        owner: own.to_string(),
        ..network(6)
    };
    let address = network.address;
    bed.spec.network = Some(network);
    let mut child = bed.start();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let data = tempfile::tempdir().unwrap();
    let server = Isolation::new(Level::Full, Settings::default(), data.path());
    let is_there = || net::cables().contains(&net::name(address));
    for (id, stays) in [(another, true), (own, false)] {
        // Both had this address, one after the other.
        server.take_up(id, Some(address));
        server.clean(id);
        assert_eq!(is_there(), stays);
    }
    child.kill().unwrap();
    in_time(move || child.wait().unwrap());
}

#[test]
fn a_dyno_has_no_other_interface_and_no_address_that_no_rule_is_for() {
    if !root() {
        return;
    }
    let script = "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' ' | sort; grep -v ' lo$' /proc/net/if_inet6";
    let outcome = Bed::new(FULL, script).networked(5).run();
    assert_eq!(
        outcome.said,
        "eth0
lo
"
    );
}

#[test]
fn a_database_of_the_machine_is_reached_by_its_socket_in_a_folder_that_is_shown() {
    const ATTEMPT: [&str; 1] =
        ["s = socket.socket(socket.AF_UNIX)\ns.connect(os.environ['SOCKET'])"];
    for way in Way::own_tree() {
        let shown = outside_of_tmp();
        fs::set_permissions(shown.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let path = shown.path().join(".s.PGSQL.5432");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
        let mut bed = attempt(way, &ATTEMPT).with("SOCKET", path.display());
        all(&bed, 1, "refused");
        bed.spec.readable = vec![shown.path().to_owned()];
        all(&bed, 1, "done");
    }
}
