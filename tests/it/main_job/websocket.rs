//! A WebSocket, through the router, to a real app.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::start;
use crate::binary::HANG;
use crate::binary::sample::PYTHON;

#[tokio::test]
async fn a_websocket_reaches_the_dyno_and_goes_both_ways() {
    let (_place, _server, client) = start();
    client.create_app("chat").await;
    client.deploy("chat", PYTHON.tarball("chat")).await;
    client.visit_until("chat", 200, "chat says").await;
    let mut wire = TcpStream::connect(client.router_address()).await.unwrap();
    let host = client.host("chat");
    let request = format!(
        "GET /socket HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    wire.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(HANG, wire.read_u8()).await.unwrap();
        head.push(byte.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    // The answer to this key is the one in RFC 6455, section 1.3.
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"));
    for text in ["hello", "again"] {
        wire.write_all(&frame(0x81, text)).await.unwrap();
        assert_eq!(answer(&mut wire).await, (0x81, text.to_uppercase()));
    }
    wire.write_all(&frame(0x88, "")).await.unwrap();
    assert_eq!(answer(&mut wire).await, (0x88, String::new()));
    let end = timeout(HANG, wire.read_u8()).await.unwrap();
    assert!(end.is_err(), "the connection goes on after its end");
    drop(wire);
    let mut tail = client.tail("chat", 100).await.unwrap();
    let lines = tail.until("path=\"/socket\"").await;
    assert!(lines.last().unwrap().contains(" status=101 "));
}

/// A short frame, masked as a client's has to be.
fn frame(kind: u8, text: &str) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let length = u8::try_from(text.len()).unwrap();
    let masked = text.bytes().zip(mask.into_iter().cycle());
    let masked = masked.map(|(byte, mask)| byte ^ mask);
    [kind, 0x80 | length]
        .into_iter()
        .chain(mask)
        .chain(masked)
        .collect()
}

async fn answer(wire: &mut TcpStream) -> (u8, String) {
    let mut head = [0; 2];
    timeout(HANG, wire.read_exact(&mut head))
        .await
        .unwrap()
        .unwrap();
    let mut text = vec![0; usize::from(head[1])];
    timeout(HANG, wire.read_exact(&mut text))
        .await
        .unwrap()
        .unwrap();
    (head[0], String::from_utf8(text).unwrap())
}
