//! Log sessions: a URL that shows an app's log for a while, as plain text or as server-sent events.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::call::{Call, Visit};
use super::params;
use super::reply::{Created, Reply};
use crate::blob::signed::Method;
use crate::error::{Error, Result};
use crate::log::session::{DEFAULT_LINES, HISTORY_LINES};
use crate::log::{Filter, Session, Source, sse};
use crate::name::Id;
use crate::time::Timestamp;

/// How long a session's URL may be connected to, as on Heroku.
const LIFE: Duration = Duration::from_secs(6 * 60);
/// A silent session of server-sent events says so often that it is alive.
const PING_EVERY: Duration = Duration::from_secs(15);

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
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Wanted {
    process: Option<String>,
    source: Option<String>,
    lines: usize,
    tail: bool,
}

impl Body {
    fn check(self) -> Result<Wanted> {
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
            process,
            source: self.source,
            lines: lines.min(HISTORY_LINES),
            tail: self.tail.unwrap_or(false),
        })
    }
}

pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    let wanted = body.check()?;
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
    let events =
        header(&visit, "accept").is_some_and(|accept| accept.contains("text/event-stream"));
    let filter = filter(&visit, wanted, events);
    let session = visit.platform.logs.session(app, filter, lines, tail);
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    Ok(match events {
        true => response
            .content_type("text/event-stream")
            .streaming(as_events(session, tail)),
        false => response
            .content_type("text/plain; charset=utf-8")
            .streaming(as_text(session)),
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

fn as_text(session: Session) -> impl Stream<Item = std::result::Result<Bytes, actix_web::Error>> {
    session.into_stream().map(|batch| Ok(batch.text))
}

fn as_events(
    session: Session,
    tail: bool,
) -> impl Stream<Item = std::result::Result<Bytes, actix_web::Error>> {
    let opening = Bytes::from_static(sse::opening(tail));
    let live = stream::unfold(session, |mut session| async {
        let event = match tokio::time::timeout(PING_EVERY, session.next()).await {
            Ok(Some(batch)) => sse::event(&batch),
            Ok(None) => return None,
            Err(_) => Bytes::from_static(sse::PING),
        };
        Some((Ok(event), session))
    });
    stream::once(async { Ok(opening) }).chain(live)
}
