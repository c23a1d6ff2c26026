//! README's first app, typed as it stands there by someone in an empty directory.

use std::process::{Command, Stdio};

use crate::binary::{Place, Server};

/// The commands between the marker and the next heading, in the order in which they stand.
fn commands() -> String {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("<!-- the test runs").unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    let mut commands = String::new();
    for block in section.split("```sh\n").skip(1) {
        commands.push_str(block.split_once("```").unwrap().0);
    }
    commands
}

/// Types `commands` in an empty directory, with the binary under test for README's. What was printed; none may fail.
fn type_in(commands: &str, server: &Server) -> String {
    let typed = "~/penstock/target/release/penstock env";
    assert!(
        commands.contains(typed),
        "README points the tools at the server"
    );
    let here = format!(
        "{} env --data-dir {}",
        env!("CARGO_BIN_EXE_penstock"),
        server.data().display()
    );
    let empty = tempfile::tempdir().unwrap();
    let ran = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &commands.replace(typed, &here)])
        .current_dir(&empty)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, complained) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{said}\n{complained}");
    said.into_owned()
}

#[test]
fn a_command_of_the_readme_that_is_refused_says_why() {
    let place = Place::new();
    let server = place.start();
    let all = commands();
    let (tools, _) = all.split_once("cat > app.py").unwrap();
    let app = "post /apps '{\"name\": \"hello-staging\"}'";
    let said = type_in(&format!("{tools}\n{app}\n{app} || echo refused"), &server);
    assert!(said.ends_with("refused\n"), "{said}");
    assert!(said.contains("Name is already taken"), "{said}");
}

#[tokio::test]
async fn the_first_app_of_the_readme_is_promoted_to_production() {
    let place = Place::new();
    let server = place.start();
    let said = type_in(&commands(), &server);
    for expected in [
        "-----> Discovering process types",
        "Released v3",
        "<h1>Hello from staging</h1><p>served by web.1</p>",
        "<h1>Hello from production</h1><p>served by web.1</p>",
        "app[api]: Promote hello-staging v3 by user owner@localhost",
    ] {
        assert!(
            said.contains(expected),
            "{expected:?} is not in what was printed:\n{said}"
        );
    }
    // These come into the log by ways of their own, and may be a moment late.
    let client = server.client();
    for late in [
        "heroku[web.1]: Starting process with command `python3 app.py`",
        "heroku[router]: at=info method=GET path=\"/\" host=hello-production.localhost",
    ] {
        let mut tail = client.tail("hello-production", 100).await.unwrap();
        tail.until(late).await;
    }
}
