//! What builds need of Debian's package manager: they fetch packages with it as any user, and unpack them where they may write.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Folders of the machine's that it reads. None holds a credential: those are in `auth.conf`.
pub const FOLDERS: [&str; 6] = [
    "/etc/apt/apt.conf.d",
    "/etc/apt/keyrings",
    "/etc/apt/preferences.d",
    "/etc/apt/sources.list.d",
    "/etc/apt/trusted.gpg.d",
    "/var/lib/dpkg",
];
/// Buildpacks read this file, and know no other.
pub const SOURCES: &str = "/etc/apt/sources.list";

/// What stands in [`SOURCES`], in the older of the two forms: also of a machine that has only files of the newer one.
pub fn sources() -> String {
    let own = fs::read_to_string(SOURCES).unwrap_or_default();
    let listed = |line: &str| line.trim_start().starts_with("deb");
    if own.lines().any(listed) {
        return own;
    }
    let Ok(entries) = fs::read_dir("/etc/apt/sources.list.d") else {
        return String::new();
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> = paths
        .filter(|path| path.extension() == Some("sources".as_ref()))
        .collect();
    paths.sort();
    paths.iter().map(|path| older_form(path)).collect()
}

fn older_form(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let text: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let text = text.join("\n");
    text.split("\n\n").map(stanza).collect()
}

/// A paragraph of fields, in which a line that begins with a blank goes on with the one before. One with keys of its own is left
/// out: they cannot be said in a line.
fn stanza(text: &str) -> String {
    let mut fields: HashMap<String, String> = HashMap::new();
    let mut last = String::new();
    for line in text.lines() {
        if line.starts_with([' ', '\t']) {
            fields.entry(last.clone()).or_default().push_str(line);
        } else if let Some((name, value)) = line.split_once(':') {
            last = name.trim().to_ascii_lowercase();
            fields.insert(last.clone(), value.trim().to_owned());
        }
    }
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let words = |name| field(name).split_whitespace();
    let signed = field("signed-by");
    if field("enabled") == "no" || signed.contains("BEGIN") || !words("types").any(|t| t == "deb") {
        return String::new();
    }
    let options = match signed {
        "" => String::new(),
        keys => format!(
            "[signed-by={}] ",
            keys.split_whitespace().collect::<Vec<_>>().join(",")
        ),
    };
    let components: Vec<&str> = words("components").collect();
    let components = components.join(" ");
    let mut lines = String::new();
    for uri in words("uris") {
        for suite in words("suites") {
            lines.push_str(&format!("deb {options}{uri} {suite} {components}\n"));
        }
    }
    lines
}
