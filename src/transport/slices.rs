//! Writing what lies in several places to a plain socket.
//!
//! To the system one `send` costs less than a `writev`, whose list it has to take over and walk. What is short is copied together
//! for that: most heads, and most answers that fit behind one. It must not know what is written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

/// As many bytes cost less to copy than a list does.
const SHORT: usize = 1024;

/// As [`AsyncWrite::poll_write_vectored`].
pub(super) fn write(
    stream: Pin<&mut TcpStream>,
    context: &mut Context<'_>,
    slices: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if let [only] = slices {
        return stream.poll_write(context, only);
    }
    let length = slices.iter().map(|slice| slice.len()).sum();
    let mut short = [0; SHORT];
    let Some(together) = short.get_mut(..length) else {
        return stream.poll_write_vectored(context, slices);
    };
    let mut rest = &mut *together;
    for slice in slices {
        let (place, behind) = rest.split_at_mut(slice.len());
        place.copy_from_slice(slice);
        rest = behind;
    }
    stream.poll_write(context, together)
}
