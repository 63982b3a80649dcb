//! A connection to a server, which carries one exchange at a time.

use std::future::poll_fn;
use std::io::{self, Cursor};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, Chain, Join};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Sleep;

use super::head::{self, Head, HeadError, Meaning};
use super::upload::Upload;
use crate::body::BodyError;
use crate::clock;
use crate::http1::{Buffer, SendError};
use crate::message::Fields;
use crate::observe::metrics::OpenToServer;

/// Interim responses before a final one. A server that sends more (SECURITY S4) will not come to an end.
const MAX_INTERIM: u32 = 64;

/// Bytes that the head of a request has room for at first.
pub(in crate::proxy) const HEAD: usize = 1024;

/// The memory of a longer head is not kept for the next one.
const MAX_HEAD: usize = 8 * HEAD;

/// A connection that carries an exchange: its socket, and what the exchange works with. Dropping it closes it.
#[derive(Debug)]
pub(in crate::proxy) struct Connection<S = TcpStream> {
    socket: Socket<S>,
    workspace: Box<Workspace>,
}

/// What is there of a connection that waits for an exchange.
#[derive(Debug)]
pub(in crate::proxy) struct Socket<S = TcpStream> {
    stream: S,
    address: SocketAddr,
    /// Counts it as long as it is open.
    open: Option<OpenToServer>,
}

/// What an exchange works with, on whatever connection.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Workspace {
    /// What the head of a request was written to.
    request: Vec<u8>,
    buffer: Buffer,
    head: head::Reader,
    fields: Fields,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What a connection is after `101 Switching Protocols`.
pub(in crate::proxy) struct Tunnelled {
    /// Bytes in both directions. What the server has sent behind its head comes first.
    pub(in crate::proxy) stream: Join<Chain<Cursor<BytesMut>, OwnedReadHalf>, OwnedWriteHalf>,
    _open: Option<OpenToServer>,
}

/// A request that got no response.
#[derive(Debug)]
pub(in crate::proxy) struct Failure {
    /// Why.
    pub(in crate::proxy) cause: Cause,
    /// Whether a byte of a response came.
    pub(in crate::proxy) answered: bool,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(in crate::proxy) enum Cause {
    #[error("the request body failed")]
    Body(#[source] BodyError),
    #[error("the connection broke: {0}")]
    Io(io::Error),
    #[error("it closed the connection without a response")]
    Closed,
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error("it sent more than {MAX_INTERIM} interim responses")]
    Interim,
    #[error("no response in time")]
    Timeout,
}

impl Workspace {
    /// Where to write the head of a request to.
    pub(in crate::proxy) fn take_head(&mut self) -> Vec<u8> {
        let mut head = std::mem::take(&mut self.request);
        head.clear();
        head.reserve(HEAD);
        head
    }
}

impl Socket {
    /// Takes a new connection over. `open` is dropped with it.
    pub(in crate::proxy) fn new(stream: TcpStream, open: Option<OpenToServer>) -> io::Result<Self> {
        let address = stream.peer_addr()?;
        Ok(Self { stream, address, open })
    }

    /// Whether it can carry a request. A server that has closed it cannot take one, and bytes that nobody asked for would be taken for
    /// the response to the next request. Costs no system call as long as nothing has come.
    pub(in crate::proxy) fn is_fit(&self) -> bool {
        let nothing = |error: io::Error| error.kind() == io::ErrorKind::WouldBlock;
        self.stream.try_read(&mut [0]).is_err_and(nothing)
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    /// What the server has sent behind the last head. What is taken has to be taken off the front.
    pub(in crate::proxy) fn bytes(&mut self) -> &mut BytesMut {
        self.workspace.buffer.bytes()
    }

    /// Receives some more of it; 0 at the end.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.workspace.buffer.poll_receive(&mut self.socket.stream, cx)
    }
}

impl Connection {
    /// Begins an exchange.
    pub(in crate::proxy) fn new(socket: Socket, workspace: Box<Workspace>) -> Self {
        Self { socket, workspace }
    }

    /// The server's end.
    pub(in crate::proxy) fn address(&self) -> SocketAddr {
        self.socket.address
    }

    /// The request is sent: the memory of its head can be used again.
    pub(in crate::proxy) fn keep_buffer(&mut self, upload: Upload) {
        let request = upload.into_buffer();
        if request.capacity() <= MAX_HEAD {
            self.workspace.request = request;
        }
    }

    /// Ends the exchange, and gives the memory back that a large response took. Returns its parts if the connection can carry another
    /// one; a server that has sent more than its response cannot be believed any more.
    pub(in crate::proxy) fn rest(mut self) -> Option<(Socket, Box<Workspace>)> {
        self.workspace.buffer.rest(false);
        self.bytes().is_empty().then_some((self.socket, self.workspace))
    }

    /// To read from and to write to it in different tasks.
    pub(super) fn split(self) -> (Connection<OwnedReadHalf>, OwnedWriteHalf) {
        let Socket { stream, address, open } = self.socket;
        let (stream, writer) = stream.into_split();
        (Connection { socket: Socket { stream, address, open }, workspace: self.workspace }, writer)
    }

