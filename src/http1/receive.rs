//! The receiving half of a connection.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;

/// Bytes asked for by a read. More only while the other side fills them, as it does with a large body.
const READ: usize = 8 * 1024;
const MAX_READ: usize = 128 * 1024;

/// A socket to read from, and what was read from it and belongs to nobody yet.
#[derive(Debug)]
pub struct Receiver {
    reader: OwnedReadHalf,
    bytes: BytesMut,
    read_size: usize,
}

/// Where a worker reads what has no place of its own yet, so that a connection which waits has no buffer.
#[derive(Debug)]
pub struct Scratch(Mutex<Box<[u8]>>);

impl Default for Scratch {
    fn default() -> Self {
        Self(Mutex::new(vec![0; 16 * 1024].into_boxed_slice()))
    }
}

impl Receiver {
    /// A socket from which nothing has been read.
    #[must_use]
    pub fn new(reader: OwnedReadHalf) -> Self {
        Self { reader, bytes: BytesMut::new(), read_size: READ }
    }

    /// What was read and belongs to nobody yet. What is taken has to be taken off the front.
    pub fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Receives some bytes into a buffer of its own; 0 at the end. The buffer grows while it is filled.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.bytes.capacity() - self.bytes.len() < READ / 2 {
            self.bytes.reserve(self.read_size);
        }
        let room = self.bytes.capacity() - self.bytes.len();
        let count = ready!(pin!(self.reader.read_buf(&mut self.bytes)).poll(cx))?;
        if count == room {
            self.read_size = MAX_READ.min(self.read_size * 2);
        } else if count < self.read_size / 4 {
            self.read_size = READ.max(self.read_size / 2);
        }
        Poll::Ready(Ok(count))
    }

    /// Receives some bytes by way of `scratch`, and keeps no more memory than they need; 0 at the end.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_receive_by(&mut self, scratch: &Scratch, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut scratch = scratch.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = ReadBuf::new(&mut scratch);
        ready!(Pin::new(&mut self.reader).poll_read(cx, &mut buffer))?;
        // Of an empty buffer nothing is to be kept, and 90 instructions less make a new one.
        if self.bytes.is_empty() {
            self.bytes = buffer.filled().into();
        } else {
            self.bytes.extend_from_slice(buffer.filled());
        }
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Whether nothing has come that nobody asked for. Costs no system call as long as nothing has.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        let nothing = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.bytes.is_empty() && self.reader.try_read(&mut [0]).is_err_and(nothing)
    }

    /// Gives the memory back that large content took, and all of it if `wholly`.
    pub fn rest(&mut self, wholly: bool) {
        if self.bytes.is_empty() && (wholly || self.read_size > READ || self.bytes.capacity() > READ) {
            self.bytes = BytesMut::new();
        }
    }

    /// The socket, and what was read from it before.
    #[must_use]
    pub fn into_parts(self) -> (OwnedReadHalf, BytesMut) {
        (self.reader, self.bytes)
    }
}
