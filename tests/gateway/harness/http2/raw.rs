//! A connection that sends any frame, and reads frame by frame.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use super::answer::{Answer, Fate};
use super::fields::{self, Fields};
use super::frame::{Frame, flag, kind, setting};
use crate::harness::wire::Wire;

/// RFC 9113 §3.4.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Windows before anybody says something else (RFC 9113 §6.9.2).
const WINDOW: i64 = 65_535;

/// A connection to the gateway. It acknowledges settings and pings by itself and gives no windows back unless told to.
pub(crate) struct RawHttp2 {
    wire: Wire,
    /// Frames of streams that nobody has asked for yet.
    waiting: VecDeque<Frame>,
    /// What the gateway takes; 0 is the connection.
    windows: HashMap<u32, i64>,
    initial_window: i64,
    /// The settings of the gateway.
    settings: HashMap<u16, u32>,
    /// Last stream and code of each GOAWAY so far.
    goaways: Vec<(u32, u32)>,
    pings: u64,
    stalled: bool,
}

impl RawHttp2 {
    /// Connects, and sends the preface and the settings of this client.
    pub(crate) fn connect(addr: SocketAddr) -> Self {
        Self::connect_with(addr, &[])
    }

    /// As [`Self::connect`], with further settings.
    pub(crate) fn connect_with(addr: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut client = Self::silent(addr);
        let first = Frame::settings(&[&[(setting::HEADER_TABLE_SIZE, 0)], settings].concat());
        client.send_bytes(&[PREFACE, &first.encode()].concat());
        client
    }

    /// Connects and sends nothing.
    pub(crate) fn silent(addr: SocketAddr) -> Self {
        Self::over(Wire::connect(addr))
    }

