//! What whoever runs the server says of isolation: arguments, each with an environment twin and a default that works.

use std::ffi::{OsStr, OsString};
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{ArgAction, Args};

use super::Level;

/// What each dyno has of its own.
const OWN: &[&str] = &[
    "/.penstock",
    "/app",
    "/dev",
    "/proc",
    "/run",
    "/tmp",
    "/var/tmp",
];

/// What is shown of this machine at any level, in which programs may be.
const USUAL: &[&str] = &["/bin", "/lib", "/nix", "/opt", "/sbin", "/usr"];

/// Part of the server's settings.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// How dynos are isolated: full, userns, landlock or none; the server does not start where that cannot be had [default: the best there is but none]
    #[arg(long, env = "PENSTOCK_ISOLATION", value_name = "LEVEL")]
    pub isolation: Option<Level>,

    /// User and group ids for the apps' dynos, one each, where the server is root
    #[arg(
        long,
        env = "PENSTOCK_DYNO_UIDS",
        value_name = "FROM-TO",
        default_value = "20000-29999"
    )]
    pub dyno_uids: Uids,

    /// Addresses for dynos that have a network of their own
    #[arg(
        long,
        env = "PENSTOCK_DYNO_NETWORK",
        value_name = "ADDRESS/BITS",
        default_value = "10.209.0.0/16"
    )]
    pub dyno_network: Pool,

    /// Whether such dynos reach private networks beyond this machine; names are asked for there in any case
    #[arg(long, env = "PENSTOCK_DYNO_PRIVATE_NETWORKS", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub dyno_private_networks: bool,

    /// Whether this machine may be made to forward packets, without which such dynos reach nothing but the router
    #[arg(long, env = "PENSTOCK_DYNO_FORWARDING", value_name = "BOOL", default_value_t = true, action = ArgAction::Set)]
    pub dyno_forwarding: bool,

    /// MiB that a dyno may write to its files, which are kept in memory
    #[arg(long, env = "PENSTOCK_DYNO_DISK", value_name = "MIB", default_value_t = 512, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub dyno_disk: u64,

    /// A further folder that dynos and builds may read; programs in it, or in its bin, are found. May be given several times
    #[arg(
        long,
        env = "PENSTOCK_DYNO_READABLE",
        value_name = "DIR",
        value_delimiter = ':',
        value_parser = shown
    )]
    pub dyno_readable: Vec<PathBuf>,
}

impl Default for Settings {
    /// As without any argument.
    fn default() -> Settings {
        Settings {
            isolation: None,
            dyno_uids: Uids(20_000..=29_999),
            dyno_network: Pool {
                first: Ipv4Addr::new(10, 209, 0, 0),
                bits: 16,
            },
            dyno_private_networks: true,
            dyno_forwarding: true,
            dyno_disk: 512,
            dyno_readable: Vec::new(),
        }
    }
}

impl Settings {
    /// Where programs are looked for: in these folders, and then in what is shown besides.
    pub fn search_path(&self, path: &OsStr) -> OsString {
        let mut path = path.to_owned();
        for folder in self.program_folders() {
            path.push(":");
            path.push(folder);
        }
        path
    }

    /// Of the folders that are shown besides, those with programs: a `bin`, or the one in such a folder.
    fn program_folders(&self) -> impl Iterator<Item = PathBuf> {
        let folders = self.dyno_readable.iter().filter_map(|shown| {
            let below = shown.join("bin");
            match below.is_dir() {
                true => Some(below),
                false => (shown.file_name() == Some(OsStr::new("bin"))).then(|| shown.clone()),
            }
        });
        // A colon would end it in the middle.
        folders.filter(|folder| !folder.as_os_str().as_encoded_bytes().contains(&b':'))
    }

    /// Where rustup has its toolchains, if that is shown. Its programs look for it at home, which is another for a build.
    pub fn rustup_home(&self) -> Option<&Path> {
        let mut folders = self.dyno_readable.iter();
        folders
            .find(|shown| shown.join("toolchains").is_dir())
            .map(PathBuf::as_path)
    }

    /// Whether what is at this path of the machine is seen by builds and dynos.
    pub fn shows(&self, path: &Path) -> bool {
        let shown = self.dyno_readable.iter().map(PathBuf::as_path);
        shown
            .chain(USUAL.iter().map(Path::new))
            .any(|folder| path.starts_with(folder))
    }
}

/// A folder of this machine that can be shown at its own place.
fn shown(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let own = OWN.iter().find(|own| path.starts_with(own));
    match own {
        Some(own) => Err(format!(
            "dynos have a {own} of their own, so nothing of this machine's is seen there; move the folder"
        )),
        None if path.is_absolute() => Ok(path),
        None => Err("name the folder by its whole path, from / on".to_owned()),
    }
}

/// Numbers that are the dynos' and nobody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uids(pub RangeInclusive<u32>);

impl FromStr for Uids {
    type Err = String;

    fn from_str(text: &str) -> Result<Uids, String> {
        let range = text.split_once('-').and_then(|(from, to)| {
            let (from, to) = (from.parse().ok()?, to.parse().ok()?);
            // Zero is root, and the last two are nobody's that could be used.
            (from > 0 && from <= to && to < u32::MAX - 1).then_some(from..=to)
        });
        range
            .map(Uids)
            .ok_or_else(|| "the ids are a range above 0, such as 20000-29999".to_owned())
    }
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    first: Ipv4Addr,
    bits: u8,
}

impl Pool {
    pub fn first(&self) -> Ipv4Addr {
        self.first
    }

    pub fn bits(&self) -> u8 {
        self.bits
    }

    /// This machine's, as the dynos see it.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.to_bits() + 1)
    }

    /// How many dynos can have one.
    pub fn size(&self) -> u32 {
        // Neither the first, nor the gateway, nor the last.
        (1 << (32 - self.bits)) - 3
    }

    /// The address of that number, from 0 on; numbers beyond the last begin anew.
    pub fn address(&self, number: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.first.to_bits() + 2 + number % self.size())
    }
}

impl FromStr for Pool {
    type Err = String;

    fn from_str(text: &str) -> Result<Pool, String> {
        let pool = text.split_once('/').and_then(|(first, bits)| {
            let (first, bits) = (first.parse::<Ipv4Addr>().ok()?, bits.parse::<u8>().ok()?);
            let whole = (8..=28).contains(&bits) && first.to_bits() & ((1 << (32 - bits)) - 1) == 0;
            (whole && first.is_private()).then_some(Pool { first, bits })
        });
        pool.ok_or_else(|| {
            "the network is a private one of 8 to 28 bits, such as 10.209.0.0/16".to_owned()
        })
    }
}
