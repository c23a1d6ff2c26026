//! What passes between a client and its dyno.

use std::time::Instant;

use serde_json::json;

use super::Harbour;
use crate::binary::{HANG, Place, Server, TIED};

#[tokio::test]
async fn output_comes_after_the_greeting_and_input_goes_in_until_its_end() {
    let place = Place::new();
    let harbour = Harbour::new(&place).await;
    let mut cat = harbour.run("echo ready; cat; echo over", None).await;
    cat.until("ready\n").await;
    cat.send("one\n").await;
    cat.until("one\n").await;
    // A byte that means the end is a part of the input while there is more of it.
    cat.send("two\x04").await;
    cat.send("three\n").await;
    cat.until("two\x04three\n").await;
    cat.send("four\n").await;
    cat.send("\x04").await;
    assert_eq!(cat.text().await, "four\nover\n");
    harbour.gone().await;
    let log = harbour.client.logs("app").await;
    assert!(log.contains("Awaiting client"), "{log}");
    // It was for whoever sat in front of it.
    assert!(!log.contains("app[run."), "{log}");
}

#[tokio::test]
async fn a_terminal_is_as_large_as_the_clients_and_knows_control_characters() {
    let place = Place::new();
    let harbour = Harbour::new(&place).await;
    let mut shell = harbour.run("bash --norc", Some((33, 101))).await;
    shell.send("stty size; tty; echo $TERM-$DYNO\r").await;
    let seen = shell.until("xterm-run.").await;
    assert!(seen.contains("33 101"), "{seen}");
    // Within a sandbox the one terminal from outside is the console.
    let names = ["\n/dev/pts/", "\n/dev/console"];
    assert!(names.iter().any(|name| seen.contains(name)), "{seen}");
    shell
        .send("echo begun; sleep 1000; echo un''reached\r")
        .await;
    shell.until("begun\r\n").await;
    // A shell that is just starting a program may keep the signal to itself.
    let sleep = harbour.process("sleep ");
    let begun = Instant::now();
    while !is_in_front(sleep) {
        assert!(begun.elapsed() < HANG, "it never had the terminal");
    }
    shell.send("\x03").await;
    shell.send("echo still he''re\r").await;
    let seen = shell.until("still here").await;
    assert!(!seen.contains("unreached"), "{seen}");
    shell.send("\x04").await;
    shell.rest().await;
    harbour.gone().await;
}

#[tokio::test]
async fn a_terminal_that_says_that_it_was_resized_is_as_large_from_then_on() {
    let place = Place::new();
    let harbour = Harbour::new(&place).await;
    let command = "trap 'stty size' WINCH; stty -echo; echo begun; while :; do sleep 0.1; done";
    let mut run = harbour.run(command, Some((33, 101))).await;
    run.until("begun\r\n").await;
    run.send("\x1b[48;50;1").await;
    run.send("32;800;1056t").await;
    run.until("50 132\r\n").await;
    run.send("\x03").await;
    run.rest().await;
    harbour.gone().await;
}

#[tokio::test]
async fn whoever_attaches_gets_a_terminal_unless_he_says_that_he_has_none() {
    let place = Place::new();
    let harbour = Harbour::new(&place).await;
    let terminal = "80 by 24\r\n";
    for (asked, expected) in [
        (json!({}), terminal),
        (json!({"env": {"GREETING": "hi"}}), terminal),
        (json!({"force_no_tty": false}), terminal),
        (
            json!({"env": {"TERM": "xterm", "COLUMNS": "99"}}),
            "99 by 24\r\n",
        ),
        (
            json!({"force_no_tty": true, "env": {"LINES": 5, "COLUMNS": 6}}),
            "none\n",
        ),
        (json!({"env": {"TERM": "xterm"}}), "none\n"),
    ] {
        let mut body = json!({
            "command": "if [ -t 0 ]; then stty size | (read r c; echo $c by $r); else echo none; fi", "attach": true,
        });
        let fields = body.as_object_mut().unwrap();
        fields.extend(asked.as_object().unwrap().clone());
        let dyno = harbour.client.post("/apps/app/dynos", body).await;
        let mut run = harbour.connect(&dyno.expect(201)).await;
        run.greeting().await;
        assert_eq!(run.text().await, expected, "{asked}");
    }
}

/// Whether what is typed at its terminal is for this process: its group is the one that the terminal has in front.
fn is_in_front(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields: Vec<&str> = fields.split(' ').collect();
    fields[2] == fields[5]
}

