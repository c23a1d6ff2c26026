//! The router's limits and patience, each named, each with Heroku's figure where Heroku has one.

use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;

use super::Challenges;

/// How the router behaves. Every figure can be shortened, which is what tests do.
#[derive(Clone, Debug)]
pub struct Options {
    /// For visitors who begin with TLS, on whichever port; it offers [`super::PROTOCOLS`]. Without, they are not understood.
    pub tls: Option<Arc<ServerConfig>>,
    /// The server whose host is no app's.
    pub beside: Option<super::Beside>,
    /// Where visitors are sent who should have come within TLS, if not to the port that they came by.
    pub https_port: Option<u16>,
    /// What authorities are answered who ask whether a host leads here.
    pub challenges: Option<Arc<dyn Challenges>>,
    /// OS threads, each with a runtime and a pool of connections of its own. One a core is best.
    pub threads: usize,
    /// Connections of visitors at one time, over all threads; what comes beyond is closed, and told H22 where that can be read.
    pub max_connections: usize,
    /// Of those, how many one address may have, or one network of IPv6; what comes beyond is told the same.
    pub max_connections_of_one: usize,
    /// Requests in flight at one dyno, tunnels included; beyond it H11. Heroku's figure is 50.
    pub max_in_flight: usize,
    /// Requests that wait for starting apps at one time, over all apps; beyond it H11.
    pub max_queued: usize,
    /// Of those, how many one app may have, so that an app that never starts leaves room for others; beyond it H11.
    pub max_queued_of_one: usize,
    /// The longest request target in bytes; beyond it 414. Heroku's figure is 8 KB.
    pub max_target: usize,
    /// The longest header of a request in bytes, name and value; beyond it 431. Heroku's figure is 8 KB.
    pub max_header: usize,
    /// The most headers of a request; beyond it 431. A dyno's answer may have 100, which is the parser's own limit.
    pub max_headers: usize,
    /// The largest head of a request in bytes, and of each trailer section; beyond it 431.
    pub max_head: usize,
    /// The longest status line of a dyno's answer in bytes; beyond it H25. Heroku's figure is 8 KB.
    pub max_status_line: usize,
    /// The longest cookie that a dyno sets, in bytes; beyond it H25. Heroku's figure is 8 KB.
    pub max_cookie: usize,
    /// The largest head of a dyno's answer in bytes; beyond it H25. At least 8 KB.
    pub max_response_head: usize,
    /// How long a visitor may take over the head of a request, and may stay silent between requests.
    pub header_read: Duration,
    /// How long a visitor may take to say a first word who came just before the router is told to stop, or who is turned away.
    pub first_word: Duration,
    /// How long a visitor by HTTP/1.1 whose connection rests may take to ask once more, before a router that stops closes it.
    pub last_call: Duration,
    /// How long a dyno may take to its first byte, counted from the last byte of the request that it took; then H12.
    pub first_byte: Duration,
    /// How long either side may be silent after that; then H15, or H28 in the midst of an upload.
    pub idle: Duration,
    /// How long a dyno may take to accept a connection; then another is tried, and at last H19.
    pub connect: Duration,
    /// How many dynos are tried for one request.
    pub max_attempts: usize,
    /// How long a dyno that took no connection is left alone while others can be tried.
    pub aside: Duration,
    /// How long a request waits for a starting app; then H20.
    pub boot_queue: Duration,
    /// How long an unused connection to a dyno is kept. Shorter than the 5 s after which Node closes its own side.
    pub pool_idle: Duration,
    /// How long one is kept for requests that must not be sent twice, since the dyno may close it in that very moment.
    pub pool_idle_unrepeatable: Duration,
    /// How long a dyno must have been seen to keep a connection before any is used for such requests.
    pub pool_trial: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            tls: None,
            beside: None,
            https_port: None,
            challenges: None,
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            max_connections: 10_000,
            max_connections_of_one: 5_000,
            max_in_flight: 50,
            max_queued: 1_000,
            max_queued_of_one: 200,
            max_target: 8 * 1024,
            max_header: 8 * 1024,
            max_headers: 100,
            max_head: 64 * 1024,
            max_status_line: 8 * 1024,
            max_cookie: 8 * 1024,
            max_response_head: 128 * 1024,
            header_read: Duration::from_secs(30),
            first_word: Duration::from_secs(1),
            last_call: Duration::from_secs(2),
            first_byte: Duration::from_secs(30),
            idle: Duration::from_secs(55),
            connect: Duration::from_secs(5),
            max_attempts: 10,
            aside: Duration::from_secs(5),
            boot_queue: Duration::from_secs(75),
            pool_idle: Duration::from_secs(4),
            pool_idle_unrepeatable: Duration::from_secs(1),
            pool_trial: Duration::from_millis(500),
        }
    }
}
