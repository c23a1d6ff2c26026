//! Telemetry drains: an app's lines as OpenTelemetry logs.

use serde_json::{Value, json};

use super::World;
use super::receiver::{Does, Receiver};

#[tokio::test]
async fn an_apps_lines_are_sent_as_opentelemetry_logs() {
    let mut receiver = Receiver::https(Does::Answer(200)).await;
    let mut world = World::without().await;
    let endpoint = receiver.url.replace("/in?key=value", "/otel/");
    let body = json!({
        "owner": {"type": "app", "id": world.app},
        "signals": ["logs"],
        "exporter": {"type": "otlphttp", "endpoint": endpoint, "headers": {"x-key": "rosebud"}},
    });
    world.ann.post("/telemetry-drains", body).await.created();
    world.server.pass(std::time::Duration::from_secs(60));
    world.print("said \"aloud\"");
    world.server.drain(receiver.roots.clone());
    let (frame, record) = loop {
        let frame = receiver.frame().await;
        let body: Value = serde_json::from_slice(&frame.body).unwrap();
        let resource = &body["resourceLogs"][0];
        let service = json!([{"key": "service.name", "value": {"stringValue": "harbour"}}]);
        assert_eq!(resource["resource"]["attributes"], service);
        let records = resource["scopeLogs"][0]["logRecords"]
            .as_array()
            .unwrap()
            .clone();
        let said = |record: &Value| record["body"]["stringValue"] == "said \"aloud\"";
        if let Some(record) = records.into_iter().find(said) {
            break (frame, record);
        }
    };
    assert_eq!(frame.path, "/otel/v1/logs");
    assert_eq!(frame.header("content-type"), "application/json");
    assert_eq!(frame.header("x-key"), "rosebud");
    assert_eq!(record["timeUnixNano"], "1769860860000000000");
    assert_eq!(record["severityText"], "INFO");
    let attributes = json!([
        {"key": "heroku.log.source", "value": {"stringValue": "app"}},
        {"key": "heroku.log.process", "value": {"stringValue": "web.1"}},
    ]);
    assert_eq!(record["attributes"], attributes);
}
