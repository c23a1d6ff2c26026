//! How much a build may use: what whoever runs the server says of it, and what the launcher is told.

use std::time::Duration;

use clap::Args;

use crate::sandbox;

/// Far more than any compiler starts; a fork bomb stops here.
const PROCESSES: u64 = 4_096;
/// Descriptors of one process. Package managers open many files at once.
const FILES: u64 = 20_000;
/// A fifth of the smallest dyno's, so that a build never holds up who is served.
const CPU_WEIGHT: u64 = 20;
/// Files that a build may make, over all: so many, and no more than there would be room for if each had this many bytes.
pub(super) const MAX_FILES: u64 = 2_000_000;
const BYTES_A_FILE: u64 = 2_048;

/// Part of the server's settings.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Minutes that a build may take
    #[arg(long = "build-minutes", env = "PENSTOCK_BUILD_MINUTES", value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=24 * 60))]
    pub minutes: u64,

    /// MiB of memory that a build may use
    #[arg(long = "build-memory", env = "PENSTOCK_BUILD_MEMORY", value_name = "MIB", default_value_t = 2_560, value_parser = clap::value_parser!(u64).range(64..=1 << 20))]
    pub memory: u64,

    /// MiB of disk that a build may use, its cache and its temporary files among them
    #[arg(long = "build-disk", env = "PENSTOCK_BUILD_DISK", value_name = "MIB", default_value_t = 6_144, value_parser = clap::value_parser!(u64).range(64..=1 << 24))]
    pub disk: u64,

    /// A variable for all builds, such as https_proxy or the address of a package mirror; may be given several times, or in the environment a line each
    #[arg(
        long = "build-env",
        env = "PENSTOCK_BUILD_ENV",
        value_name = "NAME=VALUE",
        value_delimiter = '\n',
        value_parser = variable
    )]
    pub env: Vec<(String, String)>,
}

impl Default for Limits {
    /// As without any argument.
    fn default() -> Limits {
        Limits {
            minutes: 15,
            memory: 2_560,
            disk: 6_144,
            env: Vec::new(),
        }
    }
}

impl Limits {
    pub(super) fn time(&self) -> Duration {
        Duration::from_secs(self.minutes * 60)
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.disk << 20
    }

    pub(super) fn max_files(&self) -> u64 {
        (self.disk_bytes() / BYTES_A_FILE).min(MAX_FILES)
    }

    pub(super) fn of_sandbox(&self) -> sandbox::Limits {
        sandbox::Limits {
            memory: self.memory << 20,
            memory_max: self.memory << 20,
            cpu_weight: CPU_WEIGHT,
            pids: PROCESSES,
            disk: self.disk_bytes(),
            inodes: self.max_files(),
            files: FILES,
        }
    }
}

fn variable(text: &str) -> Result<(String, String), String> {
    let word = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !name.starts_with(|first: char| first.is_ascii_digit())
    };
    text.split_once('=')
        .filter(|(name, value)| word(name) && !value.contains('\0'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| {
            "a variable is a name, = and a value, such as https_proxy=http://10.0.0.1:3128"
                .to_owned()
        })
}
