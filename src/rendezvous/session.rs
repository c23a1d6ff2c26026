//! One client and its dyno, from the secret to the end of either.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_rustls::server::TlsStream;

use super::Host;
use super::marker::{self, Markers};
use super::sizes::Sizes;
use crate::error::{Error, Result};
use crate::log::platform as lines;
use crate::runtime::{Attached, Controls, Expected, Signal};
use crate::secret;
use crate::store::Table;
use crate::store::dynos::{self, Dyno, Which};
use crate::store::one_offs;

type Reader = ReadHalf<TlsStream<TcpStream>>;
type Writer = WriteHalf<TlsStream<TcpStream>>;

/// The client throws away the first record, whatever is in it.
const GREETING: &[u8] = b"rendezvous\r\n";
/// Bytes of the line with the secret.
const LINE: usize = 256;
/// For the client to say who it is.
const SECRET: Duration = Duration::from_secs(10);
/// For the dyno to start. Its slug may be large.
const START: Duration = Duration::from_secs(120);
/// For the client to close its side, so that nothing that it has not read yet is lost.
const LAST: Duration = Duration::from_secs(2);
/// For a client to read some of what is sent to it. One whose terminal has suspended it would hold its dyno for ever.
const STALLED: Duration = Duration::from_secs(60);
/// Longer than any session.
const FOREVER: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Between one SIGHUP and the next, and how many there are.
const AGAIN: Duration = Duration::from_secs(5);
const HANGUPS: u32 = 6;
/// What a client without a terminal sends at the end of its input.
const END_OF_TRANSMISSION: u8 = 4;
/// How long such a byte is doubted: with more after it, it was a part of the input.
const DOUBT: Duration = Duration::from_millis(100);
const CHUNK: usize = 16 * 1024;

/// Why a session is over.
enum Over {
    /// The dyno has ended, and all that it printed was sent.
    Ended,
    Gone,
    Idle,
}

/// Serves a client that has shaken hands.
pub async fn serve(host: &Host, stream: TlsStream<TcpStream>) {
    let (mut reader, mut writer) = split(stream);
    let Ok(Some(secret)) = timeout(SECRET, read_secret(&mut reader)).await else {
        return;
    };
    let Some(dyno) = awaiting(host, &secret) else {
        return;
    };
    // Before the dyno may start, which it does once its client is let in.
    let expected = host.reception.wait_for(dyno.id);
    if send(&mut writer, GREETING).await.is_none() {
        return;
    }
    let greeted = Instant::now();
    let over = match expected {
        Some(expected) => meet(host, &dyno, expected, &mut reader, &mut writer).await,
        None => {
            say(&mut writer, "Somebody else waits for this dyno already.").await;
            Over::Ended
        }
    };
    if !matches!(over, Over::Gone) {
        sleep_until(greeted + host.limits.floor).await;
        finish(reader, writer).await;
    }
}

/// Lets a client in that was greeted, and brings it together with its dyno.
async fn meet(
    host: &Host,
    dyno: &Dyno,
    mut expected: Expected,
    reader: &mut Reader,
    writer: &mut Writer,
) -> Over {
    let (id, now) = (dyno.id, host.platform.clock.now());
    let admitted = host
        .platform
        .store
        .write(move |connection| one_offs::admit(connection, id, now));
    if !matches!(admitted.await, Ok(true)) {
        say(writer, "This dyno does not wait for a client any more.").await;
        return Over::Ended;
    }
    match timeout(START, arrives(host, dyno, &mut expected)).await {
        Ok(Ok(attached)) => return relay(host, dyno, attached, reader, writer).await,
        Ok(Err(error)) => {
            let text = format!("The command could not be run. {}", error.message);
            say(writer, &text).await;
        }
        Err(_) => {
            say(writer, "The command did not begin in time.").await;
            stop(host, dyno).await;
        }
    }
    Over::Ended
}

