//! Log sessions: a URL that shows an app's log for a while, as plain text or as server-sent events.
//!
//! Who has the URL needs nothing else, but it is good only while the token that it was asked for with would open the log, and a
//! stream that is open ends with that too.

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::call::{Call, Visit};
use super::params;
use super::reply::{Created, Reply};
use crate::Platform;
use crate::blob::signed::Method;
use crate::error::{Error, Result};
use crate::log::session::{Batch, DEFAULT_LINES, HISTORY_LINES};
use crate::log::{Filter, Session, Source, sse, terminal};
use crate::name::Id;
use crate::store::access::{self, Permission};
use crate::store::{Table, oauth_tokens};
use crate::time::Timestamp;

/// How long a session's URL may be connected to, as on Heroku.
const LIFE: Duration = Duration::from_secs(6 * 60);
/// A silent session of server-sent events says so often that it is alive.
const PING_EVERY: Duration = Duration::from_secs(15);
/// How often it is looked whether an open session may still be seen, however much changes, and however little.
const LOOK_AT_MOST: Duration = Duration::from_secs(1);
const LOOK_AT_LEAST: Duration = Duration::from_secs(30);

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "LogSessionBody")]
pub struct Body {
    /// A dyno or a process type; the CLI uses this for both.
    dyno: Option<String>,
    dyno_name: Option<String>,
    r#type: Option<String>,
    lines: Option<i64>,
    source: Option<String>,
    tail: Option<bool>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "LogSession")]
pub struct View {
    created_at: Timestamp,
    id: Id,
    logplex_url: String,
    updated_at: Timestamp,
}

/// What a session shows. It travels in the session's URL, under its signature.
#[derive(Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// What it was asked for with.
    token: Id,
    process: Option<String>,
    source: Option<String>,
    lines: usize,
    tail: bool,
}

impl Body {
    fn check(self, token: Id) -> Result<Wanted> {
        let process = params::text(self.dyno.or(self.dyno_name).or(self.r#type), "dyno", 160)?;
        if self
            .source
            .as_deref()
            .is_some_and(|source| Source::parse(source).is_none())
        {
            return Err(Error::invalid("The source of log lines is app or heroku."));
        }
        let lines = match self.lines {
            None => DEFAULT_LINES,
            Some(lines) => usize::try_from(lines)
                .map_err(|_| Error::invalid("The number of lines cannot be negative."))?,
        };
        Ok(Wanted {
            token,
            process,
            source: self.source,
            lines: lines.min(HISTORY_LINES),
            tail: self.tail.unwrap_or(false),
        })
    }
}

pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    let wanted = body.check(call.caller.token)?;
    let app = call.read(|connection, caller| caller.app(connection))?;
    let now = call.caller.now;
    let wanted = hex::encode(serde_json::to_vec(&wanted).map_err(Error::internal)?);
    let path = format!("/streams/logs/{}/{wanted}", app.id);
    let logplex_url = call.platform.signed_url(Method::Get, &path, now.plus(LIFE));
    Reply::of(&View {
        created_at: now,
        id: Id::new(),
        logplex_url,
        updated_at: now,
    })
}

pub async fn stream(visit: Visit) -> Result<HttpResponse> {
    visit.verify(Method::Get)?;
    let app = visit.params.id("app", "app")?;
    let wanted: Wanted = hex::decode(visit.params.text("session"))
        .ok()
        .and_then(|json| serde_json::from_slice(&json).ok())
        .ok_or_else(|| Error::not_found("log session"))?;
    let (lines, tail) = (wanted.lines, wanted.tail);
    let access = Access::new(&visit, wanted.token, app);
    if !access.is_open()? {
        return Err(Error::forbidden(
            "This log session is over: the token that it was asked for with does not open the app's log any more.",
        ));
    }
    let events =
        header(&visit, "accept").is_some_and(|accept| accept.contains("text/event-stream"));
    let filter = filter(&visit, wanted, events);
    let session = visit.platform.logs.session(app, filter, lines, tail);
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(match events {
        true => response
            .content_type("text/event-stream")
            .streaming(as_events(session, access, tail)),
        false => response
            .content_type("text/plain; charset=utf-8")
            .streaming(as_text(session, access)),
    })
}

/// The wanted lines; of those, a browser that comes back gets what it has not seen.
fn filter(visit: &Visit, wanted: Wanted, events: bool) -> Filter {
    Filter {
        source: wanted.source.as_deref().and_then(Source::parse),
        process: wanted.process,
        after: header(visit, "last-event-id")
            .filter(|_| events)
            .and_then(sse::resume),
    }
}

fn header<'a>(visit: &'a Visit, name: &str) -> Option<&'a str> {
    let value = visit.request.headers().get(name)?;
    value.to_str().ok()
}

