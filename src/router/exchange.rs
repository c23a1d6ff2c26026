//! One request of an app and what became of it, down to its log line.
//!
//! The line is handed over when the exchange is dropped, so there is exactly one however the request ends.

use std::fmt::{Display, Write as _};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use hyper::{Method, StatusCode, Uri};

use super::code::{self, Code};
use super::lines::Lines;
use super::table::Ticket;
use super::under_way::Turn;
use super::visitor::{Lost, Visitor};
use super::visits::Visit;
use crate::name::Id;

/// No more of a path or of a forwarded chain is written to a log line, in bytes.
const LONGEST_QUOTED: usize = 1024;

/// The request as its log line shows it.
pub(super) struct Subject {
    pub app: Id,
    pub method: Method,
    pub target: Uri,
    /// Has been checked to be a plain host, so it needs no quotes.
    pub host: String,
    pub request_id: HeaderValue,
    pub forwarded_for: HeaderValue,
}

impl Subject {
    /// How, for which host and for what it was asked.
    pub(super) fn asked(&self) -> (&Method, &str, &Uri) {
        (&self.method, &self.host, &self.target)
    }
}

pub(super) struct Exchange {
    pub subject: Subject,
    _visit: Visit,
    /// Who stops waits for it, save where nobody knows when it will end.
    turn: Option<Turn>,
    visitor: Arc<Visitor>,
    lines: Arc<Lines>,
    started: Instant,
    /// The dyno that has it. Dropped with the exchange, and so after its line is written, unless a visitor takes his time over the end.
    pub ticket: Option<Ticket>,
    /// The name of one that had it, and is done with it.
    left: Option<Arc<str>>,
    /// How long the last attempt to connect took.
    pub connect: Option<Duration>,
    /// Whether the dyno took the connection, and there is a service time to speak of.
    pub connected: bool,
    status: Option<StatusCode>,
    /// Bytes of the dyno's body passed on.
    pub bytes: u64,
    code: Option<&'static Code>,
    cause: Option<&'static str>,
    completed: Option<Instant>,
}

impl Exchange {
    pub(super) fn new(
        subject: Subject,
        (visit, turn): (Visit, Turn),
        visitor: Arc<Visitor>,
        lines: Arc<Lines>,
        started: Instant,
    ) -> Box<Exchange> {
        visitor.begun();
        // It goes from hand to hand, and is large.
        Box::new(Exchange {
            subject,
            _visit: visit,
            turn: Some(turn),
            visitor,
            lines,
            started,
            ticket: None,
            left: None,
            connect: None,
            connected: false,
            status: None,
            bytes: 0,
            code: None,
            cause: None,
            completed: None,
        })
    }

    /// The dyno has answered with this status, and its body follows.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Since when it is under way.
    pub(super) fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// It may go on for ever, so nobody who stops waits for its end, nor for another request after it.
    pub(super) fn goes_on(&mut self) {
        self.turn = None;
        self.visitor.endless.store(true, Ordering::Relaxed);
    }

    /// Whether it may go on for ever.
    pub(super) fn is_endless(&self) -> bool {
        self.turn.is_none()
    }

    /// The dyno has answered, and has room for another request.
    pub(super) fn leave_dyno(&mut self) {
        self.left = self.ticket.take().map(|ticket| ticket.name.clone());
    }

    fn dyno(&self) -> &str {
        let name = self.ticket.as_ref().map(|ticket| &ticket.name);
        name.or(self.left.as_ref()).map_or("", |name| &**name)
    }

    /// All of the dyno's answer has been passed on, at this moment.
    pub(super) fn completed(&mut self, now: Instant) {
        self.completed = Some(now);
    }

    pub(super) fn visitor(&self) -> &Visitor {
        &self.visitor
    }

    /// It ends with this code. The first one is the reason; later ones only follow from it.
    pub(super) fn failed(&mut self, code: &'static Code) {
        self.code.get_or_insert(code);
    }

    /// It ends with H26 or the like, and this is what was wrong.
    pub(super) fn refused(&mut self, code: &'static Code, cause: &'static str) {
        self.failed(code);
        self.cause = Some(cause);
    }

