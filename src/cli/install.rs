//! `penstock install`: the systemd units of a server on a machine of its own.
//!
//! A socket unit for each port, which systemd holds while one server ends and the next one starts, and a service that is restarted
//! whenever it ends. Nothing is started: what to type next is printed.

use std::ffi::OsString;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Args, CommandFactory};

use super::print;
use crate::error::{Error, ErrorId, Result};
use crate::sockets;

/// Where systemd looks for units of a machine's own.
const UNITS: &str = "/etc/systemd/system";
/// Where clients meet their one-off dynos, on the host of the API: who reaches the one is to reach the other.
const RENDEZVOUS_PORT: u16 = 5001;
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 5000);

#[derive(Args)]
#[command(after_help = "Examples:
  penstock install -- --base-domain apps.example.com --acme-contact you@example.com
  penstock install -- --api-url https://paas.example.com --base-domain apps.example.com")]
pub struct Install {
    /// Where the state of the server is kept
    #[arg(long, value_name = "DIR", default_value = "/var/lib/penstock")]
    data_dir: PathBuf,

    /// Where the API listens [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,

    /// Where visitors of the apps are served [default: 0.0.0.0:80]
    #[arg(long, value_name = "ADDRESS")]
    router_listen: Option<SocketAddr>,

    /// Where they come by https:// [default: 0.0.0.0:443]
    #[arg(long, value_name = "ADDRESS")]
    router_tls_listen: Option<SocketAddr>,

    /// Where clients meet their one-off dynos [default: the address of --listen, port 5001]
    #[arg(long, value_name = "ADDRESS")]
    rendezvous_listen: Option<SocketAddr>,

    /// Where the units are written
    #[arg(long, value_name = "DIR", default_value = UNITS)]
    units: PathBuf,

    /// What else the server is started with, such as --base-domain apps.example.com
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

impl Install {
    /// 404 where there is no such folder, 409 where a unit cannot be written, 422 for an argument that no unit can have.
    pub fn run(&self) -> Result<()> {
        let program = std::env::current_exe()?;
        let sockets = self.sockets()?;
        for (name, address) in sockets {
            self.write(&format!("penstock-{name}.socket"), &socket(name, address))?;
        }
        let names = sockets.map(|(name, _)| format!("penstock-{name}.socket"));
        self.write("penstock.service", &self.service(&program, &names)?)?;
        if is_build(&program) {
            warn_of_build(&program);
        }
        self.say_what_is_next(&program, &names)
    }

    fn say_what_is_next(&self, program: &Path, names: &[String]) -> Result<()> {
        let (units, names) = (self.units.display(), names.join(" "));
        let first = match self.units == Path::new(UNITS) {
            true => "Now start it:\n\n".to_owned(),
            // Without them there, `systemctl enable` finds nothing.
            false => format!(
                "systemd looks for units in {UNITS}. To start the server, copy them there:\n\n    cp {units}/penstock* {UNITS}/\n"
            ),
        };
        print::line(&format!(
            "{first}    systemctl daemon-reload\n    systemctl enable --now {names} penstock.service\n\n\
             To upgrade, put the new program at {} and type:\n\n    systemctl restart penstock.service\n\n\
             Its apps go on meanwhile. Requests that are under way are answered first, and who comes then waits for a moment.\n",
            program.display()
        ))
    }

