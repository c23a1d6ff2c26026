//! A real authority: Pebble, of Let's Encrypt's makers, with its own small DNS server. Both are Debian's package `pebble`.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use penstock::acm::Settings;
use serde_json::json;
use tempfile::TempDir;

use crate::binary::HANG;
use crate::binary::ports::port;

pub struct Pebble {
    dir: TempDir,
    api: u16,
    management: u16,
    dns_management: u16,
    processes: Vec<Child>,
}

impl Pebble {
    /// What it needs before it is started; `None`, and a word about it, where it is not installed.
    pub fn prepare() -> Option<Pebble> {
        let installed = |program: &str| {
            let asked = Command::new(program)
                .arg("-h")
                .stderr(Stdio::null())
                .status();
            asked.is_ok()
        };
        if !installed("pebble") || !installed("pebble-challtestsrv") {
            assert!(
                std::env::var_os("PENSTOCK_REQUIRE_PEBBLE").is_none(),
                "pebble is not installed"
            );
            eprintln!(
                "skipped: install Debian's package pebble, and an authority is tried for real"
            );
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(dir.path().join("cert.pem"), own.cert.pem()).unwrap();
        std::fs::write(dir.path().join("key.pem"), own.signing_key.serialize_pem()).unwrap();
        Some(Pebble {
            dir,
            api: port(),
            management: port(),
            dns_management: port(),
            processes: Vec::new(),
        })
    }

    /// What a server is told of it.
    pub fn settings(&self) -> Settings {
        Settings {
            acme_contact: Some("owner@example.com".to_owned()),
            acme_directory: format!("https://localhost:{}/dir", self.api),
            acme_ca_file: Some(self.dir.path().join("cert.pem")),
        }
    }

    /// Starts it: it looks for proofs at these ports of this machine, whatever the name.
    pub fn start(&mut self, http: u16, tls: u16) {
        let config = json!({"pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.api),
            "managementListenAddress": format!("127.0.0.1:{}", self.management),
            "certificate": self.dir.path().join("cert.pem"),
            "privateKey": self.dir.path().join("key.pem"),
            "httpPort": http,
            "tlsPort": tls,
        }});
        let path = self.dir.path().join("config.json");
        std::fs::write(&path, config.to_string()).unwrap();
        let dns = format!("127.0.0.1:{}", port());
        let management = format!("127.0.0.1:{}", self.dns_management);
        let mut names = Command::new("pebble-challtestsrv");
        names.args([
            "-defaultIPv6",
            "",
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
        ]);
        names.args(["-dns01", &dns, "-management", &management]);
        self.run(names, "Starting management server", &[self.dns_management]);
        let mut authority = Command::new("pebble");
        authority
            .arg("-config")
            .arg(path)
            .args(["-dnsserver", &dns]);
        authority.env("PEBBLE_VA_NOSLEEP", "1");
        // In a hundred: by itself it turns down one nonce in twenty, and so, of all these requests, now and then one three times.
        authority.env("PEBBLE_WFE_NONCEREJECT", "1");
        self.run(
            authority,
            "ACME directory available",
            &[self.api, self.management],
        );
    }

    /// Runs a program until the end of this, and waits until it says that it is ready, and is: it says so just before it listens.
    fn run(&mut self, mut command: Command, ready: &'static str, ports: &[u16]) {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        self.processes.push(child);
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            // What follows is read too, so that it never waits for a reader.
            for line in lines.map_while(Result::ok) {
                if line.contains(ready) {
                    let _ = tell.send(());
                }
            }
        });
        told.recv_timeout(HANG)
            .unwrap_or_else(|_| panic!("{command:?} does not say that it is ready"));
        let begun = Instant::now();
        for port in ports {
            while TcpStream::connect(("127.0.0.1", *port)).is_err() {
                assert!(
                    begun.elapsed() < HANG,
                    "{command:?} does not listen on {port}"
                );
            }
        }
    }

    fn client(&self) -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pem = std::fs::read(self.dir.path().join("cert.pem")).unwrap();
        let trusted = reqwest::Certificate::from_pem_bundle(&pem).unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(HANG);
        client.tls_certs_only(trusted).build().unwrap()
    }

    /// The certificate, as PEM, by which all that it signs is believed.
    pub async fn root(&self) -> String {
        let url = format!("https://localhost:{}/roots/0", self.management);
        let answer = self.client().get(url).send().await.unwrap();
        answer.text().await.unwrap()
    }

    /// From here on the name leads to this address, instead of to this machine.
    pub async fn lead(&self, host: &str, address: &str) {
        let lead = json!({"host": host, "addresses": [address]}).to_string();
        for action in ["clear-a", "add-a"] {
            let url = format!("http://127.0.0.1:{}/{action}", self.dns_management);
            let sent = self.client().post(url).body(lead.clone()).send();
            assert_eq!(sent.await.unwrap().status(), 200);
        }
    }
}

impl Pebble {
    /// From here on nobody answers.
    pub fn end(&mut self) {
        for mut child in self.processes.drain(..) {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.end();
    }
}
