//! What a dyno must not be able to do, each tried from inside one, and each shown to work without a sandbox where it would.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;

use super::{Bed, Way};

/// Runs these lines of Python as a dyno.
pub fn attempt(way: Way, attempts: &[&str]) -> Bed {
    Bed::python(way, &script(attempts))
}

/// A program that tries one after another, and says of each whether it was done or refused.
pub fn script(attempts: &[&str]) -> String {
    let attempts: String = attempts
        .iter()
        .map(|lines| {
            let lines = lines.replace('\n', "\n    ");
            format!("try:\n    {lines}\n    print('done')\nexcept OSError as error:\n    print('refused')\n")
        })
        .collect();
    format!("{PRELUDE}{attempts}")
}

const PRELUDE: &str = "
import os, socket, ctypes, resource
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
";

/// All of so many attempts come to this.
#[track_caller]
pub fn all(bed: &Bed, count: usize, word: &str) {
    let outcome = bed.run();
    let expected = vec![word; count];
    let said: Vec<&str> = outcome.said.lines().collect();
    assert_eq!(said, expected, "{:?} {:?}", bed.way, bed.spec.argv);
}

/// Nobody can do any of it inside, at any level that isolates.
#[track_caller]
fn refused(attempts: &[&str]) {
    for way in Way::all() {
        all(&attempt(way, attempts), attempts.len(), "refused");
    }
}

/// On the server's folder, which is in `DATA`.
pub const SERVERS: [&str; 4] = [
    "open(os.environ['DATA'] + '/penstock.db', 'rb').read()",
    "open(os.environ['DATA'] + '/api_key').read()",
    "open(os.environ['DATA'] + '/sealing_key', 'a').write('x')",
    "os.listdir(os.environ['DATA'])",
];

#[test]
fn what_the_server_keeps_cannot_be_read() {
    let bed = |way| {
        let bed = attempt(way, &SERVERS);
        for name in ["penstock.db", "api_key", "sealing_key"] {
            bed.private(name, "secret");
        }
        let data = bed.path().display().to_string();
        bed.with("DATA", data)
    };
    for way in Way::all() {
        all(&bed(way), SERVERS.len(), "refused");
    }
    all(&bed(Way::all()[0].open()), SERVERS.len(), "done");
}

#[test]
fn another_apps_files_cannot_be_read() {
    const ATTEMPT: [&str; 1] = ["open(os.environ['FILE']).read()"];
    for way in Way::all() {
        let other = Bed::new(way, "");
        let file = other.spec.app.join("hello");
        all(
            &attempt(way, &ATTEMPT).with("FILE", file.display()),
            1,
            "refused",
        );
        all(
            &attempt(way.open(), &ATTEMPT).with("FILE", file.display()),
            1,
            "done",
        );
    }
}

/// A process of the server's user, which has a secret in its environment.
struct Victim(Child);

