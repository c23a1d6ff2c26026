//! What the official CLI needs of a forward beside the API: hosts that are written into it, and an authority that it believes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use super::{Forward, Remote, command, env};
use crate::binary::{HANG, Place, program};

/// What comes back for lines that are sent to the forward, each after the answer to the one before.
fn sent(address: &str, lines: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(HANG)).unwrap();
    let mut said = String::new();
    for line in lines {
        stream.write_all(line.as_bytes()).unwrap();
        let mut chunk = [0; 65_536];
        let read = stream.read(&mut chunk).unwrap();
        said.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clis_own_hosts_are_answered_for_through_the_forward_and_nobody_elses() {
    let remote = Remote::new();
    let server = remote.start();
    let home = Place::new();
    let ca = remote.ca();
    let arguments = ["--token-stdin", "--ca-file", ca.to_str().unwrap()];
    let forward = Forward::start(&home, &remote.url, &arguments, &server.ready.api_key);
    let url = forward.ready();
    let address = url.strip_prefix("http://").unwrap();
    let asked = format!(
        "GET /user/notifications HTTP/1.1\r\nHost: telex.heroku.com:5010\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
        server.ready.api_key
    );
    for host in ["telex.heroku.com:5010", address] {
        let tunnel = format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let said = sent(address, &[&tunnel, &asked]);
        assert!(
            said.starts_with("HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK"),
            "{said}"
        );
    }
    let said = sent(address, &["CONNECT example.com:443 HTTP/1.1\r\n\r\n"]);
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
    // Without a tunnel, it is a page in a browser that may call itself so.
    let said = sent(address, &[&asked]);
    assert!(said.starts_with("HTTP/1.1 403"), "{said}");
    // Within TLS the CLI believes the forward by the file that it is given, which has the server's authority, too.
    let (_, variables) = env(&home);
    let variables: Value = serde_json::from_str(&variables).unwrap();
    let trusted = std::fs::read(variables["PENSTOCK_CA_FILE"].as_str().unwrap()).unwrap();
    let trusted = reqwest::Certificate::from_pem_bundle(&trusted).unwrap();
    assert_eq!(trusted.len(), 2);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder()
        .proxy(reqwest::Proxy::https(&url).unwrap())
        .timeout(HANG)
        .tls_certs_only(trusted)
        .build()
        .unwrap();
    let asked = client.get("https://kolkrabbi.heroku.com/account");
    let asked = asked.bearer_auth(&server.ready.api_key).send().await;
    let said = asked.unwrap().text().await.unwrap();
    assert!(said.contains("owner@localhost"), "{said}");
    assert_eq!(forward.end(Signal::INT), Some(0));
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_starts_the_cli_with_what_the_forward_needs() {
    let remote = Remote::new();
    let server = remote.start();
    let home = Place::new();
    let ca = remote.ca();
    let arguments = ["--token-stdin", "--ca-file", ca.to_str().unwrap()];
    let forward = Forward::start(&home, &remote.url, &arguments, &server.ready.api_key);
    let url = forward.ready();
    let folder = home.path("bin");
    std::fs::create_dir(&folder).unwrap();
    let cli = folder.join("heroku");
    let told =
        "#!/bin/sh\ngrep -c BEGIN \"$NODE_EXTRA_CA_CERTS\"\necho \"$1 by ${HTTPS_PROXY-none}\"\n";
    program::script(&cli, told);
    let script = r#"
        eval "$("$PENSTOCK" env)"
        echo "this shell believes ${NODE_EXTRA_CA_CERTS-nobody}"
        printf '#!/bin/sh\nheroku run\nheroku apps:favorites\n' >"$HOME/script"
        sh "$HOME/script"
    "#;
    let output = Command::new("sh")
        .args(["-euc", script])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .env("PENSTOCK", env!("CARGO_BIN_EXE_penstock"))
        .env("HOME", home.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let expected =
        format!("this shell believes nobody\n2\nrun by none\n2\napps:favorites by {url}\n");
    assert_eq!(
        said,
        expected,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(forward.end(Signal::INT), Some(0));
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_to_the_same_server_changes_nothing() {
    let remote = Remote::new();
    let server = remote.start();
    let home = Place::new();
    let ca = remote.ca();
    let arguments = ["--token-stdin", "--ca-file", ca.to_str().unwrap()];
    let forward = Forward::start(&home, &remote.url, &arguments, &server.ready.api_key);
    forward.ready();
    let before = std::fs::read_to_string(home.path(".netrc")).unwrap();
    let (status, said) = Forward::start(&home, &remote.url, &arguments, "").ended();
    assert_eq!(status, Some(4), "{said}");
    assert_eq!(
        std::fs::read_to_string(home.path(".netrc")).unwrap(),
        before
    );
    assert_eq!(forward.end(Signal::INT), Some(0));
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_leaves_nothing_of_the_login_and_all_of_what_is_anothers() {
    let remote = Remote::new();
    let server = remote.start();
    let home = Place::new();
    let ca = remote.ca();
    let arguments = ["--token-stdin", "--ca-file", ca.to_str().unwrap()];
    let netrc = home.path(".netrc");
    let before = "machine example.com login me password mine\n";
    std::fs::write(&netrc, before).unwrap();
    let forward = Forward::start(&home, &remote.url, &arguments, &server.ready.api_key);
    let url = forward.ready();
    // Whatever else listens on this machine would be sent the token.
    let kept = std::fs::read_to_string(&netrc).unwrap();
    assert!(!kept.contains("machine 127.0.0.1\n"), "{kept}");
    let script = r#"
        eval "$("$PENSTOCK" env)"
        curl -sS -H "Authorization: Bearer $(heroku auth:token)" "$PENSTOCK_URL/account" | grep -o '"email":"[^"]*"'
        heroku logout
    "#;
    let folder = home.path("bin");
    std::fs::create_dir(&folder).unwrap();
    let cli = folder.join("heroku");
    // The token is the one that is kept for the forward with its port.
    let told = r#"#!/bin/sh
        [ "$1" = auth:token ] || exec echo "$1"
        grep -A 2 "^machine ${HEROKU_HOST#*://}\$" "$HOME/.netrc" | sed -n 's/^ *password //p'
    "#;
    program::script(&cli, told);
    let output = Command::new("sh")
        .args(["-euc", script])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .env("PENSTOCK", env!("CARGO_BIN_EXE_penstock"))
        .env("HOME", home.path(""))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        said, "\"email\":\"owner@localhost\"\nlogout\n",
        "{url}: {complaint}"
    );
    assert_eq!(std::fs::read_to_string(&netrc).unwrap(), before);
    assert_eq!(forward.end(Signal::INT), Some(0));
    drop(server);
}

/// The CLI would take no such host, and send its token to Heroku.
#[test]
fn the_forward_listens_where_the_cli_goes_and_nowhere_else() {
    let home = Place::new();
    for address in ["127.0.0.2:0", "[::1]:0", "0.0.0.0:0"] {
        let connect = ["connect", "https://127.0.0.2:1", "--listen", address];
        let output = command(&home, &connect).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{address}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("127.0.0.1"), "{said}");
    }
}