#[tokio::test]
async fn programs_are_looked_for_where_heroku_does_and_nowhere_that_only_the_server_knows() {
    let place = Place::new();
    let mut command = place.command(&[TIED]);
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("/root/nobody/bin:{path}:/usr/local/sbin"));
    let harbour = Harbour::of(Server::start(command, &place.log())).await;
    let mut echo = harbour.run("echo $PATH", None).await;
    let path = echo.text().await;
    let usual = "/usr/local/bin:/usr/bin:/bin:";
    assert!(path.contains(usual), "{path}");
    assert!(!path.contains("sbin") && !path.contains("nobody"), "{path}");
}

#[tokio::test]
async fn a_quick_command_leaves_its_client_time() {
    let harbour = Harbour::within(|limits| limits.floor = 100 * HANG).await;
    let mut quick = harbour.run("true", None).await;
    harbour.gone().await;
    // Another has come and gone, and nobody has hung up on its client, nor on the first one.
    let mut other = harbour.run("echo other", None).await;
    other.until("other\n").await;
    harbour.gone().await;
    assert!(quick.is_open().await && other.is_open().await);
    drop((quick, other));
    harbour.end().await;
}

#[tokio::test]
async fn the_exit_status_comes_in_one_record() {
    let harbour = Harbour::within(|limits| limits.marker = HANG).await;
    let marker = "\u{FFFF} heroku-command-exit-status: 7\n";
    // Cut where it hurts, as a slow line may do it.
    let cut = "printf '\\xEF\\xBF'; sleep 0.05; printf '\\xBF heroku-command-exit'; sleep 0.05; echo '-status: 7'";
    for command in [
        "(exit 7) ; echo \"\u{FFFF} heroku-command-exit-status: $?\"",
        cut,
    ] {
        let mut run = harbour.run(command, None).await;
        assert_eq!(String::from_utf8(run.record().await).unwrap(), marker);
        assert_eq!(run.text().await, "");
    }
    harbour.end().await;
}

#[tokio::test]
async fn a_process_type_stands_for_its_command_and_much_output_comes_whole() {
    let place = Place::new();
    let harbour = Harbour::new(&place).await;
    let mut hello = harbour.run("hello to you", None).await;
    assert_eq!(hello.text().await, "hello to you\n");
    let mut much = harbour
        .run("head -c 3000000 /dev/zero | tr '\\0' x", None)
        .await;
    assert_eq!(much.rest().await.len(), 3_000_000);
}

#[tokio::test]
async fn a_client_that_goes_hangs_up_on_its_dyno() {
    let place = Place::new();
    let harbour = Harbour::new(&place).await;
    let command = "trap 'echo hung up > /proc/$PPID/fd/2; exit 5' HUP; echo begun; while :; do sleep 0.1; done";
    let mut run = harbour.run(command, None).await;
    run.until("begun\n").await;
    drop(run);
    harbour
        .said("Client connection closed. Sending SIGHUP to all processes")
        .await;
    harbour.gone().await;
    harbour.said("Process exited with status 5").await;
}

#[tokio::test]
async fn a_server_that_starts_again_ends_what_nobody_sits_in_front_of() {
    let place = Place::new();
    let harbour = Harbour::new(&place).await;
    let mut run = harbour.run("echo begun; sleep 1000", None).await;
    run.until("begun\n").await;
    harbour.server.kill();
    let harbour = Harbour::again(place.start());
    harbour.gone().await;
}

#[tokio::test]
async fn a_dyno_that_is_stopped_before_it_began_ends_the_session() {
    let place = Place::new();
    let harbour = Harbour::new(&place).await;
    for _ in 0..3 {
        let dyno = harbour.ask("sleep 1000", None).await;
        let mut run = harbour.connect(&dyno).await;
        run.greeting().await;
        let name = dyno["name"].as_str().unwrap();
        let stop = format!("/apps/app/dynos/{name}/actions/stop");
        harbour.client.post(stop, json!({})).await.expect(202);
        run.rest().await;
    }
}

#[tokio::test]
async fn whoever_stops_the_dyno_or_deletes_the_app_ends_the_session() {
    let place = Place::new();
    let harbour = Harbour::new(&place).await;
    let dyno = harbour.ask("echo begun; sleep 1000", None).await;
    let mut run = harbour.connect(&dyno).await;
    run.greeting().await;
    run.until("begun\n").await;
    let stop = format!(
        "/apps/app/dynos/{}/actions/stop",
        dyno["name"].as_str().unwrap()
    );
    harbour.client.post(stop, json!({})).await.expect(202);
    run.rest().await;
    harbour.gone().await;
    let mut run = harbour.run("echo begun; sleep 1000", None).await;
    run.until("begun\n").await;
    harbour.client.delete("/apps/app").await.expect(200);
    run.rest().await;
}
