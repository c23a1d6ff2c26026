//! What builds need of Debian's package manager: they fetch packages with it as any user, and unpack them where they may write.

/// Folders of the machine's that it reads. None holds a credential: those are in `auth.conf`.
pub const FOLDERS: [&str; 6] = [
    "/etc/apt/apt.conf.d",
    "/etc/apt/keyrings",
    "/etc/apt/preferences.d",
    "/etc/apt/sources.list.d",
    "/etc/apt/trusted.gpg.d",
    "/var/lib/dpkg",
];
/// Buildpacks insist on this file, which newer machines have no more.
pub const SOURCES: &str = "/etc/apt/sources.list";

/// What stands in [`SOURCES`]; nothing where all is said in a folder beside it.
pub fn sources() -> String {
    std::fs::read_to_string(SOURCES).unwrap_or_default()
}
