//! The receiving half of a connection.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::tcp::OwnedReadHalf;

use crate::spare::Spares;

/// Bytes asked for by a read. More only while the other side fills them, as it does with a large body.
const READ: usize = 8 * 1024;
const MAX_READ: usize = 128 * 1024;
/// What is shorter is moved into memory of its size while it waits for its rest.
const LONG: usize = 1024;

/// What was read from a socket and belongs to nobody yet.
#[derive(Debug)]
pub struct Buffer {
    bytes: BytesMut,
    read_size: usize,
}

/// A socket to read from, and what was read from it.
#[derive(Debug)]
pub struct Receiver {
    reader: OwnedReadHalf,
    buffer: Buffer,
}

impl Default for Buffer {
    fn default() -> Self {
        Self { bytes: BytesMut::new(), read_size: READ }
    }
}

impl Buffer {
    /// What was read. What is taken has to be taken off the front.
    pub fn bytes(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// Receives some bytes; 0 at the end. The buffer grows while it is filled.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_receive(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        // From the front, if nobody has any more what was there: then little of the memory is used, and that is warm.
        if self.bytes.is_empty() {
            let _ = self.bytes.try_reclaim(self.read_size);
        }
        if self.bytes.capacity() - self.bytes.len() < READ / 2 {
            self.bytes.reserve(self.read_size);
        }
        let room = self.bytes.capacity() - self.bytes.len();
        let count = ready!(pin!(reader.read_buf(&mut self.bytes)).poll(cx))?;
        if count == room {
            self.read_size = MAX_READ.min(self.read_size * 2);
        } else if count < self.read_size / 4 {
            self.read_size = READ.max(self.read_size / 2);
        }
        Poll::Ready(Ok(count))
    }

    /// Gives the memory back that large content took, and all of it if `wholly`.
    pub fn rest(&mut self, wholly: bool) {
        if self.bytes.is_empty() && (wholly || self.read_size > READ || self.bytes.capacity() > READ) {
            self.bytes = BytesMut::new();
        }
    }

    /// Takes a buffer of `spares` if there is none here, for what [`Self::leave`] has left and what comes.
    fn come(&mut self, spares: &Spares<BytesMut>) {
        if self.bytes.len() < LONG && self.bytes.capacity() == self.bytes.len() {
            let mut spare = spares.take();
            spare.extend_from_slice(&self.bytes);
            self.bytes = spare;
        }
    }

    /// Nothing comes at the moment: what there is gets as much memory as it needs, and the rest is for others. Something long keeps its
    /// buffer, or it would be copied with each byte that comes.
    fn leave(&mut self, spares: &Spares<BytesMut>) {
        if self.bytes.len() >= LONG {
            return;
        }
        let part = BytesMut::from(&*self.bytes);
        let mut spare = std::mem::replace(&mut self.bytes, part);
        if (READ / 2..=2 * READ).contains(&spare.capacity()) && self.read_size == READ {
            spare.clear();
            spares.give_back(spare);
        }
        self.read_size = READ;
    }

    /// The bytes, and no memory if there are none.
    #[must_use]
    pub fn into_bytes(self) -> BytesMut {
        if self.bytes.is_empty() { BytesMut::new() } else { self.bytes }
    }
}

impl Receiver {
    /// A socket from which nothing has been read.
    #[must_use]
    pub fn new(reader: OwnedReadHalf) -> Self {
        Self { reader, buffer: Buffer::default() }
    }

    /// What was read and belongs to nobody yet. What is taken has to be taken off the front.
    pub fn bytes(&mut self) -> &mut BytesMut {
        self.buffer.bytes()
    }

    /// Receives some bytes into a buffer of its own; 0 at the end.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.buffer.poll_receive(&mut self.reader, cx)
    }

    /// Receives some bytes into a buffer of `spares`, unless it has one of its own; 0 at the end. As long as nothing comes it has none.
    ///
    /// # Errors
    /// Those of the socket.
    pub fn poll_receive_by(
        &mut self,
        spares: &Spares<BytesMut>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.buffer.come(spares);
        let received = self.poll_receive(cx);
        if received.is_pending() {
            self.buffer.leave(spares);
        }
        received
    }

    /// Gives the memory back that large content took, and all of it if `wholly`.
    pub fn rest(&mut self, wholly: bool) {
        self.buffer.rest(wholly);
    }

    /// The socket, and what was read from it before.
    #[must_use]
    pub fn into_parts(self) -> (OwnedReadHalf, BytesMut) {
        (self.reader, self.buffer.into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::{BytesMut, READ, Receiver, Spares};

    /// Receives what is there, until nothing comes at the moment.
    async fn receive(receiver: &mut Receiver, spares: &Spares<BytesMut>, expected: usize) {
        poll_fn(|cx| {
            loop {
                match receiver.poll_receive_by(spares, cx) {
                    Poll::Ready(count) => assert_ne!(count.unwrap(), 0),
                    Poll::Pending if receiver.bytes().len() == expected => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }

    async fn connect() -> (Receiver, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Receiver::new(listener.accept().await.unwrap().0.into_split().0), stream)
    }

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    #[test]
    fn what_waits_has_no_more_memory_than_it_needs_and_the_next_one_gets_the_rest_empty() {
        block_on(async {
            let spares = Spares::default();
            let ((mut receiver, mut client), (mut other, mut other_client)) =
                (connect().await, connect().await);
            for (index, byte) in b"GET /secret HTTP/1.1".iter().enumerate() {
                client.write_all(&[*byte]).await.unwrap();
                receive(&mut receiver, &spares, index + 1).await;
                assert_eq!(receiver.bytes().capacity(), index + 1);
            }
            other_client.write_all(b"x").await.unwrap();
            receive(&mut other, &spares, 1).await;
            assert_eq!(
                (&receiver.bytes()[..], &other.bytes()[..]),
                (&b"GET /secret HTTP/1.1"[..], &b"x"[..])
            );
            let spare = spares.take();
            assert!(spare.is_empty() && (READ / 2..=2 * READ).contains(&spare.capacity()));
            assert_eq!(spares.take().capacity(), 0, "one buffer was enough for all of that");
            receiver.bytes().clear();
            receive(&mut receiver, &spares, 0).await;
            assert_eq!(receiver.bytes().capacity(), 0);
        });
    }

    #[test]
    fn memory_of_large_content_is_not_kept_for_others() {
        block_on(async {
            let spares = Spares::default();
            let (mut receiver, mut client) = connect().await;
            let sent = tokio::spawn(async move {
                client.write_all(&vec![0; 64 * READ]).await.unwrap();
                client
            });
            receive(&mut receiver, &spares, 64 * READ).await;
            receiver.bytes().clear();
            receive(&mut receiver, &spares, 0).await;
            assert_eq!((receiver.bytes().capacity(), spares.take().capacity()), (0, 0));
            drop(sent.await);
        });
    }
}