/// Whether whoever asked for a session may still see the log.
struct Access {
    platform: Arc<Platform>,
    token: Id,
    app: Id,
    changes: watch::Receiver<u64>,
    /// Something has changed since it was looked at.
    changed: bool,
    looked: Instant,
}

impl Access {
    fn new(visit: &Visit, token: Id, app: Id) -> Access {
        // Whoever joins or leaves a team is written into its apps' collaborators, or out of them.
        let tables = [
            Table::AccessToken,
            Table::Account,
            Table::App,
            Table::Collaborator,
        ];
        Access {
            changes: visit.platform.store.changes(&tables),
            platform: visit.platform.clone(),
            token,
            app,
            changed: false,
            looked: Instant::now(),
        }
    }

    fn is_open(&self) -> Result<bool> {
        let now = self.platform.clock.now();
        self.platform.store.read(|connection| {
            let Some(account) = oauth_tokens::opens(connection, self.token, now)? else {
                return Ok(false);
            };
            let held = access::permissions(connection, &account, self.app)?;
            Ok(held.is_some_and(|held| held.has(Permission::View)))
        })
    }

    /// How long nothing happens to it by itself: until its token expires.
    fn rest(&self) -> Duration {
        let expires = |connection: &_| oauth_tokens::expires_at(connection, self.token);
        match self.platform.store.read(expires) {
            Ok(Some(expires)) => expires.since(self.platform.clock.now()).min(LOOK_AT_LEAST),
            _ => LOOK_AT_LEAST,
        }
    }

    /// Resolves once it is lost. It looks after each change, though not more often than once in a while, and at times for the sake
    /// of a token that expires. Cancelling it loses nothing.
    async fn lost(&mut self) {
        loop {
            if !self.changed {
                // The store outlives every request.
                let _ = timeout(self.rest(), self.changes.changed()).await;
                self.changed = true;
            }
            sleep_until(self.looked + LOOK_AT_MOST).await;
            (self.changed, self.looked) = (false, Instant::now());
            // Should the look fail, another is taken.
            if matches!(self.is_open(), Ok(false)) {
                return;
            }
        }
    }
}

/// The next lines, while they may be seen.
async fn next(session: &mut Session, access: &mut Access) -> Option<Batch> {
    tokio::select! {
        batch = session.next() => batch,
        () = access.lost() => None,
    }
}

fn as_text(
    session: Session,
    access: Access,
) -> impl Stream<Item = std::result::Result<Bytes, actix_web::Error>> {
    stream::unfold((session, access), |(mut session, mut access)| async {
        let batch = next(&mut session, &mut access).await?;
        Some((Ok(terminal::reset(batch.text)), (session, access)))
    })
}

fn as_events(
    session: Session,
    access: Access,
    tail: bool,
) -> impl Stream<Item = std::result::Result<Bytes, actix_web::Error>> {
    let opening = Bytes::from_static(sse::opening(tail));
    let live = stream::unfold((session, access), |(mut session, mut access)| async {
        let event = match timeout(PING_EVERY, next(&mut session, &mut access)).await {
            Ok(Some(mut batch)) => {
                batch.text = terminal::reset(batch.text);
                sse::event(&batch)
            }
            Ok(None) => return None,
            Err(_) => Bytes::from_static(sse::PING),
        };
        Some((Ok(event), (session, access)))
    });
    stream::once(async { Ok(opening) }).chain(live)
}
