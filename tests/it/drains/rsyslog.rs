//! A real syslog server: Debian's packages `rsyslog` and `rsyslog-gnutls`.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use nix::fcntl::{FcntlArg, fcntl};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::binary::HANG;

pub struct Rsyslog {
    dir: TempDir,
    port: u16,
    encrypted: bool,
    process: Option<Child>,
    lines: mpsc::Receiver<String>,
    pub roots: Vec<CertificateDer<'static>>,
}

impl Rsyslog {
    /// `None`, and a word about it, where it is not installed.
    pub fn start(encrypted: bool) -> Option<Rsyslog> {
        let tls = Path::new("/usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so").exists()
            || Path::new("/usr/lib/aarch64-linux-gnu/rsyslog/lmnsd_gtls.so").exists();
        let asked = Command::new("rsyslogd")
            .arg("-v")
            .stdout(Stdio::null())
            .status();
        if asked.is_err() || !tls {
            assert!(
                std::env::var_os("PENSTOCK_REQUIRE_RSYSLOG").is_none(),
                "rsyslog or rsyslog-gnutls is not installed"
            );
            eprintln!(
                "skipped: install Debian's packages rsyslog and rsyslog-gnutls, and syslog is tried for real"
            );
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(dir.path().join("cert.pem"), own.cert.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), own.signing_key.serialize_pem()).unwrap();
        let port = crate::binary::ports::port();
        let lines = read(&dir.path().join("out"));
        let mut rsyslog = Rsyslog {
            dir,
            port,
            encrypted,
            process: None,
            lines,
            roots: vec![own.cert.der().clone()],
        };
        rsyslog.run();
        Some(rsyslog)
    }

    /// What a drain is told.
    pub fn url(&self) -> String {
        let scheme = if self.encrypted {
            "syslog+tls"
        } else {
            "syslog"
        };
        format!("{scheme}://localhost:{}", self.port)
    }

    /// Starts it, or starts it again, and waits until it listens.
    pub fn run(&mut self) {
        let dir = self.dir.path().display();
        let mut config = format!("global(workDirectory=\"{dir}\"");
        if self.encrypted {
            config += &format!(
                " defaultNetstreamDriver=\"gtls\" defaultNetstreamDriverCAFile=\"{dir}/cert.pem\"
                  defaultNetstreamDriverCertFile=\"{dir}/cert.pem\" defaultNetstreamDriverKeyFile=\"{dir}/key.pem\""
            );
        }
        config += ")\nmodule(load=\"imtcp\"";
        if self.encrypted {
            config += " streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"anon\"";
        }
        config += &format!(
            ")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{}\")
             template(name=\"parts\" type=\"string\" string=\"%pri%|%protocol-version%|%hostname%|%app-name%|%procid%|%msg%\\n\")
             action(type=\"ompipe\" pipe=\"{dir}/out\" template=\"parts\")\n",
            self.port
        );
        let path = self.dir.path().join("rsyslog.conf");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new("rsyslogd");
        command
            .arg("-n")
            .arg("-f")
            .arg(&path)
            .arg("-i")
            .arg(self.dir.path().join("pid"));
        self.process = Some(command.stderr(Stdio::null()).spawn().unwrap());
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let process = self.process.as_mut().unwrap();
            assert!(process.try_wait().unwrap().is_none(), "rsyslogd ended");
            std::thread::yield_now();
        }
    }

    /// Kills it at once.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    /// The parts of the next message that an app's dyno has printed.
    pub fn next(&self) -> String {
        loop {
            let line = self.lines.recv_timeout(HANG).expect("rsyslog got nothing");
            if line.contains("|app|web.") {
                return line;
            }
        }
    }

    /// What was printed, up to the line that is given.
    pub fn printed_until(&self, last: &str) -> Vec<String> {
        let mut printed = Vec::new();
        while printed.last().is_none_or(|line| line != last) {
            let line = self.next();
            printed.push(line.rsplit('|').next().unwrap().trim().to_owned());
        }
        printed
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        self.kill();
        // The reader of the pipe ends with this.
        let mut pipe = OpenOptions::new()
            .write(true)
            .open(self.dir.path().join("out"))
            .unwrap();
        let _ = pipe.write_all(b"the end\n");
    }
}

/// The lines of a pipe that stays open whoever writes to it, until one of them is `the end`.
fn read(path: &Path) -> mpsc::Receiver<String> {
    let made = Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
    let pipe = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    // Whoever writes to it does not wait: what does not fit is dropped.
    fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(1 << 20)).unwrap();
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            match line {
                Ok(line) if line != "the end" => drop(sender.send(line)),
                _ => return,
            }
        }
    });
    lines
}
