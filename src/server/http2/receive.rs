//! What becomes of the frames of a client.

use std::future::ready;
use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use http::Version;

use super::content::{self, Content};
use super::frame::{self, Code, Frame, Setting};
use super::head::{HeadLines, Received, TrailerLines};
use super::leave::{LEAVE, Leaving};
use super::stream::Stream;
use super::windows::STREAM_WINDOW;
use super::{Client, Fault};
use crate::clock;
use crate::gateway;
use crate::hpack::{Extent, Name};
use crate::reject::Reject;

/// A header block may be so many times as long as what it may say. Most clients make it shorter, and a request that says too much is
/// answered as such if its block is within this.
const MAX_BLOCK: usize = 2;

/// A header block that goes on in the next frame (RFC 9113 §4.3).
pub(super) struct Block {
    stream: u32,
    ends_stream: bool,
    bytes: Vec<u8>,
}

impl Client<'_> {
    /// Acts on all frames that are here.
    pub(super) fn take_frames(&mut self) -> Result<(), Fault> {
        if self.receiver.bytes().is_empty() {
            return Ok(());
        }
        let mut received = std::mem::take(self.receiver.bytes());
        let result = self.take_from(&mut received);
        *self.receiver.bytes() = received;
        Ok(result?)
    }

    fn take_from(&mut self, received: &mut BytesMut) -> Result<(), Code> {
        while let Some((length, frame)) = frame::read(received)? {
            if !self.is_set && !matches!(frame, Frame::Settings(_)) {
                return Err(Code::ProtocolError);
            }
            if self.block.is_some() && !matches!(frame, Frame::Continuation { .. }) {
                return Err(Code::ProtocolError);
            }
            if let Frame::Data { stream, at, size, ends } = frame {
                let data = data(received, length, at);
                self.take_data(stream, data, size, ends)?;
            } else {
                self.take_frame(&frame)?;
                received.advance(length);
            }
        }
        Ok(())
    }

    fn take_frame(&mut self, frame: &Frame<'_>) -> Result<(), Code> {
        match *frame {
            Frame::Headers { stream, block, ends_stream, ends_block: true } => {
                self.take_block(stream, block, ends_stream)
            }
            Frame::Headers { stream, block, ends_stream, ends_block: false } => {
                self.block = Some(Block { stream, ends_stream, bytes: block.to_vec() });
                self.count_idle_frame()
            }
            Frame::Continuation { stream, block, ends_block } => {
                self.continue_block(stream, block, ends_block)
            }
            Frame::Reset { stream } => self.take_reset(stream),
            Frame::Settings(payload) => self.take_settings(payload),
            Frame::Ping(payload) => {
                frame::write_ping(&mut self.output.bytes, payload, true);
                self.count_idle_frame()
            }
            Frame::PingAck(payload) => {
                if payload == LEAVE {
                    self.decide_end();
                }
                self.count_idle_frame()
            }
            Frame::GoAway => {
                // It begins no more streams. If one is on its way, it has to know that nobody will serve it.
                self.announce_no_more();
                self.count_idle_frame()
            }
            Frame::WindowUpdate { stream: 0, increment } => self.widen_connection(increment),
            Frame::WindowUpdate { stream, increment } => self.widen(stream, increment),
            Frame::SettingsAck | Frame::Ignored | Frame::Data { .. } => self.count_idle_frame(),
        }
    }

    pub(super) fn count_idle_frame(&mut self) -> Result<(), Code> {
        self.flood.carried(self.output.take_carried());
        self.flood.idle_frame(clock::monotonic)
    }

    fn continue_block(&mut self, stream: u32, more: &[u8], ends_block: bool) -> Result<(), Code> {
        let mut block =
            self.block.take().filter(|block| block.stream == stream).ok_or(Code::ProtocolError)?;
        if block.bytes.len() + more.len() > MAX_BLOCK * self.limits.list {
            return Err(Code::EnhanceYourCalm);
        }
        block.bytes.extend_from_slice(more);
        if ends_block {
            return self.take_block(stream, &block.bytes, block.ends_stream);
        }
        self.block = Some(block);
        self.count_idle_frame()
    }

    /// A whole header block: a request, or the trailer section of one.
    fn take_block(&mut self, id: u32, block: &[u8], ends: bool) -> Result<(), Code> {
        if let Some(key) = self.streams.find(id) {
            return self.take_trailers(key, block, ends);
        }
        if id.is_multiple_of(2) {
            return Err(Code::ProtocolError);
        }
        if id <= self.last_stream {
            self.decode(block, |_, _| {})?;
            // RFC 9113 §5.1: but for trailers that cross our reset on their way.
            return if self.cut_short.contains(&id) {
                self.count_idle_frame()
            } else {
                Err(Code::StreamClosed)
            };
        }
        let mut lines = HeadLines::new(self.limits.target);
        let extent = self.decode(block, |name, value| lines.take(name, value))?;
        if self.leaving == Leaving::Decided {
            // RFC 9113 §6.8: the client knows that it has to ask elsewhere.
            return self.count_idle_frame();
        }
        self.last_stream = id;
        if self.streams.len() >= self.limits.streams {
            self.reset(id, Code::RefusedStream);
            return self.count_idle_frame();
        }
        self.flood.carried(1);
        let is_head = lines.is_head();
        let received = match extent {
            Extent::Whole => lines.finish(),
            Extent::TooLarge => Err(Reject::HeadTooLarge { limit: self.limits.list }),
        };
        let received = received.and_then(|received| match received.length {
            Some(1..) if ends => Err(Reject::BadRequest("Content-Length speaks of content, and none came")),
            _ => Ok(received),
        });
        self.begin(id, received, is_head, ends);
        Ok(())
    }

    fn decode(&mut self, block: &[u8], take: impl FnMut(Name, Bytes)) -> Result<Extent, Code> {
        let extent = self.decoder.decode(block, self.limits.list, take);
        extent.map_err(|error| {
            tracing::debug!(client.addr = %self.connection.peer(), error = %error, "a header block is malformed");
            Code::CompressionError
        })
    }

    fn begin(&mut self, id: u32, received: Result<Received, Reject>, is_head: bool, ends: bool) {
        let (length, expects) = received.as_ref().map_or((None, false), |it| (it.length, it.expects));
        let (content, body) = (!ends).then(|| Content::new(length, expects, self.connection)).unzip();
        let (worker, connection) = (self.context.worker(), self.connection);
        let mut stream = match received {
            Ok(Received { head, .. }) => {
                let (worker, connection) = (worker.clone(), connection.clone());
                let handling = async move { gateway::handle(&worker, &connection, head, body).await };
                Stream::new(id, is_head, handling)
            }
            // What comes of its content is read by nobody.
            Err(reject) => {
                Stream::new(id, is_head, ready(gateway::refuse(worker, connection, Version::HTTP_2, reject)))
            }
        };
        (stream.content, stream.is_half_closed) = (content, ends);
        stream.began = self.context.ticks();
        (stream.window, stream.may_send) = (self.first_window.into(), STREAM_WINDOW);
        self.streams.insert(stream);
    }

    fn take_trailers(&mut self, key: usize, block: &[u8], ends: bool) -> Result<(), Code> {
        let mut lines = TrailerLines::new();
        let extent = self.decode(block, |name, value| lines.take(name, value))?;
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        if stream.is_half_closed {
            return self.spoil(key, Code::StreamClosed);
        }
        // RFC 9113 §8.1: behind them there is nothing.
        let trailers = lines.finish().filter(|_| ends && extent == Extent::Whole);
        stream.is_half_closed = true;
        let is_whole =
            trailers.zip(stream.content.as_ref()).is_some_and(|(it, content)| content.end(Some(it)));
        if is_whole { Ok(()) } else { self.spoil_content(key) }
    }

    fn take_data(&mut self, id: u32, data: Bytes, size: u32, ends: bool) -> Result<(), Code> {
        self.may_send = self.may_send.checked_sub(size).ok_or(Code::FlowControlError)?;
        let Some(key) = self.streams.find(id) else {
            self.check_is_known(id)?;
            self.owed += size;
            // What is on its way when we end a stream is no fault of the client: half a window can be thousands of messages.
            let is_late = !data.is_empty() && self.cut_short.contains(&id);
            return if is_late { Ok(()) } else { self.count_idle_frame() };
        };
        if data.is_empty() && !ends {
            self.count_idle_frame()?;
        } else {
            self.flood.carried(1);
        }
        let Some(stream) = self.streams.get_mut(key) else { return Ok(()) };
        let fault = match stream.may_send.checked_sub(size) {
            _ if stream.is_half_closed => Code::StreamClosed,
            None => Code::FlowControlError,
            Some(left) => {
                stream.may_send = left;
                // The padding is read already.
                let padding = size - data.len() as u32;
                (stream.owed, self.owed) = (stream.owed + padding, self.owed + padding);
                stream.is_half_closed = ends;
                let fits = stream.content.as_ref().is_some_and(|it| it.push(data) && (!ends || it.end(None)));
                // Content that nobody reads is done with.
                self.give_window(key);
                return if fits { Ok(()) } else { self.spoil_content(key) };
            }
        };
        self.owed += size;
        self.spoil(key, fault)
    }

    /// What the client does on a stream has no sense: the stream ends.
    pub(super) fn spoil(&mut self, key: usize, code: Code) -> Result<(), Code> {
        self.end_stream(key, Some(code));
        self.flood.reset(clock::monotonic)
    }

    /// The content of a request is malformed (RFC 9113 §8.1.1): who serves the request learns of it, and can say so before the stream
    /// is reset.
    fn spoil_content(&mut self, key: usize) -> Result<(), Code> {
        if let Some(stream) = self.streams.get_mut(key) {
            (stream.is_malformed, stream.is_half_closed) = (true, true);
            stream.content.iter().for_each(Content::fail);
            self.streams.wake(key);
        }
        self.flood.reset(clock::monotonic)
    }

    fn take_reset(&mut self, id: u32) -> Result<(), Code> {
        match self.streams.find(id) {
            Some(key) => {
                let began = self.streams.get_mut(key).map(|stream| stream.began);
                self.end_stream(key, None);
                // A client whose patience with a slow backend is over has waited, and does not go on faster than that.
                if began == Some(self.context.ticks()) { self.flood.reset(clock::monotonic) } else { Ok(()) }
            }
            None => {
                self.check_is_known(id)?;
                self.count_idle_frame()
            }
        }
    }

    /// RFC 9113 §5.1: what is about a stream that was never begun is an error.
    pub(super) fn check_is_known(&self, id: u32) -> Result<(), Code> {
        if id.is_multiple_of(2) || id > self.last_stream && self.leaving != Leaving::Decided {
            return Err(Code::ProtocolError);
        }
        Ok(())
    }

    fn take_settings(&mut self, payload: &[u8]) -> Result<(), Code> {
        self.is_set = true;
        for setting in frame::settings(payload) {
            match setting? {
                Setting::HeaderTable(size) => self.output.encoder.set_max_table_size(size),
                Setting::MaxPayload(size) => self.output.max_payload = size,
                Setting::FirstWindow(size) => self.move_windows(size)?,
            }
        }
        frame::write_settings_ack(&mut self.output.bytes);
        self.count_idle_frame()
    }
}

/// Takes a frame of so many bytes off the front, and returns what is there in it.
fn data(received: &mut BytesMut, length: usize, at: Range<usize>) -> Bytes {
    if at.len() < content::SMALL {
        let data = Bytes::copy_from_slice(received.get(at).unwrap_or_default());
        received.advance(length);
        return data;
    }
    let mut frame = received.split_to(length);
    frame.truncate(at.end);
    frame.advance(at.start);
    frame.freeze()
}
