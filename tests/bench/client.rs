//! A client for what has to be there before something can be measured: one blocking request at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::Value;

use crate::Result;

/// A keep-alive connection that sends an API token.
pub struct Client {
    stream: BufReader<TcpStream>,
    token: String,
}

impl Client {
    pub fn connect(address: SocketAddr, token: &str) -> Result<Client> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Client {
            stream: BufReader::new(stream),
            token: token.to_owned(),
        })
    }

    pub fn get(&mut self, path: &str) -> Result<Value> {
        self.json("GET", path, &Value::Null)
    }

    pub fn post(&mut self, path: &str, body: &Value) -> Result<Value> {
        self.json("POST", path, body)
    }

    pub fn patch(&mut self, path: &str, body: &Value) -> Result<Value> {
        self.json("PATCH", path, body)
    }

    /// Any other answer than a 2xx is an error.
    fn json(&mut self, method: &str, path: &str, body: &Value) -> Result<Value> {
        let body = match body {
            Value::Null => Vec::new(),
            body => serde_json::to_vec(body)?,
        };
        let request = request(method, path, &self.token, &body);
        Ok(serde_json::from_slice(&self.send(&request)?)?)
    }

    /// PUTs bytes to a signed URL.
    pub fn put(&mut self, path: &str, body: &[u8]) -> Result<()> {
        let request = request("PUT", path, &self.token, body);
        self.send(&request).map(drop)
    }

    fn send(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        self.stream.get_mut().write_all(request)?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status: u16 = line.get(9..12).ok_or("no status")?.parse()?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                    length = value.parse()?;
                }
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        if !(200..300).contains(&status) {
            let said = String::from_utf8_lossy(&body);
            return Err(format!("a request was answered with {status}: {said}").into());
        }
        Ok(body)
    }
}

/// A request as Heroku's clients send it.
pub fn request(method: &str, path: &str, token: &str, body: &[u8]) -> Vec<u8> {
    let mut request = Vec::new();
    write_request(&mut request, method, path, token, body);
    request
}

/// As [`request`], into memory that is there already.
pub fn write_request(into: &mut Vec<u8>, method: &str, path: &str, token: &str, body: &[u8]) {
    // Writing to a vector cannot fail.
    let _ = write!(
        into,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: penstock-bench\r\n\
         Accept: application/vnd.heroku+json; version=3\r\nAuthorization: Bearer {token}\r\n"
    );
    if !body.is_empty() {
        let _ = write!(
            into,
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
    }
    into.extend_from_slice(b"\r\n");
    into.extend_from_slice(body);
}