    /// Where is listened, by the names of the sockets: as it is said before `--` or after it, since the sockets that systemd hands over
    /// go before what the server itself is told. 422 for words that `penstock serve` would not take, and for two that contradict.
    fn sockets(&self) -> Result<[(&'static str, SocketAddr); 4]> {
        if self
            .arguments
            .iter()
            .any(|word| word.starts_with("--data-dir"))
        {
            return Err(Error::invalid(
                "The units need to know the data directory: give it before `--`, as in: penstock install --data-dir DIR -- …",
            ));
        }
        let words = ["penstock", "serve", "--data-dir"].map(OsString::from);
        let data_dir = self.data_dir.clone().into_os_string();
        let arguments = self.arguments.iter().map(OsString::from);
        let words = words.into_iter().chain([data_dir]).chain(arguments);
        let read = super::Cli::command().try_get_matches_from(words);
        let read = read.map_err(|error| not_taken(&error))?;
        let serve = read.subcommand_matches("serve");
        let said = |name: &str, before: Option<SocketAddr>| {
            let given =
                serve.filter(|serve| serve.value_source(name) == Some(ValueSource::CommandLine));
            let after = given.and_then(|serve| serve.get_one::<SocketAddr>(name));
            match (before, after) {
                (Some(before), Some(after)) if before != *after => Err(Error::invalid(format!(
                    "--{} is given twice, and differently: {before} and {after}. Give it once.",
                    name.replace('_', "-")
                ))),
                (before, after) => Ok(before.or(after.copied())),
            }
        };
        let listen = said("listen", self.listen)?.unwrap_or(LISTEN);
        let rendezvous = SocketAddr::new(listen.ip(), RENDEZVOUS_PORT);
        let router = said("router_listen", self.router_listen)?;
        let router_tls = said("router_tls_listen", self.router_tls_listen)?;
        Ok([
            (sockets::API, listen),
            (sockets::ROUTER, router.unwrap_or(everywhere(80))),
            (sockets::ROUTER_TLS, router_tls.unwrap_or(everywhere(443))),
            (
                sockets::RENDEZVOUS,
                said("rendezvous_listen", self.rendezvous_listen)?.unwrap_or(rendezvous),
            ),
        ])
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.units.join(name);
        fs::write(&path, text).map_err(|cause| {
            let folder = self.units.display();
            if cause.kind() == std::io::ErrorKind::NotFound {
                let missing = format!("There is no folder {folder}. Make it first: mkdir -p {folder}");
                return Error::new(ErrorId::NotFound, missing);
            }
            Error::conflict(format!(
                "{} cannot be written: {cause}. Run this as root, or name another folder with --units.",
                path.display()
            ))
        })?;
        print::line(&format!("wrote {}\n", path.display()))
    }

    fn service(&self, program: &Path, sockets: &[String]) -> Result<String> {
        let fixed = [
            program.display().to_string(),
            "serve".to_owned(),
            "--data-dir".to_owned(),
            self.data_dir.display().to_string(),
        ];
        let words = || fixed.iter().chain(&self.arguments);
        let command = words()
            .map(|word| quoted(word))
            .collect::<Result<Vec<_>>>()?;
        let home = match words().any(|word| lies_at_home(word)) {
            true => "",
            false => "ProtectHome=yes\n",
        };
        Ok(format!(
            "[Unit]
Description=Penstock, a Heroku-compatible platform
After=network-online.target
Wants=network-online.target
Requires={sockets}
After={sockets}
# It is tried again and again, whatever it ends by.
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={command}
Sockets={sockets}
Restart=always
RestartSec=1
# Dynos outlive the server, and the next one takes them up.
KillMode=process
# It serves until the requests that are under way have ended: half a minute at most, and as long again for the rest.
TimeoutStopSec=120
# Control groups below its own are the server's to make: one for each dyno.
Delegate=yes
TasksMax=infinity
LimitNOFILE=1048576
OOMPolicy=continue
UMask=0077
# What a server of dynos has no business with, nor its dynos. It needs to be root: users, namespaces, mounts, control groups and
# the network's settings are what it keeps dynos apart with. They may need memory that is written and run, and files with any bits.
NoNewPrivileges=yes
LockPersonality=yes
ProtectClock=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectSystem=full
{home}RestrictRealtime=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap
SystemCallErrorNumber=EPERM
CapabilityBoundingSet=~CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_AUDIT_WRITE CAP_BLOCK_SUSPEND CAP_BPF
CapabilityBoundingSet=~CAP_IPC_LOCK CAP_IPC_OWNER CAP_LEASE CAP_LINUX_IMMUTABLE CAP_MAC_ADMIN CAP_MAC_OVERRIDE
CapabilityBoundingSet=~CAP_NET_BROADCAST CAP_PERFMON CAP_SYS_BOOT CAP_SYS_PACCT CAP_SYS_RAWIO CAP_SYS_TTY_CONFIG CAP_WAKE_ALARM
KeyringMode=private

[Install]
WantedBy=multi-user.target
",
            sockets = sockets.join(" "),
            command = command.join(" "),
        ))
    }
}

/// Whether it lies where cargo builds: in `target/release`, say, or in `target/x86_64-unknown-linux-musl/debug`.
fn is_build(program: &Path) -> bool {
    let profile = program.parent();
    let is_one = profile.is_some_and(|one| one.ends_with("release") || one.ends_with("debug"));
    let above = profile
        .into_iter()
        .flat_map(|one| one.ancestors().skip(1).take(2));
    is_one && above.into_iter().any(|folder| folder.ends_with("target"))
}

fn warn_of_build(program: &Path) {
    let program = program.display();
    eprintln!(
        "The service is started from {program}, which the next build replaces and `cargo clean` removes. Put it where it stays, and \
         install from there:\n\n    install -m 755 {program} /usr/local/bin/penstock\n    /usr/local/bin/penstock install ...\n"
    );
}

fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)
}

/// What clap says, less the usage of a command that nobody typed.
fn not_taken(error: &clap::Error) -> Error {
    let said = error.to_string();
    let said = said.split("\n\n").next().unwrap_or_default();
    let said = said.trim_start_matches("error: ").trim_end();
    Error::invalid(format!(
        "What follows `--` is not what `penstock serve` takes: {said}. See `penstock serve --help`."
    ))
}

/// Whether a word of the command line names something in a folder of people's own.
fn lies_at_home(word: &str) -> bool {
    ["/home/", "/root/", "/run/user/"]
        .iter()
        .any(|home| word.contains(home))
}

fn socket(name: &str, address: SocketAddr) -> String {
    // Who listens on every address listens on those of both families, where the kernel has both: DNS may have A and AAAA. A port
    // alone means that (systemd.socket(5), ListenStream=).
    let (address, both) = match address.ip().is_unspecified() {
        true => (address.port().to_string(), "BindIPv6Only=both\n"),
        false => (address.to_string(), ""),
    };
    format!(
        "[Unit]
Description=Penstock, {name}

[Socket]
ListenStream={address}
{both}FileDescriptorName={name}
Service=penstock.service
NoDelay=true
Backlog=4096

[Install]
WantedBy=sockets.target
"
    )
}

/// A word of a command line as systemd reads it (systemd.service(5), Command lines).
fn quoted(word: &str) -> Result<String> {
    if word.chars().any(char::is_control) {
        return Err(Error::invalid(
            "An argument has a line break or the like in it, which no unit can have.",
        ));
    }
    let escaped = word
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$");
    Ok(
        match escaped.contains([' ', '\'', '"', ';', '\\']) || escaped.is_empty() {
            true => format!("\"{escaped}\""),
            false => escaped,
        },
    )
}
