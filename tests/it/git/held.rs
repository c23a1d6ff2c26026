//! A place to fetch a source from, which does not answer until it is told to.

use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc;

use crate::binary::HANG;

pub struct Held {
    address: SocketAddr,
    asking: mpsc::Receiver<TcpStream>,
    asked: std::cell::RefCell<Option<TcpStream>>,
}

impl Held {
    pub fn listen() -> Held {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, asking) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut [0; 16]).unwrap();
            tell.send(stream)
        });
        Held {
            address,
            asking,
            asked: None.into(),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}/source.tgz", self.address)
    }

    /// Waits until somebody asks.
    pub fn asked(&self) {
        *self.asked.borrow_mut() = Some(self.asking.recv_timeout(HANG).unwrap());
    }

    /// Hangs up.
    pub fn let_go(&self) {
        drop(self.asked.borrow_mut().take().unwrap());
    }
}
