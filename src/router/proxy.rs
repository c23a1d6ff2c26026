//! What all requests of a thread share, and the first look at one: for which app it is, if for any.
//!
//! It knows nothing of sockets of visitors, so that they may come over TLS or HTTP/2 as well.

use std::convert::Infallible;
use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response, Uri};

use super::answer::Answer;
use super::lines::Lines;
use super::outbox::Outbox;
use super::page::{self, Page};
use super::passage::{Destination, Early, pass};
use super::pool::Pool;
use super::table::Table;
use super::under_way::UnderWay;
use super::visitor::Visitor;
use super::{Options, admit, challenge, host, https_only};

/// What all requests of one thread share.
pub(super) struct Proxy {
    pub table: Arc<Table>,
    pub options: Arc<Options>,
    pub lines: Arc<Lines>,
    pub outbox: Arc<Outbox>,
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

/// Answers one request. It always has an answer: what fails becomes a page.
pub(super) fn serve(
    proxy: Arc<Proxy>,
    visitor: Arc<Visitor>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Answer>, Infallible>> + Send {
    let started = Instant::now();
    let host = match proxy.host(&visitor, &request) {
        Ok(host) => host,
        Err(answer) => return at_once(proxy.unrouted(*answer)),
    };
    let Some(entry) = proxy.table.find(&host) else {
        return Either::Right(look_again(proxy, visitor, (host, started), request).boxed());
    };
    let to = Destination {
        host,
        entry,
        started,
    };
    match pass(proxy, visitor, to, request) {
        Ok(passing) => Either::Left(passing),
        Err(answer) => at_once(*answer),
    }
}

/// Such answers are few, so they may cost something.
fn at_once<F>(
    answer: Response<Answer>,
) -> Either<F, BoxFuture<'static, Result<Response<Answer>, Infallible>>> {
    Either::Right(ready(Ok(answer)).boxed())
}

/// The host may be that of an app made just now.
async fn look_again(
    proxy: Arc<Proxy>,
    visitor: Arc<Visitor>,
    (host, started): (String, Instant),
    request: Request<Incoming>,
) -> Result<Response<Answer>, Infallible> {
    let looking = visitor.looked_after();
    proxy.table.caught_up().await;
    drop(looking);
    let Some(entry) = proxy.table.find(&host) else {
        let unread = !request.body().is_end_stream();
        return Ok(proxy.unrouted(refusal(&page::NO_SUCH_APP, &visitor, unread)));
    };
    let to = Destination {
        host,
        entry,
        started,
    };
    match pass(proxy, visitor, to, request) {
        Ok(passing) => passing.await,
        Err(answer) => Ok(*answer),
    }
}

impl Proxy {
    /// The host of an app, perhaps; or the answer to a request that is for none.
    fn host(&self, visitor: &Visitor, request: &Request<Incoming>) -> Result<String, Early> {
        let unread = !request.body().is_end_stream();
        let (method, target) = (request.method(), request.uri());
        if method == Method::CONNECT {
            return Err(refusal(&page::METHOD_NOT_ALLOWED, visitor, true).into());
        }
        let host = match host::host(request.headers(), target, request.version()) {
            Some(host) if admit::target_is_plain(request) => host,
            _ => return Err(refusal(&page::BAD_REQUEST, visitor, true).into()),
        };
        if let Some(challenges) = &self.options.challenges
            && let Some(answer) = challenge::answer(&**challenges, &host, method, target)
        {
            return Err(closing(answer, visitor, unread).into());
        }
        let beside_apps = self.options.beside.as_ref();
        if beside_apps.is_some_and(|beside| beside.has(&host)) {
            return Err(beside(self, visitor, (method, &host, target), unread).into());
        }
        Ok(host.into_owned())
    }

    /// Counts an answer that is no app's.
    fn unrouted(&self, answer: Response<Answer>) -> Response<Answer> {
        self.lines.log.unrouted(answer.status().as_u16(), None);
        answer
    }
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
pub(super) fn refusal(page: &Page, visitor: &Visitor, close: bool) -> Response<Answer> {
    closing(page.response(), visitor, close)
}

/// The answer, after which the connection may have to be closed, or is because the router takes its leave.
pub(super) fn closing(
    mut response: Response<Answer>,
    visitor: &Visitor,
    close: bool,
) -> Response<Answer> {
    if close {
        visitor.linger.store(true, Ordering::Relaxed);
    }
    if close || visitor.is_parting() {
        say_last(response.headers_mut());
    }
    response
}

/// Says that the answer is the last one of its connection.
pub(super) fn say_last(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
}
