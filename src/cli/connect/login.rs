//! Logging in to a server: by a token that is typed or piped, or by a page in the browser.

use std::io::{IsTerminal, Write, stderr, stdin};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde::Deserialize;
use serde_json::json;

use super::forward::innermost;
use super::netrc::Login;
use super::server::Server;
use crate::error::{Error, ErrorId, Result};

/// A little longer than the server waits for the browser.
const PATIENCE: Duration = Duration::from_secs(11 * 60);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of an address or a token.
const LONGEST_WORD: usize = 400;

#[derive(Deserialize)]
struct Account {
    email: String,
}

#[derive(Deserialize)]
struct Begun {
    browser_url: String,
    cli_url: String,
    token: String,
}

#[derive(Deserialize)]
struct Ended {
    access_token: Option<String>,
    error: Option<String>,
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= LONGEST_WORD
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '#')
}

/// 401 for a token that opens nothing.
pub async fn by_token(server: &Server, token: &str) -> Result<Login> {
    let asked = server.client.get(format!("{}/account", server.url));
    let answer = asked.bearer_auth(token).timeout(TIMEOUT).send().await;
    let answer = answer.map_err(|cause| lost(server, &cause))?;
    if !answer.status().is_success() {
        return Err(Error::new(
            ErrorId::Unauthorized,
            format!(
                "The token opens no account of {}. On the server, `penstock token create EMAIL` prints one that does.",
                server.host
            ),
        ));
    }
    let account: Account = answer.json().await.map_err(|cause| lost(server, &cause))?;
    // They become words of ~/.netrc, where a line end would begin an entry for another host.
    if !is_word(&account.email) || !is_word(token) {
        return Err(Error::conflict(format!(
            "What {} answered is no login: an address or a token with spaces in it. Ask whoever runs it.",
            server.host
        )));
    }
    Ok(Login {
        login: account.email,
        password: token.to_owned(),
    })
}

/// Asks at the terminal; without a terminal, prints the link and waits for the browser.
pub async fn by_person(server: &Server) -> Result<Login> {
    if stdin().is_terminal() {
        eprint!(
            "API token for {} (Enter opens a browser instead): ",
            server.host
        );
        stderr().flush()?;
        let token = hidden_line()?;
        if !token.is_empty() {
            return by_token(server, &token).await;
        }
    }
    by_browser(server).await
}

async fn by_browser(server: &Server) -> Result<Login> {
    let name = rustix::system::uname();
    let host = name.nodename().to_string_lossy();
    let body = json!({ "description": format!("penstock connect on {host}") });
    let begun = server
        .client
        .post(format!("{}/auth", server.url))
        .header("content-type", "application/json")
        .body(body.to_string())
        .timeout(TIMEOUT);
    let lost = |cause: reqwest::Error| lost(server, &cause);
    let begun = begun
        .send()
        .await
        .and_then(reqwest::Response::error_for_status);
    let begun: Begun = begun.map_err(lost)?.json().await.map_err(lost)?;
    let url = format!("{}{}", server.url, begun.browser_url);
    eprintln!("Log in at this page, within ten minutes:\n\n    {url}\n");
    open(&url);
    let waiting = server
        .client
        .get(format!("{}{}", server.url, begun.cli_url));
    let ended = waiting
        .bearer_auth(begun.token)
        .timeout(PATIENCE)
        .send()
        .await;
    let ended = ended.and_then(reqwest::Response::error_for_status);
    let ended: Ended = ended.map_err(lost)?.json().await.map_err(lost)?;
    match ended.access_token {
        Some(token) => by_token(server, &token).await,
        None => Err(Error::new(
            ErrorId::Unauthorized,
            ended
                .error
                .unwrap_or_else(|| "The login came to nothing. Try again.".to_owned()),
        )),
    }
}

/// In a browser, if there is one; who has none opens the link elsewhere.
fn open(url: &str) {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    let mut command = Command::new(program);
    command
        .arg(url)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if stderr().is_terminal() {
        let _ = command.spawn();
    }
}

/// A line that is not shown while it is typed.
fn hidden_line() -> Result<String> {
    let input = stdin();
    let before = tcgetattr(&input)?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    hidden.local_modes.insert(LocalModes::ECHONL);
    tcsetattr(&input, OptionalActions::Flush, &hidden)?;
    let mut line = String::new();
    let read = input.read_line(&mut line);
    tcsetattr(&input, OptionalActions::Flush, &before)?;
    read?;
    Ok(line.trim().to_owned())
}

fn lost(server: &Server, cause: &reqwest::Error) -> Error {
    Error::new(
        ErrorId::Unavailable,
        format!(
            "{} did not answer ({}). Try again.",
            server.url,
            innermost(cause)
        ),
    )
}
