//! A message on its way: its head, and its body as it comes.

use std::io::{self, IoSlice, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::io::AsyncWrite;

use crate::body::BodyError;
use crate::message::write_field;

/// Pieces up to this size are copied behind what waits already, so that they leave by one system call with it. Longer ones are
/// written from where they are.
const SMALL: usize = 8 * 1024;

/// How the receiver learns where the body ends (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    Empty,
    /// So many bytes are still to come.
    Length(u64),
    /// The last chunk says.
    Chunked,
    /// The end of the connection says.
    UntilClose,
}

/// A message that is being sent.
#[derive(Debug)]
pub struct Sender<B> {
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
    body: Option<B>,
    trailers: Trailers,
    sent: u64,
}

/// What becomes of trailer fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailers {
    /// They are sent.
    Sent,
    /// The receiver has not said that it takes them (RFC 9110 §6.5.1).
    Dropped,
}

/// Why a message could not be sent.
#[derive(Debug)]
pub enum SendError {
    /// Its body is at fault.
    Body(BodyError),
    /// The connection is.
    Io(io::Error),
}

impl<B: Body<Data = Bytes, Error = BodyError> + Unpin> Sender<B> {
    /// A message with this head.
    #[must_use]
    pub fn new(head: Vec<u8>, framing: Framing, body: B, trailers: Trailers) -> Self {
        let body = (framing != Framing::Empty).then_some(body);
        Self { out: head, at: 0, piece: Bytes::new(), tail: b"", framing, body, trailers, sent: 0 }
    }

    /// How its end is marked.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether all of it is sent.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.body.is_none() && self.is_flushed()
    }

    /// Whether all that came of its body is sent, and more has to come.
    #[must_use]
    pub fn awaits_body(&self) -> bool {
        self.body.is_some() && self.is_flushed()
    }

    /// What has yet to come of its body.
    #[must_use]
    pub fn body(&self) -> Option<&B> {
        self.body.as_ref()
    }

    /// Bytes sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Makes it ready to be sent over another connection, if all of it is still here.
    pub fn rewind(&mut self) -> bool {
        let whole = self.sent == 0 || self.framing == Framing::Empty;
        if whole {
            (self.at, self.sent) = (0, 0);
        }
        whole
    }

    /// The memory that the head was in.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.out
    }

    /// Sends as much as there is. Ready when all is sent.
    ///
    /// # Errors
    /// [`SendError`]; for one of the body, [`Self::poll_flush`] can still send what came before it.
    pub fn poll_send<W: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        writer: &mut W,
    ) -> Poll<Result<(), SendError>> {
        loop {
            let more = self.poll_body(cx)?;
            ready!(self.poll_flush(cx, writer)).map_err(SendError::Io)?;
            if more.is_pending() {
                return Poll::Pending;
            }
            if self.body.is_none() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Whether all is sent of what is here.
    #[must_use]
    pub fn is_flushed(&self) -> bool {
        self.at == self.out.len() && self.piece.is_empty() && self.tail.is_empty()
    }

    /// Sends what is here, without asking the body for more.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn poll_flush<W: AsyncWrite + Unpin>(
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
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        if self.body.is_none() {
            return Poll::Ready(Ok(()));
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
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx)).transpose().map_err(SendError::Body)?;
            let ends = frame.is_none() || body.is_end_stream();
            self.take(frame)?;
            if ends {
                self.finish(None)?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, frame: Option<Frame<Bytes>>) -> Result<(), SendError> {
        let Some(frame) = frame else { return Ok(()) };
        match frame.into_data() {
            Ok(data) => self.append(data),
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => self.finish(Some(&trailers)),
                Err(_) => Ok(()),
            },
        }
    }

    fn append(&mut self, data: Bytes) -> Result<(), SendError> {
        match &mut self.framing {
            Framing::Empty => return Ok(()),
            Framing::UntilClose => {}
            Framing::Length(left) => {
                *left = left.checked_sub(data.len() as u64).ok_or(SendError::Body(BodyError::WrongLength))?;
            }
            // An empty chunk would be the last one.
            Framing::Chunked if data.is_empty() => return Ok(()),
            Framing::Chunked => write!(self.out, "{:x}\r\n", data.len()).map_err(SendError::Io)?,
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
    fn finish(&mut self, trailers: Option<&HeaderMap>) -> Result<(), SendError> {
        match self.framing {
            // The end goes behind the large piece, in the next round.
            Framing::Chunked if !self.piece.is_empty() => return Ok(()),
            _ if self.body.take().is_none() => return Ok(()),
            Framing::Length(left) if left > 0 => return Err(SendError::Body(BodyError::WrongLength)),
            Framing::Empty | Framing::Length(_) | Framing::UntilClose => return Ok(()),
            Framing::Chunked => {}
        }
        self.out.extend_from_slice(b"0\r\n");
        let trailers = trailers.filter(|_| self.trailers == Trailers::Sent);
        for (name, value) in trailers.into_iter().flatten() {
            write_field(&mut self.out, name.as_str(), value.as_bytes());
        }
        self.out.extend_from_slice(b"\r\n");
        Ok(())
    }
}
