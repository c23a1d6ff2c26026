//! How it is told: once or until it was heard, in order, and whatever the receiver does.

use std::time::Duration;

use penstock::deliveries::{Deliverer, Limits};
use penstock::outbound::{Authorization, Failure, Method, Outbound, Request};
use serde_json::{Value, json};

use super::receiver::{Does, Receiver};
use super::{subscribe, subscribed};
use crate::binary::HANG;
use crate::harness::{Client, Server, id};

const DELIVERIES: &str = "/apps/harbour/webhook-deliveries";

async fn deliveries(client: &Client) -> Vec<Value> {
    client.get(DELIVERIES).await.list()
}

/// Makes one event of an `api:app`.
async fn switch(client: &Client, on: bool) {
    let body = json!({ "maintenance": on });
    client.patch("/apps/harbour", body).await.ok();
}

#[tokio::test]
async fn a_notice_is_tried_once_whatever_comes_of_it() {
    let (mut server, ann, receiver) = subscribed(&["api:app"], "notify").await;
    let mut on = false;
    for (does, code, error) in [
        (Does::Answer(500), json!(500), Value::Null),
        (Does::Answer(404), json!(404), Value::Null),
        (Does::Redirect, json!(307), Value::Null),
        (Does::BreakOff, Value::Null, json!("ConnectionBroken")),
        (Does::Nothing, Value::Null, json!("Timeout")),
    ] {
        receiver.does(does);
        if matches!(does, Does::Nothing) {
            server.deliver_within(|limits| limits.attempt = Duration::from_secs(1));
        }
        on = !on;
        switch(&ann, on).await;
        server.settle().await;
        let last = deliveries(&ann).await.pop().unwrap();
        assert_eq!(last["status"], "failed", "{does:?}");
        assert_eq!(last["num_attempts"], 1);
        assert!(last["next_attempt_at"].is_null());
        assert_eq!(last["last_attempt"]["status"], "failed");
        assert_eq!(last["last_attempt"]["code"], code);
        assert_eq!(last["last_attempt"]["error_class"], error);
        let found = ann.get(format!("{DELIVERIES}/{}", id(&last))).await.ok();
        assert_eq!(found, last);
    }
}

#[tokio::test]
async fn nobody_listening_is_an_attempt_that_failed() {
    let server = Server::start().await;
    let ann = server.account("ann").await;
    ann.app("harbour").await;
    let url = format!("http://127.0.0.1:{}/", crate::binary::ports::port());
    let body = json!({"include": ["api:app"], "level": "notify", "url": url});
    ann.post("/apps/harbour/webhooks", body).await.created();
    switch(&ann, true).await;
    server.settle().await;
    let attempt = &deliveries(&ann).await[0]["last_attempt"];
    assert_eq!(attempt["error_class"], "ConnectionRefused");
}

#[tokio::test]
async fn a_sync_delivery_is_tried_until_it_is_heard_and_the_next_ones_wait_for_it() {
    let (server, ann, mut receiver) = subscribed(&["api:app"], "sync").await;
    receiver.does(Does::Answer(503));
    for on in [true, false, true] {
        switch(&ann, on).await;
    }
    let statuses = async || ann.get(DELIVERIES).await.each("status");
    assert_eq!(statuses().await, ["scheduled", "pending", "pending"]);
    server.settle().await;
    assert_eq!(statuses().await, ["retrying", "pending", "pending"]);
    let first = deliveries(&ann).await.remove(0);
    assert_eq!(first["next_attempt_at"], "2026-01-31T12:00:10Z");
    let retrying = ann.get(format!("{DELIVERIES}?eq[status]=retrying")).await;
    assert_eq!(retrying.each("id"), [id(&first)]);
    // Too early.
    server.pass(Duration::from_secs(9));
    server.settle().await;
    assert_eq!(receiver.told().len(), 1);
    server.pass(Duration::from_secs(1));
    server.settle().await;
    assert_eq!(receiver.told().len(), 1);
    let first = deliveries(&ann).await.remove(0);
    assert_eq!(first["num_attempts"], 2);
    assert_eq!(first["next_attempt_at"], "2026-01-31T12:00:30Z");
    receiver.does(Does::Answer(200));
    server.pass(Duration::from_secs(20));
    server.settle().await;
    assert_eq!(statuses().await, ["succeeded"; 3]);
    let told = receiver.all();
    let values: Vec<&Value> = told
        .iter()
        .map(|received| &received.body["data"]["maintenance"])
        .collect();
    assert_eq!(values, [true, false, true]);
}

#[tokio::test]
async fn a_sync_delivery_that_is_never_heard_fails_after_three_days() {
    let (server, ann, mut receiver) = subscribed(&["api:app"], "sync").await;
    receiver.does(Does::BreakOff);
    switch(&ann, true).await;
    for hour in 0..80 {
        server.settle().await;
        let status = deliveries(&ann).await.remove(0);
        if hour < 71 {
            assert_eq!(status["status"], "retrying", "after {hour} hours");
        }
        server.pass(Duration::from_secs(60 * 60));
    }
    let last = deliveries(&ann).await.remove(0);
    assert_eq!(last["status"], "failed");
    let attempts = receiver.all().len();
    assert_eq!(last["num_attempts"], attempts);
    assert!((60..90).contains(&attempts), "{attempts} attempts");
}

