//! A request on its way to a server: its head, and its body as it comes.
//!
//! The body can be held back until the server says `100 Continue` (RFC 9110 §10.1.1), so that a client that asks first is answered by
//! the one who knows.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;
use tokio::time::{Sleep, sleep};

use crate::body::{BodyError, RequestBody};
use crate::clock;

/// A server that does not answer the expectation within this time gets the body, as RFC 9110 §10.1.1 has it for clients.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pieces up to this size are copied behind what waits already, so that they leave by one system call with it. Longer ones are
/// written from where they are.
const SMALL: usize = 8 * 1024;

/// How the server learns where the body ends (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::proxy) enum Framing {
    /// There is none.
    Empty,
    /// So many bytes are still to come.
    Length(u64),
    /// The last chunk says.
    Chunked,
}

/// A request that is being sent.
pub(in crate::proxy) struct Upload {
    /// The head, and after it small pieces of the body.
    out: Vec<u8>,
    /// How much of `out` is sent.
    at: usize,
    /// A large piece of the body; goes after `out`.
    piece: Bytes,
    /// The end of the chunk that `piece` is; goes after it, and before anything else is put into `out`.
    tail: &'static [u8],
    framing: Framing,
    /// What has yet to come of it.
    body: Option<RequestBody>,
    hold: Hold,
    sent: u64,
    done_at: Option<Instant>,
}

enum Hold {
    Released,
    Held(Option<Pin<Box<Sleep>>>),
}

/// Why a request could not be sent.
#[derive(Debug)]
pub(in crate::proxy) enum UploadError {
    /// The client's body is at fault.
    Body(BodyError),
    /// The connection to the server is.
    Io(io::Error),
}

impl Upload {
    /// A request with this head. `expects` is whether the client waits for `100 Continue`.
    pub(in crate::proxy) fn new(head: Vec<u8>, framing: Framing, body: RequestBody, expects: bool) -> Self {
        let body = (framing != Framing::Empty).then_some(body);
        let hold = if expects && body.is_some() { Hold::Held(None) } else { Hold::Released };
        Self { out: head, at: 0, piece: Bytes::new(), tail: b"", framing, body, hold, sent: 0, done_at: None }
    }

    /// The server wants the body.
    pub(super) fn release(&mut self) {
        self.hold = Hold::Released;
    }

    /// Whether all of it is sent.
    pub(in crate::proxy) fn is_done(&self) -> bool {
        self.body.is_none() && self.is_flushed()
    }

    /// Whether all that came of it is sent, and more has to come.
    pub(super) fn awaits_client(&self) -> bool {
        self.body.is_some() && self.is_flushed()
    }

    /// When the end of the body was sent; `None` before that, and for a request without one.
    pub(super) fn done_at(&self) -> Option<Instant> {
        self.done_at
    }

    /// Bytes sent so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether not a byte of it has been sent.
    pub(in crate::proxy) fn is_untouched(&self) -> bool {
        self.sent == 0
    }

    /// Makes it ready to be sent over another connection, if all of it is still here.
    pub(in crate::proxy) fn rewind(&mut self) -> bool {
        let whole = self.sent == 0 || self.framing == Framing::Empty;
        if whole {
            (self.at, self.sent) = (0, 0);
        }
        whole
    }

    /// Sends as much as there is. Ready when all is sent.
    pub(in crate::proxy) fn poll_send<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<Result<(), UploadError>> {
        loop {
            let more = self.poll_body(cx)?;
            ready!(self.poll_flush(cx, writer)).map_err(UploadError::Io)?;
            if more.is_pending() {
                return Poll::Pending;
            }
            if self.body.is_none() {
                if self.framing != Framing::Empty {
                    self.done_at.get_or_insert_with(clock::monotonic);
                }
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn is_flushed(&self) -> bool {
        self.at == self.out.len() && self.piece.is_empty() && self.tail.is_empty()
    }

    fn poll_flush<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<io::Result<()>> {
        loop {
            let out = self.out.get(self.at..).unwrap_or_default();
            let written = match (out, &self.piece[..], self.tail) {
                ([], [], []) => return Poll::Ready(Ok(())),
                (only, [], []) | ([], only, []) | ([], [], only) => {
                    ready!(Pin::new(&mut *writer).poll_write(cx, only))?
                }
                (out, piece, tail) => {
                    let all = [IoSlice::new(out), IoSlice::new(piece), IoSlice::new(tail)];
                    ready!(Pin::new(&mut *writer).poll_write_vectored(cx, &all))?
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += written as u64;
            let of_out = written.min(out.len());
            let of_piece = (written - of_out).min(self.piece.len());
            self.at += of_out;
            self.piece.advance(of_piece);
            self.tail = self.tail.get(written - of_out - of_piece..).unwrap_or_default();
        }
    }

    /// Takes what there is of the body, up to one large piece. Pending if there is none at the moment.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        if self.body.is_none() {
            return Poll::Ready(Ok(()));
        }
        if let Hold::Held(patience) = &mut self.hold {
            let patience = patience.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
            ready!(patience.as_mut().poll(cx));
            self.release();
        }
        if self.is_flushed() {
            self.out.clear();
            self.at = 0;
        }
        while let Some(body) = &mut self.body
            && self.piece.is_empty()
            && self.tail.is_empty()
            && self.out.len() < SMALL
        {
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx)).transpose().map_err(UploadError::Body)?;
            let ends = frame.is_none() || body.is_end_stream();
            self.take(frame)?;
            if ends {
                self.finish(None)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, frame: Option<Frame<Bytes>>) -> Result<(), UploadError> {
        let Some(frame) = frame else { return Ok(()) };
        match frame.into_data() {
            Ok(data) => self.append(data),
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => self.finish(Some(&trailers)),
                Err(_) => Ok(()),
            },
        }
    }

    fn append(&mut self, data: Bytes) -> Result<(), UploadError> {
        match &mut self.framing {
            Framing::Empty => return Ok(()),
            Framing::Length(left) => {
                *left =
                    left.checked_sub(data.len() as u64).ok_or(UploadError::Body(BodyError::WrongLength))?;
            }
            // An empty chunk would be the last one.
            Framing::Chunked if data.is_empty() => return Ok(()),
            Framing::Chunked => write!(self.out, "{:x}\r\n", data.len()).map_err(UploadError::Io)?,
        }
        let tail: &'static [u8] = if self.framing == Framing::Chunked { b"\r\n" } else { b"" };
        if data.len() <= SMALL {
            self.out.extend_from_slice(&data);
            self.out.extend_from_slice(tail);
        } else {
            (self.piece, self.tail) = (data, tail);
        }
        Ok(())
    }

    /// The body is over.
    fn finish(&mut self, trailers: Option<&HeaderMap>) -> Result<(), UploadError> {
        match self.framing {
            // The end goes behind the large piece, in the next round.
            Framing::Chunked if !self.piece.is_empty() => return Ok(()),
            _ if self.body.take().is_none() => return Ok(()),
            Framing::Length(left) if left > 0 => return Err(UploadError::Body(BodyError::WrongLength)),
            Framing::Empty | Framing::Length(_) => return Ok(()),
            Framing::Chunked => {}
        }
        self.out.extend_from_slice(b"0\r\n");
        for (name, value) in trailers.into_iter().flatten() {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                self.out.extend_from_slice(part);
            }
        }
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }
}
