//! What whoever starts the server lets others do with new files.

use std::process::{Command, Stdio};

use serde_json::json;

use crate::binary::sample::idle_app;
use crate::binary::{Place, Server, TIED};

#[tokio::test]
async fn dynos_of_a_server_that_keeps_its_files_to_itself_read_what_every_program_reads() {
    let place = Place::new();
    let usual = place.command(&[TIED]);
    let mut command = Command::new("/bin/bash");
    command
        .args(["-c", "umask 077; exec \"$0\" \"$@\""])
        .arg(usual.get_program())
        .args(usual.get_args())
        .env_clear()
        .envs(
            usual
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .stdin(Stdio::null());
    let server = Server::start(command, &place.log());
    let client = server.client();
    client.create_app("app").await;
    client.deploy("app", idle_app()).await;
    let reads = "cat /etc/passwd > /dev/null && cat Procfile && echo came to $((6 * 7))";
    let mut tail = client.tail("app", 0).await.unwrap();
    let body = json!({"command": reads});
    client.post("/apps/app/dynos", body).await.expect(201);
    tail.until("came to 42").await;
}
