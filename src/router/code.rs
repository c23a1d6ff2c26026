//! Heroku's router codes: what each is called in a log line, and the page that goes with it.
//!
//! Texts in `desc` are Heroku's own, since log searches and alerts depend on them. Codes of Heroku's that are not here cannot happen
//! here: H16 (an old redirect), H23 (a proxy that takes no WebSockets), H31 and H32 (there is one router, which serves every host and
//! has a certificate for each), H82 and H83 (hours and outages of Heroku's own service).

use bytes::Bytes;
use hyper::Response;

use super::Pages;
use super::page::{self, Page};

/// Why a request was not simply answered by a dyno.
pub(super) struct Code {
    /// Heroku's code, such as `H12`.
    pub name: &'static str,
    /// `error`, `warning` or `info`.
    pub at: &'static str,
    /// Which side's socket broke: `client`, `backend`, or empty.
    pub sock: &'static str,
    pub desc: &'static str,
    /// The status of the log line; the page's own differs where the visitor is not there to see it.
    pub status: u16,
    pub page: Page,
}

impl Code {
    /// What the visitor sees: the app's own page, where it has one for this.
    pub(super) fn response<B: From<Bytes>>(&self, pages: &Pages) -> Response<B> {
        let own = match (self.name, self.at) {
            ("H80", _) => pages.maintenance.as_deref(),
            (_, "error") if self.page.status >= 500 => pages.error.as_deref(),
            _ => None,
        };
        match own {
            Some(url) => page::framed(&self.page, url),
            None => self.page.response(),
        }
    }
}

macro_rules! codes {
    ($($name:ident $at:literal $sock:literal $desc:literal $logged:literal $shown:literal: $title:literal, $visitor:literal, $developer:expr;)*) => {
        $(pub(super) static $name: Code = Code {
            name: heroku(stringify!($name)),
            at: $at,
            sock: $sock,
            desc: $desc,
            status: $logged,
            page: Page::new($shown, heroku(stringify!($name)), $title, $visitor, $developer),
        };)*
    };
}

const LOGS: &str = "If this is your app, <code>heroku logs --tail</code> says what it was doing.";

