//! A dyno that trusts nobody: it reads requests by the letter of RFC 9112, notes each one, and says what was wrong with the first
//! that could be read in more than one way.

use std::collections::HashMap;
use std::sync::Arc;

use penstock::router::Dyno;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{HOST, Wire, ok, web_1};

/// Headers of one hop, which end at the router.
const OF_ONE_HOP: &[&str] = &[
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "te",
    "trailer",
    "http2-settings",
    "proxy",
    "expect",
];
/// What the router says of the way, once.
const OF_THE_WAY: &[&str] = &[
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-request-id",
    "x-request-start",
    "via",
];

/// The dyno's side of a test.
pub struct Strict {
    pub dyno: Dyno,
    seen: mpsc::UnboundedReceiver<Result<String, String>>,
    accepting: JoinHandle<()>,
}

impl Strict {
    pub async fn start() -> Strict {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let sender = Arc::new(sender);
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(converse(Wire(socket), sender.clone()));
            }
        });
        Strict {
            dyno: web_1(address),
            seen,
            accepting,
        }
    }

    /// What it was asked, each as its path and its body, once nobody talks to it any more.
    pub async fn asked(mut self) -> Result<Vec<String>, String> {
        self.accepting.abort();
        let mut asked = Vec::new();
        while let Some(request) = self.seen.recv().await {
            asked.push(request?);
        }
        Ok(asked)
    }
}

async fn converse(mut wire: Wire, seen: Arc<mpsc::UnboundedSender<Result<String, String>>>) {
    loop {
        let head = wire.head().await;
        if head.is_empty() {
            return;
        }
        let read = match read(&head) {
            Ok(read) => read,
            Err(wrong) => {
                seen.send(Err(format!("{wrong}: {head:?}"))).ok();
                return;
            }
        };
        let body = match read.framing {
            Framing::None => String::new(),
            Framing::Length(length) => {
                let mut body = String::new();
                while body.len() < length {
                    let next = wire.some(length - body.len()).await;
                    if next.is_empty() {
                        // The visitor broke off, and so the request does not count.
                        return;
                    }
                    body += &next;
                }
                body
            }
            Framing::Chunked => match chunks(&mut wire).await {
                Some(Ok(body)) => body,
                Some(Err(wrong)) => {
                    seen.send(Err(wrong)).ok();
                    return;
                }
                None => return,
            },
        };
        let note = match body.as_str() {
            "" => read.path,
            body => format!("{}={body}", read.path),
        };
        seen.send(Ok(note)).ok();
        wire.write(ok("seen")).await;
    }
}

enum Framing {
    None,
    Length(usize),
    Chunked,
}

struct Read {
    path: String,
    framing: Framing,
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Reads a head, as far as there is one way to.
fn read(head: &str) -> Result<Read, String> {
    let mut lines = head.strip_suffix("\r\n\r\n").ok_or("no end")?.split("\r\n");
    let first = lines.next().ok_or("no request line")?;
    let [method, path, version] = first.split(' ').collect::<Vec<_>>()[..] else {
        return Err("the request line has not three words".to_owned());
    };
    let visible = path.bytes().all(|b| b.is_ascii_graphic() || b >= 0x80);
    if !is_token(method) || !visible || version != "HTTP/1.1" {
        return Err("the request line is odd".to_owned());
    }
    if !path.starts_with('/') && path != "*" {
        return Err("the target is no path".to_owned());
    }
    let mut headers: HashMap<String, Vec<&str>> = HashMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").ok_or("a line without a name")?;
        let plain = |b: u8| b == b'\t' || (b >= b' ' && b != 0x7f);
        if !is_token(name) || !value.bytes().all(plain) || value.trim() != value {
            return Err(format!("the header {line:?} is odd"));
        }
        let name = name.to_ascii_lowercase();
        headers.entry(name).or_default().push(value);
    }
    let only = |name: &str| match headers.get(name).map(Vec::as_slice) {
        None => Ok(None),
        Some([value]) => Ok(Some(*value)),
        Some(_) => Err(format!("more than one {name}")),
    };
    for name in OF_ONE_HOP {
        if headers.contains_key(*name) {
            return Err(format!("{name} has come through"));
        }
    }
    for name in OF_THE_WAY {
        only(name)?.ok_or(format!("no {name}"))?;
        let lookalike = |other: &&String| other.contains('_') && other.replace('_', "-") == *name;
        if headers.keys().any(|other| lookalike(&other)) {
            return Err(format!("something that looks like {name}"));
        }
    }
    if !only("x-forwarded-for")?
        .unwrap_or("")
        .ends_with("127.0.0.1")
    {
        return Err("x-forwarded-for ends with something else".to_owned());
    }
    let host = only("host")?.ok_or("no host")?;
    if !host.eq_ignore_ascii_case(HOST) {
        return Err(format!("it is for {host:?}"));
    }
    only("cookie")?;
    only("connection")?;
    let framing = match (only("content-length")?, only("transfer-encoding")?) {
        (Some(_), Some(_)) => return Err("both framings".to_owned()),
        (None, None) => Framing::None,
        (None, Some("chunked")) => Framing::Chunked,
        (None, Some(coding)) => return Err(format!("a coding {coding:?}")),
        (Some(length), None) => {
            let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
            let length = length.parse().ok().filter(|_| digits);
            Framing::Length(length.ok_or("a length that is none")?)
        }
    };
    Ok(Read {
        path: path.to_owned(),
        framing,
    })
}

/// A chunked body, without extensions and trailers; nothing when the other side breaks off.
async fn chunks(wire: &mut Wire) -> Option<Result<String, String>> {
    let mut body = String::new();
    loop {
        let size = wire.until("\r\n").await;
        let size = size.strip_suffix("\r\n")?;
        let hexadecimal = !size.is_empty() && size.bytes().all(|b| b.is_ascii_hexdigit());
        let Some(length) = usize::from_str_radix(size, 16).ok().filter(|_| hexadecimal) else {
            return Some(Err(format!("a chunk of the size {size:?}")));
        };
        let mut chunk = String::new();
        while chunk.len() < length {
            let next = wire.some(length - chunk.len()).await;
            if next.is_empty() {
                return None;
            }
            chunk += &next;
        }
        body += &chunk;
        match wire.until("\r\n").await.as_str() {
            "\r\n" if length == 0 => return Some(Ok(body)),
            "\r\n" => {}
            "" => return None,
            other => return Some(Err(format!("{other:?} after a chunk"))),
        }
    }
}
