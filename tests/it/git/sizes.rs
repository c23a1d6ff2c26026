//! How large an app's repository is, as `heroku apps:info` shows it.

use serde_json::Value;

use super::{PROCFILE, Scene};
use crate::binary::Client;

/// Of the app itself, and in the list, which are the same.
async fn size(client: &Client) -> Value {
    let app = client.get("/apps/app").await.expect(200);
    let listed = client.get("/apps").await.expect(200);
    assert_eq!(listed[0]["repo_size"], app["repo_size"]);
    app["repo_size"].clone()
}

/// Text that no two characters of can be told from the ones before.
fn noise(length: usize) -> String {
    let mut state = 1_u64;
    let digit = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005);
        char::from(b'a' + u8::try_from(state >> 60).unwrap())
    };
    (0..length).map(digit).collect()
}

#[tokio::test]
async fn an_app_has_the_bytes_that_were_pushed_to_it() {
    let Scene {
        client, work, url, ..
    } = &Scene::new().await;
    assert_eq!(size(client).await, Value::Null);
    let before = client.get("/apps/app").await.expect(200);
    work.commit(&[("Procfile", PROCFILE)]);
    let pushed = work.push(url, "main");
    assert!(pushed.succeeded, "{}", pushed.said);
    let first = size(client).await.as_i64().unwrap();
    assert!((100..20_000).contains(&first), "{first}");

    // What is kept and not built counts as well; a character is half a byte of it when it is packed.
    work.commit(&[("large", &noise(100_000))]);
    let pushed = work.push(url, "HEAD:refs/heads/kept");
    assert!(pushed.succeeded, "{}", pushed.said);
    let second = size(client).await.as_i64().unwrap();
    let grown = second - first;
    assert!((45_000..120_000).contains(&grown), "{grown}");

    // And what is refused does not.
    work.commit(&[("more", &noise(50_000)), ("Procfile", "no process type")]);
    assert!(!work.push(url, "HEAD:refs/notes/mine").succeeded);
    assert_eq!(size(client).await, second);
    let after = client.get("/apps/app").await.expect(200);
    assert_eq!(after["updated_at"], before["updated_at"]);
}
