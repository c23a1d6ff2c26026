//! Answers that are sent bit by bit and will end, as those of logs and outputs need not: whoever stops the server waits for them.
//!
//! It must not know what is sent, nor how a server stops.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::{Error, HttpResponse};
use bytes::Bytes;

/// In an answer's extensions: it will end.
struct Ends;

/// Sends one thing, with another in hand.
struct Sending<T> {
    body: BoxBody,
    _held: T,
}

/// Says of a streamed answer that it will end.
pub(super) fn ends(mut answer: HttpResponse) -> HttpResponse {
    answer.extensions_mut().insert(Ends);
    answer
}

/// The answer, which holds on to this until it has been sent, if that may take a while and will end.
pub fn held<T: Unpin + 'static>(answer: HttpResponse, held: T) -> HttpResponse {
    if !answer.extensions().contains::<Ends>() {
        return answer;
    }
    answer.map_body(|_, body| BoxBody::new(Sending { body, _held: held }))
}

impl<T: Unpin> MessageBody for Sending<T> {
    type Error = Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        let polled = Pin::new(&mut self.body).poll_next(cx);
        polled.map_err(Error::from)
    }
}