    /// The code for a request of which nothing came.
    pub(super) fn lost(&self, lost: &Lost) -> &'static Code {
        let Lost::Panicked(panic) = lost else {
            return &code::H24;
        };
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or(panic.downcast_ref::<&str>().copied());
        self.report("a panic", &said.unwrap_or("standard error says which"));
        &code::H99
    }

    /// Says in the server's own log why it ends with H99.
    #[cold]
    pub(super) fn report(&self, what: &str, error: &dyn Display) {
        let request_id = self.subject.request_id.to_str().unwrap_or("");
        let dyno = self.dyno();
        let app = self.subject.app;
        tracing::error!(request_id, %app, dyno, %error, "a request ends with H99: {what}");
    }

    fn outcome(&self) -> Option<&'static Code> {
        if self.code.is_some() || self.completed.is_some() {
            return self.code;
        }
        // Nobody gave a reason: it was dropped half-way, because a connection or the whole thread ended.
        Some(if std::thread::panicking() {
            &code::H99
        } else if self.visitor.stalled.load(Ordering::Relaxed) {
            &code::H15
        } else if self.visitor.open.is_cut_off() {
            &code::H24
        } else {
            &code::H27
        })
    }

    fn final_status(&self, code: Option<&Code>) -> u16 {
        let answered = self.status.map_or(0, |status| status.as_u16());
        code.map_or(answered, |code| code.status)
    }

    fn write(&self, line: &mut String, code: Option<&Code>, status: u16, took: Duration) {
        self.write_outcome(line, code);
        let subject = &self.subject;
        add(line, &["method=", subject.method.as_str(), " path="]);
        let path = subject.target.path_and_query();
        let path = path.map_or("", |path| path.as_str());
        quote(line, head(path.as_bytes()));
        let request_id = subject.request_id.to_str().unwrap_or("");
        let named = [" host=", &subject.host, " request_id=", request_id, " fwd="];
        add(line, &named);
        // The end of the chain is the part that was not made up by the visitor.
        quote(line, tail(subject.forwarded_for.as_bytes()));
        self.write_service(line, status, took);
        add(line, &[" protocol=", self.visitor.origin.scheme]);
    }

    fn write_outcome(&self, line: &mut String, code: Option<&Code>) {
        let Some(code) = code else {
            return line.push_str("at=info ");
        };
        if !code.sock.is_empty() {
            add(line, &["sock=", code.sock, " "]);
        }
        let (at, name, desc) = (code.at, code.name, code.desc);
        add(line, &["at=", at, " code=", name, " desc=\"", desc, "\" "]);
        if let Some(cause) = self.cause {
            add(line, &["cause=\"", cause, "\" "]);
        }
    }

    fn write_service(&self, line: &mut String, status: u16, took: Duration) {
        let mut number = itoa::Buffer::new();
        add(line, &[" dyno=", self.dyno(), " connect="]);
        if let Some(connect) = self.connect {
            add(line, &[number.format(connect.as_millis()), "ms"]);
        }
        line.push_str(" service=");
        if self.connected {
            add(line, &[number.format(took.as_millis()), "ms"]);
        }
        add(line, &[" status=", number.format(status), " bytes="]);
        if self.connected {
            line.push_str(number.format(self.bytes));
        }
    }
}

/// There is a line for each request, and the machinery of formatting would cost more than all else that is done for it.
fn add(line: &mut String, words: &[&str]) {
    words.iter().for_each(|word| line.push_str(word));
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let (app, code) = (self.subject.app, self.outcome());
        let over = self.completed.unwrap_or_else(Instant::now);
        let took = over.saturating_duration_since(self.started);
        let status = self.final_status(code);
        let say = |line: &mut String| self.write(line, code, status, took);
        self.lines.put(app, say);
        // Somebody waits for the end of a dyno's last requests, to stop it and to say so.
        let is_last = |ticket: &Ticket| ticket.load.retired();
        if self.ticket.as_ref().is_some_and(is_last) {
            self.lines.write();
        }
        if std::thread::panicking() {
            self.report("a panic", &"standard error says which");
        }
        let name = code.map(|code| code.name);
        // How long a visitor stays in a chat says nothing of how fast an app is.
        let took = (!self.is_endless()).then_some(took);
        self.lines.log.counted(app, status, name, took);
        self.visitor.ended();
    }
}

fn head(bytes: &[u8]) -> &[u8] {
    bytes.get(..LONGEST_QUOTED).unwrap_or(bytes)
}

fn tail(bytes: &[u8]) -> &[u8] {
    bytes
        .get(bytes.len().saturating_sub(LONGEST_QUOTED)..)
        .unwrap_or(bytes)
}

/// Writes the text between quotes, so that nothing in it can end them or begin a line of its own.
fn quote(line: &mut String, text: &[u8]) {
    line.push('"');
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\');
    if let Ok(text) = std::str::from_utf8(text)
        && text.as_bytes().iter().all(plain)
    {
        line.push_str(text);
        line.push('"');
        return;
    }
    for &byte in text {
        match byte {
            b'"' | b'\\' => {
                line.push('\\');
                line.push(char::from(byte));
            }
            b' '..=b'~' => line.push(char::from(byte)),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
    line.push('"');
}
