//! A receiver of webhooks on loopback, which answers, is silent or breaks off as a test says.

use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::binary::HANG;
use crate::router::Wire;

/// What is done with a delivery once it was read.
#[derive(Clone, Copy, Debug)]
pub enum Does {
    Answer(u16),
    /// Sends the receiver elsewhere.
    Redirect,
    /// Closes the connection without a word.
    BreakOff,
    /// Keeps the connection and says nothing, until it is told to break off.
    Nothing,
}

/// A delivery as it came.
pub struct Received {
    pub head: String,
    pub raw: Vec<u8>,
    pub body: Value,
}

impl Received {
    /// A header's value; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut named = lines.filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.next().map_or("", |(_, value)| value)
    }

    /// `update formation`.
    pub fn what(&self) -> String {
        let text = |name: &str| self.body[name].as_str().unwrap().to_owned();
        format!("{} {}", text("action"), text("resource"))
    }
}

pub struct Receiver {
    pub url: String,
    does: watch::Sender<Does>,
    received: mpsc::UnboundedReceiver<Received>,
}

impl Receiver {
    pub async fn start(does: Does) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks?a=b", listener.local_addr().unwrap());
        let (does, script) = watch::channel(does);
        let (sender, received) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(receive(Wire(socket), script.clone(), sender.clone()));
            }
        });
        Receiver {
            url,
            does,
            received,
        }
    }

    /// From here on.
    pub fn does(&self, does: Does) {
        self.does.send_replace(does);
    }

    /// The next delivery, once it has come.
    pub async fn next(&mut self) -> Received {
        let next = timeout(HANG, self.received.recv()).await;
        next.expect("nothing was delivered").unwrap()
    }

    /// All that has come and was not looked at.
    pub fn all(&mut self) -> Vec<Received> {
        std::iter::from_fn(|| self.received.try_recv().ok()).collect()
    }

    /// What each of them told.
    pub fn told(&mut self) -> Vec<String> {
        self.all().iter().map(Received::what).collect()
    }
}

async fn receive(
    mut wire: Wire,
    mut does: watch::Receiver<Does>,
    received: mpsc::UnboundedSender<Received>,
) {
    loop {
        let head = wire.head().await;
        if !head.ends_with("\r\n\r\n") {
            return;
        }
        let lower = head.to_lowercase();
        let length = lower.split("content-length: ").nth(1).unwrap();
        let length = length.lines().next().unwrap().parse().unwrap();
        let raw = wire.exactly(length).await;
        let body = serde_json::from_slice(&raw).unwrap();
        received.send(Received { head, raw, body }).ok();
        let now = *does.borrow();
        match now {
            Does::Answer(status) => {
                let answer = format!("HTTP/1.1 {status} Said\r\nContent-Length: 2\r\n\r\nok");
                wire.write(answer).await;
            }
            Does::Redirect => {
                let answer =
                    "HTTP/1.1 307 Elsewhere\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n";
                wire.write(answer).await;
            }
            Does::BreakOff => return,
            Does::Nothing => {
                let told = does.wait_for(|does| matches!(does, Does::BreakOff));
                tokio::select! {
                    _ = wire.0.read_u8() => return,
                    _ = told => return,
                }
            }
        }
    }
}