/// The dyno's streams, or why there are none. One that is stopped before it was started has nobody who says so.
async fn arrives(host: &Host, dyno: &Dyno, expected: &mut Expected) -> Result<Attached> {
    let mut changes = host.platform.store.changes(&[Table::Dyno]);
    loop {
        changes.mark_unchanged();
        let find = |connection: &Connection| dynos::by_id(connection, dyno.id);
        let gone = host.platform.store.read(find)?.is_none();
        tokio::select! {
            biased;
            arrived = expected.arrives() => return arrived,
            () = std::future::ready(()), if gone => {
                return Err(Error::conflict("The dyno was stopped before that."));
            }
            _ = changes.changed() => {}
        }
    }
}

/// The first line. `None` if it is none.
async fn read_secret(reader: &mut Reader) -> Option<String> {
    let mut line = Vec::new();
    while line.len() < LINE {
        let byte = reader.read_u8().await.ok()?;
        if byte == b'\n' {
            let line = String::from_utf8(line).ok()?;
            return Some(line.trim_end_matches('\r').to_owned());
        }
        line.push(byte);
    }
    None
}

/// The dyno that waits for whoever has this secret.
fn awaiting(host: &Host, secret: &str) -> Option<Dyno> {
    let (digest, now) = (secret::digest(secret), host.platform.clock.now());
    let found = host
        .platform
        .store
        .read(|connection| one_offs::awaiting(connection, &digest, now));
    found
        .inspect_err(|error| tracing::error!(%error, "a rendezvous client could not be looked up"))
        .ok()?
}

/// In a record of its own. `None` when the client has gone.
async fn send(writer: &mut Writer, bytes: &[u8]) -> Option<()> {
    send_unless_stalled(writer, bytes, STALLED).await
}

/// `None` also when nothing could be sent for so long.
async fn send_unless_stalled<W: AsyncWrite + Unpin>(
    writer: &mut W,
    bytes: &[u8],
    stalled: Duration,
) -> Option<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = timeout(stalled, writer.write(rest)).await.ok()?.ok()?;
        rest = rest.get(written..).filter(|_| written > 0)?;
    }
    timeout(stalled, writer.flush()).await.ok()?.ok()
}

/// A sentence of ours.
async fn say(writer: &mut Writer, text: &str) {
    let _ = send(writer, format!("\r\n !    {text}\r\n").as_bytes()).await;
}

/// Closes our side, and waits for the client to close its own.
async fn finish(mut reader: Reader, mut writer: Writer) {
    let _ = timeout(LAST, async {
        writer.shutdown().await.ok()?;
        let mut rest = [0; 1024];
        while reader.read(&mut rest).await.ok()? > 0 {}
        Some(())
    })
    .await;
}

/// Passes bytes both ways until one side is over.
async fn relay(
    host: &Host,
    dyno: &Dyno,
    mut attached: Attached,
    reader: &mut Reader,
    writer: &mut Writer,
) -> Over {
    let controls = attached.controls.clone();
    let moved = Mutex::new(Instant::now());
    let has_terminal = dyno.attach.is_some_and(|attach| attach.terminal.is_some());
    let mut markers = Markers::default();
    let over = tokio::select! {
        over = pass_output(host, &mut attached, &mut markers, writer, &moved) => over,
        () = pass_input(&controls, reader, has_terminal, &moved) => Over::Gone,
        () = idle(&moved, host.limits.idle) => Over::Idle,
    };
    drop(attached);
    match over {
        // A command that ends the shell, such as `exit 3`, leaves the client without the status that it waits for.
        Over::Ended if marker::is_asked_for(&dyno.command) && !markers.seen() => {
            if let Ok(Some(status)) = timeout(LAST, controls.ended()).await {
                let _ = send(writer, &marker::of(status)).await;
            }
        }
        Over::Ended => {}
        Over::Gone => hang_up(host, dyno, &controls).await,
        Over::Idle => {
            say(writer, "Nothing was typed or printed for too long.").await;
            hang_up(host, dyno, &controls).await;
        }
    }
    over
}

