//! Log sessions: a URL that shows an app's log for a while, as plain text or as server-sent events.
//!
//! Who has the URL needs nothing else, but it is good only while the token that it was asked for with would open the log, and a
//! stream that is open ends with that too. A tail that is cut off, as by a restart of the server, goes on for as long as it would have
//! gone on uncut: the ids of its events prove that whoever comes back was in.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header;
use actix_web::{HttpResponse, HttpResponseBuilder};
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
use crate::blob::signed::{Method, SignedUrls};
use crate::error::{Error, Result};
use crate::log::session::{Batch, DEFAULT_LINES, HISTORY_LINES};
use crate::log::{Filter, Place, Session, Source, sse, terminal};
use crate::name::Id;
use crate::store::access::{self, Permission};
use crate::store::{Table, oauth_tokens};
use crate::time::Timestamp;

/// How long a session may be opened by its URL, as on Heroku.
const LIFE: Duration = Duration::from_secs(6 * 60);
/// A silent session of server-sent events says so often that it is alive. The official CLI gives up after 300 seconds of silence.
pub const PING_EVERY: Duration = Duration::from_secs(15);
/// Where a tail stands that had lines to show, and has not shown any yet.
const NOWHERE: &str = "-";
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
    session: Id,
    /// What it was asked for with.
    token: Id,
    process: Option<String>,
    source: Option<String>,
    lines: usize,
    tail: bool,
}

impl Body {
    fn check(self, session: Id, token: Id) -> Result<Wanted> {
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
            session,
            token,
            process,
            source: self.source,
            lines: lines.min(HISTORY_LINES),
            tail: self.tail.unwrap_or(false),
        })
    }
}

pub async fn create(call: Call, body: Body) -> Result<Created<View>> {
    let id = Id::new();
    let wanted = body.check(id, call.caller.token)?;
    let app = call.read(|connection, caller| caller.app(connection))?;
    let now = call.caller.now;
    let wanted = hex::encode(serde_json::to_vec(&wanted).map_err(Error::internal)?);
    let path = format!("/streams/logs/{}/{wanted}", app.id);
    let logplex_url = call.platform.signed_url(Method::Get, &path, now.plus(LIFE));
    Reply::of(&View {
        created_at: now,
        id,
        logplex_url,
        updated_at: now,
    })
}

pub async fn stream(visit: Visit) -> Result<HttpResponse> {
    visit.verify_again(Method::Get)?;
    let (wanted, ids) = (Wanted::of(&visit)?, Ids::of(&visit));
    let (place, is_back) = ids.last(&visit);
    // Else a tail would end with its first break after those six minutes.
    if !(wanted.tail && is_back) {
        visit.verify(Method::Get)?;
    }
    let app = visit.params.id("app", "app")?;
    let access = Access::new(&visit, wanted.token, app);
    if !access.is_open()? {
        return Err(Error::forbidden(
            "This log session is over: the token that it was asked for with does not open the app's log any more.",
        ));
    }
    let place = sse::resume(place);
    let logs = &visit.platform.logs;
    let session = logs.session(app, wanted.filter(place), wanted.lines, wanted.tail);
    let session = session.back_from(place);
    let opening = ids.opening(&wanted, place, session.begun(visit.now));
    let stands = session.stands();
    let batches = batches(session, access);
    Ok(match wants_events(&visit) {
        true => response("text/event-stream")
            .streaming(sent(as_events(opening, batches, stands, ids, PING_EVERY))),
        false => response("text/plain; charset=utf-8")
            .streaming(sent(batches.map(|batch| terminal::reset(batch.text)))),
    })
}

fn response(content_type: &'static str) -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.content_type(content_type);
    response
}

impl Wanted {
    fn of(visit: &Visit) -> Result<Wanted> {
        hex::decode(visit.params.text("session"))
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .ok_or_else(|| Error::not_found("log session"))
    }

