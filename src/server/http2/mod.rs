//! HTTP/2 with a client, with prior knowledge (RFC 9113 §3.3).
//!
//! One task serves one connection and all of its streams. Each time that it is polled it reads what has come, lets those streams go on
//! that were woken, and sends what they have written with one system call. `receive` is what becomes of the client's frames.

mod content;
mod flood;
mod frame;
mod head;
mod leave;
mod output;
mod ready;
mod receive;
mod stream;
mod streams;
mod windows;

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};

use bytes::Buf;
use tokio::net::tcp::OwnedWriteHalf;

use self::flood::Flood;
use self::frame::Code;
use self::leave::{Leaving, Sending};
use self::output::{FIRST_WINDOW, Output};
use self::receive::Block;
use self::stream::Waits;
use self::streams::Streams;
use self::windows::{CONNECTION_WINDOW, STREAM_WINDOW};
use super::PREFACE;
use super::outlet::Outlet;
use super::watch::{Command, Watch};
use super::worker::Context;
use crate::clock;
use crate::gateway::Connection;
use crate::hpack::{Decoder, TABLE_SIZE};
use crate::http1::Receiver;

/// Reads for each time that the connection is polled, so that others have their turn.
const MAX_READS: usize = 4;
/// Streams of those that were ended early that are remembered.
const MAX_CUT_SHORT: usize = 128;
/// Serves streams until the connection ends.
pub(super) async fn serve(
    receiver: Receiver,
    writer: OwnedWriteHalf,
    connection: &Arc<Connection>,
    watch: &Watch,
    context: &Context,
) -> io::Result<()> {
    watch.over(pin!(Client::new(receiver, writer, connection, watch, context).serve())).await
}

/// A client connection.
struct Client<'a> {
    receiver: Receiver,
    outlet: Outlet<'a>,
    output: Output,
    decoder: Decoder,
    /// The header block that has begun and not ended.
    block: Option<Block>,
    streams: Streams,
    /// Streams that wait for the window of the connection.
    starved: VecDeque<usize>,
    /// The window with which the client wants its streams to begin.
    first_window: u32,
    /// Content that the client may send on all streams together, and what was read of it since it was told.
    may_send: u32,
    owed: u32,
    /// The last stream of the client that means something.
    last_stream: u32,
    /// Streams that we have ended before the client did. It cannot know at once, and may still send trailers.
    cut_short: VecDeque<u32>,
    is_set: bool,
    leaving: Leaving,
    flood: Flood,
    limits: Limits,
    connection: &'a Arc<Connection>,
    watch: &'a Watch,
    context: &'a Context,
}

/// Those of the configuration when the connection came.
struct Limits {
    streams: usize,
    list: usize,
    target: usize,
}

/// Why a connection ends before its time.
enum Fault {
    Io(io::Error),
    Client(Code),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Code> for Fault {
    fn from(code: Code) -> Self {
        Self::Client(code)
    }
}

impl<'a> Client<'a> {
    fn new(
        receiver: Receiver,
        writer: OwnedWriteHalf,
        connection: &'a Arc<Connection>,
        watch: &'a Watch,
        context: &'a Context,
    ) -> Self {
        let view = context.worker().view();
        let server = &view.snapshot.config.server;
        Self {
            receiver,
            outlet: Outlet::new(writer, watch),
            output: Output::new(),
            decoder: Decoder::new(TABLE_SIZE),
            block: None,
            streams: Streams::default(),
            starved: VecDeque::new(),
            first_window: FIRST_WINDOW,
            may_send: CONNECTION_WINDOW,
            owed: 0,
            last_stream: 0,
            cut_short: VecDeque::new(),
            is_set: false,
            leaving: Leaving::No,
            flood: Flood::new(clock::monotonic()),
            limits: Limits {
                streams: server.max_streams as usize,
                list: server.max_header_size,
                target: server.max_uri_size,
            },
            connection,
            watch,
            context,
        }
    }

    async fn serve(mut self) -> io::Result<()> {
        self.receiver.bytes().advance(PREFACE.len());
        self.open();
        let ended = poll_fn(|cx| self.poll(cx)).await;
        // Those that it has in flight are over now, and say so in their records.
        self.streams = Streams::default();
        match ended {
            Ok(()) => self.close(Sending::Maybe).await,
            Err(Fault::Client(code)) => {
                frame::write_go_away(&mut self.output.bytes, self.last_stream, code);
                self.close(Sending::Yes).await?;
                Err(io::Error::other(code))
            }
            Err(Fault::Io(error)) => Err(error),
        }
    }