#[tokio::test]
async fn a_dead_receiver_keeps_nobody_waiting() {
    let (mut server, ann, mut dead) = subscribed(&["api:app"], "sync").await;
    server.deliver_within(|limits| limits.attempt = 10 * HANG);
    dead.does(Does::Nothing);
    let mut alive = Receiver::start(Does::Answer(200)).await;
    subscribe(&ann, &alive, &["api:app"], "sync").await;
    switch(&ann, true).await;
    switch(&ann, false).await;
    assert_eq!(server.deliver().await, 2);
    dead.next().await;
    alive.next().await;
    // The other delivery to who is alive is due, and that to who is dead is under way and is not begun twice.
    let second = async {
        while server.deliver().await == 0 {
            tokio::task::yield_now().await;
        }
        alive.next().await
    };
    let second = tokio::time::timeout(HANG, second).await;
    assert_eq!(second.unwrap().body["data"]["maintenance"], false);
    assert_eq!(dead.all().len(), 0);
    dead.does(Does::BreakOff);
    server.settle().await;
}

/// As after a kill in the middle of an attempt: what had begun it is no more.
#[tokio::test]
async fn an_attempt_that_was_cut_off_is_made_once_more() {
    let (server, ann, mut receiver) = subscribed(&["api:app"], "notify").await;
    receiver.does(Does::Nothing);
    switch(&ann, true).await;
    assert_eq!(server.deliver().await, 1);
    let first = receiver.next().await;
    let status = deliveries(&ann).await.remove(0);
    assert_eq!(status["status"], "scheduled");
    assert_eq!(status["last_attempt"]["status"], "scheduled");
    receiver.does(Does::Answer(200));
    let restarted = Deliverer::new(server.platform.clone(), Limits::default());
    assert_eq!(restarted.tick().await.unwrap(), 1);
    restarted.idle().await;
    let second = receiver.next().await;
    assert_eq!(second.body["id"], first.body["id"]);
    receiver.does(Does::BreakOff);
    server.settle().await;
    let last = deliveries(&ann).await.remove(0);
    assert_eq!(last["status"], "succeeded");
    assert_eq!(last["num_attempts"], 2);
    let attempt = &second.body["webhook_metadata"]["attempt"]["id"];
    assert_eq!(last["last_attempt"]["id"], *attempt);
}

#[tokio::test]
async fn what_is_remembered_has_an_end() {
    let (server, ann, mut receiver) = subscribed(&["api:app"], "notify").await;
    let mut on = false;
    for _ in 0..305 {
        on = !on;
        switch(&ann, on).await;
    }
    server.settle().await;
    assert_eq!(receiver.all().len(), 305);
    let all = ann.range(DELIVERIES, "seq ..; order=desc, max=1000").await;
    let kept = all.each("id");
    assert_eq!(kept.len(), 300);
    assert!(kept.is_sorted_by(|one, next| one > next));
    let events = "/apps/harbour/webhook-events";
    let all = ann.range(events, "id ..; max=1000").await;
    assert_eq!(all.each("id").len(), 300);
    server.pass(Duration::from_secs(7 * 24 * 60 * 60 + 1));
    switch(&ann, !on).await;
    server.settle().await;
    server.sweep().await;
    assert_eq!(deliveries(&ann).await.len(), 1);
    assert_eq!(ann.get(events).await.list().len(), 1);
}

#[tokio::test]
async fn no_delivery_goes_to_a_private_address_unless_that_is_allowed() {
    let receiver = Receiver::start(Does::Answer(200)).await;
    let post = async |outbound: Outbound, url: &str| {
        let request = Request {
            method: Method::POST,
            url,
            authorization: Authorization::OfUrl,
            headers: &[],
            body: Some(b"{}".to_vec()),
            timeout: Duration::from_secs(10),
        };
        outbound.tell(request).await
    };
    let by_name = receiver.url.replace("127.0.0.1", "localhost");
    for url in [&receiver.url, &by_name] {
        let sent = post(Outbound::new(false), url).await;
        assert_eq!(sent, Err(Failure::Private), "{url}");
    }
    assert_eq!(post(Outbound::new(true), &receiver.url).await, Ok(200));
}

#[tokio::test]
async fn the_dead_receivers_of_one_account_leave_room_for_those_of_others() {
    let server = Server::start().await;
    let (ann, bob) = (server.account("ann").await, server.account("bob").await);
    let mut dead = Receiver::start(Does::Nothing).await;
    for app in ["harbour", "marina"] {
        ann.app(app).await;
        for _ in 0..4 {
            let body = json!({"include": ["api:app"], "level": "sync", "url": dead.url});
            ann.post(format!("/apps/{app}/webhooks"), body)
                .await
                .created();
        }
        let body = json!({ "maintenance": true });
        ann.patch(format!("/apps/{app}"), body).await.ok();
    }
    bob.app("lagoon").await;
    let mut alive = Receiver::start(Does::Answer(200)).await;
    let body = json!({"include": ["api:app"], "level": "notify", "url": alive.url});
    bob.post("/apps/lagoon/webhooks", body).await.created();
    let body = json!({ "maintenance": true });
    bob.patch("/apps/lagoon", body).await.ok();
    let limits = Limits {
        at_once: 4,
        share: 2,
        attempt: HANG,
    };
    let deliverer = Deliverer::new(server.platform.clone(), limits);
    assert_eq!(deliverer.tick().await.unwrap(), 3, "two of hers, and his");
    assert_eq!(alive.next().await.body["data"]["name"], "lagoon");
    assert_eq!(
        deliverer.tick().await.unwrap(),
        0,
        "hers wait for each other"
    );
    // Each of hers has its turn.
    for turn in 0..4 {
        if turn > 0 {
            dead.does(Does::Nothing);
            assert_eq!(deliverer.tick().await.unwrap(), 2);
        }
        dead.next().await;
        dead.next().await;
        dead.does(Does::BreakOff);
        deliverer.idle().await;
    }
    assert_eq!(deliverer.tick().await.unwrap(), 0);
}
