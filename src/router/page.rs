//! The pages a visitor sees when no dyno answers: one template, filled once for each page and then shared.
//!
//! Nothing of a request is ever written into a page, so there is nothing to reflect. An app's own page is named by its owner.

use std::sync::OnceLock;

use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::{Response, StatusCode};

const TEMPLATE: &str = include_str!("../../assets/pages/page.html");
const BASE: &str = include_str!("../../assets/pages/base.css");
const FRAME: &str = include_str!("../../assets/pages/frame.html");

/// What one page says. The texts are HTML.
pub(super) struct Page {
    pub status: u16,
    /// Heroku's code, or nothing for what belongs to no app.
    pub code: &'static str,
    pub title: &'static str,
    /// One sentence for whoever came to see the app.
    pub visitor: &'static str,
    /// One sentence for whoever runs it, saying what to do next.
    pub developer: &'static str,
    filled: OnceLock<Bytes>,
}

impl Page {
    pub(super) const fn new(
        status: u16,
        code: &'static str,
        title: &'static str,
        visitor: &'static str,
        developer: &'static str,
    ) -> Page {
        Page {
            status,
            code,
            title,
            visitor,
            developer,
            filled: OnceLock::new(),
        }
    }

    /// The whole HTML document.
    pub(super) fn html(&self) -> Bytes {
        self.filled
            .get_or_init(|| {
                let status = self.status;
                let code = match self.code {
                    "" => format!("HTTP {status}"),
                    code => format!("{code} &middot; HTTP {status}"),
                };
                TEMPLATE
                    .replace("{{base}}", BASE.trim_end())
                    .replace("{{title}}", self.title)
                    .replace("{{visitor}}", self.visitor)
                    .replace("{{developer}}", self.developer)
                    .replace("{{code}}", &code)
                    .into()
            })
            .clone()
    }

    /// The page as an answer, with headers that keep it out of caches: the next attempt may well succeed.
    pub(super) fn response<B: From<Bytes>>(&self) -> Response<B> {
        let mut response = Response::new(B::from(self.html()));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        );
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(
            CACHE_CONTROL,
            HeaderValue::from_static("no-cache, no-store"),
        );
        response
    }
}

/// A page of an app's own in the place of ours: in a frame, as on Heroku, so that it is the visitor who fetches it and an app that
/// cannot answer is not asked for it.
pub(super) fn framed<B: From<Bytes>>(page: &Page, url: &str) -> Response<B> {
    let mut shown = String::with_capacity(url.len());
    for symbol in url.chars() {
        match symbol {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            _ => shown.push(symbol),
        }
    }
    let html = FRAME
        .replace("{{title}}", page.title)
        .replace("{{url}}", &shown);
    let mut response = page.response();
    *response.body_mut() = B::from(html.into());
    response
}

pub(super) static NO_SUCH_APP: Page = Page::new(
    404,
    "",
    "No such app",
    "There is no app at this address. Check that it is spelled as it was given to you.",
    "If this is your app, look at its name with <code>heroku apps</code>: its address begins with that. A domain of your own has to be \
     among those of <code>heroku domains</code>.",
);

pub(super) static MISDIRECTED: Page = Page::new(
    421,
    "",
    "Ask again",
    "This connection leads to other sites. Load the page once more.",
    "Open a connection of its own for this host, and name it in the TLS handshake (SNI).",
);

pub(super) static BAD_REQUEST: Page = Page::new(
    400,
    "",
    "Bad request",
    "This request does not say in one clear way which site and page it is for.",
    "Send exactly one <code>Host</code> header with a plain host name, the same as in the address if that is given in full.",
);

pub(super) static METHOD_NOT_ALLOWED: Page = Page::new(
    405,
    "",
    "Method not allowed",
    "This server does not open tunnels for others.",
    "<code>CONNECT</code> is for proxies; use <code>Upgrade</code> for WebSockets.",
);