    /// Says what we take (RFC 9113 §3.4).
    fn open(&mut self) {
        let out = &mut self.output.bytes;
        let list = u32::try_from(self.limits.list).unwrap_or(u32::MAX);
        frame::write_settings(out, self.limits.streams as u32, STREAM_WINDOW, list);
        frame::write_window_update(out, 0, CONNECTION_WINDOW - FIRST_WINDOW);
    }

    /// Ready when the connection is over.
    fn poll(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), Fault>> {
        self.streams.ready().wake_up();
        if self.output.bytes.is_empty() {
            self.output.bytes = self.context.take_spare();
        }
        if self.watch.command() == Command::Drain {
            self.announce_end();
        }
        // A client that takes nothing is not read from: all that it sends could make more of it.
        ready!(self.poll_send(cx))?;
        let reading = self.poll_read(cx)?;
        self.poll_streams();
        self.give_windows();
        ready!(self.poll_send(cx))?;
        if reading == Reading::Ended || self.leaving == Leaving::Decided && self.streams.is_empty() {
            return Poll::Ready(Ok(()));
        }
        // After the streams: what came while the last one was open begins to count when that has ended.
        let is_unfinished = !self.receiver.bytes().is_empty() || self.block.is_some();
        self.watch.has_begun(is_unfinished || !self.is_set);
        self.rest();
        if !self.streams.ready().sleep(cx.waker()) || reading == Reading::More {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    fn poll_send(&mut self, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        self.output.poll_send(&mut self.outlet, cx)
    }

    /// Reads what has come.
    fn poll_read(&mut self, cx: &mut TaskContext<'_>) -> Result<Reading, Fault> {
        // What came along with the preface.
        self.take_frames()?;
        for _ in 0..MAX_READS {
            if self.output.is_full() {
                return Ok(Reading::More);
            }
            // A frame that is not whole is one of content, more often than not.
            let read = if self.receiver.bytes().is_empty() {
                self.receiver.poll_receive_by(self.context.buffers(), cx)
            } else {
                self.receiver.poll_receive(cx)
            };
            match read? {
                Poll::Pending => return Ok(Reading::Waits),
                Poll::Ready(0) => return Ok(Reading::Ended),
                Poll::Ready(_) => self.take_frames()?,
            }
        }
        Ok(Reading::More)
    }

    /// Lets those streams go on that were woken, each once.
    fn poll_streams(&mut self) {
        let mut turns = self.streams.ready().len();
        while turns > 0 && !self.output.is_full() {
            let Some(key) = self.streams.next_ready() else { return };
            self.poll_stream(key);
            turns = turns - 1 + usize::from(self.feed());
        }
    }

    fn poll_stream(&mut self, key: usize) {
        let Some((stream, waker)) = self.streams.get_with_waker(key) else { return };
        let mut cx = TaskContext::from_waker(waker);
        match stream.poll(&mut cx, (self.context, self.connection.interim()), &mut self.output) {
            Ok(waits @ (Waits::Waker | Waits::Room | Waits::Window)) => {
                self.give_window(key);
                match waits {
                    Waits::Room => self.streams.wake(key),
                    Waits::Window => self.starve(key),
                    Waits::Waker | Waits::Ended => {}
                }
            }
            Ok(Waits::Ended) => {
                if !stream.is_malformed {
                    self.flood.answered();
                }
                // RFC 9113 §8.1: what the client still sends of its content is not wanted.
                let code = if stream.is_malformed { Code::ProtocolError } else { Code::NoError };
                let code = (!stream.is_half_closed || stream.is_malformed).then_some(code);
                self.end_stream(key, code);
            }
            Err(code) => self.end_stream(key, Some(code)),
        }
    }

    /// Takes a stream out, and resets it if there is a code for that.
    fn end_stream(&mut self, key: usize, code: Option<Code>) {
        let Some(mut stream) = self.streams.remove(key) else { return };
        if let Some(code) = code {
            self.reset(stream.id, code);
        }
        if stream.is_starved {
            self.starved.retain(|starved| *starved != key);
        }
        let content = stream.content.take();
        // First who reads it.
        drop(stream);
        self.owed += content.map_or(0, content::Content::into_owed) as u32;
    }

    fn reset(&mut self, stream: u32, code: Code) {
        self.output.reset(stream, code);
        self.cut_short.truncate(MAX_CUT_SHORT - 1);
        self.cut_short.push_front(stream);
    }

    /// Gives memory back that is not needed until something comes.
    fn rest(&mut self) {
        self.receiver.rest(self.streams.is_empty());
        self.streams.rest();
        self.context.give_spare(std::mem::take(&mut self.output.bytes));
    }
}

/// What there is to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Nothing at the moment.
    Waits,
    /// More, after the others had their turn.
    More,
    /// Nothing any more.
    Ended,
}