    /// Sends a request and reads until the head of its final response, whose fields are in [`Self::fields`] then.
    pub(in crate::proxy) async fn exchange(
        &mut self,
        method: &Method,
        upload: &mut Upload,
        deadline: &mut Deadline,
        interim: &mut (dyn FnMut(StatusCode, Fields) + Send),
    ) -> Result<(Head, Meaning), Failure> {
        take_turns().await;
        let mut answered = false;
        let mut interims = 0;
        let result = poll_fn(|cx| {
            loop {
                // A server may answer and close before it has read everything: what it said counts, so the error is kept for later.
                let sending = upload.poll_send(cx, &mut self.socket.stream);
                if let Poll::Ready(Err(SendError::Body(error))) = sending {
                    return Poll::Ready(Err(Cause::Body(error)));
                }
                let Poll::Ready(head) = self.poll_head(cx, &mut answered) else {
                    ready!(self.poll_deadline(cx, upload, deadline));
                    return Poll::Ready(Err(Cause::Timeout));
                };
                let head = match (head, sending) {
                    (Err(Cause::Closed), Poll::Ready(Err(SendError::Io(error)))) => Err(Cause::Io(error)),
                    (head, _) => head,
                }?;
                if !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS {
                    return Poll::Ready(Ok(head));
                }
                interims += 1;
                if interims > MAX_INTERIM {
                    return Poll::Ready(Err(Cause::Interim));
                }
                if head.status == StatusCode::CONTINUE {
                    upload.release();
                }
                interim(head.status, std::mem::take(self.fields()));
            }
        });
        let head = result.await;
        let read = head.and_then(|head| Ok((head, head::meaning(head, method, self.fields())?)));
        read.map_err(|cause| Failure { cause, answered })
    }

    /// The header fields of the last head.
    pub(in crate::proxy) fn fields(&mut self) -> &mut Fields {
        &mut self.workspace.fields
    }

    fn poll_head(&mut self, cx: &mut Context<'_>, answered: &mut bool) -> Poll<Result<Head, Cause>> {
        loop {
            let Workspace { buffer, head, fields, .. } = &mut *self.workspace;
            let received = buffer.bytes();
            if !received.is_empty() {
                *answered = true;
                if let Some(head) = head.take(received, fields)? {
                    return Poll::Ready(Ok(head));
                }
            }
            match ready!(self.poll_receive(cx)) {
                Ok(0) => return Poll::Ready(Err(Cause::Closed)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(Cause::Io(error))),
            }
        }
    }

    /// Ready when the deadline has passed. The timer stays armed from one exchange to the next, and is set anew only when it goes off
    /// too early: arming it for every request costs some 600 instructions.
    fn poll_deadline(&mut self, cx: &mut Context<'_>, upload: &Upload, deadline: &mut Deadline) -> Poll<()> {
        loop {
            let at = tokio::time::Instant::from_std(deadline.at);
            let timer = self.workspace.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            if timer.deadline() > at {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
            let now = clock::monotonic();
            if now >= deadline.at && !deadline.move_on(upload) {
                return Poll::Ready(());
            }
            timer.as_mut().reset(tokio::time::Instant::from_std(deadline.at));
        }
    }

    /// The connection as a stream of bytes.
    pub(in crate::proxy) fn into_tunnel(self) -> Tunnelled {
        let (reader, writer) = self.socket.stream.into_split();
        let received = self.workspace.buffer.into_bytes();
        let stream = tokio::io::join(Cursor::new(received).chain(reader), writer);
        Tunnelled { stream, _open: self.socket.open }
    }
}

/// Lets the other tasks that are ready go first, once. So all requests that came with one look at the sockets are read before the
/// first of them is sent, and then they leave back to back: a server that sleeps is woken once for all of them. Sent one by one, each
/// wakes it anew, which took 0.7 to 1.1 of 21.8 µs of CPU time of a request with 64 connections over loopback.
async fn take_turns() {
    let mut waited = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Until when the server has to answer. The time runs from the end of the request; as long as its body comes, the server owes
/// us nothing.
#[derive(Debug)]
pub(in crate::proxy) struct Deadline {
    at: Instant,
    limit: Duration,
    sent: u64,
}

impl Deadline {
    pub(in crate::proxy) fn new(now: Instant, limit: Duration) -> Self {
        Self { at: now + limit, limit, sent: 0 }
    }

    /// The deadline has passed: sets a later one if the server has not had `limit` since the request moved. As long as we wait for the
    /// client to go on, the silence is the client's, and its body has a limit for that.
    fn move_on(&mut self, upload: &Upload) -> bool {
        let moved = upload.sent() != std::mem::replace(&mut self.sent, upload.sent());
        let next = match upload.done_at() {
            Some(done) => done + self.limit,
            None if upload.awaits_client() || moved && !upload.is_done() => self.at + self.limit,
            None => self.at,
        };
        next > std::mem::replace(&mut self.at, next)
    }
}
