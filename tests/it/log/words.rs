//! Texts that other programs read: the platform's own lines, and server-sent events.

use penstock::log::{Lost, losses, platform, sse};

use super::*;

const USER: &str = "ann@example.com";

#[test]
fn the_api_speaks_in_herokus_words() {
    let kept = Kept::new();
    let (logs, app) = (&kept.logs, kept.app);
    platform::released(logs, app, "Initial release", 1, USER);
    platform::build_started(logs, app, USER);
    platform::released(logs, app, "Deploy 385e5950", 3, USER);
    platform::scaled(logs, app, "web@1:Basic worker@2:Basic", USER);
    platform::build_succeeded(logs, app);
    platform::build_failed(logs, app, "https://example.com/1");
    platform::release_command(logs, app, 99, USER);
    platform::stack_changed(logs, app, "heroku-22", "heroku-24", USER);
    assert_eq!(
        kept.messages(),
        [
            "Initial release by user ann@example.com",
            "Release v1 created by user ann@example.com",
            "Build started by user ann@example.com",
            "Deploy 385e5950 by user ann@example.com",
            "Release v3 created by user ann@example.com",
            "Scaled to web@1:Basic worker@2:Basic by user ann@example.com",
            "Build succeeded",
            "Build failed -- check your build output: https://example.com/1",
            "Running release v99 commands by user ann@example.com",
            "Stack changed from heroku-22 to heroku-24 by user ann@example.com",
        ]
    );
    assert!(kept.all().iter().all(|line| line.contains(" app[api]: ")));
}

/// It is true of each of them, and who has read it once need not read it with each deploy.
#[test]
fn what_an_apps_people_should_know_of_the_server_is_said_once() {
    let kept = Kept::new();
    let (logs, app) = (&kept.logs, kept.app);
    logs.note_with_first_releases("Isolation of dynos is at level userns.".to_owned());
    platform::released(logs, app, "Initial release", 1, USER);
    platform::released(logs, app, "Enable Logplex", 2, USER);
    platform::released(logs, app, "Deploy 385e5950", 3, USER);
    assert_eq!(
        kept.messages(),
        [
            "Initial release by user ann@example.com",
            "Release v1 created by user ann@example.com",
            "Isolation of dynos is at level userns.",
            "Enable Logplex by user ann@example.com",
            "Release v2 created by user ann@example.com",
            "Deploy 385e5950 by user ann@example.com",
            "Release v3 created by user ann@example.com",
        ]
    );
}

#[test]
fn losses_are_told_in_herokus_words_and_drains_are_named_in_others() {
    let kept = Kept::new();
    let (logs, app) = (&kept.logs, kept.app);
    let since = Timestamp::parse("2013-04-17T19:04:46Z").unwrap();
    let lost = Lost { lines: 500, since };
    losses::output_dropped(logs, app, lost);
    let uri = "https://logs.example.com";
    losses::drain_untrusted(logs, app, "bad certificate", uri);
    losses::drain_missed(logs, app, "d.1", lost);
    let dropped = "Error L10 (output buffer overflow): 500 messages dropped since 2013-04-17T19:04:46.000000+00:00.";
    let missed = "Drain d.1 missed 500 messages since 2013-04-17T19:04:46.000000+00:00.";
    let untrusted = "Error L14 (certificate validation): error=\"bad certificate\" uri=\"https://logs.example.com\"";
    assert_eq!(kept.messages(), [dropped, untrusted, missed]);
    let line = losses::of_drain(since, lost);
    let said = "2013-04-17T19:04:46.000000+00:00 heroku[logplex]: ";
    assert_eq!(line, format!("{said}{dropped}\n"));
    // An app that says the same of itself is not believed.
    let text = format!(
        "{said}{missed}\n{}",
        said.replace("heroku[logplex]", "app[web.1]")
    ) + &format!("{missed}\n");
    let left = losses::without_own(&text, "d.1");
    assert!(
        left.contains("app[web.1]: Drain d.1") && !left.contains("logplex"),
        "{left}"
    );
    assert_eq!(losses::without_own(&text, "d.2"), text);
}

