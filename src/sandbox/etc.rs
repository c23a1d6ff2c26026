//! What of the machine's `/etc` a dyno sees: what programs need to run, and no more.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::Spec;

/// Taken from the machine as it is.
const NAMES: &[&str] = &[
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "crypto-policies",
    "debian_version",
    "fonts",
    "gai.conf",
    "host.conf",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "localtime",
    "lsb-release",
    "magic",
    "magic.mime",
    "mime.types",
    "networks",
    "nsswitch.conf",
    "os-release",
    "perl",
    "php",
    "pki",
    "profile",
    "protocols",
    "redhat-release",
    "rpc",
    "services",
    "ssl",
    "static",
    "terminfo",
    "timezone",
];
/// So are those that begin like this: Debian keeps a version in the name.
const PREFIXES: &[&str] = &["ImageMagick", "java", "maven", "nodejs", "python", "ruby"];
/// A dyno with a tree of its own gets others in their place.
const REPLACED: &[&str] = &["hosts", "resolv.conf", "passwd", "group"];
/// Where systemd's resolver says whom it asks itself: it listens on the machine's loopback, which a network of its own has not.
const UPSTREAM: &str = "/run/systemd/resolve/resolv.conf";

/// The names in `/etc` that a dyno sees as they are.
pub fn names() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/etc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| {
            NAMES.contains(&name.as_str()) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        })
        .collect()
}

/// What a dyno may read in the machine's own `/etc`, where it has no other.
pub fn readable() -> Vec<PathBuf> {
    let etc = Path::new("/etc");
    let replaced = REPLACED.iter().map(|name| etc.join(name));
    names()
        .iter()
        .map(|name| etc.join(name))
        .chain(replaced)
        .collect()
}

/// The files of a dyno's own `/etc`, by name.
pub fn files(spec: &Spec, uid: u32, gid: u32) -> Vec<(&'static str, String)> {
    vec![
        ("hostname", format!("{}\n", spec.hostname)),
        ("hosts", hosts(spec)),
        ("resolv.conf", resolvers(spec.network.is_some())),
        (
            "passwd",
            format!(
                "root:x:0:0:root:/:/usr/sbin/nologin\ndyno:x:{uid}:{gid}:dyno:/app:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
            ),
        ),
        (
            "group",
            format!("root:x:0:\ndyno:x:{gid}:\nnogroup:x:65534:\n"),
        ),
    ]
}

/// The machine's, with the dyno's own name.
fn hosts(spec: &Spec) -> String {
    let own = spec
        .network
        .as_ref()
        .map_or(Ipv4Addr::LOCALHOST, |network| network.address);
    let known = fs::read_to_string("/etc/hosts")
        .unwrap_or_else(|_| "127.0.0.1 localhost\n::1 localhost\n".to_owned());
    format!("{}\n{own} {}\n", known.trim_end(), spec.hostname)
}

/// Whom to ask for names.
fn resolvers(own_network: bool) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let own = read("/etc/resolv.conf");
    match own_network && asks_loopback(&own) {
        true => Some(read(UPSTREAM))
            .filter(|text| !text.is_empty())
            .unwrap_or(own),
        false => own,
    }
}

/// Whether every resolver in it is on the machine's own loopback.
fn asks_loopback(text: &str) -> bool {
    let mut servers = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .map(str::trim)
        .peekable();
    servers.peek().is_some() && servers.all(|server| server.starts_with("127.") || server == "::1")
}