    /// The same over a connection that has sent nothing yet.
    pub(crate) fn over(wire: Wire) -> Self {
        let windows = HashMap::from([(0, WINDOW)]);
        let (waiting, settings, goaways) = Default::default();
        Self { wire, waiting, windows, initial_window: WINDOW, settings, goaways, pings: 0, stalled: false }
    }

    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// Writes these bytes. The gateway may have ended the connection; what it said is still to be read.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = self.wire.write(bytes);
        self
    }

    pub(crate) fn send(&mut self, frame: Frame) -> &mut Self {
        self.send_all([frame])
    }

    /// Sends frames with one write.
    pub(crate) fn send_all(&mut self, frames: impl IntoIterator<Item = Frame>) -> &mut Self {
        let bytes: Vec<u8> = frames.into_iter().flat_map(|frame| frame.encode()).collect();
        self.send_bytes(&bytes)
    }

    /// Sends a request on a stream, and its body if there is one, with one write: a head whose body is malformed is never alone.
    pub(crate) fn request(&mut self, stream: u32, list: &[(&str, &str)], body: Option<&[u8]>) -> &mut Self {
        let head = Frame::headers(stream, list);
        match body {
            Some(body) => self.send_all([head, Frame::data(stream, body).end()]),
            None => self.send(head.end()),
        }
    }

    /// Sends a request on stream 1 and waits for what comes of it.
    #[track_caller]
    pub(crate) fn exchange(&mut self, list: &[(&str, &str)], body: Option<&[u8]>) -> Fate {
        self.request(1, list, body).fate(1)
    }

    /// Sends all of a body on an open stream, as the gateway's windows allow it.
    #[track_caller]
    pub(crate) fn upload(&mut self, stream: u32, mut body: &[u8]) {
        while !body.is_empty() {
            self.pay(stream, 1);
            let more = self.window(0).min(self.window(stream)).min(16_383);
            let (now, later) = body.split_at(body.len().min(usize::try_from(more + 1).unwrap()));
            self.pay(stream, i64::try_from(now.len() - 1).unwrap());
            self.send(Frame::data(stream, now));
            body = later;
        }
    }

    /// Takes so much from the windows of a stream and of the connection, as soon as they have it.
    #[track_caller]
    pub(crate) fn pay(&mut self, stream: u32, bytes: i64) -> &mut Self {
        while self.window(0).min(self.window(stream)) < bytes {
            let Some(frame) = self.frame() else {
                panic!("no window for stream {stream}: {:?}", self.ending())
            };
            self.keep(frame);
        }
        for id in [0, stream] {
            self.windows.insert(id, self.window(id) - bytes);
        }
        self
    }

    /// How much the gateway still takes on a stream, or on the connection: 0. Only what [`Self::pay`] took counts.
    pub(crate) fn window(&self, stream: u32) -> i64 {
        self.windows.get(&stream).copied().unwrap_or(self.initial_window)
    }

    /// A setting of the gateway, once it has been read.
    pub(crate) fn setting(&self, id: u16) -> Option<u32> {
        self.settings.get(&id).copied()
    }

    /// Last stream and code of each GOAWAY that was read.
    pub(crate) fn goaways(&self) -> &[(u32, u32)] {
        &self.goaways
    }

    /// From now on answers nothing by itself.
    pub(crate) fn stall(&mut self) -> &mut Self {
        self.stalled = true;
        self
    }

    /// The next frame, of whatever stream; `None` when the connection is closed or reset.
    pub(crate) fn frame(&mut self) -> Option<Frame> {
        let head = self.wire.exact(9).ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap()) & 0x7fff_ffff;
        let frame = Frame::new(head[3], head[4], stream, self.wire.exact(length).ok()?);
        self.take_notice(&frame);
        Some(frame)
    }

    fn take_notice(&mut self, frame: &Frame) {
        match frame.kind {
            kind::SETTINGS if frame.flags & flag::ACK == 0 => self.apply(&frame.payload),
            kind::PING if frame.flags & flag::ACK == 0 && !self.stalled => {
                self.send(Frame::new(kind::PING, flag::ACK, 0, frame.payload.clone()));
            }
            kind::WINDOW_UPDATE => {
                let window = self.window(frame.stream) + i64::from(frame.number(0));
                self.windows.insert(frame.stream, window);
            }
            kind::GOAWAY => self.goaways.push((frame.number(0), frame.number(4))),
            _ => {}
        }
    }

    fn apply(&mut self, payload: &[u8]) {
        for entry in payload.chunks(6) {
            let id = u16::from_be_bytes(entry[..2].try_into().unwrap());
            self.settings.insert(id, u32::from_be_bytes(entry[2..].try_into().unwrap()));
        }
        let window = self.setting(setting::INITIAL_WINDOW_SIZE).map_or(WINDOW, i64::from);
        for (_, other) in self.windows.iter_mut().filter(|(stream, _)| **stream != 0) {
            *other += window - self.initial_window;
        }
        self.initial_window = window;
        if !self.stalled {
            self.send(Frame::new(kind::SETTINGS, flag::ACK, 0, ""));
        }
    }

    fn keep(&mut self, frame: Frame) {
        if frame.stream != 0 && frame.kind != kind::WINDOW_UPDATE {
            self.waiting.push_back(frame);
        }
    }

    /// The next frame of this stream, but for its window; others wait for their turn. `None` when the connection is closed.
    pub(crate) fn frame_of(&mut self, stream: u32) -> Option<Frame> {
        if let Some(index) = self.waiting.iter().position(|frame| frame.stream == stream) {
            return self.waiting.remove(index);
        }
        loop {
            let frame = self.frame()?;
            if frame.stream == stream && frame.kind != kind::WINDOW_UPDATE {
                return Some(frame);
            }
            self.keep(frame);
        }
    }

    /// What was read of this stream and not yet asked for.
    pub(crate) fn waiting(&self, stream: u32) -> Vec<&Frame> {
        self.waiting.iter().filter(|frame| frame.stream == stream).collect()
    }

    /// Waits until the gateway has read all that was sent so far: `false` if it has closed the connection instead.
    pub(crate) fn round_trip(&mut self) -> bool {
        self.pings += 1;
        let payload = self.pings.to_be_bytes();
        self.send(Frame::ping(&payload));
        while let Some(frame) = self.frame() {
            if frame.is(kind::PING, flag::ACK) && frame.payload == payload {
                return true;
            }
            self.keep(frame);
        }
        false
    }

    /// The response on this stream, whole, or why there is none.
    #[track_caller]
    pub(crate) fn try_answer(&mut self, stream: u32) -> Result<Answer, Fate> {
        let mut answer = Answer::default();
        loop {
            let Some(frame) = self.frame_of(stream) else { return Err(self.ending()) };
            match frame.kind {
                kind::HEADERS => {
                    let fields = self.block(&frame);
                    answer.take_head(fields);
                }
                kind::DATA => answer.body.extend_from_slice(&frame.payload),
                kind::RST_STREAM => return Err(Fate::Reset(frame.number(0))),
                other => panic!("a frame of type {other} in a response: {frame:?}"),
            }
            if frame.flags & flag::END_STREAM != 0 {
                return Ok(answer);
            }
        }
    }

    /// The response on this stream.
    #[track_caller]
    pub(crate) fn answer(&mut self, stream: u32) -> Answer {
        self.try_answer(stream)
            .unwrap_or_else(|fate| panic!("no whole response on stream {stream}: {fate:?}"))
    }

    /// The fields that begin with this frame.
    #[track_caller]
    pub(crate) fn block(&mut self, first: &Frame) -> Fields {
        assert_eq!(first.kind, kind::HEADERS);
        let mut block = first.payload.clone();
        let mut ended = first.flags & flag::END_HEADERS != 0;
        while !ended {
            let more = self.frame_of(first.stream).expect("the rest of a header block");
            assert_eq!(more.kind, kind::CONTINUATION);
            block.extend_from_slice(&more.payload);
            ended = more.flags & flag::END_HEADERS != 0;
        }
        fields::decode(&block)
    }

    /// Waits until the stream or the connection is over.
    #[track_caller]
    pub(crate) fn fate(&mut self, stream: u32) -> Fate {
        self.try_answer(stream).map_or_else(|fate| fate, |answer| Fate::Answered(answer.status))
    }

    /// Waits until the gateway closes the connection.
    pub(crate) fn end(&mut self) -> Fate {
        while let Some(frame) = self.frame() {
            self.keep(frame);
        }
        self.ending()
    }

    fn ending(&self) -> Fate {
        Fate::Closed(self.goaways.last().map(|(_, code)| *code))
    }
}
