//! One request of an app on its way: what of it goes to a dyno, and what comes back to the visitor.
//!
//! A request waits in few places, so little of it is kept across them, and what is kept is made at once where it stays: it is moved
//! for each request, and as a future of many kilobytes would cost more than all that is done here.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::{Body, Incoming};
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode, Version};

use super::answer::{self, Answer, Download};
use super::code::{self, Code};
use super::dispatch::Reply;
use super::exchange::{Exchange, Subject};
use super::glance::Glance;
use super::paced::Paced;
use super::proxy::{Proxy, closing, refusal, say_last};
use super::send::Outgoing;
use super::table::Entry;
use super::upload::Upload;
use super::visitor::Visitor;
use super::visits::Visit;
use super::{Pages, admit, forward, https_only, tunnel};

/// What a request is for, and since when.
pub(super) struct Destination {
    pub host: String,
    pub entry: Arc<Entry>,
    pub started: Instant,
}

/// The answer to a request that goes no further.
pub(super) type Early = Box<Response<Answer>>;

/// A request that may go to a dyno.
pub(super) struct Passage {
    exchange: Box<Exchange>,
    outgoing: Outgoing,
    entry: Arc<Entry>,
    upgrade: Option<OnUpgrade>,
    /// It has a body, of which nothing was read yet.
    unread: bool,
}

/// Passes an app's request on, and what comes of it back. The error is the answer of one that may not go on.
pub(super) fn pass(
    proxy: Arc<Proxy>,
    visitor: Arc<Visitor>,
    to: Destination,
    request: Request<Incoming>,
) -> Result<impl Future<Output = Result<Response<Answer>, Infallible>>, Early> {
    let mut passage = proxy.set_out(&visitor, to, request)?;
    Ok(async move {
        let dispatched = {
            let Passage {
                exchange,
                outgoing,
                entry,
                ..
            } = &mut passage;
            let dispatching = pin!(proxy.dispatch(exchange, entry, outgoing));
            visitor.unless_lost(dispatching).await
        };
        let dispatched = dispatched.unwrap_or_else(|lost| Err(passage.exchange.lost(&lost)));
        Ok(proxy.bring_back(passage, dispatched, &visitor))
    })
}

impl Proxy {
    /// Everything that is done before a dyno is looked for.
    fn set_out(
        &self,
        visitor: &Arc<Visitor>,
        to: Destination,
        mut request: Request<Incoming>,
    ) -> Result<Passage, Early> {
        let unread = !request.body().is_end_stream();
        let wants_upgrade = hyper::upgrade::on(&mut request);
        let (mut head, body) = request.into_parts();
        if head.version == Version::HTTP_2 {
            forward::from_http2(&mut head);
        }
        let glance = Glance::at(&head.headers);
        let verdict = admit::check(&head, &glance, &self.options);
        let upgrades = glance.of_hop && forward::wants_upgrade(&head, unread);
        let upgrade = upgrades.then_some(wants_upgrade);
        let target = head.uri.clone();
        let has = (unread, upgrades);
        let trail = forward::request(&mut head, &glance, &visitor.origin, has);
        let subject = Subject {
            app: to.entry.app,
            method: head.method.clone(),
            target,
            host: to.host,
            request_id: trail.request_id,
            forwarded_for: trail.forwarded_for,
        };
        let begun = (Visit::begin(&to.entry.visits), self.under_way.begin());
        let (visitor, lines) = (visitor.clone(), self.lines.clone());
        let exchange = Exchange::new(subject, begun, visitor.clone(), lines, to.started);
        let exchange = self.let_through(exchange, verdict, (&to.entry, &visitor, unread))?;
        let (upload, progress) = Upload::new(body, self.options.idle, to.started.into());
        Ok(Passage {
            exchange,
            outgoing: Outgoing::new(head, upload, progress),
            entry: to.entry,
            upgrade,
            unread,
        })
    }

    /// Ends what is not well-formed, and what has to come again within TLS.
    fn let_through(
        &self,
        mut exchange: Box<Exchange>,
        verdict: Result<(), (&'static Code, &'static str)>,
        (entry, visitor, unread): (&Entry, &Visitor, bool),
    ) -> Result<Box<Exchange>, Early> {
        if let Err((code, cause)) = verdict {
            exchange.refused(code, cause);
            return Err(refusal(&code.page, visitor, true).into());
        }
        if entry.https_only && !visitor.origin.is_encrypted() {
            let port = self.options.https_port.unwrap_or(visitor.origin.port);
            let answer = https_only::elsewhere(exchange.subject.asked(), port);
            exchange.answered(answer.status());
            exchange.completed(Instant::now());
            return Err(closing(answer, visitor, unread).into());
        }
        Ok(exchange)
    }

    fn bring_back(
        &self,
        passage: Passage,
        dispatched: Result<Reply, &'static Code>,
        visitor: &Arc<Visitor>,
    ) -> Response<Answer> {
        let mut exchange = passage.exchange;
        let pages = &passage.entry.pages;
        match dispatched {
            Ok(reply) => self.relay(exchange, reply, passage.upgrade, (visitor, pages)),
            Err(code) => {
                exchange.failed(code);
                closing(code.response(pages), visitor, passage.unread)
            }
        }
    }

    /// Turns a dyno's answer into the visitor's.
    fn relay(
        &self,
        mut exchange: Box<Exchange>,
        reply: Reply,
        upgrade: Option<OnUpgrade>,
        (visitor, pages): (&Arc<Visitor>, &Pages),
    ) -> Response<Answer> {
        let status = reply.response.status();
        exchange.answered(status);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            let Some(upgrade) = upgrade else {
                // Nobody asked for another protocol, so what follows could not be read as one.
                exchange.failed(&code::H17);
                return closing(code::H17.response(pages), visitor, !reply.upload.complete());
            };
            return self.switch(exchange, reply, upgrade);
        }
        let (mut head, body) = reply.response.into_parts();
        forward::response(&mut head, &reply.glance, false);
        if answer::is_of_events(&head.headers) {
            exchange.goes_on();
        }
        if visitor.is_parting() {
            say_last(&mut head.headers);
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
            true => Answer::Paced(Paced::new(download, idle, visitor)),
            false => Answer::Dyno(Box::new(download)),
        };
        Response::from_parts(head, answer)
    }

    /// The same for one that agrees to another protocol.
    fn switch(
        &self,
        mut exchange: Box<Exchange>,
        mut reply: Reply,
        upgrade: OnUpgrade,
    ) -> Response<Answer> {
        let dyno = hyper::upgrade::on(&mut reply.response);
        let (mut head, _) = reply.response.into_parts();
        forward::response(&mut head, &reply.glance, true);
        exchange.goes_on();
        reply.lease.leave_outbox();
        if let Some(way) = &exchange.visitor().way {
            way.leave();
        }
        let tunnel = tunnel::run(
            (upgrade, dyno),
            exchange,
            reply.lease,
            self.options.idle,
            self.open.clone(),
        );
        self.open.spawn(tunnel);
        Response::from_parts(head, Answer::Page(None))
    }
}