codes! {
    H10 "error" "" "App crashed" 503 503: "The app has crashed",
        "It stopped running, so it cannot answer now. Please try again in a little while.",
        "If this is your app, <code>heroku logs</code> shows why it stopped and <code>heroku restart</code> starts it again.";
    H11 "error" "" "Backlog too deep" 503 503: "The app is very busy",
        "It has more requests than it can take on at once. Please try again in a moment.",
        "If this is your app, add dynos with <code>heroku ps:scale web=2</code>, or make its requests shorter.";
    H12 "error" "" "Request timeout" 503 503: "The app took too long",
        "It did not answer in time. Please try again.",
        "If this is your app, move long work to a worker dyno; <code>heroku logs --tail</code> shows which requests are slow.";
    H13 "error" "" "Connection closed without response" 503 503: "The app hung up",
        "It closed the connection before it answered. Please try again.", LOGS;
    H14 "error" "" "No web processes running" 503 503: "The app is switched off",
        "Nothing is running here that could answer you at the moment.",
        "If this is your app, start it with <code>heroku ps:scale web=1</code>.";
    H14_RELEASE "error" "" "No web processes running" 503 503: "The app is not running yet",
        "Its first release has failed, so there is nothing here that could answer you.",
        "If this is your app, <code>heroku releases:output</code> shows why. Mend that, and deploy it again.";
    H14_WEB "error" "" "No web processes running" 503 503: "The app has no web process",
        "It runs nothing that could answer you.",
        "If this is your app, declare one in its <code>Procfile</code>, such as <code>web: node server.js</code>, and deploy it again.";
    H15 "error" "" "Idle connection" 503 503: "The connection fell silent",
        "Nothing was sent for too long, so the connection was closed. Please try again.",
        "If this is your app, send something at least every 55 seconds, such as a WebSocket ping.";
    H17 "error" "" "Poorly formatted HTTP response" 503 503: "The app's answer made no sense",
        "It answered with something that is not valid HTTP. Please try again later.", LOGS;
    H18 "error" "backend" "Server Request Interrupted" 503 503: "The app stopped in mid-sentence",
        "It broke off while it was answering. Please try again.", LOGS;
    H19 "error" "" "Backend connection timeout" 503 503: "The app cannot be reached",
        "It did not take the connection in time. Please try again in a moment.", LOGS;
    H20 "error" "" "App boot timeout" 503 503: "The app is taking too long to start",
        "It is still starting. Please try again in a minute.",
        "If this is your app, see with <code>heroku logs --tail</code> whether it listens on <code>$PORT</code>, or waits for its first release command.";
    H21 "error" "" "Backend connection refused" 503 503: "The app refused the connection",
        "It is there but does not take connections. Please try again in a moment.",
        "If this is your app, check with <code>heroku logs --tail</code> that it listens on <code>$PORT</code>.";
    H22 "error" "" "Connection limit reached" 503 503: "The server is full",
        "It has as many connections as it can hold. Please try again in a moment.",
        "If this is your server, raise its limit on connections.";
    H24 "error" "" "Forced close" 503 503: "The server is restarting",
        "Your request was cut off by a restart. Please try again.",
        "If this is your server, give it more time to stop.";
    H25 "error" "" "HTTP restriction: oversized header" 502 502: "The app's answer was too large to pass on",
        "Its headers are larger than this server takes. Please try again later.",
        "If this is your app, look for cookies or headers that grow: 128 KB in 100 headers is the limit.";
    H25_COOKIE "error" "" "HTTP restriction: oversized cookie" 502 502: "The app's answer was too large to pass on",
        "It sets a cookie that is larger than this server takes. Please try again later.",
        "If this is your app, keep less in the cookie: 8 KB is the limit.";
    H25_LENGTH "error" "" "HTTP restriction: invalid content length" 502 502: "The app's answer made no sense",
        "It does not say in one clear way how long it is. Please try again later.",
        "If this is your app, send exactly one <code>Content-Length</code>, of digits, or none.";
    H25_STATUS "error" "" "HTTP restriction: oversized status line" 502 502: "The app's answer was too large to pass on",
        "Its first line is longer than this server takes. Please try again later.",
        "If this is your app, say what happened in the body: 8 KB is the limit for the status line.";
    H26 "error" "" "Request Error" 400 400: "Bad request",
        "Your browser or program sent something that is not valid HTTP.",
        "If this is your client, look at its headers and at how it frames the body; the app's log names the cause.";
    H26_EXPECT "error" "" "Request Error" 417 417: "Expectation failed",
        "Your program asked for something with <code>Expect</code> that no server here does.",
        "Only <code>Expect: 100-continue</code> is supported.";
    H26_TARGET "error" "" "Request Error" 414 414: "The address is too long",
        "The address of this page is longer than 8 KB.",
        "Send long values in the body of a <code>POST</code>.";
    H26_HEADER "error" "" "Request Error" 431 431: "The request's headers are too large",
        "Each may be 8 KB long, and there may be 100, with 64 KB in all. Clearing this site's cookies may help.",
        "If this is your app, keep less in cookies.";
    H27 "warning" "client" "Client Request Interrupted" 499 499: "Interrupted",
        "The request was interrupted.", LOGS;
    H28 "warning" "" "Client Connection Idle" 499 408: "The upload stopped",
        "Nothing more of your request arrived, so it was given up. Please try again.",
        "If this is your client, check that it sends as many bytes as its <code>Content-Length</code> says.";
    H80 "info" "" "Maintenance mode" 503 503: "Back soon",
        "The app is down for maintenance. Please come back in a little while.",
        "If this is your app, end maintenance with <code>heroku maintenance:off</code>.";
    H81 "info" "" "Blank app" 502 502: "There is nothing here, yet",
        "This app has been created, but nothing has been deployed to it.",
        "If this is your app, deploy it with <code>git push heroku main</code>, or upload its source and build it with <code>POST /apps/APP/builds</code>. Where that was done and came to nothing, <code>heroku logs</code> says why.";
    H99 "error" "" "Platform error" 503 503: "Something went wrong on this server",
        "It is not your fault, and not the app's. Please try again.",
        "If this is your server, its own log says what happened.";
}

/// The part of a static's name that is Heroku's: the variants of H14, H25 and H26 differ in what was wrong.
const fn heroku(name: &'static str) -> &'static str {
    name.split_at(3).0
}