#[test]
fn a_dynos_life_is_told_in_herokus_words() {
    let kept = Kept::new();
    let (logs, app) = (&kept.logs, kept.app);
    platform::starting(logs, app, "web.1", "npm start");
    platform::state_changed(logs, app, "web.1", "starting", "up");
    platform::restarting(logs, app, "web.1");
    platform::stopping(logs, app, "web.1");
    platform::exit_timeout(logs, app, "web.1", 30);
    platform::exited(logs, app, "web.1", 137);
    platform::boot_timeout(logs, app, "web.1", 60);
    platform::memory_exceeded(logs, app, "web.1", 1_078_460_416, 1_044_381_696);
    platform::memory_vastly_exceeded(logs, app, "web.1", 2_157_969_408, 1_073_741_824);
    platform::idling(logs, app, "web.1", "up");
    platform::unidling(logs, app, "web.1");
    platform::awaiting_client(logs, app, "web.1");
    platform::attach_error(logs, app, "web.1");
    platform::client_gone(logs, app, "web.1");
    platform::detached(logs, app, "web.1");
    assert_eq!(
        kept.messages(),
        [
            "Starting process with command `npm start`",
            "State changed from starting to up",
            "Restarting",
            "Stopping all processes with SIGTERM",
            "Error R12 (Exit timeout) -> At least one process failed to exit within 30 seconds of SIGTERM",
            "Stopping remaining processes with SIGKILL",
            "Process exited with status 137",
            "Error R10 (Boot timeout) -> Web process failed to bind to $PORT within 60 seconds of launch",
            "Stopping process with SIGKILL",
            "Process running mem=1028M(103.3%)",
            "Error R14 (Memory quota exceeded)",
            "Process running mem=2058M(201.0%)",
            "Error R15 (Memory quota vastly exceeded)",
            "Stopping process with SIGKILL",
            "Idling",
            "State changed from up to down",
            "Unidling",
            "State changed from down to starting",
            "Awaiting client",
            "Error R13 (Attach error) -> Failed to attach to process",
            "Client connection closed. Sending SIGHUP to all processes",
            "Error R16 (Detached) -> An attached process is not responding to SIGHUP after its external connection was closed.",
        ]
    );
    assert!(
        kept.all()
            .iter()
            .all(|line| line.contains(" heroku[web.1]: "))
    );
}

#[test]
fn a_description_cannot_add_a_line_of_the_platform() {
    let kept = Kept::new();
    let description = "Deploy x by user eve\nRelease v9 created";
    platform::released(&kept.logs, kept.app, description, 3, USER);
    assert_eq!(
        kept.messages(),
        [
            "Deploy x by user eve\\nRelease v9 created by user ann@example.com",
            "Release v3 created by user ann@example.com",
        ]
    );
}

#[tokio::test]
async fn a_batch_is_one_event_with_the_id_that_it_is_given() {
    let kept = Kept::new();
    kept.say("one");
    kept.say("\n");
    kept.say("three ");
    let batch = kept.tail(100).next().await.unwrap();
    let event = sse::event(&batch, "id-1");
    assert_eq!(
        std::str::from_utf8(&event).unwrap(),
        "id: id-1\n\
         data: 2022-02-27T19:53:50.466499+00:00 app[web.1]: one\n\
         data: 2022-02-27T19:53:50.466500+00:00 app[web.1]: \n\
         data: 2022-02-27T19:53:50.466501+00:00 app[web.1]: three \n\n"
    );
    assert_eq!(sse::resume(&batch.place.to_string()), Some(batch.place));
    let place = sse::resume(&batch.last.to_log()).unwrap();
    assert_eq!((place.at, place.counted), (batch.last, None));
    for text in ["7", "2022-02-27T19:53:50.466499+00:00,x,y", ""] {
        assert_eq!(sse::resume(text), None, "{text}");
    }
}