impl Victim {
    fn new(bed: &Bed) -> Victim {
        let mut command = bed.outside("sleep");
        Victim(command.arg("1000").env("SECRET", "secret").spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// On a process of the server's user, which is in `VICTIM`.
pub const PROCESSES: [&str; 8] = [
    "open('/proc/' + os.environ['VICTIM'] + '/environ').read()",
    "os.readlink('/proc/' + os.environ['VICTIM'] + '/fd/0')",
    "os.readlink('/proc/' + os.environ['VICTIM'] + '/root')",
    "os.kill(int(os.environ['VICTIM']), 0)",
    // PTRACE_SEIZE and then its end, so that it does no harm where it works.
    "call(101, 0x4206, int(os.environ['VICTIM']), 0, 0)",
    "resource.prlimit(int(os.environ['VICTIM']), resource.RLIMIT_NOFILE, (64, 64))",
    "os.setpriority(os.PRIO_PROCESS, int(os.environ['VICTIM']), 19)",
    "os.sched_setaffinity(int(os.environ['VICTIM']), {0})",
];

#[test]
fn processes_outside_can_be_neither_seen_nor_signalled_nor_traced() {
    for way in Way::all() {
        for (way, word) in [(way, "refused"), (way.open(), "done")] {
            let bed = attempt(way, &PROCESSES);
            let victim = Victim::new(&bed);
            all(&bed.with("VICTIM", victim.pid()), PROCESSES.len(), word);
        }
    }
}

#[test]
fn a_signal_to_everybody_reaches_nobody_outside() {
    for way in Way::all() {
        // Its own init is outside too where it is no part of a namespace.
        let bed = Bed::new(way, "kill -9 -1; echo survived");
        let mut victim = Victim::new(&bed);
        bed.run();
        assert!(victim.0.try_wait().unwrap().is_none(), "{way:?}");
    }
}

#[test]
fn a_dyno_sees_its_own_processes_alone() {
    for way in Way::own_tree() {
        let outcome = Bed::new(way, "echo /proc/[0-9]*; echo $$; hostname").run();
        assert_eq!(outcome.said, "/proc/1 /proc/2\n2\nshop-web-1\n", "{way:?}");
    }
}

#[test]
fn the_launcher_heeds_nothing_of_the_dynos_environment() {
    for way in Way::all() {
        let bed = Bed::new(way, "cat hello; echo $LD_PRELOAD");
        let outcome = bed.with("LD_PRELOAD", "/app/evil.so").run();
        let complaints = outcome
            .said
            .matches("'/app/evil.so' from LD_PRELOAD")
            .count();
        // The shell's own and that of cat.
        assert!(complaints == 2, "{way:?}: {}", outcome.said);
        assert!(
            outcome.said.ends_with("hello\n/app/evil.so\n"),
            "{way:?}: {}",
            outcome.said
        );
    }
}

/// Mounts and namespaces.
pub const MOUNTS: [&str; 8] = [
    "call(165, b'tmpfs', b'/tmp', b'tmpfs', 0, 0)",
    "call(165, b'/', b'/tmp', 0, 0x1000, 0)",
    "call(166, b'/proc', 2)",
    // unshare and clone with a new user namespace, then clone3, and another one's.
    "call(272, 0x10000000)",
    "call(272, 0x00020000)",
    "call(56, 0x10000000 | 17, 0, 0, 0, 0)",
    "call(435, ctypes.create_string_buffer(b'\\0\\0\\0\\x10' + bytes(84)), 88)",
    "call(308, os.open('/proc/self/ns/user', os.O_RDONLY), 0)",
];

#[test]
fn nothing_can_be_mounted_and_no_namespace_made() {
    refused(&MOUNTS);
}

/// What the kernel lets few do.
pub const CALLS: [&str; 7] = [
    // bpf, perf_event_open, io_uring_setup, userfaultfd, add_key, and process_vm_readv of itself.
    "call(321, 0, 0, 0)",
    "call(298, ctypes.create_string_buffer(128), 0, -1, -1, 0)",
    "call(425, 8, ctypes.create_string_buffer(128))",
    "call(323, 1)",
    "call(248, b'user', b'name', b'value', 5, -3)",
    "call(310, os.getpid(), 0, 0, 0, 0, 0)",
    // The x32 number of getpid.
    "call(0x40000000 + 39)",
];

#[test]
fn the_kernels_more_dangerous_calls_are_refused() {
    refused(&CALLS);
}

/// Sockets that programs have no use for.
pub const SOCKETS: [&str; 5] = [
    "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)",
    "socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)",
    "socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)",
    "socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)",
    "socket.socket(38, socket.SOCK_SEQPACKET)",
];

#[test]
fn no_raw_or_unusual_socket_can_be_had() {
    refused(&SOCKETS);
}

/// The system's own files.
pub const SYSTEM: [&str; 6] = [
    "open('/usr/evil', 'w')",
    "open('/etc/evil', 'w')",
    "open('/evil', 'w')",
    "open('/dev/evil', 'w')",
    "open('/proc/sys/kernel/hostname', 'w').write('x')",
    "os.mknod('/tmp/disk', 0o60666, os.makedev(254, 0))",
];

#[test]
fn the_system_cannot_be_written_to() {
    refused(&SYSTEM);
}

#[test]
fn a_dyno_has_no_capability_and_no_program_gives_it_one() {
    for way in Way::all() {
        let bed = Bed::new(
            way,
            "grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status; ls /proc/self/fd | wc -l",
        );
        let said = bed.run().said;
        let field = |name: &str| {
            let line = said.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace()
                .nth(1)
                .unwrap_or_default()
                .to_owned()
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "{way:?} {set}");
        }
        if way.level.has_own_tree() {
            assert_eq!(field("CapBnd"), "0000000000000000", "{way:?}");
        }
        assert_eq!(
            (field("NoNewPrivs"), field("Seccomp:")),
            ("1".into(), "2".into()),
            "{way:?}"
        );
        // Three streams, and the one that ls reads the folder with.
        assert_eq!(said.lines().last(), Some("4"), "{way:?}");
    }
}

#[test]
fn another_dynos_port_cannot_be_taken_where_the_network_is_shared() {
    const ATTEMPT: [&str; 1] =
        ["s = socket.socket()\ns.bind(('', int(os.environ['WANTED'])))\ns.listen()"];
    for way in Way::all() {
        let other = crate::binary::ports::port();
        let mut bed = attempt(way, &ATTEMPT).with("WANTED", other);
        all(&bed, 1, "refused");
        bed.spec.port = Some(other);
        all(&bed, 1, "done");
        all(&attempt(way, &ATTEMPT).with("WANTED", 0), 1, "done");
    }
}

#[test]
fn what_dynos_write_is_their_own_and_gone_with_them() {
    for way in Way::own_tree() {
        let script = "echo more >> hello; echo x > new; echo y > /tmp/z; echo q > /dev/shm/q; rm -rf /var/tmp/none; mkdir d; mv hello d/hello; cat d/hello new; ls /tmp; touch /dev/stdout";
        let bed = Bed::new(way, script);
        for _ in 0..2 {
            let outcome = bed.run();
            assert_eq!(
                (outcome.status, outcome.said.as_str()),
                (0, "hello\nmore\nx\nz\n"),
                "{way:?}"
            );
        }
        assert_eq!(
            std::fs::read_to_string(bed.spec.app.join("hello")).unwrap(),
            "hello\n"
        );
        assert_eq!(
            std::fs::read_dir(&bed.spec.folder).unwrap().count(),
            0,
            "{way:?}"
        );
    }
}

#[test]
fn ordinary_programs_run() {
    const SCRIPT: &str = "set -e
python3 - <<'END'
import multiprocessing, tempfile, threading, socket, subprocess, os, pty
with multiprocessing.Pool(2) as pool: assert pool.map(abs, [-1, -2]) == [1, 2]
tempfile.NamedTemporaryFile().write(b'x')
threading.Thread(target=lambda: None).start()
a, b = socket.socketpair(); a.send(b'x'); assert b.recv(1) == b'x'
assert subprocess.check_output(['cat', 'hello']) == b'hello\\n'
assert socket.gethostbyname('localhost') == '127.0.0.1'
os.rename('hello', 'other'); os.link('other', 'third')
pty.spawn(['true'])
END
id -un; echo $PWD; cd; yes | head -1";
    for way in Way::own_tree() {
        let outcome = Bed::new(way, SCRIPT).with("HOME", "/app").run();
        assert_eq!(
            (outcome.status, outcome.said.as_str()),
            (0, "dyno\n/app\ny\n"),
            "{way:?}"
        );
    }
}

/// A folder that is not below `/tmp`, of which a dyno has its own, wherever this was cloned.
pub fn outside_of_tmp() -> tempfile::TempDir {
    let home = std::env::var("HOME").unwrap_or_default();
    let places = [env!("CARGO_TARGET_TMPDIR"), "/var/cache", home.as_str()];
    let private = ["/tmp", "/var/tmp", "/run", "/dev"];
    let mut places = places
        .into_iter()
        .filter(|place| !private.iter().any(|own| Path::new(place).starts_with(own)));
    let made = places.find_map(|place| tempfile::tempdir_in(place).ok());
    made.expect("there is a folder outside of /tmp to write to")
}

#[test]
fn the_servers_folder_is_hidden_even_below_one_that_dynos_read() {
    for way in Way::all() {
        let mut bed = Bed::new(way, "ls $SHOWN; ls $SHOWN/data; cat $SHOWN/data/api_key");
        let shown = outside_of_tmp();
        std::fs::set_permissions(shown.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let data = shown.path().join("data");
        std::fs::create_dir(&data).unwrap();
        // Readable to everybody, so that nothing but the sandbox is in the way.
        std::fs::write(data.join("api_key"), "secret").unwrap();
        std::fs::write(shown.path().join("note"), "").unwrap();
        bed.spec.readable = vec![shown.path().to_owned()];
        bed.spec.hidden = data;
        let outcome = bed.with("SHOWN", shown.path().display()).run();
        assert!(
            !outcome.said.contains("secret"),
            "{way:?}: {}",
            outcome.said
        );
        match way.level.has_own_tree() {
            true => assert!(outcome.said.contains("note\n"), "{way:?}: {}", outcome.said),
            // There it cannot be hidden, so nothing is run at all.
            false => assert!(
                outcome.status == 125 && outcome.said.contains("--data-dir"),
                "{}",
                outcome.said
            ),
        }
    }
}

#[test]
fn sockets_of_others_that_are_files_cannot_be_connected_to() {
    const ATTEMPT: [&str; 1] =
        ["s = socket.socket(socket.AF_UNIX)\ns.connect(os.environ['SOCKET'])"];
    for way in Way::all() {
        for (way, word) in [(way, "refused"), (way.open(), "done")] {
            let bed = attempt(way, &ATTEMPT);
            let path = bed.path().join("shim.sock");
            let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o777)).unwrap();
            all(&bed.with("SOCKET", path.display()), 1, word);
        }
    }
}
