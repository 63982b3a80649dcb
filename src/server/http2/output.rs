//! What goes to the client: frames, gathered into one system call for each time that the connection is polled. One call for each of
//! sixteen responses that are ready at the same moment would cost 5 µs more for each.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{HeaderMap, StatusCode, header};
use http_body::Body;
use tokio::io::AsyncWrite;

use super::frame::{self, Code, MAX_PAYLOAD};
use crate::gateway::Tracked;
use crate::hpack::Encoder;
use crate::inbound::REQUEST_ID;
use crate::message::{Fields, Response};

/// What may wait. A client that does not read stops its streams, and is not read from, when its socket and this are full.
const LIMIT: usize = 64 * 1024;
/// The windows that a client begins with (RFC 9113 §6.9.2).
pub(super) const FIRST_WINDOW: u32 = 65_535;

/// Frames on their way to the client, and what it takes.
pub(super) struct Output {
    pub(super) bytes: Vec<u8>,
    /// How much of `bytes` has gone.
    sent: usize,
    pub(super) encoder: Encoder,
    /// Data that the client takes on all streams together.
    pub(super) window: i64,
    /// The longest payload that the client takes.
    pub(super) max_payload: usize,
    /// Frames of data since somebody asked, and one more for each KiB of them.
    carried: u32,
}

impl Output {
    pub(super) fn new() -> Self {
        Self {
            bytes: Vec::new(),
            sent: 0,
            encoder: Encoder::new(),
            window: FIRST_WINDOW.into(),
            max_payload: MAX_PAYLOAD,
            carried: 0,
        }
    }

    /// Whether no more may wait.
    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() - self.sent >= LIMIT
    }

    pub(super) fn reset(&mut self, stream: u32, code: Code) {
        frame::write_reset(&mut self.bytes, stream, code);
    }

    pub(super) fn data(&mut self, stream: u32, data: &[u8], ends: bool) {
        // Some clients give the windows back for every 4 KiB that they read.
        self.carried = self.carried.saturating_add(1 + (data.len() >> 10) as u32);
        frame::write_data(&mut self.bytes, stream, data, ends);
    }

    /// How many frames of data were written since the last time; large ones count as several.
    pub(super) fn take_carried(&mut self) -> u32 {
        std::mem::take(&mut self.carried)
    }

    /// Sends all that waits. Pending when the client does not read.
    pub(super) fn poll_send<W: AsyncWrite + Unpin>(
        &mut self,
        writer: &mut W,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *writer).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                count => self.sent += count,
            }
        }
        self.bytes.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    /// Writes the head of a response. `ends` is whether nothing follows it.
    pub(super) fn head(&mut self, stream: u32, response: &Response<Tracked>, ends: bool, date: &[u8]) {
        let encoder = &mut self.encoder;
        frame::write_block(&mut self.bytes, stream, ends, self.max_payload, |out| {
            encoder.begin(out);
            encoder.status(response.status, out);
            write_fields(encoder, out, response, ends, date);
        });
    }

    /// Writes an interim response (RFC 9110 §15.2).
    pub(super) fn interim(&mut self, stream: u32, status: StatusCode, fields: &Fields) {
        let encoder = &mut self.encoder;
        frame::write_block(&mut self.bytes, stream, false, self.max_payload, |out| {
            encoder.begin(out);
            encoder.status(status, out);
            fields.iter().for_each(|(name, value)| encoder.field(name, value, out));
        });
    }

    /// Ends a stream, with a trailer section if that says anything: often none of it may pass, and some clients want no empty one.
    pub(super) fn end(&mut self, stream: u32, trailers: Option<&HeaderMap>) {
        let Some(trailers) = trailers.filter(|trailers| !trailers.is_empty()) else {
            return self.data(stream, b"", true);
        };
        let encoder = &mut self.encoder;
        frame::write_block(&mut self.bytes, stream, true, self.max_payload, |out| {
            encoder.begin(out);
            for (name, value) in trailers {
                encoder.field(name, value, out);
            }
        });
    }
}

fn write_fields(
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
    response: &Response<Tracked>,
    ends: bool,
    date: &[u8],
) {
    let id = response.body.request_id();
    let length = response.body.size_hint().exact();
    // Where no content is sent, its length is that of another response (RFC 9110 §8.6).
    let says_length = ends && response.status != StatusCode::NO_CONTENT;
    let (mut dated, mut measured) = (false, false);
    for (name, value) in response.fields.iter() {
        // RFC 9113 §8.2.2.
        let is_of_http1 =
            *name == header::CONNECTION || *name == header::TRANSFER_ENCODING || *name == header::UPGRADE;
        let is_known_better =
            *name == header::CONTENT_LENGTH && !says_length || *name == REQUEST_ID && id.is_some();
        if is_of_http1 || is_known_better {
            continue;
        }
        dated |= *name == header::DATE;
        measured |= *name == header::CONTENT_LENGTH;
        encoder.field(name, value, out);
    }
    if let Some(length) = length.filter(|&length| !measured && (!ends || says_length && length > 0)) {
        encoder.unindexed(&header::CONTENT_LENGTH, itoa::Buffer::new().format(length).as_bytes(), out);
    }
    if let Some(id) = id {
        encoder.unindexed(&REQUEST_ID, id.as_bytes(), out);
    }
    if !dated {
        encoder.unindexed(&header::DATE, date, out);
    }
}
