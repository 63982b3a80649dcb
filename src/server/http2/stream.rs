//! One stream: a request that is being answered (RFC 9113 §5.1).

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::Body;

use super::content::Content;
use super::frame::{Code, MAX_PAYLOAD};
use super::output::Output;
use crate::body::BodyError;
use crate::gateway::Tracked;
use crate::interim::Interim;
use crate::message::Response;
use crate::server::worker::Context;

/// A stream that is open, or half-closed by the client.
pub(super) struct Stream {
    pub(super) id: u32,
    /// Data that the client takes on this stream. Below zero when it has closed its window by its settings (RFC 9113 §6.9.2).
    pub(super) window: i64,
    /// Data that the client may send.
    pub(super) may_send: u32,
    /// Data that were read, and that the client was not told that it may send again.
    pub(super) owed: u32,
    /// The content of the request; `None` if there is none.
    pub(super) content: Option<Content>,
    /// Whether the client has ended the stream.
    pub(super) is_half_closed: bool,
    /// Whether the content has another length than the head has said.
    pub(super) is_malformed: bool,
    /// When it began, in [`Context::ticks`].
    pub(super) began: u32,
    /// Whether it is among those that wait for the window of the connection.
    pub(super) is_starved: bool,
    is_head: bool,
    step: Step,
}

enum Step {
    Handling(Handling),
    Sending(Sending),
}

/// The path of a request, which ends with its response.
type Handling = Pin<Box<dyn Future<Output = Response<Tracked>> + Send>>;

struct Sending {
    body: Tracked,
    /// What the body has given, and the windows have not let through.
    rest: Bytes,
}

/// What a stream that was polled waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// To be woken.
    Waker,
    /// For the window of the connection.
    Window,
    /// For room in the output.
    Room,
    /// For nothing: all of the response is in the output.
    Ended,
}

impl Stream {
    /// A request that is about to be handled. `is_head` is whether it is HEAD, whose response has no content (RFC 9110 §9.3.2).
    pub(super) fn new(
        id: u32,
        is_head: bool,
        handling: impl Future<Output = Response<Tracked>> + Send + 'static,
    ) -> Self {
        Self {
            id,
            window: 0,
            may_send: 0,
            owed: 0,
            content: None,
            is_half_closed: true,
            is_malformed: false,
            began: 0,
            is_starved: false,
            is_head,
            step: Step::Handling(Box::pin(handling)),
        }
    }

    /// Goes on as far as it can.
    ///
    /// # Errors
    /// What the stream has to be reset with.
    pub(super) fn poll(
        &mut self,
        cx: &mut TaskContext<'_>,
        (context, interim): (&Context, &Interim),
        output: &mut Output,
    ) -> Result<Waits, Code> {
        if let Step::Handling(handling) = &mut self.step {
            let handled = handling.as_mut().poll(cx);
            // All of them are of this stream: no other one was polled meanwhile, and what runs elsewhere has none.
            if interim.waits() {
                interim.take().iter().for_each(|(status, fields)| output.interim(self.id, *status, fields));
            }
            match handled {
                Poll::Pending => return Ok(Waits::Waker),
                Poll::Ready(response) => {
                    if let Some(content) = &self.content {
                        content.outlives_request(cx.waker());
                    }
                    let status = response.status;
                    let ends = self.is_head
                        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
                        || response.body.is_end_stream();
                    output.head(self.id, &response, ends, &context.date());
                    if ends {
                        return Ok(Waits::Ended);
                    }
                    self.step = Step::Sending(Sending { body: response.body, rest: Bytes::new() });
                }
            }
        }
        match &mut self.step {
            Step::Handling(_) => Ok(Waits::Waker),
            Step::Sending(sending) => sending.poll(cx, self.id, &mut self.window, output),
        }
    }
}

impl Sending {
    fn poll(
        &mut self,
        cx: &mut TaskContext<'_>,
        stream: u32,
        window: &mut i64,
        output: &mut Output,
    ) -> Result<Waits, Code> {
        // A client that takes nothing has kept us from asking the body, which would say that the caller may not have the rest.
        if !self.rest.is_empty() && self.body.has_lost_its_token() {
            return Err(Code::Cancel);
        }
        loop {
            if self.rest.is_empty() {
                let Poll::Ready(next) = Pin::new(&mut self.body).poll_frame(cx) else {
                    return Ok(Waits::Waker);
                };
                match next.transpose().map_err(|error| reset_by(&error))?.map(http_body::Frame::into_data) {
                    Some(Ok(data)) => self.rest = data,
                    end => {
                        let trailers = end.and_then(|frame| frame.err()?.into_trailers().ok());
                        output.end(stream, trailers.as_ref());
                        return Ok(Waits::Ended);
                    }
                }
            }
            let open = output.window.min(*window);
            let ends = self.body.is_end_stream();
            if open <= 0 && !self.rest.is_empty() {
                return Ok(if output.window <= 0 { Waits::Window } else { Waits::Waker });
            }
            if output.is_full() {
                return Ok(Waits::Room);
            }
            let length = self.rest.len().min(output.max_payload).min(MAX_PAYLOAD);
            let length = length.min(usize::try_from(open).unwrap_or(0));
            let data = self.rest.split_to(length);
            output.window -= length as i64;
            *window -= length as i64;
            let ends = ends && self.rest.is_empty();
            if ends || !data.is_empty() {
                output.data(stream, &data, ends);
            }
            if ends {
                return Ok(Waits::Ended);
            }
        }
    }
}

/// RFC 9113 §7: CANCEL is for a stream that is not wanted any more, here because its token has ended. gRPC reads it as `CANCELLED`.
fn reset_by(error: &BodyError) -> Code {
    match error {
        BodyError::TokenEnded(_) => Code::Cancel,
        _ => Code::InternalError,
    }
}