    /// The wanted lines; of those, a browser that comes back gets what it has not seen.
    fn filter(&self, place: Option<Place>) -> Filter {
        Filter {
            source: self.source.as_deref().and_then(Source::parse),
            process: self.process.clone(),
            after: place.map(|place| place.at),
        }
    }
}

/// The ids of a session's events. Each says where a reader stands, and under this server's signature that it was sent in this
/// session, which whoever has but found the session's URL cannot show.
pub struct Ids {
    signed_urls: SignedUrls,
    path: String,
}

impl Ids {
    fn of(visit: &Visit) -> Ids {
        Ids::new(
            visit.platform.signed_urls.clone(),
            visit.request.uri().path(),
        )
    }

    pub fn new(signed_urls: SignedUrls, path: &str) -> Ids {
        Ids {
            signed_urls,
            path: path.to_owned(),
        }
    }

    fn make(&self, place: &str) -> String {
        format!("{place}/{}", self.signed_urls.sign_sent(&self.path, place))
    }

    /// The place that a reader of events was at last, if any, and whether he was there in this session.
    fn last<'a>(&self, visit: &'a Visit) -> (&'a str, bool) {
        let id = header(visit, "last-event-id").filter(|_| wants_events(visit));
        let id = id.unwrap_or_default().trim();
        let (place, signature) = id.split_once('/').unwrap_or((id, ""));
        let is_sent = self.signed_urls.was_sent(&self.path, place, signature);
        (place, is_sent)
    }

    /// What events begin with. A tail has an id from the start, so that it goes on even if nothing was said until it was cut off.
    fn opening(&self, wanted: &Wanted, last: Option<Place>, begun: Place) -> Bytes {
        let opening = sse::opening(wanted.tail);
        let place = match (wanted.tail, last) {
            (false, _) => return Bytes::from_static(opening),
            (true, Some(last)) => last.to_string(),
            (true, None) if wanted.lines == 0 => begun.to_string(),
            (true, None) => NOWHERE.to_owned(),
        };
        [opening, &sse::opened(&self.make(&place))].concat().into()
    }
}

fn wants_events(visit: &Visit) -> bool {
    header(visit, "accept").is_some_and(|accept| accept.contains("text/event-stream"))
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
fn batches(session: Session, access: Access) -> impl Stream<Item = Batch> {
    stream::unfold((session, access), |(mut session, mut access)| async {
        let batch = tokio::select! {
            batch = session.next() => batch,
            () = access.lost() => None,
        };
        Some((batch?, (session, access)))
    })
}

/// Each batch as an event, and a word that it is alive whenever there was none for so long. Where lines went by meanwhile that are
/// not shown, that word says where the reader stands: it would else be told, should it come back, that it has missed them.
pub fn as_events(
    opening: Bytes,
    batches: impl Stream<Item = Batch>,
    stands: watch::Receiver<Option<Place>>,
    ids: Ids,
    ping_every: Duration,
) -> impl Stream<Item = Bytes> {
    let live = stream::unfold(
        (Box::pin(batches), stands, ids),
        move |(mut batches, mut stands, ids)| async move {
            let event = match timeout(ping_every, batches.next()).await {
                Ok(Some(mut batch)) => {
                    batch.text = terminal::reset(batch.text);
                    stands.mark_unchanged();
                    sse::event(&batch, &ids.make(&batch.place.to_string()))
                }
                Ok(None) => return None,
                Err(_) => alive(&mut stands, &ids),
            };
            Some((event, (batches, stands, ids)))
        },
    );
    stream::once(ready(opening)).chain(live)
}

fn alive(stands: &mut watch::Receiver<Option<Place>>, ids: &Ids) -> Bytes {
    let has_moved = stands.has_changed().unwrap_or(false);
    match *stands.borrow_and_update() {
        Some(place) if has_moved => sse::opened(&ids.make(&place.to_string())),
        _ => Bytes::from_static(sse::PING),
    }
}

/// Nothing of it fails.
fn sent(
    stream: impl Stream<Item = Bytes>,
) -> impl Stream<Item = std::result::Result<Bytes, actix_web::Error>> {
    stream.map(Ok)
}
