//! Somebody who visits the app that nobody touches, again and again, by way of the router and past it.
//!
//! Each visit has to be answered, unless the way was closed while it was made: the server that the router is a part of is stopped,
//! or it is this app that is hit, or the machine.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::binary::{Client, HANG};

/// Between two visits: a client that is slower than this leaves the processor to what is tested.
const PAUSE: Duration = Duration::from_millis(4);
/// Words on the page of the app.
const PAGE: &str = "first says";
/// What the app prints of a visit, before its number.
const PRINTED: &str = "app[web.1]: serving /visit-";

/// How the app is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Router,
    Dyno,
}

const WAYS: [Way; 2] = [Way::Router, Way::Dyno];

#[derive(Default)]
struct Seen {
    /// Where each way leads, and how often that has changed.
    doors: [(Option<SocketAddr>, u64); 2],
    /// How many visits were answered, either way.
    answered: [u64; 2],
    /// What the app must have printed: the numbers of answered visits.
    numbers: Vec<u64>,
    failures: Vec<String>,
    longest: Duration,
}

pub struct Visitor {
    seen: Arc<Mutex<Seen>>,
    leave: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Visitor {
    /// Visits nobody yet.
    pub fn new() -> Visitor {
        let seen = Arc::<Mutex<Seen>>::default();
        let (leave, left) = mpsc::channel();
        let shared = seen.clone();
        let thread = std::thread::spawn(move || {
            let mut number = 0;
            while left.recv_timeout(PAUSE) == Err(RecvTimeoutError::Timeout) {
                for way in WAYS {
                    number += 1;
                    visit(&shared, way, number);
                }
            }
        });
        Visitor {
            seen,
            leave: Some(leave),
            thread: Some(thread),
        }
    }

    pub fn open(&self, way: Way, address: SocketAddr) {
        let door = &mut self.seen().doors[way as usize];
        *door = (Some(address), door.1 + 1);
    }

    /// From here on no visit this way has to be answered, nor one that is under way.
    pub fn close(&self, way: Way) {
        let door = &mut self.seen().doors[way as usize];
        *door = (None, door.1 + 1);
    }

    /// What was printed so far is asked after no more: it may have gone with the dyno or the disk.
    pub fn forget_printed(&self) {
        self.seen().numbers.clear();
    }

    /// All visits so far were answered that had to be.
    pub fn is_content(&self, story: &str) {
        let failures = std::mem::take(&mut self.seen().failures);
        assert!(failures.is_empty(), "{story}: {failures:#?}");
    }

    /// What the app has printed of the visits is in its log, as far back as that is kept.
    pub async fn all_is_logged(&self, client: &Client) {
        let expected = self.seen().numbers.clone();
        let begun = Instant::now();
        loop {
            let log = client.logs("bystander").await;
            let numbers = log.lines().filter_map(|line| {
                let (_, number) = line.split_once(PRINTED)?;
                number.trim().parse::<u64>().ok()
            });
            let logged: Vec<u64> = numbers.collect();
            let oldest = logged.first().copied().unwrap_or_default();
            let mut missing = expected.clone();
            missing.retain(|number| *number >= oldest && !logged.contains(number));
            let is_kept = expected.is_empty() || !logged.is_empty();
            if missing.is_empty() && is_kept {
                break;
            }
            assert!(begun.elapsed() < HANG, "of {oldest} and on: no {missing:?}");
        }
        // No later look asks for those again.
        let checked = expected.last().copied().unwrap_or_default();
        self.seen().numbers.retain(|number| *number > checked);
    }

    /// How many visits were answered by way of the router, how many past it, and how long the longest took.
    pub fn leave(mut self) -> ([u64; 2], Duration) {
        self.leave.take();
        self.thread.take().unwrap().join().unwrap();
        let seen = self.seen();
        (seen.answered, seen.longest)
    }

    pub fn has_open(&self, way: Way) -> bool {
        self.seen().doors[way as usize].0.is_some()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.leave.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn visit(seen: &Mutex<Seen>, way: Way, number: u64) {
    let door = |seen: &Seen| seen.doors[way as usize];
    let before = door(&seen.lock().unwrap());
    let (Some(address), _) = before else {
        return;
    };
    let begun = Instant::now();
    let came = ask(address, number);
    let mut seen = seen.lock().unwrap();
    match came {
        Ok(()) => {
            seen.answered[way as usize] += 1;
            seen.numbers.push(number);
            seen.longest = seen.longest.max(begun.elapsed());
        }
        Err(why) if door(&seen) == before => {
            seen.failures
                .push(format!("{way:?}, visit {number}: {why}"));
        }
        Err(_) => {}
    }
}

fn ask(address: SocketAddr, number: u64) -> Result<(), String> {
    let failed = |what: &str| {
        let what = what.to_owned();
        move |error: std::io::Error| format!("{what}: {error}")
    };
    let mut stream = TcpStream::connect_timeout(&address, HANG).map_err(failed("connecting"))?;
    stream
        .set_read_timeout(Some(HANG))
        .map_err(failed("waiting"))?;
    let port = address.port();
    let request = format!(
        "GET /visit-{number} HTTP/1.1\r\nHost: bystander.localhost:{port}\r\nConnection: close\r\n\r\n"
    );
    stream
        .write_all(request.as_bytes())
        .map_err(failed("asking"))?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .map_err(failed("reading"))?;
    let is_good = answer.starts_with("HTTP/1.1 200") && answer.contains(PAGE);
    is_good
        .then_some(())
        .ok_or(format!("it answered {answer:?}"))
}

/// That of the router of a server.
pub fn router(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
