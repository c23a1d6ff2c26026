//! `penstock env`, and the `heroku` that it puts before the official CLI: where tools are pointed, and where their token goes.

use std::net::{TcpListener, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::binary::{Client, Place, Server, TIED, penstock, program};

fn env(place: &Place, arguments: &[&str]) -> Output {
    let mut command = penstock(&["env", "--data-dir"]);
    command.arg(place.data()).args(arguments);
    command.output().unwrap()
}

/// Evaluates what `penstock env` prints in a shell, and then the script. A `heroku` that tells what it was started with stands on
/// the `PATH`, in the place of the official CLI.
fn shell(place: &Place, script: &str) -> (Option<i32>, String) {
    let folder = place.path("bin");
    std::fs::create_dir_all(&folder).unwrap();
    let cli = folder.join("heroku");
    let told = "#!/bin/sh\necho \"cli $1 by ${HTTPS_PROXY:-none} ${http_proxy:-none} but ${NO_PROXY-none} believes ${NODE_EXTRA_CA_CERTS-none} with ${HEROKU_API_KEY-none}\"\n";
    program::script(&cli, told);
    let output = Command::new("sh")
        .args([
            "-uc",
            &format!("eval \"$(\"$PENSTOCK\" env)\" || exit 9\n{script}"),
        ])
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", folder.display()))
        .env("PENSTOCK", env!("CARGO_BIN_EXE_penstock"))
        .env("PENSTOCK_DATA_DIR", place.data())
        .env("HOME", place.path(""))
        .output()
        .unwrap();
    let mut said = String::from_utf8(output.stdout).unwrap();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

/// What the official CLI 11.10.0 takes, and sends its token to, beside Heroku's own hosts.
fn is_taken(host: &str) -> bool {
    let name = host.strip_prefix("http://").unwrap_or_default();
    let (name, port) = name.rsplit_once(':').unwrap_or_default();
    matches!(name, "127.0.0.1" | "localhost") && port.parse::<u16>().is_ok()
}

/// Whether `localhost` leads to `::1` on this machine; the CLI takes no other name of it.
fn has_localhost_of_v6() -> bool {
    let mut found = ("localhost", 0).to_socket_addrs().unwrap();
    found.any(|address| address.is_ipv6())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cli_is_pointed_at_a_host_that_it_takes_however_the_server_listens() {
    let ways: [&[&str]; 5] = [
        &[],
        &["--listen", "0.0.0.0:0"],
        &["--listen", "[::]:0"],
        &["--listen", "[::1]:0"],
        &["--api-url", "https://192.0.2.2:7201"],
    ];
    for way in ways {
        let v6 = way.iter().any(|word| word.contains("::"));
        if v6 && TcpListener::bind("[::1]:0").is_err() {
            eprintln!("skipped {way:?}: this machine has no IPv6");
            continue;
        }
        let place = Place::new();
        let arguments: Vec<&str> = [TIED].iter().chain(way).copied().collect();
        let server = Server::start(place.command(&arguments), &place.log());
        let output = env(&place, &["--json"]);
        if way.contains(&"[::1]:0") && !has_localhost_of_v6() {
            assert_eq!(output.status.code(), Some(4), "{way:?}");
            continue;
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{way:?}: {said}");
        let variables: Value = serde_json::from_slice(&output.stdout).unwrap();
        let host = variables["HEROKU_HOST"].as_str().unwrap();
        assert!(is_taken(host), "{way:?}: {host}");
        assert_eq!(variables["PENSTOCK_URL"], host);
        assert_eq!(
            Some(variables["HEROKU_GIT_HOST"].as_str().unwrap()),
            host.strip_prefix("http://"),
            "{way:?}"
        );
        let client = Client::new(host, server.router_port(), &server.ready.api_key);
        let account = client.get("/account").await.expect(200);
        assert_eq!(account["email"], "owner@localhost", "{way:?}");
    }
}

#[test]
fn where_the_cli_takes_no_host_of_the_server_nothing_is_pointed_anywhere() {
    let place = Place::new();
    let server = Server::start(
        place.command(&[TIED, "--listen", "127.0.0.2:0"]),
        &place.log(),
    );
    let output = env(&place, &[]);
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(output.stdout, b"false\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("penstock connect"), "{said}");
    assert!(!said.contains(&server.ready.api_key));
}

#[test]
fn a_server_that_has_ended_gives_its_token_to_nobody() {
    let place = Place::new();
    let ready = place.start().ready.clone();
    let gone = |why: &str, code| {
        let output = env(&place, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{why}: {said}");
        assert_eq!(output.stdout, b"false\n", "{why}");
    };
    gone("it was stopped", 3);
    // Somebody else has its port now, and its process's number too.
    let listen = ready.listen.unwrap();
    let other = Place::new();
    let _other = Server::start(
        other.command(&[TIED, "--listen", &listen.to_string()]),
        &other.log(),
    );
    gone("its port is another's", 3);
    let mut json: Value = serde_json::from_str(&ready.to_json()).unwrap();
    json["pid"] = std::process::id().into();
    std::fs::write(place.data().join("server.json"), json.to_string()).unwrap();
    gone("its number is another's", 5);
    let (status, said) = shell(&place, "echo went on");
    assert_eq!(status, Some(9), "{said}");
}

#[test]
fn whoever_starts_heroku_starts_it_with_what_it_needs_and_no_other_program() {
    let place = Place::new();
    let server = place.start();
    let url = &server.ready.api_url;
    let ca = &server.ready.ca_file;
    let key = &server.ready.api_key;
    let usual = format!("by none none but none believes {ca} with {key}");
    let proxied = format!("by {url} {url} but  believes {ca} with {key}");
    let script = r#"
        heroku apps
        heroku apps:favorites:add -a x
        echo notifications | xargs heroku
        printf '#!/bin/sh\nheroku reviewapps:enable\n' >"$HOME/script" && sh "$HOME/script"
        sh -c 'echo "others by ${HTTPS_PROXY-none}"'
        heroku run -- x --help
        heroku repl --help
    "#;
    let (status, said) = shell(&place, script);
    let expected = format!(
        "cli apps {usual}\ncli apps:favorites:add {proxied}\ncli notifications {proxied}\ncli reviewapps:enable {proxied}\n\
         others by none\ncli run {usual}\ncli repl {proxied}\n"
    );
    assert_eq!((status, said), (Some(0), expected));
    let folder = PathBuf::from(&server.ready.data_dir).join("cli");
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.clone()), 0o700);
    assert_eq!(mode(folder.join("heroku")), 0o700);
}

#[test]
fn what_would_lead_nowhere_is_not_started_and_says_what_there_is_instead() {
    let place = Place::new();
    let _server = place.start();
    for command in [
        "pipelines:open x",
        "orgs:open",
        "addons:docs y",
        "ci:open",
        "ci:run --app x",
        "ci:rerun 5",
        "ci:debug",
        "pipelines:connect x --repo y/z",
        "pipelines:setup x y/z --yes",
    ] {
        let (status, said) = shell(&place, &format!("heroku {command}"));
        assert_eq!(status, Some(1), "{said}");
        assert!(
            said.starts_with("penstock: ") && !said.contains("cli "),
            "{said}"
        );
    }
    let (status, said) = shell(&place, "heroku pipelines:open --help");
    assert_eq!(status, Some(0));
    assert!(said.starts_with("cli pipelines:open"), "{said}");
}

#[test]
fn another_server_is_not_told_the_token_and_the_same_one_is_by_each_of_its_names() {
    let place = Place::new();
    let server = place.start();
    for host in ["http://127.0.0.1:1", "heroku.com"] {
        let started = format!("HEROKU_HOST={host} heroku apps:errors");
        let (_, said) = shell(&place, &started);
        assert!(said.starts_with("cli apps:errors by none none"), "{said}");
        assert!(said.ends_with(" with none\n"), "{host}: {said}");
        let (_, said) = shell(&place, &format!("export HEROKU_API_KEY=its-own; {started}"));
        assert!(said.ends_with(" with its-own\n"), "{host}: {said}");
    }
    let (url, key) = (&server.ready.api_url, &server.ready.api_key);
    let localhost = url.replace("127.0.0.1", "localhost");
    let started = format!("HEROKU_HOST={localhost} heroku apps:errors");
    let (_, said) = shell(&place, &started);
    let proxied = format!("cli apps:errors by {url} {url} but ");
    assert!(said.starts_with(&proxied), "{said}");
    assert!(said.ends_with(&format!(" with {key}\n")), "{said}");
}

/// Node.js reads one file, and that of a company's proxy is what every other program of the shell needs.
#[test]
fn a_shell_keeps_whom_its_node_believes_and_the_cli_believes_them_too() {
    let place = Place::new();
    let server = place.start();
    let ca = std::fs::read_to_string(&server.ready.ca_file).unwrap();
    let company = ca.replace('\n', "\r\n");
    std::fs::write(place.path("company.pem"), &company).unwrap();
    let script = r#"
        eval "$("$PENSTOCK" env --unset)"
        export NODE_EXTRA_CA_CERTS="$HOME/company.pem"
        eval "$("$PENSTOCK" env)"
        echo "$NODE_EXTRA_CA_CERTS"
        heroku run
        NODE_EXTRA_CA_CERTS=/nonexistent heroku run
        printf '#!/bin/sh\n[ "$1" = git ] && exec heroku run\necho "cli believes $NODE_EXTRA_CA_CERTS"\n' >"$HOME/bin/heroku"
        heroku git
        eval "$("$PENSTOCK" env --unset)"
        echo "$NODE_EXTRA_CA_CERTS"
    "#;
    let (status, said) = shell(&place, script);
    assert_eq!(status, Some(0), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let own = format!("{}/company.pem", place.path("").display());
    assert_eq!([lines[0], lines[4]], [&own, &own], "{said}");
    let believed = |line: &str| {
        let (_, rest) = line.split_once(" believes ").unwrap();
        std::fs::read_to_string(rest.split(' ').next().unwrap()).unwrap()
    };
    // Whoever is started by the CLI may start it again.
    for line in [lines[1], lines[3]] {
        assert_eq!(believed(line), format!("{company}\n{ca}"));
    }
    assert_eq!(believed(lines[2]), ca);
}

/// They start the CLI in turns, and one of them has it run for long.
#[test]
fn shells_that_believe_others_keep_out_of_each_others_way() {
    let place = Place::new();
    let server = place.start();
    let ca = std::fs::read_to_string(&server.ready.ca_file).unwrap();
    let script = r#"
        printf '#!/bin/sh\necho "$NODE_EXTRA_CA_CERTS"\n[ "$1" = local ] && exec sleep 1000\nexit 0\n' >"$HOME/bin/heroku"
        for shell in $(seq 30); do echo "company $shell" >"$HOME/$shell.pem"; done
        mkfifo "$HOME/said"
        NODE_EXTRA_CA_CERTS="$HOME/1.pem" heroku local >"$HOME/said" &
        read -r file <"$HOME/said"
        echo "$file"
        for shell in $(seq 2 30); do NODE_EXTRA_CA_CERTS="$HOME/$shell.pem" heroku run; done
        kill $!
    "#;
    let (status, said) = shell(&place, script);
    assert_eq!(status, Some(0), "{said}");
    let files: Vec<&str> = said.lines().collect();
    assert_eq!(files.len(), 30, "{said}");
    // That of the one that runs, and of whoever came last.
    for (shell, file) in [(1, files[0]), (29, files[28]), (30, files[29])] {
        let believed = std::fs::read_to_string(file).unwrap();
        assert_eq!(believed, format!("company {shell}\n\n{ca}"));
    }
    let kept = files.iter().filter(|file| Path::new(file).exists());
    assert!(kept.count() <= 10, "{said}");
}

#[test]
fn a_shell_leaves_a_server_altogether_or_is_told_that_it_has_not() {
    let place = Place::new();
    let _server = place.start();
    let (status, said) = shell(&place, "unset HEROKU_HOST; heroku apps");
    assert_eq!(status, Some(1));
    assert!(said.contains("penstock env --unset"), "{said}");
    let script = r#"
        before=$PATH
        eval "$("$PENSTOCK" env)"
        [ "$PATH" = "$before" ] || echo "the PATH grows"
        export GIT_CONFIG_COUNT=$((GIT_CONFIG_COUNT + 1))
        export GIT_CONFIG_KEY_$((GIT_CONFIG_COUNT - 1))=user.name GIT_CONFIG_VALUE_$((GIT_CONFIG_COUNT - 1))=Ann
        eval "$("$PENSTOCK" env --unset)"
        heroku apps
        env | grep -c -e HEROKU -e PENSTOCK_URL -e PENSTOCK_CA -e PENSTOCK_API -e NODE -e TELEMETRY
        git config --get user.name
        echo "$GIT_CONFIG_COUNT"
        eval "$("$PENSTOCK" env --unset)"
        echo "$GIT_CONFIG_COUNT"
    "#;
    let (_, said) = shell(&place, script);
    assert_eq!(
        said,
        "cli apps by none none but none believes none with none\n0\nAnn\n1\n1\n"
    );
}
