//! The server's own log for programs: an object a line, with the id that the answer to a request carried.

use serde_json::Value;

use crate::binary::{Place, Server, TIED};
use crate::harness::http;

fn logged(place: &Place) -> Vec<Value> {
    let said = std::fs::read_to_string(place.log()).unwrap();
    let object = |line: &str| -> Value {
        let parsed = serde_json::from_str(line);
        let value: Value = parsed.unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(value.is_object(), "{line}");
        value
    };
    said.lines().map(object).collect()
}

async fn asked(server: &Server, path: &str, sent: Option<&str>) -> (u16, String) {
    let mut request = http().get(format!("{}{path}", server.ready.api_url));
    request = request.bearer_auth(&server.ready.api_key);
    if let Some(sent) = sent {
        request = request.header("request-id", sent);
    }
    let answer = request.send().await.unwrap();
    let id = answer.headers()["request-id"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), id)
}

#[tokio::test]
async fn each_request_is_an_object_a_line_with_the_id_of_its_answer_and_no_secret() {
    let place = Place::new();
    let command = place.command(&[TIED, "--log-format", "json"]);
    let server = Server::start(command, &place.log());
    for (path, route, sent) in [
        ("/account", "/account", None),
        ("/apps/nosuch?secret=1", "/apps/{app}", Some("theirs-1")),
    ] {
        let (status, ids) = asked(&server, path, sent).await;
        let id = ids.split(',').next().unwrap();
        if let Some(sent) = sent {
            assert_eq!(ids, format!("{id},{sent}"));
        }
        let lines = logged(&place);
        let of = |line: &&Value| line["request_id"] == id;
        let found: Vec<&Value> = lines.iter().filter(of).collect();
        assert_eq!(found.len(), 1, "{id} is not once in {lines:?}");
        let line = found[0];
        assert_eq!(line["message"], "answered");
        assert_eq!(line["method"], "GET");
        assert_eq!(line["route"], route);
        assert_eq!(line["status"], status);
        assert!(line["ms"].is_u64(), "{line}");
        assert_eq!(line["level"], "DEBUG");
        assert!(line["timestamp"].is_string(), "{line}");
    }
    let said = std::fs::read_to_string(place.log()).unwrap();
    for secret in [server.ready.api_key.as_str(), "secret=1", "nosuch"] {
        assert!(!said.contains(secret), "{secret} is in {said}");
    }
    server.stop();
    // To its very end.
    logged(&place);
}

#[tokio::test]
async fn the_format_is_chosen_in_the_environment_too_and_is_text_by_itself() {
    let place = Place::new();
    let mut command = place.command(&[TIED]);
    command.env("PENSTOCK_LOG_FORMAT", "json");
    let server = Server::start(command, &place.log());
    let (_, id) = asked(&server, "/account", None).await;
    assert!(logged(&place).iter().any(|line| line["request_id"] == id));
    server.stop();
    let place = Place::new();
    let server = place.start();
    let (_, id) = asked(&server, "/account", None).await;
    let said = std::fs::read_to_string(place.log()).unwrap();
    assert!(!said.contains(&id) && !said.contains("{\""), "{said}");
}
