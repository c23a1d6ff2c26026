//! The way of one request: which app, which dyno, there and back.
//!
//! It knows nothing of sockets of visitors, so that they may come over TLS or HTTP/2 as well.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri, Version};

use super::answer::{Answer, Download};
use super::code::{self, Code};
use super::exchange::{Exchange, Subject};
use super::lines::Lines;
use super::paced::Paced;
use super::page::{self, Page};
use super::pool::{Lease, Pool, Unreachable};
use super::queue::Place;
use super::send::{self, Outgoing};
use super::table::{Backends, Entry, Pick, Table, pick};
use super::under_way::UnderWay;
use super::upload::{Progress, Upload};
use super::visitor::Visitor;
use super::visits::Visit;
use super::{Options, Pages, admit, answer, challenge, forward, host, https_only, tunnel};
use crate::name::Id;

/// What all requests of one thread share.
pub(super) struct Proxy {
    pub table: Arc<Table>,
    pub options: Arc<Options>,
    pub lines: Arc<Lines>,
    pub pool: Pool,
    /// Requests of all threads that wait for starting apps.
    pub queued: Arc<AtomicUsize>,
    /// Whose turn it is among dynos that are equally busy.
    pub turn: AtomicUsize,
    /// Tunnels and connections of this thread, so that it does not end before they have.
    pub open: Arc<super::listener::Open>,
    /// Requests of this thread that whoever stops waits for.
    pub under_way: Arc<UnderWay>,
}

/// A dyno's answer, with the connection it is coming in on.
struct Reply {
    response: Response<Incoming>,
    lease: Lease,
    upload: Arc<Progress>,
}

/// What a request is for, and since when.
struct Destination {
    host: String,
    entry: Arc<Entry>,
    started: Instant,
}

