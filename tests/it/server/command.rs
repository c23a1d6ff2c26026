//! The other subcommands, and what each says of itself.

use std::process::Command;

use crate::binary::{Place, penstock};

/// The text of every command's help, as kept in `tests/golden/help.txt`.
fn help() -> String {
    let commands: [&[&str]; 14] = [
        &[],
        &["serve"],
        &["env"],
        &["account"],
        &["account", "create"],
        &["account", "token"],
        &["account", "list"],
        &["token"],
        &["token", "list"],
        &["token", "create"],
        &["token", "revoke"],
        &["doctor"],
        &["completions"],
        &["man"],
    ];
    let mut text = String::new();
    for command in commands {
        let output = penstock(command).arg("--help").output().unwrap();
        assert!(output.status.success());
        let asked = ["$ penstock", &command.join(" "), "--help"].join(" ");
        let said = String::from_utf8(output.stdout).unwrap();
        text.push_str(&format!("{}\n{said}\n", asked.replace("  ", " ")));
    }
    text
}

/// After a change that is meant, the file is written anew with `UPDATE_GOLDEN=1 cargo test`.
#[test]
fn the_help_is_as_it_is_kept() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/help.txt");
    let help = help();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &help).unwrap();
    }
    assert_eq!(help, std::fs::read_to_string(path).unwrap());
}

#[tokio::test]
async fn the_lines_of_penstock_env_point_curl_at_the_server() {
    let place = Place::new();
    let server = place.start();
    server.client().create_app("seen-by-curl").await;
    let script = r#"
        eval "$("$PENSTOCK" env)" &&
        curl -sS --noproxy '*' -H "Authorization: Bearer $HEROKU_API_KEY" "$HEROKU_HOST/apps/seen-by-curl" &&
        curl -sS --noproxy '*' -n -u ":$HEROKU_API_KEY" "$PENSTOCK_URL/account" &&
        curl -sS --noproxy '*' -o /dev/null -w '%{http_code}' -H 'Host: nobody.localhost' \
            "http://127.0.0.1:${PENSTOCK_ROUTER_URL##*:}/"
    "#;
    let output = Command::new("sh")
        .args(["-euc", script])
        .env("PENSTOCK", env!("CARGO_BIN_EXE_penstock"))
        .env("PENSTOCK_DATA_DIR", place.data())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    assert!(said.contains(r#""name":"seen-by-curl""#), "{said}");
    assert!(said.contains(r#""email":"owner@localhost""#), "{said}");
    assert!(said.ends_with("404"), "{said}");
}

#[test]
fn penstock_env_without_a_server_says_what_to_do() {
    let place = Place::new();
    let mut command = penstock(&["env", "--data-dir"]);
    let output = command.arg(place.data()).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    // What is evaluated fails too, so that nothing goes on with tools that still lead to Heroku.
    assert_eq!(output.stdout, b"false\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("`penstock serve`"), "{said}");
    assert!(!place.data().exists(), "asking has made a folder");
}

#[test]
fn penstock_env_heeds_what_the_shell_has_told_git_and_proxies() {
    let place = Place::new();
    let server = place.start();
    let script = r#"
        export GIT_SSL_CAINFO=/etc/theirs.pem HTTPS_PROXY=http://127.0.0.1:9 NO_PROXY=intranet
        export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=user.name GIT_CONFIG_VALUE_0=Ann
        for twice in 1 2; do eval "$("$PENSTOCK" env)"; done
        echo "certificates: ${GIT_SSL_CAINFO-none}"
        git config --get user.name
        git config --get-urlmatch http.sslCAInfo https://github.com/
        git config --get-urlmatch http.sslCAInfo "https://${HEROKU_HOST#*://}/app.git"
        echo "settings: $GIT_CONFIG_COUNT, direct: $NO_PROXY"
    "#;
    let output = Command::new("sh")
        .args(["-euc", script])
        .env("PENSTOCK", env!("CARGO_BIN_EXE_penstock"))
        .env("PENSTOCK_DATA_DIR", place.data())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let ca = &server.ready.ca_file;
    let expected = format!(
        "certificates: none\nAnn\n/etc/theirs.pem\n{ca}\nsettings: 4, direct: intranet,127.0.0.1,localhost\n"
    );
    assert_eq!(
        said,
        expected,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_setting_that_makes_no_sense_is_refused_before_anything_is_made() {
    let place = Place::new();
    for arguments in [
        ["--listen", "nowhere"],
        ["--base-domain", "no domain"],
        ["--builds", "0"],
        ["--api-url", "ftp://host"],
        ["--dyno-readable", "relative/folder"],
        ["--dyno-readable", "/tmp/of-which-each-dyno-has-its-own"],
        ["--dyno-readable", "/.penstock/bin"],
    ] {
        let output = place.command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(arguments[0]), "{said}");
    }
    assert!(!place.data().exists());
}
