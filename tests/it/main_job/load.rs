//! Visitors who never let up while the app changes under them: none of them may notice.

use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::start;
use crate::binary::sample::PYTHON;
use crate::binary::{Client, HANG};

const VISITORS: usize = 12;

/// What a visitor met.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    lost: Vec<String>,
    /// Pages of an older version after one of a newer.
    backwards: Vec<(u32, u32)>,
}

/// Visits over one connection that is kept alive, every other time with a body that must not be sent twice.
async fn visit(client: Client, seen: watch::Sender<u32>, enough: watch::Receiver<bool>) -> Tally {
    let mut tally = Tally::default();
    let mut newest = 0;
    while !*enough.borrow() {
        let wire = TcpStream::connect(client.router_address()).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(wire)).await.unwrap();
        tokio::spawn(connection);
        while !*enough.borrow() {
            let answer = timeout(HANG, ask(&mut sender, &client, tally.answered)).await;
            let (closes, version) = match answer.expect("a visitor waits forever") {
                Ok(answered) => answered,
                Err(lost) => {
                    tally.lost.push(lost);
                    break;
                }
            };
            tally.answered += 1;
            if version < newest {
                tally.backwards.push((newest, version));
            }
            newest = version;
            seen.send_if_modified(|seen| std::mem::replace(seen, version.max(*seen)) < version);
            if closes {
                break;
            }
        }
    }
    tally
}

/// One request: whether the connection ends with it, and the version that answered.
async fn ask(
    sender: &mut http1::SendRequest<String>,
    client: &Client,
    turn: usize,
) -> Result<(bool, u32), String> {
    use http_body_util::BodyExt;
    let (method, body) = match turn % 2 {
        0 => (Method::GET, String::new()),
        _ => (Method::POST, "posted".to_owned()),
    };
    let request = Request::builder()
        .method(method)
        .uri("/")
        .header("host", client.host("busy"))
        .body(body)
        .unwrap();
    let sent = sender.send_request(request).await;
    let answer = sent.map_err(|error| format!("no answer: {error}"))?;
    let status = answer.status();
    let closes = answer
        .headers()
        .get("connection")
        .is_some_and(|value| value == "close");
    let body = answer.into_body().collect().await;
    let body = body
        .map_err(|error| format!("cut off: {error}"))?
        .to_bytes();
    let text = String::from_utf8_lossy(&body).into_owned();
    let version = text.split("version ").nth(1).and_then(|rest| {
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        rest[..end].parse().ok()
    });
    match version {
        Some(version) if status.is_success() => Ok((closes, version)),
        _ => Err(format!("{status}: {text}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deploys_restarts_and_scaling_under_continuous_requests_lose_none() {
    let (_place, _server, client) = start();
    client.create_app("busy").await;
    client.deploy("busy", PYTHON.tarball("version 1")).await;
    client.visit_until("busy", 200, "version 1 says").await;
    let (seen, mut newest) = watch::channel(0);
    let (enough, ended) = watch::channel(false);
    let mut visitors = JoinSet::new();
    for _ in 0..VISITORS {
        visitors.spawn(visit(client.clone(), seen.clone(), ended.clone()));
    }
    newest.wait_for(|version| *version == 1).await.unwrap();
    for version in 2..=3 {
        let tarball = PYTHON.tarball(&format!("version {version}"));
        client.deploy("busy", tarball).await;
        let came = newest.wait_for(|newest| *newest == version);
        timeout(HANG, came).await.unwrap().unwrap();
    }
    for quantity in [3, 1] {
        let change = json!({"quantity": quantity});
        client
            .patch("/apps/busy/formation/web", change)
            .await
            .expect(200);
        client.dynos("busy", quantity).await;
    }
    let mut tail = client.tail("busy", 0).await.unwrap();
    client.delete("/apps/busy/dynos").await.expect(202);
    tail.until("heroku[web.1]: Process exited with status 143")
        .await;
    let vars = json!({"GREETING": "changed"});
    client
        .patch("/apps/busy/config-vars", vars)
        .await
        .expect(200);
    tail.until("heroku[web.1]: Process exited with status 143")
        .await;
    enough.send_replace(true);
    let mut answered = 0;
    while let Some(tally) = visitors.join_next().await {
        let tally = tally.unwrap();
        assert!(
            tally.lost.is_empty(),
            "lost after {answered} answers: {:#?}",
            tally.lost
        );
        assert!(tally.backwards.is_empty(), "{:?}", tally.backwards);
        assert!(tally.answered > 0);
        answered += tally.answered;
    }
    assert!(
        answered > 10 * VISITORS,
        "only {answered} requests were made"
    );
}
