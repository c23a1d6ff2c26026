//! A provider of add-ons: a small web server of its own that shares nothing with the server it is asked by. It behaves, or
//! misbehaves as its script says, and remembers what it was asked.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// What it does about a request.
#[derive(Clone, Debug)]
pub enum Act {
    Answer(u16, String),
    /// Says nothing until the other side gives up.
    Silence,
    /// Breaks off in the middle of its answer.
    BreakOff,
}

pub fn answer(status: u16, body: Value) -> Act {
    Act::Answer(status, body.to_string())
}

/// A request that it got.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub authorization: String,
    pub body: Value,
}

#[derive(Clone)]
pub struct Provider {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    script: Arc<Mutex<VecDeque<Act>>>,
}

impl Provider {
    pub fn start() -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let provider = Provider {
            url: format!("http://{}", listener.local_addr().unwrap()),
            asked: Arc::default(),
            script: Arc::default(),
        };
        let this = provider.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let this = this.clone();
                std::thread::spawn(move || this.serve(connection));
            }
        });
        provider
    }

    /// What it does next, before it behaves again.
    pub fn next(&self, acts: impl IntoIterator<Item = Act>) {
        self.script.lock().unwrap().extend(acts);
    }

    /// All that it was asked so far, as `POST /heroku/resources`.
    pub fn heard(&self) -> Vec<String> {
        let heard = |asked: &Asked| format!("{} {}", asked.method, asked.path);
        self.asked.lock().unwrap().iter().map(heard).collect()
    }

    /// The add-ons that it was asked to make and not told to remove.
    pub fn has(&self) -> BTreeSet<String> {
        let mut there = BTreeSet::new();
        for asked in self.asked.lock().unwrap().iter() {
            match (asked.method.as_str(), asked.body["uuid"].as_str()) {
                ("POST", Some(uuid)) => drop(there.insert(uuid.to_owned())),
                ("DELETE", _) => drop(there.remove(asked.path.rsplit('/').next().unwrap())),
                _ => {}
            }
        }
        there
    }

    /// The last request.
    pub fn last(&self) -> Asked {
        self.asked.lock().unwrap().last().unwrap().clone()
    }

    fn serve(&self, connection: TcpStream) {
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        let mut connection = connection;
        while let Some(asked) = read(&mut reader) {
            self.asked.lock().unwrap().push(asked.clone());
            let act = self.script.lock().unwrap().pop_front();
            match act.unwrap_or_else(|| behave(&asked)) {
                Act::Answer(status, body) => {
                    let head = format!(
                        "HTTP/1.1 {status} Whatever\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                        body.len()
                    );
                    let _ = connection.write_all((head + &body).as_bytes());
                }
                // A read that ends says that the other side is gone.
                Act::Silence => drop(reader.read(&mut [0])),
                Act::BreakOff => {
                    let half = b"HTTP/1.1 201 Created\r\ncontent-length: 1000\r\n\r\n{\"id\":";
                    let _ = connection.write_all(half);
                    return;
                }
            }
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => authorization = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        method,
        path,
        authorization,
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    })
}

/// As a provider should.
fn behave(asked: &Asked) -> Act {
    let plan = asked.body["plan"].as_str().unwrap_or_default();
    match asked.method.as_str() {
        "POST" => answer(
            201,
            json!({
                "id": format!("acme-{}", asked.body["uuid"].as_str().unwrap()),
                "message": "Your database is ready.",
                "config": { "ACME_URL": format!("acme://{plan}.test/1") },
            }),
        ),
        "PUT" => answer(
            200,
            json!({ "message": "Moved.", "config": { "ACME_URL": format!("acme://{plan}.test/1") } }),
        ),
        _ => answer(200, json!({})),
    }
}