/// Why an attempt brought no reply.
enum Failed {
    /// The dyno took no connection. Nothing was sent, so another may be tried.
    Elsewhere(&'static Code),
    Final(&'static Code),
}

/// Answers one request. It always has an answer: what fails becomes a page.
pub(super) async fn serve(
    proxy: Arc<Proxy>,
    visitor: Arc<Visitor>,
    request: Request<Incoming>,
) -> Response<Answer> {
    let started = Instant::now();
    let unread = !request.body().is_end_stream();
    if request.method() == Method::CONNECT {
        return refusal(&page::METHOD_NOT_ALLOWED, &visitor, true);
    }
    let host = match host::host(request.headers(), request.uri(), request.version()) {
        Some(host) if admit::target_is_plain(&request) => host.into_owned(),
        _ => return refusal(&page::BAD_REQUEST, &visitor, true),
    };
    if let Some(challenges) = &proxy.options.challenges
        && let Some(answer) =
            challenge::answer(&**challenges, &host, request.method(), request.uri())
    {
        return closing(answer, &visitor, unread);
    }
    if proxy
        .options
        .beside
        .as_ref()
        .is_some_and(|beside| beside.has(&host))
    {
        return beside(
            &proxy,
            &visitor,
            (request.method(), &host, request.uri()),
            unread,
        );
    }
    let Some(entry) = proxy.find(&host).await else {
        return refusal(&page::NO_SUCH_APP, &visitor, unread);
    };
    let to = Destination {
        host,
        entry,
        started,
    };
    proxy.pass(visitor, to, request).await
}

/// The host of the server beside the apps is reached within TLS, and by a connection of its own. A browser that has one to an app, with
/// a certificate that names both, is told to make another (RFC 9110, 15.5.20).
fn beside(
    proxy: &Proxy,
    visitor: &Visitor,
    asked: (&Method, &str, &Uri),
    unread: bool,
) -> Response<Answer> {
    if visitor.origin.is_encrypted() {
        return refusal(&page::MISDIRECTED, visitor, unread);
    }
    let port = proxy.options.https_port.unwrap_or(visitor.origin.port);
    closing(https_only::elsewhere(asked, port), visitor, unread)
}

/// A page as the answer. The connection is not used again when a body is left unread, nor when the request was one that others
/// may have read in another way: what follows it is then not to be trusted either.
fn refusal(page: &Page, visitor: &Visitor, close: bool) -> Response<Answer> {
    closing(page.response(), visitor, close)
}

/// The answer, after which the connection may have to be closed.
fn closing(mut response: Response<Answer>, visitor: &Visitor, close: bool) -> Response<Answer> {
    if close {
        visitor.linger.store(true, Ordering::Relaxed);
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

impl Proxy {
    /// Passes an app's request on, and what comes of it back.
    async fn pass(
        &self,
        visitor: Arc<Visitor>,
        to: Destination,
        mut request: Request<Incoming>,
    ) -> Response<Answer> {
        let unread = !request.body().is_end_stream();
        let wants_upgrade = hyper::upgrade::on(&mut request);
        let (mut head, body) = request.into_parts();
        if head.version == Version::HTTP_2 {
            forward::from_http2(&mut head);
        }
        let verdict = admit::check(&head, &self.options);
        let upgrade = forward::wants_upgrade(&head, unread).then_some(wants_upgrade);
        let target = head.uri.clone();
        let trail = forward::request(&mut head, &visitor.origin, unread, upgrade.is_some());
        let subject = Subject {
            app: to.entry.app,
            method: head.method.clone(),
            target,
            host: to.host,
            request_id: trail.request_id,
            forwarded_for: trail.forwarded_for,
        };
        let lines = self.lines.clone();
        let begun = (Visit::begin(&to.entry.visits), self.under_way.begin());
        let mut exchange = Exchange::new(subject, begun, visitor.clone(), lines, to.started);
        if let Err((code, cause)) = verdict {
            exchange.refused(code, cause);
            return refusal(&code.page, &visitor, true);
        }
        if to.entry.https_only && !visitor.origin.is_encrypted() {
            let port = self.options.https_port.unwrap_or(visitor.origin.port);
            let answer = https_only::elsewhere(exchange.subject.asked(), port);
            exchange.answered(answer.status());
            exchange.completed();
            return closing(answer, &visitor, unread);
        }
        let (upload, progress) = Upload::new(body, self.options.idle);
        let outgoing = Outgoing::new(head, upload, progress);
        let (entry, pages) = (to.entry.clone(), &to.entry.pages);
        let dispatched = {
            let dispatching = pin!(self.dispatch(&mut exchange, entry, outgoing));
            visitor.unless_cut(dispatching).await
        };
        match dispatched.unwrap_or(Err(&code::H24)) {
            Ok(reply) => self.relay(exchange, reply, upgrade, (&visitor, pages)),
            Err(code) => {
                exchange.failed(code);
                closing(code.response(pages), &visitor, unread)
            }
        }
    }

    /// Sends the request to one dyno after another until one takes it.
    async fn dispatch(
        &self,
        exchange: &mut Exchange,
        mut entry: Arc<Entry>,
        mut outgoing: Outgoing,
    ) -> Result<Reply, &'static Code> {
        if entry.turns_away() {
            self.table.caught_up().await;
            entry = self.find_again(&exchange.subject)?;
        }
        let mut tried: Vec<Id> = Vec::new();
        let mut failure = &code::H99;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        loop {
            let backends = match &entry.backends {
                _ if entry.maintenance => return Err(&code::H80),
                Backends::Blank => return Err(&code::H81),
                Backends::NoWebDynos => return Err(&code::H14),
                Backends::Crashed => return Err(&code::H10),
                Backends::Starting | Backends::Idle => {
                    entry = self.await_start(&exchange.subject).await?;
                    continue;
                }
                Backends::Up(backends) => backends,
            };
            if tried.len() >= self.options.max_attempts {
                return Err(failure);
            }
            match pick(backends, &tried, turn, self.options.max_in_flight) {
                Pick::Busy => return Err(&code::H11),
                Pick::NoneLeft if tried.is_empty() => return Err(&code::H14),
                Pick::NoneLeft => return Err(failure),
                Pick::Outdated => entry = self.find_again(&exchange.subject)?,
                Pick::Dyno(ticket) => {
                    let dyno = ticket.load.id;
                    exchange.ticket = Some(ticket);
                    match self.attempt(exchange, &mut outgoing).await {
                        Ok(reply) => return Ok(reply),
                        Err(Failed::Elsewhere(code)) => failure = code,
                        Err(Failed::Final(code)) => return Err(code),
                    }
                    tried.push(dyno);
                }
            }
        }
    }

    /// The entry of a host, which may be that of an app made just now.
    async fn find(&self, host: &str) -> Option<Arc<Entry>> {
        if let Some(entry) = self.table.find(host) {
            return Some(entry);
        }
        self.table.caught_up().await;
        self.table.find(host)
    }

    /// The app's entry in the newest table.
    fn find_again(&self, subject: &Subject) -> Result<Arc<Entry>, &'static Code> {
        let entry = self.table.find(&subject.host);
        // A host that has meanwhile become another app's must not show that app's answer under this one's name.
        entry
            .filter(|entry| entry.app == subject.app)
            .ok_or(&code::H14)
    }

    /// Waits until the app is no longer starting, and wakes it if it sleeps.
    async fn await_start(&self, subject: &Subject) -> Result<Arc<Entry>, &'static Code> {
        let _place = Place::take(&self.queued, self.options.max_queued).ok_or(&code::H11)?;
        let deadline = tokio::time::Instant::now() + self.options.boot_queue;
        let mut changes = self.table.changes();
        loop {
            // Subscribed before looking, so that no change falls between the two.
            changes.mark_unchanged();
            let entry = self.find_again(subject)?;
            match entry.backends {
                _ if entry.maintenance => return Ok(entry),
                // Each time: it may have fallen asleep again.
                Backends::Idle => self.table.wake(entry.app),
                Backends::Starting => {}
                _ => return Ok(entry),
            }
            match tokio::time::timeout_at(deadline, changes.changed()).await {
                Ok(Ok(())) => {}
                _ => return Err(&code::H20),
            }
        }
    }

    /// Tries the dyno whose ticket the exchange holds.
    async fn attempt(
        &self,
        exchange: &mut Exchange,
        outgoing: &mut Outgoing,
    ) -> Result<Reply, Failed> {
        loop {
            let mut lease = self.lease(exchange, outgoing).await?;
            match send::send(&mut lease, outgoing, self.options.first_byte).await {
                Ok(response) => {
                    admit::answer(&response, &self.options).map_err(Failed::Final)?;
                    return Ok(Reply {
                        response,
                        lease,
                        upload: outgoing.progress.clone(),
                    });
                }
                Err(send::Failure::Unsent) => {}
                Err(send::Failure::Dyno(code)) => return Err(Failed::Final(code)),
                Err(send::Failure::Visitor(code, cause)) => {
                    if let Some(cause) = cause {
                        exchange.refused(code, cause);
                    }
                    return Err(Failed::Final(code));
                }
            }
        }
    }

    /// A connection to the dyno whose ticket the exchange holds.
    async fn lease(&self, exchange: &mut Exchange, outgoing: &Outgoing) -> Result<Lease, Failed> {
        exchange.connected = false;
        let Some(ticket) = &exchange.ticket else {
            return Err(Failed::Final(&code::H99));
        };
        if let Some(lease) = outgoing.pooled(&self.pool, &ticket.load) {
            exchange.connect = Some(Duration::ZERO);
            exchange.connected = true;
            return Ok(lease);
        }
        let begun = Instant::now();
        let connected = self.pool.connect(ticket).await;
        exchange.connect = Some(begun.elapsed());
        let code = match connected {
            Ok(lease) => {
                exchange.connected = true;
                return Ok(lease);
            }
            Err(Unreachable::Ours) => return Err(Failed::Final(&code::H99)),
            Err(Unreachable::Slow) => &code::H19,
            Err(Unreachable::Refused) => &code::H21,
        };
        ticket.load.set_aside(self.options.aside);
        Err(Failed::Elsewhere(code))
    }

    /// Turns a dyno's answer into the visitor's.
    fn relay(
        &self,
        mut exchange: Exchange,
        reply: Reply,
        upgrade: Option<OnUpgrade>,
        (visitor, pages): (&Arc<Visitor>, &Pages),
    ) -> Response<Answer> {
        let mut response = reply.response;
        let status = response.status();
        exchange.answered(status);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(upgrade) = upgrade else {
                // Nobody asked for another protocol, so what follows could not be read as one.
                exchange.failed(&code::H17);
                return closing(code::H17.response(pages), visitor, !reply.upload.complete());
            };
            let dyno = hyper::upgrade::on(&mut response);
            let (mut head, _) = response.into_parts();
            forward::response(&mut head, true);
            exchange.goes_on();
            let idle = self.options.idle;
            let tunnel = tunnel::run(
                (upgrade, dyno),
                exchange,
                reply.lease,
                idle,
                self.open.clone(),
            );
            self.open.spawn(tunnel);
            return Response::from_parts(head, Answer::Page(None));
        }
        let (mut head, body) = response.into_parts();
        forward::response(&mut head, false);
        if answer::is_of_events(&head.headers) {
            exchange.goes_on();
        }
        let idle = self.options.idle;
        let download = Download::new(
            body,
            exchange,
            reply.lease,
            reply.upload,
            visitor.clone(),
            (idle, self.options.first_byte),
        );
        let answer = match visitor.is_http2 && !download.is_end_stream() {
            true => Answer::Paced(Paced::new(download, idle, &self.open)),
            false => Answer::Dyno(Box::new(download)),
        };
        Response::from_parts(head, answer)
    }
}