async fn pass_output(
    host: &Host,
    attached: &mut Attached,
    markers: &mut Markers,
    writer: &mut Writer,
    moved: &Mutex<Instant>,
) -> Over {
    loop {
        let patience = match markers.holds() {
            true => host.limits.marker,
            false => FOREVER,
        };
        let until = Instant::now() + patience;
        let (pieces, ended) = match timeout_at(until, attached.output.recv()).await {
            Ok(Some(bytes)) => (markers.feed(&bytes), false),
            Ok(None) => (vec![markers.rest()], true),
            Err(_) => (vec![markers.rest()], false),
        };
        note(moved, !pieces.is_empty());
        for piece in &pieces {
            if send(writer, piece).await.is_none() {
                return Over::Gone;
            }
        }
        if ended {
            return Over::Ended;
        }
    }
}

/// Returns when the client has gone.
async fn pass_input(
    controls: &Controls,
    reader: &mut Reader,
    has_terminal: bool,
    moved: &Mutex<Instant>,
) {
    let mut chunk = vec![0; CHUNK];
    let mut doubted = false;
    let mut sizes = Sizes::default();
    loop {
        let read = match doubted {
            true => timeout(DOUBT, reader.read(&mut chunk)).await,
            false => Ok(reader.read(&mut chunk).await),
        };
        let bytes = match read {
            Ok(Ok(length)) if length > 0 => &chunk[..length],
            Ok(_) => return,
            Err(_) => {
                doubted = false;
                controls.end_input();
                continue;
            }
        };
        note(moved, true);
        if has_terminal && let Some(size) = sizes.feed(bytes) {
            controls.resize(size);
        }
        if std::mem::take(&mut doubted) {
            controls.write(&[END_OF_TRANSMISSION]).await;
        }
        match bytes.split_last() {
            // A terminal knows by itself what that byte means.
            Some((&END_OF_TRANSMISSION, before)) if !has_terminal => {
                controls.write(before).await;
                doubted = true;
            }
            _ => controls.write(bytes).await,
        }
    }
}

fn note(moved: &Mutex<Instant>, something: bool) {
    if something {
        *moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }
}

/// Returns when no byte was passed for so long.
async fn idle(moved: &Mutex<Instant>, limit: Duration) {
    loop {
        let last = *moved.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= limit {
            return;
        }
        sleep_until(last + limit).await;
    }
}

/// Tells the dyno that nobody sits in front of it any more, again and again, and stops one that does not care.
async fn hang_up(host: &Host, dyno: &Dyno, controls: &Controls) {
    let (logs, name) = (&host.platform.logs, dyno.name());
    lines::client_gone(logs, dyno.app_id, &name);
    for _ in 0..HANGUPS {
        controls.signal(Signal::Hangup);
        tokio::select! {
            _ = controls.ended() => return,
            () = sleep(AGAIN) => {}
        }
    }
    lines::detached(logs, dyno.app_id, &name);
    stop(host, dyno).await;
}

async fn stop(host: &Host, dyno: &Dyno) {
    let (app, id, now) = (dyno.app_id, dyno.id, host.platform.clock.now());
    let asked = host
        .platform
        .store
        .write(move |connection| dynos::restart(connection, app, Which::One(id), now));
    if let Err(error) = asked.await {
        tracing::error!(%error, dyno = %dyno.id, "a dyno without its client could not be stopped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_that_does_not_read_is_gone_and_a_slow_one_is_not() {
        let (mut own, other) = tokio::io::duplex(4);
        let soon = Duration::from_millis(10);
        assert_eq!(send_unless_stalled(&mut own, b"12345", soon).await, None);
        drop(other);
        let (mut own, mut other) = tokio::io::duplex(4);
        let reading = async move {
            let mut read = Vec::new();
            other.read_to_end(&mut read).await.map(|_| read)
        };
        let sending = async move { send_unless_stalled(&mut own, &[b'x'; 1_000], STALLED).await };
        let (sent, read) = tokio::join!(sending, reading);
        let read = read.ok().map(|read| read.len());
        assert_eq!((sent, read), (Some(()), Some(1_000)));
    }
}
